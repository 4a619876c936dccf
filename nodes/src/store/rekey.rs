//! A store written anew under another key.

use super::{
    StoreConfig, StoreError, Whose,
    backend::Backend,
    files::{add_key, drop_old_keys, is_key_file_used},
    seal::Sealer,
};
use crate::Error;
use serde::Serialize;
use std::io;

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Rekeyed {
    /// Records that were written anew.
    pub records: u64,
    /// Whether a new key was drawn, and the old ones removed. Keys in the environment or in a credential of systemd are their owner's to change.
    pub new_key: bool,
}

/// Writes all records of a store that no node has open into a new file or table, and puts that in the place of the old one. They are sealed under a new key, which is then the only one in the key file; under the first of the keys that are given otherwise.
///
/// What was broken off leaves a store that opens, with the keys that it needs: begin again. Afterwards nothing of records that were overwritten before is in it any more. Blocks.
///
/// # Errors
/// [`StoreError`]: a node has it open, a record cannot be opened, there is no room for both.
pub fn rekey(config: &StoreConfig, whose: Whose) -> Result<Rekeyed, StoreError> {
    let place = &config.place;
    if !place.is_there()? {
        return Err(StoreError::of_system(place, io::ErrorKind::NotFound.into()));
    }
    // Open to the end, so that no node begins with the old one meanwhile; before anything is changed.
    let old = Backend::open(place, &Sealer::new(config.keys()?, whose, place.clone()))?;
    let new_key = is_key_file_used();
    let of_file = |e: Error| StoreError::Key { from: format!("in {}", config.key.display()), cause: e.to_string() };
    if new_key {
        add_key(&config.key).map_err(of_file)?;
    }
    let records = old.rewrite(&Sealer::new(config.keys()?, whose, place.clone()))?;
    if new_key {
        drop_old_keys(&config.key).map_err(of_file)?;
    }
    Ok(Rekeyed { records, new_key })
}
