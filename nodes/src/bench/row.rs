//! Result rows: one measurement each, with everything needed to reproduce it.

use serde::Serialize;
use std::collections::BTreeMap;

/// One row of results. Serialized as one JSON line, or as a line of CSV.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: &'static str,
    /// The security mode; `none` where nothing is computed.
    pub mode: &'static str,
    /// The scenario's parameters, and the network it ran on.
    pub params: BTreeMap<&'static str, serde_json::Value>,
    /// What `median`, `min` and `max` count.
    pub unit: &'static str,
    /// The median over the runs, each run being as slow as its slowest party.
    pub median: f64,
    /// The least over the runs.
    pub min: f64,
    /// The greatest over the runs.
    pub max: f64,
    /// The number of runs.
    pub runs: usize,
    /// Payload bytes that the party which sends most sends for one item. Exact; 0 where requests to nodes are measured.
    pub bytes_per_item: f64,
    /// Rounds in sequence of one batch. Exact; 0 where requests to nodes are measured.
    pub rounds: u64,
    /// The processor and the number of its cores.
    pub cpu: String,
    /// The program's version, and the commit where it was built in a checkout.
    pub version: String,
}

impl Row {
    /// Sorts the runs' figures into median, least and greatest. An empty slice gives zeros.
    #[must_use]
    pub fn spread(figures: &[f64]) -> [f64; 3] {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        if n == 0 {
            return [0.0; 3];
        }
        let median = if n % 2 == 1 { sorted[n / 2] } else { f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]) };
        [median, sorted[0], sorted[n - 1]]
    }

    /// The head of the CSV form.
    pub const CSV_HEAD: &'static str =
        "scenario,mode,params,unit,median,min,max,runs,bytes_per_item,rounds,cpu,version";

    /// The row as a line of CSV; parameters are `name=value` pairs separated by semicolons.
    #[must_use]
    pub fn csv(&self) -> String {
        let params: Vec<String> =
            self.params.iter().map(|(k, v)| format!("{k}={}", v.to_string().trim_matches('"'))).collect();
        [
            self.scenario.to_owned(),
            self.mode.to_owned(),
            quoted(&params.join(";")),
            self.unit.to_owned(),
            format!("{:.6}", self.median),
            format!("{:.6}", self.min),
            format!("{:.6}", self.max),
            self.runs.to_string(),
            format!("{:.3}", self.bytes_per_item),
            self.rounds.to_string(),
            quoted(&self.cpu),
            quoted(&self.version),
        ]
        .join(",")
    }
}

/// A field of CSV (RFC 4180).
fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

/// The processor's name and core count.
#[must_use]
pub fn cpu() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split(':').nth(1));
    format!("{} x {}", cores, name.map_or(std::env::consts::ARCH, str::trim))
}

/// The program's version; inside a checkout, with the commit checked out.
#[must_use]
pub fn version() -> String {
    let git = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = git.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    match commit {
        Some(commit) => format!("{}+{commit}", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // small whole numbers and halves are exact
    fn the_spread_of_odd_even_and_no_runs() {
        assert_eq!(Row::spread(&[3.0, 1.0, 2.0]), [2.0, 1.0, 3.0]);
        assert_eq!(Row::spread(&[4.0, 1.0, 2.0, 3.0]), [2.5, 1.0, 4.0]);
        assert_eq!(Row::spread(&[]), [0.0; 3]);
    }
}
