//! A strict reader of `OpenMetrics` text (version 1.0.0), written from its specification and not from the program's library.

use std::collections::{BTreeMap, BTreeSet};

/// One value.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    help: String,
}

/// Reads a whole exposition.
///
/// # Panics
/// At the first thing that is not as the specification says.
pub fn read(text: &str) -> Vec<Sample> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut samples) = (Family::default(), Vec::new());
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let (what, rest) = meta.split_once(' ').expect("a keyword");
            let (name, value) = rest.split_once(' ').expect("a name and a value");
            if name != family.name {
                assert!(families.insert(name.to_owned()), "{name} is there twice, or in two pieces");
                family = Family { name: named(name), ..Family::default() };
            }
            match what {
                "HELP" => value.clone_into(&mut family.help),
                "TYPE" => value.clone_into(&mut family.kind),
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{name} is not in {value}"),
                other => panic!("{other} of {name}"),
            }
            continue;
        }
        let sample = sample(line);
        let suffix =
            sample.name.strip_prefix(&family.name).unwrap_or_else(|| panic!("{line} is not of {}", family.name));
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{} is a {other}", family.name),
        };
        assert!(allowed.contains(&suffix) && !family.help.is_empty(), "{line} of a {}", family.kind);
        assert!(family.kind == "gauge" || sample.value >= 0.0, "{line}");
        assert!(series.insert((sample.name.clone(), sample.labels.clone())), "{line} is there twice");
        samples.push(sample);
    }
    histograms(&samples);
    samples
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
    let Some((name, labels)) = series.split_once('{') else {
        return Sample { name: named(series), labels: BTreeMap::new(), value };
    };
    let mut labels = labels.strip_suffix('}').expect("a brace");
    let mut all = BTreeMap::new();
    while !labels.is_empty() {
        let (label, rest) = labels.split_once("=\"").expect("a label");
        // No value of ours has anything to escape.
        let (value, rest) = rest.split_once('"').expect("a quote");
        assert!(!value.contains('\\') && all.insert(named(label), value.to_owned()).is_none(), "{line}");
        labels = rest.strip_prefix(',').unwrap_or(rest);
    }
    Sample { name: named(name), labels: all, value }
}

fn named(name: &str) -> String {
    let good = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    assert!(good && name.starts_with(|c: char| c.is_ascii_lowercase()), "`{name}` is no name");
    name.to_owned()
}

/// Buckets count all that is below their bound, and the last counts all.
fn histograms(samples: &[Sample]) {
    let mut below: BTreeMap<(String, BTreeMap<String, String>), (f64, f64)> = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.name.ends_with("_bucket")) {
        let mut labels = sample.labels.clone();
        let bound: f64 = labels.remove("le").expect("a bound").parse().expect("a number");
        let name = sample.name.trim_end_matches("_bucket").to_owned();
        let last = below.entry((name, labels)).or_insert((f64::NEG_INFINITY, 0.0));
        assert!(bound > last.0 && sample.value >= last.1, "{sample:?} after {last:?}");
        *last = (bound, sample.value);
    }
    for ((name, labels), (bound, all)) in below {
        let count = samples.iter().find(|s| s.name == format!("{name}_count") && s.labels == labels);
        assert!(bound == f64::INFINITY && count.is_some_and(|c| (c.value - all).abs() < 0.5), "{name} {labels:?}");
    }
}
