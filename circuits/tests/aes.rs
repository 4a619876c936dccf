//! AES on shares against NIST's vectors, the `aes` crate and the plain reference, with exact costs.
#![allow(clippy::doc_markdown)] // AESAVS is a document

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use proptest::prelude::*;
use trefoil_circuits::aes::{KeySize, SboxForm, State, ctr_keystream, decrypt, encrypt, expand_key, reference};
use trefoil_engine::{Cost, prelude::*, testing::on_shares};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

fn lanes(bytes: &[u8]) -> Vec<Lanes> {
    bytes.chunks(8).map(|c| Lanes(c.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b)))).collect()
}

fn unlanes(words: &[Lanes]) -> Vec<u8> {
    words.iter().flat_map(|w| w.0.to_le_bytes()).collect()
}

#[derive(Clone, Copy)]
enum Way {
    Encrypt,
    Decrypt,
}

fn on_shares_under(key: &[u8], form: SboxForm, way: Way, blocks: &[u8]) -> (Vec<u8>, Cost) {
    let size = KeySize::from_bits(8 * key.len()).unwrap();
    let (out, cost) = on_shares::<SemiHonest, Lanes, _>(&[&lanes(key), &lanes(blocks)], async |ctx, v| {
        let keys = expand_key(ctx, form, size, v[0].view()).await?;
        let input = State::from_blocks(v[1].view())?;
        let out = match way {
            Way::Encrypt => encrypt(ctx, form, &keys.for_encryption(ctx.me())?, &input).await?,
            Way::Decrypt => decrypt(ctx, form, &keys.for_decryption(ctx.me())?, &input).await?,
        };
        Ok(out.to_blocks())
    });
    (unlanes(&out), cost)
}

/// The `aes` crate on whole blocks.
fn plain(key: &[u8], way: Way, blocks: &[u8]) -> Vec<u8> {
    fn run<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt>(key: &[u8], way: Way, blocks: &[u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(key).unwrap();
        let one = |block: &[u8]| {
            let mut block = aes::cipher::Block::<C>::try_from(block).unwrap();
            match way {
                Way::Encrypt => cipher.encrypt_block(&mut block),
                Way::Decrypt => cipher.decrypt_block(&mut block),
            }
            block
        };
        blocks.chunks(16).flat_map(one).collect()
    }
    match key.len() {
        16 => run::<Aes128>(key, way, blocks),
        24 => run::<Aes192>(key, way, blocks),
        _ => run::<Aes256>(key, way, blocks),
    }
}

/// FIPS 197, appendix C.
#[test]
fn fips_197() {
    let block = bytes("00112233445566778899aabbccddeeff");
    let key: Vec<u8> = (0..32).collect();
    let expected =
        ["69c4e0d86a7b0430d8cdb78070b4c55a", "dda97ca4864cdfe06eaf70a0ec0d7191", "8ea2b7ca516745bfeafc49904b496089"];
    for (size, expected) in KeySize::ALL.into_iter().zip(expected) {
        let key = &key[..size.bits() / 8];
        for form in SboxForm::ALL {
            assert_eq!(on_shares_under(key, form, Way::Encrypt, &block).0, bytes(expected), "{size:?} {form:?}");
            assert_eq!(on_shares_under(key, form, Way::Decrypt, &bytes(expected)).0, block, "{size:?} {form:?}");
        }
        let keys = reference::expand_key(key).unwrap();
        let plain = block.clone().try_into().unwrap();
        assert_eq!(reference::encrypt(&keys, plain).to_vec(), bytes(expected));
        assert_eq!(reference::decrypt(&keys, bytes(expected).try_into().unwrap()), plain);
    }
}

const MESSAGE: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
    30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

/// SP 800-38A, appendices F.1 (ECB) and F.5 (CTR): key, ECB, CTR.
const SP_800_38A: [[&str; 3]; 3] = [
    [
        "2b7e151628aed2a6abf7158809cf4f3c",
        "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf
         43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4",
        "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
         5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
    ],
    [
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef
         ef7afd2270e2e60adce0ba2face6444e 9a4b41ba738d6c72fb16691603c18e0e",
        "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
         1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
    ],
    [
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870
         b6ed21b99ca6f4f9f153e7b1beafed1d 23304b7a39f9f3ff067d8d8f9e24ecc7",
        "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
         2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
    ],
];

#[test]
fn sp_800_38a() {
    let message = bytes(MESSAGE);
    for [key, ecb, ctr] in SP_800_38A {
        let (key, ecb, ctr) = (bytes(key), bytes(ecb), bytes(ctr));
        assert_eq!(on_shares_under(&key, SboxForm::default(), Way::Encrypt, &message).0, ecb);
        assert_eq!(on_shares_under(&key, SboxForm::default(), Way::Decrypt, &ecb).0, message);
        let counter = u128::from_be_bytes(bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap());
        let (stream, _) = on_shares::<SemiHonest, Lanes, _>(&[&lanes(&key)], async |ctx, v| {
            let form = SboxForm::default();
            let size = KeySize::from_bits(8 * key.len()).unwrap();
            let keys = expand_key(ctx, form, size, v[0].view()).await?.for_encryption(ctx.me())?;
            ctr_keystream(ctx, form, &keys, counter, 4).await
        });
        let sum: Vec<u8> = unlanes(&stream).iter().zip(&message).map(|(s, m)| s ^ m).collect();
        assert_eq!(sum, ctr);
    }
}

/// The Monte Carlo procedure of AESAVS, section 6.4.1 (ECB), on shares and with the `aes` crate side by side: `outer` keys, each
/// the last one XORed with the last bytes of output, and `inner` blocks chained under each (100 and 1,000 in a full run).
fn monte_carlo(size: KeySize, way: Way, outer: usize, inner: usize) {
    let mut key: Vec<u8> = (0..size.bits() / 8).map(|k| (17 * k + 3) as u8).collect();
    let mut block = bytes("80112233445566778899aabbccddee01");
    for _ in 0..outer {
        let (mut previous, mut last) = (block.clone(), block.clone());
        for _ in 0..inner {
            let following = plain(&key, way, &last);
            previous = std::mem::replace(&mut last, following);
        }
        let (out, _) = on_shares::<SemiHonest, Lanes, _>(&[&lanes(&key), &lanes(&block)], async |ctx, v| {
            let form = SboxForm::default();
            let keys = expand_key(ctx, form, size, v[0].view()).await?;
            let (forward, backward) = (keys.for_encryption(ctx.me())?, keys.for_decryption(ctx.me())?);
            let mut previous = v[1].view().to_shares();
            let mut state = State::from_blocks(v[1].view())?;
            for _ in 0..inner {
                previous = state.to_blocks();
                state = match way {
                    Way::Encrypt => encrypt(ctx, form, &forward, &state).await?,
                    Way::Decrypt => decrypt(ctx, form, &backward, &state).await?,
                };
            }
            // The last two outputs: all that the next key needs.
            let mut both = previous;
            both.extend(state.to_blocks().view());
            Ok(both)
        });
        assert_eq!(unlanes(&out), [previous.clone(), last.clone()].concat());
        let feed = [previous, last.clone()].concat();
        let tail = &feed[feed.len() - key.len()..];
        key.iter_mut().zip(tail).for_each(|(k, t)| *k ^= t);
        block = last;
    }
}

#[test]
fn monte_carlo_encryption() {
    for size in KeySize::ALL {
        monte_carlo(size, Way::Encrypt, 100, 10);
    }
    // One run at full length: 100,000 blocks one after the other.
    monte_carlo(KeySize::Aes128, Way::Encrypt, 100, 1000);
}

#[test]
fn monte_carlo_decryption() {
    for size in KeySize::ALL {
        monte_carlo(size, Way::Decrypt, 100, 10);
    }
    monte_carlo(KeySize::Aes256, Way::Decrypt, 2, 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn random_keys_and_batches(
        key in proptest::collection::vec(any::<u8>(), 32),
        size in 0_usize..3,
        blocks in proptest::collection::vec(any::<[u8; 16]>(), 0..200),
    ) {
        let key = &key[..KeySize::ALL[size].bits() / 8];
        let blocks = blocks.concat();
        for form in SboxForm::ALL {
            let expected = plain(key, Way::Encrypt, &blocks);
            prop_assert_eq!(&on_shares_under(key, form, Way::Encrypt, &blocks).0, &expected);
            prop_assert_eq!(&on_shares_under(key, form, Way::Decrypt, &expected).0, &blocks);
        }
    }
}

#[test]
fn exact_cost() {
    for (form, bits, rounds) in
        [(SboxForm::Tower17, 17, 4), (SboxForm::Tower18, 18, 4), (SboxForm::BoyarPeralta, 32, 6)]
    {
        assert_eq!((form.bits(), form.rounds()), (bits, rounds));
        for (size, cipher_rounds, expansions) in
            [(KeySize::Aes128, 10, 10), (KeySize::Aes192, 12, 8), (KeySize::Aes256, 14, 13)]
        {
            let key = vec![7; size.bits() / 8];
            for blocks in [1, 64, 65, 1024] {
                let (_, cost) = on_shares_under(&key, form, Way::Encrypt, &vec![1; 16 * blocks]);
                let words = blocks.div_ceil(64) as u64;
                assert_eq!(cost.rounds, (expansions + cipher_rounds) * rounds);
                assert_eq!(cost.bytes_sent, 8 * bits * (4 * expansions + 16 * cipher_rounds * words));
            }
        }
    }
    // The figure of the benchmark: 2,720 bits a block for AES-128 with expanded keys.
    let cost = |blocks: usize| on_shares_under(&[7; 16], SboxForm::Tower17, Way::Encrypt, &vec![1; 16 * blocks]).1;
    assert_eq!(cost(128).bytes_sent - cost(64).bytes_sent, 64 * 340);
}
