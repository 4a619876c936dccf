//! Scoring on shares, in both modes, against its plain twin, `f64` and its price.

use trefoil_circuits::{
    credit::{
        CreditError, FEATURE_LIMIT, MOST_FEATURES, Number, Pooled, Reasons, Report, Score, WEIGHT_LIMIT, Weights,
        encode_features, encode_model, logit_error,
        reference::{Matrix, Model, Reason, Scorecard},
    },
    program::{Inputs, OutputVector, Program, Tiling, Turns, Vector},
};
use trefoil_engine::{Cost, client, prelude::*, testing};

const REPORTS: [Report; 4] = [Report::Logit, Report::Probability, Report::Decision(0.3), Report::ProbabilityBits];

/// Irregular features about as large as standardized ones, and some at the limit.
fn features(rows: usize, columns: usize) -> Matrix {
    let value = |k: usize| match k % 97 {
        0 => FEATURE_LIMIT * if k.is_multiple_of(2) { 1.0 } else { -1.0 },
        _ => ((k * 7919 + k * k * 31) % 10_007) as f64 / 2000.0 - 2.5,
    };
    Matrix::new(columns, (0..rows * columns).map(value).collect()).unwrap()
}

fn model(columns: usize) -> Model {
    Model { intercept: -1.3, weights: (0..columns).map(|k| ((k * 37 % 41) as f64 - 20.0) / 40.0).collect() }
}

fn signed(x: &[Z64]) -> Vec<i64> {
    x.iter().map(|x| x.0.cast_signed()).collect()
}

/// The opened outputs, bits as 0 or 1, and the cost of P0.
fn run<M: Mode>(score: &Score, inputs: &[Vec<Z64>]) -> (Vec<Vec<i64>>, Cost) {
    let out = testing::three::<M, _, _>(async |ctx| {
        let inputs = Inputs::new(inputs.iter().map(|x| Vector::from(Shares::public(ctx.me(), x))));
        let released = score.run(ctx, inputs, &Turns).await?;
        Ok((released.release()?, released.cost()))
    });
    let [(a, cost), (b, _), (c, _)] = out;
    let opened = a.into_iter().zip(b).zip(c).zip(score.outputs()).map(|(((a, b), c), shape)| match (a, b, c) {
        (OutputVector::Z64(a), OutputVector::Z64(b), OutputVector::Z64(c)) => {
            signed(&client::reconstruct(&[a, b, c]).unwrap())
        }
        (OutputVector::Bits(a), OutputVector::Bits(b), OutputVector::Bits(c)) => {
            let words = client::reconstruct(&[a, b, c]).unwrap();
            // What lies beyond the last row is zero, so that it tells nothing.
            let ones: u32 = words.iter().map(|w| w.0.count_ones()).sum();
            let bits: Vec<i64> = (0..shape.len).map(|k| (words[k / 64].0 >> (k % 64) & 1).cast_signed()).collect();
            assert_eq!(i64::from(ones), bits.iter().sum::<i64>());
            bits
        }
        _ => panic!("outputs of three kinds"),
    });
    (opened.collect(), cost)
}

fn check<M: Mode>(rows: usize, columns: usize, tiling: Tiling) {
    let (features, model) = (features(rows, columns), model(columns));
    let table = encode_features(&features).unwrap();
    let secret = encode_model(&model).unwrap();
    let pooled = || Pooled::Horizontal { columns, rows: vec![rows] };
    for weights in [Weights::Shared, Weights::Public(model.clone())] {
        let mut inputs = vec![table.clone()];
        if weights == Weights::Shared {
            inputs.push(secret.clone());
        }
        let score = Score::new(pooled(), weights, REPORTS.to_vec()).unwrap().tiled(tiling);
        let (out, _) = run::<M>(&score, &inputs);
        assert_eq!(out, score.plain(&signed(&table), &signed(&secret)), "{rows} rows");
        let logits = model.logits(&features).unwrap();
        let probabilities = model.probabilities(&features).unwrap();
        let border = (0.3_f64 / 0.7).ln();
        for (k, row) in features.iter().enumerate() {
            let bound = logit_error(&model, row);
            assert!((out[0][k] as f64 * Number::ULP - logits[k]).abs() <= bound);
            assert!((out[1][k] as f64 * Number::ULP - probabilities[k]).abs() <= 4.4e-5 + bound / 4.0);
            let bits: i64 = (0..18).map(|place| out[3][place * rows + k] << place).sum();
            assert_eq!(bits << 2, out[1][k], "both forms are the same number");
            if (logits[k] - border).abs() > bound {
                assert_eq!(out[2][k] == 1, probabilities[k] >= 0.3);
            }
        }
    }
}

#[test]
fn scores_are_those_of_the_twin_and_near_those_of_f64() {
    for (rows, columns, batch, strands) in [(1, 1, 64, 4), (130, 26, 64, 2), (64, 3, 4096, 1), (70, 70, 1, 3)] {
        check::<SemiHonest>(rows, columns, Tiling { batch, strands });
        check::<Malicious>(rows, columns, Tiling { batch, strands });
    }
    check::<SemiHonest>(0, 2, Tiling::default());
}

#[test]
fn parts_of_several_owners_are_one_table() {
    let (rows, columns) = (9, 5);
    let model = model(columns);
    let whole = features(rows, columns);
    let table = encode_features(&whole).unwrap();
    let plain = |pooled| Score::new(pooled, Weights::Public(model.clone()), REPORTS.to_vec()).unwrap();
    let expected = plain(Pooled::Vertical { rows, columns: vec![columns] }).plain(&signed(&table), &[]);

    let vertical = plain(Pooled::Vertical { rows, columns: vec![2, 0, 3] });
    let inputs = [table[..2 * rows].to_vec(), vec![], table[2 * rows..].to_vec()];
    assert_eq!(run::<SemiHonest>(&vertical, &inputs).0, expected);

    let horizontal = plain(Pooled::Horizontal { columns, rows: vec![4, 5] });
    let part = |rows: &[usize]| encode_features(&whole.select(rows).unwrap()).unwrap();
    let inputs = [part(&[0, 1, 2, 3]), part(&[4, 5, 6, 7, 8])];
    assert_eq!(run::<SemiHonest>(&horizontal, &inputs).0, expected);
}

/// With all features and weights at their limits nothing wraps around.
#[test]
fn nothing_overflows_at_the_limits() {
    let columns = MOST_FEATURES;
    let features = Matrix::new(columns, vec![FEATURE_LIMIT; columns]).unwrap();
    for side in [1.0, -1.0] {
        let model = Model { intercept: side * WEIGHT_LIMIT, weights: vec![side * WEIGHT_LIMIT; columns] };
        let pooled = Pooled::Horizontal { columns, rows: vec![1] };
        let score = Score::new(pooled, Weights::Shared, REPORTS.to_vec()).unwrap();
        let inputs = [encode_features(&features).unwrap(), encode_model(&model).unwrap()];
        let (out, _) = run::<SemiHonest>(&score, &inputs);
        let logit = model.logits(&features).unwrap()[0];
        assert_eq!(out[0][0], (logit / Number::ULP) as i64);
        // The largest probability is a unit of its own below 1.
        let one = i64::from(side > 0.0);
        assert_eq!((out[1][0], out[2][0]), (one * ((1 << 20) - 4), one));
    }
}

#[test]
fn the_price_is_exact() {
    let (rows, columns) = (100, 26);
    let table = encode_features(&features(rows, columns)).unwrap();
    let secret = encode_model(&model(columns)).unwrap();
    for reports in [&REPORTS[..], &REPORTS[..1], &REPORTS[2..]] {
        for weights in [Weights::Shared, Weights::Public(model(columns))] {
            let shared = weights == Weights::Shared;
            let score =
                Score::new(Pooled::Horizontal { columns, rows: vec![rows] }, weights, reports.to_vec()).unwrap();
            let mut inputs = vec![table.clone()];
            inputs.extend(shared.then(|| secret.clone()));
            assert_eq!(run::<SemiHonest>(&score, &inputs).1, score.row_cost(rows).over(rows));
            assert_eq!(run::<Malicious>(&score, &inputs).1.products, score.row_cost(rows).over(rows).products);
        }
    }
}

/// What each column adds to the logit, and the columns that plain scorecard points name.
fn plain_reasons(model: &Model, row: &[f64], columns: &[usize], most: usize) -> (Vec<f64>, Vec<usize>) {
    let card = Scorecard::new(600.0, 50.0, 20.0).unwrap();
    let attributes: Vec<usize> =
        columns.iter().enumerate().flat_map(|(column, &features)| vec![column; features]).collect();
    let points = |row: &[f64]| card.attribute_points(model, row, &attributes).unwrap();
    let (own, average) = (points(row), points(&vec![0.0; row.len()]));
    let added = own.iter().zip(&average).map(|(own, average)| (average - own) / card.factor()).collect();
    let reasons = Reason::of(&own, &average, most).unwrap();
    (added, reasons.iter().map(|reason| reason.attribute).collect())
}

#[test]
fn reasons_are_those_of_the_scorecard_in_both_modes_at_the_price() {
    let (rows, width) = (130, 26);
    let (features, model) = (features(rows, width), model(width));
    let table = encode_features(&features).unwrap();
    let secret = encode_model(&model).unwrap();
    for (columns, most, tiling) in [
        (vec![1, 4, 1, 7, 2, 1, 1, 3, 6], 3, Tiling { batch: 64, strands: 2 }),
        (vec![26], 1, Tiling { batch: 4096, strands: 1 }),
        (vec![1; 26], 16, Tiling { batch: 128, strands: 1 }),
    ] {
        for weights in [Weights::Shared, Weights::Public(model.clone())] {
            let mut inputs = vec![table.clone()];
            if weights == Weights::Shared {
                inputs.push(secret.clone());
            }
            let reports = vec![Report::Reasons(Reasons { most, columns: columns.clone() }), Report::Decision(0.3)];
            let pooled = Pooled::Horizontal { columns: width, rows: vec![rows] };
            let score = Score::new(pooled, weights, reports).unwrap().tiled(tiling);
            let (out, _) = run::<SemiHonest>(&score, &inputs);
            assert_eq!(out, score.plain(&signed(&table), &signed(&secret)));
            assert_eq!(run::<Malicious>(&score, &inputs).0, out);
            for (row, reasons) in features.iter().zip(out[0].chunks(most)) {
                let none = i64::try_from(columns.len()).unwrap();
                let named: Vec<i64> = reasons.iter().copied().filter(|place| *place < none).collect();
                // What is none stands behind all others.
                assert!(reasons[named.len()..].iter().all(|place| *place == none));
                // Where two add the same but for the rounding of features and weights, either may come first.
                let (added, due) = plain_reasons(&model, row, &columns, most);
                let by = |reason: Option<usize>| reason.map_or(0.0, |place| added[place]);
                for k in 0..most {
                    let named = named.get(k).map(|place| usize::try_from(*place).unwrap());
                    assert!((by(named) - by(due.get(k).copied())).abs() < 1e-3, "{named:?} and {due:?} of {added:?}");
                }
            }
        }
    }
    let reports = || vec![Report::Reasons(Reasons { most: 3, columns: vec![1, 4, 1, 7, 2, 1, 1, 3, 6] })];
    let score =
        |weights| Score::new(Pooled::Horizontal { columns: width, rows: vec![64] }, weights, reports()).unwrap();
    let some: Vec<Z64> = table.chunks_exact(rows).flat_map(|column| &column[..64]).copied().collect();
    let (shared, public) = (score(Weights::Shared), score(Weights::Public(model.clone())));
    assert_eq!(run::<SemiHonest>(&shared, &[some.clone(), secret]).1, shared.row_cost(64).over(64));
    assert_eq!(run::<SemiHonest>(&public, &[some]).1, public.row_cost(64).over(64));
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let pooled = |columns| Pooled::Horizontal { columns, rows: vec![1] };
    let refused = |pooled, weights, reports: &[Report]| Score::new(pooled, weights, reports.to_vec()).unwrap_err();
    for p in [0.0, 1.0, f64::NAN, -0.5] {
        let error = refused(pooled(1), Weights::Shared, &[Report::Decision(p)]);
        assert!(matches!(error, CreditError::Setting { name: "the threshold", .. }), "{p}");
    }
    assert!(matches!(refused(pooled(1), Weights::Shared, &[]), CreditError::Setting { .. }));
    assert!(matches!(refused(pooled(MOST_FEATURES + 1), Weights::Shared, &REPORTS), CreditError::Setting { .. }));
    assert!(matches!(refused(pooled(3), Weights::Public(model(2)), &REPORTS), CreditError::Setting { .. }));
    let mut large = model(2);
    large.weights[1] = WEIGHT_LIMIT + 0.1;
    let error = refused(pooled(2), Weights::Public(large), &REPORTS);
    assert!(matches!(error, CreditError::Number(_)) && error.to_string().contains("32"));
    for (most, columns, twice) in [
        (0, vec![1, 1], false),
        (3, vec![1, 1], false),
        (1, vec![1, 2], false),
        (1, vec![2, 0], false),
        (1, vec![usize::MAX, 3], false),
        (17, vec![1; 2], false),
        (1, vec![1, 1], true),
    ] {
        let report = Report::Reasons(Reasons { most, columns });
        let reports = if twice { vec![report.clone(), report] } else { vec![report] };
        assert!(matches!(refused(pooled(2), Weights::Shared, &reports), CreditError::Setting { .. }), "{reports:?}");
    }
}
