use super::*;
use crate::{
    cluster_files::{ClusterPlan, NodeSettings},
    config::{Address, CLUSTER_FORMAT, ClusterDigest, ClusterFile, Listen},
    pki::Fingerprint,
    status::{CertificateStatus, ComparisonStatus, NodeStatus, SocketBuffers},
};

const NOW: u64 = 1_800_000_000;

fn cluster() -> Cluster {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes = Party::ALL.map(|p| {
        let address = |base| Address::new("localhost", base + p.index() as u16).expect("an address");
        let listen = Listen { mesh: address(100), api: address(200), admin: None };
        (listen.clone(), listen)
    });
    let plan = ClusterPlan { dir: dir.path().to_owned(), nodes, days: 1, settings: NodeSettings::default() };
    Cluster::load(&plan.create().expect("created").cluster()).expect("good")
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// The answers of three healthy nodes.
fn healthy(digest: ClusterDigest) -> [Result<Probe, String>; 3] {
    Party::ALL.map(|me| {
        let peer = |p: Party| PeerStatus {
            party: p.index() as u8,
            connected: true,
            rtt_us: Some(210),
            mtu: Some(1452),
            protocol: None,
            certificate_sha256: None,
            last_error: None,
            heartbeat_ms: Some(800),
            same_cluster: Some(true),
            clock_ms: Some(3),
        };
        let status = NodeStatus {
            version: "1.2.3".to_owned(),
            protocol: "trefoil/1".to_owned(),
            party: me.index() as u8,
            protocols: None,
            cluster_digest: digest,
            definition_digest: None,
            accepts: None,
            time_unix_ms: NOW * 1000 + 10,
            peers: me.peers().map(peer).to_vec(),
            socket_buffers: SocketBuffers { requested: 1 << 22, granted: 1 << 22 },
            certificate: CertificateStatus { not_after: NOW.cast_signed() + 100 * DAY, sha256: None },
            draining: false,
            unready: Vec::new(),
            compared: None,
        };
        Ok(Probe { status, sent: now(), round_trip: Duration::from_millis(20) })
    })
}

/// What is found beyond "ok" after `change` was applied to the healthy answers.
fn found(change: impl FnOnce(&mut [Result<Probe, String>; 3])) -> Vec<Finding> {
    let cluster = cluster();
    let mut probes = healthy(cluster.pinned_digest());
    change(&mut probes);
    let setting = Setting {
        cluster: &cluster,
        version: "1.2.3",
        identity_not_after: Some(NOW.cast_signed() + 100 * DAY),
        now: now(),
    };
    diagnose(&setting, &probes).into_iter().filter(|f| f.level != Level::Ok).collect()
}

fn status(probes: &mut [Result<Probe, String>; 3], party: Party) -> &mut NodeStatus {
    &mut probes[party.index()].as_mut().expect("healthy").status
}

fn one(change: impl FnOnce(&mut [Result<Probe, String>; 3])) -> (Level, String, &'static str, String, String) {
    let mut all = found(change);
    assert_eq!(all.len(), 1, "{all:?}");
    let f = all.remove(0);
    (f.level, f.place, f.check, f.found, f.remedy.expect("each bad finding has a remedy"))
}

#[test]
fn a_healthy_cluster_has_nothing_to_say() {
    assert_eq!(found(|_| ()), []);
}

#[test]
fn stores_that_differ_or_were_not_compared_for_days_are_worth_a_warning() {
    let compared = |hours: u64, findings| {
        let time = (NOW - hours * 3600) * 1000;
        Some(ComparisonStatus { last_unix_ms: time, good_unix_ms: time, findings })
    };
    for fine in [Some(ComparisonStatus::default()), compared(71, 0)] {
        assert_eq!(found(|p| status(p, Party::P1).compared = fine), []);
    }
    for (bad, hint) in [(compared(2, 3), "3 things did not fit"), (compared(73, 0), "3days 1h ago")] {
        let (level, place, check, text, remedy) = one(|p| status(p, Party::P1).compared = bad);
        assert_eq!((level, place.as_str(), check), (Level::Warning, "P1", "shares"));
        assert!(text.contains(hint) && remedy.contains("trefoil store compare"), "{text} {remedy}");
    }
}

#[test]
fn a_silent_node_is_an_error_and_its_links_are_told_by_the_others() {
    let all = found(|p| p[1] = Err("connection refused".to_owned()));
    assert!(!works(&all));
    assert_eq!(all.len(), 1, "the links are still up as P0 and P2 see them: {all:?}");
    assert!(all[0].found.contains("connection refused") && all[0].found.contains("localhost:201"), "{all:?}");
}

#[test]
fn a_link_that_either_end_calls_down_is_an_error() {
    let (level, place, check, text, remedy) = one(|p| {
        let peer = status(p, Party::P2).peers.iter_mut().find(|v| v.party == 0).expect("a peer");
        peer.connected = false;
        peer.last_error = Some("timed out".to_owned());
    });
    assert_eq!((level, place.as_str(), check), (Level::Error, "P2-P0", "link"));
    assert!(text.contains("P2: timed out") && remedy.contains("UDP"), "{text} {remedy}");
}

#[test]
fn another_cluster_file_or_protocol_is_an_error() {
    let (level, place, check, ..) = one(|p| {
        let other = cluster().pinned_digest();
        status(p, Party::P1).cluster_digest = other;
    });
    assert_eq!((level, place.as_str(), check), (Level::Error, "P1", "cluster"));
    let (level, _, check, text, _) = one(|p| status(p, Party::P2).protocol = "trefoil/2".to_owned());
    assert_eq!((level, check), (Level::Error, "protocol"));
    assert!(text.contains("P2 speaks 2 alone"), "{text}");
    let (level, _, check, text, _) = one(|p| status(p, Party::P2).protocol = "other".to_owned());
    assert_eq!((level, check), (Level::Error, "protocol"));
    assert!(text.contains("P2 speaks other"), "{text}");
}

#[test]
fn an_upgrade_under_way_is_a_warning() {
    let both = Some(Versions { lowest: 1, highest: 2 });
    let (level, _, check, text, remedy) = one(|p| status(p, Party::P2).protocols = both);
    assert_eq!((level, check), (Level::Warning, "protocol"));
    assert!(text.contains("P1 speaks 1 alone, P2 speaks 1 to 2") && remedy.contains("lowest"), "{text} {remedy}");
}

#[test]
fn other_certificates_in_the_cluster_file_and_a_renewal_under_way_are_warnings() {
    let next = Fingerprint::new([7; 32]);
    let mut cluster = cluster();
    let mut probes = healthy(cluster.pinned_digest());
    for party in Party::ALL {
        let status = status(&mut probes, party);
        status.definition_digest = Some(cluster.digest());
        status.accepts = Some(Party::ALL.map(|p| cluster.node(p).pins().collect()).to_vec());
    }
    let warnings = |cluster: &Cluster, probes: &[Result<Probe, String>; 3]| {
        let not_after = NOW.cast_signed() + 100 * DAY;
        let setting = Setting { cluster, version: "1.2.3", identity_not_after: Some(not_after), now: now() };
        let all = diagnose(&setting, probes);
        assert!(works(&all), "{all:?}");
        all.into_iter().filter(|f| f.level == Level::Warning).map(|f| (f.place, f.check, f.found)).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&cluster, &probes), []);
    // This client has the next pin of P1, the nodes have not.
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("cluster.toml");
    cluster = pending(&cluster, &path, next);
    let all = warnings(&cluster, &probes);
    let checks: Vec<_> = all.iter().map(|(place, check, _)| (place.as_str(), *check)).collect();
    assert_eq!(checks, [("P0", "cluster"), ("P1", "cluster"), ("P1", "renewal"), ("P2", "cluster")]);
    assert!(all[2].2.contains("still shows"), "{all:?}");
    for party in Party::ALL {
        status(&mut probes, party).accepts = Some(Party::ALL.map(|p| cluster.node(p).pins().collect()).to_vec());
    }
    status(&mut probes, Party::P1).certificate.sha256 = Some(next);
    let all = warnings(&cluster, &probes);
    assert!(all.len() == 1 && all[0].2.contains("shows its next"), "{all:?}");
}

/// The cluster with a certificate to come for P1.
fn pending(cluster: &Cluster, path: &std::path::Path, next: Fingerprint) -> Cluster {
    let pem = authority_pem(cluster);
    let node = Party::ALL.map(|p| cluster.node(p).clone()).to_vec();
    let mut file = ClusterFile { format: CLUSTER_FORMAT, cluster_id: cluster.id(), ca_certificate: pem, node };
    file.node[1].next_certificate_sha256 = Some(next);
    std::fs::write(path, toml::to_string(&file).expect("serializes")).expect("written");
    Cluster::load(path).expect("good")
}

/// The authority's certificate as PEM.
fn authority_pem(cluster: &Cluster) -> String {
    use base64ct::Encoding as _;
    let der = base64ct::Base64::encode_string(&cluster.authorities()[0]);
    let lines: Vec<_> = der.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[test]
fn expiry_warns_a_month_ahead() {
    for (days, level) in [(30, None), (29, Some(Level::Warning)), (0, Some(Level::Warning)), (-1, Some(Level::Error))] {
        let all = found(|p| status(p, Party::P0).certificate.not_after = NOW.cast_signed() + days * DAY);
        assert_eq!(all.first().map(|f| f.level), level, "{days} days");
        assert!(all.iter().all(|f| f.check == "expiry"));
    }
}

#[test]
fn what_slows_a_cluster_down_is_a_warning_with_the_setting_to_change() {
    let (level, _, check, _, remedy) = one(|p| status(p, Party::P1).socket_buffers.granted = 1 << 17);
    assert_eq!((level, check), (Level::Warning, "buffers"));
    assert!(remedy.contains("sysctl -w net.core.rmem_max=4194304"), "{remedy}");
    let (level, place, ..) = one(|p| {
        for peer in &mut status(p, Party::P0).peers {
            peer.mtu = (peer.party == 1).then_some(1200);
        }
    });
    assert_eq!((level, place.as_str()), (Level::Warning, "P0-P1"));
    let (level, _, check, ..) = one(|p| status(p, Party::P1).version = "1.2.2".to_owned());
    assert_eq!((level, check), (Level::Warning, "version"));
}

#[test]
fn a_clock_is_blamed_only_for_what_the_round_trip_does_not_explain() {
    // The middle of the round trip is 10 ms after NOW.
    let slow = |p: &mut [Result<Probe, String>; 3], round_trip, behind| {
        let probe = p[0].as_mut().expect("healthy");
        probe.round_trip = round_trip;
        probe.status.time_unix_ms = (NOW - behind) * 1000;
    };
    let (level, _, check, text, _) = one(|p| slow(p, Duration::from_millis(20), 6));
    assert_eq!((level, check), (Level::Warning, "clock"));
    assert!(text.contains("6.010 s behind"), "{text}");
    // Six seconds behind the middle, but perhaps only four.
    assert_eq!(found(|p| slow(p, Duration::from_secs(4), 4)), []);
}

#[test]
fn a_node_that_is_not_ready_says_what_it_lacks() {
    let (level, place, check, text, _) =
        one(|p| status(p, Party::P1).unready = vec!["the store does not take records; the log says why".to_owned()]);
    assert_eq!((level, place.as_str(), check), (Level::Warning, "P1", "ready"));
    assert!(text.contains("does not take records"), "{text}");
}

#[test]
fn clocks_that_differ_between_nodes_are_a_warning() {
    let differ = |p: &mut [Result<Probe, String>; 3], ms: [i64; 2]| {
        for (from, to, ms) in [(Party::P0, 1, ms[0]), (Party::P1, 0, ms[1])] {
            let peer = status(p, from).peers.iter_mut().find(|peer| peer.party == to).expect("a peer");
            peer.clock_ms = Some(ms);
        }
    };
    let (level, place, check, text, _) = one(|p| differ(p, [7_200, -7_100]));
    assert_eq!((level, place.as_str(), check), (Level::Warning, "P0-P1", "clock"));
    assert!(text.contains("7.1 s"), "{text}");
    // What one end has heard late is no difference.
    assert_eq!(found(|p| differ(p, [9_000, -20])), []);
}

#[test]
fn the_exit_code_says_who_must_act() {
    let finding = |level, check| bad(level, Party::P0, check, String::new());
    for (findings, code) in [
        (vec![finding(Level::Ok, "disk"), finding(Level::Warning, "keys")], Exit::Ok),
        (vec![finding(Level::Error, "link")], Exit::Unreachable),
        (vec![finding(Level::Error, "link"), finding(Level::Error, "disk")], Exit::System),
        (vec![finding(Level::Error, "disk"), finding(Level::Error, "config")], Exit::Usage),
    ] {
        assert_eq!(exit(&findings), code, "{findings:?}");
    }
}
