//! As the suite of circuits, on matching: enrolment, verification and identification.

mod tampering;

use tampering::{
    Subject, scrambled,
    suite::{attacks_in_turn, bites},
};
use trefoil_circuits::{
    matching::{Answer, Embedding, Enrol, Kind, Match, MatchEmbedding, Metric, Template},
    program::Program,
};
use trefoil_engine::Lanes;

const BITS: usize = 20;
const USERS: usize = 3;

fn template(seed: u64) -> Template {
    let bits = |seed: u64| (0..BITS as u64).map(|k| scrambled(seed << 8 | k) & 1 == 1).collect::<Vec<_>>();
    Template::binary(&bits(seed), Some(&[&bits(seed + 50)[..10], &[true; 10]].concat())).unwrap()
}

fn words(bits: &[Lanes]) -> Vec<u64> {
    bits.iter().map(|word| word.0).collect()
}

/// The integers that nodes keep of a template.
fn stored(template: &Template) -> Vec<u64> {
    let bits = words(&template.to_bits());
    let bit = |part: usize, k: usize| bits[part] >> k & 1;
    let code = (0..BITS).map(|k| (bit(1, k) * (1 + 0xfffe * bit(0, k))) & 0xffff);
    code.chain((0..BITS).map(|k| bit(1, k))).collect()
}

fn identify() -> Subject<Match> {
    let gallery: Vec<Template> = (0..USERS as u64).map(template).collect();
    let kind = Kind::binary(BITS).unwrap();
    let program = Match::identify(kind, "0.2".parse().unwrap(), [USERS, 1], Answer::First).unwrap();
    let probe = gallery[1].flipped(&[19]);
    let inputs = vec![words(&probe.to_bits()), gallery.iter().flat_map(stored).collect()];
    // Found, and place 1.
    Subject { program, inputs, outputs: vec![vec![0b011]] }
}

fn enrol() -> Subject<Enrol> {
    let program = Enrol { kind: Kind::binary(BITS).unwrap(), templates: 1 };
    let template = template(7);
    Subject { program, inputs: vec![words(&template.to_bits())], outputs: vec![stored(&template)] }
}

fn embedding() -> Subject<MatchEmbedding> {
    let metric = Metric::Cosine("0.5".parse().unwrap());
    let program = MatchEmbedding::new(3, metric, [2, 1], Answer::First).unwrap();
    let of = |x: [f32; 3]| -> Vec<u64> { Embedding::new(&x).unwrap().to_integers().iter().map(|x| x.0).collect() };
    let inputs = vec![of([1.0, 2.0, -1.0]), [of([3.0, -1.0, 2.0]), of([1.0, 1.5, -1.0])].concat()];
    Subject { program, inputs, outputs: vec![vec![0b11]] }
}

#[test]
fn an_embedding_ends_in_an_error_or_in_the_right_value() {
    assert!(attacks_in_turn(&embedding(), 2).runs > 50);
}

#[test]
fn identification_ends_in_an_error_or_in_the_right_value() {
    assert_eq!(identify().program.outputs()[0].len, 3);
    assert!(attacks_in_turn(&identify(), 1).runs > 100);
}

#[test]
fn enrolment_ends_in_an_error_or_in_the_right_value() {
    assert!(attacks_in_turn(&enrol(), 1).runs > 50);
}

#[test]
fn the_suite_bites_where_nothing_is_checked() {
    bites(&identify(), 16);
    bites(&enrol(), 8);
}
