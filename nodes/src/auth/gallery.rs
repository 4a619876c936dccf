//! Users' templates at one node: what is stored, and what is kept in memory.

use super::{
    Auth, AuthFault, TemplateName, TemplateStatus, UserName,
    bounds::recount,
    records::{read, written},
    spec::digest,
    vote::Version,
};
use crate::{
    pki::ClientName,
    store::{Space, Value, WriteTransaction},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use trefoil_circuits::program::{InputVector, Vector};
use trefoil_engine::{Ctx, Error, Mode, Shares, Z16, Z64};

/// Templates of a user at most.
pub(super) const MOST_EACH: usize = 16;

/// Users of an owner at most.
const MOST_USERS: usize = 1 << 16;

/// Templates whose shares stay in memory: about 300 MB of iris codes.
const CACHED: usize = 4096;

/// A user of an owner.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub(super) struct UserKey {
    pub(super) owner: ClientName,
    pub(super) user: UserName,
}

/// Which templates a user has. Their shares are records of their own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Gallery {
    /// Those in use.
    pub(super) current: Vec<TemplateStatus>,
    /// Those before, until this node knows that all three have the current ones: a node that crashed may have no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Vec<TemplateStatus>>,
}

/// A template with this node's share of it.
pub(super) type New = (TemplateStatus, [Value; 2]);

/// Shares of a template in memory, of which the nodes have compared their copies.
#[derive(Clone, Debug)]
pub(super) enum Checked {
    Z16(Arc<Shares<Z16>>),
    Z64(Arc<Shares<Z64>>),
}

/// Templates in memory, by the names of their records.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Vec<u8>, Checked>>);

impl UserKey {
    pub(super) fn record(&self) -> Vec<u8> {
        format!("{}{}", all_users(&self.owner), self.user).into_bytes()
    }

    fn shares(&self, template: &TemplateStatus) -> Vec<u8> {
        format!("{}{}/{}", self.all_shares(), template.enrolment, template.shares).into_bytes()
    }

    fn all_shares(&self) -> String {
        format!("share/{}/{}/", self.owner, self.user)
    }

    /// The digest that stands for some templates of the user.
    pub(super) fn version(&self, templates: &[TemplateStatus]) -> Version {
        digest("templates", &(self, templates))
    }
}

impl Gallery {
    /// What this node has, for [`common`](super::vote::common).
    pub(super) fn versions(&self, key: &UserKey) -> [Version; 2] {
        [&self.current, self.before.as_ref().unwrap_or(&self.current)].map(|templates| key.version(templates))
    }

    /// The templates of a version, if this node has it.
    pub(super) fn of(&self, key: &UserKey, version: &Version) -> Option<&[TemplateStatus]> {
        let all = [Some(&self.current), self.before.as_ref()];
        all.into_iter().flatten().find(|templates| key.version(templates) == *version).map(Vec::as_slice)
    }

    pub(super) fn has(&self, template: &TemplateStatus) -> bool {
        self.current.iter().chain(self.before.iter().flatten()).any(|held| held == template)
    }
}

impl Auth {
    /// The templates of a user.
    pub(super) async fn gallery(&self, key: &UserKey) -> Result<Gallery, AuthFault> {
        let record = self.store.get(Space::Templates, key.record()).await?;
        record.map_or_else(|| Ok(Gallery::default()), |record| read(&record))
    }

    /// The users of an owner who have templates, or had.
    pub(super) async fn users(&self, owner: &ClientName) -> Result<Vec<UserName>, AuthFault> {
        let names = self.store.list(Space::Templates, all_users(owner)).await?;
        Ok(names.iter().filter_map(|name| user_of(owner, name)).collect())
    }

    /// Puts other templates in the place of a version that all three nodes have. That one stays until [`settle`](Self::settle).
    pub(super) async fn replace(
        &self,
        key: &UserKey,
        base: Version,
        (current, new): (Vec<TemplateStatus>, Vec<New>),
    ) -> Result<(), AuthFault> {
        let (key, bounds) = (key.clone(), self.bounds);
        let write = self.store.write(move |records| {
            let name = key.record();
            let old: Gallery =
                records.get(Space::Templates, &name)?.map_or_else(|| Ok(Gallery::default()), |r| read(&r))?;
            let before = old.of(&key, &base).ok_or(AuthFault::Changed)?.to_vec();
            if before.is_empty()
                && records.list(Space::Templates, all_users(&key.owner).as_bytes())?.len() >= MOST_USERS
            {
                let cause = format!("an owner has {MOST_USERS} users at most; revoke some first");
                return Err(AuthFault::Invalid(cause));
            }
            if current.len() > old.current.len() {
                bounds.template(records, &key.owner)?;
            }
            recount(records, &key.owner, (old.current.len(), current.len()))?;
            let next = Gallery { current, before: Some(before) };
            for (template, [own, following]) in &new {
                let both = Value::new([own.as_slice(), following].concat());
                records.put(Space::Templates, &key.shares(template), &both)?;
            }
            for gone in old.current.iter().chain(old.before.iter().flatten()).filter(|held| !next.has(held)) {
                records.remove(Space::Templates, &key.shares(gone))?;
            }
            records.put(Space::Templates, &name, &written(&next)?)?;
            Ok::<_, AuthFault>(())
        });
        write.await
    }

    /// All three nodes have this version in use: the one before is erased.
    pub(super) async fn settle(&self, key: &UserKey, version: Version) -> Result<(), AuthFault> {
        let key = key.clone();
        let gone = self.store.write(move |records| {
            let name = key.record();
            let Some(record) = records.get(Space::Templates, &name)? else { return Ok(Vec::new()) };
            let mut gallery: Gallery = read(&record)?;
            if key.version(&gallery.current) != version {
                return Ok(Vec::new());
            }
            let before = gallery.before.take().unwrap_or_default();
            let gone: Vec<_> = before.iter().filter(|held| !gallery.has(held)).map(|held| key.shares(held)).collect();
            for name in &gone {
                records.remove(Space::Templates, name)?;
            }
            records.put(Space::Templates, &name, &written(&gallery)?)?;
            Ok::<_, AuthFault>(gone)
        });
        self.cache.forget(&gone.await?);
        Ok(())
    }

    /// Removes templates that were erased from memory.
    pub(super) fn forget(&self, names: &[Vec<u8>]) {
        self.cache.forget(names);
    }

    /// Reads the shares of a template, and compares them with the other nodes' copies.
    ///
    /// Not cancel safe: end the session if this is dropped.
    pub(super) async fn load<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        key: &UserKey,
        template: &TemplateStatus,
    ) -> Result<Checked, AuthFault> {
        let name = key.shares(template);
        let bytes = self.store.get(Space::Templates, name.clone()).await?.ok_or(AuthFault::Changed)?;
        let shape = template.matching.kind.stored()?;
        let (own, next) = bytes.split_at(bytes.len() / 2);
        let vector = InputVector::from_bytes(shape, own, next)?;
        let checked = Checked::of(vector.receive(ctx).await?)?;
        self.hold(key, template, checked.clone()).await?;
        Ok(checked)
    }

    /// The shares of templates, if all are in memory.
    pub(super) fn cached(&self, key: &UserKey, templates: &[TemplateStatus]) -> Option<Vec<Checked>> {
        templates.iter().map(|template| self.cache.get(&key.shares(template))).collect()
    }

    /// Keeps the shares of a template in memory, as long as the user has it.
    pub(super) async fn hold(
        &self,
        key: &UserKey,
        template: &TemplateStatus,
        checked: Checked,
    ) -> Result<(), AuthFault> {
        let name = key.shares(template);
        self.cache.hold(name.clone(), checked);
        // Who erases a template removes its record first: erased before now, it is not there, and erased later, it goes from memory then.
        if !self.has(key, &[template]).await? {
            self.cache.forget(&[name]);
        }
        Ok(())
    }

    /// Whether a user has these templates now.
    pub(super) async fn has(&self, key: &UserKey, templates: &[&TemplateStatus]) -> Result<bool, AuthFault> {
        let gallery = self.gallery(key).await?;
        Ok(templates.iter().all(|template| gallery.has(template)))
    }
}

/// Erases a template, or all of a user, in every version. Gives what was erased, with the names of the records of its shares: they have to leave memory then.
pub(super) fn erase(
    records: &mut WriteTransaction<'_>,
    key: &UserKey,
    name: Option<&TemplateName>,
) -> Result<Vec<(Vec<u8>, TemplateStatus)>, AuthFault> {
    let record = key.record();
    let Some(old) = records.get(Space::Templates, &record)? else { return Ok(Vec::new()) };
    let mut gallery: Gallery = read(&old)?;
    let had = gallery.current.len();
    let stays = |template: &TemplateStatus| name.is_some_and(|name| template.name != *name);
    let mut erased: Vec<TemplateStatus> = Vec::new();
    for templates in [Some(&mut gallery.current), gallery.before.as_mut()].into_iter().flatten() {
        erased.extend(templates.extract_if(.., |template| !stays(template)));
    }
    recount(records, &key.owner, (had, gallery.current.len()))?;
    if gallery.current.is_empty() && gallery.before.as_ref().is_none_or(Vec::is_empty) {
        records.remove(Space::Templates, &record)?;
    } else {
        records.put(Space::Templates, &record, &written(&gallery)?)?;
    }
    let mut gone: Vec<_> = Vec::new();
    for template in erased {
        records.remove(Space::Templates, &key.shares(&template))?;
        gone.push((key.shares(&template), template));
    }
    Ok(gone)
}

/// What the names of the records of an owner's users begin with.
pub(super) fn all_users(owner: &ClientName) -> String {
    format!("user/{owner}/")
}

/// Of two nodes' lists of a user's templates what both have in use; `None` if they have different ones. One of them may not know yet that all have it.
pub(crate) fn same_templates(one: &Value, other: &Value) -> Option<Value> {
    let [one, other] = [read::<Gallery>(one).ok()?, read::<Gallery>(other).ok()?];
    (one.current == other.current).then(|| written(&Gallery { current: one.current, before: None }).ok()).flatten()
}

/// Of which user's template a record has shares.
pub(crate) fn user_of_shares(record: &str) -> Option<(ClientName, UserName)> {
    let mut parts = record.strip_prefix("share/")?.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Of which user a record is.
pub(super) fn user_of(owner: &ClientName, record: &[u8]) -> Option<UserName> {
    std::str::from_utf8(record).ok()?.strip_prefix(&all_users(owner))?.parse().ok()
}

impl Checked {
    /// Of a vector over a ring in which templates are kept.
    pub(super) fn of(vector: Vector) -> Result<Self, Error> {
        match vector {
            Vector::Z16(shares) => Ok(Self::Z16(Arc::new(shares))),
            Vector::Z64(shares) => Ok(Self::Z64(Arc::new(shares))),
            Vector::Bits(_) => Err(Error::Shape { what: "templates that are integers", expected: 1, got: 0 }),
        }
    }
}

impl Cache {
    fn get(&self, name: &[u8]) -> Option<Checked> {
        self.lock().get(name).cloned()
    }

    fn hold(&self, name: Vec<u8>, checked: Checked) {
        let mut held = self.lock();
        if held.len() >= CACHED
            && let Some(some) = held.keys().next().cloned()
        {
            held.remove(&some);
        }
        held.insert(name, checked);
    }

    fn forget(&self, names: &[Vec<u8>]) {
        let mut held = self.lock();
        for name in names {
            held.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Checked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} templates)", self.lock().len())
    }
}
