//! Asking the admin listener of a node of this machine.

use crate::config::Address;
use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

/// The time for each step.
const WITHIN: Duration = Duration::from_secs(5);

/// Bytes of an answer at most.
const MOST: u64 = 8 << 20;

/// The status and the body of the answer to a `GET`. Blocks.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidData`] if what answers speaks no HTTP.
pub fn ask(address: &Address, path: &str) -> io::Result<(u16, String)> {
    let found = (address.host(), address.port()).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&found, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {found}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "what answers there speaks no HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}
