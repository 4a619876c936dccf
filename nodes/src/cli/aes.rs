//! `trefoil aes`: a file or a stream through AES in counter mode, under a key that no node ever holds.

mod key;
mod sink;

use super::{ClusterArgs, Exit, ModeArgs, Output, OutputArgs, block_on, signals::Stop};
use crate::{
    Error,
    client::{Client, Ctr, CtrReport},
    job::ModeSpec,
};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use sink::Sink;
use std::{
    fs, io,
    io::IsTerminal,
    os::fd::AsFd,
    path::{Path, PathBuf},
};
use tokio::fs::File;

const EXAMPLES: &str = "\
Examples:
  head -c 16 /dev/urandom > key; IV=$(openssl rand -hex 16)
  trefoil aes --cluster demo/cluster.toml --key-file key --iv $IV --encrypt --in letter.txt --out letter.aes
  trefoil aes --cluster demo/cluster.toml --key-file key --iv $IV --decrypt --in letter.aes --out -
  openssl enc -d -aes-128-ctr -K $(xxd -p key) -iv $IV -in letter.aes

The key is split here and each node gets a part that says nothing about it. The nodes compute the key stream, and each
returns a part of that. The text itself never leaves this machine. Never use a counter block twice under one key.";

/// Arguments of `trefoil aes`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AesArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The key: a file of 16, 24 or 32 bytes for AES-128, -192 or -256, or of 32, 48 or 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The first counter block, 32 hexadecimal digits; it counts up as one number of 128 bits, as in `openssl enc -aes-128-ctr`
    #[arg(long, value_name = "HEX")]
    iv: String,
    #[command(flatten)]
    direction: DirectionArgs,
    /// The file to read; - is standard input
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The file to write; - is standard output. A regular file appears when it is complete, or not at all
    #[arg(long = "out", value_name = "FILE")]
    out: PathBuf,
    /// Replace the output file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// In counter mode both are the same; asking for one makes commands readable.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct DirectionArgs {
    /// Encrypt
    #[arg(long)]
    encrypt: bool,
    /// Decrypt
    #[arg(long)]
    decrypt: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Usage`] for arguments that do not fit together, before any work starts; else as [`Ctr::apply`].
pub fn run(args: &AesArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    if output == Output::Json && is_stream(&args.out) {
        return Err(Error::Usage("--json and --out - both write to standard output; name an output file".to_owned()));
    }
    let target = args.cluster.resolve()?;
    let key = key::read(&args.key_file)?;
    let counter = counter(&args.iv)?;
    let (input, length) = open(&args.input)?;
    let bits = key.size().bits();
    let report = block_on(async {
        // From here on an interruption ends this in order, so that the unfinished file is removed.
        let mut stop = Stop::listen()?;
        let sink = if is_stream(&args.out) { Sink::standard_output()? } else { Sink::create(&args.out, args.force)? };
        let client = tokio::select! {
            client = Client::connect(&target.cluster, &target.identity) => client?,
            _ = stop.received() => return Err(Error::Interrupted),
        };
        let ctr = Ctr::new(client, key, counter).in_mode(args.mode.mode);
        stream(ctr, input, length, sink, &mut stop).await
    })?;
    if !is_stream(&args.out) {
        let direction = if args.direction.encrypt { Direction::Encrypt } else { Direction::Decrypt };
        let row = Row::new(direction, args.mode.mode, bits, &report);
        output.print(&row, row.text())?;
    }
    Ok(Exit::Ok)
}

async fn stream(
    ctr: Ctr,
    input: fs::File,
    length: Option<u64>,
    sink: Sink,
    stop: &mut Stop,
) -> Result<CtrReport, Error> {
    let bar = progress_bar(length);
    let mut file = File::from_std(sink.file()?);
    let stopped = async {
        stop.received().await;
    };
    let report = ctr.apply(File::from_std(input), &mut file, stopped, |written| bar.set_position(written)).await;
    bar.finish_and_clear();
    let report = report?;
    // Unless the data is on the disk, the disk may still turn out to be full.
    sink.finish(&file.into_std().await)?;
    Ok(report)
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// The input, and its length if it has one.
fn open(path: &Path) -> Result<(fs::File, Option<u64>), Error> {
    let what = || if is_stream(path) { "read standard input".to_owned() } else { format!("read {}", path.display()) };
    let file = if is_stream(path) {
        fs::File::from(io::stdin().as_fd().try_clone_to_owned().map_err(Error::system(what()))?)
    } else {
        fs::File::open(path).map_err(Error::system(what()))?
    };
    let metadata = file.metadata().map_err(Error::system(what()))?;
    if metadata.is_dir() {
        return Err(Error::Usage(format!("{} is a directory; name a file", path.display())));
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

fn counter(text: &str) -> Result<u128, Error> {
    let mut block = [0; 16];
    hex::decode_to_slice(text.trim_start_matches("0x"), &mut block).map_err(|_| {
        Error::Usage(format!(
            "--iv takes the first counter block, exactly 32 hexadecimal digits; `{text}` is something else"
        ))
    })?;
    Ok(u128::from_be_bytes(block))
}

/// On a terminal alone; and there, bytes, rate and the time that is left.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{wide_bar} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        ),
        None => (ProgressBar::no_length(), "{spinner} {binary_bytes}  {binary_bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Encrypt,
    Decrypt,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row {
    operation: Direction,
    mode: ModeSpec,
    key_bits: usize,
    bytes: u64,
    blocks: u64,
    jobs: u64,
    rounds: u64,
    bytes_sent: u64,
    seconds: f64,
    blocks_per_second: f64,
}

impl Row {
    fn new(operation: Direction, mode: ModeSpec, key_bits: usize, report: &CtrReport) -> Self {
        let CtrReport { bytes, blocks, jobs, rounds, bytes_sent, seconds } = *report;
        let blocks_per_second = if seconds > 0.0 { blocks as f64 / seconds } else { 0.0 };
        Self { operation, mode, key_bits, bytes, blocks, jobs, rounds, bytes_sent, seconds, blocks_per_second }
    }

    fn text(&self) -> String {
        let done = match self.operation {
            Direction::Encrypt => "encrypted",
            Direction::Decrypt => "decrypted",
        };
        format!(
            "{done} {} with AES-{} in {:.2} s: {:.0} blocks/s, {} {} jobs, {} sent among the nodes",
            HumanBytes(self.bytes),
            self.key_bits,
            self.seconds,
            self.blocks_per_second,
            self.jobs,
            self.mode,
            HumanBytes(self.bytes_sent),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_a_big_endian_number() {
        assert_eq!(counter("000000000000000000000000000000ff").expect("32 digits"), 255);
        assert_eq!(counter(&"f".repeat(32)).expect("32 digits"), u128::MAX);
        for bad in ["", "ff", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32)] {
            let error = counter(bad).expect_err(bad).to_string();
            assert!(error.contains("exactly 32"), "{error}");
        }
    }
}
