//! Three network namespaces that stand for three machines, with the delay and rate of a profile between them.
//!
//! Needs root and the `ip` and `tc` programs of iproute2. Everything made here carries this process's id in its name and is removed
//! when the value is dropped.

use crate::{Error, config::network_profiles};
use nix::unistd::Uid;
use std::{io, os::unix::process::CommandExt, process::Command};
use trefoil_circuits::plan::Network;

/// Packets that may be under way in one direction: more than the fastest profile has in its delay.
const QUEUE: &str = "100000";

/// Network namespaces, a bridge between them, and a shaped link from each to the bridge.
#[derive(Debug)]
pub struct Namespaces {
    /// The profile's name, for the rows.
    pub profile: String,
    /// Name and address of each party's namespace.
    pub parties: [(String, String); 3],
    bridge: String,
}

/// Why there are no namespaces.
#[derive(Debug)]
pub enum Unavailable {
    /// This machine or this user cannot have them: the measurement is left out, with the reason.
    Skipped(String),
    /// Something that should have worked did not.
    Failed(Error),
}

impl From<Error> for Unavailable {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Namespaces {
    /// Makes them, for a profile of `deploy/networks.toml`.
    ///
    /// # Errors
    /// [`Unavailable::Skipped`] without root or iproute2, [`Unavailable::Failed`] for an unknown profile or a refused step.
    pub fn create(profile: &str) -> Result<Self, Unavailable> {
        let profiles = network_profiles().map_err(|e| Unavailable::Failed(Error::Bug(e)))?;
        let Some(network) = profiles.get(profile) else {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let text = format!("--network: there is no profile `{profile}`; choose one of {}", known.join(", "));
            return Err(Unavailable::Failed(Error::Usage(text)));
        };
        if !Uid::effective().is_root() {
            return Err(Unavailable::Skipped("network namespaces need root".into()));
        }
        for tool in ["ip", "tc"] {
            if command(tool).arg("-V").output().is_err() {
                return Err(Unavailable::Skipped(format!("`{tool}` is missing; install iproute2")));
            }
        }
        let made = Self::named(profile);
        // From here on, dropping it removes what is there.
        match made.connect().and_then(|()| made.shape(network)) {
            Ok(()) => Ok(made),
            Err(e) if e.to_string().contains("qdisc kind is unknown") => {
                Err(Unavailable::Skipped("this kernel has no netem (the module sch_netem)".into()))
            }
            Err(e) => Err(Unavailable::Failed(e)),
        }
    }

    fn named(profile: &str) -> Self {
        let id = std::process::id();
        Self {
            profile: profile.to_owned(),
            parties: [0, 1, 2].map(|k| (format!("trefoil-{id}-{k}"), format!("10.97.31.{}", k + 1))),
            bridge: format!("tfb{id}"),
        }
    }

    /// The link of party `k` on the host's side.
    fn outer(&self, k: usize) -> String {
        format!("{}p{k}", self.bridge)
    }

    fn connect(&self) -> Result<(), Error> {
        let bridge = self.bridge.as_str();
        step("ip", &["link", "add", bridge, "type", "bridge"])?;
        step("ip", &["link", "set", bridge, "up"])?;
        for (k, (name, address)) in self.parties.iter().enumerate() {
            let (outer, address) = (self.outer(k), format!("{address}/24"));
            step("ip", &["netns", "add", name])?;
            step("ip", &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", name])?;
            step("ip", &["link", "set", &outer, "master", bridge, "up"])?;
            step("ip", &["-n", name, "addr", "add", &address, "dev", "eth0"])?;
            step("ip", &["-n", name, "link", "set", "lo", "up"])?;
            step("ip", &["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn shape(&self, network: &Network) -> Result<(), Error> {
        let delay = format!("{}us", network.rtt.0.as_micros() / 2);
        let rate = format!("{:.0}bit", network.bandwidth.0);
        for (name, _) in &self.parties {
            let shape =
                ["qdisc", "add", "dev", "eth0", "root", "netem", "delay", &delay, "rate", &rate, "limit", QUEUE];
            step("tc", &[&["-n", name.as_str()], &shape[..]].concat())?;
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Nothing useful can be done about a failure here. The links are not left to go with their namespaces, which live as
        // long as a process in them.
        for (k, (name, _)) in self.parties.iter().enumerate() {
            let _ = command("ip").args(["link", "del", &self.outer(k)]).output();
            let _ = command("ip").args(["netns", "del", name]).output();
        }
        let _ = command("ip").args(["link", "del", &self.bridge]).output();
    }
}

/// Outside the foreground group of a terminal, so that Ctrl-C there ends no step halfway.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

fn step(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let what = || format!("run `{program} {}`", arguments.join(" "));
    let output = command(program).args(arguments).output().map_err(Error::system(what()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::system(what())(io::Error::other(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(arguments: &[&str]) -> String {
        let output = Command::new("ip").args(arguments).output().expect("iproute2");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn what_was_made_goes_when_it_is_dropped() {
        if !Uid::effective().is_root() || Command::new("ip").arg("-V").output().is_err() {
            eprintln!("skipped: network namespaces need root and iproute2");
            return;
        }
        let made = Namespaces::named("lan");
        if let Err(e) = made.connect() {
            // A container's root may lack the capability. What was made before the refusal still has to go.
            eprintln!("no connection between namespaces here: {e}");
        } else {
            for (name, address) in &made.parties {
                assert!(listed(&["-n", name, "addr", "show", "dev", "eth0"]).contains(address), "{name}");
            }
        }
        let (names, bridge) = (made.parties.clone().map(|(name, _)| name), made.bridge.clone());
        drop(made);
        let left = listed(&["netns", "list"]) + &listed(&["link", "show"]);
        assert!(names.iter().chain([&bridge]).all(|name| !left.contains(name.as_str())), "{left}");
    }

    #[test]
    fn an_unknown_profile_is_an_error_of_the_caller() {
        let made = Namespaces::create("moon");
        let Err(Unavailable::Failed(error @ Error::Usage(_))) = made else { panic!("{made:?}") };
        assert!(error.to_string().contains("choose one of lan, metro, wan"), "{error}");
    }
}
