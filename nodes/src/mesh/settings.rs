//! How QUIC is tuned: every knob with its unit, default and cost.

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
    /// Receive window of one stream, in bytes: what a peer may send ahead on one strand. At least the largest frame.
    #[serde(deserialize_with = "nonzero")]
    pub stream_window: u32,
    /// Receive window of one connection, in bytes: bounds the memory a peer can fill. At least the strands in flight times the largest frame.
    #[serde(deserialize_with = "nonzero")]
    pub connection_window: u32,
    /// Data under way to one peer, in bytes. Small enough to stay in the second-level cache.
    #[serde(deserialize_with = "nonzero")]
    pub send_window: u32,
    /// A fixed congestion window in bytes, for loopback and dedicated networks. Left out: 524,288 if every node is on a loopback
    /// address, otherwise congestion is controlled (Cubic).
    pub congestion_window: Option<u32>,
    /// Send and receive buffers of the UDP socket, in bytes. The system caps them at `net.core.rmem_max` and `net.core.wmem_max`.
    #[serde(deserialize_with = "nonzero")]
    pub socket_buffer: u32,
    /// Time between packets on an idle connection that keep it alive.
    #[serde(with = "span")]
    pub keep_alive: Duration,
    /// Silence after which a peer counts as dead. Several times `keep_alive`.
    #[serde(with = "span")]
    pub idle_deadline: Duration,
    /// How long a strand waits for a message while its peer's connection is alive.
    #[serde(with = "span")]
    pub stall_deadline: Duration,
    /// How long a session waits for all three nodes to join.
    #[serde(with = "span")]
    pub join_deadline: Duration,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            mtu: None,
            stream_window: 8 << 20,
            connection_window: 256 << 20,
            send_window: 1 << 20,
            congestion_window: None,
            socket_buffer: 32 << 20,
            keep_alive: Duration::from_secs(1),
            idle_deadline: Duration::from_secs(5),
            stall_deadline: Duration::from_secs(30),
            join_deadline: Duration::from_secs(30),
        }
    }
}

impl TransportSettings {
    /// The largest UDP payload tried among nodes at these addresses.
    #[must_use]
    pub fn mtu_among(&self, nodes: &[SocketAddr; 3]) -> u16 {
        self.mtu.unwrap_or(if loopback(nodes) { MAX_UDP_PAYLOAD } else { 1_452 }).clamp(1_200, MAX_UDP_PAYLOAD)
    }

    /// `granted` is what the socket's buffers hold, in bytes.
    pub(super) fn quinn(&self, nodes: &[SocketAddr; 3], granted: usize) -> TransportConfig {
        let mtu = self.mtu_among(nodes);
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(mtu);
        let mut t = TransportConfig::default();
        t.stream_receive_window(self.stream_window.into())
            .receive_window(self.connection_window.into())
            .send_window(self.send_window.into())
            .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .initial_mtu(mtu.min(MAX_INITIAL_MTU))
            .min_mtu(1_200)
            .mtu_discovery_config(Some(discovery))
            .send_fairness(false)
            .keep_alive_interval(Some(self.keep_alive));
        t.max_idle_timeout(Some(self.idle_deadline.try_into().unwrap_or_else(|_| VarInt::from_u32(5_000).into())));
        // A fixed window must fit the receiver's buffer several times, or it only loses packets.
        let roomy = granted >= 4 * LOOPBACK_WINDOW as usize;
        let window = self.congestion_window.or_else(|| (loopback(nodes) && roomy).then_some(LOOPBACK_WINDOW));
        if let Some(bytes) = window {
            t.congestion_controller_factory(Arc::new(Fixed(bytes.into())));
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

/// Streams a peer may have open towards us: strands, and one control stream for each session.
const MAX_STREAMS: u32 = 4_096;

/// The data under way on loopback: enough to keep both ends busy, little enough to stay in the second-level cache.
const LOOPBACK_WINDOW: u32 = 512 << 10;

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
