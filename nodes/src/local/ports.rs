//! Free ports on the loopback interface.

use crate::{
    Error,
    config::{Address, Listen},
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener, UdpSocket},
};

const HOST: &str = "127.0.0.1";

/// Ports are drawn from here and not by the system: what the system hands out (32768 and up, as a rule) it may
/// hand to any outgoing connection of another program before our node binds it.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// Draws addresses for three nodes whose ports are free now. Another program may still take one before the
/// node does, so the caller must be ready to try again.
///
/// # Errors
/// [`Error::System`] if no free port is found or loopback cannot be used.
pub fn loopback() -> Result<[Listen; 3], Error> {
    // All are held until the last is found, so that none is found twice.
    let mut held = Vec::with_capacity(3);
    for _ in 0..3 {
        held.push((udp()?, tcp()?, tcp()?));
    }
    let address = |port| Address::new(HOST, port).map_err(Error::Bug);
    let mut listen = Vec::with_capacity(3);
    for (mesh, api, admin) in &held {
        let read = || Error::system("read the port of a socket");
        let mesh = address(mesh.local_addr().map_err(read())?.port())?;
        let api = address(api.local_addr().map_err(read())?.port())?;
        let admin = Some(address(admin.local_addr().map_err(read())?.port())?);
        listen.push(Listen { mesh, api, admin });
    }
    listen.try_into().map_err(|_| Error::Bug("three nodes have three addresses".to_owned()))
}

fn udp() -> Result<UdpSocket, Error> {
    free("UDP", |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)))
}

fn tcp() -> Result<TcpListener, Error> {
    free("TCP", |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
}

fn free<S>(kind: &str, bind: impl Fn(u16) -> std::io::Result<S>) -> Result<S, Error> {
    let mut last = None;
    for _ in 0..100 {
        let mut draw = [0; 2];
        getrandom::fill(&mut draw).map_err(|e| Error::system("draw random numbers")(e.into()))?;
        match bind(FIRST + u16::from_le_bytes(draw) % COUNT) {
            Ok(socket) => return Ok(socket),
            Err(e) if e.kind() == ErrorKind::AddrInUse => last = Some(e),
            Err(e) => return Err(Error::system(format!("bind a {kind} port on {HOST}"))(e)),
        }
    }
    let last = last.unwrap_or_else(|| ErrorKind::AddrInUse.into());
    Err(Error::system(format!("find a free {kind} port on {HOST} in 100 tries"))(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_ports_are_distinct_and_can_be_bound() {
        let nodes = loopback().expect("loopback works");
        let mesh: HashSet<_> = nodes.iter().map(|n| n.mesh.to_string()).collect();
        let tcp: HashSet<_> =
            nodes.iter().flat_map(|n| [Some(&n.api), n.admin.as_ref()]).flatten().map(ToString::to_string).collect();
        assert_eq!((mesh.len(), tcp.len()), (3, 6));
        let _sockets = nodes.map(|n| UdpSocket::bind(n.mesh.to_string()).expect("free"));
    }
}
