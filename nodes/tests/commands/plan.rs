//! `trefoil plan`, as a user runs it.

use std::process::{Command, Output};

fn plan(args: &[&str]) -> Output {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../circuits/data/bristol");
    Command::new(env!("CARGO_BIN_EXE_trefoil")).arg("plan").args(args).current_dir(directory).output().unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    let output = plan(args);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn figures_of_the_public_files_are_exact() {
    for (file, ands, depth) in
        [("adder64.txt", 63, 63), ("mult64.txt", 4033, 63), ("aes_128.txt", 6400, 60), ("sha256.txt", 22573, 1607)]
    {
        // 128 instances fill two words: an AND sends 16 bytes.
        let row = json(&[file, "--instances", "128", "--mode", "semi-honest", "--json"]);
        assert_eq!((row["ands"].as_u64(), row["gates"]["and"].as_u64()), (Some(ands), Some(ands)), "{row}");
        assert_eq!((row["depth"].as_u64(), row["rounds"].as_u64()), (Some(depth), Some(depth)), "{row}");
        assert_eq!(
            (row["bytes_sent"].as_u64(), row["bits_sent"].as_u64()),
            (Some(16 * ands), Some(128 * ands)),
            "{row}"
        );
        let checked = json(&[file, "--instances", "128", "--json"]);
        assert_eq!((&row["mode"], &checked["mode"]), (&"semi-honest".into(), &"malicious".into()));
        let more = |what: &str| checked[what].as_u64() > row[what].as_u64();
        assert!(["rounds", "bytes_sent", "memory_bytes"].into_iter().all(more), "{checked}");
        assert!(row["memory_bytes"].as_u64() > Some(0) && row["predicted"]["total"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn the_network_matters() {
    let total = |args: &[&str]| json(args)["predicted"]["total"].as_f64().unwrap();
    let near = total(&["aes-256", "--instances", "1000", "--rtt", "0.2ms", "--bandwidth", "10Gbit", "--json"]);
    let far = total(&["aes-256", "--instances", "1000", "--rtt", "40ms", "--bandwidth", "100Mbit/s", "--json"]);
    assert!(near > 0.0 && far > 2.0 && near < far / 10.0, "{near} {far}");
}

#[test]
fn the_table_names_what_was_planned() {
    let output = plan(&["sha256.txt", "--instances", "64", "--mode", "semi-honest"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "sha256.txt, 22,573 AND",
        "depth 1,607",
        "mode       semi-honest",
        "180,584 bytes by each party",
        "1ms round trip, 1Gbit/s",
    ] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
}

#[test]
fn jobs_of_credit_analysis_are_planned() {
    let table =
        String::from_utf8(plan(&["credit-train", "--rows", "90,60", "--columns", "4", "--iterations", "1"]).stdout);
    let table = table.unwrap();
    for part in
        ["program    credit-train", "mode       malicious", "bounds     a logit: at most", "set aside by each node"]
    {
        assert!(table.contains(part), "no '{part}' in\n{table}");
    }
    for program in ["moments", "credit-score", "credit-counts", "credit-auc"] {
        let rows = |rows: &str| json(&[program, "--rows", rows, "--mode", "semi-honest", "--json"]);
        let (few, many) = (rows("64"), rows("320"));
        let more = |what: &str| many[what].as_u64() > few[what].as_u64();
        assert!(["bytes_sent", "input_bytes", "memory_bytes"].into_iter().all(more), "{few} {many}");
        let known = json(&[program, "--rows", "64", "--checked", "--mode", "semi-honest", "--json"]);
        let counts = matches!(program, "credit-counts" | "credit-auc");
        assert_eq!(
            known["rounds"].as_u64() < few["rounds"].as_u64(),
            !counts,
            "counts are of any values: {known} {few}"
        );
        assert_eq!(few["bounds"].as_array().is_some_and(|bounds| !bounds.is_empty()), program == "credit-score");
    }
    let join = json(&["credit-join", "--rows", "40,30", "--columns", "2,3", "--mode", "semi-honest", "--json"]);
    assert!(join["rounds"].as_u64() > Some(100), "{join}");
}

#[test]
fn mistakes_are_explained_and_exit_with_2() {
    for (args, says) in [
        (&["nothing.txt"][..], "aes-128, aes-192, aes-256"),
        (&["README.md"], "line 1: "),
        (&["aes-128", "--instances", "0"], "0 is not in 1.."),
        (&["aes-128", "--rtt", "fast"], "is no round-trip time"),
        (&["aes-128", "--bandwidth", "1GB"], "is no bandwidth"),
        (&["aes-128", "--rows", "5"], "a circuit takes --instances"),
        (&["credit-train"], "give the number of customers"),
        (&["credit-train", "--rows", "1"], "plan for more rows"),
        (&["credit-train", "--rows", "5,5", "--columns", "3,3"], "several numbers of --rows"),
        (&["credit-join", "--rows", "5,5"], "rows and columns of each table"),
        (&["credit-score", "--rows", "5", "--columns", "501"], "more than 500 features"),
        (&["credit-score", "--rows", "1000000000", "--columns", "500"], "plan for fewer rows"),
    ] {
        let output = plan(args);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(says), "no '{says}' in {text}");
    }
}
