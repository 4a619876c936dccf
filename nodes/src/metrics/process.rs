//! The process: memory, files, processor time. The names are those that Prometheus' own libraries use.

use super::readings::Table;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

/// The process that this is.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    /// Of a program that has just begun.
    pub(super) fn now() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut table = Table::new(&mut encoder);
        table.gauge("start_time_seconds", "When the node was started, since 1970-01-01 UTC", self.started)?;
        // Absent on systems without them.
        if let Some(bytes) = resident() {
            table.gauge("resident_memory_bytes", "Memory that the node occupies", bytes as f64)?;
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory that is being read.
            table.gauge("open_fds", "Open files and sockets", open.count().saturating_sub(1) as f64)?;
        }
        if let Some(most) = most_files() {
            table.gauge("max_fds", "Files and sockets that may be open", most)?;
        }
        Ok(())
    }
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn most_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
}
