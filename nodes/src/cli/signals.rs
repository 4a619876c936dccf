//! Being asked to stop, or to read files again.

use crate::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT (Ctrl-C) and SIGTERM, each a request to stop in order.
///
/// SIGHUP is none, so that a program started with `nohup` survives its terminal; a node takes it for [`Reload`].
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Starts to listen. From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses.
    pub fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::system("listen for signals"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next of them and gives its name. Cancel safe.
    pub async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// SIGHUP, a request to read again what may change while a node runs.
#[derive(Debug)]
pub struct Reload(Signal);

impl Reload {
    /// Starts to listen. From here on the signal no longer ends the process.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses.
    pub fn listen() -> Result<Self, Error> {
        signal(SignalKind::hangup()).map(Self).map_err(Error::system("listen for signals"))
    }

    /// Waits for the next. Cancel safe.
    pub async fn received(&mut self) {
        self.0.recv().await;
    }
}
