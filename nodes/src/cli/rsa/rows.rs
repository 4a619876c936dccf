//! What `trefoil rsa` prints.

use super::key;
use crate::{
    Error,
    client::{KeyReport, Signature},
    keys::{HashName, KeyName, KeyUse},
    receipt::Receipt,
    tables::Expiry,
};
use serde::Serialize;
use trefoil_engine::Party;

/// A key as JSON.
#[derive(Serialize)]
pub(super) struct Row {
    owner: String,
    name: String,
    bits: u32,
    usage: Option<KeyUse>,
    signers: Vec<String>,
    epoch: u64,
    nodes: Vec<usize>,
    odd_node: Option<usize>,
    unsettled: bool,
    issuing: bool,
    expires: Option<Expiry>,
    public: String,
}

impl Row {
    pub(super) fn new(report: &KeyReport) -> Result<Self, Error> {
        Ok(Self {
            owner: report.owner.to_string(),
            name: report.name.to_string(),
            bits: report.public.size().bits(),
            usage: report.usage,
            signers: report.signers.iter().map(ToString::to_string).collect(),
            epoch: report.at.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default(),
            nodes: report.at.iter().map(|(party, _)| party.index()).collect(),
            odd_node: report.odd.map(Party::index),
            unsettled: report.unsettled,
            issuing: report.issuing,
            expires: report.expires,
            public: key::pem(&report.public)?,
        })
    }

    pub(super) fn text(&self) -> String {
        let Self { name, bits, epoch, .. } = self;
        let usage = match self.usage {
            Some(KeyUse::Documents) => "signs documents",
            Some(KeyUse::Device) => "signs logins with a device",
            Some(KeyUse::Tokens) => "signs tokens",
            None => "its enrolment was interrupted",
        };
        let mut text = format!("{name}: RSA-{bits}, {usage}, epoch {epoch}");
        if !self.signers.is_empty() {
            text = format!("{text}, signers {}", self.signers.join(" "));
        }
        if let Some(expires) = self.expires {
            text = format!("{text}, expires {expires}");
        }
        if let Some(odd) = self.odd_node {
            text = format!("{text}, P{odd} describes ANOTHER enrolment of it: find out what runs there");
        } else if self.nodes.len() < 3 {
            let at: Vec<String> = self.nodes.iter().map(|node| format!("P{node}")).collect();
            text = format!("{text}, only {} answered", at.join(" and "));
        }
        if self.unsettled {
            text = format!("{text}, a step was interrupted (`trefoil rsa refresh` settles it)");
        }
        if self.issuing {
            text = format!("{text}, a recovered device waits for its share (repeat `trefoil auth recover`)");
        }
        text
    }
}

/// A signature as JSON.
#[derive(Serialize)]
pub(super) struct Signed {
    hash: HashName,
    digest: String,
    bytes: usize,
    wrong_nodes: Vec<usize>,
    missing_nodes: Vec<usize>,
}

impl Signed {
    pub(super) fn new(hash: HashName, digest: &[u8], signature: &Signature) -> Self {
        Self {
            hash,
            digest: hex::encode(digest),
            bytes: signature.bytes.len(),
            wrong_nodes: signature.wrong.iter().map(|p| p.index()).collect(),
            missing_nodes: signature.missing.iter().map(|(p, _)| p.index()).collect(),
        }
    }

    pub(super) fn text(&self, file: &str) -> String {
        let mut text = format!("wrote {file}: a verified signature of {} bytes", self.bytes);
        if !self.wrong_nodes.is_empty() {
            let wrong: Vec<String> = self.wrong_nodes.iter().map(|node| format!("P{node}")).collect();
            text = format!("{text}; the part of {} was WRONG, find out what runs there", wrong.join(" or "));
        }
        text
    }
}

/// What was deleted, as JSON.
#[derive(Serialize)]
pub(super) struct Deleted<'a> {
    pub(super) name: &'a KeyName,
    pub(super) receipts: &'a [Receipt],
}
