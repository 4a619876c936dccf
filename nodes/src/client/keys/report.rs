//! A key as the nodes describe it.

use crate::{
    Error,
    keys::{KeyName, KeyStatus, KeyUse, public_from_hex},
    pki::ClientName,
    tables::Expiry,
};
use std::collections::BTreeSet;
use trefoil_auth::rsa::PublicKey;
use trefoil_engine::Party;

/// A key as the nodes that have it describe it: all alike, or two of three.
#[derive(Clone, Debug)]
pub struct KeyReport {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: KeyName,
    /// The public key.
    pub public: PublicKey,
    /// What it is for; `None` before its enrolment is complete.
    pub usage: Option<KeyUse>,
    /// Who may have documents signed, beside the owner.
    pub signers: BTreeSet<ClientName>,
    /// From when on nothing is done with it, and the nodes erase it.
    pub expires: Option<Expiry>,
    /// The nodes that describe it so, with the epoch of their shares.
    pub at: Vec<(Party, u64)>,
    /// The node that describes another key, enrolment or other signers than the two: it deviates, or has an old store. The two sign; its operator finds out what runs there.
    pub odd: Option<Party>,
    /// Whether a step was interrupted, which the next one settles.
    pub unsettled: bool,
    /// Whether the share of a recovered device waits to be handed out.
    pub issuing: bool,
}

impl KeyReport {
    /// Of what all have described alike.
    pub(super) fn of_all(answers: &[(Party, KeyStatus)]) -> Result<Self, Error> {
        let report = Self::of_most(answers)?;
        match report.odd {
            None => Ok(report),
            Some(odd) => Err(Error::Integrity(format!(
                "{odd} describes another enrolment of the key `{}` than the two others: it deviates, or has an old store; find out what runs there, and restore its store. The two others sign meanwhile",
                report.name
            ))),
        }
    }

    /// Of what two have described alike, or all that have described it.
    pub(super) fn of_most(answers: &[(Party, KeyStatus)]) -> Result<Self, Error> {
        let alike = |one: &KeyStatus| {
            let same = |other: &KeyStatus| {
                let said = |status: &KeyStatus| {
                    (status.public.clone(), status.enrolment, status.signers.clone(), status.expires)
                };
                said(one) == said(other)
            };
            let (alike, odd): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, other)| same(other));
            (alike, odd)
        };
        let Some((_, first)) = answers.first() else {
            return Err(Error::Integrity("no node has described the key".to_owned()));
        };
        let found = answers.iter().map(|(_, one)| alike(one)).find(|(alike, odd)| alike.len() >= 2 || odd.is_empty());
        let Some((alike, odd)) = found else { return Err(apart(&first.name)) };
        let Some((_, first)) = alike.first() else { return Err(apart(&first.name)) };
        Ok(Self {
            owner: first.owner.clone(),
            name: first.name.clone(),
            public: public_from_hex(&first.public).ok_or_else(|| apart(&first.name))?,
            usage: alike.iter().find_map(|(_, status)| status.usage),
            signers: first.signers.clone(),
            expires: first.expires,
            at: alike.iter().map(|(party, status)| (*party, status.epoch)).collect(),
            odd: odd.first().map(|(party, _)| *party),
            unsettled: alike.iter().any(|(_, status)| status.unsettled),
            issuing: alike.iter().any(|(_, status)| status.issuing),
        })
    }
}

/// No two nodes agree.
fn apart(name: &KeyName) -> Error {
    Error::Integrity(format!(
        "no two nodes describe the key `{name}` alike; try again when all three answer, and if that does not help, find out which nodes have an old store or deviate, and restore theirs. Two nodes that agree sign: keep the key until you know"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ExchangeId;
    use trefoil_auth::rsa::{KeySize, PrivateKey, randomness};

    #[test]
    fn two_nodes_that_agree_are_enough_and_the_third_is_named() {
        let mut rng = randomness().expect("randomness");
        let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key");
        let status = |enrolment: ExchangeId| KeyStatus {
            owner: "alice".parse().expect("a name"),
            name: "release".parse().expect("a name"),
            enrolment,
            signers: BTreeSet::new(),
            public: hex::encode(key.public().to_spki().expect("a form")),
            usage: Some(KeyUse::Documents),
            epoch: 3,
            unsettled: false,
            issuing: false,
            expires: None,
        };
        let [real, other] = [(); 2].map(|()| ExchangeId::random().expect("randomness"));
        let honest = status(real);
        let lies = [
            status(other),
            KeyStatus { public: "00".to_owned(), epoch: 9, ..honest.clone() },
            KeyStatus { expires: Some("2030-12-31T00:00:00Z".parse().expect("a moment")), ..honest.clone() },
            KeyStatus { signers: ["mallory".parse().expect("a name")].into(), unsettled: true, ..honest.clone() },
        ];
        for lie in lies {
            for liar in Party::ALL {
                let at = |party| (party, if party == liar { lie.clone() } else { honest.clone() });
                let report = KeyReport::of_most(&Party::ALL.map(at)).expect("two agree");
                assert_eq!((report.odd, report.unsettled), (Some(liar), false));
                assert_eq!(
                    report.at,
                    liar.peers()
                        .map(|party| (party, 3))
                        .into_iter()
                        .collect::<std::collections::BTreeMap<_, _>>()
                        .into_iter()
                        .collect::<Vec<_>>()
                );
                assert!(report.signers.is_empty() && report.public == *key.public());
                let refused = KeyReport::of_all(&Party::ALL.map(at)).expect_err("not all").to_string();
                assert!(refused.contains(&liar.to_string()) && !refused.contains("delete"), "{refused}");
            }
            let two = [(Party::P0, lie.clone()), (Party::P2, honest.clone())];
            let refused = KeyReport::of_most(&two).expect_err("who is right is not known").to_string();
            assert!(!refused.contains("delete"), "{refused}");
        }
        assert_eq!(KeyReport::of_all(&Party::ALL.map(|party| (party, honest.clone()))).expect("alike").odd, None);
        assert_eq!(KeyReport::of_most(&[(Party::P1, honest)]).expect("one has it").at, [(Party::P1, 3)]);
    }
}
