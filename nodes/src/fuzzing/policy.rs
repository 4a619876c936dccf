//! The rules of a node, and their signature.

use super::written_as;
use crate::{
    audit::AuditWhose,
    config::{ClusterId, Source},
    job::{ModeSpec, ProgramKind},
    policy::{
        Action, JobQuestion, Policy, PolicyFiles, PolicyKey, Question, default_policy, read_signed, signature_path,
    },
};
use std::path::PathBuf;
use trefoil_engine::Party;

const WHOSE: AuditWhose = AuditWhose { cluster: ClusterId::new([7; 16]), party: Party::P1 };

/// A policy; and what is beside it as its signature.
pub(super) fn policy(bytes: &[u8]) {
    thread_local! {
        static FILES: PolicyFiles = {
            let key = PolicyKey::try_from("07".repeat(32)).expect("digits");
            PolicyFiles { path: written_as("policy.toml", default_policy(WHOSE).as_bytes()), key }
        };
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source { path: PathBuf::from("policy.toml"), text: text.to_owned() };
    if let Ok(policy) = Policy::resolve(&source) {
        decide(&policy);
        return;
    }
    FILES.with(|files| {
        let name = signature_path(&files.path);
        written_as(&name.file_name().expect("a name").to_string_lossy(), bytes);
        assert!(read_signed(files, WHOSE).is_err(), "nobody has signed it");
    });
}

/// Every rule has a text, and every question an answer.
fn decide(policy: &Policy) {
    let requester = "bank".parse().expect("a name");
    let text: usize = policy.rules.iter().map(|rule| rule.to_string().len()).sum();
    assert!(text >= policy.rules.len());
    let job = JobQuestion {
        program: ProgramKind::CreditTrain,
        mode: ModeSpec::Malicious,
        data: ["@upload", "bank/loans"].map(|set| set.parse().expect("data")).to_vec(),
        recipients: ["@nodes", "bank"].map(|name| name.parse().expect("a recipient")).to_vec(),
        requester,
    };
    let action = Question::Action { action: Action::Upkeep, requester: job.requester.clone() };
    let known = policy.knows_requester(&job.requester);
    let decisions = [Question::Job(job), action].map(|question| format!("{:?}", policy.decide(&question)));
    assert!(known || !decisions[0].starts_with("Allowed"), "{decisions:?}");
}
