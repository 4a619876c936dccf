use super::*;
use crate::program::{Turns, Vector};
use trefoil_engine::{client, testing};

/// A customer's row: a number of 128 bits, and columns that depend on it.
fn table(customers: &[u64], columns: usize) -> Vec<u64> {
    let mix = |x: u64| (x + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let cell = |customer: u64, column: usize| match column {
        0 => mix(customer),
        1 => mix(mix(customer)),
        column => customer * 1000 + column as u64,
    };
    (0..NUMBER_COLUMNS + columns).flat_map(|c| customers.iter().map(move |&x| cell(x, c))).collect()
}

/// The rows that come out, in their order, the label last.
fn run<M: Mode>(join: &Join, tables: &[Vec<u64>], labels: &[bool]) -> Result<Vec<Vec<u64>>, JoinFault> {
    let shared: Vec<Vec<Z64>> = tables.iter().map(|t| t.iter().map(|&x| Z64(x)).collect()).collect();
    let mut words = vec![Lanes(0); Lanes::words(labels.len())];
    labels.iter().enumerate().for_each(|(k, &bit)| words[k / 64].0 |= u64::from(bit) << (k % 64));
    let out = testing::three::<M, _, _>(async |ctx| {
        let me = ctx.me();
        let labels = join.labels.map(|_| Vector::from(Shares::public(me, &words)));
        let inputs = shared.iter().map(|t| Vector::from(Shares::public(me, t))).chain(labels);
        match join.join(ctx, Inputs::new(inputs)).await? {
            Err(fault) => Ok(Err(fault)),
            Ok(released) => {
                let columns = released.strand.output(released.outputs[0].z64()?.view())?;
                let labels = match released.outputs.get(1) {
                    Some(labels) => Some(released.strand.output(labels.bits()?.view())?),
                    None => None,
                };
                Ok(Ok((columns, labels)))
            }
        }
    });
    let out: Vec<_> = out.into_iter().collect::<Result<_, _>>()?;
    let (columns, labels): (Vec<_>, Vec<_>) = out.into_iter().unzip();
    let joined = client::reconstruct(&<[_; 3]>::try_from(columns).unwrap()).unwrap();
    let labels: Option<Vec<_>> = labels.into_iter().collect();
    let labels = labels.map(|labels| client::reconstruct(&<[_; 3]>::try_from(labels).unwrap()).unwrap());
    let customers = joined.len() / join.columns();
    let row = |row: usize| {
        let cells = (0..join.columns()).map(|column| joined[column * customers + row].0);
        cells.chain(labels.iter().map(|words| words[row / 64].0 >> (row % 64) & 1)).collect()
    };
    let mut rows: Vec<Vec<u64>> = (0..customers).map(row).collect();
    rows.sort_unstable();
    Ok(rows)
}

fn agrees<M: Mode>(owners: &[(&[u64], usize)], labelled: Option<usize>, customers: usize) {
    let tables: Vec<_> = owners.iter().map(|(customers, columns)| table(customers, *columns)).collect();
    let sizes = owners.iter().map(|(c, columns)| [c.len(), *columns]).collect();
    let join = Join { tables: sizes, labels: labelled, minimum: customers };
    let labels: Vec<bool> =
        labelled.map_or(Vec::new(), |k| owners[k].0.iter().map(|customer| customer % 5 < 2).collect());
    let mut expected = join.plain(&tables, &labels).unwrap();
    expected.sort_unstable();
    assert_eq!(expected.len(), customers);
    assert_eq!(run::<M>(&join, &tables, &labels).unwrap(), expected);
}

#[test]
fn common_customers_come_side_by_side() {
    let some: Vec<u64> = (0..230).map(|k| k * 3).collect();
    let others: Vec<u64> = (0..230).rev().map(|k| k * 2).collect();
    agrees::<SemiHonest>(&[(&some, 2), (&others, 3)], Some(1), 77);
    agrees::<Malicious>(&[(&some[..70], 2), (&others[160..], 3)], Some(0), 24);
    agrees::<Malicious>(&[(&some, 1), (&others, 2), (&[6, 12, 7, 18], 1)], None, 3);
    agrees::<SemiHonest>(&[(&[1, 2], 1), (&[3], 1)], None, 0);
}

#[test]
fn too_few_customers_and_one_who_is_in_a_table_twice_are_told() {
    let join = Join { tables: vec![[3, 1], [2, 1]], labels: None, minimum: 3 };
    let (one, two) = (table(&[1, 2, 3], 1), table(&[3, 2], 1));
    let few = JoinFault::Few { minimum: 3 };
    assert_eq!(join.plain(&[one.clone(), two.clone()], &[]), Err(few));
    assert_eq!(run::<SemiHonest>(&join, &[one.clone(), two], &[]), Err(few));
    let twice = JoinFault::Twice { table: 1 };
    let two = table(&[3, 3], 1);
    assert_eq!(join.plain(&[one.clone(), two.clone()], &[]), Err(twice));
    assert_eq!(run::<Malicious>(&join, &[one, two], &[]), Err(twice));
}

/// Between the tables nothing goes but what their sizes say.
#[test]
fn cost_is_that_of_the_parts() {
    let join = Join { tables: vec![[70, 2], [5, 1]], labels: None, minimum: 5 };
    let tables = [table(&(0..70).collect::<Vec<_>>(), 2), table(&[7, 9, 11, 13, 1], 1)];
    let shared: Vec<Vec<Z64>> = tables.iter().map(|t| t.iter().map(|&x| Z64(x)).collect()).collect();
    let cost = testing::three::<SemiHonest, _, _>(async |ctx| {
        let inputs = Inputs::new(shared.iter().map(|t| Vector::from(Shares::public(ctx.me(), t))));
        Ok(join.run(ctx, inputs, &Turns).await?.cost())
    })[0];
    let table = |rows: usize, columns: usize| {
        let (moved, bits) = (crate::arith::shuffle_cost(rows, columns), crate::arith::a2b_cost().over(rows));
        moved.rounds + 2 * bits.rounds + 10 * SboxForm::default().rounds()
    };
    // The key expansion, and the blocks opened.
    let keys = 10 * SboxForm::default().rounds();
    assert_eq!(cost.rounds, keys + table(70, 4) + table(5, 3) + 1);
}
