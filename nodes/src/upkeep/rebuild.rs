//! A node that has lost its store gets its shares again.
//!
//! Of the three components of an item the lost node held two. One is at the node before it, the other at the node after it; neither sends more than what the lost node held too, so nobody learns anything. What
//! the one sends is checked against what the other remembers of it ([`compare`](super::compare::compare)): else a node that deviates could change a secret at the moment at which nobody else has that component.

use super::{
    Finding, Unwitnessed, UpkeepConfig, UpkeepSpec,
    items::{self, Mark, Salt, Witness, mark_of},
    records,
    shares::{Holdings, ShareAt},
    talk::{Broken, PIECE, Talk},
};
use crate::{
    clock::now_unix_ms,
    job::DoneJob,
    keys::KeyId,
    store::{Space, Value},
    tables::{StoredTable, TableRecord},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use trefoil_engine::{Error, Party, PeerFault};
use zeroize::Zeroizing;

/// Longer than the shares of any template.
const LONGEST_TEMPLATE: u64 = 1 << 20;

/// The longest description of a table.
const LONGEST: usize = 4 << 20;

/// What was rebuilt: tables and outputs, templates, and keys.
pub(super) type Rebuilt = (Vec<ShareAt>, Vec<String>, Vec<KeyId>);

/// What a node that has its store says of an item before it sends its component.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Described {
    /// Bytes of the component; `None` if the item is not there any more.
    bytes: Option<u64>,
    /// Of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<TableRecord>,
    /// Of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<DoneJob>,
}

/// What a node remembers of an item: the salt of the component that it sends, and the mark of the one that the other sends.
struct Remembered {
    salt: Salt,
    third: Mark,
}

/// One thing to rebuild.
enum Piece<'a> {
    Share(&'a ShareAt),
    Template(&'a str),
}

/// Takes this node's part in a rebuild.
///
/// **Cost.** The components that the lost node had, once.
///
/// **Security.** Nobody has more than before. A component that does not fit the mark that the other node remembers is not taken, and the two are named; one of which nothing is remembered is not taken unless the operator says so.
pub(super) async fn rebuild(
    talk: &mut Talk,
    (config, spec, lost): (&UpkeepConfig, &UpkeepSpec, Party),
    shares: &[ShareAt],
    (templates, keys): (&[String], &[KeyId]),
) -> Result<(Rebuilt, Vec<Finding>), Broken> {
    let (mut rebuilt, mut findings) = ((Vec::new(), Vec::new(), Vec::new()), Vec::new());
    // Who has templates needs the lists of them, and what counts them.
    findings.extend(records::rebuild(talk, &config.store, lost).await?);
    let pieces = shares.iter().map(Piece::Share).chain(templates.iter().map(|record| Piece::Template(record)));
    for piece in pieces {
        let outcome = if talk.me() == lost {
            let outcome = Box::pin(receive(talk, (config, spec), &piece)).await?;
            let message: &[u8] = if outcome.is_ok() { &[1] } else { &[0] };
            for peer in lost.peers() {
                talk.tell(peer, Bytes::copy_from_slice(message)).await?;
            }
            outcome
        } else {
            send(talk, (config, lost), &piece).await?;
            let done = talk.hear(lost, 1).await?;
            let (name, _) = piece.about();
            if done[..] == [1] {
                Ok(())
            } else {
                Err(Finding::new(name, format!("{lost} has not taken it; it says why")))
            }
        };
        match (outcome, &piece) {
            (Ok(()), Piece::Share(at)) => rebuilt.0.push((*at).clone()),
            (Ok(()), Piece::Template(record)) => rebuilt.1.push((*record).to_owned()),
            (Err(finding), _) => findings.push(finding),
        }
    }
    for id in keys {
        let outcome = if talk.me() == lost {
            let (next, prev) = (talk.hear(lost.next(), LONGEST).await?, talk.hear(lost.prev(), LONGEST).await?);
            if next.is_empty() || prev.is_empty() {
                Err(Finding::new(
                    id,
                    "a node has no part of it to send: a step with it was interrupted while this node had its share; it says so in its log. The owner enrols a new key, or recovers this one",
                ))
            } else {
                config.keys.rebuild(id, &next, &prev).await.map_err(|fault| Finding::new(id, fault.to_string()))
            }
        } else {
            let part = config.keys.part_for(id, lost).await;
            let (part, outcome) = match part {
                Ok(part) => (part, Ok(())),
                Err(fault) => (Value::default(), Err(Finding::new(id, fault.to_string()))),
            };
            talk.tell(lost, Bytes::from_owner(part)).await?;
            outcome
        };
        match outcome {
            Ok(()) => rebuilt.2.push(id.clone()),
            Err(finding) => findings.push(finding),
        }
    }
    Ok((rebuilt, findings))
}

impl Piece<'_> {
    fn about(&self) -> (String, [u8; 32]) {
        match self {
            Self::Share(at) => at.about(),
            Self::Template(record) => items::about_template(record),
        }
    }
}

/// Sends the component of an item that the lost node held beside this one.
async fn send(talk: &mut Talk, (config, lost): (&UpkeepConfig, Party), piece: &Piece<'_>) -> Result<(), Broken> {
    // The node before the lost one has the component as its next, the node after it as its own.
    let k = usize::from(talk.me() == lost.prev());
    let here = Holdings { store: &config.store, tables: &config.tables, jobs: &config.jobs };
    let item = match piece {
        Piece::Share(at) => here.items(std::slice::from_ref(*at), &[]).pop(),
        Piece::Template(record) => here.items(&[], &[(*record).to_owned()]).pop(),
    };
    let table = match piece {
        Piece::Share(ShareAt::Table(at)) => at.here(&config.tables).map(|table| TableRecord::of(&table)),
        _ => None,
    };
    let job = match piece {
        Piece::Share(ShareAt::Outputs(at)) => {
            let found = config.jobs.kept_component(at.job, at.epoch, k).await.map_err(items::own)?;
            found.map(|(job, _)| job)
        }
        _ => None,
    };
    let component = match &item {
        Some(item) => item.component(&config.store, k).await.ok(),
        None => None,
    };
    let witness = match &item {
        Some(item) => Witness::load(&config.store, item.label()).await?,
        None => None,
    };
    let bytes = component.as_ref().map(|component| component.bytes().len() as u64);
    let remembered = witness.map(|witness| [*witness.salts[k], witness.third].concat()).unwrap_or_default();
    let text = serde_json::to_vec(&Described { bytes, table, job }).map_err(|e| Broken::Own(e.to_string()))?;
    talk.tell(lost, text.into()).await?;
    talk.tell(lost, Bytes::from_owner(Zeroizing::new(remembered))).await?;
    if talk.hear(lost, 1).await?[..] == [1]
        && let Some(component) = component
    {
        for part in component.bytes().chunks(PIECE) {
            talk.tell(lost, Bytes::from_owner(Zeroizing::new(part.to_vec()))).await?;
        }
    }
    Ok(())
}

/// Receives both components of an item, and keeps them if they are what they should be.
async fn receive(
    talk: &mut Talk,
    (config, spec): (&UpkeepConfig, &UpkeepSpec),
    piece: &Piece<'_>,
) -> Result<Result<(), Finding>, Broken> {
    let me = talk.me();
    let (name, label) = piece.about();
    // The component of this name is at the node before, the other at the node after.
    let from = [me.prev(), me.next()];
    let (mut described, mut remembered) = (Vec::with_capacity(2), Vec::with_capacity(2));
    for party in from {
        let text = talk.hear(party, LONGEST).await?;
        described.push(serde_json::from_slice::<Described>(&text).map_err(|e| malformed(party, &e.to_string()))?);
        let bytes = talk.hear(party, 64).await?;
        remembered.push(Remembered::read(&bytes).map_err(|fault| malformed(party, fault))?);
    }
    let [before, after]: [Described; 2] =
        described.try_into().map_err(|_| Broken::Own("two descriptions".to_owned()))?;
    let expected = expected(piece, [&before, &after], config.jobs.limits().all_output_bytes);
    let mut suspects = Vec::new();
    let wanted = match (&expected, &remembered[0], &remembered[1]) {
        (Err(cause), ..) => Err(cause.clone()),
        (Ok(bytes), Some(_), Some(_)) => Ok(*bytes),
        (Ok(bytes), None, None) if spec.unwitnessed == Unwitnessed::Accept => Ok(*bytes),
        (Ok(_), None, None) => Err(format!(
            "both nodes say that its shares were never compared while {me} had them, so that nothing tells whether {} and {} send what they had: `--unwitnessed accept` takes the word of each for the component that it sends, or the owner uploads it again",
            from[0], from[1]
        )),
        // All three begin to remember in one round.
        (Ok(_), of_before, _) => {
            let (knows, other) = if of_before.is_some() { (from[0], from[1]) } else { (from[1], from[0]) };
            suspects.push(other);
            Err(format!(
                "{knows} remembers a comparison of it and {other} does not: {other} was stopped in the middle of that, or deviates so that what it sends is not checked; the owner uploads it again"
            ))
        }
    };
    for party in from {
        talk.tell(party, vec![u8::from(wanted.is_ok())].into()).await?;
    }
    let bytes = match wanted {
        Ok(bytes) => bytes,
        Err(cause) => return Ok(Err(Finding::new(name, cause).suspecting(suspects))),
    };
    let mut components = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(bytes)));
    while components[0].len() < bytes {
        for (party, component) in from.into_iter().zip(&mut components) {
            let due = PIECE.min(bytes - component.len());
            let part = talk.hear(party, due).await?;
            if part.len() != due {
                return Err(malformed(party, "a part of a component of another length"));
            }
            component.extend_from_slice(&part);
        }
    }
    let [of_before, of_after] = [&remembered[0], &remembered[1]];
    for (said, (component, party)) in
        [(of_before, of_after), (of_after, of_before)].into_iter().zip(components.iter().zip(from))
    {
        if !is_as_remembered(label, said, component) {
            let cause = format!(
                "what {party} has sent is not what the nodes had when they last compared it, as the other remembers it: {} or {} has changed it; nothing was taken",
                from[0], from[1]
            );
            return Ok(Err(Finding::new(name, cause).suspecting(from)));
        }
    }
    let apart = u64::try_from(config.jobs.limits().job_deadline.as_millis()).unwrap_or(u64::MAX);
    let job = match before.job.zip(after.job).map(|(one, other)| one.with_times_of(&other, (now_unix_ms(), apart))) {
        None => None,
        Some(Ok(job)) => Some(job),
        Some(Err(cause)) => return Ok(Err(Finding::new(name, cause).suspecting(from))),
    };
    let described =
        Described { bytes: None, table: before.table.zip(after.table).map(|(one, other)| one.agreed(&other)), job };
    let kept = keep(config, piece, described, components);
    Ok(Box::pin(talk.working(kept)).await?.map_err(|cause| Finding::new(name, cause)))
}

impl Remembered {
    /// As it was sent: nothing, or both.
    fn read(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let (parts, rest) = bytes.as_chunks::<32>();
        match (parts, rest) {
            ([], []) => Ok(None),
            ([salt, third], []) => Ok(Some(Self { salt: Zeroizing::new(*salt), third: *third })),
            _ => Err("neither what it remembers nor nothing"),
        }
    }
}

/// Whether a component is the one that was compared, by the salt of the one that sends it and the mark that the other remembers. Where nothing is remembered nothing contradicts it.
fn is_as_remembered(
    label: [u8; 32],
    (sender, other): (&Option<Remembered>, &Option<Remembered>),
    component: &[u8],
) -> bool {
    match (sender, other) {
        (Some(sender), Some(other)) => other.third.ct_eq(&mark_of(label, &sender.salt, component)).into(),
        _ => true,
    }
}

/// The bytes of each component, if both nodes describe the same.
fn expected(piece: &Piece<'_>, said: [&Described; 2], most: u64) -> Result<usize, String> {
    let [Some(bytes), Some(other)] = said.map(|said| said.bytes) else {
        return Err("it was deleted meanwhile".to_owned());
    };
    let differ = || "the two nodes describe it otherwise, so that one of them deviates; nothing was taken".to_owned();
    match (piece, &said[0].table, &said[1].table) {
        (Piece::Share(ShareAt::Table(at)), Some(one), Some(two)) => {
            if !one.is_same(two) || one.spec.digest(&at.key()) != at.sha256.0 {
                return Err(differ());
            }
            let due = one.spec.component_bytes()?;
            if [bytes, other] != [due as u64; 2] {
                return Err(differ());
            }
            Ok(due)
        }
        (Piece::Share(ShareAt::Outputs(at)), None, None) => {
            let (Some(one), Some(two)) = (&said[0].job, &said[1].job) else { return Err(differ()) };
            let is_due = one.accepted.job == at.job && one.accepted.digest == at.sha256 && one.epoch() == at.epoch;
            let due = one.component_bytes()?;
            if !one.is_same(two) || !is_due || [bytes, other] != [due as u64; 2] {
                return Err(differ());
            }
            if bytes > most {
                return Err(format!(
                    "its outputs have {bytes} bytes, more than limits.all_output_bytes of this node ({most})"
                ));
            }
            Ok(due)
        }
        // As long as the longest template.
        (Piece::Template(_), None, None) if bytes == other && bytes <= LONGEST_TEMPLATE => {
            usize::try_from(bytes).map_err(|e| e.to_string())
        }
        _ => Err(differ()),
    }
}

async fn keep(
    config: &UpkeepConfig,
    piece: &Piece<'_>,
    described: Described,
    components: [Zeroizing<Vec<u8>>; 2],
) -> Result<(), String> {
    match piece {
        Piece::Share(ShareAt::Table(at)) => {
            let record = described.table.ok_or("it was not described")?;
            let restored = config.tables.restore((at.key(), at.epoch), record, components).await;
            restored.map(|_: Arc<StoredTable>| ()).map_err(|fault| fault.to_string())
        }
        Piece::Share(ShareAt::Outputs(_)) => {
            config.jobs.take_back(described.job.ok_or("it was not described")?, components).await
        }
        Piece::Template(record) => {
            let value = Value::new([components[0].as_slice(), components[1].as_slice()].concat());
            let (store, record) = (&config.store, record.as_bytes().to_vec());
            let write = store.write(move |records| match records.get(Space::Templates, &record)? {
                None => records.put(Space::Templates, &record, &value),
                Some(_) => Ok(()),
            });
            write.await.map_err(|e| e.to_string())
        }
    }
}

/// Two descriptions of one item: what of them is taken has a length that is bounded.
#[cfg(any(test, fuzzing))]
pub(super) fn read_descriptions(text: &[u8]) {
    use super::inventory::{OutputsAt, TableAt};
    const MOST: u64 = 1 << 20;
    let Some([one, other]) = super::fuzzing::read::<[Described; 2]>(text) else { return };
    let due = |piece: &Piece<'_>| expected(piece, [&one, &other], MOST).ok().map(|bytes| bytes as u64);
    assert!(due(&Piece::Template("share/bank/u-1/00")).is_none_or(|bytes| bytes <= LONGEST_TEMPLATE));
    if let Some(table) = &one.table {
        let at = TableAt {
            owner: "bank".parse().expect("a name"),
            name: "loans".parse().expect("a name"),
            version: 1,
            sha256: crate::job::Sha256Hex([0; 32]),
            epoch: crate::tables::Epoch::default(),
            pending: None,
        };
        let at = TableAt { sha256: crate::job::Sha256Hex(table.spec.digest(&at.key())), ..at };
        if let Some(bytes) = due(&Piece::Share(&ShareAt::Table(at))) {
            assert_eq!(Some(bytes), one.bytes);
            let _ = other.table.as_ref().map(|other| table.clone().agreed(other));
        }
    }
    if let Some(job) = &one.job {
        let (id, sha256, epoch) = (job.accepted.job, job.accepted.digest, job.epoch());
        let at = OutputsAt { job: id, sha256, epoch, pending: None };
        let bytes = due(&Piece::Share(&ShareAt::Outputs(at)));
        assert!(bytes.is_none_or(|bytes| bytes <= MOST && Some(bytes) == one.bytes));
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_remembered(bytes: &[u8]) {
    if let Ok(remembered) = Remembered::read(bytes) {
        assert_eq!(bytes.len(), remembered.map_or(0, |_| 64));
    }
}

fn malformed(party: Party, what: &str) -> Broken {
    Broken::Link(Error::Peer { peer: party, fault: PeerFault::Malformed(what.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A neighbour that sends another component than there was, or forgets what it remembered to have it taken on trust.
    #[test]
    fn a_component_is_what_the_other_neighbour_remembers() {
        let (label, salt) = ([1; 32], Zeroizing::new([2; 32]));
        let component = [3; 100];
        let mark = mark_of(label, &salt, &component);
        let remembered = |salt: u8, third| Some(Remembered { salt: Zeroizing::new([salt; 32]), third });
        let sender = remembered(2, [0; 32]);
        let other = remembered(9, mark);
        assert!(is_as_remembered(label, (&sender, &other), &component));
        let mut changed = component;
        changed[7] ^= 1;
        assert!(!is_as_remembered(label, (&sender, &other), &changed));
        assert!(!is_as_remembered(label, (&sender, &other), &component[..99]));
        assert!(!is_as_remembered([8; 32], (&sender, &other), &component), "of another epoch");
        assert!(!is_as_remembered(label, (&remembered(5, [0; 32]), &other), &component), "under another salt");
        let read = |bytes: &[u8]| Remembered::read(bytes).ok().map(|remembered| remembered.is_some());
        assert_eq!([read(&[]), read(&[0; 64]), read(&[0; 32]), read(&[0; 63])], [Some(false), Some(true), None, None]);
    }
}
