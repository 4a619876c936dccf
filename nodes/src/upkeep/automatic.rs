//! The nodes compare their stores by themselves, when they have nothing else to do.
//!
//! No node asks another for it, so that none can have another do anything: each finds by its own clock and settings that a comparison is due, and joins a session whose name follows from cluster and time. It takes place when all three
//! have come; who misses it comes again a little later. An operator who wants something of the store goes before.

use super::{Task, Unwitnessed, Upkeep, UpkeepFault, UpkeepReport, UpkeepSpec, spec::first};
use crate::{
    clock::now_unix_ms,
    config::{ClusterId, span_or_off},
    job::{FailureKind, JobId},
    status::ComparisonStatus,
    store::{Space, Store, StoreError, Value},
    trace,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::{Instrument as _, debug, error, info, warn};

/// The table `[upkeep]` of `node.toml`: the same at all three nodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpkeepSettings {
    /// How often the nodes compare their stores by themselves; 0 for never.
    #[serde(with = "span_or_off")]
    pub compare: Duration,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self { compare: Duration::from_hours(24) }
    }
}

/// The longest and the shortest time from one attempt to the next.
const LONGEST_SLOT: u64 = 5 * 60 * 1000;
const SHORTEST_SLOT: u64 = 1000;

/// The name of what is remembered of comparisons.
const COMPARED: &[u8] = b"compared";

/// When the stores were compared, and what came of it: in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    /// When the node began to count.
    since: u64,
    /// The last comparison.
    done: u64,
    /// The last one without findings.
    good: u64,
    /// Findings of the last one.
    findings: u64,
}

/// What a node remembers of comparisons.
#[derive(Debug)]
pub struct Comparisons {
    store: Store,
    seen: Mutex<Seen>,
}

impl Comparisons {
    /// What the store has of them.
    ///
    /// # Errors
    /// [`StoreError`], of the disk.
    pub async fn open(store: Store) -> Result<Arc<Self>, StoreError> {
        let record = store.get(Space::Audit, COMPARED).await?;
        let seen = record.and_then(|record| Seen::decode(&record));
        let new = seen.is_none();
        let seen = Mutex::new(seen.unwrap_or_else(|| Seen { since: now_unix_ms(), ..Seen::default() }));
        let this = Arc::new(Self { store, seen });
        if new {
            this.write().await?;
        }
        Ok(this)
    }

    /// As the node tells it.
    pub fn status(&self) -> ComparisonStatus {
        self.seen().status(now_unix_ms())
    }

    /// A comparison has come to its end.
    pub(super) async fn record(&self, report: &UpkeepReport) {
        {
            let mut seen = self.seen();
            (seen.done, seen.findings) = (now_unix_ms(), report.findings.len() as u64);
            if seen.findings == 0 {
                seen.good = seen.done;
            }
        }
        if let Err(error) = self.write().await {
            error!("it could not be written down that the stores were compared: {error}");
        }
    }

    async fn write(&self) -> Result<(), StoreError> {
        let Seen { since, done, good, findings } = *self.seen();
        let record = [since, done, good, findings].map(u64::to_be_bytes).concat();
        self.store.put(Space::Audit, COMPARED, Value::new(record)).await
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn decode(record: &[u8]) -> Option<Self> {
        let (words, []) = record.as_chunks::<8>() else { return None };
        let [since, done, good, findings] = words else { return None };
        let [since, done, good, findings] = [since, done, good, findings].map(|word| u64::from_be_bytes(*word));
        Some(Self { since, done, good, findings })
    }

    /// As the node tells it: what is later than `now` was told by a clock that was wrong, and counts as never.
    fn status(&self, now: u64) -> ComparisonStatus {
        let [last_unix_ms, good_unix_ms] = [self.done, self.good].map(|at| if at > now { 0 } else { at });
        ComparisonStatus { last_unix_ms, good_unix_ms, findings: self.findings }
    }

    /// When the next is due: a while after the last, not at the same time in each cluster. Whatever is there is compared for the first time soon.
    ///
    /// What is later than `now` was told by a clock that was wrong: as if nothing was compared since.
    fn due(&self, (every, cluster): (u64, ClusterId), now: u64) -> u64 {
        let hash = Sha256::new_with_prefix(b"trefoil/v1/compare-jitter").chain_update(cluster.to_string()).finalize();
        let jitter = u64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) % (every / 8).max(1);
        if self.done == 0 || self.done > now {
            let since = if self.since > now { 0 } else { self.since };
            since.saturating_add(every / 8 + jitter)
        } else {
            self.done.saturating_add(every - every / 16 + jitter)
        }
    }
}

/// What an attempt has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attempt {
    /// The stores were compared.
    Done,
    /// All had come, and it broke.
    Broken,
    /// Not all have come, or an operator went before.
    Missed,
}

/// Attempts in a row that broke, each after all the work that one is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Broken {
    times: u32,
    /// When the next may be, and when that was said.
    next: u64,
    since: u64,
}

impl Broken {
    /// One more. The next is an eighth of the time between two comparisons later, and each time twice as late, up to all of it.
    fn again(&mut self, now: u64, every: u64) {
        let wait = (every / 8).saturating_mul(1_u64 << self.times.min(3));
        *self = Self { times: self.times.saturating_add(1), next: now.saturating_add(wait.min(every)), since: now };
    }

    /// Whether it is too early. A clock that was set back meanwhile has nobody wait.
    fn is_waiting(&self, now: u64) -> bool {
        (self.since..self.next).contains(&now)
    }
}

impl Upkeep {
    /// Compares the stores so often, with the two other nodes that do the same. Never returns, unless `every` is zero.
    ///
    /// While jobs are under way it waits, but not for longer than half of `every`; when the node is about to stop it begins nothing.
    pub async fn compare_regularly(
        self: Arc<Self>,
        (every, cluster): (Duration, ClusterId),
        draining: Arc<AtomicBool>,
    ) {
        if every.is_zero() {
            return;
        }
        let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        let slot = (every / 4).clamp(SHORTEST_SLOT, LONGEST_SLOT);
        let mut broken = Broken::default();
        loop {
            let now = now_unix_ms();
            tokio::time::sleep(Duration::from_millis(slot - now % slot)).await;
            let now = now_unix_ms();
            let due = self.comparisons().seen().due((every, cluster), now);
            let busy = self.is_busy() && now < due.saturating_add(every / 2);
            if now < due || busy || broken.is_waiting(now) || draining.load(Ordering::Relaxed) {
                continue;
            }
            // The clocks of the nodes differ by less than half of a slot.
            let number = (now + slot / 2) / slot;
            let within = Duration::from_millis(slot / 4 * 3);
            match Box::pin(self.compare_in(session_of(cluster, number), within)).await {
                Attempt::Done => broken = Broken::default(),
                Attempt::Broken => broken.again(now_unix_ms(), every),
                Attempt::Missed => {}
            }
        }
    }

    /// One comparison, if the others come within this time.
    async fn compare_in(&self, session: JobId, within: Duration) -> Attempt {
        let spec = UpkeepSpec { session, node: None, unwitnessed: Unwitnessed::Refuse };
        let begun = AtomicBool::new(false);
        let compared = async {
            // Whoever comes after the time comes to the next.
            let joined = tokio::time::timeout(within, self.join(Task::Compare, &spec)).await;
            let Ok(joined) = joined else { return Ok(None) };
            let joined = joined?;
            begun.store(true, Ordering::Relaxed);
            self.together(joined, Task::Compare, (&spec, None)).await.map(|(report, _)| Some(report))
        };
        let compared = Box::pin(compared).instrument(trace::upkeep(Task::Compare, session));
        let compared = self.unless_wanted(compared).await;
        let attempt = match &compared {
            Some(Ok(Some(_))) => Attempt::Done,
            Some(Err(_)) if begun.load(Ordering::Relaxed) => Attempt::Broken,
            _ => Attempt::Missed,
        };
        match compared {
            Some(Ok(Some(mut report))) => {
                report.findings = first(report.findings);
                info!(
                    "the stores were compared: {} tables, {} jobs with outputs, {} templates, {} findings",
                    report.tables,
                    report.outputs,
                    report.templates,
                    report.findings.len()
                );
                report.findings.iter().for_each(|finding| {
                    error!("the nodes' stores differ: {}: {}", finding.what, finding.cause);
                });
                if let Err(error) = self.journal().compared(&report) {
                    error!("a comparison of the stores could not be written into the audit log: {error}");
                }
            }
            Some(Ok(None)) => debug!("the other nodes did not come to a comparison of the stores; again later"),
            Some(Err(UpkeepFault::Together(failure))) => match failure.kind {
                FailureKind::Missing | FailureKind::Link => debug!("the stores were not compared: {}", failure.cause),
                FailureKind::Misbehaved => error!("the stores could not be compared: {}", failure.cause),
                _ => warn!("the stores could not be compared: {}; again later", failure.cause),
            },
            Some(Err(fault)) => warn!("the stores could not be compared: {fault}; again later"),
            None => debug!("the stores are not compared now: an operator wants something of this one"),
        }
        attempt
    }
}

/// The session of a time, the same at all three nodes.
fn session_of(cluster: ClusterId, slot: u64) -> JobId {
    let hash = Sha256::new_with_prefix(b"trefoil/v1/compare-session")
        .chain_update(cluster.to_string())
        .chain_update(slot.to_be_bytes())
        .finalize();
    let mut session = [0; 16];
    session.copy_from_slice(&hash[..16]);
    JobId::of_nodes(session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::temporary;
    use trefoil_engine::Party;

    const DAY: u64 = 24 * 3600 * 1000;

    #[test]
    fn a_comparison_is_due_about_once_in_its_time() {
        for cluster in (0..20).map(|k| ClusterId::new([k; 16])) {
            let new = Seen { since: DAY, ..Seen::default() };
            assert!((DAY + DAY / 8..DAY + DAY / 4).contains(&new.due((DAY, cluster), 5 * DAY)), "soon");
            let next = Seen { done: 5 * DAY, ..new }.due((DAY, cluster), 5 * DAY);
            assert!((6 * DAY - DAY / 16..6 * DAY + DAY / 16).contains(&next), "{next}");
        }
        let [a, b] = [1, 2].map(|k| Seen { done: DAY, ..Seen::default() }.due((DAY, ClusterId::new([k; 16])), DAY));
        assert_ne!(a, b, "not all clusters at once");
        assert_ne!(session_of(ClusterId::new([1; 16]), 1), session_of(ClusterId::new([1; 16]), 2));
    }

    #[test]
    fn a_clock_that_was_wrong_once_does_not_stop_comparisons() {
        let cluster = ClusterId::new([1; 16]);
        let wrong = Seen { since: DAY, done: 9000 * DAY, good: 9000 * DAY, findings: 0 };
        assert!(wrong.due((DAY, cluster), 20 * DAY) <= 20 * DAY, "at once");
        assert_eq!(wrong.status(20 * DAY), ComparisonStatus::default(), "never");
        let wrong = Seen { since: 9000 * DAY, ..Seen::default() };
        assert!(wrong.due((DAY, cluster), 20 * DAY) <= 20 * DAY);
        // The largest time there is.
        let last = Seen { since: u64::MAX, done: u64::MAX, good: u64::MAX, findings: 0 };
        assert!(last.due((DAY, cluster), u64::MAX) > 0);
    }

    #[test]
    fn what_broke_is_begun_again_later_and_later() {
        let (mut broken, mut waits) = (Broken::default(), Vec::new());
        assert!(!broken.is_waiting(DAY));
        for _ in 0..6 {
            broken.again(DAY, DAY);
            waits.push((broken.next - DAY) * 8 / DAY);
            assert!(broken.is_waiting(DAY) && broken.is_waiting(broken.next - 1) && !broken.is_waiting(broken.next));
            assert!(!broken.is_waiting(DAY - 1), "the clock was set back");
        }
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn automatic_sessions_have_names_that_no_client_can_take() {
        let session = session_of(ClusterId::new([1; 16]), 1);
        assert!(session.to_string().parse::<JobId>().is_err(), "{session}");
    }

    #[tokio::test]
    async fn what_came_of_the_last_comparison_outlives_the_process() {
        let (store, _dir) = temporary(Party::P0).await;
        let first = Comparisons::open(store.clone()).await.expect("room");
        assert_eq!(first.status(), ComparisonStatus::default(), "never");
        first.record(&UpkeepReport::default()).await;
        let good = first.status();
        assert!(good.good_unix_ms > 0 && good.last_unix_ms == good.good_unix_ms && good.findings == 0);
        let finding = super::super::Finding::new("a table", "they differ");
        first.record(&UpkeepReport { findings: vec![finding], ..UpkeepReport::default() }).await;
        let again = Comparisons::open(store).await.expect("readable").status();
        assert_eq!((again.good_unix_ms, again.findings), (good.good_unix_ms, 1));
        assert_eq!(again, first.status());
    }

    #[test]
    fn it_is_daily_and_can_be_turned_off() {
        let read = |text: &str| toml::from_str::<UpkeepSettings>(text).map(|settings| settings.compare);
        assert_eq!(read("").expect("default"), Duration::from_hours(24));
        assert_eq!(read("compare = \"6h\"").expect("good"), Duration::from_hours(6));
        for off in ["compare = 0", "compare = \"0\"", "compare = \"0s\""] {
            let settings: UpkeepSettings = toml::from_str(off).expect("off");
            let written = toml::to_string(&settings).expect("text");
            assert_eq!((settings.compare, read(&written).expect("read back")), (Duration::ZERO, Duration::ZERO));
        }
        for bad in ["compare = 24", "compare = \"daily\"", "compare = true"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
