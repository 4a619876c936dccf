//! Verification and identification on shares, against plain matching and the price.

use trefoil_circuits::{
    matching::{Answer, Enrol, Kind, Match, MatchingError, Template, Templates, Threshold, reference},
    program::{Inputs, Program, Tiling, Turns, Vector},
};
use trefoil_engine::{Cost, client, prelude::*, testing::three};

/// Irregular words.
fn words(n: usize, seed: u64) -> Vec<u64> {
    let word = |k: u64| {
        let mut z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed + 1).wrapping_mul(0xd134_2543_de82_ef95);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (0..n as u64).map(word).collect()
}

/// An irregular template.
fn iris(seed: u64) -> Template {
    let bytes = |n: usize, seed: u64| words(n / 8, seed).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    // Three of four are valid.
    let mask: Vec<u8> = bytes(800, 3 * seed).iter().zip(bytes(800, 3 * seed + 1)).map(|(a, b)| a | b).collect();
    Template::iris(&bytes(1600, 3 * seed + 2), &mask).unwrap()
}

/// The same with every `n`th bit flipped, turned.
fn again(template: &Template, n: usize, turns: isize) -> Template {
    let flip: Vec<usize> = (0..template.kind().code_bits()).step_by(n).collect();
    template.flipped(&flip).turned(turns)
}

/// What three parties find who share a probe and templates, and what it costs P0; the same if the templates are kept.
fn run<M: Mode>(program: &Match, probe: &Template, templates: &[Template]) -> (Option<usize>, Cost) {
    let [shared, kept] = [false, true].map(|kept| run_on::<M>(program, probe, templates, kept));
    assert_eq!(shared.0, kept.0);
    if M::NAME == SemiHonest::NAME {
        assert_eq!(shared.1, kept.1);
    }
    shared
}

fn run_on<M: Mode>(program: &Match, probe: &Template, templates: &[Template], kept: bool) -> (Option<usize>, Cost) {
    let out = three::<M, _, _>(async |mut ctx| {
        let kind = probe.kind();
        let bits: Vec<Lanes> = templates.iter().flat_map(|x| x.to_bits().to_vec()).collect();
        // Enrolled as a program would, on a strand of its own.
        let mut strand = ctx.fork(1).await?.remove(0);
        let sent = Shares::public(ctx.me(), &bits);
        let stored = trefoil_circuits::matching::encode(&mut strand, kind, templates.len(), sent.view()).await?;
        ctx.join(strand)?;
        let before = ctx.cost();
        let probe = Shares::public(ctx.me(), &probe.to_bits());
        let released = if kept {
            let mut templates = Templates::with_capacity(kind, 1);
            templates.push(stored.view())?;
            program.run_in(ctx, probe, templates.into(), &Turns).await?
        } else {
            let inputs: [Vector; 2] = [probe.into(), stored.into()];
            program.run(ctx, Inputs::new(inputs), &Turns).await?
        };
        let cost = released.cost();
        let output = released.strand.output(released.outputs[0].bits()?.view())?;
        let cost = Cost {
            rounds: cost.rounds - before.rounds,
            bytes_sent: cost.bytes_sent - before.bytes_sent,
            products: cost.products - before.products,
        };
        Ok((output, cost))
    });
    let [(a, cost), (b, _), (c, _)] = out;
    (program.found(&client::reconstruct(&[a, b, c]).unwrap()), cost)
}

#[test]
fn an_iris_is_verified_as_in_plain() {
    let enrolled = [iris(1), iris(2)];
    let program = Match::verify(Kind::IRIS, Threshold::CLASSIC, 2).unwrap();
    let none = Template::iris(&[0xff; 1600], &[0; 800]).unwrap();
    let probes = [again(&enrolled[1], 7, 15), again(&enrolled[0], 5, -4), again(&enrolled[0], 3, 0), iris(3), none];
    let mut matched = Vec::new();
    for probe in probes {
        let (found, cost) = run::<SemiHonest>(&program, &probe, &enrolled);
        assert_eq!(found.is_some(), reference::matches(Threshold::CLASSIC, &probe, &enrolled));
        assert_eq!(cost, program.cost());
        matched.push(found.is_some());
    }
    assert_eq!(matched, [true, true, false, false, false]);
}

#[test]
fn an_iris_is_verified_in_malicious_mode() {
    let enrolled = [iris(1)];
    let program = Match::verify(Kind::IRIS, Threshold::DEPLOYED, 1).unwrap();
    assert_eq!(run::<Malicious>(&program, &again(&enrolled[0], 8, -2), &enrolled).0, Some(0));
}

/// A mask with one bit leaves two code bits to compare, and in one of 31 rotations they agree by chance.
#[test]
fn few_valid_bits_match_nothing() {
    let enrolled = [iris(1)];
    let few = |bits: usize| {
        let mut mask = [0; 800];
        (0..bits).for_each(|k| mask[k / 8] |= 1 << (k % 8));
        Template::iris(&[0; 1600], &mask).unwrap()
    };
    assert!(reference::matches(Threshold::DEPLOYED, &few(1), &enrolled));
    let program = Match::verify(Kind::IRIS, Threshold::DEPLOYED, 1).unwrap();
    assert!(run::<SemiHonest>(&program, &few(1), &enrolled).0.is_some());
    let covered = program.covered(3200).unwrap();
    let own = again(&enrolled[0], 8, -2);
    for (probe, due) in [(few(1), None), (few(2), None), (few(64), None), (few(3199), None), (own, Some(0))] {
        let (found, cost) = run::<SemiHonest>(&covered, &probe, &enrolled);
        assert_eq!((found, cost), (due, covered.cost()));
    }
    assert_eq!(run::<Malicious>(&covered, &few(1), &enrolled).0, None);
    assert!(program.covered(0).is_err() && program.covered(6401).is_err());
}

#[test]
fn the_first_user_that_matches_is_found_as_in_plain() {
    const USERS: usize = 70;
    let gallery: Vec<Template> = (0..2 * USERS as u64).map(iris).collect();
    let program = |answer| {
        let program = Match::identify(Kind::IRIS, Threshold::DEPLOYED, [USERS, 2], answer).unwrap();
        program.tiled(Tiling { batch: 64, strands: 2 })
    };
    for (probe, due) in
        [(again(&gallery[2 * 66 + 1], 5, 3), Some(66)), (again(&gallery[0], 9, 0), Some(0)), (iris(999), None)]
    {
        assert_eq!(reference::identify(Threshold::DEPLOYED, &probe, &gallery, 2), due);
        let (found, cost) = run::<SemiHonest>(&program(Answer::First), &probe, &gallery);
        assert_eq!(found, due);
        assert_eq!(cost, program(Answer::First).cost());
        let (found, cost) = run::<SemiHonest>(&program(Answer::Match), &probe, &gallery);
        assert_eq!(found, due.map(|_| 0));
        assert_eq!(cost, program(Answer::Match).cost());
    }
}

#[test]
fn a_rotation_costs_less_than_thirteen_bytes() {
    let program = Match::identify(Kind::IRIS, Threshold::DEPLOYED, [512, 1], Answer::First).unwrap();
    let (one, two) =
        (program.cost(), Match::identify(Kind::IRIS, Threshold::DEPLOYED, [1024, 1], Answer::First).unwrap().cost());
    // 31 times 32 bits of products and 64 of a comparison, and about 34 bits to choose.
    assert_eq!((two.bytes_sent - one.bytes_sent) / 512, 376);
    assert_eq!((one.rounds, Match::verify(Kind::IRIS, Threshold::DEPLOYED, 1).unwrap().cost().rounds), (29, 20));
}

fn binary<M: Mode>(n: usize) {
    let bits = |seed: u64| {
        words(n.div_ceil(64), seed)
            .iter()
            .flat_map(|x| (0..64).map(move |k| x >> k & 1 == 1))
            .take(n)
            .collect::<Vec<_>>()
    };
    let half: Vec<bool> = bits(9);
    let gallery: Vec<Template> =
        (0..5).map(|k| Template::binary(&bits(k), (k % 2 == 1).then_some(&half)).unwrap()).collect();
    let kind = Kind::binary(n).unwrap();
    let threshold = "1/4".parse().unwrap();
    let program = Match::identify(kind, threshold, [5, 1], Answer::First).unwrap();
    // One in four bits is exactly at the threshold where all are valid.
    for probe in
        [again(&gallery[3], 9, 0), again(&gallery[4], 4, 0), again(&gallery[4], 5, 0), again(&gallery[2], 1, 0)]
    {
        let due = reference::identify(threshold, &probe, &gallery, 1);
        let (found, cost) = run::<M>(&program, &probe, &gallery);
        assert_eq!(found, due, "{n}");
        if M::NAME == SemiHonest::NAME {
            assert_eq!(cost, program.cost());
        }
    }
}

#[test]
fn binary_templates_are_identified_as_in_plain() {
    for n in [1, 63, 64, 65, 256, 1000] {
        binary::<SemiHonest>(n);
    }
    binary::<Malicious>(200);
}

#[test]
fn enrolled_templates_are_integers_of_a_template_whatever_was_sent() {
    let kind = Kind::binary(70).unwrap();
    let enrol = Enrol { kind, templates: 2 };
    // All bits of all words, valid ones and those past the last.
    let sent: Vec<Lanes> = words(enrol.inputs()[0].elements(), 5).into_iter().map(Lanes).collect();
    let out = three::<Malicious, _, _>(async |ctx| {
        let inputs = Inputs::from(Shares::public(ctx.me(), &sent));
        let released = enrol.run(ctx, inputs, &Turns).await?;
        let Vector::Z16(stored) = &released.outputs[0] else { panic!("integers of 16 bits") };
        released.strand.output(stored.view())
    });
    let stored = client::reconstruct(&out).unwrap();
    for (k, row) in stored.chunks(kind.entries()).enumerate() {
        for at in 0..70 {
            let bit = |part: usize| sent[4 * k + 2 * part + at / 64].0 >> (at % 64) & 1;
            let due = [0, 0, 1, u16::MAX][(2 * bit(1) + bit(0)) as usize];
            assert_eq!((row[at].0, u64::from(row[70 + at].0)), (due, bit(1)));
        }
    }
    // As in plain, of an iris too.
    let eye = iris(4);
    let out = three::<SemiHonest, _, _>(async |ctx| {
        let sent = Shares::public(ctx.me(), &eye.to_bits());
        let released = Enrol { kind: Kind::IRIS, templates: 1 }.run(ctx, sent.into(), &Turns).await?;
        let Vector::Z16(stored) = &released.outputs[0] else { panic!("integers of 16 bits") };
        released.strand.output(stored.view())
    });
    assert_eq!(client::reconstruct(&out).unwrap(), *eye.to_integers());
    let short = three::<SemiHonest, _, _>(async |ctx| {
        Ok(enrol.run(ctx, Shares::<Lanes>::zeros(3).into(), &Turns).await.is_err())
    });
    assert_eq!(short, [true; 3]);
    assert!(matches!(Match::verify(kind, Threshold::CLASSIC, 0), Err(MatchingError::Setting { value: 0, .. })));
}
