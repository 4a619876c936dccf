//! What the three nodes compute together: enrolment, refresh and matching.

use super::{
    Auth, AuthFault, Matching, TemplateKind, TemplateStatus,
    asker::meet,
    gallery::{Checked, New, UserKey},
    guard::Place,
    vote::{Ballot, Common, common},
};
use crate::{
    executor::Tasks,
    job::{Failure, FailureKind, Flow, JobId, ModeSpec, Session, failure},
    store::Value,
};
use std::{sync::Arc, time::Duration};
use trefoil_auth::webauthn::Bit;
use trefoil_circuits::{
    matching::{Answer, Enrol, Kind, Match, MatchEmbedding},
    program::{InputVector, Inputs, Limited, Program, Released, Vector, beyond_limits},
};
use trefoil_engine::{Ctx, Error, Malicious, Mode, SemiHonest, Shares, Verified};

/// How long a session may take, waiting for its turn included.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The two votes of a session.
const BEFORE: u32 = 0;
const AFTER: u32 = 1;

/// The largest entry of an embedding: one.
const LARGEST: u64 = 1 << 14;

/// What is to be computed.
pub(super) enum Task {
    /// A template as it was sent becomes one as it is kept.
    Enrol(TemplateStatus, InputVector),
    /// All shares of the user's templates are replaced, in this session.
    Refresh(JobId),
    /// A probe is compared with the user's templates of its kind, for this ceremony.
    Match { kind: TemplateKind, probe: InputVector, ceremony: [u8; 32], signers: Signers },
}

/// Who signs if a probe matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signers {
    /// The nodes and a device: whoever turns the match bit needs that as well.
    WithDevice,
    /// The nodes alone. In a semi-honest comparison one of them could turn the bit, so there is none.
    Alone,
}

/// What came of it, at all three nodes alike.
pub(super) enum Done {
    /// The user's templates are these now; some have new shares.
    Replaced(Vec<TemplateStatus>),
    /// The bit that was opened.
    Matched(Bit),
}

/// Templates that are computed with, and whether their shares are in memory at all nodes.
struct Chosen {
    common: Common,
    templates: Vec<TemplateStatus>,
    cached: Option<Vec<Checked>>,
}

impl Auth {
    /// Runs a session of the three nodes about the templates of a user.
    ///
    /// Not cancel safe: run it in a task of its own. The user's place is free while [nobody waits](meet) for the session and it has not begun.
    pub(super) async fn together(
        &self,
        (id, digest): (JobId, [u8; 32]),
        (key, place): (&UserKey, &mut Option<Place<UserKey>>),
        task: Task,
    ) -> Result<Done, AuthFault> {
        let all = async {
            let mut session = meet(self.sessions.join(id.session(), digest), place).await?;
            let result = self.attend(id, &mut *session, key, task).await;
            let failure = match &result {
                Err(fault) => Some(fault.as_failure()),
                Ok(_) => None,
            };
            session.end(failure.as_ref());
            result?
        };
        // What computes is large and would lie in every future around it.
        if let Ok(result) = tokio::time::timeout(DEADLINE, Box::pin(all)).await {
            return result;
        }
        Err(expired())
    }

    /// The session has ended well if there is a verdict, whatever it is.
    async fn attend(
        &self,
        id: JobId,
        session: &mut dyn Session,
        key: &UserKey,
        task: Task,
    ) -> Result<Result<Done, AuthFault>, AuthFault> {
        let me = self.turns.me();
        let failed = |error: Error| failure(me, &error);
        let net = session.network();
        let gallery = self.gallery(key).await?;
        let cached = self.cached(key, &gallery.current);
        let mine = Ballot { versions: gallery.versions(key), in_memory: cached.is_some() };
        let agreed = match common(me, (id.session(), BEFORE), &*net, mine).await.map_err(failed)? {
            Ok(agreed) => agreed,
            Err(failure) => return Err(failure.into()),
        };
        let templates = gallery.of(key, &agreed.version).ok_or(AuthFault::Changed)?.to_vec();
        let cached = if agreed.in_memory { cached } else { None };
        let chosen = Chosen { common: agreed, templates, cached };
        let (mode, strands) = match plan(&task, &chosen) {
            Ok(plan) => plan,
            Err(fault) => return Ok(Err(fault)),
        };
        let refreshes = matches!(task, Task::Refresh(_));
        let turn = self.turns.wait(id.session(), &*net, (Flow::Login, strands)).await.map_err(failed)?;
        let seat = session.seat().map_err(failed)?;
        let outcome = match mode {
            ModeSpec::SemiHonest => {
                let ctx = Ctx::<SemiHonest>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.compute(ctx, key, task, chosen).await
            }
            ModeSpec::Malicious => {
                let ctx = Ctx::<Malicious>::root(seat.me, seat.session, seat.keys, net).await.map_err(failed)?;
                self.compute(ctx, key, task, chosen).await
            }
        };
        let verdict = match outcome {
            Ok(done) => Ok(done),
            // All three have come to this, each by itself.
            Err(fault @ AuthFault::Invalid(_)) => Err(fault),
            Err(AuthFault::Engine(error)) => return Err(failed(error).into()),
            Err(fault) => return Err(fault),
        };
        turn.done().await.map_err(failed)?;
        if let Ok(Done::Replaced(templates)) = &verdict {
            // The old shares go as soon as all three have written the new ones down.
            let version = key.version(templates);
            let mine = Ballot { versions: [version; 2], in_memory: true };
            let after = common(me, (id.session(), AFTER), &*session.network(), mine).await.map_err(failed)?;
            match after {
                Ok(agreed) if agreed.settled => self.settle(key, version).await?,
                // What is enrolled is there; what a refresh was to remove has to be gone.
                Ok(_) if !refreshes => {}
                Ok(_) => {
                    let cause = "the new shares are in use, and a node has not said that it has them, so the old ones stay; refresh again";
                    return Ok(Err(Failure::new(FailureKind::Link, cause.to_owned()).into()));
                }
                Err(failure) => return Ok(Err(failure.into())),
            }
        }
        Ok(verdict)
    }

    async fn compute<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        key: &UserKey,
        task: Task,
        chosen: Chosen,
    ) -> Result<Done, AuthFault> {
        match task {
            Task::Enrol(template, sent) => {
                let (strand, vector) = enrol(ctx, template.matching, sent).await?;
                let mut templates = chosen.templates;
                templates.push(template.clone());
                let shares = bytes(&strand, &vector)?;
                self.replace(key, chosen.common.version, (templates.clone(), vec![(template.clone(), shares)])).await?;
                self.hold(key, &template, Checked::of(vector)?).await?;
                Ok(Done::Replaced(templates))
            }
            Task::Refresh(session) => {
                let held = self.shares(&mut ctx, key, &chosen).await?;
                let mut fresh = Vec::with_capacity(held.len());
                for old in held {
                    fresh.push(reshared(&mut ctx, old).await?);
                }
                let strand = ctx.verify().await?;
                let renewed =
                    |old: &TemplateStatus| TemplateStatus { epoch: old.epoch + 1, shares: session, ..old.clone() };
                let templates: Vec<TemplateStatus> = chosen.templates.iter().map(renewed).collect();
                let new = templates.iter().cloned().zip(&fresh);
                let new = new.map(|(template, vector)| Ok((template, bytes(&strand, vector)?)));
                let new: Vec<New> = new.collect::<Result<_, Error>>()?;
                self.replace(key, chosen.common.version, (templates.clone(), new)).await?;
                for (template, vector) in templates.iter().zip(fresh) {
                    self.hold(key, template, Checked::of(vector)?).await?;
                }
                Ok(Done::Replaced(templates))
            }
            Task::Match { kind, probe, ceremony, .. } => {
                let held = self.shares(&mut ctx, key, &chosen).await?;
                if chosen.common.settled {
                    self.settle(key, chosen.common.version).await?;
                }
                let of_kind = chosen.templates.iter().zip(held).filter(|(template, _)| template.matching.kind == kind);
                let (templates, held): (Vec<_>, Vec<Checked>) = of_kind.unzip();
                let matching = templates.first().ok_or(AuthFault::Changed)?.matching;
                let mut released = compare(ctx, (matching, Answer::Match), held, probe).await?;
                // What was erased while the nodes compared matches nothing.
                if !self.has(key, &templates).await? {
                    return Err(AuthFault::Changed);
                }
                // The strand has been checked. Nobody has learnt anything yet.
                self.attempt(key, ceremony).await?;
                let bit = released.outputs.first().ok_or(Error::Poisoned)?.bits()?.view();
                let opened = released.strand.open(bit).await?;
                let matched = opened.first().is_some_and(|word| word.0 & 1 == 1);
                Ok(Done::Matched(if matched { Bit::One } else { Bit::Zero }))
            }
        }
    }

    /// The shares of the chosen templates.
    async fn shares<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        key: &UserKey,
        chosen: &Chosen,
    ) -> Result<Vec<Checked>, AuthFault> {
        if let Some(cached) = &chosen.cached {
            return Ok(cached.clone());
        }
        let mut all = Vec::with_capacity(chosen.templates.len());
        for template in &chosen.templates {
            all.push(self.load(ctx, key, template).await?);
        }
        Ok(all)
    }
}

/// The mode and the number of strands, or why there is nothing to compute.
fn plan(task: &Task, chosen: &Chosen) -> Result<(ModeSpec, u32), AuthFault> {
    let of = |is: &dyn Fn(&TemplateStatus) -> bool| chosen.templates.iter().filter(|t| is(t)).count();
    match task {
        Task::Enrol(template, _) => {
            if of(&|held| held.name == template.name) > 0 {
                return Err(AuthFault::Taken(template.name.clone()));
            }
            if of(&|held| held.matching.kind == template.matching.kind && held.matching != template.matching) > 0 {
                let cause = "the user has templates of this kind with another threshold, mode or least part of valid bits; enrol with the same, or delete those first";
                return Err(AuthFault::Invalid(cause.to_owned()));
            }
            if chosen.templates.len() >= super::gallery::MOST_EACH {
                let cause = format!("a user has {} templates at most; delete one first", super::gallery::MOST_EACH);
                return Err(AuthFault::Invalid(cause));
            }
            Ok((template.matching.mode, 1))
        }
        Task::Refresh(_) => {
            let semi_honest = !chosen.templates.is_empty() && of(&|t| t.matching.mode == ModeSpec::Malicious) == 0;
            let mode = if semi_honest { ModeSpec::SemiHonest } else { ModeSpec::Malicious };
            if chosen.templates.is_empty() { Err(AuthFault::NoTemplate) } else { Ok((mode, 1)) }
        }
        Task::Match { kind, signers, .. } => {
            let template = chosen.templates.iter().find(|template| template.matching.kind == *kind);
            match (template.ok_or(AuthFault::NoTemplate)?.matching.mode, signers) {
                (ModeSpec::SemiHonest, Signers::Alone) => Err(AuthFault::SemiHonest),
                (mode, _) => Ok((mode, 1)),
            }
        }
    }
}

/// The template as it is kept.
async fn enrol<M: Mode>(
    mut ctx: Ctx<M>,
    matching: Matching,
    sent: InputVector,
) -> Result<(Verified<M>, Vector), AuthFault> {
    let sent = sent.receive(&mut ctx).await?;
    if let Some(kind) = kind(matching.kind)? {
        let Released { strand, outputs } = Enrol { kind, templates: 1 }.run(ctx, Inputs::from(sent), &Tasks).await?;
        return Ok((strand, outputs.into_iter().next().ok_or(Error::Poisoned)?));
    }
    let entries = within(&mut ctx, sent).await?;
    Ok((ctx.verify().await?, entries.into()))
}

/// Why a session ends that has taken too long.
pub(super) fn expired() -> AuthFault {
    let cause = format!("not done within {DEADLINE:?}; try again when the nodes have less to do");
    Failure::new(FailureKind::Deadline, cause).into()
}

/// How many strands [`compare`] takes.
pub(super) fn strands((matching, answer): (Matching, Answer), templates: usize) -> Result<u32, AuthFault> {
    let strands = match (kind(matching.kind)?, matching.kind) {
        (Some(kind), _) => Match::identify(kind, matching.threshold, users(answer, templates), answer)?.strands(),
        (None, TemplateKind::Embedding { dimensions, metric }) => {
            let metric = matching.metric(metric);
            MatchEmbedding::new(dimensions as usize, metric, users(answer, templates), answer)?.strands()
        }
        (None, _) => return Err(Error::Poisoned.into()),
    };
    Ok(strands as u32)
}

/// Whose templates they are: of one user, or each of another.
fn users(answer: Answer, templates: usize) -> [usize; 2] {
    match answer {
        Answer::Match => [1, templates],
        Answer::First => [templates, 1],
    }
}

/// Whether the probe matches one of the templates, and which if that is asked for, as bits that nobody knows yet.
pub(super) async fn compare<M: Mode>(
    mut ctx: Ctx<M>,
    (matching, answer): (Matching, Answer),
    held: Vec<Checked>,
    probe: InputVector,
) -> Result<Released<M>, AuthFault> {
    let (users, probe) = (users(answer, held.len()), probe.receive(&mut ctx).await?);
    if let Some(kind) = kind(matching.kind)? {
        let templates = held.into_iter().filter_map(|held| match held {
            Checked::Z16(shares) => Some(shares),
            Checked::Z64(_) => None,
        });
        let probe = Inputs::from(probe).bits(0)?;
        let program = Match::identify(kind, matching.threshold, users, answer)?;
        // The mask of the probe is the word of whoever shares it: of a few bits that are left to compare, chance has all agree.
        let program = program.covered(matching.least_valid_bits(kind))?;
        return Ok(program.run_on(ctx, probe, one(templates.collect()), &Tasks).await?);
    }
    let TemplateKind::Embedding { dimensions, metric } = matching.kind else { return Err(Error::Poisoned.into()) };
    let templates = held.into_iter().filter_map(|held| match held {
        Checked::Z64(shares) => Some(shares),
        Checked::Z16(_) => None,
    });
    let probe = within(&mut ctx, probe).await?;
    let metric = matching.metric(metric);
    let program = MatchEmbedding::new(dimensions as usize, metric, users, answer)?;
    Ok(program.run_on(ctx, probe, one(templates.collect()), &Tasks).await?)
}

/// One vector of several; a single one is not copied.
fn one<R: trefoil_engine::ring::Ring>(parts: Vec<Arc<Shares<R>>>) -> Arc<Shares<R>> {
    match <[Arc<Shares<R>>; 1]>::try_from(parts) {
        Ok([single]) => single,
        Err(parts) => Arc::new(Shares::concat(&parts.iter().map(|part| part.view()).collect::<Vec<_>>())),
    }
}

/// Entries of an embedding, found on shares to be from `-2^14` to `2^14`.
async fn within<M: Mode>(ctx: &mut Ctx<M>, entries: Vector) -> Result<Shares<trefoil_engine::Z64>, AuthFault> {
    let Vector::Z64(values) = entries else { return Err(Error::Poisoned.into()) };
    let limited = Arc::new(vec![Limited { values, limit: LARGEST }]);
    let beyond = beyond_limits(ctx, &limited, 1, &Tasks).await?;
    if beyond.contains(&true) {
        let cause = "an entry of the embedding is larger than one; share a vector of length one in units of 2^-14";
        return Err(AuthFault::Invalid(cause.to_owned()));
    }
    let limited = Arc::try_unwrap(limited).map_err(|_| Error::Poisoned)?;
    Ok(limited.into_iter().map(|limited| limited.values).next().ok_or(Error::Poisoned)?)
}

/// The same values in shares that nobody can tell from those of others: a product with one is masked anew.
async fn reshared<M: Mode>(ctx: &mut Ctx<M>, old: Checked) -> Result<Vector, Error> {
    let me = ctx.me();
    Ok(match old {
        Checked::Z16(x) => {
            let ones = Shares::public(me, &vec![trefoil_engine::Z16(1); x.len()]);
            ctx.mul(x.view(), ones.view()).await?.into()
        }
        Checked::Z64(x) => {
            let ones = Shares::public(me, &vec![trefoil_engine::Z64(1); x.len()]);
            ctx.mul(x.view(), ones.view()).await?.into()
        }
    })
}

/// The kind of templates of bits; `None` for embeddings.
fn kind(kind: TemplateKind) -> Result<Option<Kind>, AuthFault> {
    Ok(match kind {
        TemplateKind::Iris => Some(Kind::IRIS),
        TemplateKind::Binary { bits } => Some(Kind::binary(bits as usize)?),
        TemplateKind::Embedding { .. } => None,
    })
}

/// Both components, as they are stored.
fn bytes<M: Mode>(strand: &Verified<M>, vector: &Vector) -> Result<[Value; 2], Error> {
    let output = vector.output(strand)?;
    Ok(output.as_bytes().map(|component| Value::new(component.to_vec())))
}
