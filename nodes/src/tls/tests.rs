//! Handshakes in memory: both ends as real configurations, certificates of every wrong kind.

use super::*;
use crate::{
    config::{Address, CLUSTER_FORMAT, ClusterFile, ClusterId, NodeEntry},
    pki::{Authority, ClientName, Issued, Lifetime, create_private, create_public},
};
use rustls::{ClientConnection, ServerConnection, pki_types::ServerName};
use std::{error::Error as _, path::Path};
use time::{Duration, OffsetDateTime};

/// An authority, the cluster of three nodes it made, and everybody's identity.
struct World {
    authority: Authority,
    cluster: Cluster,
    nodes: [Identity; 3],
    client: Identity,
}

fn identity(issued: &Issued) -> Identity {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("some.crt");
    create_public(&path, issued.certificate_pem.as_bytes()).expect("written");
    create_private(&dir.path().join("some.key"), issued.key_pem.as_bytes()).expect("written");
    Identity::named(&path).expect("a good identity")
}

fn alice() -> ClientName {
    "alice".parse().expect("a name")
}

/// A cluster whose nodes have certificates of the given lifetime.
fn world(lifetime: Lifetime) -> World {
    let dir = tempfile::tempdir().expect("a directory");
    let authority = Authority::create("test", Lifetime::authority(1)).expect("an authority");
    let issued = Party::ALL.map(|p| authority.issue_node(p, &["localhost"], lifetime).expect("a certificate"));
    let entry = |p: Party| NodeEntry {
        party: p.index() as u8,
        mesh: Address::new("localhost", 100 + p.index() as u16).expect("an address"),
        api: Address::new("localhost", 200 + p.index() as u16).expect("an address"),
        certificate_sha256: issued[p.index()].fingerprint,
        next_certificate_sha256: None,
    };
    let file = ClusterFile {
        format: CLUSTER_FORMAT,
        cluster_id: ClusterId::new([1; 16]),
        ca_certificate: authority.certificate_pem().to_owned(),
        node: Party::ALL.map(entry).to_vec(),
    };
    let cluster = load(dir.path(), &file);
    let client = identity(&authority.issue_client(&alice(), Lifetime::days(1)).expect("a certificate"));
    World { authority, cluster, nodes: issued.each_ref().map(identity), client }
}

fn load(dir: &Path, file: &ClusterFile) -> Cluster {
    let path = dir.join("cluster.toml");
    std::fs::write(&path, toml::to_string(file).expect("serializes")).expect("written");
    Cluster::load(&path).expect("a good cluster")
}

fn past() -> Lifetime {
    let now = OffsetDateTime::now_utc();
    Lifetime { not_before: now - Duration::days(3), not_after: now - Duration::days(2) }
}

fn future() -> Lifetime {
    let now = OffsetDateTime::now_utc();
    Lifetime { not_before: now + Duration::days(2), not_after: now + Duration::days(3) }
}

/// What each end says at the end of a handshake: what the server learns of the client, or the text of
/// the failure at the client and at the server.
type Outcome = Result<Vec<CertificateDer<'static>>, (Option<String>, Option<String>)>;

/// Runs a handshake until both ends are done or one has failed and the other has been told.
fn handshake(server: ServerConfig, client: ClientConfig) -> Outcome {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut c = ClientConnection::new(Arc::new(client), name).expect("a client");
    let mut s = ServerConnection::new(Arc::new(server)).expect("a server");
    let (mut told_c, mut told_s) = (None, None);
    for _ in 0..10 {
        let mut wire = Vec::new();
        while c.wants_write() {
            c.write_tls(&mut wire).expect("memory");
        }
        s.read_tls(&mut wire.as_slice()).expect("memory");
        told_s = told_s.or(s.process_new_packets().err());
        let mut wire = Vec::new();
        while s.wants_write() {
            s.write_tls(&mut wire).expect("memory");
        }
        c.read_tls(&mut wire.as_slice()).expect("memory");
        told_c = told_c.or(c.process_new_packets().err());
    }
    let text = |e: rustls::Error| explain(&e).expect("a TLS error is explained");
    match (told_c, told_s) {
        (None, None) => {
            assert!(!c.is_handshaking() && !s.is_handshaking());
            Ok(s.peer_certificates().expect("a client certificate").to_vec())
        }
        (c, s) => Err((c.map(text), s.map(text))),
    }
}

/// The text at the client and at the server of a handshake that must fail.
fn failure(server: Result<ServerConfig, Error>, client: Result<ClientConfig, Error>) -> (String, String) {
    let (c, s) = handshake(server.expect("a server"), client.expect("a client")).expect_err("must be refused");
    (c.unwrap_or_default(), s.unwrap_or_default())
}

const ALPN: &[u8] = b"mesh/1";

#[test]
fn nodes_accept_each_other_and_know_who_is_there() {
    let w = world(Lifetime::days(1));
    for me in Party::ALL {
        for peer in me.peers() {
            let server = mesh_server(&w.nodes[me.index()], &w.cluster, me, ALPN).expect("a server");
            let client = mesh_client(&w.nodes[peer.index()], &w.cluster, me, ALPN).expect("a client");
            let chain = handshake(server, client).expect("accepted");
            assert_eq!(peer_role(&chain, &w.cluster), Ok(Role::Node(peer)));
        }
    }
}

#[test]
fn the_api_accepts_clients_and_nodes_and_knows_which() {
    let w = world(Lifetime::days(1));
    let cases = [(&w.client, Role::Client(alice())), (&w.nodes[2], Role::Node(Party::P2))];
    for (caller, role) in cases {
        let server = api_server(&w.nodes[0], &w.cluster, Expect::Anyone).expect("a server");
        let client = api_client(caller, &w.cluster, Party::P0).expect("a client");
        let chain = handshake(server, client).expect("accepted");
        assert_eq!(peer_role(&chain, &w.cluster), Ok(role));
    }
}

#[test]
fn a_client_is_no_node_and_a_node_is_not_another() {
    let w = world(Lifetime::days(1));
    let server = || mesh_server(&w.nodes[0], &w.cluster, Party::P0, ALPN);
    let (told, at_server) = failure(server(), mesh_client(&w.client, &w.cluster, Party::P0, ALPN));
    assert!(at_server.contains("client `alice`") && at_server.contains("node P1 or P2"), "{at_server}");
    assert!(told.contains("the other end refused our certificate"), "{told}");
    // A node that calls itself.
    let (_, at_server) = failure(server(), mesh_client(&w.nodes[0], &w.cluster, Party::P0, ALPN));
    assert!(at_server.contains("that of node P0"), "{at_server}");
    // P1 called, P0 answers: another machine took over the address.
    let (at_client, _) = failure(server(), mesh_client(&w.nodes[2], &w.cluster, Party::P1, ALPN));
    assert!(at_client.contains("that of node P0 where node P1 is required"), "{at_client}");
}

#[test]
fn the_wrong_authority_is_refused_on_either_side() {
    let (ours, foreign) = (world(Lifetime::days(1)), world(Lifetime::days(1)));
    let server = || mesh_server(&ours.nodes[0], &ours.cluster, Party::P0, ALPN);
    // The server refuses, because only the caller knows no better.
    let (told, at_server) = failure(server(), mesh_client(&foreign.nodes[1], &ours.cluster, Party::P0, ALPN));
    assert!(at_server.contains("not issued by this cluster's authority"), "{at_server}");
    assert!(told.contains("our certificate: it was not issued by this cluster's authority"), "{told}");
    // The caller refuses.
    let (at_client, _) = failure(server(), mesh_client(&foreign.nodes[1], &foreign.cluster, Party::P0, ALPN));
    assert!(at_client.contains("we refused") && at_client.contains("not issued by this cluster's"), "{at_client}");
}

#[test]
fn expired_and_future_certificates_are_refused_on_either_side() {
    for lifetime in [past(), future()] {
        let w = world(lifetime);
        let server = mesh_server(&w.nodes[0], &w.cluster, Party::P0, ALPN);
        let (at_client, _) = failure(server, mesh_client(&w.nodes[1], &w.cluster, Party::P0, ALPN));
        assert!(at_client.contains("expired or is not valid yet") && at_client.contains("we refused"), "{at_client}");

        let good = world(Lifetime::days(1));
        let late = identity(&good.authority.issue_client(&alice(), lifetime).expect("a certificate"));
        let server = api_server(&good.nodes[0], &good.cluster, Expect::Anyone);
        let (told, at_server) = failure(server, api_client(&late, &good.cluster, Party::P0));
        assert!(at_server.contains("expired or is not valid yet"), "{at_server}");
        assert!(told.contains("the other end refused our certificate"), "{told}");
    }
}

#[test]
fn a_reissued_node_certificate_is_refused_until_it_is_pinned() {
    let w = world(Lifetime::days(1));
    let again = identity(&w.authority.issue_node(Party::P1, &["localhost"], Lifetime::days(1)).expect("a certificate"));
    let server = mesh_server(&w.nodes[0], &w.cluster, Party::P0, ALPN);
    let (_, at_server) = failure(server, mesh_client(&again, &w.cluster, Party::P0, ALPN));
    assert!(at_server.contains("the cluster file pins") && at_server.contains("P1"), "{at_server}");
}

#[test]
fn another_protocol_version_is_named_on_either_side() {
    let w = world(Lifetime::days(1));
    let server = mesh_server(&w.nodes[0], &w.cluster, Party::P0, b"mesh/2");
    let (told, at_server) = failure(server, mesh_client(&w.nodes[1], &w.cluster, Party::P0, ALPN));
    assert!(told.contains("same version") && at_server.contains("same version"), "{told} / {at_server}");
}

#[test]
fn our_own_certificate_is_checked_as_peers_will() {
    let w = world(Lifetime::days(1));
    for good in w.nodes.iter().chain([&w.client]) {
        assert_eq!(check_identity(good, &w.cluster), Ok(()));
    }
    let issue = |l| identity(&w.authority.issue_client(&alice(), l).expect("a certificate"));
    assert!(matches!(check_identity(&issue(past()), &w.cluster), Err(CertificateFault::Expired { .. })));
    assert!(matches!(check_identity(&issue(future()), &w.cluster), Err(CertificateFault::NotYetValid { .. })));
    let foreign = world(past());
    assert!(matches!(check_identity(&foreign.nodes[0], &w.cluster), Err(CertificateFault::ForeignAuthority { .. })));
    let again = identity(&w.authority.issue_node(Party::P1, &[], Lifetime::days(1)).expect("a certificate"));
    assert!(matches!(check_identity(&again, &w.cluster), Err(CertificateFault::WrongFingerprint { .. })));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let w = world(Lifetime::days(1));
    let [a, b] = [0, 1].map(|_| w.authority.issue_client(&alice(), Lifetime::days(1)).expect("a certificate"));
    let dir = tempfile::tempdir().expect("a directory");
    let (crt, key) = (dir.path().join("a.crt"), dir.path().join("a.key"));
    create_public(&crt, a.certificate_pem.as_bytes()).expect("written");
    create_private(&key, b.key_pem.as_bytes()).expect("written");
    let error = Identity::load(&crt, &key).expect_err("keys differ").to_string();
    assert!(error.contains("does not belong to the certificate") && error.contains("a.key"), "{error}");
}

#[test]
fn an_identity_never_shows_its_key() {
    let w = world(Lifetime::days(1));
    let issued = w.authority.issue_client(&alice(), Lifetime::days(1)).expect("a certificate");
    let (shown, secret) =
        (format!("{:?}", identity(&issued)), issued.key_pem.lines().nth(1).expect("a body").to_owned());
    assert!(!shown.contains(&secret) && shown.contains("alice"), "{shown}");
}

#[test]
fn causes_wrapped_in_io_errors_are_found() {
    let tls = rustls::Error::NoApplicationProtocol;
    let wrapped = std::io::Error::other(std::io::Error::new(std::io::ErrorKind::InvalidData, tls));
    assert!(wrapped.source().is_none() && explain(&wrapped).is_some_and(|t| t.contains("same version")));
    assert_eq!(explain(&std::io::Error::other("nothing of TLS")), None);
}
