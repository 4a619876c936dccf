//! Every order in which three nodes can prepare, refuse, crash, hear each other late and resolve, for two attempts.

use std::collections::{BTreeSet, HashSet};

use crate::rsa::progress::{Outcome, Progress};

const ATTEMPTS: u64 = 2;

/// The nodes, and everything each has ever said: any of it may arrive at any time, again and again, or never.
#[derive(Clone, Eq, Hash, PartialEq)]
struct World {
    nodes: [Progress; 3],
    said: [BTreeSet<Progress>; 3],
}

impl World {
    fn new() -> Self {
        let nodes = [Progress::default(); 3];
        Self { nodes, said: nodes.map(|progress| BTreeSet::from([progress])) }
    }

    /// With node `i` in another state, which it tells the others. A crash before it tells is a world in which nobody hears.
    fn with(&self, i: usize, progress: Progress) -> Self {
        let mut next = self.clone();
        next.nodes[i] = progress;
        next.said[i].insert(progress);
        next
    }

    /// All worlds one step away.
    fn steps(&self) -> Vec<Self> {
        let mut steps = Vec::new();
        for i in 0..3 {
            for attempt in 1..=ATTEMPTS {
                let (mut prepared, mut refused) = (self.nodes[i], self.nodes[i]);
                // The confirmation before it takes all three nodes, in the same epoch and willing; they may have changed since.
                let willing = |said: &BTreeSet<Progress>| {
                    said.iter().any(|other| {
                        other.epoch == self.nodes[i].epoch && other.prepared.is_none() && other.refused < attempt
                    })
                };
                if self.said.iter().all(willing) && prepared.prepare(attempt).is_ok() {
                    steps.push(self.with(i, prepared));
                }
                if refused.refuse(attempt).is_ok() {
                    steps.push(self.with(i, refused));
                }
            }
            // Any one saying of each of the others, or none, arrives.
            let heard = |of: usize| -> Vec<Vec<Progress>> {
                std::iter::once(Vec::new()).chain(self.said[of].iter().map(|&said| vec![said])).collect()
            };
            for next in heard((i + 1) % 3) {
                for prev in heard((i + 2) % 3) {
                    let mut resolved = self.nodes[i];
                    let outcome = resolved.resolve(&next, &prev).expect("no node is out of step");
                    if matches!(outcome, Outcome::Committed | Outcome::Abandoned) {
                        steps.push(self.with(i, resolved));
                    }
                }
            }
        }
        steps.retain(|next| next != self);
        steps
    }

    /// Whether there are shares that all three nodes have.
    fn is_whole(&self) -> bool {
        let has = |node: &Progress| {
            let pending = node.prepared.map(|attempt| (node.epoch + 1, attempt));
            [Some((node.epoch, node.begun_by)), pending].into_iter().flatten().collect::<BTreeSet<_>>()
        };
        let [a, b, c] = self.nodes.each_ref().map(has);
        a.iter().any(|shares| b.contains(shares) && c.contains(shares))
    }

    /// All nodes talk to each other: who has prepared nothing refuses, then everybody resolves.
    fn settled(mut self) -> Self {
        let attempts: Vec<u64> = self.nodes.iter().filter_map(|node| node.prepared).collect();
        for _ in 0..3 {
            for i in 0..3 {
                let mut node = self.nodes[i];
                for &attempt in &attempts {
                    if node.prepared.is_none() && node.begun_by < attempt {
                        node.refuse(attempt).expect("nothing is prepared");
                    }
                }
                let now = |of: usize| vec![self.nodes[of]];
                node.resolve(&now((i + 1) % 3), &now((i + 2) % 3)).expect("no node is out of step");
                self = self.with(i, node);
            }
        }
        self
    }
}

#[test]
fn in_every_order_the_nodes_keep_shares_in_common_and_end_in_one_epoch() {
    let mut seen = HashSet::from([World::new()]);
    let mut open = vec![World::new()];
    let mut epochs = BTreeSet::new();
    while let Some(world) = open.pop() {
        assert!(world.is_whole(), "{:?}", world.nodes);
        let settled = world.clone().settled();
        assert!(settled.nodes.iter().all(|node| node.prepared.is_none()), "{:?}: {:?}", world.nodes, settled.nodes);
        let ends: BTreeSet<(u64, u64)> = settled.nodes.iter().map(|node| (node.epoch, node.begun_by)).collect();
        assert_eq!(ends.len(), 1, "{:?}: {:?}", world.nodes, settled.nodes);
        epochs.extend(ends);
        for next in world.steps() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    // Nothing begun, either attempt, the second after the first.
    assert_eq!(epochs, BTreeSet::from([(0, 0), (1, 1), (1, 2), (2, 2)]));
    assert!(seen.len() > 1000, "{}", seen.len());
}

#[test]
fn a_node_that_is_not_of_this_history_is_noticed() {
    let prepared = Progress { epoch: 3, begun_by: 5, prepared: Some(7), refused: 6 };
    for strange in [
        Progress { epoch: 5, begun_by: 9, prepared: None, refused: 6 },
        Progress { epoch: 4, begun_by: 6, prepared: None, refused: 6 },
    ] {
        let mut node = prepared;
        assert!(node.resolve(&[strange], &[]).is_err() && node.resolve(&[], &[strange]).is_err());
        assert_eq!(node, prepared);
    }
    let mut node = prepared;
    assert!(node.refuse(8).is_err() && node.prepare(8).is_err());
    node.prepared = None;
    assert!(node.prepare(6).is_err() && node.prepare(5).is_err());
}

#[test]
fn one_node_cannot_use_all_numbers_up() {
    let honest = Progress { epoch: 3, begun_by: 5, prepared: None, refused: 8 };
    let mut node = honest;
    assert!(node.prepare(u64::MAX).is_err() && node.refuse(u64::MAX).is_err());
    assert_eq!(node, honest);
    let behind = Progress { refused: 6, ..honest };
    assert_eq!(Progress::next_attempt([honest, behind, behind]), 9);
    assert_eq!(Progress::next_attempt([honest, behind, Progress { prepared: Some(11), ..behind }]), 12);
    for far in [Progress { refused: u64::MAX, ..honest }, Progress { prepared: Some(u64::MAX), ..honest }] {
        assert_eq!(Progress::next_attempt([far, behind, honest]), 9);
    }
}
