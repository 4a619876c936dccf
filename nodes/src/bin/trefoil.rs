//! The `trefoil` program. Everything is in [`trefoil_nodes::cli`].

use std::process::ExitCode;

/// Keeps the memory of packet buffers, which the system's allocator gives back and asks for again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trefoil_nodes::cli::main()
}
