//! `deploy/networks.toml`: the network profiles of the benchmarks.

use serde::Deserialize;
use std::collections::BTreeMap;
use trefoil_circuits::plan::{Bandwidth, Network, QuantityError, Rtt};

/// The profiles that are part of the program.
const BUILT_IN: &str = include_str!("../../../deploy/networks.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    rtt: String,
    bandwidth: String,
}

/// The profiles that are part of the program, by name.
///
/// # Errors
/// The fault in `deploy/networks.toml`, which a test excludes.
pub fn network_profiles() -> Result<BTreeMap<String, Network>, String> {
    let profiles: BTreeMap<String, Profile> = toml::from_str(BUILT_IN).map_err(|e| e.to_string())?;
    let resolve = |(name, profile): (String, Profile)| {
        let fault = |e: QuantityError| format!("{name}: {e}");
        let rtt: Rtt = profile.rtt.parse().map_err(fault)?;
        let bandwidth: Bandwidth = profile.bandwidth.parse().map_err(fault)?;
        Ok((name, Network { rtt, bandwidth }))
    };
    profiles.into_iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_three_profiles_are_there() {
        let profiles = network_profiles().expect("a good file");
        let shown: Vec<_> = profiles.iter().map(|(name, n)| (name.as_str(), n.rtt.0, n.bandwidth.0)).collect();
        let ms = Duration::from_millis;
        let expected = [("lan", Duration::from_micros(200), 10e9), ("metro", ms(5), 1e9), ("wan", ms(40), 100e6)];
        assert_eq!(shown, expected);
    }
}
