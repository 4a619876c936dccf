//! Identification: who of an owner's users a probe is of. The answer leaves the nodes as shares, for the owner alone.

use super::{
    Auth, AuthFault, Matching, TemplateKind, TemplateStatus, UserName,
    asker::meet,
    gallery::{Checked, Gallery, UserKey, all_users, user_of},
    guard::Busy,
    records::read,
    roll::{Agreed, Entry, agree, which},
    service::in_time,
    session::{DEADLINE, compare, expired, strands},
    spec::digest,
    vote::{Ballot, common},
};
use crate::{
    job::{COORDINATOR, Failure, FailureKind, Flow, JobId, ModeSpec, Session, failure},
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
    /// What becomes of the search if the nodes do not have the same templates of some users.
    #[serde(default, skip_serializing_if = "Unsettled::is_refused")]
    pub unsettled: Unsettled,
}

/// What becomes of a search where the nodes do not have the same templates of some users: an enrolment or an erasure broke off.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsettled {
    /// Nobody is searched: a search that misses somebody in silence would be worse than none.
    #[default]
    Refuse,
    /// The others are searched, and the answer says who was left out.
    LeaveOut,
}

impl Unsettled {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    fn is_refused(&self) -> bool {
        *self == Self::Refuse
    }
}

/// What a node answers to a search: its share of the place, and among whom.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// Whose templates were searched, in this order; a user stands there once for each template.
    pub users: Vec<UserName>,
    /// Those of whose templates some were not searched: nodes do not have the same of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<UserName>,
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

/// The vote on each user, where the nodes do not have the same of all.
const EACH: u32 = 2;

/// Templates, by the users whose they are.
type Templates = Vec<(UserKey, TemplateStatus)>;

/// What this node has of the users who could be searched.
struct Held {
    kind: TemplateKind,
    galleries: Vec<(UserKey, Gallery)>,
}

/// Templates that are searched, all alike but for whose they are.
struct Searched {
    all: Templates,
    matching: Matching,
    /// Of each the shares, if they are in memory at all nodes.
    cached: Vec<Option<Checked>>,
    left_out: Vec<UserName>,
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
        let mut search = Some(self.searches.owners.take(owner).map_err(|_| AuthFault::Searching)?);
        self.searches.rate.take(owner, Instant::now()).map_err(|wait| AuthFault::Rate {
            per_second: PER_SECOND,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1),
        })?;
        let held = self.held(owner, spec.probe).await?;
        // What cannot be searched at this node is not worth a session.
        Searched::of(held.in_use(), Vec::new())?;
        let agreed = digest("search", &(id, owner, &spec));
        let all = async {
            let joining = self.sessions.join(id.session(), agreed);
            let mut session = meet(joining, &mut search).await?;
            let result = self.search(id, &mut *session, (held, spec.unsettled), probe).await;
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
        (held, unsettled): (Held, Unsettled),
        probe: InputVector,
    ) -> Result<Found, AuthFault> {
        let me = self.turns.me();
        let failed = |error: Error| failure(me, &error);
        let net = session.network();
        let all = held.in_use();
        let cached: Vec<_> = all.iter().map(|(key, template)| self.cached_one(key, template)).collect();
        let mine = Ballot { versions: [digest("searched", &all); 2], in_memory: cached.iter().all(Option::is_some) };
        let searched = match common(me, (id.session(), 0), &*net, mine).await.map_err(failed)? {
            Ok(agreed) if agreed.in_memory => Searched { cached, ..Searched::of(all, Vec::new())? },
            Ok(_) => Searched::of(all, Vec::new())?,
            // Somebody is being enrolled, replaced or erased, or such a step broke off.
            Err(Failure { kind: FailureKind::Mismatch, .. }) => {
                let mine = self.entries(&held);
                let entries: Vec<Entry> = mine.iter().map(|(entry, _)| entry.clone()).collect();
                let agreed = agree(me, (id.session(), EACH), &*net, (&entries, MOST_SEARCHED)).await.map_err(failed)?;
                held.chosen(&agreed?, mine, unsettled)?
            }
            Err(failure) => return Err(failure.into()),
        };
        let strands = strands((searched.matching, Answer::First), searched.all.len())?;
        // Whoever is first at the coordinator is first at the others, who hear of it by their turn: no two wait for each other. Nor does anybody wait for a search that one node alone knows of.
        let first = if me == COORDINATOR { Some(self.searches.place().await?) } else { None };
        let turn = self.turns.wait(id.session(), &*net, (Flow::Login, strands)).await.map_err(failed)?;
        let _place = match first {
            Some(place) => place,
            None => self.searches.place().await?,
        };
        let seat = session.seat().map_err(failed)?;
        let found = match searched.matching.mode {
            ModeSpec::SemiHonest => {
                let ctx = Ctx::<SemiHonest>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.among(ctx, searched, probe).await
            }
            ModeSpec::Malicious => {
                let ctx = Ctx::<Malicious>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.among(ctx, searched, probe).await
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
        probe: InputVector,
    ) -> Result<Found, AuthFault> {
        let Searched { all, matching, cached, left_out } = searched;
        let mut held = Vec::with_capacity(all.len());
        for ((key, template), cached) in all.iter().zip(cached) {
            held.push(match cached {
                Some(cached) => cached,
                None => self.load(&mut ctx, key, template).await?,
            });
        }
        let released = compare(ctx, (matching, Answer::First), held, probe).await?;
        // The strand has been checked, and nobody has learnt anything. Nothing is opened here.
        let output = released.outputs.first().ok_or(Error::Poisoned)?.output(&released.strand)?;
        let [own, next] = output.as_bytes().map(Bytes::from);
        let all = self.unchanged(all).await?;
        Ok(Found { users: all.into_iter().map(|(key, _)| key.user).collect(), left_out, own, next })
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

    /// What this node has of the users of an owner with templates of a kind, in use or before, by the users' names.
    async fn held(&self, owner: &ClientName, kind: TemplateKind) -> Result<Held, AuthFault> {
        let owner = owner.clone();
        let read = self.store.read(move |records| {
            let (mut galleries, mut count) = (Vec::new(), 0);
            for name in records.list(Space::Templates, all_users(&owner).as_bytes())? {
                let (Some(user), Some(record)) = (user_of(&owner, &name), records.get(Space::Templates, &name)?) else {
                    continue;
                };
                let (key, gallery) = (UserKey { owner: owner.clone(), user }, read::<Gallery>(&record)?);
                let versions = [Some(&gallery.current), gallery.before.as_ref()];
                let most = versions.into_iter().flatten().map(|templates| of_kind(templates, kind).count()).max();
                let Some(here @ 1..) = most else { continue };
                count += here;
                galleries.push((key, gallery));
                if count > MOST_SEARCHED {
                    let cause = format!("a search goes through {MOST_SEARCHED} templates at most, and there are more");
                    return Err(AuthFault::Invalid(cause));
                }
            }
            Ok(Held { kind, galleries })
        });
        read.await
    }

    /// What this node says of each user, with what is in memory of those templates that are in use.
    fn entries(&self, held: &Held) -> Vec<(Entry, Vec<Option<Checked>>)> {
        let of = |(key, gallery): &(UserKey, Gallery)| {
            let cached: Vec<_> =
                of_kind(&gallery.current, held.kind).map(|template| self.cached_one(key, template)).collect();
            let ballot = Ballot { versions: gallery.versions(key), in_memory: cached.iter().all(Option::is_some) };
            let which = which(of_kind(&gallery.current, held.kind));
            (Entry { user: key.user.clone(), ballot, which }, cached)
        };
        held.galleries.iter().map(of).collect()
    }

    fn cached_one(&self, key: &UserKey, template: &TemplateStatus) -> Option<Checked> {
        self.cached(key, std::slice::from_ref(template))?.pop()
    }
}

impl Held {
    /// The templates in use.
    fn in_use(&self) -> Templates {
        let of = |(key, gallery): &(UserKey, Gallery)| {
            of_kind(&gallery.current, self.kind).map(|template| (key.clone(), template.clone())).collect::<Vec<_>>()
        };
        self.galleries.iter().flat_map(of).collect()
    }

    /// Those that all three nodes have, of the users on whom they agree.
    fn chosen(
        self,
        agreed: &Agreed,
        mine: Vec<(Entry, Vec<Option<Checked>>)>,
        unsettled: Unsettled,
    ) -> Result<Searched, AuthFault> {
        let left_out: Vec<UserName> =
            agreed.iter().filter(|(_, common)| common.is_none()).map(|(user, _)| user.clone()).collect();
        if !left_out.is_empty() && unsettled == Unsettled::Refuse {
            return Err(AuthFault::Unsettled(left_out));
        }
        let (mut all, mut in_memory) = (Templates::new(), Vec::new());
        for ((key, gallery), (_, cached)) in self.galleries.into_iter().zip(mine) {
            let Some(Some(common)) = agreed.get(&key.user) else { continue };
            let version = gallery.of(&key, &common.version).ok_or(AuthFault::Changed)?;
            let of_user: Vec<_> = of_kind(version, self.kind).cloned().collect();
            // In memory is what is in use, and it counts where it is so at all three.
            in_memory.extend(if common.in_memory { cached } else { vec![None; of_user.len()] });
            all.extend(of_user.into_iter().map(|template| (key.clone(), template)));
        }
        if all.is_empty() && !left_out.is_empty() {
            return Err(AuthFault::Unsettled(left_out));
        }
        Ok(Searched { cached: in_memory, ..Searched::of(all, left_out)? })
    }
}

impl Searched {
    /// These templates, of which none is in memory.
    fn of(all: Templates, left_out: Vec<UserName>) -> Result<Self, AuthFault> {
        let matching = all.first().ok_or(AuthFault::NoTemplate)?.1.matching;
        if all.iter().any(|(_, template)| template.matching != matching) {
            let cause = "the users have templates of this kind with different thresholds, modes or least parts of valid bits; only those that are matched alike are searched together";
            return Err(AuthFault::Invalid(cause.to_owned()));
        }
        let cached = vec![None; all.len()];
        Ok(Self { all, matching, cached, left_out })
    }
}

fn of_kind(templates: &[TemplateStatus], kind: TemplateKind) -> impl Iterator<Item = &TemplateStatus> {
    templates.iter().filter(move |held| held.matching.kind == kind)
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
