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
    /// Something else was to be signed with a key of a device, which signs ceremonies alone.
    #[error(
        "this key belongs to a device and signs WebAuthn ceremonies, not documents or tokens; sign those with a key of the nodes alone"
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
        "the device's partial signature is wrong: its share is damaged, replaced by a recovery, or not of this key; use the file that the last recovery has written, or recover the device"
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
    /// A relying party asks for something that cannot be done. Its operator has to change that.
    #[error("the relying party's options cannot be met: {member}: {fault}; {remedy}")]
    Options {
        /// Which member.
        member: &'static str,
        /// What is wrong.
        fault: &'static str,
        /// What to ask for.
        remedy: &'static str,
    },
    /// JSON of a ceremony cannot be read, or not be written.
    #[error(
        "this is no {what}: {fault}; pass the JSON form of WebAuthn Level 3, as the relying party's library makes it"
    )]
    Json {
        /// Which form.
        what: &'static str,
        /// What is wrong, and where.
        fault: String,
    },
    /// A page's origin is not one that ceremonies are for.
    #[error("no ceremony is for the origin {origin:?}: {fault}; serve the page under https from a domain")]
    Origin {
        /// The origin.
        origin: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A relying party's id does not belong to the page that uses it: it is set up wrongly, or the page is another's.
    #[error(
        "the relying party id {id:?} is not for the page {origin}: {fault}; use the page's domain or a registrable domain above it, or leave this page if it is not the one you meant"
    )]
    RpId {
        /// The id.
        id: String,
        /// Where the page is from.
        origin: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// The user has a credential already that the relying party excludes from another registration.
    #[error("a credential for {rp_id} exists already and the relying party wants no second one; log in with it")]
    Excluded {
        /// Whose it is.
        rp_id: String,
    },
    /// There is no credential that the relying party takes.
    #[error("no credential is one that {rp_id} takes; register one, or log in with the device that has it")]
    NoCredential {
        /// Who asks.
        rp_id: String,
    },
    /// The user was not verified. Nothing was signed.
    #[error("the user is not verified: {fault}; {remedy}, then begin the ceremony anew")]
    Verification {
        /// Why not.
        fault: &'static str,
        /// What to do first.
        remedy: &'static str,
    },
    /// A signature's number is not above those given before.
    #[error(
        "the signature counter is at {last} and cannot go to {proposed}; ask the nodes for their counters and propose one more than the greatest, or register a new credential if they are at the end, 4294967295"
    )]
    Counter {
        /// The last number given.
        last: u32,
        /// The number proposed.
        proposed: u32,
    },
    /// What should be the signature of a ceremony is not. Nothing was released.
    #[error("the signature is not that of this ceremony; combine the parts of this ceremony's message")]
    Signature,
    /// A token is not to be taken, or cannot be made as it was asked for. Nothing was signed.
    #[error("the token is refused: {fault}; {remedy}")]
    Token {
        /// What is wrong.
        fault: &'static str,
        /// What to do.
        remedy: &'static str,
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
