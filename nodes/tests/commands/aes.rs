//! `trefoil aes` and `trefoil circuit run` by the real program, on three real nodes.

use aes::{
    Aes128Enc, Aes192Enc, Aes256Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use trefoil_nodes::local::{LocalCluster, LocalOptions};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trefoil");

/// A cluster, and a directory for files.
struct Bench {
    cluster: LocalCluster,
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(LocalCluster::start(&LocalOptions::of(PROGRAM))).expect("a cluster");
        Self { cluster, dir: tempfile::tempdir().expect("a directory"), runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("written");
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn command(&self, subcommand: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(subcommand).arg("--cluster").arg(self.cluster.cluster_file()).current_dir(self.dir.path());
        command
    }

    /// `trefoil aes --encrypt` from one name to another.
    fn aes(&self, iv: &str, from: &str, to: &str) -> Command {
        let mut command =
            self.command(&["aes", "--key-file", "key", "--iv", iv, "--encrypt", "--in", from, "--out", to]);
        command.stdin(Stdio::null());
        command
    }

    fn end(self) {
        self.runtime.block_on(self.cluster.shutdown());
    }
}

fn done(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    &output.stdout
}

fn refused(mut command: Command, code: i32, hint: &str) {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(hint), "`{hint}` is not in: {text}");
}

fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// Counter mode with the `aes` crate.
fn in_the_clear(key: &[u8], iv: &str, text: &[u8]) -> Vec<u8> {
    let encrypt = |block: &mut Block| match key.len() {
        16 => Aes128Enc::new_from_slice(key).expect("16").encrypt_block(block),
        24 => Aes192Enc::new_from_slice(key).expect("24").encrypt_block(block),
        _ => Aes256Enc::new_from_slice(key).expect("32").encrypt_block(block),
    };
    let counter = u128::from_str_radix(iv, 16).expect("digits");
    let mut out = text.to_vec();
    for (chunk, k) in out.chunks_mut(16).zip(0..) {
        let mut block = Block::from(counter.wrapping_add(k).to_be_bytes());
        encrypt(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, k)| *byte ^= k);
    }
    out
}

/// The same with OpenSSL's program; `None` where there is none.
fn by_openssl(key: &[u8], iv: &str, file: &Path) -> Option<Vec<u8>> {
    let cipher = format!("-aes-{}-ctr", 8 * key.len());
    let args = ["enc", &cipher, "-K", &hex::encode(key), "-iv", iv, "-in"];
    let output = Command::new("openssl").args(args).arg(file).output().ok()?;
    Some(done(&output).to_vec())
}

#[test]
fn files_of_every_kind_are_as_openssl_makes_them() {
    let bench = Bench::new();
    // The counter of the first wraps around 2^128 within the file; the last file takes several jobs.
    let cases = [
        (16, "fffffffffffffffffffffffffffffffd", 100),
        (24, "00000000000000000000000000000000", 16),
        (32, "0123456789abcdef0123456789abcdef", 1),
        (16, "0000000000000000ffffffffffffffff", 4_200_003),
    ];
    for (key_bytes, iv, length) in cases {
        let (key, text) = (random(key_bytes, 1), random(length, 2));
        bench.write("key", hex::encode(&key).as_bytes());
        let file = bench.write("in", &text);
        let expected = in_the_clear(&key, iv, &text);
        if let Some(openssl) = by_openssl(&key, iv, &file) {
            assert!(openssl == expected, "the reference of this test is wrong");
        }
        let output = bench.aes(iv, "in", "out").args(["--force", "--json"]).output().expect("it runs");
        let row: Value = serde_json::from_slice(done(&output)).expect("JSON");
        assert_eq!((&row["bytes"], &row["key_bits"]), (&length.into(), &(8 * key_bytes).into()));
        assert_eq!(row["blocks"], length.div_ceil(16));
        assert!(fs::read(bench.path("out")).expect("there") == expected, "{key_bytes} bytes of key, {length} of text");

        // Back, from standard input to standard output, with the key as raw bytes.
        bench.write("key", &key);
        let mut decrypt =
            bench.command(&["aes", "--key-file", "key", "--iv", iv, "--decrypt", "--in", "-", "--out", "-"]);
        let mut process =
            decrypt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut input = process.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || input.write_all(&expected).expect("it reads all"));
        let output = process.wait_with_output().expect("ended");
        writer.join().expect("no panic");
        assert!(done(&output) == text);
    }
    assert_eq!(bench.names(), ["in", "key", "out"]);
    bench.end();
}

#[test]
fn what_cannot_be_done_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let iv = "00".repeat(16);
    bench.write("key", &random(16, 1));
    bench.write("in", &random(100, 2));
    bench.write("empty", b"");
    bench.write("there", b"precious");

    done(&bench.aes(&iv, "empty", "nothing").output().expect("it runs"));
    assert_eq!(fs::read(bench.path("nothing")).expect("there"), b"");

    refused(bench.aes(&iv, "in", "there"), 2, "--force");
    assert_eq!(fs::read(bench.path("there")).expect("there"), b"precious");
    refused(bench.aes("00", "in", "out"), 2, "exactly 32 hexadecimal digits");
    refused(bench.aes(&iv, "missing", "out"), 4, "missing");
    refused(bench.aes(&iv, ".", "out"), 2, "directory");
    refused(bench.aes(&iv, "in", "no/such/place"), 4, "no/such/place");
    refused(bench.aes(&iv, "in", "/dev/full"), 4, "No space left");
    let mut both = bench.aes(&iv, "in", "out");
    both.arg("--decrypt");
    refused(both, 2, "cannot be used with");
    let mut json = bench.aes(&iv, "in", "-");
    json.arg("--json");
    refused(json, 2, "standard output");
    bench.write("key", b"short");
    refused(bench.aes(&iv, "in", "out"), 2, "16, 24 or 32 bytes");
    assert_eq!(bench.names(), ["empty", "in", "key", "nothing", "there"]);
    bench.end();
}

/// Ctrl-C in the middle of an endless input: nothing is left behind, here and at the nodes.
#[test]
fn an_interrupted_run_leaves_no_file() {
    let bench = Bench::new();
    bench.write("key", &random(16, 1));
    let mut command = bench.aes(&"00".repeat(16), "/dev/zero", "out");
    let mut process = command.stderr(Stdio::piped()).spawn().expect("it runs");
    let growing = || bench.names().iter().any(|name| name.starts_with(".trefoil-"));
    let deadline = Instant::now() + Duration::from_mins(1);
    while !growing() {
        assert!(Instant::now() < deadline && process.try_wait().expect("a child").is_none(), "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(Pid::from_raw(process.id().try_into().expect("a pid")), Signal::SIGINT).expect("it runs");
    let output = process.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted"));
    assert_eq!(bench.names(), ["key"]);
    bench.end();
}

#[test]
fn circuits_are_evaluated_on_shared_inputs() {
    let bench = Bench::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../circuits/data/bristol");
    let run = |file: &str, args: &[&str]| {
        let mut command = bench.command(&["circuit", "run"]);
        command.arg(data.join(file)).args(args);
        command
    };
    let stdout =
        |mut command: Command| String::from_utf8(done(&command.output().expect("it runs")).to_vec()).expect("text");

    assert_eq!(stdout(run("adder64.txt", &["--input", "ff", "--input", "1"])), "0000000000000100\n");
    bench.write("secret", b" 0xffffffffffffffff\n");
    let json = run("adder64.txt", &["--input", "@secret", "--input", "2", "--json"]);
    assert_eq!(stdout(json), "{\"mode\":\"malicious\",\"outputs\":[\"0000000000000001\"]}\n");
    // Bits reversed on both sides: the carry runs from the leading bit down.
    let reversed = ["--input", "8000000000000000", "--input", "8000000000000000", "--bit-order", "msb"];
    assert_eq!(stdout(run("adder64.txt", &reversed)), "4000000000000000\n");
    // FIPS 197, appendix C.1.
    let key = ["--input", "000102030405060708090a0b0c0d0e0f", "--input", "00112233445566778899aabbccddeeff"];
    assert_eq!(stdout(run("aes_128.txt", &key)), "69c4e0d86a7b0430d8cdb78070b4c55a\n");

    refused(run("adder64.txt", &["--input", "ff"]), 2, "2 input ports but 1 values");
    refused(run("adder64.txt", &["--input", "ff", "--input", "xyz"]), 2, "input port 1");
    refused(run("README.md", &[]), 2, "line 1");
    refused(run("missing.txt", &[]), 4, "missing.txt");
    bench.end();
}

#[test]
fn the_demonstration_checks_everything_it_shows() {
    let output = Command::new(PROGRAM).args(["demo", "--json"]).output().expect("it runs");
    let rows: Vec<Value> =
        done(&output).split_inclusive(|b| *b == b'\n').map(|l| serde_json::from_slice(l).expect("JSON")).collect();
    let jobs: Vec<_> = rows.iter().map(|row| row["job"].as_str().expect("a name")).collect();
    assert_eq!(jobs, ["aes", "circuit", "credit", "auth"]);
    // As scikit-learn has it on the same rows.
    let figures = &rows[2]["figures"];
    assert_eq!((rows[2]["items"].as_u64(), figures["rows"].as_f64()), (Some(12_404), Some(12_404.0)));
    let close = |name: &str, expected: f64| (figures[name].as_f64().expect("a number") - expected).abs() < 1e-3;
    assert!(close("accuracy", 0.868) && close("auc", 0.871) && close("max_abs_error", 0.0), "{figures}");
    for row in rows {
        assert_eq!((&row["ok"], &row["mode"]), (&true.into(), &"malicious".into()));
        assert!(row["items"].as_u64() > Some(0) && row["seconds"].as_f64() > Some(0.0));
        assert!(row["checks"].as_object().is_some_and(|checks| checks.values().all(|holds| holds == true)));
    }
}
