//! The UDP socket and its buffers.

use super::{TransportSettings, settings::MAX_UDP_PAYLOAD};
use nix::sys::socket::{setsockopt, sockopt};
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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

/// A socket that knows how many datagrams of this size fit one system call.
///
/// The library sends up to ten segments at once and would lose the whole batch, without a word, where segments times
/// size exceed the largest datagram. It also sets aside room for 64 segments of the largest size in each receive buffer, though
/// what the system joins is at most 64 KiB.
#[derive(Debug)]
pub(super) struct Datagrams {
    inner: Arc<dyn AsyncUdpSocket>,
    mtu: usize,
}

impl Datagrams {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, mtu: u16) -> Arc<Self> {
        Arc::new(Self { inner, mtu: mtu.max(1).into() })
    }
}

impl AsyncUdpSocket for Datagrams {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, buffers, meta)
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments().min((usize::from(MAX_UDP_PAYLOAD) / self.mtu).max(1))
    }
    fn max_receive_segments(&self) -> usize {
        // Rounded up: the peer's segments may be smaller than ours, and more of them are joined.
        self.inner.max_receive_segments().min(65_536_usize.div_ceil(self.mtu))
    }
    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
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
