use super::*;
use crate::job::{AesCtrSpec, CircuitSpec, ModeSpec, ProgramSpec, Sha256Hex};
use futures_util::stream;
use proptest::prelude::*;
use std::{convert::Infallible, num::NonZeroU32};
use trefoil_circuits::aes::KeySize;

fn aes() -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 1, blocks: 5 };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default())
}

fn circuit(text: &[u8]) -> JobSpec {
    let circuit = CircuitSpec {
        sha256: Sha256Hex::of(text),
        bytes: text.len() as u64,
        input_wires: 70,
        output_wires: 3,
        instances: NonZeroU32::MIN,
    };
    JobSpec::new(ProgramSpec::Circuit(circuit), ModeSpec::default())
}

fn body(spec: &JobSpec, attachment: &[u8]) -> Vec<u8> {
    let bytes = spec.sizes().expect("small").upload_bytes() as u8;
    let mut body = encode_head(spec).to_vec();
    body.extend_from_slice(attachment);
    body.extend((0..bytes).map(|b| b ^ 0x5a));
    body
}

fn read_with(bytes: &[u8], announced: u64, chunk: usize, limits: &Limits) -> Result<(JobSpec, Payload), BodyFault> {
    let chunks: Vec<_> = bytes.chunks(chunk).map(|c| Ok::<_, Infallible>(Bytes::copy_from_slice(c))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let head = Head::read(stream::iter(chunks), announced, limits).await?;
        let spec = head.spec.clone();
        Ok((spec, head.payload().await?))
    })
}

fn read(bytes: &[u8], chunk: usize) -> Result<(JobSpec, Payload), BodyFault> {
    read_with(bytes, bytes.len() as u64, chunk, &Limits::default())
}

#[test]
fn what_was_written_is_read_however_it_is_cut() {
    for (spec, attachment) in [(aes(), &b""[..]), (circuit(b"some text"), b"some text")] {
        let bytes = body(&spec, attachment);
        for chunk in [1, 3, 7, bytes.len()] {
            let (read_spec, payload) = read(&bytes, chunk).expect("a good body");
            assert_eq!(read_spec, spec);
            assert_eq!(payload.attachment, attachment);
            let [own, next] = payload.inputs[0].as_bytes();
            assert_eq!([own, next].concat(), bytes[bytes.len() - 32..]);
        }
    }
}

#[test]
fn every_shortening_and_lengthening_is_noticed() {
    let bytes = body(&aes(), b"");
    let whole = bytes.len() as u64;
    for n in 0..bytes.len() {
        let limits = Limits::default();
        assert!(matches!(read_with(&bytes[..n], whole, 8, &limits), Err(BodyFault::Truncated { .. })), "{n}");
        assert!(read(&bytes[..n], 8).is_err(), "{n}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(read(&longer, 8), Err(BodyFault::Length { .. })));
    assert!(matches!(read_with(&longer, whole, 8, &Limits::default()), Err(BodyFault::Overlong)));
    assert!(matches!(read_with(&bytes, 3, 8, &Limits::default()), Err(BodyFault::Overlong)));
}

#[test]
fn sizes_are_refused_before_anything_is_allocated() {
    let limits = Limits { body_bytes: 200, output_bytes: 79, ..Limits::default() };
    assert!(matches!(read_with(b"", 201, 8, &limits), Err(BodyFault::TooLarge(_))));
    let bytes = body(&aes(), b"");
    assert!(matches!(read_with(&bytes, bytes.len() as u64, 8, &limits), Err(BodyFault::TooLarge(_))));
    let huge = [&u32::MAX.to_le_bytes()[..], &[b' '; 50]].concat();
    assert!(matches!(read(&huge, 8), Err(BodyFault::Spec(_))));
    let JobSpec { program: ProgramSpec::AesCtr(mut spec), mode, .. } = aes() else { panic!() };
    spec.blocks = u64::MAX;
    let spec = JobSpec::new(ProgramSpec::AesCtr(spec), mode);
    assert!(matches!(read(&encode_head(&spec), 8), Err(BodyFault::Spec(_))));
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let limits = Limits { client_timeout: Duration::from_millis(20), ..Limits::default() };
    let bytes = body(&aes(), b"");
    // Nothing at all comes, then nothing after the head.
    let silent = stream::pending::<Result<Bytes, Infallible>>();
    let read = Head::read(silent, bytes.len() as u64, &limits).await;
    assert!(matches!(read, Err(BodyFault::Slow(_))));
    let stalled = stream::iter([Ok::<_, Infallible>(encode_head(&aes()))]).chain(stream::pending());
    let head = Head::read(stalled, bytes.len() as u64, &limits).await.expect("the head is there");
    assert!(matches!(head.payload().await, Err(BodyFault::Slow(_))));
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1..40_usize) {
        prop_assert!(read(&bytes, chunk).is_err());
    }

    #[test]
    fn a_changed_head_is_refused_or_still_means_something(at in 0..100_usize, to in any::<u8>(), chunk in 1..40_usize) {
        let mut bytes = body(&circuit(b"text"), b"text");
        bytes[at] = to;
        if let Ok((spec, payload)) = read(&bytes, chunk) {
            let sizes = spec.sizes().unwrap();
            prop_assert_eq!(payload.attachment.len(), sizes.attachment_bytes);
            prop_assert_eq!(payload.inputs[0].as_bytes()[1].len(), sizes.inputs[0].component_bytes());
        }
    }
}
