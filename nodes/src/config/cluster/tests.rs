use super::*;
use crate::pki::{Authority, Lifetime};
use std::path::PathBuf;

/// A cluster file of three loopback nodes with real certificates.
fn sample() -> ClusterFile {
    let authority = Authority::create("test", Lifetime::authority(1)).expect("an authority");
    let node = Party::ALL.map(|p| {
        let issued = authority.issue_node(p, &["127.0.0.1"], Lifetime::days(1)).expect("a certificate");
        NodeEntry {
            party: p.index() as u8,
            mesh: Address::new("127.0.0.1", 7750 + p.index() as u16).expect("an address"),
            api: Address::new("127.0.0.1", 7760 + p.index() as u16).expect("an address"),
            certificate_sha256: issued.fingerprint,
            next_certificate_sha256: None,
        }
    });
    ClusterFile {
        format: CLUSTER_FORMAT,
        cluster_id: ClusterId::new([7; 16]),
        ca_certificate: authority.certificate_pem().to_owned(),
        node: node.to_vec(),
    }
}

fn text(file: &ClusterFile) -> String {
    toml::to_string(file).expect("serializes")
}

fn resolved(text: &str) -> Result<Cluster, String> {
    let source = Source { path: PathBuf::from("cluster.toml"), text: text.to_owned() };
    Cluster::resolve(&source).map_err(|e| e.to_string())
}

#[test]
fn the_digest_depends_on_content_and_not_on_layout() {
    let file = sample();
    let digest = resolved(&text(&file)).expect("good").digest();

    let mut reordered = file.clone();
    reordered.node.reverse();
    let commented = format!("# a comment\n\n{}", text(&reordered));
    assert_eq!(resolved(&commented).expect("good").digest(), digest);

    let changes: [fn(&mut ClusterFile); 4] = [
        |f| f.cluster_id = ClusterId::new([8; 16]),
        |f| f.node[1].mesh = Address::new("127.0.0.1", 1).expect("an address"),
        |f| f.node[2].api = Address::new("localhost", 7762).expect("an address"),
        |f| f.node.iter_mut().take(2).for_each(|n| n.party = 1 - n.party),
    ];
    for change in changes {
        let mut other = file.clone();
        change(&mut other);
        assert_ne!(resolved(&text(&other)).expect("good").digest(), digest);
    }
}

#[test]
fn certificates_are_renewed_without_another_digest_except_under_version_1() {
    let file = sample();
    let before = resolved(&text(&file)).expect("good");
    let mut other = file.clone();
    other.node[1].next_certificate_sha256 = Some(sample().node[1].certificate_sha256);
    let pending = resolved(&text(&other)).expect("good");
    assert_eq!((pending.digest(), pending.pinned_digest()), (before.digest(), before.pinned_digest()));
    assert_eq!(pending.node(Party::P1).pins().count(), 2);
    let changes: [fn(&mut ClusterFile); 2] = [
        |f| f.node[1].certificate_sha256 = sample().node[1].certificate_sha256,
        |f| f.ca_certificate = sample().ca_certificate,
    ];
    for change in changes {
        let mut other = file.clone();
        change(&mut other);
        let after = resolved(&text(&other)).expect("good");
        assert_eq!(after.digest(), before.digest());
        assert_ne!(after.pinned_digest(), before.pinned_digest());
    }
}

#[test]
fn the_digest_of_version_1_is_that_of_the_release_before() {
    // Two releases compare it while nodes are upgraded one by one.
    let text = include_str!("../../../../deploy/cluster.toml");
    let digest = resolved(text).expect("good").pinned_digest().to_string();
    assert_eq!(digest, "72911cd2665c72fa413e7b833c9638379f264261426f41e666889680a53d043b");
}

#[test]
fn two_authorities_may_overlap_and_no_more() {
    let mut file = sample();
    let one = file.ca_certificate.clone();
    file.ca_certificate = [one.clone(), sample().ca_certificate].concat();
    assert_eq!(resolved(&text(&file)).expect("good").authorities().len(), 2);
    file.ca_certificate = [one, sample().ca_certificate, sample().ca_certificate].concat();
    let error = resolved(&text(&file)).expect_err("three");
    assert!(error.contains("ca_certificate: 3 PEM certificates"), "{error}");
}

#[test]
fn every_fault_names_place_and_remedy() {
    let file = sample();
    let good = text(&file);
    let print = file.node[0].certificate_sha256.to_string();
    let cases = [
        (good.replace("format = 1", "format = 2"), "line 1", "reads format 1"),
        (good.replace("party = 2", "party = 1"), "party 1 occurs twice", "0, 1 and 2"),
        (good.replace("party = 2", "party = 3"), "party 3 does not exist", "0, 1 and 2"),
        (good.replace("127.0.0.1:7750", "127.0.0.1:0"), "port 0", "fixed port"),
        (good.replace("127.0.0.1:7751", "127.0.0.1:7750"), "nodes 0 and 1", "same `mesh`"),
        (good.replace(&print, "12ab"), "line", "64 hexadecimal digits"),
        (good.replace(&print, &file.node[1].certificate_sha256.to_string()), "same `certificate_sha256`", "its own"),
        (good.replace(&print, &format!("{print}\"\nnext_certificate_sha256 = \"{print}")), "node 0", "leave it out"),
        (
            good.replace(
                &print,
                &format!("{print}\"\nnext_certificate_sha256 = \"{}", file.node[1].certificate_sha256),
            ),
            "nodes 0 and 1",
            "same `next_certificate_sha256`",
        ),
        (good.replace("BEGIN CERTIFICATE", "BEGIN NOTHING"), "ca_certificate", "PEM"),
        (good.replace("cluster_id = \"07", "cluster_id = \"zz"), "line 2", "32 hexadecimal digits"),
        (good.replace("api =", "http ="), "line", "unknown field `http`"),
    ];
    for (text, place, hint) in cases {
        assert_ne!(text, good, "the case changes nothing: {place}");
        let error = resolved(&text).expect_err(&text);
        assert!(error.starts_with("cluster.toml") && error.contains(place) && error.contains(hint), "{error}");
    }
    let mut two = file.clone();
    two.node.pop();
    let error = resolved(&text(&two)).expect_err("two nodes");
    assert!(error.contains("party = 2"), "{error}");
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let error = Cluster::load(Path::new("/nonexistent/cluster.toml")).expect_err("no file").to_string();
    assert!(error.contains("/nonexistent/cluster.toml") && error.contains("cluster init"), "{error}");
}

#[test]
fn a_certificate_is_found_by_its_fingerprint() {
    let authority = Authority::create("test", Lifetime::authority(1)).expect("an authority");
    let cluster = resolved(&text(&sample())).expect("good");
    assert_eq!(cluster.party_of(authority.certificate()), None);
}
