//! Three network namespaces that stand for three machines, with the delay and rate of a profile between them.
//!
//! Needs root and the `ip` and `tc` programs of iproute2. Everything made here carries this process's id in its name and is removed
//! when the value is dropped.

use crate::{Error, config::network_profiles};
use nix::unistd::Uid;
use std::{io, process::Command};
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
            if Command::new(tool).arg("-V").output().is_err() {
                return Err(Unavailable::Skipped(format!("`{tool}` is missing; install iproute2")));
            }
        }
        let id = std::process::id();
        let made = Self {
            profile: profile.to_owned(),
            parties: [0, 1, 2].map(|k| (format!("trefoil-{id}-{k}"), format!("10.97.31.{}", k + 1))),
            bridge: format!("tfb{id}"),
        };
        // From here on, dropping it removes what is there.
        match made.connect(network) {
            Ok(()) => Ok(made),
            Err(e) if e.to_string().contains("qdisc kind is unknown") => {
                Err(Unavailable::Skipped("this kernel has no netem (the module sch_netem)".into()))
            }
            Err(e) => Err(Unavailable::Failed(e)),
        }
    }

    fn connect(&self, network: &Network) -> Result<(), Error> {
        let bridge = self.bridge.as_str();
        step("ip", &["link", "add", bridge, "type", "bridge"])?;
        step("ip", &["link", "set", bridge, "up"])?;
        let delay = format!("{}us", network.rtt.0.as_micros() / 2);
        let rate = format!("{:.0}bit", network.bandwidth.0);
        for (k, (name, address)) in self.parties.iter().enumerate() {
            let (outer, address) = (format!("{bridge}p{k}"), format!("{address}/24"));
            step("ip", &["netns", "add", name])?;
            step("ip", &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", name])?;
            step("ip", &["link", "set", &outer, "master", bridge, "up"])?;
            step("ip", &["-n", name, "addr", "add", &address, "dev", "eth0"])?;
            step("ip", &["-n", name, "link", "set", "lo", "up"])?;
            step("ip", &["-n", name, "link", "set", "eth0", "up"])?;
            let shape =
                ["qdisc", "add", "dev", "eth0", "root", "netem", "delay", &delay, "rate", &rate, "limit", QUEUE];
            step("tc", &[&["-n", name.as_str()], &shape[..]].concat())?;
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // The veth pairs go with their namespaces. Nothing useful can be done about a failure here.
        for (name, _) in &self.parties {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
        let _ = Command::new("ip").args(["link", "del", &self.bridge]).output();
    }
}

fn step(program: &str, arguments: &[&str]) -> Result<(), Error> {
    let what = || format!("run `{program} {}`", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(Error::system(what()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::system(what())(io::Error::other(said)))
}
