//! What a job of a circuit takes in memory, against what is set aside for it. A process of its own, since its peak is read.
#![cfg(target_os = "linux")]

use std::{fmt::Write as _, fs, num::NonZeroU32, process::Command};
use trefoil_nodes::job::{CircuitSpec, JobSpec, Limits, ModeSpec, Prepared, ProgramSpec, Sha256Hex};

/// The most bytes of this process that were resident since the last call of [`forget_peak`].
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("the peak is forgotten");
}

/// A name, a circuit text, and its input and output wires.
struct Text(&'static str, String, u32, u32);

/// As many gates as `gates` for each byte of text as the format allows, of each kind.
fn dense(gates: u32) -> Vec<Text> {
    let header =
        |lines: u32, inputs: u32, outputs: u32| format!("{lines} {}\n1 {inputs}\n1 {outputs}\n", inputs + gates);
    let every = |line: &dyn Fn(&mut String, u32)| {
        let mut text = String::new();
        (0..gates).for_each(|k| line(&mut text, k + 1));
        text
    };
    let mut mand = format!("{} {gates}{}", 2 * gates, " 0".repeat(2 * gates as usize));
    (0..gates).for_each(|k| write!(mand, " {}", k + 1).expect("written"));
    mand.push_str(" MAND\n");
    let and = every(&|t, k| writeln!(t, "2 1 0 0 {k} AND").expect("written"));
    let chain = every(&|t, k| writeln!(t, "2 1 {} {} {k} AND", k - 1, k - 1).expect("written"));
    let xor = every(&|t, k| writeln!(t, "2 1 0 0 {k} XOR").expect("written"));
    let not = every(&|t, k| writeln!(t, "1 1 0 {k} INV").expect("written"));
    let eq = every(&|t, k| writeln!(t, "1 1 0 {k} EQ").expect("written"));
    vec![
        Text("MAND, all outputs", header(1, 1, gates) + &mand, 1, gates),
        Text("MAND, one output", header(1, 1, 1) + &mand, 1, 1),
        Text("AND, all outputs", header(gates, 1, gates) + &and, 1, gates),
        Text("AND in a chain", header(gates, 1, 1) + &chain, 1, 1),
        Text("XOR, all outputs", header(gates, 1, gates) + &xor, 1, gates),
        Text("INV, all outputs", header(gates, 1, gates) + &not, 1, gates),
        Text("EQ, all outputs", header(gates, 1, gates) + &eq, 1, gates),
        Text("EQ, no output", header(gates, 1, 0) + &eq, 1, 0),
    ]
}

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CASE: &str = "TREFOIL_TEST_CASE";

/// Each circuit in a process of its own, since memory that was used before is not all given back.
#[test]
fn no_circuit_takes_more_than_is_set_aside_for_it() {
    if let Ok(case) = std::env::var(CASE) {
        let [path, what, inputs, outputs] = case.split(';').collect::<Vec<_>>().try_into().expect("four fields");
        let ports = [inputs, outputs].map(|n| n.parse().expect("a number"));
        return measure(what, &fs::read(path).expect("a circuit"), ports);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("circuit.txt");
    // Buffers that double have just done so: the worst sizes. Far smaller circuits are lost in what the allocator itself keeps.
    for gates in [270_000, 530_000] {
        for Text(what, text, inputs, outputs) in dense(gates) {
            fs::write(&path, text).expect("written");
            let mut child = Command::new(std::env::current_exe().expect("this program"));
            child.args(["--exact", "no_circuit_takes_more_than_is_set_aside_for_it", "--nocapture"]);
            child.env(CASE, format!("{};{what};{inputs};{outputs}", path.display()));
            assert!(child.status().expect("started").success(), "{what}, {gates} gates");
        }
    }
}

fn measure(what: &str, text: &[u8], [input_wires, output_wires]: [u32; 2]) {
    let circuit = CircuitSpec {
        sha256: Sha256Hex::of(text),
        bytes: text.len() as u64,
        input_wires,
        output_wires,
        instances: NonZeroU32::MIN,
    };
    let spec = JobSpec::new(ProgramSpec::Circuit(circuit), ModeSpec::default());
    let held = spec.sizes().expect("small").held_bytes();
    let limits = Limits { work_bytes: u64::MAX, ..Limits::default() };
    forget_peak();
    let before = peak();
    let prepared = Prepared::new(&spec, text, &limits).expect("valid");
    let taken = peak() - before + text.len() as u64;
    drop(prepared);
    let times = |bytes: u64| bytes as f64 / text.len() as f64;
    println!(
        "{what}: {} bytes of text, {:.1} times as many taken, {:.1} set aside",
        text.len(),
        times(taken),
        times(held)
    );
    assert!(taken <= held, "{what}: {taken} bytes taken, {held} set aside");
}
