"""Writes loans.parquet with pandas and pyarrow: 50 rows of the types that data frames hold.

    python3 -m venv venv && venv/bin/pip install pandas pyarrow
    venv/bin/python nodes/tests/data/credit/parquet.py
"""
from pathlib import Path

import numpy as np
import pandas as pd

n = np.arange(50)
pd.DataFrame({
    "customer": [f"c{i:03}" for i in n],
    "income": n * 1000.5,
    "rate": (n / 10).astype(np.float32),
    "years": pd.array([None if i == 7 else i for i in n], dtype="Int16"),
    "home": pd.Categorical(np.array(["OWN", "RENT", "MORTGAGE"])[n % 3]),
    "employed": n % 2 == 0,
    "when": pd.Timestamp("2026-01-01"),
    "defaulted": (n % 5 == 0).astype(np.int64),
}).to_parquet(Path(__file__).with_name("loans.parquet"), index=False)
