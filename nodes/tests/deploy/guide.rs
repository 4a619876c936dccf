//! The rehearsal of `docs/operations/README.md`, line by line.

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    process::Command,
};

/// The blocks of the guide that are commands, one after the other.
fn script() -> String {
    let text = include_str!("../../../docs/operations/README.md");
    let parts = text.split("\n```").filter_map(|part| part.strip_prefix("sh\n"));
    parts.map(|block| block.to_owned() + "\n").collect()
}

/// Nine free ports in three runs: mesh, API, admin.
fn ports() -> [u16; 3] {
    let is_free = |port: &u16| {
        let tcp = TcpListener::bind(("127.0.0.1", *port)).is_ok();
        tcp && UdpSocket::bind(("127.0.0.1", *port)).is_ok()
    };
    // Below those that the system gives away.
    let runs = (20_000..30_000).step_by(10).map(|offset| offset + std::process::id() as u16 % 7);
    let free: Vec<u16> = runs.filter(|first| (*first..first + 3).all(|port| is_free(&port))).take(3).collect();
    free.try_into().expect("nine free ports")
}

#[test]
fn the_rehearsal_goes_through_as_it_stands_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let [mesh, api, admin] = ports();
    let line = "trefoil cluster init --dir prod\n";
    let on_ports =
        format!("trefoil cluster init --dir prod --mesh-port {mesh} --api-port {api} --admin-port {admin}\n");
    let script = script();
    assert!(script.contains(line) && script.matches("ready\n").count() > 5, "{script}");
    // What is left when a line fails is ended.
    let script =
        format!("trap 'kill $(cat node-*.pid) 2> /dev/null || true' EXIT\n{}", script.replace(line, &on_ports));
    let bin = Path::new(env!("CARGO_BIN_EXE_trefoil")).parent().expect("a directory").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).expect("paths");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-u", "-x", "-o", "pipefail", "-c", &script]).env("PATH", paths).current_dir(&dir);
    let output = bash.output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let logs = || {
        let log = |node: u8| std::fs::read_to_string(dir.path().join(format!("node-{node}.log"))).unwrap_or_default();
        [0, 1, 2].map(log).join("\n")
    };
    assert!(output.status.success(), "{out}\n{err}\n{}", logs());
    assert_eq!(out.matches("Verified OK").count(), 7, "{out}\n{err}");
}
