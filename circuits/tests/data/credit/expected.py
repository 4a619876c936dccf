"""Writes expected.json: what NumPy, SciPy, scikit-learn and statsmodels say of a small sample of real loans.

    python3 -m venv venv && venv/bin/pip install numpy scipy pandas scikit-learn statsmodels
    venv/bin/python circuits/tests/data/credit/expected.py PATH/credit_risk_dataset.csv

The sample is 600 rows of the data set described in nodes/data/credit/README.md. The tests of the plain references compare
with the file; nothing runs Python when they do.
"""
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import brier_score_loss, confusion_matrix, log_loss, roc_auc_score, roc_curve
from sklearn.preprocessing import StandardScaler

COLUMNS = ["person_income", "person_emp_length", "loan_amnt", "loan_int_rate", "loan_percent_income"]

table = pd.read_csv(sys.argv[1]).dropna()
table = table[(table.person_age <= 100) & (table.person_emp_length <= 60)]
table = table.sample(n=600, random_state=5)
raw = table[COLUMNS].to_numpy(dtype=float)
y = table.loan_status.to_numpy()
scaler = StandardScaler().fit(raw)
x = scaler.transform(raw)
out = {"versions": {m.__name__: m.__version__ for m in (np, scipy, pd, sklearn, statsmodels)}}
out["columns"] = COLUMNS
out["raw"] = raw.tolist()
out["labels"] = y.tolist()
out["moments"] = {"mean": scaler.mean_.tolist(), "sd": scaler.scale_.tolist()}


def model(m):
    return {"intercept": float(np.ravel(m.intercept_)[0]), "weights": m.coef_[0].tolist()}


out["ridge"] = {str(l2): model(LogisticRegression(C=1 / l2, tol=1e-12, max_iter=10_000).fit(x, y)) for l2 in (1.0, 30.0)}
fit = sm.Logit(y, sm.add_constant(x)).fit(method="newton", tol=1e-13, maxiter=100, disp=False)
out["inference"] = {
    "coefficients": fit.params.tolist(),
    "standard_errors": fit.bse.tolist(),
    "z": fit.tvalues.tolist(),
    "p": fit.pvalues.tolist(),
    "log_likelihood": float(fit.llf),
}
# Plain stochastic descent, one row at a time in the order of the table.
sgd = SGDClassifier(loss="log_loss", penalty="l2", alpha=3.0 / len(y), learning_rate="constant", eta0=0.02, shuffle=False,
                    max_iter=7, tol=None).fit(x, y)
out["descent_rowwise"] = {"l2": 3.0, "rate": 0.02, "epochs": 7, **model(sgd)}

p = LogisticRegression(tol=1e-12, max_iter=10_000).fit(x, y).predict_proba(x)[:, 1]
p = np.round(np.round(p, 3) + 1e-4, 4)  # so that there are ties, and no score on the border of a bin
out["scores"] = p.tolist()
out["auc"] = float(roc_auc_score(y, p))
out["ks"] = float(stats.ks_2samp(p[y == 1], p[y == 0]).statistic)
out["log_loss"] = float(log_loss(y, p))
out["brier"] = float(brier_score_loss(y, p))
fpr, tpr, threshold = roc_curve(y, p, drop_intermediate=False)
out["roc"] = {"fpr": fpr.tolist(), "tpr": tpr.tolist(), "threshold": threshold[1:].tolist()}
tn, fp, fn, tp = confusion_matrix(y, p >= 0.3).ravel().tolist()
out["confusion"] = {"threshold": 0.3, "tn": tn, "fp": fp, "fn": fn, "tp": tp}
observed, predicted = calibration_curve(y, p, n_bins=10, strategy="uniform")
out["calibration"] = {"observed": observed.tolist(), "predicted": predicted.tolist()}
order = np.argsort(-p, kind="stable")
out["deciles"] = [
    {"rows": len(g), "bads": int(y[g].sum()), "mean": float(p[g].mean())} for g in np.array_split(order, 10)
]
# A histogram of 16 bins: its AUC is that of scores rounded down to their bin.
binned = np.minimum((p * 16).astype(int), 15)
out["histogram"] = {
    "bads": np.histogram(p[y == 1], bins=16, range=(0, 1))[0].tolist(),
    "goods": np.histogram(p[y == 0], bins=16, range=(0, 1))[0].tolist(),
    "auc": float(roc_auc_score(y, binned)),
    "ks": float(stats.ks_2samp(binned[y == 1], binned[y == 0]).statistic),
}

# Weight of evidence of each column in eight bins of equal frequency, as pandas cuts them; then merged until the rate is monotonic.
out["binning"] = []
for j, name in enumerate(COLUMNS):
    codes, edges = pd.qcut(raw[:, j], 8, labels=False, retbins=True, duplicates="drop")
    bads = pd.Series(y).groupby(codes).sum().to_numpy()
    rows = pd.Series(y).groupby(codes).count().to_numpy()
    goods = rows - bads
    woe = np.log((goods / goods.sum()) / (bads / bads.sum()))
    iv = ((goods / goods.sum() - bads / bads.sum()) * woe).sum()
    rising = bool(stats.spearmanr(raw[:, j], y).statistic > 0)
    iso = IsotonicRegression(increasing=rising).fit(np.arange(len(rows)), bads / rows, sample_weight=rows).predict(np.arange(len(rows)))
    block = np.concatenate([[0], np.cumsum(np.abs(np.diff(iso)) > 1e-12)])
    out["binning"].append({
        "column": name,
        "cuts": edges[1:-1].tolist(),
        "goods": goods.tolist(),
        "bads": bads.tolist(),
        "woe": woe.tolist(),
        "iv": float(iv),
        "rising": rising,
        "merged_bads": [int(bads[block == b].sum()) for b in range(block[-1] + 1)],
        "merged_goods": [int(goods[block == b].sum()) for b in range(block[-1] + 1)],
    })

# The stability index is the symmetric relative entropy of the two distributions.
expected, actual = np.array([60, 90, 120, 150, 180]), np.array([40, 100, 130, 130, 200])
e, a = expected / expected.sum(), actual / actual.sum()
out["stability"] = {"expected": expected.tolist(), "actual": actual.tolist(), "psi": float(stats.entropy(a, e) + stats.entropy(e, a))}
z = [0.0, 1e-3, 0.3, 1.0, 1.959963984540054, 2.5, 3.9, 6.0, 12.0, 30.0]
out["normal_tail"] = [{"z": v, "p": float(2 * stats.norm.sf(v))} for v in z]

path = Path(__file__).with_name("expected.json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes")
