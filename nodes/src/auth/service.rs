//! What a node does for owners and devices.

use super::{
    Answer, AuthFault, Bounds, Ceremony, EnrolSpec, LoginSpec, RefreshSpec, TemplateName, TemplateStatus, UserName,
    UserStatus, Verification,
    credentials::{CredentialSpec, hosts},
    gallery::{Cache, UserKey},
    guard::Busy,
    identify::Searches,
    session::{Done, Signers, Task},
    spec::digest,
};
use crate::{
    clock::now_unix_ms,
    job::{JobId, Sessions, Turns},
    keys::{KeyFault, KeyId, KeyUse, Keys},
    pki::ClientName,
    places::Places,
    receipt::Notary,
    store::Store,
};
use std::{fmt, sync::Arc};
use trefoil_auth::{
    rsa::{Message, NodePartials, PublicKey},
    webauthn::{Assertion, Bytes, Client, ClientData, Count, CredentialId, Match, NewCredential, Origin, Registration},
};
use trefoil_circuits::program::InputVector;
use trefoil_engine::transport::BoxFuture;

/// How far away the end of a login may be.
const LONGEST_LOGIN_MS: u64 = 600_000;

/// This node's shares of signing keys.
pub trait Parts: Send + Sync + 'static {
    /// The public key of a key.
    ///
    /// # Errors
    /// [`AuthFault::Key`] if there is none.
    fn public<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>>;

    /// The public key of a key for tokens.
    ///
    /// # Errors
    /// [`AuthFault::Key`] if there is none, or it is for something else.
    fn for_tokens<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>>;

    /// This node's parts of a signature.
    ///
    /// # Errors
    /// [`AuthFault::Key`] if there is no such key.
    fn sign<'a>(&'a self, key: &'a KeyId, message: Message) -> BoxFuture<'a, Result<NodePartials, AuthFault>>;

    /// The same with shares that an interrupted step has left prepared; `None` if there are none. Another node may have them in use, and this one cannot know.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    fn sign_prepared<'a>(
        &'a self,
        key: &'a KeyId,
        message: Message,
    ) -> BoxFuture<'a, Result<Option<NodePartials>, AuthFault>>;
}

impl Parts for Arc<Keys> {
    fn public<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>> {
        Box::pin(async { Ok(Keys::public(self, key).await?) })
    }

    fn for_tokens<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>> {
        Box::pin(async {
            match self.usage(key).await? {
                (KeyUse::Tokens, public) => Ok(public),
                _ => Err(KeyFault::Use(key.clone()).into()),
            }
        })
    }

    fn sign<'a>(&'a self, key: &'a KeyId, message: Message) -> BoxFuture<'a, Result<NodePartials, AuthFault>> {
        Box::pin(async { Ok(Keys::sign(self, key, message, None).await?.partials) })
    }

    fn sign_prepared<'a>(
        &'a self,
        key: &'a KeyId,
        message: Message,
    ) -> BoxFuture<'a, Result<Option<NodePartials>, AuthFault>> {
        Box::pin(async { Ok(Keys::sign_prepared(self, key, message).await?.map(|signed| signed.partials)) })
    }
}

/// What templates, credentials and logins of a node are kept and computed with.
pub struct AuthConfig {
    /// Where records are.
    pub store: Store,
    /// This node's shares of keys.
    pub parts: Box<dyn Parts>,
    /// How the node meets the others.
    pub sessions: Arc<dyn Sessions>,
    /// The turns that all sessions of this node take.
    pub turns: Arc<Turns>,
    /// What signs receipts.
    pub notary: Notary,
    /// What one owner may store.
    pub bounds: Bounds,
}

/// Templates, credentials and logins at one node.
pub struct Auth {
    pub(super) store: Store,
    pub(super) parts: Box<dyn Parts>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) turns: Arc<Turns>,
    pub(super) cache: Cache,
    pub(super) busy: Busy<UserKey>,
    pub(super) notary: Arc<Notary>,
    pub(super) searches: Searches,
    pub(super) bounds: Bounds,
    /// For sessions at the same time.
    pub(super) places: Places,
}

/// A login whose rules hold as far as they can be checked before a probe is compared.
struct Begun {
    credential: CredentialSpec,
    public: PublicKey,
    user: UserKey,
    client: Client,
    client_data: ClientData,
}

impl Auth {
    /// What is in the store.
    pub fn new(config: AuthConfig) -> Arc<Self> {
        let AuthConfig { store, parts, sessions, turns, notary, bounds } = config;
        let (cache, busy, searches) = (Cache::default(), Busy::default(), Searches::default());
        let (places, notary) = (Places::new(bounds.sessions as usize), Arc::new(notary));
        Arc::new(Self { store, parts, sessions, turns, cache, busy, notary, searches, bounds, places })
    }

    /// Enrols a template of a user, together with the other nodes, which have been sent their shares of it.
    ///
    /// Not cancel safe: run it in a task of its own.
    ///
    /// # Errors
    /// [`AuthFault`].
    pub async fn enrol(
        &self,
        owner: &ClientName,
        (user, name): (UserName, TemplateName),
        spec: EnrolSpec,
        sent: InputVector,
    ) -> Result<TemplateStatus, AuthFault> {
        spec.matching.check()?;
        let _place = self.places.try_take(owner)?;
        let key = UserKey { owner: owner.clone(), user };
        let mut user_place = Some(self.busy.take(&key)?);
        let (whose, bounds) = (owner.clone(), self.bounds);
        // Known before anything is computed, and once more when it is stored.
        self.store.read(move |records| bounds.template(records, &whose)).await?;
        let agreed = digest("enrol", &(&key, &name, &spec));
        let EnrolSpec { session, matching } = spec;
        let template = TemplateStatus { name, enrolment: session, epoch: 0, shares: session, matching };
        self.together((session, agreed), (&key, &mut user_place), Task::Enrol(template.clone(), sent)).await?;
        Ok(template)
    }

    /// Replaces all shares of a user's templates, together with the other nodes. The templates stay what they are.
    ///
    /// Not cancel safe: run it in a task of its own.
    ///
    /// # Errors
    /// [`AuthFault`].
    pub async fn refresh(
        &self,
        owner: &ClientName,
        user: UserName,
        spec: RefreshSpec,
    ) -> Result<Vec<TemplateStatus>, AuthFault> {
        let _place = self.places.try_take(owner)?;
        let key = UserKey { owner: owner.clone(), user };
        let mut user_place = Some(self.busy.take(&key)?);
        let agreed = digest("refresh", &(&key, &spec));
        match self.together((spec.session, agreed), (&key, &mut user_place), Task::Refresh(spec.session)).await? {
            Done::Replaced(templates) => Ok(templates),
            Done::Matched(_) => Err(AuthFault::Changed),
        }
    }

    /// The users of an owner.
    ///
    /// # Errors
    /// [`AuthFault`] of the store.
    pub async fn list(&self, owner: &ClientName) -> Result<Vec<UserStatus>, AuthFault> {
        let mut all = Vec::new();
        for user in self.users(owner).await? {
            let key = UserKey { owner: owner.clone(), user };
            let (gallery, lockout) = (self.gallery(&key).await?, self.lockout(&key).await?);
            let (failures, locked_until_ms) = (lockout.failures, lockout.locked_until_ms);
            all.push(UserStatus { user: key.user, templates: gallery.current, failures, locked_until_ms });
        }
        Ok(all)
    }

    /// A login: this node's parts of the signature, if everything holds.
    ///
    /// Not cancel safe: run it in a task of its own.
    ///
    /// # Errors
    /// [`AuthFault`].
    pub async fn login(
        &self,
        caller: &ClientName,
        id: JobId,
        spec: LoginSpec,
        probe: Option<InputVector>,
    ) -> Result<Answer, AuthFault> {
        in_time(spec.expires_ms)?;
        let _place = self.places.try_take(caller)?;
        let begun = self.begin(caller, &spec).await?;
        let (ceremony, counted) = (begun.client_data.hash(), hex::encode(&spec.credential.0));
        let mut user_place = Some(self.busy.take(&begun.user)?);
        self.admit(&begun.user, &ceremony).await?;
        let count = self.countable(&begun.user, &counted, spec.count).await?;
        let matched = match (spec.probe, probe) {
            (Some(kind), Some(probe)) => {
                let task = Task::Match { kind, probe, ceremony, signers: Signers::WithDevice };
                match self.together((id, spec.digest(id, caller)), (&begun.user, &mut user_place), task).await? {
                    Done::Matched(bit) => Some(Match::opened(ceremony, bit)),
                    Done::Replaced(_) => return Err(AuthFault::Changed),
                }
            }
            (None, None)
                if begun.credential.verification == Verification::Optional && !spec.ceremony.requires_probe() =>
            {
                None
            }
            (None, None) => {
                let cause = "the owner of this credential or the relying party requires a probe; share one";
                return Err(AuthFault::Invalid(cause.to_owned()));
            }
            _ => return Err(AuthFault::Invalid("the shares of the probe are not those announced".to_owned())),
        };
        if matched == Some(Match::opened(ceremony, trefoil_auth::webauthn::Bit::Zero)) {
            return Err(AuthFault::NoMatch);
        }
        // What the owner has revoked while the nodes compared signs nothing any more.
        if self.permitted(caller, &spec.owner, &spec.credential.0).await?.0 != begun.credential {
            return Err(AuthFault::Changed);
        }
        let proposed = (ceremony, spec.count, matched.is_some());
        let message = begun.message(&spec, count, matched.as_ref())?;
        let key = begun.credential.key_of(&spec.owner);
        let sign = async {
            let prepared = self.parts.sign_prepared(&key, message.clone()).await?;
            Ok((prepared, self.parts.sign(&key, message).await?))
        };
        // The disk takes as long as the exponentiation. What is signed does not leave before the number is on it.
        let ((), (prepared, parts)) = tokio::try_join!(self.count(&begun.user, &counted, proposed), sign)?;
        let encode = |parts: &NodePartials| Bytes(parts.encode(&begun.public));
        Ok(Answer { parts: encode(&parts), prepared: prepared.as_ref().map(encode) })
    }

    /// What does not depend on the probe: whose credential it is, whether the page fits.
    async fn begin(&self, caller: &ClientName, spec: &LoginSpec) -> Result<Begun, AuthFault> {
        let (credential, user) = self.permitted(caller, &spec.owner, &spec.credential.0).await?;
        let public = self.parts.public(&credential.key_of(&spec.owner)).await?;
        let client = Client::page(Origin::parse(&spec.origin, hosts(&credential.rp_id))?);
        let client_data = match &spec.ceremony {
            Ceremony::Get(options) => ClientData::get(options, &client)?,
            Ceremony::Create(options) => ClientData::create(options, &client)?,
        };
        let begun = Begun { credential, public, user, client, client_data };
        begun.fits(spec)?;
        Ok(begun)
    }
}

impl Begun {
    /// Whether the page may use the credential, before anything is computed or counted.
    fn fits(&self, spec: &LoginSpec) -> Result<(), AuthFault> {
        let held = [self.credential.credential(&spec.credential.0, self.public.clone())?];
        match &spec.ceremony {
            Ceremony::Get(options) => Assertion::candidates(options, &self.client, &held).map(drop)?,
            Ceremony::Create(options) => {
                let same = options.user.id == self.credential.handle
                    && options.rp.id.as_deref().unwrap_or(self.client.origin.host()) == self.credential.rp_id;
                if !same {
                    let cause = "the registration is of another user or relying party than the credential";
                    return Err(AuthFault::Invalid(cause.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// What this node signs: it puts every byte of it together itself.
    fn message(&self, spec: &LoginSpec, count: Count, matched: Option<&Match>) -> Result<Message, AuthFault> {
        let credential = self.credential.credential(&spec.credential.0, self.public.clone())?;
        Ok(match &spec.ceremony {
            Ceremony::Get(options) => {
                Assertion::begin(options, &self.client, &credential, count, matched)?.message()?
            }
            Ceremony::Create(options) => {
                let id = CredentialId::new(&spec.credential.0)?;
                let new = NewCredential { id, public: self.public.clone(), backup: credential.backup, count };
                Registration::begin(options, &self.client, new, &[], matched)?.message()?
            }
        })
    }
}

/// Whether a login that ends then may begin.
pub(super) fn in_time(expires_ms: u64) -> Result<(), AuthFault> {
    let now = now_unix_ms();
    if expires_ms <= now || expires_ms > now.saturating_add(LONGEST_LOGIN_MS) {
        return Err(AuthFault::Expired);
    }
    Ok(())
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("cache", &self.cache).finish_non_exhaustive()
    }
}
