//! Who is next: a fair queue over the clients, for the node that grants turns.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996), with places as the cost of a turn. Every turn that is asked for has a *start*: where the turn before it of the same client ends, or the
//! time of the queue if that is later. The least start is next, and becomes the time of the queue; a turn ends its cost after its start. So of two clients who both have turns waiting, one is ahead of the other by no
//! more than a turn of each, whatever they ask for, and whoever comes with a first turn is behind at most one turn of each other client.
//!
//! Whoever is next and needs more places than are free keeps the others waiting until it has them: a large turn is not overtaken by small ones for ever. Those who come later start no earlier than the time of the queue, so
//! each of them is before it with no more than it would have had in its place.
//!
//! Logins are short, bounded in number by the node, and people wait for them: they are before the turns of clients, except that after some in a row one of those goes.

use crate::pki::ClientName;
use std::collections::{BTreeMap, VecDeque};
use trefoil_engine::transport::SessionId;

/// For whom a turn is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flow {
    /// A login, an enrolment, a refresh or a search.
    Login,
    /// The jobs of a client.
    Client(ClientName),
}

/// Logins that are granted one after the other while clients wait.
const IN_A_ROW: u32 = 8;

/// Those who wait for places.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    free: u32,
    logins: VecDeque<Waiting>,
    clients: BTreeMap<ClientName, Client>,
    time: u64,
    in_a_row: u32,
    arrivals: u64,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// Where the first of those that wait starts, or the next that comes.
    start: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    session: SessionId,
    cost: u32,
    arrival: u64,
}

impl Queue {
    pub(super) fn new(places: u32) -> Self {
        Self { free: places, logins: VecDeque::new(), clients: BTreeMap::new(), time: 0, in_a_row: 0, arrivals: 0 }
    }

    /// A session waits for so many places: no more than there are.
    pub(super) fn push(&mut self, flow: Flow, session: SessionId, cost: u32) {
        let waiting = Waiting { session, cost, arrival: self.arrivals };
        self.arrivals += 1;
        match flow {
            Flow::Login => self.logins.push_back(waiting),
            Flow::Client(name) => {
                let client = self.clients.entry(name).or_default();
                client.start = client.start.max(self.time);
                client.waiting.push_back(waiting);
            }
        }
    }

    /// Who is next, if there are places for it, which it has then.
    pub(super) fn pop(&mut self) -> Option<(SessionId, u32)> {
        let client = self.next_client();
        let login = self.logins.front().filter(|_| client.is_none() || self.in_a_row < IN_A_ROW).copied();
        let next = match (&login, &client) {
            (Some(login), _) => *login,
            (None, Some((_, first))) => *first,
            (None, None) => return None,
        };
        self.free = self.free.checked_sub(next.cost)?;
        match (login, client) {
            (Some(_), client) => {
                self.logins.pop_front();
                self.in_a_row = if client.is_some() { self.in_a_row + 1 } else { 0 };
            }
            (None, Some((name, _))) => {
                self.in_a_row = 0;
                if let Some(client) = self.clients.get_mut(&name) {
                    client.waiting.pop_front();
                    self.time = client.start;
                    client.start += u64::from(next.cost);
                }
                self.tidy();
            }
            (None, None) => {}
        }
        Some((next.session, next.cost))
    }

    /// Places that are not needed any more.
    pub(super) fn give_back(&mut self, cost: u32) {
        self.free += cost;
    }

    /// A session does not wait any more.
    pub(super) fn remove(&mut self, session: SessionId) {
        let others = |waiting: &Waiting| waiting.session != session;
        self.logins.retain(others);
        self.clients.values_mut().for_each(|client| client.waiting.retain(others));
        self.tidy();
    }

    /// How many are before a session that waits.
    pub(super) fn before(&self, session: SessionId) -> Option<usize> {
        let mut rest = Self { free: u32::MAX, ..self.clone() };
        std::iter::from_fn(|| {
            let (next, cost) = rest.pop()?;
            rest.give_back(cost);
            Some(next)
        })
        .position(|next| next == session)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.logins.len() + self.clients.values().map(|client| client.waiting.len()).sum::<usize>()
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// The client whose first turn has the least start; of several, the one that came first.
    fn next_client(&self) -> Option<(ClientName, Waiting)> {
        let first =
            self.clients.iter().filter_map(|(name, client)| Some((name, client.start, client.waiting.front()?)));
        let (name, _, first) = first.min_by_key(|(_, start, first)| (*start, first.arrival))?;
        Some((name.clone(), *first))
    }

    /// A client without a turn is remembered as long as it is ahead of the time.
    fn tidy(&mut self) {
        let time = self.time;
        self.clients.retain(|_, client| !client.waiting.is_empty() || client.start > time);
    }
}

#[cfg(test)]
mod tests;
