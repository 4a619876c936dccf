//! The UDP socket and its buffers.

use super::TransportSettings;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// The buffers of the UDP socket, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SocketBuffers {
    /// What the settings ask for, for each direction.
    pub requested: usize,
    /// What the system granted, the lesser of both directions.
    pub granted: usize,
}

impl SocketBuffers {
    /// What the operator can do if less was granted than asked for.
    #[must_use]
    pub fn remedy(self) -> Option<String> {
        (self.granted < self.requested).then(|| {
            let bytes = self.requested;
            format!("run `sysctl -w net.core.rmem_max={bytes} net.core.wmem_max={bytes}` as root, or set `socket_buffer` lower in node.toml")
        })
    }
}

pub(super) fn bind(address: SocketAddr, settings: &TransportSettings) -> io::Result<(UdpSocket, SocketBuffers)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let requested = settings.socket_buffer as usize;
    // With the privilege to do so the caps of the system are passed over; otherwise it grants what it allows.
    #[cfg(target_os = "linux")]
    {
        if setsockopt(&socket, sockopt::RcvBufForce, &requested).is_err() {
            socket.set_recv_buffer_size(requested)?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &requested).is_err() {
            socket.set_send_buffer_size(requested)?;
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        socket.set_recv_buffer_size(requested)?;
        socket.set_send_buffer_size(requested)?;
    }
    // Linux reports twice what it grants, to count its own bookkeeping.
    let doubled = if cfg!(target_os = "linux") { 2 } else { 1 };
    let granted = socket.recv_buffer_size()?.min(socket.send_buffer_size()?) / doubled;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    let buffers = SocketBuffers { requested, granted };
    if let Some(remedy) = buffers.remedy() {
        tracing::warn!(
            requested,
            granted,
            remedy,
            "the UDP socket has smaller buffers than asked for; bulk traffic will be slower"
        );
    }
    Ok((socket.into(), buffers))
}
