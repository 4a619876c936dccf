//! Tables of customers: what an institution does with its data before anything is shared.
//!
//! A [`Schema`] states what each column holds. [`read`] turns a CSV, Parquet or Arrow file into a typed [`Table`], or reports every row
//! that does not fit with its line, column, cause and remedy; it never returns a part of a file. [`Features`] makes numbers of the
//! columns, one-hot for categories; [`NamedMoments`] standardizes them by moments that all institutions agree on; [`FixedRange`]
//! refuses what fixed point cannot hold. [`report`] makes a page of what is released about a model.
//!
//! ```
//! use std::path::Path;
//! use trefoil_nodes::credit::{Features, NamedMoments, Schema, read_csv};
//! let schema = Schema::parse(Path::new("schema.toml"), r#"
//!     format = 1
//!     [[column]]
//!     name = "income"
//!     type = "number"
//!     min = 0
//!     max = 1e7
//!     [[column]]
//!     name = "home"
//!     type = "category"
//!     levels = ["OWN", "RENT"]
//! "#)?;
//! let csv = "income,home\n25000,RENT\n61000,OWN\n";
//! let table = read_csv(&schema, Path::new("loans.csv"), csv.as_bytes())?;
//! let features = Features::of(&schema);
//! let matrix = features.encode(&table)?;
//! assert_eq!((matrix.rows(), matrix.columns()), (2, 3));
//! let standardized = NamedMoments::of(&features, &matrix)?.standardize(&features, &matrix)?;
//! assert_eq!(standardized.values()[..3], [-1.0, -1.0, 1.0]);
//! # Ok::<(), trefoil_nodes::Error>(())
//! ```

mod error;
mod fault;
mod features;
mod fixed;
mod read;
pub mod report;
mod schema;
mod split;
mod table;

pub use error::TableError;
pub use fault::{Fault, Faults, MAX_FAULTS, Place};
pub use features::{Feature, Features, NamedMoments};
pub use fixed::FixedRange;
pub use read::{MAX_FILE_BYTES, MAX_RECORD_BYTES, MAX_ROWS, read, read_arrow, read_csv, read_parquet};
pub use schema::{Column, ColumnDigest, Kind, Missing, OtherColumns, Outside, SCHEMA_FORMAT, Schema, SchemaDigest};
pub use split::{HeldOut, split_every};
pub use table::{Dropped, Table, Values};
