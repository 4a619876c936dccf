//! Tables of shares that clients have stored at the nodes, for jobs to compute on later.
//!
//! A table belongs to the client that has uploaded it, whom its certificate names. Its owner says in which jobs it may be used; in others it is not
//! there. Each node holds its two components of every column: in memory, and encrypted on its disk for the next start.

mod accounts;
mod archive;
mod arriving;
mod customers;
mod epoch;
mod expiry;
mod incoming;
mod names;
mod outgoing;
mod proven;
mod provenance;
mod share_header;
mod spec;
mod store;
mod stored;
mod unfinished;

pub use accounts::TableRefusal;
#[cfg(any(test, fuzzing))]
pub(crate) use archive::read_any;
pub use arriving::{Arriving, TableFault};
pub use customers::Customers;
pub(crate) use epoch::renewed;
pub use epoch::{Content, Epoch, Seed};
pub use expiry::{Clock, Erased, Expires, Expiry};
pub use incoming::Incoming;
pub use names::{ColumnName, TableName, UploadId};
pub use outgoing::{Outgoing, OutgoingFault, Start};
pub use provenance::Provenance;
pub use share_header::ShareHeader;
pub use spec::{ColumnSpec, MODEL_COLUMN_NAME, NUMBER_COLUMN_NAMES, Permit, ScoreDetail, TableKey, TableSpec};
#[cfg(test)]
pub(crate) use store::tests::clock;
pub use store::{Arrival, TableStore};
pub use stored::{Origin, Spending, StoredTable, TableRecord, TableStatus};
pub use unfinished::{Resumed, UploadStatus};

/// The media type of the body of an upload.
pub const TABLE_MEDIA_TYPE: &str = "application/vnd.trefoil.table";

/// The media type of the body of a download.
pub const SHARES_MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";
