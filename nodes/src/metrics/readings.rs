//! What is so at a moment: looked up when it is asked for.

use crate::{
    audit::AuditLog,
    job::Jobs,
    mesh::{FailedBy, Mesh, Step},
    status::NodeStatus,
    store::Location,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::{fmt, fs, sync::Arc};
use trefoil_engine::Party;

/// Where it is looked up.
pub struct Readings {
    /// Links and sessions.
    pub mesh: Arc<Mesh>,
    /// Jobs, what they hold, and their limits.
    pub jobs: Arc<Jobs>,
    /// The audit log.
    pub audit: Arc<AuditLog>,
    /// The file of the store, if it is one.
    pub store: Location,
    /// What the node says of itself.
    pub status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
}

/// Metrics without a handle.
pub(super) struct Table<'a, 'b>(&'a mut DescriptorEncoder<'b>);

/// A value for each of the two peers.
type Of<'a> = &'a dyn Fn(usize) -> u64;

/// Labels and a value.
type Row<'a, T> = (&'a [(&'static str, &'static str)], T);

impl<'a, 'b> Table<'a, 'b> {
    pub(super) fn new(encoder: &'a mut DescriptorEncoder<'b>) -> Self {
        Self(encoder)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn gauges<'r>(&mut self, (name, help): (&str, &str), rows: impl IntoIterator<Item = Row<'r, f64>>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(labelled(&mut family, &labels)?))
    }

    fn counters<'r>(
        &mut self,
        (name, help): (&str, &str),
        rows: impl IntoIterator<Item = Row<'r, u64>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        rows.into_iter()
            .try_for_each(|(labels, value)| ConstCounter::new(value).encode(labelled(&mut family, &labels)?))
    }
}

fn labelled<'s>(
    family: &'s mut MetricEncoder<'_>,
    labels: &'s impl EncodeLabelSet,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    family.encode_family(labels)
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut table = Table::new(&mut encoder);
        self.node(&mut table)?;
        self.jobs(&mut table)?;
        self.links(&mut table)?;
        self.sessions(&mut table)?;
        self.records(&mut table)
    }
}

impl Readings {
    fn node(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        let status = (self.status)();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("protocol", protocol())];
        table.gauges(
            ("build_info", "The version of the program and of the protocol between nodes"),
            [(&build[..], 1.0)],
        )?;
        let help = "When the node's certificate expires, since 1970-01-01 UTC";
        table.gauge("certificate_expiry_timestamp_seconds", help, status.certificate.not_after as f64)?;
        let compared = status.compared.unwrap_or_default();
        let help =
            "When the nodes last compared their stores and all shares did fit, since 1970-01-01 UTC; 0 for never";
        table.gauge("compared_timestamp_seconds", help, compared.good_unix_ms as f64 / 1e3)?;
        let help = "What did not fit when the nodes last compared their stores";
        table.gauge("comparison_findings", help, compared.findings as f64)?;
        let ready = f64::from(u8::from(status.unready.is_empty()));
        table.gauge("ready", "1 if the node is ready: what /readyz says", ready)?;
        table.gauge(
            "draining",
            "1 while the node is to stop and lets its jobs end",
            f64::from(u8::from(status.draining)),
        )
    }

    fn jobs(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        let ((live, held), limits) = (self.jobs.load(), self.jobs.limits());
        table.gauge("live_jobs", "Jobs that have not ended", live.into())?;
        table.gauge("live_jobs_limit", "limits.waiting_jobs", limits.waiting_jobs.into())?;
        table.gauge("held_bytes", "Bytes of inputs and outputs held for all jobs", held as f64)?;
        table.gauge("held_limit_bytes", "limits.held_bytes", limits.held_bytes as f64)
    }

    fn links(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        let (status, totals) = (self.mesh.status(), self.mesh.totals());
        let labels = totals.each_ref().map(|t| [("peer", name(t.peer))]);
        let counters = |value: &dyn Fn(usize) -> u64| [(&labels[0][..], value(0)), (&labels[1][..], value(1))];
        let rows: [(&str, &str, Of<'_>); 10] = [
            ("mesh_frames_sent", "Frames of strands sent to a peer", &|k| totals[k].frames[0]),
            ("mesh_frames_received", "Frames of strands received from a peer", &|k| totals[k].frames[1]),
            ("mesh_frames_sent_bytes", "Bytes of these frames", &|k| totals[k].frame_bytes[0]),
            ("mesh_frames_received_bytes", "Bytes of these frames", &|k| totals[k].frame_bytes[1]),
            ("mesh_udp_sent_bytes", "Bytes of UDP payload sent to a peer", &|k| totals[k].link.udp_bytes[0]),
            ("mesh_udp_received_bytes", "Bytes of UDP payload received from a peer", &|k| totals[k].link.udp_bytes[1]),
            ("mesh_datagrams_sent", "Datagrams sent to a peer", &|k| totals[k].link.datagrams[0]),
            ("mesh_datagrams_received", "Datagrams received from a peer", &|k| totals[k].link.datagrams[1]),
            ("mesh_lost_packets", "Packets to a peer that were never acknowledged", &|k| totals[k].link.lost_packets),
            ("mesh_connections", "Connections that were made with a peer", &|k| totals[k].link.connections),
        ];
        for (name, help, value) in rows {
            table.counters((name, help), counters(value))?;
        }
        let up = |k: usize| f64::from(u8::from(status[k].connected));
        let rows = [0, 1].map(|k| (&labels[k][..], up(k)));
        table.gauges(("mesh_connected", "1 while a peer is connected"), rows)?;
        let known = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<_> {
            (0..2).filter_map(|k| Some((&labels[k][..], value(k)?))).collect()
        };
        let rtt = known(&|k| status[k].rtt.map(|rtt| rtt.as_secs_f64()));
        table.gauges(("mesh_round_trip_seconds", "The smoothed round-trip time to a peer"), rtt)?;
        let age = known(&|k| status[k].heartbeat.map(|h| h.at.elapsed().as_secs_f64()));
        table.gauges(("mesh_heartbeat_age_seconds", "Since the last heartbeat of a peer"), age)?;
        let clock = known(&|k| status[k].heartbeat.map(|h| h.clock_ms as f64 / 1e3));
        let help = "The clock of a peer against this node's, off by the time that a message takes";
        table.gauges(("mesh_clock_difference_seconds", help), clock)
    }

    fn sessions(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        let help = "Sessions that all three nodes have joined";
        table.counter("mesh_sessions", help, self.mesh.sessions_started())?;
        let kinds = FailedBy::ALL.map(|by| ([("kind", by.name())], self.mesh.sessions_failed(by)));
        let help = "Sessions that did not start or ended by a fault, those of cancelled jobs included";
        table.counters(("mesh_sessions_failed", help), kinds.iter().map(|(labels, n)| (&labels[..], *n)))?;
        let peers = self.mesh.totals().map(|t| t.peer);
        let stalls: Vec<_> = peers
            .into_iter()
            .flat_map(|peer| Step::ALL.map(|step| (peer, step)))
            .map(|(peer, step)| ([("peer", name(peer)), ("step", step.name())], self.mesh.stalls(peer, step)))
            .collect();
        let help = "Waits for a message of a peer that were longer than limits.stall_warning";
        table.counters(("mesh_stalls", help), stalls.iter().map(|(labels, n)| (&labels[..], *n)))
    }

    fn records(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        if let Some(Ok(file)) = self.store.file().map(fs::metadata) {
            table.gauge("store_file_bytes", "The size of the store's file", file.len() as f64)?;
        }
        table.counter(
            "audit_entries",
            "Entries of the audit log, those before the last start included",
            self.audit.entries(),
        )?;
        let failing = if self.audit.fault().is_some() { 1.0 } else { 0.0 };
        table.gauge(
            "audit_failing",
            "Whether the audit log could not be written when it was last looked at",
            failing,
        )?;
        table.counter("audit_failures", "Entries that could not be written, or not to the disk", self.audit.failures())
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").field("mesh", &self.mesh).finish_non_exhaustive()
    }
}

fn name(party: Party) -> &'static str {
    match party {
        Party::P0 => "P0",
        Party::P1 => "P1",
        Party::P2 => "P2",
    }
}

fn protocol() -> &'static str {
    std::str::from_utf8(crate::mesh::ALPN).unwrap_or("unknown")
}
