//! `trefoil rsa` by the real program, against three real node processes.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trefoil_auth::rsa::PublicKey;
use trefoil_engine::Party;
use trefoil_nodes::{
    client::Client,
    config::{Cluster, NodeConfig},
    keys::HashName,
    local::{LocalCluster, LocalOptions},
    pki::{Identity, Lifetime},
    store::{Space, Store, Whose},
};

const DOCUMENT: &[u8] = b"what is to be signed\n";

struct World {
    cluster: LocalCluster,
    options: LocalOptions,
    dir: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("document"), DOCUMENT).expect("written");
        Self { cluster, options, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `trefoil rsa` in a directory with the document, as the client that owns everything or as another.
    async fn rsa(&self, args: &str, identity: Option<&Path>) -> Output {
        let mut words: Vec<&str> = args.split(' ').collect();
        let command = words.remove(0);
        let mut program = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        program.current_dir(self.dir.path()).env_remove("TREFOIL_LOG").args(["rsa", command]);
        if command != "verify" {
            program.arg("--cluster").arg(self.cluster.cluster_file());
        }
        if let Some(identity) = identity {
            program.arg("--identity").arg(identity);
        }
        program.args(words);
        tokio::task::spawn_blocking(move || program.output()).await.expect("no panic").expect("the program runs")
    }

    async fn kill_p1(&mut self) {
        let status = Command::new("kill").args(["-9", &self.cluster.pids()[1].to_string()]).status();
        assert!(status.expect("kill runs").success());
        self.cluster.failed().await;
    }

    async fn json(&self, args: &str) -> Value {
        let done = self.rsa(&format!("{args} --json"), None).await;
        assert!(done.status.success(), "{args}: {}", text(&done.stderr));
        serde_json::from_slice(&done.stdout).expect("one JSON line")
    }

    async fn fails(&self, args: &str, identity: Option<&Path>) -> (i32, String) {
        let done = self.rsa(args, identity).await;
        assert!(!done.status.success(), "{args}");
        (done.status.code().expect("it ended"), text(&done.stderr))
    }
}

/// Base64 as PEM breaks it.
fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    lines.join("\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The verifier of aws-lc, and OpenSSL's program where there is one.
fn verified(world: &World, public: &PublicKey, signature: &str) {
    let components = RsaPublicKeyComponents { n: public.modulus(), e: vec![1, 0, 1] };
    let bytes = fs::read(world.path(signature)).expect("a signature");
    components.verify(&RSA_PKCS1_2048_8192_SHA256, DOCUMENT, &bytes).expect("it verifies");
    let openssl = Command::new("openssl")
        .current_dir(world.dir.path())
        .args(["dgst", "-sha256", "-verify", "public.pem", "-signature", signature, "document"])
        .output();
    if let Ok(done) = openssl {
        assert_eq!(text(&done.stdout).trim(), "Verified OK", "{}", text(&done.stderr));
    }
}

#[tokio::test]
async fn a_key_of_the_nodes_signs_files() {
    let mut world = World::start().await;
    let [bob, carol] = ["bob", "carol"].map(|name| {
        world.cluster.files().add_client(&name.parse().expect("a name"), Lifetime::days(1)).expect("a certificate")
    });
    let made = world.json("keygen --name release --signer bob --public public.pem").await;
    assert_eq!((made["epoch"].as_u64(), made["bits"].as_u64()), (Some(1), Some(2048)));
    assert_eq!(made["nodes"], serde_json::json!([0, 1, 2]));
    assert_eq!(fs::read_to_string(world.path("public.pem")).expect("a key"), made["public"].as_str().expect("PEM"));

    let signed = world.json("sign --name release --out one.sig document").await;
    assert_eq!(signed["wrong_nodes"], serde_json::json!([]));
    let target = Cluster::load(&world.cluster.cluster_file()).expect("a cluster file");
    let identity = Identity::named(&world.cluster.files().identity()).expect("an identity");
    let client = Client::connect(&target, &identity).await.expect("a client");
    let key = client.signing_key(None, &"release".parse().expect("a name")).await.expect("a key");
    verified(&world, key.public(), "one.sig");
    assert_eq!(world.json("verify --public public.pem --signature one.sig document").await["verified"], true);
    // Text is a signature too, and another document has none.
    let base64 = world.rsa("sign --name release --format base64 --out - document", None).await;
    fs::write(world.path("one.txt"), base64.stdout).expect("written");
    assert_eq!(world.json("verify --public public.pem --signature one.txt document").await["verified"], true);
    fs::write(world.path("other"), "another document").expect("written");
    let (code, _) = world.fails("verify --public public.pem --signature one.sig other", None).await;
    assert_eq!(code, 1);

    // Who is named may sign; who is not finds no key, and nobody else deletes or refreshes.
    let by_bob = world.rsa("sign --owner client --name release --out bob.sig document", Some(&bob)).await;
    assert!(by_bob.status.success(), "{}", text(&by_bob.stderr));
    verified(&world, key.public(), "bob.sig");
    let (_, refused) = world.fails("sign --owner client --name release --out carol.sig document", Some(&carol)).await;
    assert!(refused.contains("no key `release` of client here for you"), "{refused}");
    let (_, refused) = world.fails("delete --name release --yes", Some(&bob)).await;
    assert!(refused.contains("no key `release` of bob here"), "{refused}");
    let (code, refused) = world.fails("keygen --name release", None).await;
    assert!(code == 1 && refused.contains("is there already"), "{refused}");

    // A node that is down is not missed; a step that needs it waits for it, and nothing is replaced.
    assert_eq!(world.json("refresh --name release").await["epoch"], 2);
    world.kill_p1().await;
    let signed = world.json("sign --name release --out two.sig document").await;
    assert_eq!(signed["missing_nodes"], serde_json::json!([1]));
    verified(&world, key.public(), "two.sig");
    let listed = world.json("list").await;
    assert_eq!((listed["nodes"].clone(), listed["epoch"].as_u64()), (serde_json::json!([0, 2]), Some(2)));

    // It comes back with what was in its store.
    world.cluster.restart(Party::P1, &world.options).await.expect("it comes back");
    let signed = world.json("sign --name release --out three.sig document").await;
    assert_eq!(signed["missing_nodes"], serde_json::json!([]));
    verified(&world, key.public(), "three.sig");
    assert_eq!(world.json("refresh --name release").await["epoch"], 3);
    let signature = key.sign(HashName::Sha512, &[7; 64]).await.expect("signed");
    assert!(signature.wrong.is_empty() && signature.missing.is_empty(), "{signature:?}");

    // A key that was made elsewhere, as OpenSSL writes it.
    let made = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = made.as_der().expect("a form");
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines(&Base64::encode_string(der.as_ref()))
    );
    fs::write(world.path("old.pem"), &pem).expect("written");
    let (_, refused) = world.fails("import --name old --key old.pem", None).await;
    assert!(refused.contains("chmod 600") && !refused.contains("PRIVATE"), "{refused}");
    fs::set_permissions(world.path("old.pem"), PermissionsExt::from_mode(0o600)).expect("its owner's");
    fs::remove_file(world.path("public.pem")).expect("removed");
    world.json("import --name old --key old.pem --public public.pem").await;
    world.json("sign --name old --out old.sig document").await;
    let old = client.signing_key(None, &"old".parse().expect("a name")).await.expect("a key");
    verified(&world, old.public(), "old.sig");
    let public = world.rsa("public --name old --out -", None).await;
    assert_eq!(text(&public.stdout), fs::read_to_string(world.path("public.pem")).expect("a key"));

    // P1 has a share of another split of the same key, so that its part is wrong: it is named, and what is written is right.
    world.json("import --name twin --key old.pem").await;
    world.kill_p1().await;
    let config = NodeConfig::load(&world.cluster.files().node(Party::P1)).expect("a configuration");
    let store =
        Store::open(&config.store, Whose { cluster: config.cluster.id(), party: Party::P1 }).await.expect("free");
    let twin = store.get(Space::Keys, "client/twin").await.expect("readable").expect("enrolled");
    store.put(Space::Keys, "client/old", twin).await.expect("room");
    drop(store);
    world.cluster.restart(Party::P1, &world.options).await.expect("it comes back");
    // A program that begins now goes on with the two that agree, and says so; one that knows the key finds the wrong part.
    let signed = world.json("sign --name old --out odd.sig document").await;
    assert_eq!((&signed["missing_nodes"], &signed["wrong_nodes"]), (&serde_json::json!([1]), &serde_json::json!([])));
    verified(&world, old.public(), "odd.sig");
    let listed = text(&world.rsa("list --json", None).await.stdout);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let odd = |name: &str| listed.iter().find(|key| key["name"] == name).expect("listed")["odd_node"].clone();
    assert_eq!((odd("old"), odd("twin")), (1.into(), Value::Null));
    let signature = old.sign(HashName::Sha256, &Sha256::digest(DOCUMENT)).await.expect("two nodes are right");
    assert_eq!(signature.wrong, [Party::P1]);
    fs::write(world.path("lied.sig"), &signature.bytes).expect("written");
    verified(&world, old.public(), "lied.sig");

    let (code, refused) = world.fails("delete --name release", None).await;
    assert!(code == 2 && refused.contains("--yes"), "{refused}");
    let deleted = world.json("delete --name release --yes --receipts receipts.json").await;
    assert_eq!(deleted["receipts"].as_array().map(Vec::len), Some(3));
    let (_, refused) = world.fails("sign --name release --out four.sig document", None).await;
    assert!(refused.contains("no key `release`"), "{refused}");
    assert!(!world.path("four.sig").exists());
    world.cluster.shutdown().await;
}
