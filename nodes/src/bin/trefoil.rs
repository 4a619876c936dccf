//! The `trefoil` program. Everything is in [`trefoil_nodes::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    trefoil_nodes::cli::main()
}
