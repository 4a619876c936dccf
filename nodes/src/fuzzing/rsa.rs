//! Binary forms of keys, of their shares, and of what nodes, devices and owners send each other of them.

use std::sync::LazyLock;
use trefoil_auth::rsa::{
    Confirmation, Contribution, DeviceKey, DevicePartial, Difference, Hash, Issued, Message, NodeKey, NodePartials,
    PrivateKey, PublicKey, Record, RecoveryKey, RecoveryPart, Status, combine,
};
use trefoil_engine::Party;

/// A key of 2,048 bits that belongs to nobody: the modulus alone.
static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| {
    let digits = include_str!("modulus.hex").split_whitespace().collect::<String>();
    PublicKey::from_modulus(&hex::decode(digits).expect("digits")).expect("a modulus")
});

/// The first byte says what form. What is read is written as it was.
pub(super) fn form(bytes: &[u8]) {
    let Some((kind, form)) = bytes.split_first() else { return };
    let public = &*PUBLIC;
    match kind {
        b'a' => same(form, NodeKey::decode(form).map(|key| key.encode())),
        b'b' => same(form, DeviceKey::decode(form).map(|key| key.encode())),
        b'c' => same(form, RecoveryKey::decode(form).map(|key| key.encode())),
        b'd' => same(form, Record::decode(form).map(|record| record.encode())),
        b'e' => {
            let partials = NodePartials::decode(form, Party::P0);
            if let Ok(one) = NodePartials::decode(form, Party::P0)
                && let Ok(other) = NodePartials::decode(form, Party::P1)
            {
                let message = Message::digest(Hash::Sha256, &[7; 32]).expect("a digest");
                assert!(combine(public, &message, None, &[one, other]).is_err(), "nobody has signed it");
            }
            same(form, partials.map(|partials| partials.encode(public)));
        }
        b'f' => same(form, DevicePartial::decode(form).map(|partial| partial.encode(public))),
        b'g' => same(form, Contribution::decode(form).map(|contribution| contribution.encode(public))),
        b'h' => same(form, Difference::decode(form).map(|difference| difference.encode(public))),
        b'i' => same(form, Confirmation::decode(form, Party::P0).map(|confirmation| confirmation.encode(public))),
        b'j' => same(form, Status::decode(form, Party::P0).map(|status| status.encode(public))),
        b'k' => same(form, RecoveryPart::decode(form).map(|part| part.encode(public))),
        b'l' => {
            if let (Ok(one), Ok(other)) = (Issued::decode(form, Party::P0), Issued::decode(form, Party::P1)) {
                let all = [one, other];
                let _ = (DeviceKey::from_issued(public, &all), RecoveryKey::from_issued(public, &all));
            }
            same(form, Issued::decode(form, Party::P0).map(|issued| issued.encode(public)));
        }
        b'm' => {
            let (next, prev) = form.split_at(form.len() / 2);
            if let Ok(record) = Record::rebuilt(Party::P0, next, prev) {
                let written = record.encode();
                same(&written, Record::decode(&written).map(|record| record.encode()));
            }
        }
        b'n' => drop(std::str::from_utf8(form).map(PrivateKey::from_pem)),
        _ => {
            if let Ok(public) = PublicKey::from_spki(form) {
                assert_eq!(public.to_spki().ok().as_deref(), Some(form));
            }
        }
    }
}

/// A form has one way to be written. Those that do not say of which key they are come with its size, which may be another one.
fn same<E>(form: &[u8], written: Result<impl AsRef<[u8]>, E>) {
    if let Ok(written) = written
        && written.as_ref().get(6..8) == form.get(6..8)
    {
        assert_eq!(written.as_ref(), form);
    }
}
