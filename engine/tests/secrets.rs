//! What holds a secret does not print it.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::fmt::Debug;
use trefoil_engine::{
    PairSecret, SessionBinding, SessionKeys, client,
    prelude::*,
    prss::Stream,
    testing::three,
    transport::{Path, SessionId},
};

/// Distinct, so that no text contains them by chance.
const SECRET: [Z64; 2] = [Z64(0x1c9d_e2a7_58f3_6b04), Z64(0xb3e5_71ca_0d98_42f6)];

/// Both texts of a value are `expected` and nothing else, whatever the secrets.
#[track_caller]
fn prints(value: &impl Debug, expected: &str, secrets: &[u64]) {
    assert_eq!(format!("{value:?}"), expected);
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        absent(&text, secrets);
    }
}

/// No secret word is in the text: as a number in any base, or by its bytes in either order.
#[track_caller]
fn absent(text: &str, secrets: &[u64]) {
    let text = text.to_lowercase();
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    for secret in secrets {
        for word in [*secret, secret.swap_bytes()] {
            let list = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            let forms = [
                word.to_string(),
                word.cast_signed().to_string(),
                format!("{word:x}"),
                format!("{word:b}"),
                list(&word.to_le_bytes()[..4]),
            ];
            for form in forms {
                assert!(!bare.contains(&form), "{form} is in {text}");
            }
        }
    }
}

/// The test itself: it does find what is there.
#[test]
#[should_panic(expected = "is in")]
fn what_prints_is_found() {
    absent(&format!("{:?}", SECRET[1].0.to_be_bytes()), &[SECRET[1].0]);
}

#[test]
fn shares_of_clients_and_strands() {
    let shares = client::split_with(&SECRET, &mut ChaCha20Rng::seed_from_u64(1));
    let words =
        |component: &[u8]| component.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect::<Vec<_>>();
    let mut secrets: Vec<u64> = SECRET.iter().map(|x| x.0).collect();
    secrets.extend(shares.iter().flat_map(client::InputShare::as_bytes).flat_map(words));
    assert_eq!(secrets.len(), 2 + 3 * 4);
    for share in &shares {
        prints(share, "InputShare<Z64>[2]", &secrets);
        let [own, next] = share.as_bytes();
        let output = client::OutputShare::<Z64>::from_bytes(Party::P1, 2, own, next).unwrap();
        prints(&output, "OutputShare<Z64>(P1)[2]", &secrets);
    }
    let copies: Vec<[Vec<u8>; 2]> = shares.iter().map(|s| s.as_bytes().map(<[u8]>::to_vec)).collect();
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        let [own, next] = &copies[ctx.me().index()];
        let x = ctx.input(client::InputShare::<Z64>::from_bytes(2, own, next)?).await?;
        prints(&x, "Shares<Z64>[2]", &secrets);
        prints(&x.view(), "View<Z64>[2]", &secrets);
        prints(&x.view().slice(1, 1)?, "View<Z64>[1]", &secrets);
        Ok(x.len())
    });
    assert_eq!(out, [2; 3]);
}

#[test]
fn strands_checked_and_unchecked() {
    let path = Path::root();
    let session = SessionId([7; 16]);
    let secrets: Vec<u64> = SECRET.iter().map(|x| x.0).collect();
    let out = three::<SemiHonest, _, _>(async |mut ctx| {
        // Something is drawn, sent and opened.
        let x = Shares::public(ctx.me(), &SECRET);
        let y = ctx.mul(x.view(), x.view()).await?;
        let strand = format!("Ctx<semi-honest>({}, {session}/{path})", ctx.me());
        prints(&ctx, &strand, &secrets);
        let mut verified = ctx.verify().await?;
        let product = verified.open(y.view()).await?;
        let known: Vec<u64> = secrets.iter().copied().chain(product.iter().map(|z| z.0)).collect();
        prints(&verified, &format!("Verified {{ ctx: {strand} }}"), &known);
        prints(&verified.output(y.view())?, &format!("OutputShare<Z64>({})[2]", verified.me()), &known);
        Ok(product)
    });
    assert_eq!(out[0], [SECRET[0] * SECRET[0], SECRET[1] * SECRET[1]]);
}

#[test]
fn keys_and_streams() {
    let bytes: [u8; 32] = std::array::from_fn(|k| SECRET[k / 8 % 2].0.to_le_bytes()[k % 8]);
    let words: Vec<u64> = SECRET.iter().map(|x| x.0).collect();
    let secret = PairSecret::new(bytes);
    prints(&secret, "PairSecret(..)", &words);
    let binding =
        SessionBinding { session: SessionId([7; 16]), job_digest: [1; 32], nonces: [[2; 32], [3; 32], [4; 32]] };
    let keys = SessionKeys::derive(&secret, &PairSecret::new([9; 32]), &binding);
    prints(&keys, "SessionKeys(..)", &words);

    let mut stream = Stream::with_key(bytes[..16].try_into().unwrap());
    let mut drawn = [Z64(0); 4];
    stream.fill(&mut drawn).unwrap();
    let seen: Vec<u64> = drawn.iter().map(|x| x.0).chain(words.iter().copied()).collect();
    prints(&stream, "Stream(..)", &seen);
}

/// Errors speak of lengths and positions.
#[test]
fn errors() {
    let share = client::split(&SECRET).unwrap();
    let [own, next] = share[0].as_bytes();
    let error = client::InputShare::<Z64>::from_bytes(2, own, &next[1..]).unwrap_err();
    let words: Vec<u64> =
        own.chunks(8).chain(next.chunks(8)).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
    absent(&format!("{error} {error:?}"), &words);

    let outputs = Party::ALL.map(|p| {
        let [own, next] = share[p.index()].as_bytes();
        let mut own = own.to_vec();
        own[0] ^= 1;
        client::OutputShare::<Z64>::from_bytes(p, 2, &own, next).unwrap()
    });
    let error = client::reconstruct(&outputs).unwrap_err();
    absent(&format!("{error} {error:?}"), &words);
}
