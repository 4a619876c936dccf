//! `trefoil bench` by the real program, at a tiny scale: what its rows say, and that it leaves nothing behind.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use trefoil_circuits::{
    arith::{ElementCost, less_than_cost, sign_cost},
    credit::{Pooled, Report, Score, Settings, Train, Weights, reference::Batch},
    matching::{Answer, Kind, Match, Threshold},
    program::Tiling,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trefoil");
const DEADLINE: Duration = Duration::from_mins(1);

/// What every row has, as documented.
const KEYS: [&str; 12] = [
    "scenario",
    "mode",
    "params",
    "unit",
    "median",
    "min",
    "max",
    "runs",
    "bytes_per_item",
    "rounds",
    "cpu",
    "version",
];

fn bench(arguments: &str) -> Output {
    Command::new(PROGRAM).arg("bench").args(arguments.split(' ')).output().expect("it runs")
}

/// The rows that a tiny benchmark prints.
fn rows(arguments: &str) -> Vec<Value> {
    let output = bench(&format!("{arguments} --json --runs 2 --strands 2"));
    assert!(output.status.success(), "{arguments}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("one row a line")).collect();
    for row in &rows {
        let keys: BTreeSet<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(KEYS), "{arguments}");
        let figure = |key: &str| row[key].as_f64().expect("a number");
        assert!(0.0 < figure("min") && figure("min") <= figure("median") && figure("median") <= figure("max"), "{row}");
        assert_eq!((&row["runs"], &row["params"]["threads"]), (&Value::from(2), &Value::from(1)), "{row}");
    }
    rows
}

#[test]
fn aes_costs_what_its_form_says_over_any_link_and_in_any_mode() {
    for link in ["memory", "quic"] {
        for (sbox, bytes, rounds) in [("tower17", 340.0, 40), ("tower18", 360.0, 40), ("boyar-peralta", 640.0, 60)] {
            let rows = rows(&format!("aes --sbox {sbox} --link {link} --batch 128 --scale 0.01"));
            let [semi_honest, malicious] = rows.as_slice() else { panic!("{rows:?}") };
            assert_eq!(semi_honest["bytes_per_item"], bytes, "{semi_honest}");
            // Proofs come on top, and shrink with the number of gates.
            let proved = malicious["bytes_per_item"].as_f64().expect("a number");
            assert!(bytes < proved && proved < 1.05 * bytes, "{malicious}");
            for (row, mode) in rows.iter().zip(["semi-honest", "malicious"]) {
                assert_eq!((&row["scenario"], &row["mode"]), (&"aes".into(), &mode.into()), "{row}");
                assert_eq!((&row["unit"], &row["rounds"]), (&"blocks/s".into(), &rounds.into()), "{row}");
                assert_eq!((&row["params"]["sbox"], &row["params"]["batch"]), (&sbox.into(), &128.into()), "{row}");
                assert_eq!(row["params"]["link"], link, "{row}");
            }
        }
    }
}

/// Scenario, mode, unit, bytes an item, rounds.
#[test]
fn the_other_scenarios_cost_what_they_say() {
    let costs = |arguments: &str| -> Vec<_> {
        let text = |row: &Value, key: &str| row[key].as_str().expect("text").to_owned();
        let rows = rows(&format!("{arguments} --mode semi-honest"));
        let costs = rows.iter().map(|row| {
            let [scenario, mode, unit] = ["scenario", "mode", "unit"].map(|key| text(row, key));
            (scenario, mode, unit, row["bytes_per_item"].as_f64(), row["rounds"].as_u64())
        });
        costs.collect()
    };
    let of = |scenario: &str, mode: &str, unit: &str, bytes, rounds| {
        (scenario.into(), mode.into(), unit.into(), Some(bytes), Some(rounds))
    };
    assert_eq!(costs("ring --scale 0.001 --frame 1000"), [of("ring", "none", "Gbit/s", 0.125, 1)]);
    assert_eq!(costs("and --scale 0.001"), [of("and", "semi-honest", "gates/s", 0.125, 1)]);
    // One block and one AND travel as whole words of 64 lanes.
    let block = of("latency", "semi-honest", "ms/block", 340.0 * 64.0, 40);
    assert_eq!(costs("latency --scale 0.01"), [block, of("latency", "semi-honest", "ms/round", 8.0, 1)]);
}

/// What programs on integers say that they cost is what goes over the wire, and each run compares its result with plain computation.
#[test]
fn arithmetic_scores_training_and_matching_cost_what_they_say() {
    let score = |rows, report| {
        let table = Pooled::Vertical { rows, columns: vec![26] };
        Score::new(table, Weights::Shared, vec![report]).expect("accepted").row_cost(rows)
    };
    let table = Pooled::Vertical { rows: 200, columns: vec![26] };
    let settings = Settings { rate: 0.5, momentum: 0.75, epochs: 1, batch: Batch::Rows(128), l2: 1.0 };
    let train = Train::new(table, settings).expect("accepted").cost();
    let search = |templates: usize| {
        let program = Match::identify(Kind::IRIS, Threshold::DEPLOYED, [templates, 1], Answer::First);
        let cost = program.expect("accepted").tiled(Tiling { batch: 64, strands: 2 }).cost();
        (cost.bytes_sent as f64 / templates as f64, cost.rounds)
    };
    let bits = |cost: ElementCost| cost.bits_sent() as f64 / 8.0;
    let cases = [
        ("mul64 --scale 0.001 --batch 1000", vec![("products/s", 8.0, 1)]),
        (
            "compare64 --scale 0.001 --batch 640",
            [less_than_cost(), sign_cost()].map(|c| ("comparisons/s", bits(c), c.rounds)).to_vec(),
        ),
        (
            "score --scale 0.0256 --batch 128",
            vec![(
                "applicants/s",
                bits(score(256, Report::ProbabilityBits)),
                score(256, Report::ProbabilityBits).rounds,
            )],
        ),
        (
            "score-one --scale 0.02",
            vec![(
                "ms/applicant",
                score(1, Report::Probability).over(1).bytes_sent as f64,
                score(1, Report::Probability).rounds,
            )],
        ),
        ("train --scale 0.02", vec![("s/epoch", train.bytes_sent as f64, train.rounds)]),
        ("iris --templates 2 --batch 64", vec![("rotations/s", search(2).0, search(2).1)]),
        ("identify --templates 1 --batch 64", vec![("ms/probe", search(1).0, search(1).1)]),
    ];
    for (arguments, costs) in cases {
        let rows = rows(&format!("{arguments} --link memory"));
        assert_eq!(rows.len(), 2 * costs.len(), "{arguments}");
        for (rows, (unit, bytes, rounds)) in rows.chunks(2).zip(costs) {
            let sent = |row: &Value| row["bytes_per_item"].as_f64().expect("a number");
            assert!((sent(&rows[0]) - bytes).abs() < 1e-9 && sent(&rows[1]) > bytes, "{bytes}: {rows:?}");
            for (row, mode) in rows.iter().zip(["semi-honest", "malicious"]) {
                assert_eq!((&row["mode"], &row["unit"], &row["rounds"]), (&mode.into(), &unit.into(), &rounds.into()));
            }
        }
    }
}

#[test]
fn all_scenarios_go_to_a_csv_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("rows.csv");
    let rows = rows(&format!("all --link memory --batch 64 --scale 0.001 --csv {}", file.display()));
    let text = fs::read_to_string(&file).expect("written");
    let mut lines = text.lines();
    let head: Vec<_> = lines.next().expect("a head").split(',').collect();
    assert_eq!(head, KEYS);
    let lines: Vec<_> = lines.map(fields).collect();
    // One of the ring, and two of each other: one for each mode.
    assert_eq!((rows.len(), lines.len()), (25, 25));
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(line.len(), head.len(), "{line:?}");
        for (key, field) in head.iter().zip(line) {
            match &row[key] {
                Value::Number(n) => {
                    let (n, field) = (n.as_f64().expect("finite"), field.parse::<f64>().expect("a number"));
                    assert!((n - field).abs() <= 1e-3, "{key}: {n} and {field}");
                }
                Value::Object(params) => {
                    let of_row = params.iter().map(|(k, v)| format!("{k}={}", v.to_string().trim_matches('"')));
                    assert_eq!(field.split(';').map(str::to_owned).collect::<Vec<_>>(), of_row.collect::<Vec<_>>());
                }
                other => assert_eq!(other.as_str(), Some(field.as_str()), "{key}"),
            }
        }
    }
}

/// The fields of a line of CSV, quotes taken off.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("never empty").push(c),
        }
    }
    fields
}

#[test]
fn a_bad_parameter_is_a_usage_error() {
    for (arguments, said) in [
        ("aes --sbox tower16", "choose one of tower17, tower18, boyar-peralta"),
        ("aes --batch 0", "--batch"),
        ("aes --strands 257", "--strands"),
        ("aes --runs 0", "--runs"),
        ("score --columns 501", "--columns"),
        ("iris --templates 0", "--templates"),
        ("aes --scale 0", "--scale must be above 0"),
        ("aes --mode covert", "--mode"),
        ("aes --scale NaN", "--scale must be above 0"),
        ("ring --frame 0", "--frame"),
        ("ring --plot ring.svg", "--plot draws the scenario `sweep` only"),
        ("ring --network moon", "choose one of lan, metro, wan"),
        ("ring --network lan --link memory", "--link"),
        ("sprint", "sprint"),
    ] {
        let output = bench(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {text}");
        assert!(text.contains(said) && output.stdout.is_empty(), "{arguments}: {text}");
    }
}

/// A benchmark that would take for ever, with a temporary directory of its own. Killed if the test fails.
struct Endless {
    process: Child,
    temporary: tempfile::TempDir,
}

impl Endless {
    fn start(arguments: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let process = Command::new(PROGRAM)
            .arg("bench")
            .args(arguments.split(' '))
            .args(["--runs", "60000"])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        Self { process, temporary }
    }

    /// Its worker processes that are alive: those whose command line names its temporary directory.
    fn workers(&self) -> usize {
        fs::read_dir("/proc").expect("Linux").flatten().filter(|p| is_worker(&p.path(), self.temporary.path())).count()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.temporary.path()).expect("a directory").count()
    }

    /// Sends it a signal and waits for its end: the exit code, and what it said.
    fn end(&mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.process.id().try_into().expect("a pid")), signal).expect("not waited for yet");
        let status = self.process.wait().expect("ended");
        let said = self.process.stderr.take().expect("piped");
        (status.code(), std::io::read_to_string(said).expect("UTF-8"))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_worker(process: &Path, temporary: &Path) -> bool {
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    command.contains("bench-worker") && command.contains(&*temporary.to_string_lossy())
}

/// Looks every few milliseconds whether a condition holds, up to a deadline.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupted_benchmark_leaves_no_process_and_no_file() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut endless = Endless::start("aes --batch 64 --scale 0.01");
        wait_for("three workers", || endless.workers() == 3);
        let (code, said) = endless.end(signal);
        assert_eq!((code, said.trim()), (Some(1), "error: interrupted"), "{signal}");
        assert_eq!(endless.files(), 0, "{signal}");
        wait_for("the workers end", || endless.workers() == 0);
    }
    // Killed, it can remove nothing, but the workers see that it is gone.
    let mut endless = Endless::start("aes --batch 64 --scale 0.01");
    wait_for("three workers", || endless.workers() == 3);
    assert_eq!(endless.end(Signal::SIGKILL).0, None);
    wait_for("the workers end", || endless.workers() == 0);
}

#[test]
fn an_interrupted_benchmark_in_memory_ends() {
    let mut endless = Endless::start("and --link memory --scale 0.01");
    let status = format!("/proc/{}/status", endless.process.id());
    wait_for("it listens for signals", || catches(&fs::read_to_string(&status).unwrap_or_default(), Signal::SIGTERM));
    let (code, said) = endless.end(Signal::SIGTERM);
    assert_eq!((code, said.trim()), (Some(1), "error: interrupted"));
}

/// Whether a process, given its status file, handles a signal.
fn catches(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m >> (signal as u32 - 1) & 1 == 1)
}

#[test]
fn an_interrupted_benchmark_leaves_no_namespace() {
    let mut endless = Endless::start("aes --network lan --batch 64 --scale 0.01");
    let id = endless.process.id();
    let ended = |process: &mut Child| process.try_wait().expect("a child").is_some();
    let deadline = Instant::now() + DEADLINE;
    while endless.workers() < 3 && !ended(&mut endless.process) {
        assert!(Instant::now() < deadline, "neither three workers nor an end");
        std::thread::sleep(Duration::from_millis(10));
    }
    if ended(&mut endless.process) {
        let said = std::io::read_to_string(endless.process.stderr.take().expect("piped")).expect("UTF-8");
        assert!(said.starts_with("skipped: ") && endless.process.wait().expect("ended").success(), "{said}");
        eprintln!("{said}");
    } else {
        let (code, said) = endless.end(Signal::SIGINT);
        assert_eq!((code, said.trim()), (Some(1), "error: interrupted"));
    }
    assert_eq!(endless.files(), 0);
    wait_for("the workers end", || endless.workers() == 0);
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(!listed.contains(&format!("trefoil-{id}-")), "{listed}");
}
