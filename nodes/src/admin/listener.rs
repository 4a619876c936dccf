//! Connections to the admin listener.

use crate::{Error, config::Address};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tracing::{debug, warn};

/// Connections at the same time. Others wait.
const CONNECTIONS: usize = 16;

/// The time for the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may stay.
const STAY: Duration = Duration::from_mins(5);

/// A socket on a loopback address.
#[derive(Debug)]
pub struct Admin(TcpListener);

impl Admin {
    /// Opens the socket.
    ///
    /// # Errors
    /// [`Error::Usage`] if the address is not one of loopback, [`Error::System`] if it cannot be had.
    pub async fn bind(address: &Address) -> Result<Self, Error> {
        let action =
            || format!("listen for the operator on {address} (free the port or change listen.admin in node.toml)");
        let listener = TcpListener::bind((address.host(), address.port())).await.map_err(Error::system(action()))?;
        let this = Self(listener);
        // A name may stand for any address.
        if this.address()?.ip().is_loopback() { Ok(this) } else { Err(Error::Usage(not_loopback(address))) }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::System`] if the system does not tell.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.0.local_addr().map_err(Error::system("read the address of the admin socket"))
    }

    /// Serves for ever. Dropped, it ends all connections.
    pub async fn serve(self, router: Router) {
        let (places, mut open) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.accept().await {
                Ok(stream) => {
                    let router = router.clone();
                    open.spawn(async move {
                        converse(stream, router).await;
                        drop(place);
                    });
                }
                Err(e) => {
                    warn!("cannot accept on listen.admin: {e}; raise the limit of open files if this stays");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            while open.try_join_next().is_some() {}
        }
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}

/// What is said of an address that is none of loopback.
pub(crate) fn not_loopback(address: &Address) -> String {
    format!(
        "listen.admin: {address} is not a loopback address, and this listener has no TLS; write 127.0.0.1:PORT or [::1]:PORT, and let the monitoring agent of the machine pass on what it reads there"
    )
}

async fn converse(stream: TcpStream, router: Router) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(16 << 10);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(e)) = tokio::time::timeout(STAY, connection).await {
        debug!("a connection to listen.admin ended: {e}");
    }
}
