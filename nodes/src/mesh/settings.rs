//! How QUIC is tuned: every knob with its unit, default and cost.

use super::versions::spoken;
use crate::config::{nonzero, span};
use quinn::{
    EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt,
    congestion::{Controller, ControllerFactory},
};
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// The largest UDP payload over IPv4.
pub(super) const MAX_UDP_PAYLOAD: u16 = 65_507;
/// quinn writes a two-byte length into padded long-header packets: an initial size above this panics.
const MAX_INITIAL_MTU: u16 = 9_000;
/// What every path must carry (RFC 9000, section 14).
const MIN_MTU: u16 = 1_200;

/// Settings of the links between nodes: the `[transport]` table of `node.toml`. Lengths of time are written with their unit,
/// such as `"30s"`.
///
/// ```
/// let settings: trefoil_nodes::mesh::TransportSettings = toml::from_str("mtu = 9000\nstall_deadline = '20s'").unwrap();
/// assert_eq!((settings.mtu, settings.stall_deadline.as_secs()), (Some(9000), 20));
/// assert!(toml::from_str::<trefoil_nodes::mesh::TransportSettings>("mtv = 9000").is_err());
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransportSettings {
    /// Largest UDP payload that is tried, in bytes. Path MTU discovery finds what the path carries up to it. Left out: 65,507 if every
    /// node is on a loopback address, 1,452 (Ethernet) otherwise; set 8,952 on a network of jumbo frames.
    pub mtu: Option<u16>,
    /// Receive window of one stream, in bytes: what a peer may send ahead on one strand. Frames may be larger. `streams` times this bounds
    /// the memory each peer can fill.
    #[serde(deserialize_with = "nonzero")]
    pub stream_window: u32,
    /// Streams each peer may have open at once: one for each strand and one for each session. A strand beyond waits for another to end. Half of them, of sessions that
    /// this node has not joined yet, are kept for it; beyond that the oldest is refused and said again when this node joins.
    #[serde(deserialize_with = "nonzero")]
    pub streams: u32,
    /// Data under way to one peer, in bytes: at least rate times round-trip time. Left out: 1,048,576 if every node is on a loopback
    /// address, which stays in the second-level cache; 8,388,608 otherwise.
    pub send_window: Option<u32>,
    /// A fixed congestion window in bytes, for loopback and dedicated networks. Left out: if every node is on a loopback address
    /// 524,288, or less if the sockets have small buffers; otherwise congestion is controlled (Cubic).
    pub congestion_window: Option<u32>,
    /// Send and receive buffers of the UDP socket, in bytes. The system caps them at `net.core.rmem_max` and `net.core.wmem_max`.
    #[serde(deserialize_with = "nonzero")]
    pub socket_buffer: u32,
    /// Time between packets on an idle connection that keep it alive, and between heartbeats.
    #[serde(with = "span")]
    pub keep_alive: Duration,
    /// Silence after which a peer counts as dead. Several times `keep_alive`.
    #[serde(with = "span")]
    pub idle_deadline: Duration,
    /// How long a strand waits for a message while its peer's connection is alive. At least twice `idle_deadline`, to which a smaller
    /// value is raised: a dead node must be noticed before those that wait for it are suspected.
    #[serde(with = "span")]
    pub stall_deadline: Duration,
    /// How long a session waits for all three nodes to join.
    #[serde(with = "span")]
    pub join_deadline: Duration,
    /// How long sessions may stay on a connection that was made anew because certificates were renewed.
    #[serde(with = "span")]
    pub retire_deadline: Duration,
    /// The highest version of the mesh protocol to speak, to hold a new one back until all nodes are upgraded. Left out: the highest of this release.
    #[serde(deserialize_with = "spoken")]
    pub protocol: Option<u16>,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            mtu: None,
            stream_window: 512 << 10,
            streams: 1_024,
            send_window: None,
            congestion_window: None,
            socket_buffer: 32 << 20,
            keep_alive: Duration::from_secs(1),
            idle_deadline: Duration::from_secs(5),
            stall_deadline: Duration::from_secs(30),
            join_deadline: Duration::from_secs(30),
            retire_deadline: Duration::from_hours(1),
            protocol: None,
        }
    }
}

impl TransportSettings {
    /// The largest UDP payload tried among nodes at these addresses.
    #[must_use]
    pub fn mtu_among(&self, nodes: &[SocketAddr; 3]) -> u16 {
        self.mtu.unwrap_or(if loopback(nodes) { MAX_UDP_PAYLOAD } else { 1_452 }).clamp(MIN_MTU, MAX_UDP_PAYLOAD)
    }

    /// The stall deadline that holds.
    pub(super) fn stall(&self) -> Duration {
        self.stall_deadline.max(2 * self.idle_deadline)
    }

    /// The QUIC configuration among nodes at these addresses, where sockets have buffers of `granted` bytes.
    pub(super) fn quinn(&self, nodes: &[SocketAddr; 3], granted: usize) -> TransportConfig {
        let mtu = self.mtu_among(nodes);
        // Discovery climbs from what every path carries. Loopback carries more, and the climb takes fewer steps.
        let initial = if loopback(nodes) { mtu.min(MAX_INITIAL_MTU) } else { MIN_MTU };
        let send_window = self.send_window.unwrap_or(if loopback(nodes) { 1 << 20 } else { 8 << 20 });
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(mtu);
        let mut t = TransportConfig::default();
        t.stream_receive_window(self.stream_window.into())
            // As much as all streams together: with less, strands whose frames wait unread would keep out the frames they wait for.
            .receive_window(product(self.stream_window, self.streams))
            .send_window(send_window.into())
            .max_concurrent_uni_streams(self.streams.into())
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .initial_mtu(initial)
            .min_mtu(MIN_MTU)
            .mtu_discovery_config(Some(discovery))
            // The socket cuts batches to the largest datagram; see `Datagrams`.
            .enable_segmentation_offload(mtu <= MAX_UDP_PAYLOAD / 2)
            .send_fairness(false)
            .keep_alive_interval(Some(self.keep_alive));
        t.max_idle_timeout(Some(self.idle_deadline.try_into().unwrap_or_else(|_| VarInt::from_u32(5_000).into())));
        let window = self.congestion_window.map(u64::from);
        if let Some(bytes) = window.or_else(|| loopback(nodes).then(|| loopback_window(granted, mtu))) {
            t.congestion_controller_factory(Arc::new(Fixed(bytes)));
        }
        t
    }

    pub(super) fn endpoint(&self, nodes: &[SocketAddr; 3]) -> EndpointConfig {
        let mut config = EndpointConfig::default();
        // Without this the peer's discovery stops at 1,472 bytes.
        if config.max_udp_payload_size(self.mtu_among(nodes)).is_err() {
            tracing::warn!(
                mtu = self.mtu_among(nodes),
                "this datagram size is refused by the QUIC library; using its default"
            );
        }
        config
    }
}

/// Fits the variable-length integers of QUIC in any case: they have 62 bits.
fn product(a: u32, b: u32) -> VarInt {
    VarInt::from_u64(u64::from(a) * u64::from(b)).unwrap_or(VarInt::MAX)
}

/// What fits both into the second-level cache and, from two peers at once, into the socket's buffer: a datagram that finds it
/// full is lost. The system counts up to twice `granted`.
fn loopback_window(granted: usize, mtu: u16) -> u64 {
    let shared = (granted as u64 * 2 / 3).min(512 << 10);
    shared.max(2 * u64::from(mtu))
}

fn loopback(nodes: &[SocketAddr; 3]) -> bool {
    nodes.iter().all(|a| a.ip().is_loopback())
}

/// A congestion window that does not move, for paths that lose nothing. Larger than the path's buffers it would only lose packets.
#[derive(Clone, Debug)]
struct Fixed(u64);

impl Controller for Fixed {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: u64) {}
    fn on_mtu_update(&mut self, _: u16) {}
    fn window(&self) -> u64 {
        self.0
    }
    fn initial_window(&self) -> u64 {
        self.0
    }
    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl ControllerFactory for Fixed {
    fn build(self: Arc<Self>, _: Instant, _: u16) -> Box<dyn Controller> {
        Box::new((*self).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_window_fits_the_socket_of_an_unprivileged_process() {
        // Linux grants 212,992 bytes by default and counts to twice that; both peers may fill their windows.
        let window = loopback_window(212_992, MAX_UDP_PAYLOAD);
        assert!(2 * window < 2 * 212_992 && window >= 2 * u64::from(MAX_UDP_PAYLOAD), "{window}");
        assert_eq!(loopback_window(32 << 20, MAX_UDP_PAYLOAD), 512 << 10);
    }

    #[test]
    fn the_datagram_size_follows_the_addresses_and_its_bounds() {
        let local = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:3"].map(|a| a.parse().unwrap());
        let mixed = ["127.0.0.1:1", "10.0.0.1:2", "127.0.0.2:3"].map(|a| a.parse().unwrap());
        let mut s = TransportSettings::default();
        assert_eq!((s.mtu_among(&local), s.mtu_among(&mixed)), (65_507, 1_452));
        for (asked, used) in [(0, 1_200), (9_000, 9_000), (65_535, 65_507)] {
            s.mtu = Some(asked);
            assert_eq!(s.mtu_among(&local), used);
            let _ = s.quinn(&local, 4 << 20);
        }
    }
}
