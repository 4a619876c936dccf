//! What a collector on loopback receives.

use super::*;
use crate::listening::listening;
use axum::{body::Body, http::Request, routing};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode},
};
use prost::Message as _;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
    time::Duration,
};
use tracing_subscriber::layer::SubscriberExt as _;
use trefoil_engine::Party;

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const PARENT: &str = "b7ad6b7169203331";

/// The spans that arrive.
pub(crate) struct Arriving(mpsc::Receiver<Vec<Span>>);

/// A collector that answers each batch.
pub(crate) fn collector() -> (Telemetry, Arriving) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let telemetry = at(&listener);
    let (sender, spans) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let (mut length, mut line) = (0, String::new());
            while stream.read_line(&mut line).expect("a line") > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            let batch = ExportTraceServiceRequest::decode(&body[..]).expect("a batch");
            let scopes = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            let ended = sender.send(scopes.flat_map(|scope| scope.spans).collect()).is_err();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).expect("answered");
            if ended {
                return;
            }
        }
    });
    (telemetry, Arriving(spans))
}

fn at(listener: &TcpListener) -> Telemetry {
    let otlp = format!("http://{}/", listener.local_addr().expect("bound"));
    Telemetry { otlp, service_name: "trefoil".to_owned(), ratio: 1.0 }
}

impl Arriving {
    /// The first so many.
    pub(crate) fn first(&self, n: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < n {
            spans.extend(self.0.recv_timeout(Duration::from_mins(1)).expect("spans"));
        }
        assert_eq!(spans.len(), n, "{spans:?}");
        spans
    }
}

/// An attribute as text.
pub(crate) fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key).and_then(|a| a.value.clone());
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

#[tokio::test]
async fn requests_go_by_their_routes_and_belong_to_what_clients_say() {
    let (telemetry, arriving) = collector();
    let traces = Traces::start(&telemetry, Party::P1).expect("started");
    let heard = listening(tracing_subscriber::registry().with(traces.layer()));
    let router = Router::new().route("/v1/tables/{name}", routing::put(async || axum::http::StatusCode::BAD_GATEWAY));
    let service = TowerToHyperService::new(requests(router));
    let ours = format!("00-{TRACE}-{PARENT}-01");
    for traceparent in [ours.as_str(), "00-secret-secret-01", ""] {
        let request = Request::put("/v1/tables/salaries").header("traceparent", traceparent);
        let request = request.header("tracestate", "secret=1").header("baggage", "secret=1").body(Body::empty());
        service.call(request.expect("a request")).await.expect("infallible");
    }
    tracing::info!("a line of the log, of secret things");
    drop(heard);
    traces.stop();
    let spans = arriving.first(3);
    for span in &spans {
        assert_eq!(span.name, "PUT /v1/tables/{name}");
        assert_eq!(attribute(span, "http.response.status_code"), "502");
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(StatusCode::Error as i32));
        let text = format!("{span:?}");
        assert!(!text.contains("salaries") && !text.contains("secret"), "{text}");
    }
    let children: Vec<_> = spans.iter().filter(|span| hex::encode(&span.trace_id) == TRACE).collect();
    assert!(children.len() == 1 && hex::encode(&children[0].parent_span_id) == PARENT, "{spans:?}");
    assert_eq!(spans.iter().filter(|span| span.parent_span_id.is_empty()).count(), 2, "{spans:?}");
}

/// Forty seconds of waiting for answers are there to be had: as many batches as the queue has, and each has its time.
#[test]
fn a_collector_that_never_answers_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let traces = Traces::start(&at(&listener), Party::P1).expect("started");
    let heard = listening(tracing_subscriber::registry().with(traces.layer()));
    (0..3 * otlp::WAITING).for_each(|_| drop(step("join")));
    drop(heard);
    let (sender, stopped) = mpsc::channel();
    thread::spawn(move || {
        traces.stop();
        sender.send(()).expect("heard");
    });
    stopped.recv_timeout(Duration::from_secs(20)).expect("the node ends");
}
