//! `trefoil cluster init` by the real program.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trefoil_engine::Party;
use trefoil_nodes::{
    cluster_files::ClusterFiles,
    config::{Cluster, NodeConfig},
    pki::{Identity, Role},
    tls,
};

fn trefoil(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trefoil")).args(args).env_remove("TREFOIL_LOG").output().expect("the program runs")
}

fn init(dir: &Path, more: &[&str]) -> Output {
    let mut args = vec!["cluster", "init", "--dir", dir.to_str().expect("UTF-8")];
    args.extend(more);
    trefoil(&args)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Every file below `dir` with its bytes.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(snapshot(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
    all
}

#[test]
fn what_it_writes_makes_a_cluster() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().join("new/demo");
    let done = init(&dir, &["--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));

    let result: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one JSON line");
    let files = ClusterFiles::at(&dir);
    assert_eq!(result["cluster"].as_str(), files.cluster().to_str());
    let cluster = Cluster::load(&files.cluster()).expect("a good cluster file");
    assert_eq!(result["cluster_digest"], cluster.digest().to_string());
    for party in Party::ALL {
        let node = NodeConfig::load(&files.node(party)).expect("a good node file");
        assert_eq!((node.party, &node.cluster), (party, &cluster));
        assert_eq!(node.listen.mesh.to_string(), format!("127.0.0.1:{}", 7750 + party.index()));
        let admin = node.listen.admin.expect("one for each node").to_string();
        assert_eq!(admin, format!("127.0.0.1:{}", 7770 + party.index()));
        assert_eq!(cluster.party_of(node.identity.certificate()), Some(party));
    }
    let client = Identity::named(&files.identity()).expect("a good identity");
    assert!(matches!(client.role(), Role::Client(name) if name.as_str() == "client"));
    assert_eq!(tls::check_identity(&client, &cluster), Ok(()));
}

#[test]
fn keys_are_private_and_directories_closed() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().join("demo");
    assert!(init(&dir, &[]).status.success());
    let mode = |p: &Path| fs::metadata(p).expect("there").permissions().mode() & 0o777;
    let keys: Vec<_> = snapshot(&dir).into_keys().filter(|p| p.extension().is_some_and(|e| e == "key")).collect();
    assert_eq!(keys.len(), 9, "authority, policies, client, three nodes and their stores: {keys:?}");
    assert!(keys.iter().all(|k| mode(k) == 0o600));
    assert_eq!(mode(&dir), 0o700);
    assert!(Party::ALL.into_iter().all(|p| mode(&ClusterFiles::at(&dir).node_dir(p)) == 0o700));
    let public = text(&fs::read(ClusterFiles::at(&dir).cluster()).expect("readable"));
    assert!(!public.contains("PRIVATE"), "the cluster file is public");
}

#[test]
fn a_second_run_touches_nothing() {
    let temp = tempfile::tempdir().expect("a directory");
    assert!(init(temp.path(), &[]).status.success());
    let before = snapshot(temp.path());
    let again = init(temp.path(), &["--days", "1"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("never overwritten"), "{}", text(&again.stderr));
    assert_eq!(snapshot(temp.path()), before);

    // One key left over from an earlier cluster is enough to refuse.
    let other = tempfile::tempdir().expect("a directory");
    fs::write(other.path().join("ca.key"), "precious").expect("written");
    assert_eq!(init(other.path(), &[]).status.code(), Some(2));
    assert_eq!(snapshot(other.path()).len(), 1);
}

#[test]
fn hosts_and_ports_are_taken_over() {
    let temp = tempfile::tempdir().expect("a directory");
    let more = ["--hosts", "a.example,10.0.0.2,[2001:db8::3]", "--mesh-port", "9000", "--api-port", "9443"];
    let done = init(temp.path(), &more);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let files = ClusterFiles::at(temp.path());
    let cluster = Cluster::load(&files.cluster()).expect("good");
    let mesh = Party::ALL.map(|p| cluster.node(p).mesh.to_string());
    assert_eq!(mesh, ["a.example:9000", "10.0.0.2:9000", "[2001:db8::3]:9000"]);
    let listen = Party::ALL.map(|p| NodeConfig::load(&files.node(p)).expect("good").listen.api.to_string());
    assert_eq!(listen, ["0.0.0.0:9443", "0.0.0.0:9443", "[::]:9443"]);
}

#[test]
fn a_further_client_gets_an_identity_of_its_own() {
    let temp = tempfile::tempdir().expect("a directory");
    assert!(init(temp.path(), &[]).status.success());
    let client = |name: &str| {
        trefoil(&["cluster", "client", "--dir", temp.path().to_str().expect("UTF-8"), "--name", name, "--json"])
    };
    let done = client("alice");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one JSON line");
    let path = Path::new(result["identity"].as_str().expect("a path"));
    let alice = Identity::named(path).expect("a good identity");
    assert!(matches!(alice.role(), Role::Client(name) if name.as_str() == "alice"));
    let cluster = Cluster::load(&ClusterFiles::at(temp.path()).cluster()).expect("good");
    assert_eq!(tls::check_identity(&alice, &cluster), Ok(()));
    assert_eq!(fs::metadata(path.with_extension("key")).expect("there").permissions().mode() & 0o777, 0o600);

    let before = snapshot(temp.path());
    for name in ["alice", "client", "ca", "../alice", ""] {
        assert_eq!(client(name).status.code(), Some(2), "{name}");
    }
    assert_eq!(snapshot(temp.path()), before);

    // The key of another cluster's authority signs nothing here.
    let other = tempfile::tempdir().expect("a directory");
    assert!(init(other.path(), &[]).status.success());
    fs::copy(other.path().join("ca.key"), temp.path().join("ca.key")).expect("copied");
    let refused = client("bob");
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("does not belong to the certificate"), "{}", text(&refused.stderr));
    fs::copy(other.path().join("ca.crt"), temp.path().join("ca.crt")).expect("copied");
    let refused = client("bob");
    assert!(text(&refused.stderr).contains("not the one in cluster.toml"), "{}", text(&refused.stderr));
}

#[test]
fn certificates_are_renewed_switched_and_settled() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().to_str().expect("UTF-8");
    assert!(init(temp.path(), &[]).status.success());
    let files = ClusterFiles::at(temp.path());
    // Comments of an operator stay, here and in a copy.
    let copy = temp.path().join("copy.toml");
    let commented = format!("# ours\n{}", text(&fs::read(files.cluster()).expect("readable")));
    for path in [&files.cluster(), &copy] {
        fs::write(path, &commented).expect("written");
    }
    let config = files.node(Party::P1);
    let config = config.to_str().expect("UTF-8");
    let none = trefoil(&["cluster", "switch", "--config", config]);
    assert!(text(&none.stderr).contains("node.crt.next") && none.status.code() == Some(2), "{}", text(&none.stderr));
    assert_eq!(trefoil(&["cluster", "settle", "--dir", dir]).status.code(), Some(2), "nothing to settle");

    let before = Cluster::load(&files.cluster()).expect("good");
    let renew = ["cluster", "renew", "--dir", dir, "--node", "1", "--cluster", copy.to_str().expect("UTF-8")];
    let done = trefoil(&renew);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let cluster = Cluster::load(&files.cluster()).expect("good");
    let next = cluster.node(Party::P1).next_certificate_sha256.expect("announced");
    assert_eq!(cluster.digest(), before.digest());
    assert_eq!(fs::read(&copy).expect("readable"), fs::read(files.cluster()).expect("readable"));
    assert!(text(&fs::read(&copy).expect("readable")).starts_with("# ours\n"));
    let state = snapshot(temp.path());
    assert!(text(&trefoil(&renew).stderr).contains("announces a certificate of P1 already"));
    assert_eq!(snapshot(temp.path()), state);
    let key = files.node_dir(Party::P1).join("node.key.next");
    assert_eq!(fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);

    // Broken off between the key and the certificate, it is ended by the next run.
    fs::copy(&key, key.with_file_name("kept")).expect("copied");
    fs::rename(&key, key.with_file_name("node.key")).expect("renamed");
    let done = trefoil(&["cluster", "switch", "--config", config]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let node = NodeConfig::load(&files.node(Party::P1)).expect("the new one is accepted");
    assert_eq!(trefoil_nodes::pki::Fingerprint::of(node.identity.certificate()), next);
    assert!(files.node_dir(Party::P1).join("node.crt.old").exists());

    let done = trefoil(&["cluster", "settle", "--dir", dir, "--cluster", copy.to_str().expect("UTF-8")]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let settled = Cluster::load(&copy).expect("good");
    assert_eq!(settled.node(Party::P1).pins().collect::<Vec<_>>(), [next]);
    NodeConfig::load(&files.node(Party::P1)).expect("still accepted");

    // What was announced can be withdrawn.
    assert!(trefoil(&["cluster", "renew", "--dir", dir, "--node", "0"]).status.success());
    assert!(trefoil(&["cluster", "settle", "--dir", dir, "--withdraw"]).status.success());
    assert_eq!(Cluster::load(&files.cluster()).expect("good"), settled);
}

#[test]
fn clients_and_the_authority_are_renewed() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path().to_str().expect("UTF-8");
    assert!(init(temp.path(), &[]).status.success());
    let files = ClusterFiles::at(temp.path());
    let good = |args: &[&str]| {
        let done = trefoil(args);
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
    };
    let nobody = trefoil(&["cluster", "client", "--dir", dir, "--name", "alice", "--renew"]);
    assert!(text(&nobody.stderr).contains("leave out --renew"), "{}", text(&nobody.stderr));
    for name in ["ca", "node-0/node"] {
        assert_eq!(trefoil(&["cluster", "client", "--dir", dir, "--name", name, "--renew"]).status.code(), Some(2));
    }
    good(&["cluster", "client", "--dir", dir, "--name", "alice"]);
    let first = fs::read(temp.path().join("alice.crt")).expect("readable");
    good(&["cluster", "client", "--dir", dir, "--name", "alice", "--renew"]);
    assert_eq!(fs::read(temp.path().join("alice.crt.old")).expect("readable"), first);
    let check = |cluster: &Cluster| {
        let alice = Identity::named(&temp.path().join("alice.crt")).expect("a good identity");
        tls::check_identity(&alice, cluster)
    };
    let old = Cluster::load(&files.cluster()).expect("good");
    assert_eq!(check(&old), Ok(()));

    good(&["cluster", "renew", "--dir", dir, "--authority"]);
    let both = Cluster::load(&files.cluster()).expect("good");
    assert_eq!((both.authorities().len(), both.digest()), (2, old.digest()));
    assert_eq!(check(&both), Ok(()), "of the old authority");
    good(&["cluster", "client", "--dir", dir, "--name", "alice", "--renew"]);
    assert_eq!(check(&both), Ok(()), "of the new one");
    assert!(check(&old).is_err());
    for node in ["0", "1", "2"] {
        good(&["cluster", "renew", "--dir", dir, "--node", node]);
        good(&["cluster", "switch", "--config", &format!("{dir}/node-{node}/node.toml")]);
    }
    good(&["cluster", "settle", "--dir", dir]);
    good(&["cluster", "settle", "--dir", dir, "--authority"]);
    let new = Cluster::load(&files.cluster()).expect("good");
    assert_eq!((new.authorities(), check(&new)), (&both.authorities()[1..], Ok(())));
    for p in Party::ALL {
        NodeConfig::load(&files.node(p)).expect("of the new authority");
    }
}

#[test]
fn wrong_arguments_are_refused_with_a_reason() {
    let temp = tempfile::tempdir().expect("a directory");
    for (more, reason) in [
        (["--hosts", "a,b"], "three nodes"),
        (["--hosts", "a,b,c d"], "not a host name"),
        (["--days", "0"], "--days"),
        (["--mesh-port", "65535"], "--mesh-port"),
        (["--log", "=,="], "not a log filter"),
    ] {
        let refused = init(temp.path(), &more);
        assert_eq!(refused.status.code(), Some(2), "{more:?}");
        assert!(text(&refused.stderr).contains(reason), "{}", text(&refused.stderr));
    }
    assert!(snapshot(temp.path()).is_empty());
}

#[test]
fn a_nodes_files_are_checked_before_it_starts() {
    let temp = tempfile::tempdir().expect("a directory");
    let dir = temp.path();
    assert!(init(dir, &[]).status.success());
    let files = ClusterFiles::at(dir);
    let load = |p| NodeConfig::load(&files.node(p)).expect_err("must be refused").to_string();

    let (mine, theirs) = (files.node_dir(Party::P0), files.node_dir(Party::P1));
    fs::rename(mine.join("node.key"), mine.join("kept.key")).expect("renamed");
    assert!(load(Party::P0).contains("node.key"), "missing key");
    fs::copy(theirs.join("node.key"), mine.join("node.key")).expect("copied");
    assert!(load(Party::P0).contains("does not belong"), "another node's key");
    fs::copy(theirs.join("node.crt"), mine.join("node.crt")).expect("copied");
    assert!(load(Party::P0).contains("node P1 where node P0 is required"), "another node's certificate");

    let toml = files.node(Party::P2);
    let edited = text(&fs::read(&toml).expect("readable")).replace("[listen]", "treads = 0\n[listen]");
    fs::write(&toml, edited).expect("written");
    let error = load(Party::P2);
    assert!(error.contains("node.toml, line") && error.contains("unknown field `treads`"), "{error}");
}

/// A node's file as it was before there were policies.
fn without_policy(files: &ClusterFiles, party: Party) {
    let text = text(&fs::read(files.node(party)).expect("readable"));
    let kept = text.lines().filter(|line| !line.starts_with("policy"));
    let old: String = kept.flat_map(|line| [line, "\n"]).collect();
    fs::write(files.node(party), old).expect("written");
    for name in ["policy.toml", "policy.toml.sig"] {
        fs::remove_file(files.node_dir(party).join(name)).expect("it was there");
    }
}

#[test]
fn an_older_cluster_is_given_policies_and_each_is_checked_and_explained() {
    let temp = tempfile::tempdir().expect("a directory");
    assert!(init(temp.path(), &[]).status.success());
    let files = ClusterFiles::at(temp.path());
    let dir = temp.path().to_str().expect("UTF-8");
    // There is nothing to do.
    assert_eq!(trefoil(&["policy", "init", "--dir", dir]).status.code(), Some(2));
    let before = snapshot(&files.node_dir(Party::P0));
    for party in [Party::P1, Party::P2] {
        without_policy(&files, party);
        assert_eq!(NodeConfig::load(&files.node(party)).expect("an older file").policy, None);
    }
    fs::remove_file(files.policy_key()).expect("an older cluster has none");
    let done = trefoil(&["policy", "init", "--dir", dir, "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one JSON line");
    assert_eq!(result["parties"], serde_json::json!([1, 2]));
    assert_eq!(snapshot(&files.node_dir(Party::P0)), before, "what has a policy stays as it is");

    let config = files.node(Party::P1);
    let show = || trefoil(&["policy", "show", "--config", config.to_str().expect("UTF-8")]);
    let shown = show();
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(
        text(&shown.stdout).contains("policy 1 of P1") && text(&shown.stdout).contains("allow all-jobs: aes-ctr, ")
    );

    let policy = files.policy(Party::P1);
    let policy = policy.to_str().expect("UTF-8");
    let check = |more: &[&str]| {
        let done = trefoil(&[&["policy", "check", policy, "--requester", "alice"], more].concat());
        (done.status.code(), text(&done.stdout) + &text(&done.stderr))
    };
    assert_eq!(check(&["--program", "moments"]), (Some(0), "allowed by rule `all-jobs`\n".to_owned()));
    assert_eq!(check(&["--action", "tokens"]).0, Some(0));
    let (code, told) = check(&["--program", "nonsense"]);
    assert!(code == Some(2) && told.contains("--program: unknown variant"), "{told}");

    // Changed, it is no longer what was signed; signed again, it denies what it says.
    let key = files.policy_key();
    let strict = fs::read_to_string(policy).expect("readable").replace("\"moments\", ", "");
    fs::write(policy, strict).expect("written");
    let refused = show();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("the policy was changed"), "{}", text(&refused.stderr));
    assert!(trefoil(&["policy", "sign", policy, "--key", key.to_str().expect("UTF-8")]).status.success());
    assert!(show().status.success());
    let (code, told) = check(&["--program", "moments", "--data", "bank-a/loans", "--recipient", "auditor"]);
    assert_eq!(code, Some(1));
    let nearest = "denied: no rule allows it; the nearest is `all-jobs`, which does not cover program (`moments`); data, requester, recipients, mode fit\n";
    assert_eq!(told, nearest);
}
