"""Metrics: numbers of many examples that are no mean of scores, each one object in one table.

Intervals, drops and differences are made of what ``metric_samples`` makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from scipy.special import xlogy

from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.scores import metric_functions as functions
from mlflow_sensie.scores.metric_functions import Estimate, Truth
from mlflow_sensie.scores.no_skill import quantile

Needs = Literal["probabilities", "labels", "numbers", "scores"]
Method = Literal["mean", "auc", "classes", "ratio", "bootstrap", "jackknife", "none"]


@dataclass(frozen=True)
class Metric:
    """A metric: its name in recipes and keys, its label in words, and how it is computed.

    ``needs`` says what ``function`` (predictions, truth) takes: class ``probabilities`` (n, K), class numbers,
    ``labels`` (n,), a regressor's ``numbers`` (n,), or ``scores`` (n,). ``greater_is_better`` gives the sign of a
    loss; ``no_skill`` (truth) is its value for the best constant prediction, ``None`` where that is not said; the
    ``method`` is that of its intervals; ``draws`` (predictions, truth, weights (B, n)) → (B,) those of a bootstrap.
    """

    name: str
    label: str
    needs: Needs
    scale: ScoreScale
    function: Callable[[Any, Truth], Estimate]
    method: Method = "mean"
    greater_is_better: bool = True
    no_skill: Callable[[Truth], float | None] = lambda truth: None
    draws: Callable[[Any, Truth, Any], Any] | None = None

    @property
    def task(self) -> str | None:
        """``classifier`` or ``regressor``; ``None`` where the metric does not tell."""
        return {"numbers": "regressor", "scores": None}.get(self.needs, "classifier")


# --- the table ---------------------------------------------------------------------------------------------


def _largest_share(truth: Truth) -> float:
    return float(truth.class_shares.max())


def _chance(truth: Truth) -> float:
    return 1 / max(int((truth.class_shares > 0).sum()), 1)


def _base_rate(truth: Truth) -> float:
    """The average precision of a constant: the positives' share, of more classes the mean of all."""
    return float(truth.class_shares[truth.positive]) if truth.classes == 2 else 1 / truth.classes


def _gini(truth: Truth) -> float:
    return float(1 - np.square(truth.class_shares).sum()) / (2 if truth.classes == 2 else 1)


def _entropy(truth: Truth) -> float:
    return -float(xlogy(truth.class_shares, truth.class_shares).sum())


def _of_quantile(function: Callable[[Any, Truth], Estimate], truth: Truth, *, q: float | None = None) -> float:
    """The metric of the weighted quantile, by default the median, of the targets."""
    constant = quantile(truth.targets, truth.weights, truth.quantile if q is None else q)
    return function(np.full(len(truth.targets), constant), truth)[0]


def _of_mean(function: Callable[[Any, Truth], Estimate], truth: Truth) -> float:
    return function(np.full(len(truth.targets), truth.mean(truth.targets)), truth)[0]


FRACTION = ScoreScale(0.0, 1.0, "")
LOSS = ScoreScale(0.0, None, "target")
SKILL = "skill"


def _skill(needs: Needs, function: Callable[[Any, Truth], Estimate], method: Method) -> Metric:
    return Metric(SKILL, "skill", needs, ScoreScale(None, 1.0, "skill"), function, method, no_skill=lambda truth: 0.0)


# Skill by what it is measured with.
SKILLS: Mapping[Needs, Metric] = MappingProxyType(
    {
        "probabilities": _skill("probabilities", functions.brier_skill, "ratio"),
        "labels": _skill("labels", functions.label_skill, "classes"),
        "scores": _skill("scores", functions.score_skill, "ratio"),
    }
)


def _table() -> Iterator[Metric]:
    def confusion(name: str, label: str) -> Metric:
        function = partial(functions.confusion_metric, name=name)
        return Metric(name, label, "labels", FRACTION, function, "classes", no_skill=lambda truth: 0.0)

    yield Metric("roc_auc", "ROC AUC", "probabilities", FRACTION, functions.roc_auc, "auc", no_skill=lambda truth: 0.5)
    yield Metric(
        "average_precision", "average precision", "probabilities", FRACTION, functions.average_precision, "bootstrap",
        no_skill=_base_rate, draws=functions.drawn_average_precision,
    )  # fmt: skip
    yield Metric("accuracy", "accuracy", "labels", FRACTION, functions.accuracy, "classes", no_skill=_largest_share)
    yield Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "labels",
        FRACTION,
        functions.balanced_accuracy,
        "classes",
        no_skill=_chance,
    )
    yield confusion("f1", "F1")
    yield confusion("precision", "precision")
    yield confusion("recall", "recall")
    yield Metric(
        "mcc", "Matthews correlation", "labels", ScoreScale(-1.0, 1.0, ""), functions.matthews, "classes",
        no_skill=lambda truth: 0.0,
    )  # fmt: skip
    yield Metric(
        "log_loss", "log loss", "probabilities", ScoreScale(0.0, None, "nats"), functions.log_loss,
        greater_is_better=False, no_skill=_entropy,
    )  # fmt: skip
    yield Metric(
        "brier",
        "Brier loss",
        "probabilities",
        ScoreScale(0.0, 2.0, ""),
        functions.brier,
        greater_is_better=False,
        no_skill=_gini,
    )
    yield Metric(
        "ece", "expected calibration error", "probabilities", FRACTION, functions.expected_calibration_error, "none",
        greater_is_better=False,
    )  # fmt: skip
    errors: list[tuple[str, str, Callable[[Any, Truth], Estimate], Callable[[Truth], float]]] = [
        ("rmse", "RMSE", functions.root_mean_squared_error, partial(_of_mean, functions.root_mean_squared_error)),
        (
            "mae",
            "mean absolute error",
            functions.mean_absolute_error,
            partial(_of_quantile, functions.mean_absolute_error, q=0.5),
        ),
        ("pinball", "pinball loss", functions.mean_pinball_loss, partial(_of_quantile, functions.mean_pinball_loss)),
    ]
    for name, label, function, no_skill in errors:
        yield Metric(name, label, "numbers", LOSS, function, greater_is_better=False, no_skill=no_skill)
    yield Metric(
        "mape", "mean absolute percentage error", "numbers", ScoreScale(0.0, None, ""),
        functions.mean_absolute_percentage_error, greater_is_better=False,
    )  # fmt: skip
    yield Metric("r2", "R²", "numbers", ScoreScale(None, 1.0, ""), functions.r2, "ratio", no_skill=lambda truth: 0.0)


METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _table()})
