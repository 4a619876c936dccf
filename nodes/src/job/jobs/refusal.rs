//! Why a node does not take something on.

/// Why a submission was not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The name stands for something else, or did.
    #[error("this job id is taken by another job or was used before; draw a new random id")]
    Taken,
    /// The client is sending the same job on another connection.
    #[error("this job is being uploaded on another connection; wait for that one, or ask again when it has ended")]
    Uploading,
    /// The client has too many jobs that wait.
    #[error(
        "you have as many jobs waiting or running at this node as it takes of one client; come back when some have ended, or raise limits.client_waiting_jobs"
    )]
    Share,
    /// Too many jobs are waiting.
    #[error("the node has as many waiting jobs as it takes; come back later, or raise limits.waiting_jobs")]
    Busy,
    /// Too many bytes are held.
    #[error(
        "the jobs of this node hold as many bytes as it allows; delete jobs whose outputs were fetched, come back later, or raise limits.held_bytes"
    )]
    Full,
    /// Too many bytes are kept on the disk.
    #[error(
        "with this job the outputs kept in this node's store would be more than it allows; delete jobs whose outputs were fetched, submit the job with \"retain\": \"memory\", or raise limits.{key}"
    )]
    Stored {
        /// The limit.
        key: &'static str,
    },
    /// The client follows too many jobs.
    #[error("you follow {most} jobs at this node, which is as many as one client may; end one of these streams")]
    Following {
        /// How many it may.
        most: u32,
    },
    /// The node is about to stop.
    #[error("the node is stopping; come back when it has been restarted")]
    Stopping,
}
