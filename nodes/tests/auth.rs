//! A user is enrolled, registered and logged in by the commands, against three real node processes.

#[path = "auth/departed.rs"]
mod departed;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use trefoil_auth::{
    token::{Expected, Jwks, verify},
    webauthn::{AuthenticatorData, Bytes},
};
use trefoil_engine::Party;
use trefoil_nodes::{
    auth::Erasure,
    client::Device,
    config::Cluster,
    local::{LocalCluster, LocalOptions},
    pki::Lifetime,
    receipt::Receipt,
};

const ORIGIN: &str = "https://login.example.org";

/// What a relying party stores of a credential.
struct Registered {
    modulus: Vec<u8>,
    count: u32,
}

struct World {
    cluster: LocalCluster,
    options: LocalOptions,
    dir: TempDir,
    challenge: u8,
}

impl World {
    async fn start() -> Self {
        let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let dir = tempfile::tempdir().expect("a directory");
        cluster.files().add_client(&"phone".parse().expect("a name"), Lifetime::days(1)).expect("a certificate");
        Self { cluster, options, dir, challenge: 0 }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, line: &str, more: &[&Path]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
        let of = if line.starts_with("delete") { "rsa" } else { "auth" };
        command.arg(of).args(line.split(' ')).args(more).current_dir(self.dir.path());
        command.output().expect("the program")
    }

    /// Of the owner, or of the phone, at the cluster.
    fn at(&self, line: &str) -> Output {
        self.run(line, &["--cluster".as_ref(), &self.cluster.cluster_file()])
    }

    fn phone(&self, line: &str) -> Output {
        let identity = self.cluster.files().client(&"phone".parse().expect("a name"));
        self.run(line, &["--cluster".as_ref(), &self.cluster.cluster_file(), "--identity".as_ref(), &identity])
    }

    /// New options of the relying party, in `name`.
    fn ask(&mut self, name: &str, creation: bool) {
        self.challenge += 1;
        let challenge = Bytes(vec![self.challenge; 32]).to_base64url();
        let options = if creation {
            json!({
                "rp": {"id": "example.org", "name": "Example"},
                "user": {"id": "AQIDBAUGBwgJCgsMDQ4PEA", "name": "alice", "displayName": "Alice"},
                "challenge": challenge,
                "pubKeyCredParams": [{"type": "public-key", "alg": -257}],
                "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
                "attestation": "direct",
            })
        } else {
            json!({"challenge": challenge, "rpId": "example.org", "userVerification": "required"})
        };
        fs::write(self.file(name), options.to_string()).expect("room");
    }

    /// What a relying party does with an assertion.
    fn verify(&self, output: &Output, registered: &mut Registered) {
        let response = &stdout(output)["response"];
        let client_data = bytes(&response["clientDataJSON"]);
        let said: Value = serde_json::from_slice(&client_data).expect("JSON");
        assert_eq!(said["type"], "webauthn.get");
        assert_eq!(said["challenge"], Bytes(vec![self.challenge; 32]).to_base64url());
        assert_eq!(said["origin"], ORIGIN);
        let signed = bytes(&response["authenticatorData"]);
        let data = AuthenticatorData::decode(&signed).expect("authenticator data");
        assert!(data.user_present() && data.user_verified());
        assert_eq!(data.rp_id_hash(), <[u8; 32]>::from(Sha256::digest("example.org")));
        assert!(data.sign_count() > registered.count);
        registered.count = data.sign_count();
        let key = RsaPublicKeyComponents { n: registered.modulus.as_slice(), e: [1, 0, 1].as_slice() };
        let mut message = [signed, Sha256::digest(&client_data).to_vec()].concat();
        let signature = bytes(&response["signature"]);
        key.verify(&RSA_PKCS1_2048_8192_SHA256, &message, &signature).expect("a signature");
        message[40] ^= 1;
        key.verify(&RSA_PKCS1_2048_8192_SHA256, &message, &signature).expect_err("of something else");
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Bytes>(value.clone()).expect("base64url").0
}

fn stdout(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn refused(output: &Output, because: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(because), "{because}: {text}");
    assert!(output.stdout.is_empty());
}

/// The phone as a terminal of which nothing is known but its certificate.
fn tokens(world: &World) {
    let url = "https://login.example.org";
    let issuer = format!("issuer --name main --url {url} --audience shop");
    let made = stdout(&world.at(&format!("{issuer} --may-ask phone --json")));
    let owner = made["owner"].as_str().expect("a name");
    let token = |nonce: &str, probe: &str| {
        world.phone(&format!(
            "token --owner {owner} --issuer main --user alice --audience shop --nonce {nonce} --iris {probe}.iris"
        ))
    };
    let output = token("nonce-01", "probe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signed = String::from_utf8(output.stdout).expect("text");
    let keys: Jwks = serde_json::from_value(stdout(&world.at("jwks"))).expect("a JWK Set");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let expected = Expected { issuer: url, audience: "shop", nonce: "nonce-01", now };
    assert_eq!(verify(signed.trim(), &keys, expected).expect("a token").sub, "alice");
    let parts: Vec<&str> = signed.trim().split('.').collect();
    let n = bytes(&json!(keys.keys[0].n));
    let key = RsaPublicKeyComponents { n: n.as_slice(), e: [1, 0, 1].as_slice() };
    let input = format!("{}.{}", parts[0], parts[1]);
    key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &bytes(&json!(parts[2]))).expect("RS256");
    refused(&token("nonce-01", "probe"), "used before");
    refused(&token("nonce-02", "other"), "does not match");
    refused(
        &world.phone("token --issuer main --user alice --audience shop --nonce nonce-03 --iris probe.iris"),
        "no such issuer",
    );
    refused(&world.at(&issuer), "there already");
    let sign = Command::new(env!("CARGO_BIN_EXE_trefoil"))
        .args(["rsa", "sign", "--name", "main", "--out", "-", "left.iris", "--cluster"])
        .arg(world.cluster.cluster_file())
        .current_dir(world.dir.path())
        .output();
    refused(&sign.expect("the program"), "nothing but tokens");
    assert!(world.at("revoke --issuer main").status.success());
    refused(&token("nonce-04", "probe"), "no such issuer");
}

/// The nodes lose the key of phone2, and have another one's shares from its files: whole, or not at all, or by the same line once more.
fn restored(world: &World, key: &str) {
    let restore =
        "restore --device phone2.json --recovery phone2.key --device-out phone4.json --recovery-out phone4.key";
    let files = ["phone4.json", "phone4.key"].map(|name| world.file(name));
    let parts = files.each_ref().map(|file| PathBuf::from(format!("{}.part", file.display())));
    let nothing = || files.iter().chain(&parts).all(|file| !file.exists());
    refused(&world.at(restore), "is there already");
    assert!(nothing(), "the nodes have another key of the name, and nothing is left");
    assert!(world.at(&format!("delete --name {key} --yes")).status.success());
    refused(&world.at(&restore.replace("phone2.key", "recovery.key")), "partial signature is wrong");
    assert!(nothing());
    let restore = format!("{restore} --json");
    stdout(&world.at(&restore));
    let written = files.each_ref().map(|file| fs::read(file).expect("a file"));
    // Ended before the files had their names, or one of them: the nodes know the enrolment, and the same line goes on.
    let end = |before: &[usize]| {
        for &k in before {
            fs::rename(&files[k], &parts[k]).expect("there");
        }
    };
    for ended in [&[0, 1][..], &[1], &[]] {
        end(ended);
        stdout(&world.at(&restore));
        assert!(parts.iter().all(|part| !part.exists()));
        assert_eq!(files.each_ref().map(|file| fs::read(file).expect("a file")), written);
    }
    // Ended before the nodes had anything: the line begins anew.
    assert!(world.at(&format!("delete --name {key} --yes")).status.success());
    refused(&world.at(&restore), "is there already");
    assert!(files.iter().all(|file| file.exists()), "they are somebody's");
    end(&[0, 1]);
    stdout(&world.at(&restore));
    assert!(parts.iter().all(|part| !part.exists()));
    assert!(files.iter().zip(&written).all(|(file, before)| fs::read(file).expect("a file") != *before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_enrolled_registers_and_logs_in() {
    let mut world = World::start().await;
    for sample in
        ["--seed 7 --out left.iris", "--seed 7 --noise 0.2 --turned 3 --out probe.iris", "--seed 8 --out other.iris"]
    {
        let output = world.run(&format!("sample {sample}"), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let enrolled = stdout(&world.at("enrol --user alice --template left --iris left.iris --json"));
    assert_eq!((&enrolled["name"], &enrolled["epoch"]), (&json!("left"), &json!(0)));
    refused(&world.at("enrol --user alice --template left --iris left.iris"), "already");

    world.ask("creation.json", true);
    let register = format!(
        "register --user alice --options creation.json --origin {ORIGIN} --device phone.json --recovery-out recovery.key --may-log-in phone"
    );
    let output = world.at(&format!("{register} --iris probe.iris"));
    let response = stdout(&output);
    let data = AuthenticatorData::decode(&bytes(&response["response"]["authenticatorData"])).expect("data");
    assert!(data.user_verified());
    let attested = data.attested().expect("data").expect("a credential");
    let device = Device::load(&world.file("phone.json")).expect("a device");
    assert_eq!(attested.id, *device.id());
    let mut registered = Registered { modulus: attested.public.modulus(), count: data.sign_count() };

    let login = format!("login --device phone.json --options request.json --origin {ORIGIN}");
    let with = |probe: &str| format!("{login} --iris {probe}.iris");
    world.ask("request.json", false);
    world.verify(&world.phone(&with("probe")), &mut registered);
    refused(&world.phone(&with("probe")), "used before");
    world.ask("request.json", false);
    refused(&world.phone(&with("other")), "does not match");
    world.ask("request.json", false);
    refused(&world.phone(&login), "requires");
    refused(&world.phone("refresh --user alice"), "no template");
    refused(
        &world.phone("login --device phone.json --options request.json --origin https://evil.com --iris probe.iris"),
        "evil.com",
    );

    tokens(&world);
    let found = stdout(&world.at("identify --iris probe.iris --json"));
    assert_eq!(found, json!({"user": "alice", "left_out": []}));
    // Others have users of their own.
    refused(&world.phone("identify --iris probe.iris"), "no template");
    // The device is lost. What has its share from before is of no use, and so is the recovery share that was used.
    let recover = |from: &str, to: &str| {
        format!("recover --recovery {from}.key --device {to}.json --recovery-out {to}.key --json")
    };
    let recovered = stdout(&world.at(&recover("recovery", "phone2")));
    assert_eq!((&recovered["user"], &recovered["unfinished_nodes"]), (&json!("alice"), &json!([])));
    world.ask("request.json", false);
    refused(&world.phone(&with("probe")), "use the file that the last recovery has written");
    refused(&world.at(&recover("recovery", "phone3")), "recovered with this recovery share");
    refused(&world.phone(&recover("phone2", "phone3")), "belongs to no key that you have");
    assert!(!world.file("phone3.json").exists() && !world.file("phone3.key").exists());
    let login = login.replace("phone.json", "phone2.json");
    let with = |probe: &str| format!("{login} --iris {probe}.iris");
    world.ask("request.json", false);
    world.verify(&world.phone(&with("probe")), &mut registered);
    // The nodes have lost the key: device and recovery share give them another one's shares.
    restored(&world, &device.spec().key.to_string());
    let login = login.replace("phone2.json", "phone4.json");
    let with = |probe: &str| format!("{login} --iris {probe}.iris");
    world.ask("request.json", false);
    world.verify(&world.phone(&with("probe")), &mut registered);

    // Everything is there after a restart, and after new shares of the template.
    for party in Party::ALL {
        world.cluster.restart(party, &world.options.clone()).await.expect("a node");
    }
    let refreshed = stdout(&world.at("refresh --user alice --json"));
    assert_eq!(refreshed[0]["epoch"], 1);
    world.ask("request.json", false);
    world.verify(&world.phone(&with("probe")), &mut registered);

    let lines = world.at("list --json");
    let lines: Vec<Value> =
        lines.stdout.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|node| node["users"][0]["user"] == "alice" && node["users"][0]["failures"] == 0));
    assert!(lines.iter().all(|node| node["credentials"][0]["rp_id"] == "example.org"));
    let revoked = world.at("revoke --user alice --receipts erased.json");
    assert_eq!(String::from_utf8_lossy(&revoked.stdout).matches("has erased left of alice, and signed it").count(), 3);
    let receipts = fs::read(world.file("erased.json")).expect("a file");
    let receipts: Vec<Receipt> = serde_json::from_slice(&receipts).expect("receipts");
    assert_eq!(receipts.len(), 3);
    let cluster = Cluster::load(&world.cluster.cluster_file()).expect("a cluster");
    for (party, receipt) in Party::ALL.into_iter().zip(receipts) {
        receipt.verify::<Erasure>(&cluster, party).expect("of that node");
    }
    world.ask("request.json", false);
    refused(&world.phone(&with("probe")), "no template");
    world.cluster.shutdown().await;
}

/// What the commands have put together, looked at by the verifiers that relying parties use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "installs the verifiers from PyPI and npm: `cargo test -p trefoil-nodes --test auth -- --ignored`"]
async fn foreign_verifiers_accept_what_the_nodes_sign() {
    let mut world = World::start().await;
    for sample in ["--seed 7 --out left.iris", "--seed 7 --noise 0.2 --turned 3 --out probe.iris"] {
        assert!(world.run(&format!("sample {sample}"), &[]).status.success());
    }
    stdout(&world.at("enrol --user alice --template left --iris left.iris --json"));
    world.ask("creation.json", true);
    let line = format!("register --user alice --options creation.json --origin {ORIGIN} --device phone.json");
    let registration = stdout(&world.at(&format!("{line} --recovery-out recovery.key --iris probe.iris")));
    // The verifiers are told one challenge for both: what nodes remember is the hash of the client data, which says which of the two it is.
    world.challenge -= 1;
    world.ask("request.json", false);
    let line = format!("login --device phone.json --options request.json --origin {ORIGIN} --iris probe.iris");
    let authentication = stdout(&world.at(&line));
    let token = token_cases(&world);
    world.cluster.shutdown().await;

    let changed = |response: &Value, member: &str, at: usize| {
        let mut changed = response.clone();
        let mut all = bytes(&response["response"][member]);
        all[at] ^= 1;
        changed["response"][member] = Bytes(all).to_base64url().into();
        changed
    };
    let cases = json!({
        "origin": ORIGIN, "rpId": "example.org", "challenge": Bytes(vec![world.challenge; 32]).to_base64url(),
        "registration": {"good": registration, "clientData": changed(&registration, "clientDataJSON", 20)},
        "authentication": {
            "good": authentication,
            "signature": changed(&authentication, "signature", 100),
            "signCount": changed(&authentication, "authenticatorData", 36),
        },
        "token": token,
    });
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verifiers");
    fs::create_dir_all(&directory).expect("the target directory is there");
    fs::write(directory.join("nodes.json"), cases.to_string()).expect("room");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../auth/tests/verifiers/run");
    let output = Command::new(script).arg(&directory).arg(directory.join("nodes.json")).output().expect("bash");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let verdicts = |verifier: &str, what: &str, cases: &Value| {
        for name in cases.as_object().expect("cases").keys() {
            let due = if name == "good" { "accepted" } else { "refused" };
            let line = format!("{verifier} {what} {name} {due}");
            assert!(said.lines().any(|said| said == line), "not said: {line}\n{said}{errors}");
        }
    };
    for verifier in ["python-fido2", "py_webauthn", "@simplewebauthn/server"] {
        for ceremony in ["registration", "authentication"] {
            verdicts(verifier, ceremony, &cases[ceremony]);
        }
    }
    for verifier in ["PyJWT", "jose"] {
        verdicts(verifier, "token", &cases["token"]["tokens"]);
    }
}

/// Tokens that the nodes have signed, their keys, and what a relying party has asked for. All but `good` are to be refused.
fn token_cases(world: &World) -> Value {
    let url = "https://login.example.org";
    let issuer = format!("issuer --name main --url {url} --audience shop,portal --may-ask phone --json");
    let made = stdout(&world.at(&issuer));
    let owner = made["owner"].as_str().expect("a name");
    let token = |audience: &str, nonce: &str| {
        let asked = format!("token --owner {owner} --issuer main --user alice --audience {audience} --nonce {nonce}");
        let output = world.phone(&format!("{asked} --iris probe.iris"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let good = token("shop", "nonce-01");
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let mut changed = bytes(&json!(signature));
    changed[100] ^= 1;
    let (header, claims) = input.split_once('.').expect("two parts");
    let claims = String::from_utf8(bytes(&json!(claims))).expect("JSON").replacen("alice", "bobby", 1);
    let claims = Bytes(claims.into_bytes()).to_base64url();
    json!({
        "issuer": url, "audience": "shop", "nonce": "nonce-01", "keys": stdout(&world.at("jwks")),
        "tokens": {
            "audience": token("portal", "nonce-01"),
            "nonce": token("shop", "nonce-02"),
            "signature": format!("{input}.{}", Bytes(changed).to_base64url()),
            "user": format!("{header}.{claims}.{signature}"),
            "good": good,
        },
    })
}
