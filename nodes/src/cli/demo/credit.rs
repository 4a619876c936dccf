//! The credit job: real applicants scored on shares, against the same model on the same data in the clear.

use super::Row;
use crate::{
    Error,
    client::{
        Client,
        credit::{Applicants, Encoded, ModelFile, ModelSource, Scores, Scoring, Tell, score},
    },
    credit::{Features, HeldOut, NamedMoments, Schema, TableError, read_csv},
    job::ModeSpec,
};
use std::{path::Path, time::Instant};
use trefoil_circuits::credit::reference::{Newton, Ranking, Sample};

/// 32,581 loans, with what became of them (CC0).
const LOANS: &[u8] = include_bytes!("../../../data/credit/credit_risk_dataset.csv");
const SCHEMA: &str = include_str!("../../../data/credit/schema.toml");
/// Rows of the file on which no model was trained.
const HELD_OUT: &[u8] = include_bytes!("../../../data/credit/held_out_rows.txt");
/// The probability of a bad loan from which the decision is no.
const THRESHOLD: f64 = 0.5;
/// What scores on shares may differ by from those in the clear.
const SCORE_ERROR: f64 = 1e-4;
/// What accuracy and AUC may differ by.
const QUALITY_ERROR: f64 = 1e-3;

/// Trains a model in the clear, scores the applicants held out on shares, and compares.
pub(super) async fn run(client: &Client, mode: ModeSpec) -> Result<Row, Error> {
    let (model, held_out, encoded) = prepare()?;
    let plain = model.model().probabilities(held_out.features()).map_err(TableError::from)?;
    let recipients = client.name().into_iter().cloned().collect();
    let scoring =
        Scoring { tell: vec![Tell::Decision, Tell::Probability], threshold: THRESHOLD, reasons: 0, recipients, mode };

    let start = Instant::now();
    let scored = score(client, ModelSource::Public(&model), Applicants::Rows(&encoded), &scoring).await?;
    let seconds = start.elapsed().as_secs_f64();

    let quality = |scores: &[f64]| {
        let ranking = Ranking::new(scores, held_out.labels()).map_err(TableError::from)?;
        Ok::<_, Error>((ranking.confusion(THRESHOLD).accuracy(), ranking.auc()))
    };
    let Scores { decisions: Some(decisions), probabilities: Some(scores), .. } = &scored.scores else {
        return Err(Error::Bug("the scores are for this client, and it has none".to_owned()));
    };
    let ((accuracy, auc), (plain_accuracy, plain_auc)) = (quality(scores)?, quality(&plain)?);
    let error = scores.iter().zip(&plain).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    let checks = [
        ("rows", scores.len() == plain.len() && decisions.len() == plain.len()),
        ("decisions_equal", decisions.iter().zip(&plain).all(|(bad, p)| *bad == (*p >= THRESHOLD))),
        ("max_abs_error", error < SCORE_ERROR),
        ("accuracy", (accuracy - plain_accuracy).abs() < QUALITY_ERROR),
        ("auc", (auc - plain_auc).abs() < QUALITY_ERROR),
    ];
    let figures = [("rows", scores.len() as f64), ("max_abs_error", error), ("accuracy", accuracy), ("auc", auc)];
    Ok(Row {
        mode,
        seconds,
        rounds: scored.costs[0].rounds,
        bytes_sent: scored.costs.iter().map(|cost| cost.bytes_sent).sum(),
        figures: figures.into(),
        ..Row::new("credit", (plain.len() as u64, "applicants"), &checks)
    })
}

/// The model, the applicants in the clear, and as they are shared.
fn prepare() -> Result<(ModelFile, Sample, Encoded), Error> {
    let table =
        read_csv(&Schema::parse(Path::new("schema.toml"), SCHEMA)?, Path::new("credit_risk_dataset.csv"), LOANS)?;
    let (train, held_out) = HeldOut::parse(Path::new("held_out_rows.txt"), HELD_OUT)?.split(&table)?;
    let features = Features::of(table.schema());
    let matrix = features.encode(&table)?;
    let moments = NamedMoments::of(&features, &matrix.select(&train).map_err(TableError::from)?)?;
    let labels = table.labels().unwrap_or_default().to_vec();
    let all = Sample::new(moments.standardize(&features, &matrix)?, labels).map_err(TableError::from)?;
    let fit = Newton::default().fit(&all.select(&train).map_err(TableError::from)?).map_err(TableError::from)?;
    let encoded = Encoded::standardized(&table, &moments, &held_out)?;
    let held_out = all.select(&held_out).map_err(TableError::from)?;
    Ok((ModelFile::new(moments, fit.model), held_out, encoded))
}
