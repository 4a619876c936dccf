use super::*;
use crate::{
    job::Limits,
    tables::{Arrival, ColumnSpec, Incoming, TableSpec, UploadId},
};

const COLUMNS: [(&str, RingKind); 4] =
    [("a", RingKind::Z16), ("b", RingKind::Bits), ("c", RingKind::Z64), ("d", RingKind::Bits)];

fn key() -> TableKey {
    TableKey { owner: "bank".parse().expect("a name"), name: "t".parse().expect("a name"), version: 1 }
}

fn spec(rows: u64) -> TableSpec {
    let column = |(name, ring): (&str, RingKind)| ColumnSpec { name: name.parse().expect("a name"), ring };
    let upload = UploadId::from([9; 16]);
    TableSpec { upload, rows, columns: COLUMNS.map(column).to_vec(), permits: Vec::new(), expires: None }
}

/// A table of bytes that are told apart.
fn stored(rows: u64, provenance: Provenance) -> (Arc<TableStore>, Arc<StoredTable>) {
    let store = TableStore::in_memory(Limits::default());
    let n = spec(rows).component_bytes().expect("good");
    let component = |of: usize| Zeroizing::new((0..n).map(|k| (k * 31 + k / 256 + of) as u8).collect::<Vec<_>>());
    let Ok(Arrival::New(arriving)) = store.begin(&key(), spec(rows), 2 * n as u64) else { panic!("room") };
    let table = arriving.of_provenance(provenance).store_now([component(0), component(100)]).expect("stored");
    (store, table)
}

fn open(store: &Arc<TableStore>, start: Start) -> Result<Outgoing, OutgoingFault> {
    Outgoing::open(store, &key(), Party::P1, start)
}

fn bytes(buffers: &[Buffer]) -> Vec<u8> {
    buffers.iter().flat_map(Buffer::as_slice).copied().collect()
}

/// The batches of a stream that comes in parts of so many bytes.
fn read(stream: &[u8], part: usize) -> (ShareHeader, Vec<(u64, RecordBatch)>) {
    let (mut incoming, mut batches) = (Incoming::default(), Vec::new());
    for part in stream.chunks(part) {
        incoming.push(Bytes::copy_from_slice(part));
        while let Some(batch) = incoming.batch().expect("a stream of shares") {
            batches.push(batch);
        }
    }
    (incoming.header().expect("a header").clone(), batches)
}

#[test]
fn what_goes_out_is_what_is_stored_in_batches_of_bounded_size() {
    // Two batches and a word, and one row.
    let rows = 2 * rows_at_once(COLUMNS.iter().map(|(_, ring)| *ring)) + 65;
    let (store, table) = stored(rows, Provenance::Uploaded);
    for (from, part, count) in [(0, 65_536, 4), (128, 997, 3)] {
        let batches: Vec<_> = open(&store, Start { from, mark: None }).expect("there").map(Result::unwrap).collect();
        assert_eq!(batches.len(), count, "those of rows, and the end");
        assert!(batches.iter().all(|batch| bytes(batch).len() as u64 <= BATCH + (8 << 10)));
        let (header, read) = read(&bytes(&batches.concat()), part);
        let epoch = table.content().epoch();
        assert_eq!((header.rows, header.from, header.party), (rows, from, Party::P1));
        assert_eq!(header.mark, Sha256Hex(epoch.mark(table.digest())));
        assert_eq!(header.columns, spec(rows).columns);
        let (mut end, content) = (from, table.content());
        for (first, batch) in read {
            assert_eq!(first, end);
            end += batch.num_rows() as u64;
            for (k, (_, ring)) in COLUMNS.into_iter().enumerate() {
                for c in 0..2 {
                    let column = &content.component(c)[table.range(k)];
                    assert_eq!(batch.column(2 * k + c), &array(ring, column, &(first..end)), "{k}, {first}");
                }
            }
        }
        assert_eq!(end, rows);
    }
    assert_eq!(array(RingKind::Z16, &[1, 2, 3, 4], &(0..2)).as_ref(), &UInt16Array::from(vec![0x201, 0x403]));
    let bits = [0b101, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0];
    let set = BooleanArray::from((0..65).map(|k| [0, 2, 63, 64].contains(&k)).collect::<Vec<_>>());
    assert_eq!(array(RingKind::Bits, &bits, &(0..65)).as_ref(), &set);
    assert_eq!(array(RingKind::Bits, &bits, &(64..65)).as_ref(), &BooleanArray::from(vec![true]));
}

#[test]
fn what_is_not_there_or_not_for_its_owner_is_refused() {
    let (store, table) = stored(130, Provenance::Uploaded);
    for from in [1, 63, 130, 192, u64::MAX] {
        let refused = open(&store, Start { from, mark: None }).expect_err("no batch begins there");
        assert_eq!(refused, OutgoingFault::Row { from, rows: 130 });
    }
    let mark = Some(Sha256Hex(table.content().epoch().mark(table.digest())));
    assert!(open(&store, Start { from: 128, mark }).is_ok());
    let other = open(&store, Start { from: 128, mark: Some(Sha256Hex([0; 32])) });
    assert_eq!(other.expect_err("another epoch"), OutgoingFault::Renewed(Box::new(key())));
    // Deleted while it goes out.
    let mut outgoing = open(&store, Start::default()).expect("there");
    let kept = Arc::downgrade(&table);
    drop(table);
    assert!(store.delete_now(&key(), None));
    assert!(kept.upgrade().is_none(), "whoever is slow keeps no table");
    assert_eq!(outgoing.next().map(Result::err), Some(Some(OutgoingFault::Missing(Box::new(key())))));
    assert!(outgoing.next().is_none());
    assert_eq!(open(&store, Start::default()).expect_err("gone"), OutgoingFault::Missing(Box::new(key())));
    let (store, _) = stored(130, Provenance::default());
    assert_eq!(open(&store, Start::default()).expect_err("a job's"), OutgoingFault::Computed(Box::new(key())));
}

#[test]
fn a_node_that_sends_anything_is_refused() {
    let (store, _) = stored(640, Provenance::Uploaded);
    let stream = bytes(&open(&store, Start::default()).expect("there").flat_map(Result::unwrap).collect::<Vec<_>>());
    let fault = |stream: &[u8]| {
        let mut incoming = Incoming::default();
        incoming.push(Bytes::copy_from_slice(stream));
        loop {
            match incoming.batch() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(fault) => return Some(fault),
            }
        }
    };
    assert_eq!(fault(&stream), None);
    assert_eq!(fault(&stream[..stream.len() / 2]), None, "the rest may come");
    // A message that claims to be longer than any.
    let endless = [&[0xff; 4][..], &(i32::MAX).to_le_bytes(), &vec![0; MOST_OF_A_STREAM]].concat();
    assert!(fault(&endless).is_some_and(|fault| fault.contains("more than")));
    // The batch a second time.
    let again = [&stream[..stream.len() - 8], &stream[stream.len() - 8 - batch_bytes(&store)..]].concat();
    assert_eq!(fault(&again).as_deref(), Some("more rows than the table has"));
    let garbage = [&[0xff; 4][..], &16_u32.to_le_bytes(), &[7; 64]].concat();
    assert!(fault(&garbage).is_some_and(|fault| fault.contains("no Arrow stream")));
}

/// More than a batch may have.
const MOST_OF_A_STREAM: usize = 17 << 20;

/// Bytes of the one batch of a table.
fn batch_bytes(store: &Arc<TableStore>) -> usize {
    let mut outgoing = open(store, Start::default()).expect("there");
    let empty = StreamEncoder::try_new(&outgoing.schema).expect("a schema").finish().expect("an end");
    // The schema comes with the first batch; the end has eight bytes.
    bytes(&outgoing.next().expect("a batch").expect("good")).len() - (bytes(&empty).len() - 8)
}
