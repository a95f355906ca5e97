"""MLflow's own thresholds on our metrics, and the traps that docs/gate.md names."""

from __future__ import annotations

import math
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import V3
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult, MetricThreshold

from mlflow_sensie import probe

CLEAN = "sensie/clean_score"


def holds(
    threshold: MetricThreshold, candidate: dict[str, Any], baseline: dict[str, Any] | None = None, key: str = CLEAN
) -> bool:
    """Whether MLflow lets the candidate's metrics pass."""
    against = None if baseline is None else EvaluationResult(baseline, {})
    try:
        mlflow.validate_evaluation_results(
            validation_thresholds={key: threshold},
            candidate_result=EvaluationResult(candidate, {}),
            baseline_result=against,
        )
    except MlflowException as error:
        assert key in str(error)
        return False
    return True


@pytest.fixture(scope="module")
def metrics() -> dict[str, float]:
    frame = pd.DataFrame({"a": np.linspace(-2, 2, 100)})
    broken = {"name": "broken", "apply": lambda x, p: 1 / 0, "magnitudes": [1, 2]}
    recipe = {"properties": ["a"], "perturbations": ["tabular.noise", broken], "on_error": "record"}
    return probe(lambda x: 1 / (1 + np.exp(-x["a"].to_numpy())), frame, (frame["a"] > 0).astype(int), recipe).metrics


def test_all_our_metrics_can_be_held_against_a_threshold(metrics: dict[str, float]) -> None:
    for key, value in metrics.items():
        assert type(value) is float and math.isfinite(value)
        assert holds(MetricThreshold(threshold=value - 1, greater_is_better=True), metrics, key=key)
        assert not holds(MetricThreshold(threshold=value + 1, greater_is_better=True), metrics, key=key)


def test_an_improvement_over_the_baseline(metrics: dict[str, float]) -> None:
    threshold = MetricThreshold(min_absolute_change=0.01, greater_is_better=True)
    assert holds(threshold, metrics, {CLEAN: metrics[CLEAN] - 0.02})
    assert not holds(threshold, metrics, {CLEAN: metrics[CLEAN]})


def test_no_worse_than_by_a_margin_cannot_be_said() -> None:
    with pytest.raises(MlflowException, match="must be a positive number"):
        MetricThreshold(min_absolute_change=-0.01, greater_is_better=True)


def test_nan_passes_a_relative_change_but_we_have_none(metrics: dict[str, float]) -> None:
    threshold = MetricThreshold(min_relative_change=0.1, greater_is_better=True)
    assert holds(threshold, {CLEAN: math.nan}, {CLEAN: 0.9})
    # A test that failed has no other value; that it failed can be asked for.
    assert [key for key in metrics if "broken" in key] == ["sensie/broken/ok"]
    assert not holds(MetricThreshold(threshold=0, greater_is_better=False), metrics, key="sensie/n_failed")


def test_a_metric_that_the_baseline_lacks_is_a_bare_key_error(metrics: dict[str, float]) -> None:
    with pytest.raises(KeyError):
        holds(MetricThreshold(min_absolute_change=0.01, greater_is_better=True), metrics, {"other": 1.0})


def test_numpy_floats_are_refused_as_thresholds(metrics: dict[str, float]) -> None:
    """`np.float64` is a float; what is computed in another precision is not."""
    with pytest.raises(MlflowException, match="must be a number"):
        MetricThreshold(threshold=np.float32(0.9), greater_is_better=True)


@pytest.mark.skipif(V3, reason="MLflow 2 alone")
def test_mlflow_2_reads_relative_changes_of_negative_baselines_the_wrong_way_round() -> None:
    threshold = MetricThreshold(min_relative_change=0.1, greater_is_better=True)
    assert holds(threshold, {CLEAN: -2.0}, {CLEAN: -1.0})


@pytest.mark.skipif(not V3, reason="MLflow 3 alone")
def test_mlflow_3_reads_them_the_right_way() -> None:
    threshold = MetricThreshold(min_relative_change=0.1, greater_is_better=True)
    assert not holds(threshold, {CLEAN: -2.0}, {CLEAN: -1.0})
    assert holds(threshold, {CLEAN: -0.5}, {CLEAN: -1.0})
