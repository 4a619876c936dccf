//! What the nodes tell each other about their stores as functions of bytes, for the fuzzers.

use super::{
    inventory::{Inventory, names, outputs, settlement, tables, tables_for},
    items::about_template,
    rebuild, records,
    shares::ShareAt,
};
use serde::de::DeserializeOwned;
use trefoil_engine::Party;

/// Three inventories, descriptions of something that is to be rebuilt, what is remembered of it, or records. The first byte says which.
pub(crate) fn read_any(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind {
        b'a' => {
            let Some(all) = read::<[Inventory; 3]>(text) else { return };
            let (common, _) = tables(&all, &Party::ALL);
            let common = common.into_iter().chain(tables_for(&all, Party::P2).0);
            let common = common.map(|(_, at)| at.into_iter().map(ShareAt::Table).collect());
            for at in common.chain(outputs(&all, &Party::ALL)).chain(outputs(&all, &[Party::P0, Party::P1])) {
                let at: Vec<ShareAt> = at;
                let _ = (settlement(&at), at.iter().map(ShareAt::about).count());
            }
            let lists = all.each_ref().map(|of| of.templates.as_slice());
            let (common, _) = names(lists, &Party::ALL, |name| about_template(name).0);
            assert!(common.iter().all(|name| lists.iter().all(|list| list.contains(name))));
            let _ = names(all.each_ref().map(|of| of.keys.as_slice()), &[Party::P0, Party::P1], ToString::to_string);
        }
        b'b' => rebuild::read_descriptions(text),
        b'c' => rebuild::read_remembered(text),
        _ => records::read_records(text),
    }
}

/// As [`Talk::share`](super::talk::Talk::share) reads it.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}
