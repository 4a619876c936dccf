//! Tables in the clear as files, written batch by batch.

use super::NewFile;
use crate::{
    Error,
    client::{PlainVector, TableBatch},
    tables::{ColumnSpec, TableStatus},
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt16Array, UInt64Array,
    cast::AsArray,
    types::{Float64Type, Int64Type, UInt16Type, UInt64Type},
};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use std::{
    fmt,
    fs::File,
    io::{self, BufWriter},
    path::Path,
    sync::Arc,
};
use trefoil_circuits::program::RingKind;
use trefoil_engine::Lanes;

/// Bytes of a row group of Parquet, which is in memory until it is complete.
const ROW_GROUP: usize = 16 << 20;

/// A table that is being written. It is there when it is complete, or not at all.
pub struct TableFile {
    file: NewFile,
    path: String,
    sink: Sink,
    schema: SchemaRef,
    forms: Vec<Form>,
}

/// What the numbers of a column are written as.
#[derive(Clone, Copy, Debug)]
enum Form {
    Bits,
    Z16,
    /// The number of a customer: a word of a hash.
    Word,
    Integer,
    /// Fixed point, with so many bits after the point.
    Fixed(u32),
}

/// What takes the batches.
enum Sink {
    File(Box<FileWriter<BufWriter<File>>>),
    Stream(Box<StreamWriter<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<csv::Writer<File>>),
}

impl TableFile {
    /// A new file, of the form that its name ends with: `.arrow` (an Arrow IPC file), `.arrows` (an Arrow IPC stream), `.parquet` or `.csv`. 64-bit integers are
    /// signed integers, or with `fraction_bits` fixed-point numbers with so many bits after the point; numbers of customers are unsigned integers always.
    ///
    /// # Errors
    /// [`Error::Usage`] for another name, a file that is there already, or more than 52 bits; [`Error::System`].
    pub fn create(path: &Path, table: &TableStatus, fraction_bits: Option<u32>) -> Result<Self, Error> {
        if fraction_bits.is_some_and(|bits| bits > 52) {
            return Err(Error::Usage(
                "--fraction-bits is 52 at most; features have 20, and those of moments 21".into(),
            ));
        }
        let form = |column: &ColumnSpec| match (column.ring, fraction_bits) {
            (RingKind::Bits, _) => Form::Bits,
            (RingKind::Z16, _) => Form::Z16,
            (RingKind::Z64, _) if column.is_number() => Form::Word,
            (RingKind::Z64, None) => Form::Integer,
            (RingKind::Z64, Some(bits)) => Form::Fixed(bits),
        };
        let forms: Vec<Form> = table.columns.iter().map(form).collect();
        let fields = table
            .columns
            .iter()
            .zip(&forms)
            .map(|(column, form)| Field::new(column.name.as_str(), form.data_type(), false));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let name = path.display().to_string();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let form = extension.to_ascii_lowercase();
        if !["arrow", "arrows", "parquet", "csv"].contains(&form.as_str()) {
            return Err(Error::Usage(format!(
                "--out {name}: the name says what is written: .arrow (a file of Arrow), .arrows (a stream of Arrow), .parquet or .csv"
            )));
        }
        let file = NewFile::create(path)?;
        let (handle, failed) = (file.handle()?, |e: &dyn fmt::Display| unwritten(&name, e));
        let sink = match form.as_str() {
            "arrow" => Sink::File(Box::new(FileWriter::try_new_buffered(handle, &schema).map_err(|e| failed(&e))?)),
            "arrows" => {
                Sink::Stream(Box::new(StreamWriter::try_new_buffered(handle, &schema).map_err(|e| failed(&e))?))
            }
            "parquet" => {
                Sink::Parquet(Box::new(ArrowWriter::try_new(handle, schema.clone(), None).map_err(|e| failed(&e))?))
            }
            _ => {
                let mut csv = csv::Writer::from_writer(handle);
                csv.write_record(table.columns.iter().map(|column| column.name.as_str())).map_err(|e| failed(&e))?;
                Sink::Csv(Box::new(csv))
            }
        };
        Ok(Self { file, path: name, sink, schema, forms })
    }

    /// Writes the rows that come next.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number of so many digits that it is not written as fixed point exactly; [`Error::System`].
    pub fn write(&mut self, batch: &TableBatch) -> Result<(), Error> {
        let arrays = self.forms.iter().zip(&batch.columns).enumerate().map(|(k, (form, column))| {
            form.array(column, batch.rows).map_err(|row| {
                let (name, row) = (self.schema.field(k).name(), batch.from + row as u64 + 1);
                Error::Usage(format!(
                    "column `{name}`, row {row}: the number has more than 53 bits, so it is none that was encoded as fixed point; leave --fraction-bits out"
                ))
            })
        });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, _>>()?;
        let failed = |e: &dyn fmt::Display| unwritten(&self.path, e);
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(|e| failed(&e))?;
        match &mut self.sink {
            Sink::File(sink) => sink.write(&batch).map_err(|e| failed(&e)),
            Sink::Stream(sink) => sink.write(&batch).map_err(|e| failed(&e)),
            Sink::Parquet(sink) => {
                sink.write(&batch).map_err(|e| failed(&e))?;
                if sink.in_progress_size() > ROW_GROUP { sink.flush().map_err(|e| failed(&e)) } else { Ok(()) }
            }
            Sink::Csv(sink) => {
                let row = |row: usize| sink.write_record(batch.columns().iter().map(|column| text(column, row)));
                (0..batch.num_rows()).try_for_each(row).map_err(|e| failed(&e))
            }
        }
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// As [`NewFile::place`].
    pub fn place(self) -> Result<(), Error> {
        let Self { file, path, sink, .. } = self;
        let other = |e: &dyn fmt::Display| io::Error::other(e.to_string());
        let ended = match sink {
            Sink::File(sink) => sink.into_inner().map_err(|e| other(&e)).and_then(|buffer| Ok(buffer.into_inner()?)),
            Sink::Stream(sink) => sink.into_inner().map_err(|e| other(&e)).and_then(|buffer| Ok(buffer.into_inner()?)),
            Sink::Parquet(sink) => sink.into_inner().map_err(|e| other(&e)),
            Sink::Csv(sink) => sink.into_inner().map_err(|e| other(&e)),
        };
        ended.and_then(|file| file.sync_all()).map_err(Error::system(format!("write {path}")))?;
        file.place()
    }
}

impl Form {
    fn data_type(self) -> DataType {
        match self {
            Self::Bits => DataType::Boolean,
            Self::Z16 => DataType::UInt16,
            Self::Word => DataType::UInt64,
            Self::Integer => DataType::Int64,
            Self::Fixed(_) => DataType::Float64,
        }
    }

    /// A column, or the place of a number that has no such form.
    fn array(self, column: &PlainVector, rows: usize) -> Result<ArrayRef, usize> {
        Ok(match (self, column) {
            (Self::Bits, PlainVector::Bits(words)) => {
                let bit = |k: usize| (words[k / Lanes::COUNT].0 >> (k % Lanes::COUNT)) & 1 == 1;
                Arc::new((0..rows.min(words.len() * Lanes::COUNT)).map(|k| Some(bit(k))).collect::<BooleanArray>())
            }
            (Self::Z16, PlainVector::Z16(x)) => Arc::new(UInt16Array::from_iter_values(x.iter().map(|x| x.0))),
            (Self::Word, PlainVector::Z64(x)) => Arc::new(UInt64Array::from_iter_values(x.iter().map(|x| x.0))),
            (Self::Integer, PlainVector::Z64(x)) => {
                Arc::new(Int64Array::from_iter_values(x.iter().map(|x| x.0.cast_signed())))
            }
            (Self::Fixed(bits), PlainVector::Z64(x)) => {
                let unit = f64::from(bits).exp2();
                let number = |(k, x): (usize, &trefoil_engine::Z64)| {
                    let x = x.0.cast_signed();
                    // Up to here every integer is a number, and so is its part.
                    if x.unsigned_abs() <= 1 << 53 { Ok(x as f64 / unit) } else { Err(k) }
                };
                let numbers: Vec<f64> = x.iter().enumerate().map(number).collect::<Result<_, _>>()?;
                Arc::new(Float64Array::from(numbers))
            }
            // A column of another ring than its table says has no rows, which is refused.
            _ => Arc::new(Int64Array::from(Vec::<i64>::new())),
        })
    }
}

/// A value as CSV has it: the shortest decimal number that is read as the same.
fn text(column: &ArrayRef, row: usize) -> String {
    match column.data_type() {
        DataType::Boolean => column.as_boolean_opt().map(|x| u8::from(x.value(row)).to_string()),
        DataType::UInt16 => column.as_primitive_opt::<UInt16Type>().map(|x| x.value(row).to_string()),
        DataType::UInt64 => column.as_primitive_opt::<UInt64Type>().map(|x| x.value(row).to_string()),
        DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(|x| x.value(row).to_string()),
        _ => column.as_primitive_opt::<Float64Type>().map(|x| x.value(row).to_string()),
    }
    .unwrap_or_default()
}

fn unwritten(path: &str, cause: &dyn fmt::Display) -> Error {
    Error::system(format!("write {path}"))(io::Error::other(cause.to_string()))
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credit::{Schema, Values, read},
        job::Sha256Hex,
    };
    use trefoil_engine::{Z16, Z64};
    use zeroize::Zeroizing;

    const ROWS: u64 = 200;
    const SCHEMA: &str = "format = 1\n[[column]]\nname = \"x, y\"\ntype = \"number\"\nmin = -1000\nmax = 1000\n\
        [[column]]\nname = \"small\"\ntype = \"number\"\nmin = 0\nmax = 70000\n\
        [[column]]\nname = \"key-low\"\ntype = \"key\"\n\
        [[column]]\nname = \"label\"\ntype = \"label\"\nbad = \"BAD\"\ngood = \"GOOD\"\n";

    fn table() -> TableStatus {
        let columns =
            [("x, y", RingKind::Z64), ("small", RingKind::Z16), ("key-low", RingKind::Z64), ("label", RingKind::Bits)];
        let column = |(name, ring): (&str, RingKind)| ColumnSpec { name: name.parse().expect("a name"), ring };
        TableStatus {
            owner: "bank".parse().expect("a name"),
            name: "t".parse().expect("a name"),
            version: 1,
            sha256: Sha256Hex([0; 32]),
            rows: ROWS,
            columns: columns.map(column).to_vec(),
            permits: Vec::new(),
            epoch: 0,
            expires: None,
        }
    }

    fn x(row: u64) -> i64 {
        i64::try_from(row).expect("few") * 777 - 70_000
    }

    fn batch(from: u64, rows: u64) -> TableBatch {
        let each = from..from + rows;
        let z64 = |value: fn(u64) -> u64| PlainVector::Z64(Zeroizing::new(each.clone().map(value).map(Z64).collect()));
        let small = each.clone().map(|k| Z16(65_000 + k as u16)).collect();
        let words = (0..rows.div_ceil(64)).map(|_| Lanes(0xaaaa_aaaa_aaaa_aaaa)).collect();
        let columns = vec![
            z64(|k| x(k).cast_unsigned()),
            PlainVector::Z16(Zeroizing::new(small)),
            z64(|k| (1 << 62) + k),
            PlainVector::Bits(Zeroizing::new(words)),
        ];
        TableBatch { from, rows: rows as usize, columns }
    }

    #[test]
    fn each_form_is_read_back_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        for (extension, labels) in [("arrow", None), ("arrows", None), ("parquet", None), ("csv", Some(["1", "0"]))] {
            let path = directory.path().join("table").with_extension(extension);
            let mut file = TableFile::create(&path, &table(), Some(10)).expect("free");
            file.write(&batch(0, 128)).expect("written");
            file.write(&batch(128, ROWS - 128)).expect("written");
            assert!(!path.exists(), "not before it is complete");
            file.place().expect("named");
            let text = labels.map_or(SCHEMA.to_owned(), |[bad, good]| {
                SCHEMA.replace("\"BAD\"", &format!("{bad:?}")).replace("\"GOOD\"", &format!("{good:?}"))
            });
            let schema = Schema::parse(Path::new("schema.toml"), &text).expect("a schema");
            let read = read(&schema, &path).unwrap_or_else(|e| panic!("{extension}: {e}"));
            let [Values::Numbers(numbers), Values::Numbers(small), Values::Keys(keys), Values::Labels(labels)] =
                read.columns()
            else {
                panic!("{:?}", read.columns())
            };
            let rows = 0..ROWS;
            assert!(rows.clone().map(|k| x(k) as f64 / 1024.0).eq(numbers.iter().copied()), "{extension}");
            assert!(rows.clone().map(|k| (65_000 + k) as f64).eq(small.iter().copied()), "{extension}");
            let bits: Vec<bool> = rows.clone().map(|k| k % 2 == 1).collect();
            assert_eq!(labels, &bits, "{extension}");
            assert!(rows.map(|k| ((1_u64 << 62) + k).to_string()).eq(keys.iter().cloned()), "{extension}");
        }
        let other = TableFile::create(&directory.path().join("table.txt"), &table(), None).expect_err("a form");
        assert!(other.to_string().contains(".parquet or .csv"), "{other}");
        let mut file = TableFile::create(&directory.path().join("large.csv"), &table(), Some(10)).expect("free");
        let mut large = batch(0, 128);
        let PlainVector::Z64(numbers) = &mut large.columns[0] else { panic!() };
        numbers[5] = Z64(1 << 54);
        let refused = file.write(&large).expect_err("no number of 53 bits").to_string();
        assert!(refused.contains("column `x, y`, row 6"), "{refused}");
    }
}
