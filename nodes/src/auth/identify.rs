//! Identification: who of an owner's users a probe is of. The answer leaves the nodes as shares, for the owner alone.

use super::{
    Auth, AuthFault, Matching, TemplateKind, TemplateStatus, UserName,
    gallery::{Checked, Gallery, UserKey, all_users, user_of},
    guard::Busy,
    records::read,
    service::in_time,
    session::{DEADLINE, compare, expired, strands},
    spec::digest,
    vote::{Ballot, common},
};
use crate::{
    job::{COORDINATOR, Failure, FailureKind, JobId, ModeSpec, Session, failure},
    keys::Rate,
    pki::ClientName,
    store::Space,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trefoil_auth::webauthn::Bytes;
use trefoil_circuits::{matching::Answer, program::InputVector};
use trefoil_engine::{Ctx, Error, Malicious, Mode, SemiHonest};

/// Templates that a search goes through at most: as many as stay in memory.
const MOST_SEARCHED: usize = 4096;

/// Searches of an owner in a second. There is no lock: a probe that is nobody's is nobody's failed try.
const PER_SECOND: u32 = 1;

/// How long a search of which all three nodes know waits for those of other owners: well below the time after which a silent peer is given up.
const QUEUE: Duration = Duration::from_secs(10);

/// A search that is asked for. All of it but the shares of the probe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSpec {
    /// When it ends at the latest, in milliseconds since 1970: at most ten minutes from now.
    pub expires_ms: u64,
    /// The kind of the probe whose shares follow: the users' templates of this kind are searched.
    pub probe: TemplateKind,
}

/// What a node answers to a search: its share of the place, and among whom.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// Whose templates were searched, in this order; a user stands there once for each template.
    pub users: Vec<UserName>,
    /// The component `own` of the answer: see [`Answer::shape`].
    pub own: Bytes,
    /// The component `next`.
    pub next: Bytes,
}

/// Bounds of searches at this node.
#[derive(Debug)]
pub(super) struct Searches {
    rate: Rate<ClientName>,
    /// One of an owner at a time.
    owners: Busy<ClientName>,
    /// One that computes at a time: all templates are there twice meanwhile.
    place: Arc<Semaphore>,
}

/// Templates, by the users whose they are.
type Templates = Vec<(UserKey, TemplateStatus)>;

/// Templates that are searched, all alike but for whose they are.
struct Searched {
    all: Templates,
    matching: Matching,
}

impl Auth {
    /// Which of an owner's users a probe is of, together with the other nodes: this node's share of the answer. No node learns it, nor whether there is one.
    ///
    /// Not cancel safe: run it in a task of its own.
    ///
    /// # Errors
    /// [`AuthFault`].
    pub async fn identify(
        &self,
        owner: &ClientName,
        id: JobId,
        spec: SearchSpec,
        probe: InputVector,
    ) -> Result<Found, AuthFault> {
        in_time(spec.expires_ms)?;
        let _place = self.places.try_take(owner)?;
        let _search = self.searches.owners.take(owner).map_err(|_| AuthFault::Searching)?;
        self.searches.rate.take(owner, Instant::now()).map_err(|wait| AuthFault::Rate {
            per_second: PER_SECOND,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1),
        })?;
        let searched = self.searched(owner, spec.probe).await?;
        let agreed = digest("search", &(id, owner, &spec));
        let all = async {
            let mut session = self.sessions.join(id.session(), agreed).await?;
            let result = self.search(id, &mut *session, searched, probe).await;
            let failure = result.as_ref().err().map(AuthFault::as_failure);
            session.end(failure.as_ref());
            result
        };
        // What computes is large and would lie in every future around it.
        tokio::time::timeout(DEADLINE, Box::pin(all)).await.unwrap_or_else(|_| Err(expired()))
    }

    async fn search(
        &self,
        id: JobId,
        session: &mut dyn Session,
        searched: Searched,
        probe: InputVector,
    ) -> Result<Found, AuthFault> {
        let me = self.turns.me();
        let failed = |error: Error| failure(me, &error);
        let net = session.network();
        let cached = self.held(&searched);
        let version = digest("searched", &searched.all);
        let mine = Ballot { versions: [version; 2], in_memory: cached.is_some() };
        let cached = match common(me, (id.session(), 0), &*net, mine).await.map_err(failed)? {
            Ok(agreed) => cached.filter(|_| agreed.in_memory),
            Err(Failure { kind: FailureKind::Mismatch, .. }) => {
                let cause = "the nodes have different templates of these users: one is being enrolled, replaced or erased, or such a step broke off at a node, which a login or a refresh of each user settles; try again then";
                return Err(Failure::new(FailureKind::Mismatch, cause).into());
            }
            Err(failure) => return Err(failure.into()),
        };
        let strands = strands((searched.matching, Answer::First), searched.all.len())?;
        // Whoever is first at the coordinator is first at the others, who hear of it by their turn: no two wait for each other. Nor does anybody wait for a search that one node alone knows of.
        let first = if me == COORDINATOR { Some(self.searches.place().await?) } else { None };
        let turn = self.turns.wait(id.session(), &*net, strands).await.map_err(failed)?;
        let _place = match first {
            Some(place) => place,
            None => self.searches.place().await?,
        };
        let seat = session.seat().map_err(failed)?;
        let found = match searched.matching.mode {
            ModeSpec::SemiHonest => {
                let ctx = Ctx::<SemiHonest>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.among(ctx, searched, cached, probe).await
            }
            ModeSpec::Malicious => {
                let ctx = Ctx::<Malicious>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.among(ctx, searched, cached, probe).await
            }
        };
        let found = found.map_err(|fault| match fault {
            AuthFault::Engine(error) => failed(error).into(),
            other => other,
        })?;
        turn.done().await.map_err(failed)?;
        Ok(found)
    }

    async fn among<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        searched: Searched,
        cached: Option<Vec<Checked>>,
        probe: InputVector,
    ) -> Result<Found, AuthFault> {
        let held = if let Some(held) = cached {
            held
        } else {
            let mut held = Vec::with_capacity(searched.all.len());
            for (key, template) in &searched.all {
                held.push(self.load(&mut ctx, key, template).await?);
            }
            held
        };
        let released = compare(ctx, (searched.matching, Answer::First), held, probe).await?;
        // The strand has been checked, and nobody has learnt anything. Nothing is opened here.
        let output = released.outputs.first().ok_or(Error::Poisoned)?.output(&released.strand)?;
        let [own, next] = output.as_bytes().map(Bytes::from);
        let all = self.unchanged(searched.all).await?;
        Ok(Found { users: all.into_iter().map(|(key, _)| key.user).collect(), own, next })
    }

    /// What was erased while the nodes compared is found by nobody: gives what was searched, if all of it is there still.
    async fn unchanged(&self, all: Templates) -> Result<Templates, AuthFault> {
        let read = self.store.read(move |records| {
            for of_user in all.chunk_by(|(a, _), (b, _)| a == b) {
                let Some((key, _)) = of_user.first() else { continue };
                let record = records.get(Space::Templates, &key.record())?.ok_or(AuthFault::Changed)?;
                let gallery: Gallery = read(&record)?;
                if !of_user.iter().all(|(_, template)| gallery.has(template)) {
                    return Err(AuthFault::Changed);
                }
            }
            Ok(all)
        });
        read.await
    }

    /// The templates of a kind of all users of an owner, by the users' names.
    async fn searched(&self, owner: &ClientName, kind: TemplateKind) -> Result<Searched, AuthFault> {
        let owner = owner.clone();
        let read = self.store.read(move |records| {
            let mut all = Templates::new();
            for name in records.list(Space::Templates, all_users(&owner).as_bytes())? {
                let (Some(user), Some(record)) = (user_of(&owner, &name), records.get(Space::Templates, &name)?) else {
                    continue;
                };
                let (key, gallery) = (UserKey { owner: owner.clone(), user }, read::<Gallery>(&record)?);
                let of_kind = gallery.current.into_iter().filter(|held| held.matching.kind == kind);
                all.extend(of_kind.map(|template| (key.clone(), template)));
                if all.len() > MOST_SEARCHED {
                    let cause = format!("a search goes through {MOST_SEARCHED} templates at most, and there are more");
                    return Err(AuthFault::Invalid(cause));
                }
            }
            Ok(all)
        });
        let all = read.await?;
        let matching = all.first().ok_or(AuthFault::NoTemplate)?.1.matching;
        if all.iter().any(|(_, template)| template.matching != matching) {
            let cause = "the users have templates of this kind with different thresholds or modes; only those that are matched alike are searched together";
            return Err(AuthFault::Invalid(cause.to_owned()));
        }
        Ok(Searched { all, matching })
    }

    /// Their shares, if all are in memory.
    fn held(&self, searched: &Searched) -> Option<Vec<Checked>> {
        let one = |(key, template): &(UserKey, TemplateStatus)| {
            self.cached(key, std::slice::from_ref(template)).and_then(|held| held.into_iter().next())
        };
        searched.all.iter().map(one).collect()
    }
}

impl Searches {
    /// The place of the search that computes, when it is free.
    async fn place(&self) -> Result<OwnedSemaphorePermit, AuthFault> {
        let place = tokio::time::timeout(QUEUE, self.place.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(AuthFault::Searching)
    }
}

impl Default for Searches {
    fn default() -> Self {
        Self { rate: Rate::new(PER_SECOND), owners: Busy::default(), place: Arc::new(Semaphore::new(1)) }
    }
}
