use super::*;
use crate::{
    Error,
    config::{Address, ClusterDigest},
    listening::listening,
    status::{CertificateStatus, SocketBuffers},
};
use std::sync::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing_subscriber::reload;

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

struct Served {
    address: std::net::SocketAddr,
    unready: Arc<Mutex<Vec<String>>>,
    filter: LogFilter,
    // What the filter's handle points to.
    _layer: reload::Layer<tracing_subscriber::filter::Targets, tracing_subscriber::Registry>,
}

impl Served {
    async fn start() -> Self {
        let (layer, handle) = reload::Layer::new(LogFilter::parse("info").expect("a filter"));
        let (filter, unready) = (LogFilter::new("info", handle), Arc::new(Mutex::new(Vec::new())));
        let missing = unready.clone();
        let status = move || NodeStatus {
            version: "0".to_owned(),
            protocol: "p".to_owned(),
            protocols: None,
            definition_digest: None,
            accepts: None,
            party: 0,
            cluster_digest: ClusterDigest::try_from("00".repeat(32)).expect("a digest"),
            time_unix_ms: 0,
            peers: Vec::new(),
            socket_buffers: SocketBuffers { requested: 0, granted: 0 },
            certificate: CertificateStatus { not_after: 0, sha256: None },
            draining: false,
            unready: missing.lock().expect("no panic").clone(),
            compared: None,
        };
        let api = AdminApi { metrics: Arc::default(), status: Arc::new(status), filter: Some(filter.clone()) };
        let admin = Admin::bind(&address("127.0.0.1:0")).await.expect("a port");
        let address = admin.address().expect("bound");
        tokio::spawn(admin.serve(api.router()));
        Self { address, unready, filter, _layer: layer }
    }

    async fn ask(&self, method: &str, path: &str, (header, body): (&str, &str)) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, ("", "")).await
    }
}

#[tokio::test]
async fn a_node_says_what_it_lacks() {
    let node = Served::start().await;
    assert!(node.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(node.get("/readyz").await.starts_with("HTTP/1.1 200"));
    *node.unready.lock().expect("no panic") = vec!["no link to P1".to_owned(), "the disk is full".to_owned()];
    let answer = node.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("no link to P1\nthe disk is full\n"), "{answer}");
    assert!(node.get("/v1/jobs/00").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn metrics_have_the_type_that_they_are_in() {
    let node = Served::start().await;
    let answer = node.get("/metrics").await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(
        answer.contains("\ntrefoil_store_failures_total{access=\"write\"} 0\n") && answer.ends_with("# EOF\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_filter_of_the_log_changes_and_a_wrong_one_is_refused_with_the_reason() {
    let node = Served::start().await;
    let answer = node.ask("PUT", "/log-filter", ("", "warn,trefoil_nodes::mesh=debug")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(node.get("/log-filter").await.ends_with("\r\n\r\nwarn,trefoil_nodes::mesh=debug\n"));
    let long = "a=info,".repeat(1000);
    for (header, body, status, why) in [
        ("", "trefoil=loud", "400", "is not a log filter"),
        ("", "trefoil=", "400", "`trefoil=` is neither"),
        ("", "info,,trefoil=debug", "400", "`` is neither"),
        ("", "trefoil[{id}]=debug", "400", "is neither"),
        // A pattern, and what it is compiled to may be larger than all memory.
        ("", "trefoil[{id=\"(........................................a|b)\"}]=debug", "400", "is not a log filter"),
        ("", " ", "400", "it is empty"),
        ("", long.as_str(), "413", ""),
        ("Origin: https://example.org\r\n", "off", "403", "use curl"),
    ] {
        let answer = node.ask("PUT", "/log-filter", (header, body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(why), "{answer}");
    }
    assert_eq!(node.filter.text(), "warn,trefoil_nodes::mesh=debug");
}

#[tokio::test]
async fn a_page_by_another_name_reads_nothing() {
    let node = Served::start().await;
    for (host, status) in [
        ("localhost", "200"),
        ("LOCALHOST:9100", "200"),
        ("127.0.0.1:9100", "200"),
        ("127.9.9.9", "200"),
        ("[::1]:9100", "200"),
        ("evil.example", "403"),
        ("evil.example:9100", "403"),
        ("127.0.0.1.evil.example", "403"),
        ("localhost.evil.example", "403"),
        ("10.0.0.1", "403"),
        ("127.0.0.1@evil.example", "403"),
        ("", "403"),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(node.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
}

/// Where a log goes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn whoever_silences_a_node_is_told_of_before() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let (layer, handle) = reload::Layer::new(LogFilter::parse("info").expect("a filter"));
    let (filter, written) = (LogFilter::new("info", handle), Written::default());
    let to = written.clone();
    let log = tracing_subscriber::registry()
        .with(layer)
        .with(tracing_subscriber::fmt::layer().with_writer(move || to.clone()).with_ansi(false));
    let _heard = listening(log);
    filter.set("off").expect("a filter");
    let log = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
    assert!(log.contains("is to be `off`"), "{log}");
}

#[tokio::test]
async fn it_listens_on_loopback_alone() {
    let error = Admin::bind(&address("0.0.0.0:0")).await.expect_err("every interface");
    assert!(
        matches!(&error, Error::Usage(text) if text.contains("0.0.0.0:0") && text.contains("127.0.0.1:PORT")),
        "{error}"
    );
}
