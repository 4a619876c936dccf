//! What is looked at on the machine of a node itself, whether or not the node runs.

use super::{Finding, Level};
use crate::{
    admin::ask,
    config::{Address, NodeConfig, NodeFile},
    store::{Store, StoreError, Whose},
};
use nix::sys::statvfs::statvfs;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Free space below which a node will soon stop to take anything, in bytes.
const NO_ROOM: u64 = 128 << 20;

/// Free space that is worth a warning: months of an audit log, and a copy of a large store.
const LITTLE_ROOM: u64 = 2 << 30;

/// Files that a node has open beside connections: the store, the log, sockets, and what the runtime needs.
const OWN_FILES: u64 = 64;

/// Looks at a node's files, its disk, its limits and its admin listener. Its configuration was read from `file`. Blocks for a while.
pub async fn local(config: &NodeConfig, file: &Path) -> Vec<Finding> {
    let here = Here { place: config.party.to_string() };
    let mut all = vec![here.store(config).await];
    all.extend(here.files(config, file));
    all.extend(config.store.place.file().and_then(|file| here.disk("store", file)));
    all.extend(here.disk("audit log", &config.audit));
    all.extend(here.kernel(config.transport.socket_buffer.into()));
    let admin = config.listen.admin.clone();
    let connections = config.limits.connections.into();
    let asked = tokio::task::spawn_blocking(move || here.admin(admin.as_ref(), connections)).await;
    // It ends early only with the program.
    all.extend(asked.unwrap_or_default());
    all
}

/// A configuration that cannot be used, as a finding.
pub fn unusable(error: &crate::Error) -> Finding {
    let text = error.to_string();
    let (found, remedy) =
        text.split_once("; ").unwrap_or((&text, "correct the file, or make a new one with `trefoil cluster init`"));
    Finding {
        level: Level::Error,
        place: "node".to_owned(),
        check: "config",
        found: found.to_owned(),
        remedy: Some(remedy.to_owned()),
    }
}

struct Here {
    place: String,
}

impl Here {
    fn found(&self, (level, check): (Level, &'static str), found: impl Into<String>) -> Finding {
        Finding { level, place: self.place.clone(), check, found: found.into(), remedy: None }
    }

    async fn store(&self, config: &NodeConfig) -> Finding {
        let path = &config.store.place;
        if path.file().is_some_and(|file| !file.exists()) {
            return self
                .found((Level::Ok, "store"), format!("{path} is not there yet; the node makes it when it starts"));
        }
        match Store::open(&config.store, Whose { cluster: config.cluster.id(), party: config.party }).await {
            Ok(_) => self.found((Level::Ok, "store"), format!("{path} opens, and no process has it")),
            Err(StoreError::Busy { .. }) => self.found((Level::Ok, "store"), format!("{path} is in use by a process")),
            Err(error) => {
                let text = error.to_string();
                let (found, remedy) = text.split_once("; ").unwrap_or((&text, "see docs/operations/monitoring.md"));
                self.found((Level::Error, "store"), found).remedy(remedy)
            }
        }
    }

    /// Keys and records are their owner's alone.
    fn files(&self, config: &NodeConfig, file: &Path) -> Vec<Finding> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let key = toml::from_str::<NodeFile>(&text).ok().map(|node| file.with_file_name("").join(node.key));
        let store = config.store.place.file().map(Path::to_owned);
        let files: [Option<PathBuf>; 4] = [key, Some(config.store.key.clone()), store, Some(config.audit.clone())];
        let open: Vec<_> = files.into_iter().flatten().filter_map(|path| Some((mode(&path)?, path))).collect();
        let exposed: Vec<_> = open.iter().filter(|(mode, _)| mode & 0o077 != 0).collect();
        if exposed.is_empty() {
            return vec![
                self.found((Level::Ok, "keys"), "keys, store and audit log are readable by their owner alone"),
            ];
        }
        let tell = |(mode, path): &(u32, PathBuf)| {
            let everybody = mode & 0o007 != 0;
            let level = if everybody { Level::Error } else { Level::Warning };
            let whom = if everybody { "every user" } else { "its group" };
            let found = format!("{} can be used by {whom} (mode {mode:04o})", path.display());
            self.found((level, "keys"), found).remedy(format!("chmod go= {}", path.display()))
        };
        exposed.into_iter().map(tell).collect()
    }

    fn disk(&self, what: &str, path: &Path) -> Option<Finding> {
        // Of what is not there yet, the nearest directory that is.
        let there = path.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
        let disk = statvfs(there.unwrap_or(Path::new("."))).ok()?;
        let free = disk.blocks_available() * disk.fragment_size();
        let level = match free {
            ..NO_ROOM => Level::Error,
            NO_ROOM..LITTLE_ROOM => Level::Warning,
            _ => Level::Ok,
        };
        let finding =
            self.found((level, "disk"), format!("{} MiB free for the {what} ({})", free >> 20, path.display()));
        let remedy = "make room, or move old files of the audit log away, the oldest first (`trefoil audit verify` reads what is left); a node that cannot write takes no jobs";
        Some(if level == Level::Ok { finding } else { finding.remedy(remedy) })
    }

    /// What the system grants a socket at most. Absent where it does not tell.
    fn kernel(&self, asked: u64) -> Option<Finding> {
        let most =
            |name: &str| fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse::<u64>().ok();
        let granted = most("rmem_max")?.min(most("wmem_max")?);
        if granted >= asked {
            return Some(
                self.found((Level::Ok, "sysctl"), format!("sockets may have buffers of {} KiB", granted >> 10)),
            );
        }
        let found = format!(
            "sockets may have buffers of {} KiB; transport.socket_buffer asks for {} KiB",
            granted >> 10,
            asked >> 10
        );
        let remedy = format!(
            "sysctl -w net.core.rmem_max={asked} net.core.wmem_max={asked} (and in /etc/sysctl.d), then restart the node"
        );
        Some(self.found((Level::Warning, "sysctl"), found).remedy(remedy))
    }

    /// Blocks.
    fn admin(&self, address: Option<&Address>, connections: u64) -> Vec<Finding> {
        let Some(address) = address else {
            let found = "there is no admin listener, so nothing can be monitored";
            return vec![
                self.found((Level::Warning, "admin"), found)
                    .remedy("write admin = \"127.0.0.1:7770\" under [listen] in node.toml, and restart the node"),
            ];
        };
        let (status, missing) = match ask(address, "/readyz") {
            Ok(answer) => answer,
            Err(e) => return vec![self.silent(address, &e)],
        };
        let mut all = vec![self.found((Level::Ok, "admin"), format!("http://{address} answers"))];
        if status != 200 {
            let found = format!("the node is not ready: {}", missing.trim().replace('\n', "; "));
            all.push(
                self.found((Level::Warning, "ready"), found)
                    .remedy("docs/operations/monitoring.md says what to do about each"),
            );
        }
        let metrics = ask(address, "/metrics").map(|(_, text)| text).unwrap_or_default();
        let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        if let (Some(open), Some(most)) = (value("process_open_fds "), value("process_max_fds ")) {
            let needed = 2 * connections + OWN_FILES;
            let found = format!("{open} of {most} files are open");
            all.push(if most < needed as f64 {
                let remedy = format!("raise the limit to {needed} at least (LimitNOFILE= of the systemd unit), or lower limits.connections");
                self.found((Level::Warning, "files"), found).remedy(remedy)
            } else {
                self.found((Level::Ok, "files"), found)
            });
        }
        all
    }

    fn silent(&self, address: &Address, error: &io::Error) -> Finding {
        let found = format!("nothing answers at http://{address} ({error})");
        let remedy =
            "start the node; if it runs, it was started with another node.toml, or its log says why it does not listen";
        self.found((Level::Warning, "admin"), found).remedy(remedy)
    }
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster_files::{ClusterPlan, NodeSettings},
        config::Listen,
    };
    use trefoil_engine::Party;

    #[test]
    fn a_key_that_others_can_read_is_named_with_the_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |port| Address::new("127.0.0.1", port).expect("an address");
        let nodes = [1, 2, 3].map(|port| Listen { mesh: at(port), api: at(port), admin: None });
        let nodes = nodes.map(|listen| (listen.clone(), listen));
        let plan = ClusterPlan { dir: dir.path().to_owned(), nodes, days: 1, settings: NodeSettings::default() };
        let file = plan.create().expect("created").node(Party::P0);
        let config = NodeConfig::load(&file).expect("good");
        let here = Here { place: "P0".to_owned() };
        let levels = |here: &Here| here.files(&config, &file).iter().map(|f| f.level).collect::<Vec<_>>();
        assert_eq!(levels(&here), [Level::Ok]);
        for (mode, level) in [(0o640, Level::Warning), (0o604, Level::Error)] {
            fs::set_permissions(&config.store.key, fs::Permissions::from_mode(mode)).expect("changed");
            let found = here.files(&config, &file);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].level == level && found[0].remedy.as_ref().is_some_and(|r| r.starts_with("chmod go= ")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_node_that_does_not_run_and_one_without_a_listener_are_told_apart() {
        let here = Here { place: "P0".to_owned() };
        let none = here.admin(None, 1);
        assert!(none[0].found.contains("no admin listener"), "{none:?}");
        // Nobody listens at the port of a socket that was bound and not listened on.
        let held = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = format!("127.0.0.1:{}", held.local_addr().expect("bound").port()).parse().expect("an address");
        let silent = here.admin(Some(&address), 1);
        assert!(silent[0].found.contains("nothing answers") && silent[0].remedy.is_some(), "{silent:?}");
    }
}
