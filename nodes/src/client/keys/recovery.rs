//! A lost device: the recovery share is handed in, and new shares are put together from what the nodes hand out.

use super::two;
use crate::{
    Error,
    client::{
        Client,
        node::{NodeClient, all},
    },
    keys::{Claim, IssueRequest, KeyFault, KeyName, KeyStatus, RecoverySpec, RoleName, encode_secret},
};
use std::{collections::BTreeSet, time::Duration};
use trefoil_auth::{
    Error as AuthError,
    rsa::{DeviceKey, Issued, PublicKey, RecoveryKey, randomness},
};
use trefoil_engine::Party;

/// How often a node is told that the new shares are kept.
const TOLD: u32 = 4;

/// How long it is let alone before it is told once more.
const BETWEEN: Duration = Duration::from_millis(500);

impl Client {
    /// The name of the key of this client to which a recovery share belongs, as two nodes or three have it alike: one alone could name any. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; [`Error::Refused`] or [`Error::Unreachable`] if two nodes do not answer.
    pub async fn key_of(&self, recovery: &RecoveryKey) -> Result<KeyName, Error> {
        let answers = two(all(&self.nodes, NodeClient::keys).await)?;
        let keys: Vec<Vec<KeyStatus>> = answers.into_iter().map(|(_, keys)| keys).collect();
        named_alike(&keys, &hex::encode(recovery.public().to_spki()?)).ok_or_else(|| {
            Error::Usage(
                "this recovery share belongs to no key that you have at these nodes, by what two of them say alike; use the certificate of the client that enrolled the key, and the cluster file of its nodes, and try again when all three answer".to_owned(),
            )
        })
    }

    /// Hands in the recovery share of a key, split among the nodes, which make shares for another device. With the nodes the shares of the lost device and this recovery share are of no use from then on: have the new
    /// ones handed out by [`issued_device`](Self::issued_device) and [`issued_recovery`](Self::issued_recovery), and say so by [`recovered`](Self::recovered). May be repeated until all three nodes have heard that.
    ///
    /// Destroy this recovery share then: with the lost device's it is the whole key.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. Either the old shares are in use, or the new ones: repeat it to find out. What is handed out then may be in use
    /// or not: keep this recovery share until it succeeds, and do not call [`recovered`](Self::recovered) before.
    pub async fn recover_key(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<(), Error> {
        let parts = recovery.parts(&mut randomness()?);
        let mut bodies = Vec::with_capacity(parts.len());
        for (party, part) in Party::ALL.into_iter().zip(&parts) {
            bodies.push(encode_secret(&spec(recovery, party), part.encode(recovery.public()))?);
        }
        let bodies = &bodies;
        let done = self.step(async |node, exchange| {
            let body = bodies.get(node.party().index()).map_or(&[][..], |body| body);
            match node.put_key(format!("{name}/recovery?exchange={exchange}"), body).await {
                // It has the new shares in use, and has heard before others that they were handed out.
                Err(e) if is_recovered(&e) => Ok(Err(e)),
                told => told.map(Ok::<KeyStatus, Error>),
            }
        });
        match done.await? {
            [Err(e), Err(_), Err(_)] => Err(e),
            _ => Ok(()),
        }
    }

    /// The device's new share, from what two nodes or three hand out. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if fewer than two nodes do; [`Error::Auth`] if there is no share in it.
    pub async fn issued_device(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<DeviceKey, Error> {
        self.issue(name, recovery, (RoleName::Device, DeviceKey::from_issued)).await
    }

    /// The new recovery share. Who asks for it and for the device's has the whole key between the two: where that matters, let its keeper ask.
    ///
    /// # Errors
    /// As [`issued_device`](Self::issued_device).
    pub async fn issued_recovery(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<RecoveryKey, Error> {
        self.issue(name, recovery, (RoleName::Recovery, RecoveryKey::from_issued)).await
    }

    /// The new shares are kept where they belong: the nodes erase their components of the device's. A node that does not answer is told a few times. Gives the nodes that have not said so: one hears it
    /// from the two others in the next step with the key; of two or three [`recover_key`](Self::recover_key) and this are to be repeated, for they have the whole new share between them until then. May be repeated.
    pub async fn recovered(&self, name: &KeyName, recovery: &RecoveryKey) -> Vec<(Party, Error)> {
        let (mut unfinished, mut attempt) = (Vec::new(), 1);
        let mut left = Party::ALL.to_vec();
        loop {
            let told = all(&self.nodes, async |node: &NodeClient| {
                if !left.contains(&node.party()) {
                    return Ok(());
                }
                let spec = spec(recovery, node.party());
                node.post_key(&format!("{name}/recovery/done"), &spec).await.map(drop)
            });
            let told = Party::ALL.into_iter().zip(told.await);
            unfinished.clear();
            unfinished.extend(told.filter_map(|(party, told)| told.err().map(|error| (party, error))));
            left = unfinished.iter().map(|(party, _)| *party).collect();
            if left.is_empty() || attempt == TOLD {
                return unfinished;
            }
            attempt += 1;
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// A share from the components of two nodes or three: of those that the nodes have in use, and where a node says that an epoch is in use that others have only prepared, of what they have prepared.
    async fn issue<T>(
        &self,
        name: &KeyName,
        recovery: &RecoveryKey,
        (role, put_together): (RoleName, impl Fn(&PublicKey, &[Issued]) -> Result<T, AuthError>),
    ) -> Result<T, Error> {
        let (mut in_use, mut fault) = (Vec::new(), None);
        for answer in all(&self.nodes, |node| components(node, name, (recovery, role), None)).await {
            match answer {
                Ok(issued) => in_use.push(issued),
                Err(e) => fault = fault.or(Some(e)),
            }
        }
        for epoch in epochs(&in_use) {
            let (mut of_epoch, other): (Vec<_>, _) = in_use.into_iter().partition(|issued| issued.epoch() == epoch);
            in_use = other;
            match put_together(recovery.public(), &of_epoch) {
                Ok(share) => return Ok(share),
                Err(AuthError::Replies { .. }) => {}
                Err(e) => fault = Some(e.into()),
            }
            let here: Vec<Party> = of_epoch.iter().map(Issued::from).collect();
            let prepared = all(&self.nodes, async |node: &NodeClient| {
                if here.contains(&node.party()) {
                    return Ok(None);
                }
                components(node, name, (recovery, role), Some(epoch)).await.map(Some)
            });
            of_epoch.extend(prepared.await.into_iter().filter_map(Result::ok).flatten());
            match put_together(recovery.public(), &of_epoch) {
                Ok(share) => return Ok(share),
                Err(AuthError::Replies { .. }) => {}
                Err(e) => fault = Some(e.into()),
            }
        }
        Err(fault.unwrap_or_else(|| AuthError::Replies { got: 1 }.into()))
    }
}

/// What one node hands out.
async fn components(
    node: &NodeClient,
    name: &KeyName,
    (recovery, role): (&RecoveryKey, RoleName),
    epoch: Option<u64>,
) -> Result<Issued, Error> {
    let request = IssueRequest { claim: spec(recovery, node.party()).claim, role, epoch };
    let bytes = node.issued_key(&format!("{name}/recovery/share"), &request).await?;
    Issued::decode(&bytes, node.party()).map_err(|e| node.nonsense(&e.to_string()))
}

/// The epochs that nodes have in use: one that two agree on first, then the newest.
fn epochs(in_use: &[Issued]) -> Vec<u64> {
    let of = |epoch: u64| in_use.iter().filter(|issued| issued.epoch() == epoch).count();
    let mut epochs: Vec<u64> = in_use.iter().map(Issued::epoch).collect::<BTreeSet<_>>().into_iter().rev().collect();
    epochs.sort_by_key(|&epoch| of(epoch) < 2);
    epochs
}

/// The name that two nodes give a public key, of one enrolment.
fn named_alike(answers: &[Vec<KeyStatus>], public: &str) -> Option<KeyName> {
    let alike = |one: &KeyStatus| {
        let same = |other: &KeyStatus| {
            (&other.name, &other.public, &other.enrolment) == (&one.name, &one.public, &one.enrolment)
        };
        answers.iter().filter(|keys| keys.iter().any(same)).count() >= 2
    };
    let found = answers.iter().flatten().find(|key| key.public == public && alike(key));
    found.map(|key| key.name.clone())
}

/// Whether a node says that what a recovery has made was handed out.
fn is_recovered(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. } if problem.detail == KeyFault::Recovered.to_string())
}

fn spec(recovery: &RecoveryKey, party: Party) -> RecoverySpec {
    RecoverySpec { claim: Claim::new(recovery.claim(party)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ExchangeId;

    fn status(name: &str, public: &str, enrolment: ExchangeId) -> KeyStatus {
        KeyStatus {
            owner: "alice".parse().expect("a name"),
            name: name.parse().expect("a name"),
            enrolment,
            signers: BTreeSet::new(),
            public: public.to_owned(),
            usage: None,
            epoch: 1,
            unsettled: false,
            issuing: false,
            expires: None,
        }
    }

    /// One node names another key, another enrolment or a name of its making: the key is what the two others say.
    #[test]
    fn one_node_does_not_say_which_key_is_recovered() {
        let [real, other] = [(); 2].map(|()| ExchangeId::random().expect("randomness"));
        let honest = || vec![status("bank", "22", other), status("phone", "11", real)];
        let lies = [
            vec![],
            vec![status("aaa", "11", real), status("phone", "11", real)],
            vec![status("phone", "11", other), status("bank", "11", other)],
            vec![status("phone", "22", real)],
        ];
        for lie in lies {
            for answers in [[lie.clone(), honest(), honest()], [honest(), honest(), lie.clone()]] {
                assert_eq!(named_alike(&answers, "11"), Some("phone".parse().expect("a name")), "{lie:?}");
            }
            assert_eq!(named_alike(&[lie, honest()], "33"), None);
        }
        assert_eq!(named_alike(&[vec![status("aaa", "11", real)], honest()], "11"), None);
    }
}
