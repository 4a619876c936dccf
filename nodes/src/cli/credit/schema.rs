//! `trefoil credit schema`: whether institutions have the same schema.

use crate::{
    Error,
    cli::{Exit, OutputArgs},
    client::credit::{NewFile, read_moments},
    credit::{Features, Schema, SchemaDigest},
    job::Sha256Hex,
};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Two schemas have the same digest if the same file becomes the same numbers by both: types, units, ranges, scales, levels, words of yes, no, bad and good, what fills a missing value, and what stands for one.
Comments and the order of keys do not matter, nor the delimiter, the key column, other columns, and whether rows are dropped or refused. Where two institutions have other digests, the lines tell in which columns.

Moments have the digest of the schema they were made with, and other schemas are refused. A file of moments that was made by other means has none: --out writes it with that of the schema.

Examples:
  trefoil credit schema schema.toml
  trefoil credit schema schema.toml --moments moments.json
  trefoil credit schema schema.toml --moments agreed.json --out moments.json";

/// Arguments of `trefoil credit schema`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SchemaArgs {
    /// What the columns of the file hold
    schema: PathBuf,
    /// Say whether these moments were made with it
    #[arg(long, value_name = "FILE")]
    moments: Option<PathBuf>,
    /// Write these moments, which were made by other means, to this new file, with the digest of the schema
    #[arg(long, value_name = "FILE", requires = "moments")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row<'a> {
    schema: &'a PathBuf,
    features: usize,
    sha256: Sha256Hex,
    digest: &'a SchemaDigest,
    moments: Option<&'static str>,
    written: Option<&'a PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// [`Error::Config`] for the schema, [`Error::Table`] for moments of another one.
pub fn run(args: &SchemaArgs) -> Result<Exit, Error> {
    let features = Features::of(&Schema::read(&args.schema)?);
    let moments = args.moments.as_ref().map(|path| Ok::<_, Error>((path, read_moments(path)?))).transpose()?;
    if let Some((_, moments)) = &moments {
        moments.check(&features)?;
    }
    let digest = features.schema();
    let known = moments.as_ref().map(|(_, moments)| moments.schema.is_some());
    let mut lines =
        vec![format!("{}: {} features, SHA-256 {}", args.schema.display(), features.len(), digest.sha256())];
    lines.extend(digest.columns().map(|column| format!("  {}  {}", column.sha256, column.name)));
    lines.extend(digest.missing_markers().map(|markers| format!("  {markers}  (missing_markers)")));
    if let (Some((path, mut moments)), Some(out)) = (moments.clone(), &args.out) {
        if moments.schema.is_some() {
            return Err(Error::Usage(format!(
                "{} has the digest of this schema already; leave --out away",
                path.display()
            )));
        }
        moments.schema = Some(digest.clone());
        let mut file = NewFile::create(out)?;
        file.fill_json(&moments)?;
        file.place()?;
        lines.push(format!("wrote {}", out.display()));
    } else if let (Some((path, _)), Some(known)) = (&moments, known) {
        lines.push(if known {
            format!("{} was made with this schema", path.display())
        } else {
            format!("{} has the features of this schema and no digest; --out writes it with one", path.display())
        });
    }
    let row = Row {
        schema: &args.schema,
        features: features.len(),
        sha256: digest.sha256(),
        digest,
        moments: known.map(|known| if known { "same" } else { "unknown" }),
        written: args.out.as_ref(),
    };
    args.output.resolve().print(&row, lines.join("\n"))?;
    Ok(Exit::Ok)
}
