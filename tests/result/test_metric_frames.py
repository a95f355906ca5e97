"""Metrics as frames: of every slice and along a curve, as scikit-learn has them on the same examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mlflow_sensie import Result, probe
from mlflow_sensie.tracking.artifacts import bins_table

N = 300


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=N), "site": rng.choice(["N", "S"], N)})


def model(X: Any) -> NDArray[np.float64]:
    p = 1 / (1 + np.exp(-np.asarray(X["a"], dtype=np.float64)))
    return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def targets() -> NDArray[np.intp]:
    return np.random.default_rng(1).binomial(1, model(frame())[:, 1])


@pytest.fixture(scope="module")
def result(targets: NDArray[np.intp]) -> Result:
    X = frame()
    recipe = {
        "properties": [{"name": "a", "of": "a", "bins": 4}, "site"],
        "perturbations": [{"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, 0, 1]}],
        "slices": ["site"],
    }
    return probe(model, X[["a"]], targets, recipe, metadata=X[["site"]])


def test_slices(result: Result, targets: NDArray[np.intp]) -> None:
    table = result.metrics_frame().set_index(["column", "level", "metric"])
    p, sites = model(frame())[:, 1], frame()["site"]
    rows: dict[tuple[str, str], Any] = {("", ""): np.ones(N, bool)}
    rows |= {("site", site): (sites == site).to_numpy() for site in ("N", "S")}
    assert len(table) == 3 * len(rows)
    for (column, level), some in rows.items():
        auc = table.loc[(column, level, "roc_auc")]
        assert auc["value"] == pytest.approx(roc_auc_score(targets[some], p[some]), abs=1e-9)
        assert auc["lo95"] < auc["value"] < auc["hi95"] and (auc["n"], auc["no_skill"]) == (some.sum(), 0.5)
        balanced = table.loc[(column, level, "balanced_accuracy")]
        assert balanced["value"] == pytest.approx(balanced_accuracy_score(targets[some], p[some] > 0.5), abs=1e-9)


@pytest.mark.parametrize("name", ["a", "site", "shift"])
def test_curves_have_a_row_per_bin(result: Result, name: str) -> None:
    test = result.tests[name]
    table = test.metric_curves
    assert set(table["metric"]) == {"skill", "roc_auc", "balanced_accuracy"}
    for _, rows in table.groupby("metric"):
        assert rows["bin"].sort_values().tolist() == list(range(len(test.curve)))
        assert rows.sort_values("bin")["p"].tolist() == test.curve["p"].tolist()


def test_a_curve_is_of_the_examples_of_its_bins(result: Result, targets: NDArray[np.intp]) -> None:
    p, a = model(frame())[:, 1], frame()["a"]
    auc = result.tests["a"].metric_curves.query("metric == 'roc_auc'").sort_values("bin")["value"].tolist()
    bins = pd.qcut(a, 4, labels=False)
    assert auc == pytest.approx([roc_auc_score(targets[bins == k], p[bins == k]) for k in range(4)], abs=1e-9)
    swept = result.tests["shift"].metric_curves.query("metric == 'roc_auc'").set_index("p")["value"]
    assert swept[0.0] == pytest.approx(roc_auc_score(targets, p), abs=1e-9)


def test_the_table_of_bins_has_a_column_per_metric(result: Result) -> None:
    table = bins_table(result)
    for test in result.tests.values():
        rows, curves = table[table["test"] == test.name].reset_index(drop=True), test.metric_curves
        for name in test.metric_fits:
            own = curves[curves["metric"] == name].set_index("bin")["value"]
            assert rows[name].dropna().to_dict() == own.to_dict()
