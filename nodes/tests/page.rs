//! The page in a browser: `trefoil up` serves it, headless Chromium registers and logs in.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running `trefoil up`.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // Its nodes end with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Up, String) {
    let mut up = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    let mut up = Up(up.args(["up", "--json"]).stdout(Stdio::piped()).spawn().expect("the program runs"));
    let mut line = String::new();
    BufReader::new(up.0.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    let ready: Value = serde_json::from_str(&line).expect("a line of readiness");
    (up, ready["page"].as_str().expect("an address").to_owned())
}

#[test]
#[ignore = "needs node, npm, Chromium and the npm registry: `cargo test -p trefoil-nodes --test page -- --ignored`"]
fn a_browser_registers_and_logs_in() {
    let (_up, page) = start();
    let into = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/run");
    let output = Command::new(script).arg(&into).arg(page).output().expect("bash is there");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");

    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let step = |name: &str| {
        let line = lines.iter().find(|line| line["step"] == name);
        let line = line.unwrap_or_else(|| panic!("no step {name}: {said}{errors}"));
        (line["outcome"].as_str().unwrap_or_default(), line["text"].as_str().expect("text"))
    };
    assert!(!lines.iter().any(|line| line["step"] == "error"), "{said}");
    for name in ["register", "log in", "log in again"] {
        assert_eq!(step(name).0, "done", "{said}");
    }
    for (name, why) in [
        ("another eye", "match"),
        ("register again", "there is an account"),
        ("nobody", "no account"),
        ("another device", "no share"),
    ] {
        let (outcome, text) = step(name);
        assert!(outcome == "refused" && text.contains(why), "{name}: {said}");
    }
    assert_eq!(step("refused").1, "403 403 403 403 404 403");
    let sent: Vec<(String, String)> = serde_json::from_str(step("sent").1).expect("paths and types");
    assert!(sent.iter().any(|(path, _)| path.starts_with("/nodes/2/v1/keys")));
    let unsealed = sent.iter().filter(|(_, kind)| kind != "application/vnd.trefoil.sealed").count();
    assert_eq!(unsealed, 1, "the one that was refused: {said}");
}
