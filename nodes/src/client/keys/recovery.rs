//! A lost device: the recovery share is handed in, and new shares are put together from what the nodes hand out.

use super::{KeyReport, one_report, two};
use crate::{
    Error,
    client::{
        Client,
        node::{NodeClient, all},
    },
    keys::{Claim, IssueRequest, KeyName, RecoverySpec, RoleName, encode_secret},
};
use trefoil_auth::rsa::{DeviceKey, Issued, RecoveryKey, randomness};
use trefoil_engine::Party;

impl Client {
    /// The key of this client to which a recovery share belongs. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none; as [`keys`](Self::keys).
    pub async fn key_of(&self, recovery: &RecoveryKey) -> Result<KeyReport, Error> {
        let found = self.keys().await?.into_iter().find(|key| key.public == *recovery.public());
        found.ok_or_else(|| {
            Error::Usage(
                "this recovery share belongs to no key that you have at these nodes; use the certificate of the client that enrolled the key, and the cluster file of its nodes".to_owned(),
            )
        })
    }

    /// Hands in the recovery share of a key, split among the nodes, which make shares for another device. The shares of the lost device and this recovery share are of no use from then on: have the new ones
    /// handed out by [`issued_device`](Self::issued_device) and [`issued_recovery`](Self::issued_recovery), and say so by [`recovered`](Self::recovered). May be repeated until then.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. Either the old shares are in use, or the new ones: repeat it to find out.
    pub async fn recover_key(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<KeyReport, Error> {
        let parts = recovery.parts(&mut randomness()?);
        let mut bodies = Vec::with_capacity(parts.len());
        for (party, part) in Party::ALL.into_iter().zip(&parts) {
            bodies.push(encode_secret(&spec(recovery, party), part.encode(recovery.public()))?);
        }
        let bodies = &bodies;
        let done = self.step(async |node, exchange| {
            let body = bodies.get(node.party().index()).map_or(&[][..], |body| body);
            node.put_key(format!("{name}/recovery?exchange={exchange}"), body).await
        });
        let [a, b, c] = done.await?;
        one_report(&[(Party::P0, a), (Party::P1, b), (Party::P2, c)])
    }

    /// The device's new share, from what two nodes or three hand out. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if fewer than two nodes do; [`Error::Auth`] if there is no share in it.
    pub async fn issued_device(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<DeviceKey, Error> {
        let (public, issued) = (recovery.public(), self.issue(name, recovery, RoleName::Device).await?);
        Ok(DeviceKey::from_issued(public, &issued)?)
    }

    /// The new recovery share. Who asks for it and for the device's has the whole key between the two: where that matters, let its keeper ask.
    ///
    /// # Errors
    /// As [`issued_device`](Self::issued_device).
    pub async fn issued_recovery(&self, name: &KeyName, recovery: &RecoveryKey) -> Result<RecoveryKey, Error> {
        let (public, issued) = (recovery.public(), self.issue(name, recovery, RoleName::Recovery).await?);
        Ok(RecoveryKey::from_issued(public, &issued)?)
    }

    /// The new shares are kept where they belong: the nodes erase their components of the device's. Gives the nodes that have not said so; the next step with the key tells them. May be repeated.
    pub async fn recovered(&self, name: &KeyName, recovery: &RecoveryKey) -> Vec<(Party, Error)> {
        let told = all(&self.nodes, async |node: &NodeClient| {
            let spec = spec(recovery, node.party());
            node.post_key(&format!("{name}/recovery/done"), &spec).await
        });
        let told = Party::ALL.into_iter().zip(told.await);
        told.filter_map(|(party, told)| told.err().map(|error| (party, error))).collect()
    }

    async fn issue(&self, name: &KeyName, recovery: &RecoveryKey, role: RoleName) -> Result<Vec<Issued>, Error> {
        let issued = all(&self.nodes, async |node: &NodeClient| {
            let request = IssueRequest { claim: spec(recovery, node.party()).claim, role };
            let bytes = node.issued_key(&format!("{name}/recovery/share"), &request).await?;
            Issued::decode(&bytes, node.party()).map_err(|e| node.nonsense(&e.to_string()))
        });
        Ok(two(issued.await)?.into_iter().map(|(_, issued)| issued).collect())
    }
}

fn spec(recovery: &RecoveryKey, party: Party) -> RecoverySpec {
    RecoverySpec { claim: Claim::new(recovery.claim(party)) }
}
