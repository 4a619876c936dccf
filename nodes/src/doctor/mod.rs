//! What is wrong with a cluster, and what to do about it.
//!
//! [`probe`] asks every node for its [`NodeStatus`]; [`diagnose`] turns the
//! answers into findings. A cluster works if no finding is an [`Level::Error`].

mod local;
mod probe;

pub use local::{local, unusable};
pub use probe::{Probe, probe};

use crate::{
    cli::Exit,
    config::Cluster,
    mesh::Versions,
    pki::date,
    status::{ComparisonStatus, NodeStatus, PeerStatus},
};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trefoil_engine::Party;

/// Days of remaining validity below which a certificate is worth a warning.
const EXPIRY_WARNING: i64 = 30;
/// Time without a comparison of the stores that is worth a warning: three of the usual daily ones.
const COMPARISON_WARNING: Duration = Duration::from_hours(3 * 24);
/// Clock difference that is worth a warning: far less than certificates bear, far more than a kept clock drifts.
const SKEW_WARNING: Duration = Duration::from_secs(5);
/// The smallest datagram QUIC works with at all. A path that carries no more has a tunnel or a filter in it.
const SMALLEST_MTU: u16 = 1_200;
const DAY: i64 = 86_400;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// The cluster works, but not for long or not well.
    Warning,
    /// The cluster cannot run jobs.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where: `P0`, `P0-P1` for the link between two nodes, or `client`.
    pub place: String,
    /// What was looked at, in one word.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What the diagnosis is made from, beside the answers of the nodes.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Our copy of the cluster file.
    pub cluster: &'a Cluster,
    /// Our version.
    pub version: &'a str,
    /// End of the validity of our own certificate, in seconds since 1970-01-01 UTC; `None` if tokens are shown in its place.
    pub identity_not_after: Option<i64>,
    /// Now.
    pub now: SystemTime,
}

/// Whether a cluster with these findings can run jobs.
pub fn works(findings: &[Finding]) -> bool {
    findings.iter().all(|f| f.level != Level::Error)
}

/// How a command ends that has found this: by the worst, and by who must act.
pub fn exit(findings: &[Finding]) -> Exit {
    let errors = || findings.iter().filter(|f| f.level == Level::Error).map(|f| f.check);
    if errors().any(|check| matches!(check, "config" | "keys")) {
        Exit::Usage
    } else if errors().any(|check| matches!(check, "disk" | "store")) {
        Exit::System
    } else if errors().next().is_some() {
        Exit::Unreachable
    } else {
        Exit::Ok
    }
}

/// Turns the answers of the three nodes, or why there was none, into findings.
pub fn diagnose(setting: &Setting<'_>, probes: &[Result<Probe, String>; 3]) -> Vec<Finding> {
    let own = setting.identity_not_after.map(|end| expiry("client".to_owned(), end, setting.now));
    let mut all: Vec<_> = own.into_iter().collect();
    for (party, probe) in Party::ALL.into_iter().zip(probes) {
        match probe {
            Err(cause) => {
                let address = &setting.cluster.node(party).api;
                // Our own errors give the remedy after a semicolon.
                let remedy = "see that the node runs, that its log has no error, and that TCP to this address passes";
                let (cause, remedy) = cause.split_once("; ").unwrap_or((cause, remedy));
                all.push(bad(Level::Error, party, "api", format!("{address}: {cause}")).remedy(remedy));
            }
            Ok(probe) => all.extend(node(setting, party, probe)),
        }
    }
    all.extend(protocols(probes));
    for a in Party::ALL {
        all.extend(link(a, a.next(), probes));
        all.extend(clocks(a, a.next(), probes));
    }
    all
}

fn node(setting: &Setting<'_>, party: Party, probe: &Probe) -> Vec<Finding> {
    let status = &probe.status;
    let mut all = Vec::new();
    let time = format!("answers in {:.1} ms", probe.round_trip.as_secs_f64() * 1e3);
    all.push(fine(party, "api", format!("{}, {time}", setting.cluster.node(party).api)));

    all.push(if !status.is_of(setting.cluster) {
        bad(Level::Error, party, "cluster", "has another cluster file than this client".to_owned())
            .remedy("copy the current cluster.toml to every node and client, and restart the nodes")
    } else if other_pins(status, setting.cluster) {
        bad(Level::Warning, party, "cluster", "has other certificates in its cluster file than this client".to_owned())
            .remedy("copy the current cluster.toml to every node and client, and send the nodes SIGHUP")
    } else {
        fine(party, "cluster", "has the same cluster file".to_owned())
    });
    all.extend(renewal(setting, party, status));
    all.push(if status.version == setting.version {
        fine(party, "version", format!("trefoil {}", status.version))
    } else {
        bad(Level::Warning, party, "version", format!("trefoil {}; this is {}", status.version, setting.version))
            .remedy("install the same version everywhere, one node after another (docs/operations/upgrade.md)")
    });
    all.push(expiry(party.to_string(), status.certificate.not_after, setting.now));
    all.push(skew(party, probe));
    if !status.unready.is_empty() {
        let found = format!("is not ready: {}", status.unready.join("; "));
        all.push(bad(Level::Warning, party, "ready", found).remedy(
            "mend that; a node that has just been started needs a moment, and one that is to stop takes no new jobs",
        ));
    }
    all.extend(status.compared.map(|compared| comparison(party, compared, setting.now)));
    let buffers = status.socket_buffers;
    all.push(if buffers.granted >= buffers.requested {
        fine(party, "buffers", format!("{} KiB for the mesh socket", buffers.granted >> 10))
    } else {
        let found =
            format!("{} KiB for the mesh socket instead of {} KiB", buffers.granted >> 10, buffers.requested >> 10);
        let n = buffers.requested;
        bad(Level::Warning, party, "buffers", found).remedy(format!(
            "on that machine: sysctl -w net.core.rmem_max={n} net.core.wmem_max={n} (and in /etc/sysctl.d), then restart \
             the node"
        ))
    });
    all
}

/// Whether the stores of the nodes fit, as far as it is known.
fn comparison(party: Party, compared: ComparisonStatus, now: SystemTime) -> Finding {
    let ComparisonStatus { last_unix_ms, good_unix_ms, findings } = compared;
    let ago = |time: u64| {
        let since = now.duration_since(UNIX_EPOCH + Duration::from_millis(time)).unwrap_or_default();
        Duration::from_mins(since.as_secs() / 60)
    };
    let told = |time: u64| humantime::format_duration(ago(time)).to_string();
    if findings > 0 {
        let found =
            format!("{findings} things did not fit when the nodes compared their stores, {} ago", told(last_unix_ms));
        let remedy = "trefoil store compare names them (docs/operations/recovery.md)";
        return bad(Level::Warning, party, "shares", found).remedy(remedy);
    }
    let remedy = "the nodes do it by themselves where `[upkeep] compare` of node.toml is the same and not 0; else run trefoil store compare from a timer";
    match good_unix_ms {
        // A new cluster has not come to it.
        0 => fine(party, "shares", "were not compared with the other nodes' yet".to_owned()),
        time if ago(time) > COMPARISON_WARNING => {
            let found = format!("were last compared with the other nodes' {} ago", told(time));
            bad(Level::Warning, party, "shares", found).remedy(remedy)
        }
        time => fine(party, "shares", format!("fitted those of the other nodes {} ago", told(time))),
    }
}

fn other_pins(status: &NodeStatus, cluster: &Cluster) -> bool {
    let ours: Vec<Vec<_>> = Party::ALL.map(|p| cluster.node(p).pins().collect()).to_vec();
    status.cluster_digest != cluster.pinned_digest() || status.accepts.as_ref().is_some_and(|theirs| *theirs != ours)
}

/// How far the renewal of a node's certificate has come.
fn renewal(setting: &Setting<'_>, party: Party, status: &NodeStatus) -> Option<Finding> {
    let next = setting.cluster.node(party).next_certificate_sha256?;
    let finding = |found: &str| bad(Level::Warning, party, "renewal", found.to_owned());
    Some(if status.certificate.sha256 == Some(next) {
        finding("shows its next certificate").remedy("when all nodes do that are to: trefoil cluster settle")
    } else {
        finding("still shows the certificate that is to be replaced").remedy(
            "when every node and client has this cluster.toml, on that machine: trefoil cluster switch --config node.toml, then send the node SIGHUP",
        )
    })
}

/// The node's clock against ours. The answer was written at some moment of the round trip, so half of it is uncertain.
fn skew(party: Party, probe: &Probe) -> Finding {
    let middle = probe.sent + probe.round_trip / 2;
    let ours = middle.duration_since(UNIX_EPOCH).unwrap_or_default();
    let theirs = Duration::from_millis(probe.status.time_unix_ms);
    let (sign, gap) = (if theirs >= ours { "ahead" } else { "behind" }, theirs.abs_diff(ours));
    let doubt = probe.round_trip / 2;
    let found = format!("{:.3} s {sign}, to within {:.3} s", gap.as_secs_f64(), doubt.as_secs_f64());
    if gap.saturating_sub(doubt) < SKEW_WARNING {
        return fine(party, "clock", found);
    }
    bad(Level::Warning, party, "clock", found).remedy("run a time service (chrony, systemd-timesyncd) on both machines")
}

fn expiry(place: String, not_after: i64, now: SystemTime) -> Finding {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let days = not_after.saturating_sub(now).div_euclid(DAY);
    let level = match days {
        ..0 => Level::Error,
        0..EXPIRY_WARNING => Level::Warning,
        _ => Level::Ok,
    };
    let found = match level {
        Level::Error => format!("expired on {}", date(not_after)),
        _ => format!("certificate valid until {} ({days} days)", date(not_after)),
    };
    let remedy = (level != Level::Ok).then(|| {
        "renew it with `trefoil cluster renew --node N` or `trefoil cluster client --renew` (docs/operations/certificates.md)".to_owned()
    });
    Finding { level, place, check: "expiry", found, remedy }
}

/// Nodes without a version of the protocol in common do not connect; this says why.
fn protocols(probes: &[Result<Probe, String>; 3]) -> Option<Finding> {
    let answered = Party::ALL.into_iter().zip(probes).filter_map(|(p, probe)| Some((p, &probe.as_ref().ok()?.status)));
    let list: Vec<_> = answered.map(|(p, status)| (p, status.protocol.as_str(), status.spoken())).collect();
    let (first, rest) = list.split_first()?;
    if rest.iter().all(|(_, protocol, spoken)| (protocol, spoken) == (&first.1, &first.2)) {
        return None;
    }
    let meet = |a: Option<Versions>, b: Option<Versions>| a.zip(b).is_some_and(|(a, b)| a.common(b).is_some());
    let works = list.iter().all(|(_, _, a)| list.iter().all(|(_, _, b)| meet(*a, *b)));
    let said = |(p, protocol, spoken): &(Party, &str, Option<Versions>)| match spoken {
        Some(versions) => format!("{p} speaks {versions}"),
        None => format!("{p} speaks {protocol}"),
    };
    let found = list.iter().map(said).collect::<Vec<_>>().join(", ");
    let level = if works { Level::Warning } else { Level::Error };
    let finding = Finding { level, place: "mesh".to_owned(), check: "protocol", found, remedy: None };
    Some(finding.remedy("upgrade the nodes that speak the lowest versions (docs/operations/upgrade.md)"))
}

/// The link between two nodes, as both ends report it.
fn link(a: Party, b: Party, probes: &[Result<Probe, String>; 3]) -> Option<Finding> {
    let view = |from: Party, to: Party| -> Option<&PeerStatus> {
        let status = &probes[from.index()].as_ref().ok()?.status;
        status.peers.iter().find(|p| usize::from(p.party) == to.index())
    };
    let ends: Vec<(Party, &PeerStatus)> =
        [(a, b), (b, a)].into_iter().filter_map(|(from, to)| Some((from, view(from, to)?))).collect();
    if ends.is_empty() {
        // Neither end answers: that is the finding about the nodes.
        return None;
    }
    let finding = |level, found| Finding { level, place: format!("{a}-{b}"), check: "link", found, remedy: None };
    let down: Vec<_> = ends.iter().filter(|(_, view)| !view.connected).collect();
    if !down.is_empty() {
        let said = down
            .iter()
            .map(|(from, view)| format!("{from}: {}", view.last_error.as_deref().unwrap_or("not connected")));
        let found = format!("down ({})", said.collect::<Vec<_>>().join("; "));
        return Some(finding(Level::Error, found).remedy(
            "see that both nodes run, that their mesh addresses in the cluster file are right, and that UDP passes both ways",
        ));
    }
    let mtu = ends.iter().filter_map(|(_, view)| view.mtu).min();
    let rtt = ends.iter().filter_map(|(_, view)| view.rtt_us).min();
    let text = |v: Option<String>| v.unwrap_or_else(|| "not measured yet".to_owned());
    let found = format!(
        "up, round trip {}, datagrams {}",
        text(rtt.map(|us| format!("{:.2} ms", us as f64 / 1e3))),
        text(mtu.map(|bytes| format!("of {bytes} bytes"))),
    );
    if mtu.is_some_and(|bytes| bytes <= SMALLEST_MTU) {
        return Some(finding(Level::Warning, found).remedy(
            "the path carries only the smallest datagrams, which is slow: look for a tunnel or a filter that drops large UDP packets",
        ));
    }
    Some(finding(Level::Ok, found))
}

/// The clocks of two nodes against each other, as both ends have heard.
fn clocks(a: Party, b: Party, probes: &[Result<Probe, String>; 3]) -> Option<Finding> {
    let heard = |from: Party, to: Party| {
        let status = &probes[from.index()].as_ref().ok()?.status;
        let gap = status.peers.iter().find(|p| usize::from(p.party) == to.index())?.clock_ms?;
        Some(Duration::from_millis(gap.unsigned_abs()))
    };
    // Each is off by the time that a message takes, in the other direction.
    let gap = [heard(a, b), heard(b, a)].into_iter().flatten().min().filter(|gap| *gap >= SKEW_WARNING)?;
    let found = format!("their clocks differ by {:.1} s", gap.as_secs_f64());
    let finding = Finding { level: Level::Warning, place: format!("{a}-{b}"), check: "clock", found, remedy: None };
    Some(finding.remedy("run a time service (chrony, systemd-timesyncd) on both machines"))
}

fn fine(party: Party, check: &'static str, found: String) -> Finding {
    bad(Level::Ok, party, check, found)
}

fn bad(level: Level, party: Party, check: &'static str, found: String) -> Finding {
    Finding { level, place: party.to_string(), check, found, remedy: None }
}

impl Finding {
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

#[cfg(test)]
mod tests;
