//! Places that clients share. None of them has so many that another finds none.

use crate::pki::ClientName;
use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for work of clients: so many in all, and so many of one client.
pub struct Places<K = ClientName> {
    most: usize,
    each: usize,
    all: Arc<Semaphore>,
    clients: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// There is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Crowded {
    /// The client has all of its places taken.
    #[error("this node has {0} requests of you under way, the most that it takes of one client; wait for their ends")]
    Own(usize),
    /// All places are taken.
    #[error("this node has {0} requests under way, as many as it takes; come back in a moment")]
    All(usize),
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// So many in all, of which a client has a quarter at most.
    pub fn new(most: usize) -> Self {
        Self::with_each(most, most.div_ceil(4))
    }

    /// So many in all, and so many of one client.
    pub fn with_each(most: usize, each: usize) -> Self {
        Self { most, each, all: Arc::new(Semaphore::new(most)), clients: Mutex::default() }
    }

    /// A place for a client, if there is one now.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn try_take(&self, client: &K) -> Result<Place, Crowded> {
        let own = self.of(client).try_acquire_owned().map_err(|_| Crowded::Own(self.each))?;
        let of_all = self.all.clone().try_acquire_owned().map_err(|_| Crowded::All(self.most))?;
        Ok(Place { _own: own, _of_all: of_all })
    }

    /// A place for a client, when there is one: who came first has the first. A client waits for its own places first, so that no more of its requests are before those of others than it may have places.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Crowded`] if there is none for so long.
    pub async fn take(&self, client: &K, patience: Duration) -> Result<Place, Crowded> {
        let until = tokio::time::Instant::now() + patience;
        let own = tokio::time::timeout_at(until, self.of(client).acquire_owned()).await;
        let own = own.ok().and_then(Result::ok).ok_or(Crowded::Own(self.each))?;
        let of_all = tokio::time::timeout_at(until, self.all.clone().acquire_owned()).await;
        let of_all = of_all.ok().and_then(Result::ok).ok_or(Crowded::All(self.most))?;
        Ok(Place { _own: own, _of_all: of_all })
    }

    fn of(&self, client: &K) -> Arc<Semaphore> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = clients.get(client) {
            return own.clone();
        }
        // Whoever has or awaits a place holds one more.
        clients.retain(|_, own| Arc::strong_count(own) > 1);
        clients.entry(client.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}

impl<K> fmt::Debug for Places<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Places({} of {} free)", self.all.available_permits(), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_client_takes_the_places_of_others() {
        let (places, [alice, bob]) =
            (Places::new(8), ["alice", "bob"].map(|name| name.parse::<ClientName>().expect("a name")));
        let taken = [places.try_take(&alice).expect("free"), places.try_take(&alice).expect("free")];
        assert_eq!(places.try_take(&alice).expect_err("a quarter"), Crowded::Own(2));
        assert_eq!(places.take(&alice, Duration::from_millis(1)).await.expect_err("a quarter"), Crowded::Own(2));
        let other = places.try_take(&bob).expect("bob's own");
        drop(taken);
        let again = places.take(&alice, Duration::from_secs(1)).await.expect("free again");
        drop((again, other));
        assert_eq!(places.all.available_permits(), 8);
        places.try_take(&bob).expect("free");
        places.of(&"carol".parse().expect("a name"));
        assert_eq!(places.clients.lock().expect("unpoisoned").len(), 1, "who has no place is forgotten");
    }

    /// Whoever has its own places taken and waits is not before others.
    #[tokio::test]
    async fn who_waits_has_the_next_place_whoever_asks_more_often() {
        let places = Arc::new(Places::with_each(1, 1));
        let [alice, bob] = ["alice", "bob"].map(|name| name.parse::<ClientName>().expect("a name"));
        let held = places.try_take(&alice).expect("free");
        let asks = |client: ClientName| {
            let places = places.clone();
            tokio::spawn(async move { places.take(&client, Duration::from_mins(1)).await })
        };
        let _often: Vec<_> = (0..20).map(|_| asks(alice.clone())).collect();
        let waits = asks(bob.clone());
        while places.of(&bob).available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        drop(held);
        waits.await.expect("it ends").expect("a place in its turn");
    }
}
