//! Connections of which it is not known yet who is at their other end: in their handshake, or without a certificate and without a token that was taken.
//!
//! Anybody who reaches the port can open them, so they never make others wait: who comes when there are too many displaces the oldest of
//! the network that has most, and who has too many from one network displaces its own. Whoever means it is through within a few round trips.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Those that are there.
#[derive(Debug)]
pub(super) struct Newcomers {
    most: usize,
    each: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The number of the next: the smaller, the older.
    next: u64,
    count: usize,
    networks: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<()>>>,
}

/// One of them. Its place is free when this is dropped.
#[derive(Debug)]
pub(super) struct Newcomer {
    all: Arc<Newcomers>,
    network: IpAddr,
    number: u64,
    leave: oneshot::Receiver<()>,
}

impl Newcomers {
    /// `most` at the same time, and a quarter of them from one network.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), each: (most / 4).max(1), inner: Mutex::default() })
    }

    /// A place, for which another may have to leave.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Newcomer {
        let network = network(address);
        let (displaced, leave) = oneshot::channel();
        let mut inner = self.lock();
        if inner.networks.get(&network).is_some_and(|mine| mine.len() >= self.each) {
            inner.displace(network);
        } else if inner.count >= self.most
            && let Some(crowd) = inner.networks.iter().max_by_key(|(_, open)| open.len()).map(|(network, _)| *network)
        {
            inner.displace(crowd);
        }
        let number = inner.next;
        inner.next += 1;
        inner.count += 1;
        inner.networks.entry(network).or_default().insert(number, displaced);
        Newcomer { all: self.clone(), network, number, leave }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn displace(&mut self, network: IpAddr) {
        let oldest = self.networks.get_mut(&network).and_then(BTreeMap::pop_first);
        if let Some((_, displaced)) = oldest {
            self.count -= 1;
            // It may be leaving by itself.
            let _ = displaced.send(());
        }
    }
}

impl Newcomer {
    /// Returns when another has its place. Cancel safe.
    pub(super) async fn displaced(&mut self) {
        // Without a sender it is not among those that are there either.
        let _ = (&mut self.leave).await;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut inner = self.all.lock();
        let Some(mine) = inner.networks.get_mut(&self.network) else { return };
        let was_there = mine.remove(&self.number).is_some();
        if mine.is_empty() {
            inner.networks.remove(&self.network);
        }
        inner.count -= usize::from(was_there);
    }
}

/// What one host has by itself: an address of IPv4, or the 2^64 addresses of IPv6 that it may choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_displaced(newcomer: &mut Newcomer) -> bool {
        newcomer.leave.try_recv().is_ok()
    }

    #[test]
    fn whoever_floods_displaces_its_own() {
        let all = Newcomers::new(8);
        let (evil, good): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut first = all.admit(good);
        let mut flood: Vec<_> = (0..100).map(|_| all.admit(evil)).collect();
        let left: Vec<_> = flood.iter_mut().map(is_displaced).collect();
        assert_eq!(left.iter().filter(|left| !**left).count(), 2, "a quarter of the places");
        assert!(left[..98].iter().all(|left| *left), "the oldest have left");
        assert!(!is_displaced(&mut first));
        drop(flood);
        drop(first);
        let inner = all.lock();
        assert_eq!((inner.count, inner.networks.len()), (0, 0));
    }

    #[test]
    fn where_there_are_too_many_the_largest_crowd_gives_way() {
        let all = Newcomers::new(8);
        let host = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut singles: Vec<_> = (0..6).map(|n| all.admit(host(n))).collect();
        let mut pair: Vec<_> = (0..2).map(|_| all.admit(host(100))).collect();
        let mut new = all.admit(host(200));
        assert_eq!(pair.iter_mut().map(is_displaced).collect::<Vec<_>>(), [true, false]);
        assert!(!singles.iter_mut().any(is_displaced) && !is_displaced(&mut new));
        assert_eq!(all.lock().count, 8);
    }

    #[test]
    fn a_host_is_counted_once_whatever_address_it_chooses() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:3::1")));
        assert_eq!(network(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
