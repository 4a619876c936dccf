//! Counts on shares, in both modes, against the plain twin, the plain reports and the price.

use trefoil_circuits::{
    credit::{
        Auc, Counts, CreditError, Number, OnCut, Split,
        reference::{Binning, Histogram, Ranking, psi},
    },
    program::{Inputs, OutputVector, Program, Turns, Vector},
};
use trefoil_engine::{Cost, client, prelude::*, testing};

/// Probabilities, some of them on tenths, and labels that go with them.
fn scored(rows: usize) -> (Vec<f64>, Vec<bool>) {
    let irregular = |k: usize| ((k * 7919 + k * k * 31 + k / 7 * 977) % 10_007) as f64 / 10_007.0;
    let score = |k: usize| if k.is_multiple_of(9) { (k % 10) as f64 / 10.0 } else { irregular(k) };
    ((0..rows).map(score).collect(), (0..rows).map(|k| score(k) + irregular(3 * k + 1) > 1.1).collect())
}

fn encode(x: &[f64]) -> Vec<Z64> {
    x.iter().map(|&x| Number::encode(x).unwrap()).collect()
}

fn signed(x: &[Z64]) -> Vec<i64> {
    x.iter().map(|x| x.0.cast_signed()).collect()
}

fn bits(labels: &[bool]) -> Vec<Lanes> {
    let word = |bits: &[bool]| Lanes(bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)));
    labels.chunks(64).map(word).collect()
}

/// The opened counts, at their price.
fn run<M: Mode>(counts: &Counts, values: &[Vec<Z64>], labels: &[Vec<Lanes>]) -> Vec<Vec<u64>> {
    opened::<M, _>(counts, counts.cost(), values, labels)
}

/// The opened outputs, at their price.
fn opened<M: Mode, P: Program>(program: &P, cost: Cost, values: &[Vec<Z64>], labels: &[Vec<Lanes>]) -> Vec<Vec<u64>> {
    let out = testing::three::<M, _, _>(async |ctx| {
        let values = values.iter().map(|x| Vector::from(Shares::public(ctx.me(), x)));
        let labels = labels.iter().map(|x| Vector::from(Shares::public(ctx.me(), x)));
        let (first, inputs) = (ctx.me() == Party::P0, Inputs::new(values.chain(labels).collect::<Vec<_>>()));
        let released = program.run(ctx, inputs, &Turns).await?;
        if first && M::NAME == SemiHonest::NAME {
            assert_eq!(released.cost(), cost);
        }
        released.release()
    });
    let opened = |k: usize| {
        let share = |output: &OutputVector| match output {
            OutputVector::Z64(x) => {
                client::OutputShare::<Z64>::from_bytes(x.party(), x.len(), x.as_bytes()[0], x.as_bytes()[1])
            }
            OutputVector::Bits(_) | OutputVector::Z16(_) => panic!("counts are integers"),
        };
        let shares = out.each_ref().map(|outputs| share(&outputs[k]).unwrap());
        client::reconstruct(&shares).unwrap().iter().map(|x| x.0).collect()
    };
    (0..program.outputs().len()).map(opened).collect()
}

#[test]
fn counts_are_those_of_the_twin_in_both_modes() {
    for (rows, cuts, minimum) in [(1, 1, 0), (200, 9, 0), (130, 4, 12), (64, 3, 1), (200, 9, 1000), (3000, 40, 5)] {
        let (scores, labels) = scored(rows);
        let values = encode(&scores);
        let cuts: Vec<f64> = (1..=cuts).map(|k| f64::from(k) / f64::from(cuts + 1)).collect();
        for (on, split) in [(OnCut::Lower, Split::Label), (OnCut::Upper, Split::Label), (OnCut::Upper, Split::Whole)] {
            let counts = Counts::new(vec![rows], (&cuts, on), split, minimum).unwrap();
            let given = if split == Split::Label { vec![bits(&labels)] } else { vec![] };
            let border = cuts.len().div_ceil(2);
            let counts = if rows == 130 { counts } else { counts.around(border).unwrap() };
            let expected = counts.plain(&signed(&values), &labels);
            assert!(minimum < 1000 || expected.iter().flatten().all(|&cell| cell == 0));
            assert_eq!(run::<SemiHonest>(&counts, std::slice::from_ref(&values), &given), expected, "{rows} rows");
            if rows < 1000 {
                assert_eq!(run::<Malicious>(&counts, std::slice::from_ref(&values), &given), expected, "{rows} rows");
            }
        }
    }
}

/// Cut points all over the range and close to each other, and values on and beside them.
#[test]
fn values_anywhere_are_counted_exactly() {
    let ulp = Number::ULP;
    let most = (1_i64 << 59) as f64 * ulp;
    let cuts =
        [-most, -3e9, -128.0, -1.0 - ulp, -1.0, -ulp, 0.0, ulp, 2.0 * ulp, 0.5, 127.0, 128.0, 1e6, 3e9, most / 2.0];
    let at = |cut: &f64| Number::encode(*cut).unwrap().0.cast_signed();
    let mut values: Vec<i64> = cuts.iter().map(at).flat_map(|x| [x - 1, x, x + 1]).collect();
    values.extend([i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]);
    values.extend((0..200_u64).map(|k| (k.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (k % 50)).cast_signed()));
    let shared: Vec<Z64> = values.iter().map(|x| Z64(x.cast_unsigned())).collect();
    let rows = values.len();
    let labels: Vec<bool> = (0..rows).map(|k| k % 3 == 0).collect();
    for on in [OnCut::Lower, OnCut::Upper] {
        let counts = Counts::new(vec![rows], (&cuts, on), Split::Label, 0).unwrap();
        let cells = run::<SemiHonest>(&counts, std::slice::from_ref(&shared), &[bits(&labels)]);
        assert_eq!(cells, counts.plain(&values, &labels));
        assert_eq!(cells.iter().flatten().sum::<u64>(), rows as u64);
    }
}

/// What the bits of values cost is shared by all cut points.
#[test]
fn many_cut_points_cost_little_each() {
    for (bins, most, rounds) in [(10_u32, 65.5, 61), (20, 36.4, 63), (100, 13.7, 67), (1000, 16.0, 250)] {
        let cuts: Vec<f64> = (1..bins).map(|k| f64::from(k) / f64::from(bins)).collect();
        let counts = Counts::new(vec![28_632], (&cuts, OnCut::Upper), Split::Label, 5).unwrap();
        let each = counts.cost().bytes_sent as f64 * 8.0 / 28_632.0 / cuts.len() as f64;
        assert!(each < most && counts.cost().rounds <= rounds, "{each} bits, {} rounds", counts.cost().rounds);
    }
}

#[test]
fn customers_of_several_owners_are_counted_together() {
    let (scores, labels) = scored(100);
    let values = encode(&scores);
    let cuts = [0.2, 0.5];
    let whole = Counts::new(vec![100], (&cuts, OnCut::Upper), Split::Label, 0).unwrap();
    let all = whole.plain(&signed(&values), &labels);
    for (rows, minimum) in
        [(vec![3, 97], 0), (vec![64, 0, 36], 1), (vec![1, 65, 34], 0), (vec![3, 97], 2), (vec![50, 0, 50], 6)]
    {
        let parts = Counts::new(rows.clone(), (&cuts, OnCut::Upper), Split::Label, minimum).unwrap();
        let expected = parts.plain(&signed(&values), &labels);
        assert_eq!(expected == all, minimum < 2, "{rows:?}");
        let (mut values, mut labels) = (values.as_slice(), labels.as_slice());
        let mut given = (Vec::new(), Vec::new());
        for rows in rows {
            let mine = (values.split_at(rows), labels.split_at(rows));
            given.0.push(mine.0.0.to_vec());
            given.1.push(bits(mine.1.0));
            (values, labels) = (mine.0.1, mine.1.1);
        }
        assert_eq!(run::<SemiHonest>(&parts, &given.0, &given.1), expected);
    }
}

/// In both modes as the twin says, at its price, and near the area under the curve of the scores themselves.
#[test]
fn the_area_under_the_curve_needs_no_counts_to_be_told() {
    for (rows, bins, minimum) in [(1, 2, 0), (200, 10, 0), (150, 7, 20), (200, 10, 150), (3000, 1024, 10)] {
        let (scores, labels) = scored(rows);
        let (values, given) = ([encode(&scores)], [bits(&labels)]);
        let auc = Auc::new(vec![rows], bins, minimum).unwrap();
        let expected = auc.plain(&signed(&values[0]), &labels);
        assert_eq!(expected == [0; 4], minimum == 150, "{rows} rows");
        assert_eq!(opened::<SemiHonest, _>(&auc, auc.cost(), &values, &given), [expected], "{rows} rows");
        if rows < 1000 {
            assert_eq!(opened::<Malicious, _>(&auc, auc.cost(), &values, &given), [expected], "{rows} rows");
        }
        let Some((area, error)) = Auc::area(expected) else { continue };
        let exact = Ranking::new(&scores, &labels).unwrap().auc();
        assert!((area - exact).abs() <= error + 1e-9, "{area} {error} {exact}");
        assert!(bins < 1024 || error < 1e-3, "{error}");
    }
    assert!(matches!(Auc::new(vec![10], 1, 0), Err(CreditError::Setting { .. })));
}

/// As many bins and owners as there are words for more than one, and sides of all lengths.
#[test]
fn bins_are_merged_as_the_reference_says() {
    let (scores, labels) = scored(1200);
    let values = encode(&scores);
    let (mut told, mut exact) = (0, 0);
    for (rows, bins, minimum, border) in [
        (vec![1200], 2, 10, 1),
        (vec![600, 600], 3, 10, 2),
        (vec![400, 300, 500], 20, 3, 11),
        (vec![400, 0, 30, 470, 300], 66, 6, 33),
        (vec![1200], 130, 2, 70),
        (vec![1190, 10], 16, 10, 15),
    ] {
        let cuts: Vec<f64> = (1..bins).map(|k| f64::from(k) / f64::from(bins)).collect();
        let counts = Counts::new(rows.clone(), (&cuts, OnCut::Upper), Split::Label, minimum).unwrap();
        let counts = counts.around(border).unwrap();
        let expected = counts.plain(&signed(&values), &labels);
        let (mut given, mut from) = ((Vec::new(), Vec::new()), 0);
        for rows in rows {
            given.0.push(values[from..from + rows].to_vec());
            given.1.push(bits(&labels[from..from + rows]));
            from += rows;
        }
        assert_eq!(run::<SemiHonest>(&counts, &given.0, &given.1), expected, "{bins} bins");
        told += expected[0].iter().filter(|cell| **cell > 0).count();
        // Then confusion is that of all customers.
        let above = |of: bool| (0..1200).filter(|&k| labels[k] == of && scores[k] >= cuts[border - 1]).count() as u64;
        if expected.iter().all(|cells| cells[border - 1] > 0) && expected.iter().flatten().sum::<u64>() == 1200 {
            let sums = [0, 1].map(|class| expected[class][border..].iter().sum::<u64>());
            assert_eq!(sums, [above(false), above(true)], "{bins} bins");
            exact += 1;
        }
    }
    assert!(told > 20 && exact > 2, "{told} ranges, {exact} exact: the data say nothing of this");
    let counts = Counts::new(vec![9], (&[0.5], OnCut::Upper), Split::Label, 2).unwrap();
    assert!(counts.clone().around(0).is_err() && counts.clone().around(2).is_err() && counts.around(1).is_ok());
}

/// Counts leave out the same owners, so that what both tell of all customers is the same.
#[test]
fn the_area_leaves_out_owners_with_few_customers() {
    let (scores, labels) = scored(300);
    let values = encode(&scores);
    let rows = vec![130, 20, 150];
    let parted = |x: &[Z64]| vec![x[..130].to_vec(), x[130..150].to_vec(), x[150..].to_vec()];
    let bads = |rows: std::ops::Range<usize>| labels[rows].iter().filter(|bad| **bad).count() as u64;
    let minimum = bads(130..150) + 1;
    assert!((2..20).contains(&minimum) && bads(0..130) >= minimum && bads(150..300) >= minimum);
    let auc = Auc::new(rows.clone(), 10, minimum).unwrap();
    let given = [&labels[..130], &labels[130..150], &labels[150..]].map(bits);
    let expected = auc.plain(&signed(&values), &labels);
    assert_eq!(opened::<SemiHonest, _>(&auc, auc.cost(), &parted(&values), &given), [expected]);
    assert_eq!(expected[3], bads(0..130) + bads(150..300));
    assert_eq!(expected[2] + expected[3], 280);
    let others: Vec<usize> = (0..130).chain(150..300).collect();
    let of_others = Histogram::of(
        &others.iter().map(|&k| scores[k]).collect::<Vec<_>>(),
        &others.iter().map(|&k| labels[k]).collect::<Vec<_>>(),
        10,
    );
    let (area, error) = Auc::area(expected).unwrap();
    let exact = of_others.unwrap();
    assert!((area - exact.auc()).abs() < 1e-12 && (error - exact.auc_error()).abs() < 1e-12);
    let cuts: Vec<f64> = (1..10).map(|k| f64::from(k) / 10.0).collect();
    let counts = Counts::new(rows, (&cuts, OnCut::Upper), Split::Label, minimum).unwrap();
    let totals: Vec<u64> = counts.plain(&signed(&values), &labels).iter().map(|cells| cells.iter().sum()).collect();
    assert_eq!(totals, expected[2..]);
}

/// The reports from the counts are those of the plain columns.
#[test]
fn reports_follow_from_the_counts() {
    let (scores, labels) = scored(5000);
    let values = encode(&scores);
    let tenths: Vec<f64> = (1..10).map(|k| f64::from(k) / 10.0).collect();
    let counts = |on| Counts::new(vec![5000], (&tenths, on), Split::Label, 0).unwrap();

    let cells = run::<SemiHonest>(&counts(OnCut::Upper), std::slice::from_ref(&values), &[bits(&labels)]);
    let histogram = Histogram::from_counts(cells[0].clone(), cells[1].clone()).unwrap();
    assert_eq!(histogram, Histogram::of(&scores, &labels, 10).unwrap());
    let exact = Ranking::new(&scores, &labels).unwrap();
    assert!((histogram.auc() - exact.auc()).abs() <= histogram.auc_error());

    let cells = run::<SemiHonest>(&counts(OnCut::Lower), &[values], &[bits(&labels)]);
    let binning = Binning::from_counts(tenths.clone(), cells[0].clone(), cells[1].clone()).unwrap();
    assert_eq!(binning, Binning::of(&scores, &labels, tenths.clone()).unwrap());

    let whole = Counts::new(vec![2500], (&tenths, OnCut::Upper), Split::Whole, 0).unwrap();
    let halves = scores.chunks(2500).map(|half| run::<SemiHonest>(&whole, &[encode(half)], &[]).remove(0));
    let halves: Vec<Vec<u64>> = halves.collect();
    assert!(psi(&halves[0], &halves[1]).unwrap() < 0.1);
    assert_eq!(halves.iter().flatten().sum::<u64>(), 5000);
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let new = |cuts: &[f64]| Counts::new(vec![10], (cuts, OnCut::Lower), Split::Whole, 0);
    for cuts in [&[][..], &[0.5, 0.5], &[0.5, 0.4], &[0.5, 0.5 + 1e-8], &vec![0.0; 5000]] {
        assert!(matches!(new(cuts), Err(CreditError::Setting { .. })), "{}", cuts.len());
    }
    assert!(matches!(new(&[f64::NAN]), Err(CreditError::Number(_))));
    assert!(Counts::new(vec![10], (&[0.5], OnCut::Lower), Split::Whole, u64::MAX).is_err());
    let many: Vec<f64> = (0..1024).map(f64::from).collect();
    assert!(Counts::new(vec![10], (&many, OnCut::Lower), Split::Whole, 1).is_ok());
    assert!(Counts::new(vec![10], (&many, OnCut::Lower), Split::Whole, 2).is_err());
}
