//! Scores as they are printed.

use serde::Serialize;
use std::fmt::Write as _;

/// What is known of one customer.
#[derive(Default, Serialize)]
pub(super) struct Told {
    /// Its row in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<u64>,
    /// Its row in the tables, which is another one, if their file is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table_row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) points: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasons: Option<Vec<String>>,
}

/// One line for each customer, and a header of the columns that are there.
pub(super) fn csv(rows: &[Told]) -> String {
    let mut text = String::new();
    let Some(first) = rows.first() else { return text };
    let header = [
        ("row", first.row.is_some()),
        ("table_row", first.table_row.is_some()),
        ("customer", first.customer.is_some()),
        ("decision", first.decision.is_some()),
        ("probability", first.probability.is_some()),
        ("points", first.points.is_some()),
        ("logit", first.logit.is_some()),
        ("reasons", first.reasons.is_some()),
    ];
    text.push_str(&header.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect::<Vec<_>>().join(","));
    text.push('\n');
    for row in rows {
        let cells = [
            row.row.map(|row| row.to_string()),
            row.table_row.map(|row| row.to_string()),
            row.customer.as_deref().map(quoted),
            row.decision.map(str::to_owned),
            row.probability.map(|p| format!("{p:.6}")),
            row.points.map(|points| format!("{points:.0}")),
            row.logit.map(|logit| format!("{logit:.6}")),
            row.reasons.as_ref().map(|reasons| quoted(&reasons.join(";"))),
        ];
        let cells: Vec<String> = cells.into_iter().flatten().collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// A cell of CSV, quoted if it has to be.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_has_a_column() {
        let row = |row, probability| Told { row: Some(row), probability: Some(probability), ..Told::default() };
        assert_eq!(csv(&[row(2, 0.25), row(7, 0.5)]), "row,probability\n2,0.250000\n7,0.500000\n");
        let unknown = Told { table_row: Some(1), probability: Some(0.25), ..Told::default() };
        assert_eq!(csv(&[unknown]), "table_row,probability\n1,0.250000\n");
        let named = Told {
            customer: Some("Doe, \"J\"".to_owned()),
            decision: Some("bad"),
            points: Some(599.7),
            reasons: Some(vec!["age".to_owned(), "home type".to_owned()]),
            ..row(1, 0.75)
        };
        let text =
            "row,customer,decision,probability,points,reasons\n1,\"Doe, \"\"J\"\"\",bad,0.750000,600,age;home type\n";
        assert_eq!(csv(&[named]), text);
    }
}
