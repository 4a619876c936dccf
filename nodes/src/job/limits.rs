//! What a node takes on.

use super::spec::Sizes;
use crate::config::{nonzero, span};
use serde::{Deserialize, Serialize};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

/// Bounds on what clients can make a node hold and do: the table `[limits]` of `node.toml`. None may be zero; lengths of
/// time are written with their unit, such as `"30s"`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body of a submission in bytes: attachment and input shares. Default 64 MiB.
    #[serde(deserialize_with = "nonzero")]
    pub body_bytes: u64,
    /// Largest outputs of one job in bytes, all together, counting one component. Default 64 MiB.
    #[serde(deserialize_with = "nonzero")]
    pub output_bytes: u64,
    /// Bytes of attachments, inputs and outputs held for all jobs together. A job reserves its part before its body is read.
    /// Default 1 GiB.
    #[serde(deserialize_with = "nonzero")]
    pub held_bytes: u64,
    /// Bytes of outputs that the node keeps in its store for the jobs of one client, of jobs that are not done yet as well. Default 1 GiB.
    #[serde(deserialize_with = "nonzero")]
    pub client_output_bytes: u64,
    /// Bytes of outputs that the node keeps in its store for all jobs. Default 4 GiB.
    #[serde(deserialize_with = "nonzero")]
    pub all_output_bytes: u64,
    /// Working memory of one job's computation in bytes, for circuits with many wires or instances. Default 256 MiB.
    #[serde(deserialize_with = "nonzero")]
    pub work_bytes: u64,
    /// Largest upload of a table in bytes: both components of all columns. Default 256 MiB.
    #[serde(deserialize_with = "nonzero")]
    pub table_bytes: u64,
    /// Tables of one client, all versions counted. Default 64.
    #[serde(deserialize_with = "nonzero")]
    pub client_tables: u32,
    /// Bytes of the tables of one client. Default 512 MiB.
    #[serde(deserialize_with = "nonzero")]
    pub client_table_bytes: u64,
    /// Bytes of the tables of all clients. Default 1 GiB.
    #[serde(deserialize_with = "nonzero")]
    pub all_table_bytes: u64,
    /// Signing keys of one client. Default 1,024.
    #[serde(deserialize_with = "nonzero")]
    pub client_keys: u32,
    /// Biometric templates of one client, of all its users. Default 16,384.
    #[serde(deserialize_with = "nonzero")]
    pub client_templates: u32,
    /// Credentials of one client. Default 4,096.
    #[serde(deserialize_with = "nonzero")]
    pub client_credentials: u32,
    /// Signatures a second that one client may have with one key. Default 1,000.
    #[serde(deserialize_with = "nonzero")]
    pub key_signatures: u32,
    /// Strands that compute at the same time: a large job has four, a small one has one. More of them hide longer round trips
    /// and fill the caches. The value of node 0 counts for the whole cluster. Left out: four for each of its worker threads.
    pub running_strands: Option<NonZeroU32>,
    /// Jobs received, waiting or running. Beyond it clients are told to come back later. Also enrolments, refreshes, logins and searches under way, of which one client has a quarter. Default 256.
    #[serde(deserialize_with = "nonzero")]
    pub waiting_jobs: u32,
    /// Jobs of one client received, waiting or running. Beyond it this client is told to come back later. Default 64.
    #[serde(deserialize_with = "nonzero")]
    pub client_waiting_jobs: u32,
    /// Jobs that have ended and can still be asked for; beyond it the oldest of the client that has most go. Default 1,024.
    #[serde(deserialize_with = "nonzero")]
    pub finished_jobs: u32,
    /// How long an ended job is kept, with its outputs, unless all clients it concerns delete it before. Default 10 min.
    #[serde(with = "span")]
    pub retention: Duration,
    /// How long a job may wait and run in all. Default 1 h.
    #[serde(with = "span")]
    pub job_deadline: Duration,
    /// How long a whole body may take to arrive. Default 5 min.
    #[serde(with = "span")]
    pub request_deadline: Duration,
    /// How long a client may take for its TLS handshake, for its first token if it has no certificate, for the headers of a request, and between two parts of a body.
    /// Default 10 s.
    #[serde(with = "span")]
    pub client_timeout: Duration,
    /// Connections of clients at the same time; one client has a quarter of them. Those without a certificate, and those that have not said yet who they are, have as many of their own. Default 256.
    #[serde(deserialize_with = "nonzero")]
    pub connections: u32,
    /// How long a node that is to stop lets its jobs go on; it takes no new ones. Default 30 s.
    #[serde(with = "span")]
    pub drain: Duration,
    /// How long a session waits for a message before the log says for which, and then after twice the time, and so on. Default 5 s.
    #[serde(with = "span")]
    pub stall_warning: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            output_bytes: 64 << 20,
            held_bytes: 1 << 30,
            client_output_bytes: 1 << 30,
            all_output_bytes: 4 << 30,
            work_bytes: 256 << 20,
            table_bytes: 256 << 20,
            client_tables: 64,
            client_table_bytes: 512 << 20,
            all_table_bytes: 1 << 30,
            client_keys: 1024,
            client_templates: 16_384,
            client_credentials: 4096,
            key_signatures: 1000,
            running_strands: None,
            waiting_jobs: 256,
            client_waiting_jobs: 64,
            finished_jobs: 1024,
            retention: Duration::from_mins(10),
            job_deadline: Duration::from_hours(1),
            request_deadline: Duration::from_mins(5),
            client_timeout: Duration::from_secs(10),
            connections: 256,
            drain: Duration::from_secs(30),
            stall_warning: Duration::from_secs(5),
        }
    }
}

/// A job or table that this node would not take even if it had nothing else to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} has {got} bytes and this node takes {limit}; split it, or raise limits.{key} on every node")]
pub struct TooLarge {
    what: &'static str,
    got: u64,
    limit: u64,
    key: &'static str,
}

/// Strands for each worker thread, unless the limits say otherwise.
const STRANDS_PER_THREAD: u32 = 4;

impl Limits {
    /// Strands that compute at the same time on so many worker threads.
    pub fn strands(&self, threads: NonZeroUsize) -> u32 {
        let threads = u32::try_from(threads.get()).unwrap_or(u32::MAX);
        self.running_strands.map_or(threads.saturating_mul(STRANDS_PER_THREAD), NonZeroU32::get)
    }

    /// Checks the sizes of a job whose body has `body` bytes.
    ///
    /// # Errors
    /// [`TooLarge`] names the size and the limit.
    pub fn check(&self, sizes: &Sizes, body: u64) -> Result<(), TooLarge> {
        self.check_body(body)?;
        bound("what comes out", sizes.output_bytes(), self.output_bytes, "output_bytes")?;
        bound("what has to be held", sizes.held_bytes(), self.held_bytes, "held_bytes")
    }

    /// Checks the size a client announces, before anything of the body is read.
    ///
    /// # Errors
    /// [`TooLarge`] names the size and the limit.
    pub fn check_body(&self, body: u64) -> Result<(), TooLarge> {
        bound("the body", body, self.body_bytes, "body_bytes")
    }

    /// Checks the size of a table that a client announces.
    ///
    /// # Errors
    /// [`TooLarge`] names the size and the limit.
    pub fn check_table(&self, body: u64) -> Result<(), TooLarge> {
        bound("the upload of a table", body, self.table_bytes, "table_bytes")
    }

    /// Checks the memory of a computation.
    ///
    /// # Errors
    /// [`TooLarge`] names the size and the limit.
    pub fn check_work(&self, work: u64) -> Result<(), TooLarge> {
        bound("the working memory", work, self.work_bytes, "work_bytes")
    }
}

fn bound(what: &'static str, got: u64, limit: u64, key: &'static str) -> Result<(), TooLarge> {
    if got <= limit { Ok(()) } else { Err(TooLarge { what, got, limit, key }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_circuits::program::Shape;

    #[test]
    fn each_limit_is_named_when_it_is_exceeded() {
        let limits = Limits { body_bytes: 100, output_bytes: 80, held_bytes: 500, work_bytes: 10, ..Limits::default() };
        let sizes = |attachment_bytes, words| {
            let (inputs, outputs) = (vec![Shape::z64(2)], vec![Shape::z64(words)]);
            Sizes { attachment_bytes, uploads: inputs.clone(), inputs, outputs, port_wires: 0 }
        };
        assert_eq!(limits.check(&sizes(0, 10), 100), Ok(()));
        for (result, key) in [
            (limits.check(&sizes(0, 10), 101), "limits.body_bytes"),
            (limits.check(&sizes(0, 11), 100), "limits.output_bytes"),
            (limits.check(&sizes(100, 10), 100), "limits.held_bytes"),
            (limits.check_work(11), "limits.work_bytes"),
        ] {
            assert!(result.unwrap_err().to_string().contains(key), "{key}");
        }
    }
}
