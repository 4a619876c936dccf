//! What a store says of itself: whose it is, and which key it is under.

use super::{Location, STORE_FORMAT, StoreError, seal::Sealer};

const FORMAT: &str = "format";
const CLUSTER: &str = "cluster";
const PARTY: &str = "party";
/// Sealed, so that a wrong key is found when the store is opened.
const CHECK: &str = "check";

/// The few values that are not records, in a transaction.
pub(super) trait About {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// Checks that a store is this node's and that its key is there; a new one becomes this node's.
pub(super) fn identify(about: &mut impl About, place: &Location, sealer: &Sealer) -> Result<(), StoreError> {
    let (whose, place) = (sealer.whose(), place.clone());
    let party = [whose.party.index() as u8];
    let Some(format) = about.get(FORMAT)? else {
        about.put(CLUSTER, whose.cluster.as_bytes())?;
        about.put(PARTY, &party)?;
        put_check(about, sealer)?;
        return about.put(FORMAT, &[STORE_FORMAT]);
    };
    if format != [STORE_FORMAT] {
        return Err(StoreError::Format { place, format: format.first().copied().unwrap_or_default() });
    }
    let is = [(CLUSTER, whose.cluster.as_bytes().as_slice()), (PARTY, party.as_slice())];
    for (key, value) in is {
        if about.get(key)?.as_deref() != Some(value) {
            return Err(StoreError::Foreign { place });
        }
    }
    let check = about.get(CHECK)?.unwrap_or_default();
    sealer.open(CHECK, CHECK.as_bytes(), &check).map(drop)
}

/// What a wrong key does not open.
pub(super) fn put_check(about: &mut impl About, sealer: &Sealer) -> Result<(), StoreError> {
    about.put(CHECK, &sealer.seal(CHECK, CHECK.as_bytes(), &[])?)
}
