//! How much of a node's store one owner may fill. Each node keeps to its own bounds.

use super::{
    AuthFault,
    gallery::{Gallery, all_users},
    records::read,
};
use crate::{
    pki::ClientName,
    store::{Space, Tables, Transaction, Value, WriteTransaction},
};

/// What one owner may store at this node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Templates of all users together.
    pub templates: u32,
    /// Credentials.
    pub credentials: u32,
    /// Enrolments, refreshes, logins and searches under way of all clients, of which one has a quarter at most.
    pub sessions: u32,
}

impl Bounds {
    /// Whether there is room for one more template.
    pub(super) fn template<T: Tables>(self, records: &Transaction<'_, T>, owner: &ClientName) -> Result<(), AuthFault> {
        bound((owner, "templates", "client_templates"), templates(records, owner)?, self.templates)
    }

    /// Whether there is room for one more credential beside so many.
    pub(super) fn credential(self, owner: &ClientName, there: usize) -> Result<(), AuthFault> {
        bound((owner, "credentials", "client_credentials"), there as u64, self.credentials)
    }
}

/// Writes down that a user of an owner has `new` templates in use in place of `old`. The same transaction changes the templates.
pub(super) fn recount(
    records: &mut WriteTransaction<'_>,
    owner: &ClientName,
    (old, new): (usize, usize),
) -> Result<(), AuthFault> {
    if old == new {
        return Ok(());
    }
    let all = templates(records, owner)?.saturating_sub(old as u64).saturating_add(new as u64);
    Ok(records.put(Space::Counters, &counter(owner), &all.to_be_bytes())?)
}

/// The templates of an owner: as they were counted, or, by a version that did not count, as they are there.
fn templates<T: Tables>(records: &Transaction<'_, T>, owner: &ClientName) -> Result<u64, AuthFault> {
    let counted = records.get(Space::Counters, &counter(owner))?;
    if let Some(counted) = counted.as_deref().and_then(|counted| <[u8; 8]>::try_from(counted.as_slice()).ok()) {
        return Ok(u64::from_be_bytes(counted));
    }
    let mut all = 0;
    for name in records.list(Space::Templates, all_users(owner).as_bytes())? {
        let record: Option<Value> = records.get(Space::Templates, &name)?;
        all += record.map_or(Ok(0), |record| read::<Gallery>(&record).map(|gallery| gallery.current.len() as u64))?;
    }
    Ok(all)
}

fn bound((owner, what, key): (&ClientName, &str, &str), there: u64, most: u32) -> Result<(), AuthFault> {
    if there < u64::from(most) {
        return Ok(());
    }
    Err(AuthFault::Limit(format!(
        "{owner} has {there} {what}, and this node takes {most}; revoke some, or raise limits.{key} on every node"
    )))
}

/// No user's counter begins so.
fn counter(owner: &ClientName) -> Vec<u8> {
    format!("templates/{owner}").into_bytes()
}
