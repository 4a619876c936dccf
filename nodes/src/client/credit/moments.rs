//! Moments over the tables of several institutions.

use super::{
    encode::{RANGE_BITS, range_digest, ranges},
    feature_columns,
    find::{has_columns, is_for, named},
};
use crate::{
    Error,
    client::Client,
    credit::{Features, NamedMoments, Schema},
    job::{InputSpec, JobSpec, ModeSpec, MomentsSpec, ProgramKind, ProgramSpec, TableInput},
    tables::{ColumnName, TableStatus},
};
use bytes::Bytes;

/// Customers of all tables at most: beyond, a sum of squares could leave its range.
const MOST_ROWS: u64 = 1 << 20;

/// Deviations below this, in parts of a range, are too coarse.
const LEAST: f64 = 32.0;

/// Mean and standard deviation of each feature over the tables of several institutions, which [`Encoded::within_range`](super::Encoded::within_range) has made. Only sums and
/// sums of squares over all rows leave the computation, to this client. Cancelled, it deletes the job in the background.
///
/// # Errors
/// [`Error::Usage`] for tables of another schema or too many rows, or a range that is too wide for its column; else as [`Client::run`].
pub async fn joint_moments(
    client: &Client,
    schema: &Schema,
    tables: &[TableStatus],
    mode: ModeSpec,
) -> Result<NamedMoments, Error> {
    let features = Features::of(schema);
    let columns = feature_columns(&range_digest(schema)?, features.len())?;
    same_schema(tables, &columns)?;
    let rows: Vec<u64> = tables.iter().map(|table| table.rows).collect();
    let all = rows.iter().fold(0, |sum: u64, rows| sum.saturating_add(*rows));
    if !(1..=MOST_ROWS).contains(&all) {
        return Err(Error::Usage(format!(
            "the tables have {all} rows together, and joint moments are computed of 1 to {MOST_ROWS}; take samples"
        )));
    }
    let inputs = tables.iter().map(|table| input(table, &columns)).collect();
    let program =
        ProgramSpec::Moments(MomentsSpec { columns: features.len() as u32, rows, limit: Some(1 << RANGE_BITS) });
    let outcome = client.run(&JobSpec { inputs, ..JobSpec::new(program, mode) }, Bytes::new(), &[]).await?;
    let schema_digest = Some(features.schema().clone());
    let mut moments = NamedMoments { features: Vec::new(), mean: Vec::new(), sd: Vec::new(), schema: schema_digest };
    let sums = outcome.z64(0)?.iter().zip(outcome.z64(1)?);
    for ((feature, (middle, half)), (sum, squares)) in features.list().iter().zip(ranges(schema)).zip(sums) {
        let (mean, sd) = of(all, sum.0.cast_signed(), squares.0);
        if sd > 0.0 && sd < LEAST {
            return Err(Error::Usage(format!(
                "the range of the column `{}` in the schema is far wider than its values; narrow `min` and `max` and share the tables again",
                feature.column
            )));
        }
        let part = half / f64::from(1 << RANGE_BITS);
        moments.features.push(feature.name.clone());
        moments.mean.push(middle + part * mean);
        moments.sd.push(if sd > 0.0 { part * sd } else { 1.0 });
    }
    Ok(moments)
}

/// Refuses tables that were shared with another schema than the one whose columns these are.
fn same_schema(tables: &[TableStatus], columns: &[ColumnName]) -> Result<(), Error> {
    let listed = |tables: Vec<&TableStatus>| tables.into_iter().map(named).collect::<Vec<_>>().join(", ");
    let (raw, standardized): (Vec<_>, Vec<_>) = tables.iter().partition(|table| is_for(table, ProgramKind::Moments));
    if !standardized.is_empty() {
        return Err(Error::Usage(format!(
            "not shared for moments: {}; their owners share such tables without --moments and --own-moments",
            listed(standardized)
        )));
    }
    let other: Vec<_> = raw.into_iter().filter(|table| !has_columns(table, columns)).collect();
    // What the columns hold is not told by the nodes but for one digest of all; how many there are is.
    let counted = |table: &&TableStatus| match (table.columns.len(), columns.len()) {
        (own, due) if own == due => named(table),
        (own, due) => format!("{} ({own} features, and the schema gives {due})", named(table)),
    };
    let others = other.iter().map(counted).collect::<Vec<_>>().join(", ");
    let remedy = match other.len() {
        0 => return Ok(()),
        all if all == tables.len() => "give with --schema the one that they were shared with",
        _ => {
            "compare it with that of the owner, column by column, by `trefoil credit schema`, agree on one, and share again with it, as another --version"
        }
    };
    Err(Error::Usage(format!("not shared with this schema: {others}; nothing was computed: {remedy}")))
}

/// Mean and standard deviation of `n` integers of this sum and sum of squares.
fn of(n: u64, sum: i64, squares: u64) -> (f64, f64) {
    let (wide, sum) = (i128::from(n), i128::from(sum));
    // Exact: both products are below 2^127.
    let spread = wide * i128::from(squares) - sum * sum;
    (sum as f64 / n as f64, (spread.max(0) as f64).sqrt() / n as f64)
}

/// Columns of a table as an input.
pub(super) fn input(table: &TableStatus, columns: &[ColumnName]) -> InputSpec {
    InputSpec::Table(TableInput {
        owner: table.owner.clone(),
        name: table.name.clone(),
        version: table.version,
        columns: columns.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn moments_follow_exactly_from_sums() {
        assert_eq!(of(4, 8, 24), (2.0, 2.0_f64.sqrt()));
        assert_eq!(of(1 << 20, -(1 << 41), 1 << 62), (-2_097_152.0, 0.0));
    }
}
