//! The way to a collector: HTTP without TLS, by the client library that is here anyway.

use crate::Error;
use bytes::{Bytes, BytesMut};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::runtime::{self, Runtime};
use tracing::{info, warn};

/// How long one batch may take to be delivered.
pub(super) const DELIVERY: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read at most.
const MAX_ANSWER: usize = 1 << 16;

/// Speaks to one collector from the thread of the exporter, which has no runtime of its own.
#[derive(Debug)]
pub(super) struct Collector {
    http: reqwest::Client,
    runtime: Runtime,
    url: String,
    /// The last batch was not taken.
    failing: AtomicBool,
}

type Delivery = Result<Response<Bytes>, HttpError>;

impl Collector {
    pub(super) fn new(url: String) -> Result<Self, Error> {
        let bug = |e: &dyn std::error::Error| Error::Bug(format!("an HTTP client for traces: {e}"));
        // The library wants a configuration of TLS, though no collector is reached by it.
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| bug(&e))?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DELIVERY)
            .build()
            .map_err(|e| bug(&e))?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::system("start the thread that sends traces"))?;
        Ok(Self { http, runtime, url, failing: AtomicBool::new(false) })
    }

    async fn send(&self, request: Request<Bytes>) -> Delivery {
        let mut answer = self.http.execute(reqwest::Request::try_from(request)?).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(format!("its answer has more than {MAX_ANSWER} bytes").into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }

    /// One line when it begins to fail, and one when it works again.
    fn tell(&self, delivery: &Delivery) {
        let fault = match delivery {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status())),
            Err(error) => Some(bottom(&**error)),
        };
        match fault {
            Some(fault) if !self.failing.swap(true, Relaxed) => warn!(
                "the collector of traces, {}, does not take them, and they are lost until it does: {fault}; see that it runs, or correct telemetry.otlp in node.toml",
                self.url
            ),
            None if self.failing.swap(false, Relaxed) => {
                info!("the collector of traces, {}, takes them again", self.url);
            }
            _ => {}
        }
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let delivery = self.runtime.block_on(self.send(request));
            self.tell(&delivery);
            delivery
        })
    }
}

/// The cause at the bottom, which is the one people understand.
fn bottom(error: &(dyn std::error::Error + 'static)) -> String {
    if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout) {
        return format!("no answer within {DELIVERY:?}");
    }
    let mut bottom = error;
    while let Some(cause) = bottom.source() {
        bottom = cause;
    }
    bottom.to_string()
}
