//! Three meshes over real QUIC on loopback.

mod blame;
mod hostile;
mod renewal;
mod strands;
mod versions;

use super::*;
use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use sha2::{Digest, Sha256};
use std::time::Duration;
use trefoil_engine::{
    Error, LinkFault, PeerFault, SemiHonest, Shares, Z64,
    transport::{Link, Path},
};

type Identity = (rustls::pki_types::CertificateDer<'static>, Vec<u8>);

fn identity() -> Identity {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["node.trefoil".to_owned()]).unwrap().self_signed(&key).unwrap();
    (cert.der().clone(), key.serialize_der())
}

fn settings() -> TransportSettings {
    TransportSettings {
        idle_deadline: Duration::from_secs(2),
        stall_deadline: Duration::from_secs(4),
        join_deadline: Duration::from_secs(4),
        ..TransportSettings::default()
    }
}

/// Free ports, held until the meshes take them over one by one.
fn addresses() -> [SocketAddr; 3] {
    let held = [(); 3].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    held.map(|s| s.local_addr().unwrap())
}

/// What lets in the given identities of each party and shows one.
fn credentials(accepted: &[Vec<Identity>; 3], shown: &Identity) -> Credentials {
    let mut roots = RootCertStore::empty();
    for (cert, _) in accepted.iter().flatten() {
        roots.add(cert.clone()).unwrap();
    }
    let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let key = || PrivateKeyDer::Pkcs8(shown.1.clone().into());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().unwrap();
    let tls13 = &[&rustls::version::TLS13];
    let server = rustls::ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(tls13).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(tls13).unwrap();
    Credentials {
        pins: accepted.each_ref().map(|ids| ids.iter().map(print).collect()),
        cluster_digest: [1; 32],
        pinned_digest: [7; 32],
        server: server.with_client_cert_verifier(verifier).with_single_cert(vec![shown.0.clone()], key()).unwrap(),
        client: client.with_root_certificates(roots).with_client_auth_cert(vec![shown.0.clone()], key()).unwrap(),
    }
}

fn print((cert, _): &Identity) -> [u8; 32] {
    Sha256::digest(cert).into()
}

fn config(me: Party, ids: &[Identity; 3], shown: &Identity, nodes: [SocketAddr; 3]) -> MeshConfig {
    let credentials = credentials(&ids.each_ref().map(|id| vec![id.clone()]), shown);
    MeshConfig {
        me,
        listen: nodes[me.index()],
        nodes,
        credentials,
        versions: Versions::SPOKEN,
        settings: settings(),
        reset: ResetKey::of(&shown.1),
        stall_warning: Duration::from_millis(300),
    }
}

/// Three meshes, after `change` had its way with each configuration.
fn meshes(change: impl Fn(&mut MeshConfig)) -> [Mesh; 3] {
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    Party::ALL.map(|p| {
        let mut config = config(p, &ids, &ids[p.index()], nodes);
        change(&mut config);
        Mesh::start(config).unwrap()
    })
}

const JOB: [u8; 32] = [5; 32];

async fn sessions(meshes: &[Mesh; 3], id: u8) -> [Session; 3] {
    let [a, b, c] = meshes.each_ref().map(|m| m.session(SessionId([id; 16]), JOB));
    let (a, b, c) = tokio::try_join!(a, b, c).unwrap();
    [a, b, c]
}

async fn links(sessions: &[Session; 3], path: Path) -> [Box<dyn Link>; 3] {
    let mut links = Vec::new();
    for s in sessions {
        links.push(s.network().open(s.id(), path).await.unwrap());
    }
    links.try_into().unwrap_or_else(|_| unreachable!())
}

/// One frame of `len` bytes from each party around the ring.
async fn around(mut links: [Box<dyn Link>; 3], len: usize) -> [Result<(), Error>; 3] {
    let [a, b, c] = &mut links;
    let run = async |link: &mut Box<dyn Link>, me: Party| {
        let mut into = vec![0; len];
        link.exchange(me.prev(), Bytes::from(vec![me.index() as u8 + 1; len]), me.next(), &mut into).await?;
        assert!(into.iter().all(|x| *x == me.next().index() as u8 + 1));
        Ok(())
    };
    let (a, b, c) = tokio::join!(run(a, Party::P0), run(b, Party::P1), run(c, Party::P2));
    [a, b, c]
}

#[tokio::test]
async fn small_and_large_frames_on_several_strands() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let mut all = Vec::new();
    for (k, len) in [0, 1, 1_000, 70_000, 3 << 20, 20 << 20].into_iter().enumerate() {
        all.push(around(links(&sessions, Path::root().child(k as u32)).await, len));
    }
    for results in futures_util::future::join_all(all).await {
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    sessions.into_iter().for_each(Session::finish);
}

#[tokio::test]
async fn the_engine_computes_over_it_and_sessions_have_keys_of_their_own() {
    let meshes = meshes(|_| {});
    let mut opened = Vec::new();
    for id in [1, 2] {
        let [a, b, c] = sessions(&meshes, id).await;
        let run = async |mut s: Session| {
            let mut ctx = s.strand::<SemiHonest>().await?;
            let x = Shares::public(ctx.me(), &[Z64(6)]);
            let y = ctx.mul(x.view(), Shares::public(ctx.me(), &[Z64(7)]).view()).await?;
            let r = ctx.random::<Z64>(1)?;
            let mut v = ctx.verify().await?;
            let out = (v.open(y.view()).await?, v.open(r.view()).await?);
            assert!(s.strand::<SemiHonest>().await.is_err(), "the keys are gone");
            s.finish();
            Ok::<_, Error>(out)
        };
        let (a, b, c) = tokio::try_join!(run(a), run(b), run(c)).unwrap();
        assert_eq!((&a, &b), (&b, &c));
        assert_eq!(a.0, [Z64(42)]);
        opened.push(a.1);
    }
    assert_ne!(opened[0], opened[1]);
}

#[tokio::test]
async fn a_repeated_id_is_refused_while_the_session_lives() {
    let meshes = meshes(|_| {});
    let _sessions = sessions(&meshes, 1).await;
    let again = meshes[0].session(SessionId([1; 16]), JOB).await;
    assert!(matches!(again, Err(MeshError::RepeatedSession(_))));
}

#[tokio::test]
async fn a_frame_of_the_wrong_length_ends_the_session_everywhere_naming_the_sender() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let [mut a, mut b, mut c] = links(&sessions, Path::root()).await;
    let (mut x, mut y, mut z) = ([0; 8], [0; 8], [0; 8]);
    // P1 sends nine bytes where P0 expects eight; P0 owes P2 nothing yet.
    let (a, b, c) = tokio::join!(
        a.recv(Party::P1, &mut x),
        b.exchange(Party::P0, Bytes::from_static(&[0; 9]), Party::P2, &mut y),
        c.recv(Party::P0, &mut z),
    );
    let wrong = PeerFault::WrongLength { expected: 8, got: 9 };
    assert!(matches!(a, Err(Error::Peer { peer: Party::P1, fault }) if fault == wrong));
    for other in [b, c] {
        let Err(Error::Link { peer: Party::P1, cause: LinkFault::Ended(cause) }) = other else { panic!("{other:?}") };
        assert!(cause.contains("9 bytes where 8 were due"), "{cause}");
    }
}

#[tokio::test]
async fn a_silent_strand_is_blamed_on_the_party_at_the_end_of_the_chain() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let [mut a, _b, mut c] = links(&sessions, Path::root()).await;
    let (mut x, mut z) = ([0; 8], [0; 8]);
    // P1 does nothing; P0 waits for it, P2 waits for P0.
    let (a, c) = tokio::join!(a.recv(Party::P1, &mut x), c.recv(Party::P0, &mut z));
    for end in [a, c] {
        assert!(matches!(end, Err(Error::Link { peer: Party::P1, .. })), "{end:?}");
    }
    assert_eq!(sessions[1].ended().await.blamed, Party::P1);
}

#[tokio::test]
async fn a_node_that_goes_away_ends_the_session_by_name_and_may_come_back() {
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    let start = |p: Party| Mesh::start(config(p, &ids, &ids[p.index()], nodes)).unwrap();
    let meshes = Party::ALL.map(start);
    let running = sessions(&meshes, 1).await;
    meshes[1].close().await;
    for k in [0, 2] {
        assert_eq!(running[k].ended().await.blamed, Party::P1);
    }
    drop(running);
    let [a, b, c] = meshes;
    drop(b);
    // The old endpoint gives the port back when its last task has ended.
    let again = async {
        loop {
            match Mesh::start(config(Party::P1, &ids, &ids[1], nodes)) {
                Ok(mesh) => return mesh,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let b = tokio::time::timeout(Duration::from_secs(10), again).await.expect("the port is free again");
    let meshes = [a, b, c];
    let fresh = sessions(&meshes, 2).await;
    let results = around(links(&fresh, Path::root()).await, 10).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn a_missing_node_and_a_missing_party_are_named() {
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    let [a, b] = [Party::P0, Party::P1].map(|p| Mesh::start(config(p, &ids, &ids[p.index()], nodes)).unwrap());
    let id = SessionId([1; 16]);
    let (x, y) = tokio::join!(a.session(id, JOB), b.session(id, JOB));
    for missing in [x, y] {
        assert!(matches!(missing, Err(MeshError::Unreachable { peer: Party::P2, .. })), "{missing:?}");
    }
    let c = Mesh::start(config(Party::P2, &ids, &ids[2], nodes)).unwrap();
    c.connected().await;
    let id = SessionId([2; 16]);
    let (x, y) = tokio::join!(a.session(id, JOB), b.session(id, JOB));
    for absent in [x, y] {
        assert!(
            matches!(
                absent,
                Err(MeshError::NotJoined { peer: Party::P2, .. } | MeshError::Ended { peer: Party::P2, .. })
            ),
            "{absent:?}"
        );
    }
}

#[tokio::test]
async fn other_clusters_and_other_jobs_are_told_apart() {
    let meshes = meshes(|c| {
        if c.me == Party::P2 {
            c.credentials.cluster_digest = [2; 32];
        }
    });
    let [a, b, c] = meshes.each_ref().map(|m| m.session(SessionId([1; 16]), JOB));
    let (a, b, c) = tokio::join!(a, b, c);
    for e in [a.err(), b.err()] {
        assert!(matches!(e.as_ref().and_then(MeshError::blamed), Some(Party::P2)), "{e:?}");
        assert!(e.is_some_and(|e| e.to_string().contains("another cluster file")));
    }
    assert!(c.is_err_and(|e| e.to_string().contains("another cluster file")));

    let meshes = self::meshes(|_| {});
    let [a, b, c] = [0, 1, 2].map(|k| meshes[k].session(SessionId([1; 16]), if k == 1 { [9; 32] } else { JOB }));
    let (a, b, c) = tokio::join!(a, b, c);
    for e in [a.err(), b.err(), c.err()] {
        assert!(e.is_some_and(|e| e.to_string().contains("another job specification")));
    }
}

#[tokio::test]
async fn a_stranger_and_another_version_are_refused_with_the_reason() {
    // P2 proves to be somebody the CA knows, but not whom the cluster file lists.
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    let meshes = Party::ALL.map(|p| {
        let shown = if p == Party::P2 { &ids[0] } else { &ids[p.index()] };
        Mesh::start(config(p, &ids, shown, nodes)).unwrap()
    });
    let e = meshes[1].session(SessionId([1; 16]), JOB).await.unwrap_err();
    assert!(
        matches!(e, MeshError::Unreachable { peer: Party::P2, .. }) && e.to_string().contains("certificate"),
        "{e}"
    );

    let nodes = addresses();
    let a = Mesh::start(config(Party::P0, &ids, &ids[0], nodes)).unwrap();
    let mut other = config(Party::P1, &ids, &ids[1], nodes);
    other.credentials.server.alpn_protocols = vec![b"trefoil/9".to_vec()];
    let server = QuicServerConfig::try_from(other.credentials.server).unwrap();
    let server = quinn::ServerConfig::with_crypto(Arc::new(server));
    let endpoint = quinn::Endpoint::server(server, nodes[1]).unwrap();
    let caller = async {
        while let Some(incoming) = endpoint.accept().await {
            assert!(incoming.await.is_err());
        }
    };
    let refused = async {
        loop {
            if let Some(e) = &a.status()[0].last_error
                && e.contains("another version")
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = caller => unreachable!("the endpoint lives"),
        done = tokio::time::timeout(Duration::from_secs(10), refused) => done.expect("the dialler sees the reason"),
    }
}
