//! Receipts that a node keeps, for whoever has not had them: the answer to a request was lost.

use super::Receipt;
use crate::{
    pki::ClientName,
    store::{Space, StoreError, Tables, Transaction, Value, WriteTransaction},
    tables::UploadId,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What tells one request to delete something from another, drawn by who asks: 32 hexadecimal digits. Repeated with the same it is given the same receipt.
pub type Nonce = UploadId;

/// How long a receipt can be had again.
pub const KEPT: Duration = Duration::from_hours(7 * 24);

/// Receipts of one client that are kept. Beyond it the oldest go.
pub const MOST_KEPT: usize = 1024;

/// The text for who uses a nonce twice.
pub(crate) const USED: &str = "this nonce was sent before, to delete something else; draw a new one for each request";

/// A request to delete something.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) owner: ClientName,
    pub(crate) nonce: Nonce,
    /// What, in words that say the same for the same.
    pub(crate) what: String,
}

/// Whether a request was met before.
pub(crate) enum Met {
    /// Not that this node would know.
    New,
    /// This one, with this receipt.
    Before(Receipt),
    /// The nonce was another request's.
    Another,
}

/// As the store has it.
#[derive(Deserialize, Serialize)]
struct Record {
    time_unix: u64,
    what: String,
    receipt: Receipt,
}

impl Asked {
    /// Whether the request was met before.
    pub(crate) fn met<T: Tables>(&self, records: &Transaction<'_, T>, now_unix: u64) -> Result<Met, StoreError> {
        Ok(match records.get(Space::Receipts, &self.name())? {
            Some(record) => match read(&record)? {
                kept if is_over(&kept, now_unix) => Met::New,
                kept if kept.what == self.what => Met::Before(kept.receipt),
                _ => Met::Another,
            },
            None => Met::New,
        })
    }

    /// Keeps a receipt, in the transaction that deletes what it is of. Of the same owner, those go whose time is over, and the oldest if there are too many.
    pub(crate) fn keep(
        &self,
        records: &mut WriteTransaction<'_>,
        (receipt, now_unix): (&Receipt, u64),
    ) -> Result<(), StoreError> {
        let mut left = Vec::new();
        for name in records.list(Space::Receipts, prefix(&self.owner).as_bytes())? {
            let Some(record) = records.get(Space::Receipts, &name)? else { continue };
            let kept = read(&record)?;
            if is_over(&kept, now_unix) {
                records.remove(Space::Receipts, &name)?;
            } else {
                left.push((kept.time_unix, name));
            }
        }
        left.sort_unstable();
        for (_, name) in left.iter().take((left.len() + 1).saturating_sub(MOST_KEPT)) {
            records.remove(Space::Receipts, name)?;
        }
        let kept = Record { time_unix: now_unix, what: self.what.clone(), receipt: receipt.clone() };
        let record = serde_json::to_vec(&kept).map_err(|e| StoreError::Bug(format!("a receipt as JSON: {e}")))?;
        records.put(Space::Receipts, &self.name(), &record)
    }

    fn name(&self) -> Vec<u8> {
        format!("{}{}", prefix(&self.owner), self.nonce).into_bytes()
    }
}

/// No client's name has a slash.
fn prefix(owner: &ClientName) -> String {
    format!("{owner}/")
}

fn is_over(kept: &Record, now_unix: u64) -> bool {
    now_unix.saturating_sub(kept.time_unix) > KEPT.as_secs()
}

fn read(record: &Value) -> Result<Record, StoreError> {
    serde_json::from_slice(record).map_err(|e| StoreError::Bug(format!("a receipt in the store: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::temporary;
    use trefoil_engine::Party;

    fn asked(owner: &str, nonce: u64, what: &str) -> Asked {
        let nonce = format!("{nonce:032x}").parse().expect("a nonce");
        Asked { owner: owner.parse().expect("a name"), nonce, what: what.to_owned() }
    }

    fn receipt(statement: &str) -> Receipt {
        Receipt { statement: statement.to_owned(), certificate: String::new(), signature: String::new() }
    }

    #[tokio::test]
    async fn a_receipt_is_given_again_to_its_owner_for_the_same_request_and_for_so_long() {
        let (store, _dir) = temporary(Party::P0).await;
        let now = 1_800_000_000;
        let written = store.write(move |records| asked("bank", 1, "key a").keep(records, (&receipt("one"), now)));
        written.await.expect("a disk");
        let read = store.read(move |records| {
            let met = |asked: Asked, later: u64| asked.met(records, now + later).expect("a disk");
            let week = KEPT.as_secs();
            assert!(matches!(met(asked("bank", 1, "key a"), week), Met::Before(kept) if kept == receipt("one")));
            assert!(matches!(met(asked("bank", 1, "key b"), 0), Met::Another));
            for (asked, later) in [
                (asked("bank", 1, "key a"), week + 1),
                (asked("bank", 2, "key a"), 0),
                (asked("ban", 1, "key a"), 0),
                (asked("shop", 1, "key a"), 0),
            ] {
                assert!(matches!(met(asked, later), Met::New));
            }
            Ok::<_, StoreError>(())
        });
        read.await.expect("a disk");
    }

    #[tokio::test]
    async fn the_oldest_receipts_of_an_owner_go_and_nobody_elses() {
        let (store, _dir) = temporary(Party::P0).await;
        let written = store.write(|records| {
            asked("shop", 7, "theirs").keep(records, (&receipt("theirs"), 0))?;
            for k in 0..=MOST_KEPT as u64 {
                // Written as earlier deletions have, without looking at all of them each time.
                let kept = Record { time_unix: 1000 + k, what: k.to_string(), receipt: receipt("") };
                let record = serde_json::to_vec(&kept).expect("JSON");
                records.put(Space::Receipts, &asked("bank", k, "").name(), &record)?;
            }
            asked("bank", 5000, "last").keep(records, (&receipt("last"), 3000))?;
            let names = records.list(Space::Receipts, b"bank/")?;
            assert_eq!(names.len(), MOST_KEPT);
            assert!(!names.contains(&asked("bank", 1, "").name()) && names.contains(&asked("bank", 2, "").name()));
            // A week later those of before are over.
            asked("bank", 6000, "new").keep(records, (&receipt("new"), 3001 + KEPT.as_secs()))?;
            assert_eq!(records.list(Space::Receipts, b"bank/")?.len(), 1);
            assert_eq!(records.list(Space::Receipts, b"shop/")?.len(), 1);
            Ok::<_, StoreError>(())
        });
        written.await.expect("a disk");
    }
}
