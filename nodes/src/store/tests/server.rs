//! A PostgreSQL server of a test's own, on a Unix socket in a temporary directory.

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use std::{
    env,
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Set to `required` where a server that cannot be started is a failure.
const VARIABLE: &str = "TREFOIL_TEST_POSTGRES";

/// The role of the server, which needs no password, and its database.
pub(crate) const ROLE: &str = "trefoil";
pub(crate) const DATABASE: &str = "postgres";

/// How long a server may take to start: others build on this machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs. Ended when dropped.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    dir: TempDir,
    process: Child,
}

impl PostgresServer {
    /// Starts one, if PostgreSQL is installed.
    pub(crate) fn start() -> Option<Self> {
        let required = env::var(VARIABLE).is_ok_and(|value| value == "required");
        let Some(programs) = programs() else {
            assert!(
                !required,
                "{VARIABLE} is `required`, and initdb and postgres are neither on PATH nor in /usr/lib/postgresql"
            );
            println!("skipped: no PostgreSQL on this machine (initdb and postgres on PATH or in /usr/lib/postgresql)");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("trefoil-pg-").tempdir().expect("a directory");
        if let Some(user) = other_user() {
            chown(dir.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("it is ours to give");
        }
        let mut init = as_user(&programs.join("initdb"), dir.path());
        let init =
            init.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale", "--username", ROLE, "--pgdata"]);
        let made = init.arg(dir.path().join("data")).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let process = launch(&programs, dir.path(), &[]).expect("a server");
        Some(Self { programs, dir, process })
    }

    /// The directory of its socket, which is its `host`.
    pub(crate) fn host(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// Kills all of its processes, so that nothing is written any more, and starts it again from what is on the disk.
    pub(crate) fn crash(&mut self) {
        let postmaster = self.process.id();
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        // The one that would start the others again goes first.
        for pid in [postmaster as i32].into_iter().chain(children) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.process.wait().expect("our child");
        let until = Instant::now() + PATIENCE;
        // As long as one of the killed is not gone, its memory is taken for that of a server that runs.
        self.process = loop {
            match launch(&self.programs, self.dir.path(), &[]) {
                Ok(process) => break process,
                Err(said) if Instant::now() > until => panic!("{said}"),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        };
    }

    /// Starts it again on a port of the loopback address too, where it speaks TLS alone, with a certificate and its key, both as PEM.
    pub(crate) fn listen_by_tls(&mut self, port: u16, certificate: &str, key: &str) {
        self.end();
        let data = self.dir.path().join("data");
        for (file, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 trust\n"),
        ] {
            let path = data.join(file);
            fs::write(&path, text).expect("room");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
            if let Some(user) = other_user() {
                chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("ours to give");
            }
        }
        let settings = ["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned(), format!("port={port}")];
        self.process = launch(&self.programs, self.dir.path(), &settings).expect("a server");
    }

    fn end(&mut self) {
        let ended = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGQUIT);
        if ended.is_ok() {
            let _ = self.process.wait();
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the server on what is in a directory, and waits until it takes connections; what it has said, if it ends instead.
fn launch(programs: &Path, dir: &Path, more: &[String]) -> Result<Child, String> {
    let mut postgres = as_user(&programs.join("postgres"), dir);
    postgres.arg("-D").arg(dir.join("data")).arg("-k").arg(dir);
    postgres.args([
        "-c",
        "listen_addresses=",
        "-c",
        "max_connections=50",
        "-c",
        "shared_buffers=16MB",
        "-c",
        "lc_messages=C",
    ]);
    for setting in more {
        postgres.args(["-c", setting]);
    }
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = postgres.spawn().expect("postgres runs");
    let log = BufReader::new(process.stderr.take().expect("a pipe"));
    let (tell, told) = mpsc::channel();
    // Reads to the end, so that the server is never kept waiting.
    thread::spawn(move || {
        let mut said = String::new();
        for line in log.lines().map_while(Result::ok) {
            said += &line;
            said.push('\n');
            if line.contains("ready to accept connections") {
                let _ = tell.send(Ok(()));
            }
        }
        let _ = tell.send(Err(said));
    });
    match told.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(process),
        ended => {
            let _ = process.kill();
            let _ = process.wait();
            Err(format!("the server does not start: {ended:?}"))
        }
    }
}

/// The server refuses to run as root.
fn other_user() -> Option<User> {
    let named = |name| User::from_name(name).ok().flatten();
    geteuid().is_root().then(|| named("postgres").or_else(|| named("nobody")).expect("a user that is not root"))
}

fn as_user(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env("LC_ALL", "C");
    if let Some(user) = other_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        // For the other user's eyes: its home is not ours.
        command.env("HOME", dir);
    }
    command
}

/// The directory of `initdb` and `postgres`.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<_> = installed.map(|version| version.path().join("bin")).collect();
    installed.sort();
    dirs.extend(installed.into_iter().rev());
    let is_program = |path: PathBuf| fs::metadata(path).is_ok_and(|meta| is_executable(&meta.permissions()));
    dirs.into_iter().find(|dir| ["initdb", "postgres"].iter().all(|name| is_program(dir.join(name))))
}

fn is_executable(permissions: &Permissions) -> bool {
    permissions.mode() & 0o111 != 0
}
