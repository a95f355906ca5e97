"""Other questions to what a score table keeps: as a new evaluation answers them, and no model is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import fbeta_score

from mlflow_sensie import Result, probe
from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.evaluation import conductor
from mlflow_sensie.tracking.artifacts import read_folder, write_files

N = 160
Model = Callable[[Any], NDArray[Any]]
SWEEPS = [
    {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1, 2]},
    {"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, 0, 1]},
]
RECIPE: dict[str, Any] = {
    "properties": ["a", {"name": "b", "of": "b", "bins": 5, "rank": True}, "site", "model.confidence"],
    "perturbations": SWEEPS,
    "class_test": True,
    "slices": ["site", {"column": "b", "bins": 2}],
    "interactions": [["a", "noise"]],
    "calibration": True,
}


def data(classes: int = 2, seed: int = 0) -> tuple[pd.DataFrame, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.gamma(2, size=N), "c": rng.normal(size=N)})
    signal = X["a"] + 0.5 * X["b"] + rng.normal(size=N)
    y = np.asarray(pd.qcut(signal, classes, labels=False))
    return X.assign(site=rng.choice(["N", "S", "W"], size=N)), y


def logits(X: Any, classes: int) -> NDArray[np.float64]:
    signal = np.asarray(X["a"] + 0.5 * X["b"], dtype=np.float64) - 1
    scores = -((signal[:, None] - np.linspace(-1.2, 1.2, classes)) ** 2)
    odds = np.exp(scores)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def classifier(classes: int) -> Model:
    return lambda X: logits(X, classes)


def labels(X: Any) -> NDArray[Any]:
    return logits(X, 2).argmax(axis=1)


def number(X: Any) -> NDArray[Any]:
    return np.asarray(np.exp(X["a"] + 0.5 * X["b"]))


def broken(X: Any, p: float) -> Any:
    raise ValueError("not today")


def evaluated(model: Model, X: pd.DataFrame, y: NDArray[Any], recipe: dict[str, Any]) -> Result:
    own = X.drop(columns="site")
    columns = [column for column in ("site",) if column in X]
    return probe(model, own, y, recipe, metadata=X[columns])


@pytest.fixture(scope="module")
def binary() -> Result:
    return evaluated(classifier(2), *data(), RECIPE)


def regression(**changes: Any) -> Result:
    X, _ = data()
    y = number(X) * np.random.default_rng(1).lognormal(0, 0.3, N)
    return evaluated(number, X, y, {"properties": ["a"], "perturbations": SWEEPS, **changes})


def own_score(predictions: Any, targets: Any) -> NDArray[np.float64]:
    return 1 - np.abs(np.asarray(predictions)[:, 1] - targets)


CASES: dict[str, Callable[[], Result]] = {
    "two classes": lambda: evaluated(classifier(2), *data(), RECIPE),
    "three classes": lambda: evaluated(classifier(3), *data(3), RECIPE),
    "thirty classes": lambda: evaluated(classifier(30), *data(30), {**RECIPE, "class_test": False}),
    "labels": lambda: evaluated(labels, *data(), {"properties": ["a", "site"], "perturbations": SWEEPS}),
    "numbers": regression,
    "squared": lambda: regression(score="neg_squared_error"),
    "quantile": lambda: regression(score={"quantile": 0.9}),
    "own score": lambda: evaluated(classifier(2), *data(), {"score": own_score, "perturbations": SWEEPS}),
    "own metric": lambda: evaluated(classifier(2), *data(), {"metrics": [METRIC], "perturbations": SWEEPS}),
    "balanced": lambda: evaluated(classifier(2), *data(), {**RECIPE, "weights": "balanced"}),
    "weights, clusters": lambda: evaluated(classifier(2), *data(), {**RECIPE, "weights": "b", "cluster": "site"}),
    "exact": lambda: evaluated(classifier(2), *data(), {"perturbations": SWEEPS, "inference": {"engine": "exact"}}),
    "precise": lambda: evaluated(classifier(2), *data(), {**RECIPE, "precision": 0.5}),
    "threshold": lambda: evaluated(classifier(2), *data(), {**RECIPE, "score": {"threshold": 0.3}}),
    "a test that failed": lambda: evaluated(
        classifier(2), *data(),
        {"on_error": "record", "perturbations": [*SWEEPS, {"name": "x", "apply": broken, "magnitudes": [1, 2]}]},
    ),
}  # fmt: skip


def f2(targets: Any, predictions: Any, sample_weight: Any) -> float:
    return float(fbeta_score(targets, predictions > 0.5, beta=2, sample_weight=sample_weight))


METRIC = {"name": "f2", "function": f2}


@pytest.mark.parametrize("name", CASES)
def test_no_change_changes_nothing(name: str) -> None:
    result = CASES[name]()
    again = result.refit()
    assert again.to_json() == result.to_json()
    assert again.refit({}).to_json() == result.to_json()


@pytest.mark.parametrize("name", ["two classes", "numbers", "precise", "a test that failed", "thirty classes"])
def test_nor_where_it_was_read_back(name: str, tmp_path: Path) -> None:
    result = CASES[name]()
    write_files(result, tmp_path)
    read = read_folder(tmp_path)
    assert read.refit().to_json() == result.to_json()


CHANGES: dict[str, dict[str, Any]] = {
    "rope": {"inference": {"rope": 0.1}},
    "fit range, polynomial": {"inference": {"rope": 0.02, "fit_range": [0, 1], "polynomial": 2}},
    "family": {"inference": {"rope": 0.02, "family": True}},
    "engine": {"inference": {"rope": 0.02, "engine": "exact"}},
    "allowed drop": {"allowed_drop": {"absolute": 0.05}},
    "bins": {"properties": [{"name": "a", "bins": 4}, {"name": "b", "bins": "none", "rank": False}],
             "interactions": False},
    "another order": {"properties": ["site", "a"], "interactions": True},
    "a test less": {"perturbations": ["noise"]},
    "its own fit range": {"perturbations": [{"name": "noise", "fit_range": [0.5, 2]}, "shift"]},
    "no class test, fewer slices": {"class_test": False, "slices": [{"column": "b", "bins": 2}]},
    "no slices": {"slices": False},
    "no mix": {"adjust": "none"},
    "metrics": {"metrics": ["recall", {"name": "precision", "of": 1}, "log_loss", METRIC]},
    "score": {"score": "neg_log_loss"},
    "a score with a parameter": {"score": {"threshold": 0.7}, "metrics": ["f1"]},
    "correctness": {"score": "correct"},
    "keys": {"keys": "all"},
}  # fmt: skip


def written_out(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes as a recipe has them: tests that are given by name as they were."""
    specs = {spec["name"]: spec for spec in (*SWEEPS, {"name": "a", "of": "a"}, {"name": "site", "of": "site"})}
    specs["b"] = {"name": "b", "of": "b", "bins": 5, "rank": True}
    names = {key: [{"name": t} if isinstance(t, str) else t for t in changes[key]]
             for key in ("properties", "perturbations") if key in changes}  # fmt: skip
    return {**changes, **{key: [{**specs[t["name"]], **t} for t in tests] for key, tests in names.items()}}


def alike(a: Any, b: Any, tolerance: float) -> None:
    """Hold two results' plain values against each other: numbers to a tolerance, everything else exactly."""
    assert type(a) is type(b) or {type(a), type(b)} <= {int, float}
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:  # the last quantile of a spread is all but infinite, and makes much of a rounding
            last = -1 if key == "quantiles" and tolerance else None
            alike(*((a[key][:last], b[key][:last]) if last else (a[key], b[key])), tolerance)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for ours, theirs in zip(a, b, strict=True):
            alike(ours, theirs, tolerance)
    elif isinstance(a, float) and tolerance:
        assert a == pytest.approx(b, rel=tolerance, abs=tolerance, nan_ok=True)
    else:
        assert a == b or (a != a and b != b)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_answered_as_a_new_evaluation_answers_it(binary: Result, name: str) -> None:
    changes = CHANGES[name]
    fresh = evaluated(classifier(2), *data(), {**RECIPE, **written_out(changes)})
    again = binary.refit(changes)
    rescored = "score" in changes  # of two classes the second one's probability is kept: 1 − p is not the other's p
    skip = {"seconds", "n_predictions", "n_planned", "data_sha256", "recipe_yaml", "recipe_sha256"}
    alike(again.model_dump(mode="json", exclude=skip), fresh.model_dump(mode="json", exclude=skip), 1e-9 * rescored)
    assert again.metrics.keys() == fresh.metrics.keys()
    assert again.score_table is not None and again.score_table.metadata["score"] == fresh.score.kind
    if METRIC not in changes.get("metrics", []):
        assert again.recipe_sha256 == fresh.recipe_sha256


@pytest.mark.parametrize(
    "score", ["neg_squared_error", "neg_relative_error", "neg_log_error", {"quantile": 0.8}], ids=str
)
def test_so_is_a_regressors(score: Any) -> None:
    again, fresh = (
        regression().refit(score=score, metrics=["mae", "r2"]),
        regression(score=score, metrics=["mae", "r2"]),
    )
    skip = {"seconds", "recipe_yaml", "warnings"}
    alike(again.model_dump(mode="json", exclude=skip), fresh.model_dump(mode="json", exclude=skip), 0)
    assert again.recipe["inference"]["rope"] == fresh.recipe["inference"]["rope"]


def test_there_and_back_again(binary: Result) -> None:
    one = binary.refit(score="neg_brier_score", metrics=["mcc"]).refit({"inference": {"rope": 0.3}})
    other = binary.refit({"inference": {"rope": 0.3}}, score="neg_brier_score", metrics=["mcc"])
    assert one.to_json() == other.to_json()
    back = other.refit({"inference": binary.recipe["inference"]}, score="probability")
    alike(back.model_dump(mode="json")["clean"], binary.model_dump(mode="json")["clean"], 1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "'seed' is about what the model is asked"),
        ({"weights": "a"}, "'weights' is about what the model is asked"),
        ({"ropes": 1}, "unknown key 'ropes'"),
        ({"properties": ["c"]}, "properties: no scores of 'c' were kept; there are: a, b, site, model.confidence"),
        ({"perturbations": ["nois"]}, r"perturbations: no scores of 'nois' were kept \(did you mean 'noise'\?\)"),
        ({"perturbations": [{"name": "noise", "magnitudes": [0, 9]}]}, "'noise' was made with another 'magnitudes'"),
        ({"properties": [{"name": "a", "of": "b"}]}, "'a' was made with another 'of'"),
        ({"slices": ["a"]}, "slices: 'a' was not kept; there are: site, b"),
        ({"slices": [{"column": "b", "bins": 3}]}, "slices: 'b' was not kept with these bins"),
        ({"score": lambda predictions, targets: targets}, "score: a function of one's own"),
        ({"score": "neg_absolute_error"}, "score: 'neg_absolute_error' needs numbers, and the score table has prob"),
        ({"metrics": ["r2"]}, "metrics: 'r2' needs numbers"),
        ({"metrics": ["roc_aux"]}, "roc_aux"),
        ({"inference": {"engine": "robots"}}, "inference.engine"),
        ({"properties": [], "perturbations": [], "class_test": False, "interactions": False}, "no test is left"),
        ({"perturbations": ["shift"]}, "interactions"),
        ({"perturbations": [{"name": "noise", "fit_range": [7, 8]}, "shift"]}, "fewer than two points of a side"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",  # functions have no name that stays
)
def test_what_was_not_kept_is_refused_by_name(binary: Result, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        binary.refit(changes)


def test_what_to_keep_next_time_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    many = CASES["thirty classes"]()
    with pytest.raises(RecipeError, match="set keep: predictions next time"):
        many.refit(score="neg_log_loss")
    whole = evaluated(classifier(30), *data(30), {"perturbations": SWEEPS, "keep": "predictions"})
    assert whole.refit(score="neg_log_loss").score.kind == "neg_log_loss"
    monkeypatch.setattr(conductor, "MOST_OUTPUT_BYTES", N * 6 * 30 * 8 - 1)
    less = evaluated(classifier(30), *data(30), {"perturbations": SWEEPS, "keep": "predictions"})
    assert any("what score and metrics need is kept of them" in text for text in less.warnings)
    assert not any("is kept of them" in text for text in whole.warnings)
    with pytest.raises(RecipeError, match="set keep: predictions next time"):
        less.refit(score="neg_log_loss")
    assert many.refit(metrics=["f1"]).metric_estimates.keys() >= {"f1"}
    only_labels = CASES["labels"]()
    with pytest.raises(RecipeError, match="labels alone"):
        only_labels.refit(score="probability")
    with pytest.raises(RecipeError, match="class_test: the classes were not kept"):
        only_labels.refit({"class_test": True})


def test_without_a_table_nothing_can_be_asked(binary: Result, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no score table"):
        Result.from_json(binary.to_json()).refit()
    own = CASES["own metric"]()
    write_files(own, tmp_path)
    read = read_folder(tmp_path)
    with pytest.raises(RecipeError, match="the function of 'f2' is not in a result that was read back"):
        read.refit({"inference": {"rope": 0.1}})
    assert read.refit(metrics=[METRIC]).metric_estimates["f2"] == own.metric_estimates["f2"]
    old = binary.model_copy(update={"schema_version": 1})
    old._score_table = binary.score_table
    with pytest.raises(DataError, match="evaluate it again"):
        old.refit()


def test_no_model_is_asked_and_the_original_stays(binary: Result) -> None:
    before = binary.to_json()
    asked: list[int] = []

    def model(X: Any) -> NDArray[Any]:
        asked.append(len(X))
        return logits(X, 2)

    result = evaluated(model, *data(), {"perturbations": SWEEPS})
    n = len(asked)
    again = result.refit({"inference": {"rope": 0.3}}, score="correct", metrics=["mcc"])
    assert len(asked) == n and set(again.metric_estimates) == {"skill", "mcc"}
    assert set(result.metric_estimates) == {"skill", "roc_auc", "balanced_accuracy"}
    assert result.score_table is not None and result.score_table.metadata["score"] == "probability"
    binary.refit(score="correct")
    assert binary.to_json() == before
