//! `trefoil circuit`: Bristol Fashion circuits on shared inputs.

use super::{ClusterArgs, Exit, ModeArgs, OutputArgs, interruptible};
use crate::{
    Error,
    client::{Client, Plain},
    job::{CircuitSpec, JobSpec, ModeSpec, ProgramSpec, Sha256Hex},
};
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{
    fs, io,
    io::Read,
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use trefoil_circuits::bristol::{BitOrder, Circuit, Limits, Packing, PortError};
use zeroize::Zeroizing;

const GROUP_EXAMPLES: &str = "\
Examples:
  trefoil circuit run adder64.txt --cluster demo/cluster.toml --input ff --input 1";

const EXAMPLES: &str = "\
Examples:
  trefoil circuit run adder64.txt --cluster demo/cluster.toml --input ff --input 1
  trefoil circuit run aes_128.txt --cluster demo/cluster.toml --json \\
      --input @key.hex --input 00112233445566778899aabbccddeeff

An input is split here and each node gets a part that says nothing about it. The circuit itself is public.
Arguments can be seen by other users of this machine: read secrets from a file with @FILE.";

/// Subcommands of `trefoil circuit`.
#[derive(Debug, Subcommand)]
#[command(after_help = GROUP_EXAMPLES)]
pub enum CircuitCommand {
    /// Evaluate a circuit on shared inputs
    Run(RunArgs),
}

/// Arguments of `trefoil circuit run`, as typed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The circuit, in Bristol Fashion
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The value of one input port, once for each port and in their order: a hexadecimal integer whose bit i is the port's
    /// wire i, or @FILE to read it from a file
    #[arg(long = "input", value_name = "HEX")]
    inputs: Vec<String>,
    /// Which end of the integer a port's first wire is: lsb, or msb as in the older AES circuits
    #[arg(long, default_value = "lsb", value_name = "ORDER")]
    bit_order: BitOrder,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row {
    mode: ModeSpec,
    outputs: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Usage`] for a circuit or inputs that are not valid, before anything is sent; else as [`Client::run`].
pub fn run(command: CircuitCommand) -> Result<Exit, Error> {
    let CircuitCommand::Run(args) = command;
    let target = args.cluster.resolve()?;
    let text = fs::read(&args.file).map_err(Error::system(format!("read the circuit {}", args.file.display())))?;
    let named = |e: &dyn std::fmt::Display| Error::Usage(format!("{}: {e}", args.file.display()));
    let circuit = Circuit::read(text.as_slice(), &Limits::default()).map_err(|e| named(&e))?;
    let words = inputs(&circuit, &args).map_err(|e| match e {
        InputError::Port(e) => named(&e),
        InputError::File(e) => e,
    })?;
    let spec = spec(&circuit, &text, args.mode.mode);
    let outcome = interruptible(async {
        let client = Client::connect(&target.cluster, &target.identity).await?;
        client.run(&spec, Bytes::from(text), &[Plain::Bits(&words)]).await
    })?;
    let ports = ONE.unpack_outputs(&circuit, outcome.bits(0)?).map_err(|e| Error::Bug(e.to_string()))?;
    let outputs: Vec<String> = ports.iter().flatten().map(|port| port.to_hex(args.bit_order)).collect();
    let text = outputs.join("\n");
    args.output.resolve().print(&Row { mode: args.mode.mode, outputs }, text)?;
    Ok(Exit::Ok)
}

/// One evaluation.
const ONE: Packing = Packing::new(1);

/// The specification of one evaluation of a circuit with this text.
fn spec(circuit: &Circuit, text: &[u8], mode: ModeSpec) -> JobSpec {
    let spec = CircuitSpec {
        sha256: Sha256Hex::of(text),
        bytes: text.len() as u64,
        input_wires: circuit.input_wires().len() as u32,
        output_wires: circuit.output_wires().len() as u32,
        instances: NonZeroU32::MIN,
    };
    JobSpec::new(ProgramSpec::Circuit(spec), mode)
}

#[derive(Debug)]
enum InputError {
    Port(PortError),
    File(Error),
}

fn inputs(circuit: &Circuit, args: &RunArgs) -> Result<Zeroizing<Vec<trefoil_engine::Lanes>>, InputError> {
    let texts = args.inputs.iter().map(|text| match text.strip_prefix('@') {
        Some(path) => read(Path::new(path)),
        None => Ok(Zeroizing::new(text.clone())),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>().map_err(InputError::File)?;
    let texts: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
    let values = circuit.input_values(&texts, args.bit_order).map_err(InputError::Port)?;
    ONE.pack_inputs(circuit, &[values]).map_err(InputError::Port)
}

/// Longest file of one input value, in bytes: a digit for every four wires a circuit can have, and space around.
const MOST: u64 = 16 << 20;

fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let failed = |e: io::Error| Error::system(format!("read the input {}", path.display()))(e);
    let file = fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len().min(MOST);
    // As long as it needs to be from the beginning, so that no copy of a secret is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(length as usize + 1));
    file.take(MOST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
