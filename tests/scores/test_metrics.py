"""Metrics: values are scikit-learn's on the same predictions, and influences are what a change of weight does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from mlflow_sensie.scores import metric_functions as module
from mlflow_sensie.scores.metric_functions import Truth, Undefined
from mlflow_sensie.scores.metrics import METRICS, SKILLS, Metric

CLASSIFIERS = [metric for metric in METRICS.values() if metric.task == "classifier"]
REGRESSORS = [metric for metric in METRICS.values() if metric.task == "regressor"]


def average(k: int) -> dict[str, str]:
    """How scikit-learn averages: the positive class of two, else macro."""
    return {"average": "binary" if k == 2 else "macro"}


def of_two(k: int, p: np.ndarray) -> np.ndarray:
    return p[:, 1] if k == 2 else p


REFERENCES: dict[str, Callable[..., float]] = {
    "roc_auc": lambda y, p, d, w, k: sk.roc_auc_score(y, of_two(k, p), sample_weight=w, multi_class="ovr"),
    "average_precision": lambda y, p, d, w, k: sk.average_precision_score(y, of_two(k, p), sample_weight=w),
    "accuracy": lambda y, p, d, w, k: sk.accuracy_score(y, d, sample_weight=w),
    "balanced_accuracy": lambda y, p, d, w, k: sk.balanced_accuracy_score(y, d, sample_weight=w),
    "f1": lambda y, p, d, w, k: sk.f1_score(y, d, sample_weight=w, zero_division=0, **average(k)),
    "precision": lambda y, p, d, w, k: sk.precision_score(y, d, sample_weight=w, zero_division=0, **average(k)),
    "recall": lambda y, p, d, w, k: sk.recall_score(y, d, sample_weight=w, zero_division=0, **average(k)),
    "mcc": lambda y, p, d, w, k: sk.matthews_corrcoef(y, d, sample_weight=w),
    "log_loss": lambda y, p, d, w, k: sk.log_loss(y, p, sample_weight=w, labels=range(k)),
    "brier": lambda y, p, d, w, k: sk.brier_score_loss(y, of_two(k, p), sample_weight=w, labels=range(k)),
    "rmse": lambda y, p, d, w, k: sk.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, d, w, k: sk.mean_absolute_error(y, p, sample_weight=w),
    "mape": lambda y, p, d, w, k: sk.mean_absolute_percentage_error(y, p, sample_weight=w),
    "pinball": lambda y, p, d, w, k: sk.mean_pinball_loss(y, p, sample_weight=w),
    "r2": lambda y, p, d, w, k: sk.r2_score(y, p, sample_weight=w),
}  # fmt: skip


def classified(k: int, n: int = 300, *, ties: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, k])
    y = rng.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
    p = rng.dirichlet(np.ones(k), n) + 0.8 * np.eye(k)[y] * rng.random((n, 1))
    p /= p.sum(axis=1, keepdims=True)
    return y, np.round(p * 5) / np.round(p * 5).sum(axis=1, keepdims=True) if ties else p


def predictions_for(metric: Metric, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return p if metric.needs in ("probabilities", "numbers") else p.argmax(axis=1)


def weights_of(n: int, kind: str) -> np.ndarray | None:
    return None if kind == "alike" else np.random.default_rng(5).lognormal(size=n)


@pytest.mark.parametrize("weighting", ["alike", "weighted"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("metric", [m for m in CLASSIFIERS if m.name != "ece"], ids=lambda metric: metric.name)
def test_values_of_classifiers_are_those_of_scikit_learn(metric: Metric, k: int, ties: bool, weighting: str) -> None:
    y, p = classified(k, ties=ties)
    w = weights_of(len(y), weighting)
    value, influence = metric.function(predictions_for(metric, y, p), Truth(y, k, weights=w))
    assert value == pytest.approx(REFERENCES[metric.name](y, p, p.argmax(axis=1), w, k), abs=1e-9)
    assert np.average(influence, weights=w) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("weighting", ["alike", "weighted"])
@pytest.mark.parametrize("metric", REGRESSORS, ids=lambda metric: metric.name)
def test_values_of_regressors_are_those_of_scikit_learn(metric: Metric, weighting: str) -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(3, 2, 200)
    predicted, w = y + rng.normal(size=200), weights_of(200, weighting)
    value, influence = metric.function(predicted, Truth(y, weights=w))
    assert value == pytest.approx(REFERENCES[metric.name](y, predicted, None, w, 0), rel=1e-9)
    assert np.average(influence, weights=w) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(
    "metric",
    [*(m for m in METRICS.values() if m.method != "none"), *SKILLS.values()],
    ids=lambda metric: f"{metric.name} {metric.needs}",
)
def test_influences_are_what_a_small_change_of_a_weight_does(metric: Metric, k: int) -> None:
    n = 60
    y: Any
    y, p = classified(k, n)
    truth = Truth(y, k, weights=weights_of(n, "weighted")).with_constant()
    predicted = predictions_for(metric, y, p)
    if metric.needs in ("numbers", "scores"):
        rng = np.random.default_rng(2)
        y = rng.normal(3, 2, n)
        predicted = y + rng.normal(size=n)
        truth = Truth(y, weights=truth.weights, constant=-np.abs(y - 3), upper=20.0)
    value, influence = metric.function(predicted, truth)
    assert truth.weights is not None
    for i in (0, 7, 31):
        moved = truth.weights.copy()
        moved[i] += 1e-6
        changed = metric.function(predicted, replace(truth, weights=moved))[0]
        assert (changed - value) / 1e-6 * truth.weights.sum() == pytest.approx(influence[i], rel=1e-3, abs=1e-4)


def test_a_class_of_ones_own_has_its_metric() -> None:
    y, p = classified(3)
    d = p.argmax(axis=1)
    for k in range(3):
        value, _ = module.confusion_metric(d, Truth(y, 3), name="recall", of=k)
        assert value == pytest.approx(sk.recall_score(y, d, labels=[k], average="macro"))


def test_skill_is_what_design_says() -> None:
    y, p = classified(2, 500)
    truth = Truth(y, 2).with_constant()
    share = y.mean()
    assert module.brier_skill(p, truth)[0] == pytest.approx(1 - ((p[:, 1] - y) ** 2).sum() / ((share - y) ** 2).sum())
    constant = np.tile([1 - share, share], (len(y), 1))
    assert module.brier_skill(constant, truth)[0] == pytest.approx(0, abs=1e-12)
    assert module.brier_skill(np.tile([1.0, 0.0], (len(y), 1)), truth)[0] < 0
    assert module.label_skill(np.zeros(len(y), int), truth)[0] == pytest.approx(0)
    assert module.label_skill(y, truth)[0] == 1
    slice_ = truth.take(y == 1)  # against the constant of all: the examples of one class have a skill, too
    assert module.brier_skill(p[y == 1], slice_)[0] == pytest.approx(
        1 - ((p[y == 1, 1] - 1) ** 2).mean() / (share - 1) ** 2
    )


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "mcc", "recall", "f1"])
def test_what_does_not_exist_for_examples_of_one_class_is_undefined(name: str) -> None:
    metric, y = METRICS[name], np.zeros(20, int)
    p = np.random.default_rng(0).dirichlet([1, 1], 20)
    with pytest.raises(Undefined):
        metric.function(predictions_for(metric, y, p), Truth(y, 2))


@pytest.mark.parametrize("metric", [m for m in METRICS.values() if m.method != "none"], ids=lambda metric: metric.name)
def test_no_skill_is_what_a_constant_gets(metric: Metric) -> None:
    """No constant does better, and the best of them does as well (by the metric's own lights)."""
    rng = np.random.default_rng(3)
    y: np.ndarray
    candidates: list[np.ndarray]
    if metric.task == "classifier":
        y, _ = classified(2, 400)
        shares = [np.array([1 - q, q]) for q in (0.0, 1 / 3, y.mean(), 0.9, 1.0)]
        columns = [np.tile(share, (400, 1)) for share in shares]
        candidates = [predictions_for(metric, y, column) for column in columns]
        truth = Truth(y, 2)
    else:
        y = rng.lognormal(size=400)
        truth = Truth(y)
        candidates = [np.full(400, c) for c in (0.1, np.median(y), np.sort(y)[199], y.mean(), 5.0)]
    no_skill = metric.no_skill(truth)
    if no_skill is None:
        assert metric.name == "mape"  # its best constant is no statistic that anybody names
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [metric.function(candidate, truth)[0] for candidate in candidates]
    if metric.name in ("f1", "recall", "precision"):  # "always positive" has a recall of 1: none is no skill by them
        assert no_skill == min(values)
    else:
        best = max(values) if metric.greater_is_better else min(values)
        assert no_skill == pytest.approx(best)
