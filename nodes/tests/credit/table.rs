//! Schemas and tables: what is read, and what is refused with which words.

use arrow_array::{
    ArrayRef, Decimal128Array, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt64Array, types::Int64Type,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};
use trefoil_nodes::credit::{
    Features, HeldOut, MAX_FAULTS, MAX_RECORD_BYTES, NamedMoments, Place, Schema, Table, TableError, Values, read,
    read_csv, read_parquet, split_every,
};

const SCHEMA: &str = r#"
format = 1
[[column]]
name = "customer"
type = "key"
[[column]]
name = "income"
type = "number"
scale = 0.001
min = 0
max = 1_000_000
[[column]]
name = "years"
type = "integer"
min = 0
max = 60
outside = "drop"
missing = { fill = 3 }
[[column]]
name = "home"
type = "category"
levels = ["OWN", "RENT", "MORTGAGE"]
reference = "OWN"
missing = "drop"
[[column]]
name = "employed"
type = "boolean"
yes = "Y"
no = "N"
[[column]]
name = "defaulted"
type = "label"
"#;

const HEADER: &str = "customer,income,years,home,employed,defaulted\n";

fn schema() -> Schema {
    Schema::parse(Path::new("schema.toml"), SCHEMA).unwrap()
}

fn table(csv: impl AsRef<[u8]>) -> Result<Table, TableError> {
    read_csv(&schema(), Path::new("loans.csv"), csv.as_ref())
}

fn numbers(table: &Table, column: usize) -> Vec<f64> {
    let Values::Numbers(numbers) = &table.columns()[column] else { panic!("no numbers") };
    numbers.clone()
}

#[track_caller]
fn refused(csv: impl AsRef<[u8]>, parts: &[&str]) {
    let message = table(csv).expect_err("a file to be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn a_good_table_is_read_whatever_its_line_ends_quotes_and_order() {
    let rows = "c1,1000,5,RENT,Y,0\nc2,2000.5,,OWN,N,1\n";
    let plain = table(format!("{HEADER}{rows}")).unwrap();
    assert_eq!(numbers(&plain, 1), [1.0, 2.0005]);
    assert_eq!(numbers(&plain, 2), [5.0, 3.0]);
    assert_eq!(
        (plain.labels().unwrap(), plain.keys().unwrap()),
        (&[false, true][..], &["c1".to_owned(), "c2".to_owned()][..])
    );
    let variants = [
        format!("\u{feff}{HEADER}{rows}"),
        format!("{HEADER}{rows}").replace('\n', "\r\n"),
        format!("{HEADER}{rows}").trim_end().to_owned(),
        format!("{HEADER}\"c1\",\"1000\",\" 5\",RENT,\"Y\",0\n\n c2 ,2.0005e3,,OWN,N,1\n\n"),
        "home,defaulted,customer,income,years,employed\nRENT,0,c1,1000,5,Y\nOWN,1,c2,2000.5,,N\n".to_owned(),
    ];
    for variant in variants {
        let other = table(&variant).unwrap();
        assert!(other.columns() == plain.columns(), "{variant:?}");
    }
    let semicolon =
        Schema::parse(Path::new("s"), &SCHEMA.replace("format = 1", "format = 1\ndelimiter = \";\"")).unwrap();
    let other = read_csv(&semicolon, Path::new("x"), format!("{HEADER}{rows}").replace(',', ";").as_bytes()).unwrap();
    assert!(other.columns() == plain.columns());
}

#[test]
fn rows_are_dropped_by_rule_and_counted_and_keep_their_numbers() {
    let kept = table(format!("{HEADER}a,1,61,RENT,Y,0\nb,1,2,,Y,0\nc,1,2,RENT,Y,1\nd,1,-1,,Y,0\n")).unwrap();
    assert_eq!((kept.rows(), kept.rows_read(), kept.row_numbers()), (1, 4, &[3][..]));
    let dropped: Vec<_> = kept.dropped().iter().map(|d| (d.missing, d.outside)).collect();
    assert_eq!(dropped, [(0, 0), (0, 0), (0, 2), (1, 0), (0, 0), (0, 0)]);
    refused(format!("{HEADER}a,1,61,RENT,Y,0\n"), &["the rules of the schema drop every row"]);
}

#[test]
fn a_header_that_does_not_fit_is_told_apart() {
    let semicolons = format!("{HEADER}a,1,1,RENT,Y,0\n").replace(',', ";");
    refused(
        semicolons,
        &["that is one column", "separated by ','; if it is ';' in this file, write delimiter = \";\""],
    );
    refused(
        "customer,income,years,home,employed\na,1,1,RENT,Y\n",
        &["has no column `defaulted`", "a copy of the schema without the column `defaulted`"],
    );
    let error = table("customer,income\na,1\n").unwrap_err().to_string();
    assert!(error.ends_with("names must agree to the letter"), "{error}");
}

#[test]
fn features_are_one_hot_without_the_reference() {
    let table = table(format!("{HEADER}a,1000,1,OWN,Y,0\nb,3000,1,MORTGAGE,N,1\n")).unwrap();
    let features = Features::of(table.schema());
    let names: Vec<_> = features.list().iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["income", "years", "home=RENT", "home=MORTGAGE", "employed"]);
    assert_eq!(features.attributes(), [0, 1, 2, 2, 3]);
    assert_eq!(features.attribute_names(), ["income", "years", "home", "employed"]);
    let matrix = features.encode(&table).unwrap();
    assert_eq!(matrix.values(), [1.0, 1.0, 0.0, 0.0, 1.0, 3.0, 1.0, 0.0, 1.0, 0.0]);
    let mut moments = NamedMoments::of(&features, &matrix).unwrap();
    let standardized = moments.standardize(&features, &matrix).unwrap();
    assert_eq!(standardized.values(), [-1.0, 0.0, 0.0, -1.0, 1.0, 1.0, 0.0, 0.0, 1.0, -1.0]);
    let text = serde_json::to_string(&moments).unwrap();
    assert_eq!(serde_json::from_str::<NamedMoments>(&text).unwrap(), moments);
    moments.features.swap(0, 1);
    let error = moments.standardize(&features, &matrix).unwrap_err().to_string();
    assert!(error.contains("feature 1 of the schema is `income`, but the moments are of `years`"), "{error}");
    moments.features.swap(0, 1);
    moments.features.swap(2, 3);
    let reordered = moments.standardize(&features, &matrix).unwrap_err().to_string();
    moments.features[2] = "home=OWN".to_owned();
    let other_reference = moments.standardize(&features, &matrix).unwrap_err().to_string();
    for error in [reordered, other_reference] {
        assert!(error.contains("other features of the column `home`") && error.contains("`reference`"), "{error}");
    }
}

#[test]
fn every_bad_value_is_reported_with_its_line_column_cause_and_remedy() {
    let csv =
        format!("{HEADER}a,abc,5,RENT,Y,0\n\nb,-1,5.5,rent,yes,2\n\"c\nd\",1,5,RENT,Y,0\na,1,5,RENT,Y\nx,,5,OWN,N,0\n");
    for csv in [csv.clone(), csv.replace('\n', "\r\n")] {
        let TableError::Rows { faults, .. } = table(&csv).unwrap_err() else { panic!("no faults") };
        let found: Vec<_> = faults.list().iter().map(|f| (f.place, f.column.as_deref())).collect();
        let line = Place::Line;
        let expected = [
            (line(2), Some("income")),
            (line(4), Some("income")),
            (line(4), Some("years")),
            (line(4), Some("home")),
            (line(4), Some("employed")),
            (line(4), Some("defaulted")),
            (line(7), None),
            (line(8), Some("income")),
        ];
        assert_eq!(found, expected);
        assert_eq!(faults.total(), 8);
    }
    refused(
        csv,
        &[
            "loans.csv: 8 values do not fit the schema; nothing was accepted",
            "line 2, column `income`: `abc` is no number; write one, as in 3.5",
            "line 4, column `income`: -1 is out of range; the schema allows 0 to 1000000",
            "line 4, column `years`: 5.5 is no whole number; round it",
            "line 4, column `home`: `rent` is none of the levels (`OWN`, `RENT`, `MORTGAGE`); correct the value or add the level",
            "line 4, column `employed`: `yes` is neither `Y` nor `N`",
            "line 4, column `defaulted`: `2` is neither `1` nor `0`",
            "line 7: the row has 5 fields and the header 6",
            "line 8, column `income`: the value is missing; supply it",
        ],
    );
}

#[test]
fn a_key_is_there_once() {
    refused(
        format!("{HEADER}a,1,5,OWN,Y,0\nb,1,5,OWN,Y,0\na,1,5,OWN,Y,0\n"),
        &["line 4, column `customer`: the key `a` is in an earlier row"],
    );
    refused(format!("{HEADER},1,5,OWN,Y,0\n"), &["line 2, column `customer`: the value is missing"]);
    refused(format!("{HEADER}{},1,5,OWN,Y,0\n", "k".repeat(300)), &["the key has 300 bytes"]);
}

#[test]
fn numbers_that_only_look_like_numbers_are_refused() {
    for bad in ["inf", "NaN", "0x10", "1_000", "1 000", "1e999", "--1", "1.2.3", ".", "e5", "\u{0661}"] {
        refused(format!("{HEADER}a,{bad},5,OWN,Y,0\n"), &["line 2, column `income`"]);
    }
    refused(format!("{HEADER}a,\"1,5\",5,OWN,Y,0\n"), &["with a point before the fraction"]);
}

#[test]
fn what_may_stand_for_a_missing_value_is_told_to_be_declared() {
    let hint = "if it stands for a missing value, put it in `missing_markers`";
    for marker in ["NA", "?", "NULL", "n/a"] {
        let places =
            ["income", "years", "home", "employed", "defaulted"].map(|column| format!("column `{column}`: `{marker}`"));
        let row = format!("a,{marker},{marker},{marker},{marker},{marker}\n");
        let text = table(format!("{HEADER}{row}")).unwrap_err().to_string();
        assert!(places.iter().all(|place| text.contains(place)) && text.matches(hint).count() == 5, "{text}");
        let declared = SCHEMA.replace("format = 1", &format!("format = 1\nmissing_markers = ['{marker}']"));
        let declared = Schema::parse(Path::new("s"), &declared).unwrap();
        let text = read_csv(&declared, Path::new("x"), format!("{HEADER}{row}").as_bytes()).unwrap_err().to_string();
        assert!(text.contains("the value is missing") && !text.contains(hint), "{text}");
    }
    let text = table(format!("{HEADER}a,0x1,5,HUT,yes,2\n")).unwrap_err().to_string();
    assert!(!text.contains(hint), "{text}");
}

#[test]
fn the_header_must_be_that_of_the_schema() {
    refused("", &["the file is empty"]);
    refused("\n\n", &["the file is empty"]);
    refused(HEADER, &["the file has no rows"]);
    refused(HEADER.replace("income", "Income"), &["no column `income`", "`Income`", "to the letter"]);
    refused(HEADER.replace("income", "years"), &["the column `years` is there twice"]);
    refused(
        HEADER.replace("income", "income,extra"),
        &["does not name the column `extra`", "other_columns = \"ignore\""],
    );
    refused(b"\xff\xfec\0u\0", &["the header is not UTF-8"]);
    let lenient = SCHEMA.replace("format = 1", "format = 1\nother_columns = \"ignore\"");
    let lenient = Schema::parse(Path::new("s"), &lenient).unwrap();
    for (names, values) in [("x", "?"), (",", "?,?"), ("x,x,", "1,2,3")] {
        let csv = format!("{names},{HEADER}{values},a,1,5,OWN,Y,0\n");
        assert_eq!(read_csv(&lenient, Path::new("x"), csv.as_bytes()).unwrap().rows(), 1, "{names}");
    }
    let twice = format!("years,{HEADER}5,a,1,5,OWN,Y,0\n");
    let message = read_csv(&lenient, Path::new("x"), twice.as_bytes()).unwrap_err().to_string();
    assert!(message.contains("the column `years` is there twice"), "{message}");
    refused(format!(",,{HEADER}1,2,a,1,5,OWN,Y,0\n"), &["two columns have no name", "other_columns = \"ignore\""]);
}

#[test]
fn illegible_rows_and_endless_ones_are_refused() {
    let mut csv = format!("{HEADER}a,1,5,OWN,Y,0\n").into_bytes();
    csv.extend_from_slice(b"b\xff,1,5,OWN,Y,0\n");
    refused(&csv, &["line 3: the row is not UTF-8"]);
    let long = usize::try_from(MAX_RECORD_BYTES).unwrap() * 2;
    refused(
        format!("{HEADER}a,1,5,OWN,Y,0\nb,\"{}", "1\n".repeat(long)),
        &["loans.csv, line 3: the row has more than 1048576 bytes"],
    );
    // A source without an end: what is read of it is bounded.
    let endless = HEADER.as_bytes().chain(std::io::repeat(b'7'));
    let error = read_csv(&schema(), Path::new("x"), endless).unwrap_err();
    assert!(matches!(error, TableError::Broken { place: Place::Line(2), .. }), "{error}");
}

#[test]
fn the_list_of_faults_is_bounded_and_its_text_quotes_little() {
    let csv = HEADER.to_owned() + &format!("a,{},5,OWN,Y,0\n", "\u{1b}x".repeat(1000)).repeat(5000);
    let TableError::Rows { faults, .. } = table(&csv).unwrap_err() else { panic!("no faults") };
    assert_eq!((faults.list().len(), faults.total()), (MAX_FAULTS, 5000));
    let text = faults.to_string();
    assert!(text.len() < 40_000 && text.ends_with("and 4900 more; correct these first") && !text.contains('\u{1b}'));
}

#[test]
fn schemas_that_contradict_themselves_are_refused_with_their_line() {
    let cases = [
        ("format = 1", "format = 2", "line 2: this program reads schemas of format 1"),
        ("format = 1", "format = 1\nnonsense = 3", "line 3: unknown field `nonsense`"),
        ("format = 1", "format = 1\ndelimiter = \"x\"", "line 3: this cannot separate fields"),
        ("name = \"income\"", "name = \"customer\"", "line 7: there is a column of this name already"),
        ("name = \"income\"", "name = \"income=high\"", "line 7: the name of a column has no `=`"),
        ("type = \"number\"", "type = \"float\"", "line 8: unknown variant `float`"),
        ("min = 0\nmax = 1_000_000", "min = 0", "line 7: a number needs `max`"),
        ("max = 1_000_000", "max = -1", "line 7: `min` is above `max`"),
        ("max = 1_000_000", "max = nan", "line 11: `max` must be a number"),
        ("scale = 0.001", "scale = 0.0", "line 9: `scale` must not be 0"),
        ("scale = 0.001", "levels = [\"a\", \"b\"]", "line 9: `levels` means nothing for a column of this type"),
        (
            "missing = { fill = 3 }",
            "missing = { fill = 300 }",
            "line 18: the value to fill in does not fit: 300 is out of range",
        ),
        (
            "missing = { fill = 3 }",
            "missing = { fill = \"x\" }",
            "line 18: the value to fill in does not fit: `x` is no whole number",
        ),
        ("missing = { fill = 3 }", "missing = \"maybe\"", "line 18:"),
        ("missing = { fill = 3 }", "missing = \"ignore\"", "line 18: write \"reject\", \"drop\" or { fill = VALUE }"),
        (
            "\"OWN\", \"RENT\", \"MORTGAGE\"",
            "\"OWN\", \"RENT\", \"OWN\"",
            "line 22: the level `OWN` is in the list twice",
        ),
        ("\"OWN\", \"RENT\", \"MORTGAGE\"", "\"OWN\"", "line 22: there are 1 levels; a category has 2 to"),
        ("reference = \"OWN\"", "reference = \"own\"", "line 23: this is none of the levels"),
        ("yes = \"Y\"", "yes = \"N\"", "line 26: both values are written `N`"),
        ("yes = \"Y\"", "yes = \" Y\"", "line 28: this text must have 1 to 256 bytes"),
        ("type = \"boolean\"\nyes = \"Y\"\nno = \"N\"", "type = \"label\"", "there is a column of this type already"),
    ];
    for (from, to, expected) in cases {
        let text = SCHEMA.replacen(from, to, 1);
        let message = Schema::parse(Path::new("schema.toml"), &text).expect_err(to).to_string();
        assert!(message.contains(expected), "{to}: `{message}` does not say `{expected}`");
    }
    for text in ["", "format = 1", "format = 1\n[[column]]\nname = \"k\"\ntype = \"key\"\n", "\0"] {
        assert!(Schema::parse(Path::new("s"), text).is_err(), "{text:?}");
    }
}

#[test]
fn held_out_rows_must_be_rows_of_the_table() {
    let table = table(format!("{HEADER}a,1,61,RENT,Y,0\nb,1,2,OWN,Y,0\nc,1,2,RENT,Y,1\n")).unwrap();
    let parse = |text: &str| HeldOut::parse(Path::new("rows.txt"), text.as_bytes());
    let split = parse("3\n\n").unwrap().split(&table).unwrap();
    assert_eq!(split, (vec![0], vec![1]));
    let absent = parse("3\n1").unwrap().split(&table).unwrap_err().to_string();
    assert!(absent.contains("row 1 is to be held out"), "{absent}");
    for (text, expected) in
        [("3\n3\n", "line 2: this row is in the list twice"), ("x", "line 1: this is no row number"), ("0", "line 1")]
    {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(parse(&"1".repeat(1000)).is_err());
}

/// Two institutions hold out the same customers, in whatever order they have them and whomever else they have.
#[test]
fn customers_are_held_out_by_their_keys_and_rows_without_keys_by_their_position() {
    let columns = "format = 1\n[[column]]\nname = \"x\"\ntype = \"integer\"\nmin = 0\nmax = 1000\n";
    let keyed = format!("{columns}[[column]]\nname = \"id\"\ntype = \"key\"\n");
    let of = |schema: &str, rows: Vec<u32>| {
        let schema = Schema::parse(Path::new("s.toml"), schema).unwrap();
        let with_key = schema.position("id").is_some();
        let row = |x: &u32| if with_key { format!("{x},c{x}\n") } else { format!("{x}\n") };
        let header = if with_key { "x,id\n" } else { "x\n" };
        let csv = header.to_owned() + &rows.iter().map(row).collect::<String>();
        let table = read_csv(&schema, Path::new("t.csv"), csv.as_bytes()).unwrap();
        let (train, test) = split_every(&table, 4.try_into().unwrap());
        assert_eq!(train.len() + test.len(), rows.len());
        test.into_iter().map(|row| rows[row]).collect::<BTreeSet<u32>>()
    };
    let (some, others) = (of(&keyed, (0..400).collect()), of(&keyed, (200..600).rev().collect()));
    assert!((70..130).contains(&some.len()) && (70..130).contains(&others.len()), "{} {}", some.len(), others.len());
    let common = |set: &BTreeSet<u32>| set.range(200..400).copied().collect::<Vec<_>>();
    assert_eq!(common(&some), common(&others));
    assert_eq!(of(columns, (10..20).collect()), BTreeSet::from([13, 17]));
}

/// What pandas wrote (`data/credit/parquet.py`).
#[test]
fn a_data_frame_is_read() {
    let text =
        SCHEMA.replace("format = 1", "format = 1\nother_columns = \"ignore\"").replace("max = 60", "max = 48").replace(
            "[[column]]\nname = \"home\"",
            "[[column]]\nname = \"rate\"\ntype = \"number\"\nmin = 0\nmax = 5\n[[column]]\nname = \"home\"",
        );
    let schema = Schema::parse(Path::new("s"), &text).unwrap();
    let path: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/credit/loans.parquet"].iter().collect();
    let table = read(&schema, &path).unwrap();
    assert_eq!((table.rows(), table.rows_read()), (49, 50));
    assert!((numbers(&table, 1)[3] - 3.0015).abs() < 1e-15);
    assert_eq!(numbers(&table, 2)[6..9], [6.0, 3.0, 8.0]);
    assert_eq!(numbers(&table, 3)[1..4], [0.1, 0.2, 0.3]);
    assert!(table.columns()[4] == Values::Levels((0..49).map(|i| i % 3).collect()));
    assert!(table.columns()[5] == Values::Booleans((0..49).map(|i| i % 2 == 0).collect()));
    assert_eq!(table.labels().unwrap(), (0..49).map(|i| i % 5 == 0).collect::<Vec<_>>());
    assert_eq!(table.keys().unwrap()[48], "c048");
    let dated = text.replace("name = \"rate\"", "name = \"when\"");
    let message = read(&Schema::parse(Path::new("s"), &dated).unwrap(), &path).unwrap_err().to_string();
    assert!(message.contains("the column `when` is of type Timestamp"), "{message}");
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn from_parquet(text: &str, bytes: &[u8]) -> Result<Table, TableError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    read_parquet(
        &Schema::parse(Path::new("s"), text).unwrap(),
        Path::new("loans.parquet"),
        File::open(file.path()).unwrap(),
    )
}

const SMALL: &str = r#"
format = 1
[[column]]
name = "income"
type = "number"
min = 0
max = 1000
[[column]]
name = "home"
type = "category"
levels = ["OWN", "RENT"]
"#;

#[test]
fn parquet_rows_are_judged_by_the_same_rules() {
    let home: ArrayRef = Arc::new(StringArray::from(vec![Some("OWN"), Some("HUT"), None]));
    let income: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(2000.0), Some(f64::INFINITY)]));
    let bytes = parquet(vec![("income", income), ("home", Arc::clone(&home))]);
    let message = from_parquet(SMALL, &bytes).unwrap_err().to_string();
    for part in [
        "5 values do not fit",
        "row 1, column `income`: the value is missing",
        "row 2, column `income`: 2000 is out of range",
        "row 2, column `home`: `HUT` is none of the levels",
        "row 3, column `income`: inf is no finite number",
        "row 3, column `home`: the value is missing",
    ] {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, i64::MAX]));
    let message = from_parquet(SMALL, &parquet(vec![("income", whole), ("home", home)])).unwrap_err().to_string();
    assert!(message.contains("row 3, column `income`: 9223372036854776000 is out of range"), "{message}");
}

/// Customers who are told apart by the last digit alone are not the same one.
#[test]
fn keys_of_many_digits_keep_them_all() {
    let keyed = SMALL.replace("type = \"number\"\nmin = 0\nmax = 1000", "type = \"key\"");
    let home: ArrayRef = Arc::new(StringArray::from(vec!["OWN", "RENT"]));
    let with = |keys: ArrayRef| from_parquet(&keyed, &parquet(vec![("income", keys), ("home", Arc::clone(&home))]));
    let unsigned = with(Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX - 1]))).unwrap();
    assert_eq!(unsigned.keys().unwrap(), ["18446744073709551615", "18446744073709551614"]);
    for (scale, unit) in [(0, 1), (2, 100)] {
        let ids = vec![12_345_678_901_234_567_890 * unit, 12_345_678_901_234_567_891 * unit];
        let decimal = Decimal128Array::from(ids).with_precision_and_scale(38, scale).unwrap();
        let table = with(Arc::new(decimal)).unwrap();
        assert_eq!(table.keys().unwrap(), ["12345678901234567890", "12345678901234567891"]);
    }
    let price = Decimal128Array::from(vec![1250, 99]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(with(Arc::new(price)).unwrap().keys().unwrap(), ["12.5", "0.99"]);
    // What a data frame makes of whole numbers beside a missing one, and other numbers that several may have been rounded to.
    let fraction = Decimal128Array::from(vec![100_000_000_000_000_001, 7]).with_precision_and_scale(38, 17).unwrap();
    let rounded: [ArrayRef; 3] = [
        Arc::new(Float64Array::from(vec![9_007_199_254_740_992.0, 7.0])),
        Arc::new(Float32Array::from(vec![16_777_216.0, 7.0])),
        Arc::new(fraction),
    ];
    for keys in rounded {
        let message = with(keys).unwrap_err().to_string();
        assert!(message.contains("row 1") && message.contains("write keys as whole numbers or as text"), "{message}");
        assert!(!message.contains("row 2"), "{message}");
    }
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![16_777_215.0, 7.0]));
    assert_eq!(with(floats).unwrap().keys().unwrap(), ["16777215", "7"]);
}

#[test]
fn decimals_are_numbers_as_they_are_written() {
    let decimal = Decimal128Array::from(vec![1250, 99_999]).with_precision_and_scale(10, 2).unwrap();
    let home: ArrayRef = Arc::new(StringArray::from(vec!["OWN", "RENT"]));
    let table = from_parquet(SMALL, &parquet(vec![("income", Arc::new(decimal)), ("home", home)])).unwrap();
    assert_eq!(numbers(&table, 0), [12.5, 999.99]);
}

#[test]
fn parquet_files_of_another_form_are_refused() {
    let home: ArrayRef = Arc::new(StringArray::from(vec!["OWN"]));
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]));
    let message =
        from_parquet(SMALL, &parquet(vec![("income", list), ("home", Arc::clone(&home))])).unwrap_err().to_string();
    assert!(message.contains("the column `income` is of type List"), "{message}");
    let message = from_parquet(SMALL, &parquet(vec![("home", Arc::clone(&home))])).unwrap_err().to_string();
    assert!(message.contains("no column `income`"), "{message}");
    let none: ArrayRef = Arc::new(Float64Array::from(Vec::<f64>::new()));
    let empty: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let message = from_parquet(SMALL, &parquet(vec![("income", none), ("home", empty)])).unwrap_err().to_string();
    assert!(message.contains("the file has no rows"), "{message}");
    for bytes in [&b"PAR1"[..], b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b""] {
        let message = from_parquet(SMALL, bytes).unwrap_err().to_string();
        assert!(message.contains("no sound Parquet file"), "{message}");
    }
}

#[test]
fn a_damaged_parquet_file_is_refused_or_read_but_never_ends_the_program() {
    let income: ArrayRef = Arc::new(Float64Array::from((0..300).map(f64::from).collect::<Vec<_>>()));
    let home: ArrayRef =
        Arc::new(StringArray::from((0..300).map(|i| if i % 3 == 0 { "OWN" } else { "RENT" }).collect::<Vec<_>>()));
    let bytes = parquet(vec![("income", income), ("home", home)]);
    assert_eq!(from_parquet(SMALL, &bytes).unwrap().rows(), 300);
    for cut in (0..bytes.len()).step_by(97) {
        assert!(from_parquet(SMALL, &bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in (4..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(table) = from_parquet(SMALL, &damaged) {
            assert!(table.rows() <= 300);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), with_header in any::<bool>()) {
        let mut csv = if with_header { HEADER.as_bytes().to_vec() } else { Vec::new() };
        csv.extend(&bytes);
        if let Ok(table) = table(&csv) {
            prop_assert!(table.rows() > 0);
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = Schema::parse(Path::new("s"), &text);
        let _ = Schema::parse(Path::new("s"), &SCHEMA.replacen("0.001", &text, 1));
        let _ = HeldOut::parse(Path::new("r"), bytes.as_slice());
    }

    #[test]
    fn whatever_separates_fields_rows_are_good_or_all_refused(row in "[ac1-5,\"\r\n .YNORWENT0-]{0,60}") {
        match table(format!("{HEADER}k,1,5,OWN,Y,0\n{row}")) {
            Ok(table) => for column in table.columns() {
                let length = match column {
                    Values::Numbers(v) => v.len(),
                    Values::Levels(v) => v.len(),
                    Values::Booleans(v) | Values::Labels(v) => v.len(),
                    Values::Keys(v) => v.len(),
                };
                prop_assert_eq!(length, table.rows());
            },
            Err(error) => prop_assert!(matches!(error, TableError::Rows { .. } | TableError::Broken { .. }), "{}", error),
        }
    }

    #[test]
    fn a_table_that_is_written_is_read_back(rows in prop::collection::vec((0.0..1e6f64, 0..60i32, 0..3u32, any::<bool>(), any::<bool>()), 1..40)) {
        let levels = ["OWN", "RENT", "MORTGAGE"];
        let flag = |b: bool, yes, no| if b { yes } else { no };
        let line = |(i, (income, years, home, employed, bad)): (usize, &(f64, i32, u32, bool, bool))| {
            format!("c{i},{income},{years},{},{},{}\r\n", levels[*home as usize], flag(*employed, "Y", "N"), flag(*bad, "1", "0"))
        };
        let table = table(HEADER.to_owned() + &rows.iter().enumerate().map(line).collect::<String>()).unwrap();
        prop_assert_eq!(numbers(&table, 1), rows.iter().map(|r| r.0 * 0.001).collect::<Vec<_>>());
        prop_assert_eq!(numbers(&table, 2), rows.iter().map(|r| f64::from(r.1)).collect::<Vec<_>>());
        prop_assert!(table.columns()[3] == Values::Levels(rows.iter().map(|r| r.2).collect()));
        prop_assert!(table.columns()[4] == Values::Booleans(rows.iter().map(|r| r.3).collect()));
        prop_assert_eq!(table.labels().unwrap(), rows.iter().map(|r| r.4).collect::<Vec<_>>());
    }
}
