//! What can go wrong, sorted by who must act.

use trefoil_engine::Party;

/// Why a step of an authentication failed. The variants say who has to act.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller passed something that cannot be signed.
    #[error("{what} is {got} bytes long, but has to be {expected}; pass it as its specification defines it")]
    Length {
        /// Which argument.
        what: &'static str,
        /// The length required.
        expected: &'static str,
        /// The length passed.
        got: usize,
    },
    /// A document was to be signed with a key of a device, which signs ceremonies alone.
    #[error(
        "this key belongs to a device and signs WebAuthn ceremonies, not documents; sign documents with a key of the nodes alone"
    )]
    Purpose,
    /// A key that was brought in cannot be used here. Its owner has to bring another one.
    #[error(
        "the key cannot be used: {fault}; bring an RSA key of 2048, 3072 or 4096 bits with e = 65537, or make a new one"
    )]
    Key {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Stored or received bytes are not what they should be. Look at who stored or sent them.
    #[error("these bytes are no {what} of this version: {fault}; look at who stored or sent them")]
    Malformed {
        /// What was to be read.
        what: &'static str,
        /// What is wrong.
        fault: &'static str,
    },
    /// A message belongs to another key, epoch or attempt than the state it was given to.
    #[error("this {what} belongs to another {of}; ask its sender for the one of this step, or begin the step anew")]
    Foreign {
        /// Which message.
        what: &'static str,
        /// What does not fit.
        of: &'static str,
    },
    /// The caller passed replies of fewer than two nodes, or two of one node.
    #[error("the replies of two or three different nodes are needed, got {got}; ask another node")]
    Replies {
        /// How many different nodes replied.
        got: usize,
    },
    /// The device's part of a signature is wrong, as all nodes agree on theirs. Nothing was signed.
    #[error(
        "the device's partial signature is wrong: its share is damaged, replaced by a recovery, or not of this key; recover the device"
    )]
    Device,
    /// The parts do not make a signature, and two replies do not tell who is wrong. Nothing was signed.
    #[error(
        "the parts are no signature and two nodes' replies do not tell whose is wrong; ask {ask} as well and combine all three"
    )]
    Undecided {
        /// The node to ask.
        ask: Party,
    },
    /// The parts do not make a signature, and more than one of those who took part must be wrong. Nothing was signed.
    #[error(
        "the parts are no signature, and no single party explains it: two of device, {} sent wrong parts, or the stored shares are not of one epoch; check the nodes' stores",
        names(.suspects)
    )]
    Broken {
        /// The nodes whose parts others contradict, or all three.
        suspects: Vec<Party>,
    },
    /// A recovery share is not the one that belongs to the nodes' shares. Nothing was replaced.
    #[error(
        "the recovery share is not that of the key as it is: it is damaged, or a recovery has replaced it; use the one that was issued last"
    )]
    Recovery,
    /// New shares are not right. The ones in use stay; nothing was replaced.
    #[error(
        "the shares are not right: {fault}{}; nothing was replaced: look at who made them, then begin a new attempt",
        deviated(.suspects)
    )]
    Shares {
        /// What does not hold.
        fault: &'static str,
        /// The nodes one of which has deviated.
        suspects: Vec<Party>,
    },
    /// A step was taken in the wrong state of a record (a bug of the caller, or a repeated message).
    #[error("a {step} is not possible now: {fault}; read the record's status, then take the step that it allows")]
    State {
        /// The step.
        step: &'static str,
        /// Why not.
        fault: &'static str,
    },
    /// The system gave no randomness.
    #[error("the system gives no randomness: {0}; nothing was made, try again when it does")]
    Entropy(String),
}

fn deviated(suspects: &[Party]) -> String {
    if suspects.is_empty() { String::new() } else { format!(", one of {} may have deviated", names(suspects)) }
}

fn names(parties: &[Party]) -> String {
    parties.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
