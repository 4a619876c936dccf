//! The keys of one node.

use super::{
    Enrolment, ExchangeId, KeyFault, KeyId, KeySpec, KeyStatus, KeyUse, Partials, Rate, SignRequest,
    exchange::Save,
    expiry::Due,
    receipt::deleted,
    signers::Signers,
    step::{Together, Work},
    stored::Stored,
};
use crate::{
    config::ClusterId,
    job::{Failure, FailureKind, Sessions},
    pki::{ClientName, Identity},
    places::Places,
    receipt::{Asked, Met, Nonce, Notary, Receipt, USED, now_unix},
    store::{Space, Store, Value},
    tables::Clock,
};
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use trefoil_auth::rsa::{Message, NodeKey, NodePartials, PublicKey};
use trefoil_engine::Party;

/// Steps with others that are under way at the same time, of which a client has a quarter. One that the others do not come to waits for `transport.join_deadline`.
const STEPS: usize = 64;

/// Requests that are under way or wait: for the step before with the same key, then for a place among those under way.
const WAITING: usize = 1024;

/// Of these, those of one client.
const WAITING_EACH: usize = 32;

/// How long a step whose key is free waits for a place: well below the time that the other nodes wait for this one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the keys of a node are kept and used with.
pub struct KeysConfig<'a> {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's certificate and key, which sign receipts.
    pub identity: &'a Identity,
    /// Where records are.
    pub store: Store,
    /// How the node meets the others.
    pub sessions: Box<dyn Sessions>,
    /// Signatures a second, for each client and key.
    pub signatures: u32,
    /// The most keys of one client.
    pub client_keys: u32,
    /// By which keys expire.
    pub clock: Clock,
}

/// The keys of all owners that a node has.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct KeysHere {
    /// Those in use.
    pub in_use: Vec<KeyId>,
    /// Those whose records cannot be read.
    pub damaged: Vec<KeyId>,
}

/// The keys of one node.
pub struct Keys {
    me: Party,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) due: Due,
    sessions: Box<dyn Sessions>,
    notary: Notary,
    rate: Rate,
    /// The most of one client.
    most: u32,
    pub(super) signers: Arc<Signers>,
    /// As many signatures at once as there are cores.
    cores: Arc<Semaphore>,
    waiting: Places,
    under_way: Places,
    /// Held through a step with a key.
    steps: Mutex<HashMap<KeyId, Arc<tokio::sync::Mutex<()>>>>,
}

/// A node's part of a signature.
#[derive(Debug)]
pub struct Signed {
    /// The key.
    pub public: PublicKey,
    /// The part.
    pub partials: NodePartials,
    /// Whether a step was interrupted that the next one will settle.
    pub unsettled: bool,
}

impl Keys {
    /// The keys that are in the store.
    ///
    /// # Errors
    /// [`KeyFault::Bug`] if the node's certificate cannot sign receipts.
    pub fn new(me: Party, config: KeysConfig<'_>) -> Result<Arc<Self>, KeyFault> {
        let KeysConfig { cluster, identity, store, sessions, signatures, client_keys, clock } = config;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            me,
            store,
            clock,
            due: Due::default(),
            sessions,
            notary: Notary::new(cluster, me, identity).map_err(|e| KeyFault::Bug(e.to_string()))?,
            rate: Rate::new(signatures),
            most: client_keys,
            signers: Arc::default(),
            cores: Arc::new(Semaphore::new(cores)),
            waiting: Places::with_each(WAITING, WAITING_EACH),
            under_way: Places::new(STEPS),
            steps: Mutex::default(),
        }))
    }

    /// What signs its receipts.
    pub(crate) fn notary(&self) -> &Notary {
        &self.notary
    }

    /// Takes this node's share of a key, when the three nodes have found that theirs fit. Returns the key, and whether it is new: a repeated enrolment finds it there.
    ///
    /// Goes on if it is dropped.
    ///
    /// # Errors
    /// [`KeyFault`]; no node has the key then, or a later attempt finds that all have it.
    pub async fn enrol(
        self: &Arc<Self>,
        id: KeyId,
        enrolment: Enrolment,
        exchange: ExchangeId,
    ) -> Result<(KeyStatus, bool), KeyFault> {
        enrolment
            .spec
            .check()
            .and_then(|()| enrolment.spec.check_share(&enrolment.share))
            .map_err(KeyFault::Invalid)?;
        if enrolment.share.party() != self.me {
            let fault = format!("this is the share of {}, and this node is {}", enrolment.share.party(), self.me);
            return Err(KeyFault::Invalid(fault));
        }
        self.check_time(&id, &enrolment.spec)?;
        let (this, waiting) = (self.clone(), self.waiting.try_take(&id.owner)?);
        detached(async move {
            let _step = this.step(&id).await;
            let _places = (waiting, this.under_way.take(&id.owner, PATIENCE).await?);
            let Some(mut stored) = this.begin(&id, &enrolment).await? else {
                let there = Stored::load(&this.store, &id).await?.ok_or_else(|| KeyFault::Missing(id.clone()))?;
                return Ok((there.status()?, false));
            };
            this.take(&mut stored, Work::Enrol(enrolment.share), exchange).await?;
            if stored.record.current().is_none() {
                return Err(KeyFault::Taken(id, " at another node, from an earlier enrolment"));
            }
            tracing::info!("enrolled {id}");
            Ok((stored.status()?, true))
        })
        .await
    }

    /// New shares of a key at all three nodes, with which the old ones are of no use. Goes on if it is dropped.
    ///
    /// # Errors
    /// [`KeyFault`]; the shares in use are the old ones at all nodes, or a later step finds that they are the new ones.
    pub async fn refresh(
        self: &Arc<Self>,
        caller: &ClientName,
        id: KeyId,
        exchange: ExchangeId,
    ) -> Result<KeyStatus, KeyFault> {
        id.owned_by(caller)?;
        self.with_others(caller, (id, exchange), Work::Refresh).await
    }

    /// Ends a step that was interrupted, at all three nodes. Goes on if it is dropped.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub async fn settle(
        self: &Arc<Self>,
        caller: &ClientName,
        id: KeyId,
        exchange: ExchangeId,
    ) -> Result<KeyStatus, KeyFault> {
        self.usable(caller, &id).await?;
        self.with_others(caller, (id, exchange), Work::Settle).await
    }

    /// This node's part of a signature of a document, for the owner and those whom it names.
    ///
    /// # Errors
    /// [`KeyFault`]: the caller may not, the key is a device's, or asks for too much.
    pub async fn sign_document(
        &self,
        caller: &ClientName,
        id: &KeyId,
        request: &SignRequest,
    ) -> Result<Partials, KeyFault> {
        let message = request.message().map_err(KeyFault::Invalid)?;
        let changes = self.signers.changes();
        let stored = self.usable(caller, id).await?;
        self.admit(caller, id)?;
        let Signed { public, partials, unsettled } = self.sign_with(stored, message, request.epoch, changes).await?;
        Ok(Partials { epoch: partials.epoch(), unsettled, partials: hex::encode(partials.encode(&public)) })
    }

    /// This node's part of a signature, for other parts of the node: who may have what signed was decided by the caller. With the shares in use, unless an epoch is named.
    ///
    /// # Errors
    /// [`KeyFault::Missing`]; [`KeyFault::Key`] if a key with a device is to sign a document.
    pub async fn sign(&self, id: &KeyId, message: Message, epoch: Option<u64>) -> Result<Signed, KeyFault> {
        let changes = self.signers.changes();
        let stored = self.load(id).await?;
        self.sign_with(stored, message, epoch, changes).await
    }

    /// As [`sign`](Self::sign), with the shares that an interrupted step has left prepared at this node; `None` if there are none. Which of the two are in use at the others it cannot know.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub async fn sign_prepared(&self, id: &KeyId, message: Message) -> Result<Option<Signed>, KeyFault> {
        let changes = self.signers.changes();
        let stored = self.load(id).await?;
        let prepared = stored.record.status().epoch() + 1;
        if stored.record.at(prepared).is_none() {
            return Ok(None);
        }
        self.sign_with(stored, message, Some(prepared), changes).await.map(Some)
    }

    /// The public key.
    ///
    /// # Errors
    /// [`KeyFault::Missing`], or of the store.
    pub async fn public(&self, id: &KeyId) -> Result<PublicKey, KeyFault> {
        Ok(self.load(id).await?.public)
    }

    /// What a key of an owner is for, and its public key.
    ///
    /// # Errors
    /// [`KeyFault::Missing`] if there is none in use, or of the store.
    pub async fn usage(&self, id: &KeyId) -> Result<(KeyUse, PublicKey), KeyFault> {
        let stored = self.load(id).await?;
        let usage = stored.usage().ok_or_else(|| KeyFault::Missing(id.clone()))?;
        Ok((usage, stored.public))
    }

    /// A key, for its owner and those who may use it.
    ///
    /// # Errors
    /// [`KeyFault::Missing`], or of the store.
    pub async fn get(&self, caller: &ClientName, id: &KeyId) -> Result<KeyStatus, KeyFault> {
        self.usable(caller, id).await?.status()
    }

    /// The keys of a client, by name. What is left of enrolments that came to nothing is not among them.
    ///
    /// # Errors
    /// [`KeyFault::Store`].
    pub async fn list(&self, owner: &ClientName) -> Result<Vec<KeyStatus>, KeyFault> {
        let mut keys = Vec::new();
        let take = |id, stored: Result<Stored, KeyFault>| match stored {
            Ok(stored) if stored.record.current().is_some() || stored.unsettled() => keys.push(stored.status()),
            Ok(_) => {}
            // Each comparison of the stores says so.
            Err(fault) => tracing::debug!("{id} is left out of a list: {fault}"),
        };
        Stored::each(&self.store, prefix(owner), take).await?;
        keys.into_iter().collect()
    }

    /// Erases a key of the caller at this node; if an enrolment is given, only if it is of that one. Goes on if it is dropped. Repeated with the same nonce it gives the same receipt, for [`KEPT`](crate::receipt::KEPT), whatever is there by then.
    ///
    /// # Errors
    /// [`KeyFault::Missing`], [`KeyFault::Invalid`] for the nonce of another request, or of the store.
    pub async fn delete(
        self: &Arc<Self>,
        caller: &ClientName,
        id: KeyId,
        (only, nonce): (Option<ExchangeId>, Option<Nonce>),
    ) -> Result<Receipt, KeyFault> {
        id.owned_by(caller)?;
        let (this, waiting) = (self.clone(), self.waiting.try_take(caller)?);
        detached(async move {
            let _step = (waiting, this.step(&id).await);
            let (node, now) = (this.clone(), now_unix());
            let what = format!("key {} {}", id.name, only.map(|only| only.to_string()).unwrap_or_default());
            let asked = nonce.map(|nonce| Asked { owner: id.owner.clone(), nonce, what });
            let write = this.store.write(move |records| {
                match asked.as_ref().map(|asked| asked.met(records, now)).transpose()? {
                    Some(Met::Before(receipt)) => return Ok((receipt, None)),
                    Some(Met::Another) => return Err(KeyFault::Invalid(USED.to_owned())),
                    Some(Met::New) | None => {}
                }
                let stored = Stored::read(records, &id)?;
                let stored = stored.filter(|stored| only.is_none_or(|only| only == stored.spec.enrolment));
                let stored = stored.ok_or_else(|| KeyFault::Missing(id.clone()))?;
                stored.remove(records)?;
                let receipt = deleted(&node.notary, &stored, nonce)?;
                if let Some(asked) = &asked {
                    asked.keep(records, (&receipt, now))?;
                }
                Ok((receipt, Some(stored)))
            });
            let (receipt, gone) = write.await?;
            if let Some(gone) = gone {
                this.signers.forget(&gone);
                this.due.forget(&gone);
                tracing::info!("deleted {}", gone.id);
            }
            Ok(receipt)
        })
        .await
    }

    /// All keys of all owners.
    ///
    /// # Errors
    /// [`KeyFault`] of the store.
    pub async fn all(&self) -> Result<KeysHere, KeyFault> {
        let (mut here, now) = (KeysHere::default(), (self.clock)());
        let take = |id, stored: Result<Stored, KeyFault>| match stored {
            Ok(stored) if stored.record.current().is_some() && !stored.spec.is_over(now) => here.in_use.push(id),
            Ok(_) => {}
            Err(fault) => {
                tracing::error!("{id}: {fault}");
                here.damaged.push(id);
            }
        };
        Stored::each(&self.store, "", take).await?;
        Ok(here)
    }

    /// Removes a key whose record cannot be read, and says whether there was one.
    ///
    /// # Errors
    /// [`KeyFault`] of the store.
    pub async fn remove_damaged(&self, id: &KeyId) -> Result<bool, KeyFault> {
        let _step = self.step(id).await;
        match Stored::load(&self.store, id).await {
            Err(fault) if fault.is_damage() => Ok(self.store.remove(Space::Keys, id.record()).await?),
            Err(fault) => Err(fault),
            Ok(_) => Ok(false),
        }
    }

    /// What a node that has lost its share of a key gets of this one: the component that both held, and what is public.
    ///
    /// # Errors
    /// [`KeyFault`]: the key is not in use, or a step with it was interrupted.
    pub async fn part_for(&self, id: &KeyId, lost: Party) -> Result<Value, KeyFault> {
        self.load(id).await?.part_for(lost)
    }

    /// Puts this node's share of a key together out of what both others have told of it, unless one is there that can be read. Whether it fits is found at the next refresh.
    ///
    /// # Errors
    /// [`KeyFault`]: they have told of different keys or epochs.
    pub async fn rebuild(&self, id: &KeyId, next: &[u8], prev: &[u8]) -> Result<(), KeyFault> {
        let _step = self.step(id).await;
        match Stored::load(&self.store, id).await {
            Ok(Some(stored)) if stored.record.current().is_some() => return Ok(()),
            Err(fault) if !fault.is_damage() => return Err(fault),
            // What is damaged is replaced.
            Ok(_) | Err(_) => {}
        }
        let stored = Stored::rebuilt((id, self.me), next, prev)?;
        self.save(&stored).await
    }

    /// Takes a step with the others. Goes on if it is dropped.
    pub(super) async fn with_others(
        self: &Arc<Self>,
        caller: &ClientName,
        (id, exchange): (KeyId, ExchangeId),
        work: Work,
    ) -> Result<KeyStatus, KeyFault> {
        let (this, caller, waiting) = (self.clone(), caller.clone(), self.waiting.try_take(caller)?);
        detached(async move {
            // Who waits for the step before with the same key has no place meanwhile. The owner waits; nobody else is before it.
            let _step = if caller == id.owner { this.step(&id).await } else { this.step_now(&id)? };
            let _places = (waiting, this.under_way.take(&caller, PATIENCE).await?);
            let mut stored = this.load(&id).await?;
            this.take(&mut stored, work, exchange).await?;
            stored.status()
        })
        .await
    }

    /// Changes a record of this node without the others. Goes on if it is dropped.
    pub(super) async fn alone(
        self: &Arc<Self>,
        id: KeyId,
        change: impl FnOnce(&mut Stored) -> Result<(), KeyFault> + Send + 'static,
    ) -> Result<KeyStatus, KeyFault> {
        let (this, waiting) = (self.clone(), self.waiting.try_take(&id.owner)?);
        detached(async move {
            let _step = (waiting, this.step(&id).await);
            let mut stored = this.load(&id).await?;
            change(&mut stored)?;
            this.save(&stored).await?;
            stored.status()
        })
        .await
    }

    /// Whether the caller may ask something of the key now. Ask when the key is known to be there.
    pub(super) fn admit(&self, caller: &ClientName, id: &KeyId) -> Result<(), KeyFault> {
        self.rate.take(&(caller.clone(), id.clone()), Instant::now()).map_err(|wait| KeyFault::Rate {
            key: id.clone(),
            rate: self.rate.per_second(),
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1),
        })
    }

    /// The record that an enrolment goes on with; `None` if the key is there already.
    async fn begin(&self, id: &KeyId, enrolment: &Enrolment) -> Result<Option<Stored>, KeyFault> {
        let public = enrolment.share.public();
        let fresh = || Stored::new(id, &enrolment.spec, public, self.me);
        let Some(mut stored) = Stored::load(&self.store, id).await? else {
            let keys = self.store.list(Space::Keys, prefix(&id.owner)).await?.len();
            if keys >= self.most as usize {
                return Err(KeyFault::Limit(format!(
                    "{} has {keys} keys, and this node takes {}; delete keys, or raise limits.client_keys on every node",
                    id.owner, self.most
                )));
            }
            return Ok(Some(fresh()));
        };
        let same = stored.public == *public;
        match stored.record.current() {
            Some(_) if same && stored.spec == enrolment.spec => Ok(None),
            Some(_) => Err(KeyFault::Taken(id.clone(), "")),
            // What this node has promised never to prepare stays promised.
            None if same => {
                stored.spec = enrolment.spec.clone();
                Ok(Some(stored))
            }
            None if stored.unsettled() => {
                Err(KeyFault::Taken(id.clone(), ", from an enrolment of another key that was interrupted"))
            }
            None => Ok(Some(fresh())),
        }
    }

    async fn take(&self, stored: &mut Stored, work: Work, exchange: ExchangeId) -> Result<(), KeyFault> {
        let together = Together { me: self.me, sessions: &*self.sessions, save: self };
        let done = together.take(stored, work, exchange).await;
        if let Err(fault) = &done {
            tracing::warn!("a step with {} failed: {fault}", stored.id);
        }
        done
    }

    async fn sign_with(
        &self,
        stored: Stored,
        message: Message,
        epoch: Option<u64>,
        changes: u64,
    ) -> Result<Signed, KeyFault> {
        let in_use = stored.record.status().epoch();
        if in_use == 0 && epoch.is_none() {
            return Err(KeyFault::Missing(stored.id));
        }
        // Also of shares that are prepared and not in use yet.
        let usage = stored.spec.usage_of(stored.record.at(epoch.unwrap_or(in_use)).is_some_and(NodeKey::has_device));
        if !usage.signs(message.purpose()) {
            return Err(KeyFault::Use(stored.id));
        }
        let closed = |_| KeyFault::Bug("no place to sign".to_owned());
        let core = self.cores.clone().acquire_owned().await.map_err(closed)?;
        let signers = self.signers.clone();
        let signed = tokio::task::spawn_blocking(move || {
            let _core = core;
            let partials = signers.sign(&stored, epoch.unwrap_or(in_use), &message, changes)?;
            Ok(Signed { unsettled: stored.unsettled(), public: stored.public, partials })
        });
        signed.await.unwrap_or_else(|e| Err(KeyFault::Bug(format!("a signature failed: {e}"))))
    }

    /// A key whose time is not over.
    pub(super) async fn load(&self, id: &KeyId) -> Result<Stored, KeyFault> {
        let stored = self.find(id).await?;
        self.check_time(id, &stored.spec)?;
        Ok(stored)
    }

    async fn find(&self, id: &KeyId) -> Result<Stored, KeyFault> {
        Stored::load(&self.store, id).await?.ok_or_else(|| KeyFault::Missing(id.clone()))
    }

    fn check_time(&self, id: &KeyId, spec: &KeySpec) -> Result<(), KeyFault> {
        match spec.expires {
            Some(at) if spec.is_over((self.clock)()) => Err(KeyFault::Over(id.clone(), at)),
            _ => Ok(()),
        }
    }

    /// A key that the caller may use. For others it does not exist.
    async fn usable(&self, caller: &ClientName, id: &KeyId) -> Result<Stored, KeyFault> {
        let stored = self.find(id).await?;
        if *caller != id.owner && !stored.spec.signers.contains(caller) {
            return Err(KeyFault::Withheld(id.clone()));
        }
        self.check_time(id, &stored.spec)?;
        Ok(stored)
    }

    /// One step with a key at a time.
    async fn step(&self, id: &KeyId) -> OwnedMutexGuard<()> {
        self.lock(id).lock_owned().await
    }

    /// The same if there is none now.
    pub(super) fn step_now(&self, id: &KeyId) -> Result<OwnedMutexGuard<()>, KeyFault> {
        self.lock(id).try_lock_owned().map_err(|_| KeyFault::UnderWay(id.clone()))
    }

    fn lock(&self, id: &KeyId) -> Arc<tokio::sync::Mutex<()>> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.retain(|_, lock| Arc::strong_count(lock) > 1);
        steps.entry(id.clone()).or_default().clone()
    }
}

impl Save for Keys {
    async fn save(&self, stored: &Stored) -> Result<(), KeyFault> {
        // Also of a record of which it is not known whether it was written.
        self.due.note(stored);
        let saved = stored.save(&self.store).await;
        self.signers.forget(stored);
        Ok(saved?)
    }
}

/// Every record of a client begins so: no name has a slash.
fn prefix(owner: &ClientName) -> String {
    format!("{owner}/")
}

/// Runs to its end whether or not somebody waits for it.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, KeyFault>> + Send + 'static,
) -> Result<T, KeyFault> {
    tokio::spawn(work).await.unwrap_or_else(|ended| {
        let cause = if ended.is_panic() { "a step with a key has failed" } else { "the node is ending" };
        Err(KeyFault::Together(Failure::new(FailureKind::Stopped, cause)))
    })
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("party", &self.me).field("store", &self.store).finish_non_exhaustive()
    }
}
