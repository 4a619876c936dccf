//! From partial signatures to a signature that is checked before anybody sees it.

use trefoil_engine::Party;

use super::{DevicePartial, Message, NodePartials, PublicKey, modular::Residue, sign::base};
use crate::Error;

/// A signature, and which nodes sent wrong parts of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    /// The signature, big-endian, as long as the modulus. It has been verified.
    pub signature: Vec<u8>,
    /// Nodes of which one has a damaged share or deviated, empty if all agree. Where three replied, this is the one node that
    /// explains all contradictions. Where two contradict each other, it is both: either can have chosen its parts such that the other's fails.
    pub wrong: Vec<Party>,
}

/// Multiplies the device's part and those of two or three nodes, and releases the product if it is the signature of `message`.
///
/// Each of the nodes' three components arrives twice from three nodes; from two, one of the three does. Where copies differ, both are tried and
/// verification with e decides, so one lying node of three neither stops the signature nor stays unknown. A liar can make its two parts
/// wrong by factors that cancel; the choice that the fewest nodes contradict is therefore the one that counts. Parts of an epoch that fewer than two nodes
/// have are left out, for a node may be ahead of the others by one.
///
/// `device` is `None` for keys that the nodes have alone.
///
/// # Errors
///
/// - [`Error::Replies`] if fewer than two different nodes replied for one epoch.
/// - [`Error::Foreign`] if the device's part is of another key.
/// - [`Error::Device`] if three nodes agree and the product is no signature.
/// - [`Error::Undecided`] if two nodes replied and the product is no signature.
/// - [`Error::Broken`] if there is no signature in what three nodes sent, and they contradict each other or there is no device.
pub fn combine(
    public: &PublicKey,
    message: &Message,
    device: Option<&DevicePartial>,
    nodes: &[NodePartials],
) -> Result<Signed, Error> {
    let (ring, encoded) = (public.ring(), base(public, message)?);
    let device = match device {
        Some(partial) if partial.key != public.id() => {
            return Err(Error::Foreign { what: "partial signature of the device", of: "key" });
        }
        Some(partial) => Some(ring.residue(&partial.value).ok_or(Error::Device)?),
        None => None,
    };
    let nodes = of_one_epoch(nodes)?;
    let candidates = Party::ALL.map(|component| candidates(component, public, &nodes));
    let start = device.clone().unwrap_or_else(|| ring.one());
    let choices = choices(&candidates).filter(|chosen| product(&start, *chosen).to_the_e() == encoded);
    let judged = choices.map(|chosen| (contradicting(&nodes, &chosen, public), product(&start, chosen).encode()));
    if let Some((mut wrong, signature)) = judged.min_by_key(|(wrong, _)| wrong.len()) {
        if nodes.len() < Party::ALL.len() && !wrong.is_empty() {
            wrong = nodes.iter().map(|node| node.party).collect();
        }
        return Ok(Signed { signature, wrong });
    }
    if let Some(ask) = Party::ALL.into_iter().find(|&party| nodes.iter().all(|node| node.party != party)) {
        return Err(Error::Undecided { ask });
    }
    let suspects: Vec<Party> = Party::ALL.into_iter().filter(|&party| contradicted(party, &nodes)).collect();
    match (device, suspects.is_empty()) {
        (Some(_), true) => Err(Error::Device),
        (None, true) => Err(Error::Broken { suspects: Party::ALL.to_vec() }),
        (_, false) => Err(Error::Broken { suspects }),
    }
}

/// The replies of the epoch that most nodes have, one for each node.
fn of_one_epoch(nodes: &[NodePartials]) -> Result<Vec<&NodePartials>, Error> {
    let of = |epoch| -> Vec<&NodePartials> {
        let reply = |party| nodes.iter().find(|node| node.party == party && node.epoch == epoch);
        Party::ALL.into_iter().filter_map(reply).collect()
    };
    let most = nodes.iter().map(|node| of(node.epoch)).max_by_key(Vec::len).unwrap_or_default();
    if most.len() < 2 { Err(Error::Replies { got: most.len() }) } else { Ok(most) }
}

/// The place of a component in what a node holds, if it holds it.
fn place(party: Party, component: Party) -> Option<usize> {
    [party, party.next()].into_iter().position(|held| held == component)
}

/// What the holders of a component say it is, each value once.
fn candidates(component: Party, public: &PublicKey, nodes: &[&NodePartials]) -> Vec<Residue> {
    let mut values: Vec<Residue> = Vec::with_capacity(2);
    for node in nodes {
        let value = place(node.party, component).and_then(|at| public.ring().residue(&node.values[at]));
        values.extend(value.filter(|value| node.key == public.id() && !values.contains(value)));
    }
    values
}

/// All choices of one candidate for each component.
fn choices(candidates: &[Vec<Residue>; 3]) -> impl Iterator<Item = [&Residue; 3]> {
    let [first, second, third] = candidates;
    first.iter().flat_map(move |a| second.iter().flat_map(move |b| third.iter().map(move |c| [a, b, c])))
}

fn product<'a>(start: &Residue, factors: impl IntoIterator<Item = &'a Residue>) -> Residue {
    factors.into_iter().fold(start.clone(), |product, factor| product.times(factor))
}

/// The nodes whose parts are not those that were chosen.
fn contradicting(nodes: &[&NodePartials], chosen: &[&Residue; 3], public: &PublicKey) -> Vec<Party> {
    let says = |node: &NodePartials, component: Party, at: usize| {
        public.ring().residue(&node.values[at]).as_ref() == Some(chosen[component.index()])
    };
    let agrees =
        |node: &NodePartials| node.key == public.id() && says(node, node.party, 0) && says(node, node.party.next(), 1);
    nodes.iter().filter(|node| !agrees(node)).map(|node| node.party).collect()
}

/// Whether another holder of a component of this node sent another value for it.
fn contradicted(party: Party, nodes: &[&NodePartials]) -> bool {
    let of = |party: Party| nodes.iter().find(|node| node.party == party);
    let value = |party: Party, at: usize| of(party).map(|node| &node.values[at]);
    value(party, 0) != value(party.prev(), 1) || value(party, 1) != value(party.next(), 0)
}
