//! Commands of a client without a certificate, which shows tokens of an issuer.

use super::{
    PROGRAM,
    intruders::{World, now},
};
use serde_json::json;
use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};
use trefoil_engine::Party;
use trefoil_nodes::job::Limits;

/// What the policy permits to the client of the tokens.
const RULE: &str = r#"
[[allow]]
name = "analysts"
programs = ["aes-ctr"]
data = ["@upload"]
requesters = ["oidc:alice"]
recipients = ["@requester"]
modes = ["malicious", "semi-honest"]
"#;

impl World {
    /// A file of tokens that expire so many seconds from now.
    fn tokens(&self, name: &str, left: i64) -> PathBuf {
        let token = |party: Party| {
            let exp = now().cast_signed() + left;
            let claims = [
                ("aud", json!(format!("trefoil-{party}"))),
                ("jti", json!(format!("{name}-{party}"))),
                ("iat", json!(exp - 300)),
                ("exp", json!(exp)),
            ];
            format!("{party} = {}\n", self.token(&claims))
        };
        let path = self.dir().join(name);
        fs::write(&path, Party::ALL.map(token).concat()).expect("room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        path
    }

    fn run(&self, line: &str, stdin: &[u8]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.dir()).args(line.split(' ')).args(["--cluster", "cluster.toml"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        // It may have ended without reading.
        let _ = child.stdin.take().expect("piped").write_all(stdin);
        child.wait_with_output().expect("it ends")
    }

    fn good(&self, line: &str, stdin: &[u8]) -> String {
        let done = self.run(line, stdin);
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("text")
    }

    fn refused(&self, line: &str, why: &str) {
        let done = self.run(line, b"");
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && complaint.contains(why), "{line}: {complaint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_take_tokens_in_place_of_a_certificate() {
    let world = World::start(Limits::default(), RULE).await;
    let first = world.tokens("first", 200);
    assert_eq!(
        world.good("job list --token first", b""),
        "no jobs: those of this client have been deleted, or their time is over\n"
    );
    world.good("job list --token -", &fs::read(&first).expect("readable"));
    let doctor = world.good("doctor --token first", b"");
    assert!(doctor.contains("the cluster works"), "{doctor}");

    fs::write(world.dir().join("key"), [7; 16]).expect("room");
    fs::set_permissions(world.dir().join("key"), fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(world.dir().join("plain"), [9; 5000]).expect("room");
    let aes = "aes --key-file key --iv 000102030405060708090a0b0c0d0e0f --encrypt --in plain --out";
    world.good(&format!("{aes} by-token --token first"), b"");
    world.good(&format!("{aes} by-certificate"), b"");
    let [by_token, by_certificate] =
        ["by-token", "by-certificate"].map(|file| fs::read(world.dir().join(file)).expect("written"));
    assert!(by_token == by_certificate && by_token.len() == 5000);
    // They are used up: another command is another connection.
    world.refused(&format!("{aes} again --token first"), "another connection");
    world.tokens("second", 200);
    world.good(&format!("{aes} again --token second"), b"");

    world.tokens("late", -100);
    world.refused("job list --token late", "claim exp: is past");
    world.refused("job list --token first --identity client.crt", "cannot be used with");
    fs::set_permissions(&first, fs::Permissions::from_mode(0o644)).expect("ours");
    world.refused("job list --token first", "chmod 600");
    world.refused("job list --token none", "read the file of tokens none");
    // What no rule allows to tokens is denied, as of anybody.
    world.tokens("third", 200);
    world.refused("rsa keygen --name code --token third", "requester (`oidc:alice`)");
    world.local.shutdown().await;
}
