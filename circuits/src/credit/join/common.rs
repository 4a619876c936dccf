//! What all parties do with the opened blocks, each by itself.

use super::{Join, JoinFault};
use crate::program::Vector;
use std::collections::BTreeMap;
use trefoil_engine::prelude::*;

/// For each block that all tables have the rows in which they have it, in the order of the blocks.
pub(super) fn rows_in_common(join: &Join, opened: &[Lanes]) -> Result<Vec<Vec<usize>>, JoinFault> {
    let mut blocks = opened.chunks_exact(2);
    let mut found: Option<BTreeMap<[u64; 2], Vec<usize>>> = None;
    for (k, &[rows, _]) in join.tables.iter().enumerate() {
        let table: BTreeMap<[u64; 2], usize> =
            blocks.by_ref().take(rows).enumerate().map(|(row, block)| ([block[0].0, block[1].0], row)).collect();
        if table.len() < rows {
            return Err(JoinFault::Twice { table: k });
        }
        found = Some(match found {
            None => table.into_iter().map(|(block, row)| (block, vec![row])).collect(),
            Some(mut common) => {
                common.retain(|block, rows| {
                    table.get(block).is_some_and(|&row| {
                        rows.push(row);
                        true
                    })
                });
                common
            }
        });
    }
    let common = found.unwrap_or_default();
    if common.len() < join.minimum {
        return Err(JoinFault::Few { minimum: join.minimum });
    }
    Ok(common.into_values().collect())
}

/// These rows of the shuffled tables, without the numbers: columns of all tables, column after column; then the labels as bits, which are the last column of the table that has them.
pub(super) fn side_by_side(join: &Join, tables: &[&[Shares<Z64>]], common: &[Vec<usize>]) -> Vec<Vector> {
    let chosen = |table: usize, column: &Shares<Z64>| {
        Shares::rearrange(column.view(), common.len(), |column, out| {
            for (out, rows) in out.iter_mut().zip(common) {
                *out = column[rows[table]];
            }
        })
    };
    let mut joined = Vec::new();
    for (k, (table, &[_, columns])) in tables.iter().zip(&join.tables).enumerate() {
        joined.extend(table.iter().take(columns).map(|column| chosen(k, column)));
    }
    let mut outputs = vec![Shares::concat(&joined.iter().map(Shares::view).collect::<Vec<_>>()).into()];
    let labels = join.labels.and_then(|k| Some((k, tables.get(k)?.last()?)));
    if let Some((k, labels)) = labels {
        outputs.push(lowest_bits(chosen(k, labels).view()).into());
    }
    outputs
}

/// The lowest bit of integers. There are no carries into it, so that it is the exclusive or of those of the components.
fn lowest_bits(x: View<'_, Z64>) -> Shares<Lanes> {
    x.sum_of_components(Lanes::words(x.len()), |x: &[Z64], words: &mut [Lanes]| {
        for (word, x) in words.iter_mut().zip(x.chunks(Lanes::COUNT)) {
            word.0 = x.iter().rev().fold(0, |word, x| word << 1 | x.0 & 1);
        }
    })
}
