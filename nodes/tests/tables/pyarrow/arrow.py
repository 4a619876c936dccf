"""Writes tables for `trefoil credit share`, and reads what `trefoil credit fetch` and the nodes have written. pyarrow shares no code with either."""

import pathlib
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

ROWS = 300


def customers():
    rows = range(ROWS)
    return pa.table(
        {
            "customer": pa.array([f"c{k}" for k in rows]),
            "income": pa.array([None if k % 50 == 7 else 1000 + 13.25 * k for k in rows], pa.float64()),
            "home": pa.array([["OWN", "RENT", "MORTGAGE"][k % 3] for k in rows]).dictionary_encode(),
            "late": pa.array([k % 5 for k in rows], pa.int8()),
            "defaulted": pa.array([k % 4 == 0 for k in rows]),
        }
    )


def write(directory):
    table = customers()
    for suffix, new in (("arrow", pa.ipc.new_file), ("arrows", pa.ipc.new_stream)):
        with new(directory / f"customers.{suffix}", table.schema) as sink:
            sink.write_table(table, max_chunksize=77)
    plain = table.set_column(2, "home", table["home"].cast(pa.string()))
    pa.parquet.write_table(plain, directory / "customers.parquet")


def read(path):
    if path.suffix == ".arrow":
        return pa.ipc.open_file(path).read_all()
    if path.suffix == ".arrows":
        return pa.ipc.open_stream(path).read_all()
    if path.suffix == ".parquet":
        return pa.parquet.read_table(path)
    return pa.csv.read_csv(path)


def check(directory):
    files = sorted(directory.glob("from-*"))
    tables = [read(path) for path in files]
    assert len(files) == 12, files
    for path, table in zip(files, tables):
        # Six rows have no income, and are left out; labels are the last column.
        table.validate(full=True)
        assert table.num_rows == ROWS - 6, (path, table.num_rows)
        for column, other in zip(table.columns, tables[0].columns):
            values = [float(x) for x in column.to_pylist()]
            assert values == [float(x) for x in other.to_pylist()], (path, table.schema)
    labels = [k % 4 == 0 for k in range(ROWS) if k % 50 != 7]
    assert tables[0].columns[-1].to_pylist() == labels

    # What the nodes send, put together by hand.
    shares = [pa.ipc.open_stream(directory / f"shares-{party}.arrows").read_all() for party in range(3)]
    whole = read(directory / "from-arrow.arrow")
    for party, share in enumerate(shares):
        share.validate(full=True)
        assert share.schema.metadata[b"trefoil:party"] == str(party).encode()
        assert share.schema.metadata[b"trefoil:mark"] == shares[0].schema.metadata[b"trefoil:mark"]
    for name in whole.column_names:
        own = [share[f"{name}.own"].to_pylist() for share in shares]
        for party in range(3):
            assert shares[party][f"{name}.next"].to_pylist() == own[(party + 1) % 3], name
        values = whole[name].to_pylist()
        if whole.schema.field(name).type == pa.bool_():
            assert [a ^ b ^ c for a, b, c in zip(*own)] == values, name
        else:
            unit = 1 if whole.schema.field(name).type == pa.uint64() else 2**20
            for parts, value in zip(zip(*own), values):
                total = sum(parts) % 2**64
                assert total == int(value * unit) % 2**64, name
    print(f"pyarrow {pa.__version__} has read {len(files)} files and three streams of shares")


{"write": write, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
