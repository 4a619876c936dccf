//! Long values, kept in parts so that no record and no transaction is large.

use super::{Space, Store, StoreError, Tables, Transaction, WriteTransaction};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

/// Bytes of a part.
pub(crate) const PART: usize = 1 << 20;

/// Parts in a transaction.
pub(crate) const AT_ONCE: usize = 8;

/// Bytes of a part's name after the prefix: the component, and the place in it.
const PLACE: usize = 1 + 4;

/// A value of several components, each kept in parts of its own.
pub(crate) trait Components: Send + Sync + 'static {
    /// How many: 256 at most.
    fn count(&self) -> usize;

    /// One of them.
    fn component(&self, c: usize) -> &[u8];
}

/// The name of a part of a component.
pub(crate) fn part_name(prefix: &[u8], component: usize, place: usize) -> Vec<u8> {
    [prefix, &[component as u8], &(place as u32).to_be_bytes()].concat()
}

/// The long values in a space. All have prefixes of one length, or none is the beginning of another.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    store: Store,
    space: Space,
    /// One transaction of parts at a time, so that others wait for no more than one.
    turn: Arc<Semaphore>,
}

impl Parts {
    pub(crate) fn new(store: Store, space: Space) -> Self {
        Self { store, space, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Writes a value but its first `skip` parts, which are there: a few parts in a transaction so that others get their turn.
    ///
    /// Not cancel safe: what is dropped, or fails, may leave parts behind.
    pub(crate) async fn write(
        &self,
        prefix: &[u8],
        (value, skip): (&Arc<impl Components>, usize),
    ) -> Result<(), StoreError> {
        for some in places(&**value).get(skip..).unwrap_or_default().chunks(AT_ONCE) {
            let _turn = self.turn().await;
            let (this, prefix, value, some) = (self.clone(), prefix.to_vec(), value.clone(), some.to_vec());
            let write = self.store.write(move |records| {
                some.into_iter().try_for_each(|place| this.put_part(records, &prefix, &*value, place))
            });
            write.await?;
        }
        Ok(())
    }

    /// Whoever writes parts in a transaction of its own holds this meanwhile.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.acquire().await.ok()
    }

    /// Writes a short value in a transaction with others.
    pub(crate) fn put(
        &self,
        records: &mut WriteTransaction<'_>,
        prefix: &[u8],
        value: &impl Components,
    ) -> Result<(), StoreError> {
        places(value).into_iter().try_for_each(|place| self.put_part(records, prefix, value, place))
    }

    fn put_part(
        &self,
        records: &mut WriteTransaction<'_>,
        prefix: &[u8],
        value: &impl Components,
        (c, k): (usize, usize),
    ) -> Result<(), StoreError> {
        let component = value.component(c);
        let part = &component[k * PART..component.len().min((k + 1) * PART)];
        records.put(self.space, &part_name(prefix, c, k), part)
    }

    /// A component of so many bytes, or what is wrong with it.
    pub(crate) fn read<T: Tables>(
        &self,
        records: &Transaction<'_, T>,
        prefix: &[u8],
        (c, bytes): (usize, usize),
    ) -> Result<Result<Zeroizing<Vec<u8>>, &'static str>, StoreError> {
        let mut component = Zeroizing::new(Vec::with_capacity(bytes));
        for k in 0..bytes.div_ceil(PART) {
            let Some(part) = records.get(self.space, &part_name(prefix, c, k))? else { return Ok(Err("lacks a part")) };
            if component.len() + part.len() > bytes {
                break;
            }
            component.extend_from_slice(&part);
        }
        Ok(if component.len() == bytes { Ok(component) } else { Err("has a part of another length") })
    }

    /// Removes all parts of the values with a prefix.
    pub(crate) fn remove(&self, records: &mut WriteTransaction<'_>, prefix: &[u8]) -> Result<(), StoreError> {
        let parts = records.list(self.space, prefix)?;
        parts.iter().try_for_each(|part| records.remove(self.space, part).map(drop))
    }

    /// Removes the parts of values that were not written to their end, by their prefixes. How many there were.
    pub(crate) async fn remove_rest(&self, is_whole: impl Fn(&[u8]) -> bool) -> Result<usize, StoreError> {
        let mut rest = self.store.list(self.space, b"").await?;
        rest.retain(|part| !is_whole(&part[..part.len().saturating_sub(PLACE)]));
        let (count, space) = (rest.len(), self.space);
        if count > 0 {
            let remove =
                self.store.write(move |records| rest.iter().try_for_each(|part| records.remove(space, part).map(drop)));
            remove.await?;
        }
        Ok(count)
    }
}

/// All parts of a value: component, and place in it.
fn places(value: &impl Components) -> Vec<(usize, usize)> {
    (0..value.count()).flat_map(|c| (0..value.component(c).len().div_ceil(PART)).map(move |k| (c, k))).collect()
}
