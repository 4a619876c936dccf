//! One text of a circuit, on shares and as a circuit file.

use trefoil_circuits::{
    bristol::{Builder, Circuit, Form, Packing, Schedule},
    gates::{Gates, OnShares, record},
};
use trefoil_engine::{Lanes, SemiHonest, testing};

/// `(x > y, NOT x)`, by carries from bit 0 on: uses every gate there is.
async fn compare<G: Gates>(g: &mut G, x: &G::Bits, y: &G::Bits) -> Result<(G::Bits, G::Bits), G::Error> {
    let not_x = g.not(x)?;
    let mut borrow = g.constant(&[false]);
    for i in 0..g.width(x) {
        let (a, b) = (g.select(&not_x, i..i + 1)?, g.select(y, i..i + 1)?);
        let a = g.not(&a)?;
        let (u, v) = (g.xor(&a, &borrow)?, g.xor(&b, &borrow)?);
        let v = g.not(&v)?;
        let both = g.and(&u, &v).await?;
        borrow = g.xor(&both, &borrow)?;
    }
    Ok((borrow, not_x))
}

fn recorded(width: u32) -> Circuit {
    let mut builder = Builder::default();
    let (x, y) = (builder.input(width), builder.input(width));
    let (greater, not_x) = record(compare(&mut builder, &x, &y)).unwrap();
    builder.output(&greater);
    let all = Gates::concat(&mut builder, &[&not_x, &greater]);
    builder.output(&all);
    builder.finish().unwrap()
}

#[test]
fn a_recorded_circuit_computes_what_its_text_says() {
    const WIDTH: u32 = 3;
    let circuit = Circuit::parse(recorded(WIDTH).to_bristol(Form::Basic)).unwrap();
    assert_eq!((circuit.counts().and, circuit.counts().and_depth), (3, 3));
    // All 64 pairs at once: pair (x, y) is lane 8x + y.
    let words: Vec<u64> = (0..2 * WIDTH)
        .map(|wire| {
            (0..64_u64).map(|lane| (if wire < 3 { lane >> (3 + wire) } else { lane >> (wire - 3) } & 1) << lane).sum()
        })
        .collect();
    let expected = circuit.evaluate_plain_sliced(&words).unwrap();
    for lane in 0..64 {
        let (x, y) = (lane >> 3, lane & 7);
        let bit = |wire: usize| expected[wire] >> lane & 1;
        assert_eq!(bit(0), u64::from(x > y));
        assert_eq!((bit(1), bit(2), bit(3)), (!x & 1, !x >> 1 & 1, !x >> 2 & 1));
        assert_eq!(bit(4), bit(0));
    }

    let lanes: Vec<Lanes> = words.iter().copied().map(Lanes).collect();
    let (direct, cost) =
        testing::on_shares::<SemiHonest, Lanes, _>(&[&lanes[..3], &lanes[3..]], async |ctx, inputs| {
            let mut g = OnShares::new(ctx, 1);
            let (greater, not_x) = compare(&mut g, &inputs[0], &inputs[1]).await?;
            Ok(g.concat(&[&greater, &not_x, &greater]))
        });
    assert_eq!(direct.iter().map(|w| w.0).collect::<Vec<_>>(), expected);
    assert_eq!(cost, Schedule::new(&circuit).cost(Packing::new(64)));
}

#[test]
fn shapes_are_checked_in_a_recording() {
    let mut b = Builder::default();
    let (x, y) = (b.input(2), b.input(3));
    assert!(Gates::xor(&mut b, &x, &y).is_err());
    assert!(record(Gates::and(&mut b, &x, &y)).is_err());
    assert!(b.select(&x, 1..3).is_err());
    assert!(record(std::future::pending::<Result<(), _>>()).is_err());

    // A signal is of use with its own builder only.
    let mut other = Builder::default();
    let bit = other.input(1)[0];
    let sum = other.xor(bit, y[2]);
    other.output(&[sum]);
    assert!(other.finish().is_err());
    let mut other = Builder::default();
    other.output(&y);
    assert!(other.finish().is_err());
}
