"""Writes held_out_rows.txt and expected.json: the split, and what scikit-learn makes of it.

    python3 -m venv venv && venv/bin/pip install pandas scikit-learn
    venv/bin/python nodes/data/credit/expected.py
"""
import json
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

here = Path(__file__).parent
table = pd.read_csv(here / "credit_risk_dataset.csv")
table.index += 1  # the first row below the header is row 1
table = table.dropna()
table = table[(table.person_age <= 100) & (table.person_emp_length <= 60)]
x = pd.get_dummies(table.drop(columns="loan_status"), prefix_sep="=").astype(float)
y = table.loan_status
train, test, y_train, y_test = train_test_split(x, y, test_size=12_404, stratify=y, random_state=0)
scaler = StandardScaler().fit(train)
model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(scaler.transform(train), y_train)
logits = model.decision_function(scaler.transform(test))
(here / "held_out_rows.txt").write_text("".join(f"{row}\n" for row in sorted(test.index)))
expected = {
    "rows": len(x),
    "features": len(x.columns),
    "held_out": len(test),
    "held_out_bad": int(y_test.sum()),
    "accuracy": float(((logits > 0) == y_test).mean()),
    "auc": float(roc_auc_score(y_test, logits)),
    "largest_logit": float(abs(logits).max()),
    "intercept": float(model.intercept_[0]),
    "weights": dict(zip(x.columns, model.coef_[0].tolist())),
    "mean": dict(zip(x.columns, scaler.mean_.tolist())),
    "sd": dict(zip(x.columns, scaler.scale_.tolist())),
}
(here / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
