//! Who may have what computed at a node: the policy of its operator.
//!
//! A policy is a file of rules, [`PolicyFile`], with a signature beside it ([`PolicyKey`]). It is of one node of one cluster and has a serial number, all of which the signature covers: the policy of another node is
//! refused, and so is one that is older than the last that the node has used.
//!
//! Nothing is permitted that no rule allows. A job or another action is permitted if at least one `allow` covers all of it, and no `deny` any part of it ([`Policy::decide`]). Each node decides by itself
//! ([`Enforcer`]), so what one of the three denies is not computed.
//!
//! A policy is beside the permits of tables: their owners say what may be computed of them, the operator of a node what it takes part in. Both have to agree.

mod action;
mod count;
mod decide;
mod enforce;
mod file;
mod key;
mod load;
mod names;
mod question;

pub use action::Action;
pub use count::Bounds;
pub use decide::{Decision, Denial, Dimension, Fit, Grant};
pub use enforce::{Enforcer, Unpermitted};
pub use file::{Effect, POLICY_FORMAT, Policy, PolicyFile, Rule, Scope, default_policy};
pub use key::{PolicyKey, PolicySigner, signature_path, write_signature};
pub use load::{PolicyFiles, load, read_signed};
pub use names::{DataPattern, NamePattern, RecipientPattern};
pub use question::{DataSet, JobQuestion, Question, Recipient};

#[cfg(test)]
pub(crate) mod tests;
