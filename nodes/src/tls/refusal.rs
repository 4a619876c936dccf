//! Learning why the other end closes a connection.

use super::explain;
use crate::config::Address;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, sync::Arc};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;

/// Makes a TLS connection for the sole purpose of being refused, and explains the refusal.
///
/// In TLS 1.3 a server looks at the client's certificate when the handshake is over for the client. An HTTP library that is
/// sending its request by then reports a closed connection and drops the alert that says why.
///
/// `None` if the other end does not refuse with a TLS alert. It may take for ever to say anything: set a deadline. Cancel
/// safe.
pub async fn refusal(address: &Address, config: ClientConfig) -> Option<String> {
    let refused: io::Result<usize> = async {
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        // Names are not compared, see the module; only that there is one.
        let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.read(&mut [0; 1]).await
    }
    .await;
    explain(&refused.err()?)
}
