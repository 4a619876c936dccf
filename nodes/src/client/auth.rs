//! Templates, credentials and logins, from the owner's and the device's side.

mod device;
mod search;
mod tokens;

pub use device::Device;
pub use search::Identified;
pub use tokens::{Issuer, Login};

use super::{
    Client, Plain,
    keys::two,
    node::{NodeClient, all, together},
    upload::components,
};
use crate::{
    Error,
    api::ProblemKind,
    auth::{
        AUTH_MEDIA_TYPE, Answer, Ceremony, CredentialSpec, CredentialStatus, EnrolSpec, LoginSpec, Matching,
        RefreshSpec, TemplateKind, TemplateName, TemplateStatus, UserName, UserStatus,
    },
    clock::now_unix_ms,
    job::{JobId, frame},
    keys::KeyName,
    receipt::{Nonce, Receipt},
};
use bytes::Bytes;
use device::Signing;
use reqwest::Method;
use serde::Serialize;
use std::collections::HashSet;
use trefoil_auth::{
    rsa::{DevicePartial, Message, NodePartials, PublicKey, combine},
    webauthn::{
        Assertion, Attestation, AuthenticationResponse, Bit, Conveyance, CreationOptions, CredentialId, Match,
        NewCredential, Registration, RegistrationResponse, RequestOptions,
    },
};
use trefoil_engine::Party;

/// A probe, in plain at the device, about to be split.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// What it is.
    pub kind: TemplateKind,
    /// Its bits, or its integers.
    pub plain: Plain<'a>,
}

/// A page that asks for a ceremony.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its origin, such as `https://login.example.org`.
    pub origin: &'a str,
}

/// The media type of JSON.
const JSON: &str = "application/json";

/// How long a login may take, in milliseconds.
const LOGIN_MS: u64 = 60_000;

/// How many numbers are tried.
const COUNTS: u32 = 4;

impl Client {
    /// Splits a template and enrols it at the three nodes. If a node does not have it in the end, it is erased at the others.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy; [`Error::Usage`] if the template is not of its kind.
    pub async fn enrol_template(
        &self,
        (user, name): (&UserName, &TemplateName),
        matching: Matching,
        template: Plain<'_>,
    ) -> Result<TemplateStatus, Error> {
        check(matching.kind, template)?;
        let session = JobId::random()?;
        let spec = EnrolSpec { session, matching };
        let bodies = bodies(&spec, Some(template))?;
        let path = format!("auth/users/{user}/templates/{name}");
        let enrolled = all(&self.nodes, async |node| {
            let body = &bodies[node.party().index()];
            node.call::<TemplateStatus>(Method::PUT, &path, Some((AUTH_MEDIA_TYPE, body))).await
        });
        match enrolled.await {
            [Ok(a), Ok(b), Ok(c)] if a == b && b == c => Ok(a),
            [Ok(_), Ok(_), Ok(_)] => Err(Error::Integrity(
                "the nodes describe the template differently; one of them deviates from the protocol".to_owned(),
            )),
            results => {
                let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
                let first = worst(errors);
                // One that was there before is not touched: whatever some node answers, each of those that tell has this one or none.
                let held =
                    self.auth_users().await.into_iter().flatten().flatten().filter(|status| status.user == *user);
                let mut of_name = held.flat_map(|status| status.templates).filter(|template| template.name == *name);
                if of_name.all(|template| template.enrolment == session) {
                    let _ = self.delete_templates(user, Some(name), Nonce::random()?).await;
                }
                Err(first)
            }
        }
    }

    /// The users of this client who have templates, at each node. Cancel safe.
    pub async fn auth_users(&self) -> [Result<Vec<UserStatus>, Error>; 3] {
        all(&self.nodes, async |node| node.call(Method::GET, "auth/users", None).await).await
    }

    /// Replaces all shares of a user's templates at the three nodes.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. The templates can be used all the same.
    pub async fn refresh_templates(&self, user: &UserName) -> Result<Vec<TemplateStatus>, Error> {
        let spec = json(&RefreshSpec { session: JobId::random()? })?;
        let path = format!("auth/users/{user}/refresh");
        let refreshed = all(&self.nodes, async |node| {
            node.call(Method::POST, &path, Some((JSON, std::slice::from_ref(&spec)))).await
        });
        let [a, b, c] = refreshed.await;
        let (a, b, c): (Vec<TemplateStatus>, Vec<TemplateStatus>, Vec<TemplateStatus>) = (a?, b?, c?);
        if a == b && b == c {
            return Ok(a);
        }
        Err(Error::Integrity(
            "the nodes describe the refreshed templates differently; one of them deviates from the protocol".to_owned(),
        ))
    }

    /// The templates that a user has by what two nodes at least say, each by its name and enrolment. Cancel safe.
    pub async fn held_templates(&self, user: &UserName) -> Vec<(TemplateName, JobId)> {
        let of_node = |users: Vec<UserStatus>| {
            let of_user = users.into_iter().filter(|status| status.user == *user);
            let templates = of_user.flat_map(|status| status.templates);
            templates.map(|template| (template.name, template.enrolment)).collect::<HashSet<_>>()
        };
        let nodes: Vec<_> = self.auth_users().await.into_iter().flatten().map(of_node).collect();
        let twice = |template: &&_| nodes.iter().filter(|held| held.contains(template)).count() >= 2;
        nodes.iter().flatten().filter(twice).collect::<HashSet<_>>().into_iter().cloned().collect()
    }

    /// Erases a template of a user, or all, at every node that answers. Gives the receipt of each, of an [`Erasure`](crate::auth::Erasure): check it with
    /// [`Receipt::verify_answer`] and [`Erasure::answers`](crate::auth::Erasure::answers), for a node could send another one. Repeated with the same nonce it gives those again whose answer was lost: draw one for each deletion. Cancel safe.
    pub async fn delete_templates(
        &self,
        user: &UserName,
        name: Option<&TemplateName>,
        nonce: Nonce,
    ) -> [Result<Receipt, Error>; 3] {
        let path = match name {
            Some(name) => format!("auth/users/{user}/templates/{name}?nonce={nonce}"),
            None => format!("auth/users/{user}?nonce={nonce}"),
        };
        all(&self.nodes, async |node| node.call(Method::DELETE, &path, None).await).await
    }

    /// Stores a credential at the three nodes. Its key has to be there.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy.
    pub async fn put_credential(&self, id: &CredentialId, spec: &CredentialSpec) -> Result<(), Error> {
        let (path, body) = (credential(id), json(spec)?);
        let stored = all(&self.nodes, async |node| {
            node.done(Method::PUT, &path, Some((JSON, std::slice::from_ref(&body)))).await
        });
        let [a, b, c] = stored.await;
        a.and(b).and(c)
    }

    /// The credentials of this client at each node. Cancel safe.
    pub async fn credentials(&self) -> [Result<Vec<CredentialStatus>, Error>; 3] {
        all(&self.nodes, async |node| node.call(Method::GET, "auth/credentials", None).await).await
    }

    /// The credentials of this client that sign with a key, as two nodes or three describe them alike. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if two nodes do not answer.
    pub async fn credentials_with(&self, key: &KeyName) -> Result<Vec<CredentialStatus>, Error> {
        let answers = two(self.credentials().await)?;
        let alike = |one: &CredentialStatus| answers.iter().filter(|(_, all)| all.contains(one)).count() >= 2;
        let mut found: Vec<CredentialStatus> = Vec::new();
        for credential in answers.iter().flat_map(|(_, all)| all) {
            if credential.spec.key == *key && alike(credential) && !found.contains(credential) {
                found.push(credential.clone());
            }
        }
        Ok(found)
    }

    /// Forgets a credential at every node that answers. Gives the receipt of each, to be checked as those of [`delete_templates`](Self::delete_templates). Cancel safe.
    pub async fn delete_credential(&self, id: &CredentialId, nonce: Nonce) -> [Result<Receipt, Error>; 3] {
        let path = format!("{}?nonce={nonce}", credential(id));
        all(&self.nodes, async |node| node.call(Method::DELETE, &path, None).await).await
    }

    /// Logs in: shares the probe, has the nodes match it and sign, adds the device's part, and verifies what comes out.
    ///
    /// Without a probe two nodes are enough, if the credential and the relying party allow it. Not to be repeated with the same challenge once a probe has been compared.
    ///
    /// # Errors
    /// [`Error::Refused`]: the probe does not match, the user is locked, a rule does not hold; [`Error::Unreachable`]; [`Error::Usage`] for a page or options that do not
    /// fit; [`Error::Integrity`] if the parts make no signature.
    pub async fn login(
        &self,
        device: &Device,
        (options, page): (&RequestOptions, Page<'_>),
        probe: Option<Probe<'_>>,
    ) -> Result<AuthenticationResponse, Error> {
        let mut signing = Signing::begin(device, Ceremony::Get(options.clone()), page.origin)?;
        let matched = probe.map(|_| Match::opened(signing.ceremony, Bit::One));
        let credential = device.credential().map_err(rule)?;
        let assertion = |signing: &Signing| {
            Assertion::begin(options, &signing.client, &credential, signing.count()?, matched.as_ref()).map_err(rule)
        };
        let message = |signing: &Signing| assertion(signing)?.message().map_err(rule);
        let signature = self.signed(device, &mut signing, probe, message).await?;
        assertion(&signing)?.finish(&signature).map_err(broken)
    }

    /// Registers a credential with a relying party, once the nodes have its key and know of it. With a probe they match it and sign, whether or not the relying party wants to see that.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn register(
        &self,
        device: &Device,
        (options, page): (&CreationOptions, Page<'_>),
        probe: Option<Probe<'_>>,
    ) -> Result<RegistrationResponse, Error> {
        let mut signing = Signing::begin(device, Ceremony::Create(options.clone()), page.origin)?;
        let attested = matches!(options.attestation, Conveyance::Direct | Conveyance::Enterprise);
        let held = device.credential().map_err(rule)?;
        let matched = probe.map(|_| Match::opened(signing.ceremony, Bit::One));
        let registration = |signing: &Signing| {
            let (id, public) = (held.id.clone(), held.public.clone());
            let new = NewCredential { id, public, backup: held.backup, count: signing.count()? };
            Registration::begin(options, &signing.client, new, &[], matched.as_ref()).map_err(rule)
        };
        if probe.is_none() && !attested {
            return Ok(registration(&signing)?.finish().map_err(rule)?.1);
        }
        // That two nodes and the device sign it says that they have matched, even if nobody sees the signature.
        let message = |signing: &Signing| registration(signing)?.message().map_err(rule);
        let signature = self.signed(device, &mut signing, probe, message).await?;
        let registration = registration(&signing)?;
        let done = if registration.attestation() == Attestation::PackedSelf {
            registration.finish_attested(&signature)
        } else {
            registration.finish()
        };
        Ok(done.map_err(broken)?.1)
    }

    /// The signature of the device and the nodes under the message for a number. One that was signed in the same second is counted up.
    async fn signed(
        &self,
        device: &Device,
        signing: &mut Signing,
        probe: Option<Probe<'_>>,
        message: impl Fn(&Signing) -> Result<Message, Error>,
    ) -> Result<Vec<u8>, Error> {
        let mut attempt = 1;
        loop {
            let message = message(signing)?;
            // The device raises while the nodes compare. Its part goes nowhere: here it is put together with theirs, if there are any.
            let (parts, own) = tokio::join!(self.parts_at(signing, probe), device.raised(&message));
            match parts {
                Err(Error::Refused { problem, .. })
                    if attempt < COUNTS && problem.kind() == Some(ProblemKind::Counter) =>
                {
                    signing.counted = device.next_count();
                    attempt += 1;
                }
                parts => return of_some_epoch(device.key().public(), &message, (parts?, &own?)),
            }
        }
    }

    /// The nodes' parts of a signature, for one number.
    async fn parts_at(&self, signing: &Signing, probe: Option<Probe<'_>>) -> Result<Vec<NodePartials>, Error> {
        if let Some(probe) = probe {
            check(probe.kind, probe.plain)?;
        }
        let spec = LoginSpec {
            owner: signing.owner.clone(),
            credential: signing.credential.clone(),
            ceremony: signing.asked.clone(),
            origin: signing.client.origin.as_str().to_owned(),
            count: signing.counted,
            expires_ms: now_unix_ms().saturating_add(LOGIN_MS),
            probe: probe.map(|probe| probe.kind),
        };
        let (path, bodies) =
            (format!("auth/logins/{}", JobId::random()?), bodies(&spec, probe.map(|probe| probe.plain))?);
        let ask = async |node: &NodeClient| {
            let body = &bodies[node.party().index()];
            node.call::<Answer>(Method::PUT, &path, Some((AUTH_MEDIA_TYPE, body))).await
        };
        // Without a probe two nodes sign, whatever the third does.
        let answers = match probe {
            Some(_) => together(&self.nodes, ask).await,
            None => all(&self.nodes, ask).await,
        };
        self.collected(answers)
    }

    /// The parts of a signature, of two nodes at least.
    fn collected(&self, answers: [Result<Answer, Error>; 3]) -> Result<Vec<NodePartials>, Error> {
        let (mut parts, mut errors, mut answered) = (Vec::new(), Vec::new(), 0);
        for (party, answer) in Party::ALL.into_iter().zip(answers) {
            match answer {
                Ok(answer) => match NodePartials::decode(&answer.parts.0, party) {
                    Ok(part) => {
                        answered += 1;
                        let prepared = answer.prepared.map(|parts| NodePartials::decode(&parts.0, party));
                        parts.extend([part].into_iter().chain(prepared.into_iter().flatten()));
                    }
                    Err(e) => errors.push(Error::Integrity(format!("{}: {e}", self.node(party).name()))),
                },
                Err(e) => errors.push(e),
            }
        }
        for error in &errors {
            tracing::debug!("a node has not signed: {error}");
        }
        if answered >= 2 { Ok(parts) } else { Err(worst(errors)) }
    }
}

/// A signature of the parts of one epoch: an interrupted step may have left one node with the next epoch in use and another with both, and one that lies may name any.
fn of_some_epoch(
    public: &PublicKey,
    message: &Message,
    (parts, device): (Vec<NodePartials>, &DevicePartial),
) -> Result<Vec<u8>, Error> {
    let mut fault = None;
    for epoch in parts.iter().map(NodePartials::epoch).collect::<std::collections::BTreeSet<_>>().into_iter().rev() {
        let parts: Vec<_> = parts.iter().filter(|part| part.epoch() == epoch).cloned().collect();
        if parts.len() < 2 {
            continue;
        }
        match put_together(public, message, Some(device), &parts) {
            Ok(signature) => return Ok(signature),
            Err(e) => fault = fault.or(Some(e)),
        }
    }
    fault.map_or_else(|| put_together(public, message, Some(device), &parts), Err)
}

/// A signature that verifies. Who has sent a wrong part is told to the operator.
fn put_together(
    public: &PublicKey,
    message: &Message,
    device: Option<&DevicePartial>,
    parts: &[NodePartials],
) -> Result<Vec<u8>, Error> {
    let signed = combine(public, message, device, parts).map_err(broken)?;
    if !signed.wrong.is_empty() {
        let wrong: Vec<String> = signed.wrong.iter().map(ToString::to_string).collect();
        tracing::warn!("wrong parts of a signature: {}; find out what runs there", wrong.join(" or "));
    }
    Ok(signed.signature)
}

/// What each node is sent.
fn bodies(spec: &impl Serialize, plain: Option<Plain<'_>>) -> Result<[Vec<Bytes>; 3], Error> {
    let head = frame(&json(spec)?);
    let mut bodies = [(); 3].map(|()| vec![head.clone()]);
    if let Some(plain) = plain {
        bodies.iter_mut().zip(plain.split()?).for_each(|(body, share)| body.extend(components(share)));
    }
    Ok(bodies)
}

fn check(kind: TemplateKind, plain: Plain<'_>) -> Result<(), Error> {
    let shape = kind.sent().map_err(|e| Error::Usage(e.to_string()))?;
    if plain.fits(shape) {
        return Ok(());
    }
    let (due, got) = (shape.elements(), plain.elements());
    Err(Error::Usage(format!(
        "a template of this kind has {due} words of {:?}, and {got} of {:?} were given",
        shape.ring,
        plain.ring()
    )))
}

/// The error that says most: that a node misses another is a consequence.
fn worst(errors: Vec<Error>) -> Error {
    let rank = |error: &Error| match error {
        Error::Refused { problem, .. } => match problem.kind() {
            Some(ProblemKind::Unready | ProblemKind::Failed) => 1,
            _ => 0,
        },
        _ => 2,
    };
    let none = || Error::Bug("a refusal without a cause".to_owned());
    errors.into_iter().min_by_key(rank).unwrap_or_else(none)
}

fn credential(id: &CredentialId) -> String {
    format!("auth/credentials/{}", trefoil_auth::webauthn::Bytes::from(id.as_bytes()).to_base64url())
}

fn json(what: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(what).map(Bytes::from).map_err(|e| Error::Bug(format!("a specification as JSON: {e}")))
}

/// A rule of a ceremony does not hold: the caller acts.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn rule(error: trefoil_auth::Error) -> Error {
    Error::Usage(error.to_string())
}

/// What came together is no signature.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn broken(error: trefoil_auth::Error) -> Error {
    Error::Integrity(error.to_string())
}

#[cfg(test)]
mod tests;
