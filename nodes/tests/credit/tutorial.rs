//! The commands of `docs/credit.md`, as they stand there, on the first of the loans.

#[path = "tutorial/mistakes.rs"]
mod mistakes;

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use trefoil_circuits::credit::reference::{Confusion, Matrix, Newton, Ranking, Sample};
use trefoil_nodes::credit::{Features, NamedMoments, Schema, read};

/// Lines of the loans that are taken.
const LINES: usize = 8001;

/// Three nodes that are told to stop at the end.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // Its nodes stop when it is gone: each holds the end of a pipe.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The blocks of the tutorial that are commands, with what stands beside the language.
fn blocks() -> Vec<(String, String)> {
    let text = include_str!("../../../docs/credit.md");
    let parts = text.split("\n```").collect::<Vec<_>>();
    let block = |part: &&str| {
        let (head, body) = part.split_once('\n')?;
        let note = head.strip_prefix("sh")?.trim();
        (note != "no-test").then(|| (note.to_owned(), body.to_owned()))
    };
    parts.iter().filter_map(block).collect()
}

/// The program, found by its name.
fn with_path(mut command: Command, dir: &Path) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_trefoil")).parent().expect("a directory").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).expect("paths")).current_dir(dir);
    command
}

fn shell(script: &str, dir: &Path) -> String {
    said(script, dir).0
}

/// What a script prints, and what it says on standard error.
fn said(script: &str, dir: &Path) -> (String, String) {
    let mut command = with_path(Command::new("bash"), dir);
    let output = command.args(["-e", "-u", "-o", "pipefail", "-c", script]).output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{err}");
    (out.into_owned(), err.into_owned())
}

fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("nodes/data/credit");
    fs::create_dir_all(&data).expect("a directory");
    let own: PathBuf = [env!("CARGO_MANIFEST_DIR"), "data/credit"].iter().collect();
    for schema in ["schema.toml", "lender.toml", "bureau.toml"] {
        fs::copy(own.join(schema), data.join(schema)).expect("a copy");
    }
    let loans = fs::read_to_string(own.join("credit_risk_dataset.csv")).expect("the loans");
    let first: Vec<&str> = loans.lines().take(LINES).collect();
    fs::write(data.join("credit_risk_dataset.csv"), first.join("\n") + "\n").expect("written");
    dir
}

fn json(dir: &Path, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join(file)).expect(file)).expect("JSON")
}

#[test]
fn the_tutorial_works_as_it_is_written() {
    let place = workplace();
    let dir = place.path();
    let mut nodes = None;
    let (mut printed, mut steps) = (String::new(), String::new());
    for (note, script) in blocks() {
        if note == "up" {
            let mut words = script.split_whitespace();
            let program = words.next().expect("a program");
            let mut command = with_path(Command::new(program), dir);
            let mut child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
            let out = child.stdout.take().expect("piped");
            nodes = Some(Up(child));
            let mut ready = String::new();
            assert!(BufReader::new(out).read_line(&mut ready).expect("a line") > 0, "the nodes did not start");
            continue;
        }
        assert!(note.is_empty() && nodes.is_some(), "{script}");
        // Everything is as it is written but the number of iterations, for the sake of time.
        let script = script
            .replace("--model-table model --scores-to", "--iterations 2 --model-table model --scores-to")
            .replace("--model-table joint", "--iterations 1 --model-table joint");
        let (out, err) = said(&script, dir);
        printed.push_str(&out);
        steps.push_str(&err);
    }
    for part in [
        "shared bank-a/loans-raw@1",
        "wrote moments.json: means and deviations of 26 features",
        "shared bank-c/loans-test@1",
        "the model stays shared as lead/model@1; nobody was told it",
        "AUC       0.",
        "wrote report.html and report.json",
        "wrote scores.csv",
        "row,decision,probability,points,reasons\n",
        "the scores are for bank-a, fetched within the retention of the nodes",
        "joined lead/customers@1: ",
        "customers in common with 26 features and labels",
        "the model stays shared as lead/joint@1; nobody was told it",
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    for step in [
        "scoring the customers of bank-b/loans-test@1 (2 of 3) ..\n",
        "counting scores (3 of 3): good and bad customers ..\n",
        "counting by person_income (1 of 1) ..\n",
    ] {
        assert!(steps.contains(step), "{step} is not in\n{steps}");
    }
    let moments = json(dir, "moments.json");
    assert_eq!(moments["features"].as_array().map(Vec::len), Some(26));
    let counts = json(dir, "counts.json");
    let total = |key: &str| counts[key].as_array().expect("counts").iter().filter_map(Value::as_u64).sum::<u64>();
    let rows = counts["rows"].as_u64().expect("rows");
    assert!((1600..1900).contains(&rows) && total("goods") + total("bads") == rows, "{rows}");
    let told = counts["goods"].as_array().expect("counts").iter().zip(counts["bads"].as_array().expect("counts"));
    let told = told.filter_map(|(goods, bads)| Some([goods.as_u64()?, bads.as_u64()?])).filter(|bin| *bin != [0, 0]);
    let told: Vec<_> = told.collect();
    // Ten of each of the three banks.
    assert!(told.len() > 2 && told.iter().flatten().all(|count| *count >= 30), "{told:?}");
    // Cut points are where the first count tells how many customers are below.
    let numbers = |of: &Value| of.as_array().expect("numbers").iter().filter_map(Value::as_f64).collect::<Vec<_>>();
    let (fine, all) = (numbers(&counts["distribution"]["cuts"]), numbers(&counts["distribution"]["counts"]));
    assert!(all.iter().filter(|count| **count > 0.0).count() > 10, "{counts}");
    assert!(all.iter().all(|count| *count == 0.0 || *count >= 30.0), "{counts}");
    let known: Vec<f64> = fine.iter().zip(&all).filter_map(|(cut, count)| (*count > 0.0).then_some(*cut)).collect();
    let cuts = numbers(&counts["cuts"]);
    assert!(cuts.contains(&0.5) && cuts.iter().all(|cut| known.contains(cut)), "{counts}");
    let plain = plainly(dir);
    let cells = &json(dir, "report.json")["confusion"];
    let cell = |name: &str| cells[name].as_u64().unwrap_or_else(|| panic!("{name} of {cells}"));
    let accuracy = (cell("true_bad") + cell("true_good")) as f64 / rows as f64;
    assert!((accuracy - plain.accuracy()).abs() <= 0.001 && plain.rows() == rows, "{accuracy} {plain:?}");
    assert_eq!(cell("true_bad") + cell("false_good"), plain.true_bad + plain.false_good);
    ten_bins_of_income(dir, rows);
    let context = &json(dir, "report.json")["context"];
    let tables = context["tables"].as_array().expect("tables");
    assert_eq!(tables.iter().filter_map(|table| table["rows"].as_u64()).sum::<u64>(), rows, "{context}");
    assert!(tables[0]["table"] == "bank-a/loans-test@1" && context["model"] == "lead/model@1", "{context}");
    assert_eq!(context["features"][0]["mean"], moments["mean"][0], "{context}");
    assert!(context["evaluated"].as_str().is_some_and(|when| when.ends_with('Z')), "{context}");
    let figure = |name: &str| json(dir, "report.json")["figures"][name].as_f64().expect("a figure");
    assert!(figure("auc") > 0.7 && figure("auc_error") < 0.001, "{} {}", figure("auc"), figure("auc_error"));
    assert!(fs::read_to_string(dir.join("report.html")).expect("a page").contains("Consumer loans"));
    assert!(fs::read_to_string(dir.join("scores.csv")).expect("scores").lines().count() > 150);

    what_was_printed_works(dir, &printed);
    mistakes::schemas_are_compared(dir);
    mistakes::what_is_not_permitted_is_named(dir);
    mistakes::what_is_mistyped_is_named(dir);
    mistakes::tables_are_listed_and_deleted(dir);
}

/// What plain computation on the customers of all banks makes of those that are held out, by a model of the others.
fn plainly(dir: &Path) -> Confusion {
    let schema = Schema::read(&dir.join("nodes/data/credit/schema.toml")).expect("a schema");
    let moments: NamedMoments = serde_json::from_value(json(dir, "moments.json")).expect("moments");
    let features = Features::of(&schema);
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for bank in ["a", "b", "c"] {
        let table = read(&schema, &dir.join(format!("bank-{bank}.csv"))).expect("loans");
        let rows = moments.standardize(&features, &features.encode(&table).expect("features")).expect("standardized");
        let sample = Sample::new(rows, table.labels().expect("labels").to_vec()).expect("a sample");
        for (k, (row, &bad)) in sample.features().iter().zip(sample.labels()).enumerate() {
            let part = &mut parts[usize::from(k % 4 == 3)];
            part.0.extend_from_slice(row);
            part.1.push(bad);
        }
    }
    let [train, test] = parts
        .map(|(rows, labels)| Sample::new(Matrix::new(features.len(), rows).expect("rows"), labels).expect("a sample"));
    let model = Newton { iterations: 2, ..Newton::default() }.fit(&train).expect("a model").model;
    let scores = model.probabilities(test.features()).expect("scores");
    Ranking::new(&scores, test.labels()).expect("both labels").confusion(0.5)
}

/// Customers by income: about as many in each bin, of whom bad ones are fewer the higher it is.
fn ten_bins_of_income(dir: &Path, rows: u64) {
    let income = &json(dir, "counts.json")["columns"][0];
    let numbers =
        |name: &str| income[name].as_array().expect("numbers").iter().filter_map(Value::as_f64).collect::<Vec<_>>();
    let (cuts, goods, bads) = (numbers("cuts"), numbers("goods"), numbers("bads"));
    assert!((5..=9).contains(&cuts.len()) && cuts[0] > 10_000.0, "{income}");
    let bins: Vec<f64> = goods.iter().zip(&bads).map(|(goods, bads)| goods + bads).filter(|bin| *bin > 0.0).collect();
    assert!((bins.iter().sum::<f64>() - rows as f64).abs() < 0.5, "{income}");
    // Where a bank has fewer than ten bad customers in a tenth, it is put together with the next one.
    assert!(
        bins.len() >= 3 && bins.iter().all(|bin| *bin > 0.05 * rows as f64 && *bin < 0.5 * rows as f64),
        "{income}"
    );
    let told = &json(dir, "report.json")["attributes"][0];
    let evidence: Vec<f64> =
        told["bins"].as_array().expect("bins").iter().filter_map(|bin| bin["woe"].as_f64()).collect();
    assert!(evidence.len() >= 3 && evidence.is_sorted(), "{told}");
    assert!(told["information_value"].as_f64().is_some_and(|value| value > 0.1), "{told}");
}

/// The command that fetches the scores, which one recipient may run and another may not.
fn what_was_printed_works(dir: &Path, printed: &str) {
    let (_, rest) = printed.split_once("bank-a: `").expect("a command");
    let (fetch, _) = rest.split_once('`').expect("its end");
    let (stdout, file) = fetch.split_once(" --out ").expect("a file");
    assert!(shell(fetch, dir).contains(&format!("wrote {file}")), "as it is printed");
    let (fetch, fetched) = (stdout, fs::read_to_string(dir.join(file)).expect("scores"));
    assert!(fetched.starts_with("table_row,decision\n1,") && fetched.lines().count() > 500, "{fetched}");
    // By the file it was shared from, every fourth row.
    let file = "--schema nodes/data/credit/schema.toml --shared-from bank-a.csv";
    let rows = shell(&format!("{fetch} {file} --test-every 4"), dir);
    let decisions = |text: &str| {
        text.lines()
            .skip(1)
            .map(|line| line.split_once(',').map(|(_, decision)| decision.to_owned()))
            .collect::<Vec<_>>()
    };
    assert!(
        rows.starts_with("row,decision\n") && !rows.contains("\n1,") && decisions(&rows) == decisions(&fetched),
        "{rows}"
    );
    let other = shell(&format!("! {fetch} {file} --test-every 4 --part train 2>&1"), dir);
    assert!(other.contains("customers are scored, and there are"), "{other}");
    let denied = fetch.replace("demo/bank-a.crt", "demo/bank-b.crt");
    assert!(shell(&format!("! {denied} 2>&1"), dir).contains("has no job"), "bank-b is no recipient");
}
