"""A score table that was written and read back gives the metrics of its evaluation again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import fbeta_score

from mlflow_sensie import Result, probe
from mlflow_sensie.inference.metric_fits import metric_estimate
from mlflow_sensie.scores.metric_reader import METADATA, MetricReader
from mlflow_sensie.scores.table import CLEAN, ScoreTable

SHIFT = {"name": "shift", "apply": lambda x, p: x + p, "magnitudes": [0.5, 1.0]}
N = 300


def classifier(x: np.ndarray) -> np.ndarray:
    return softmax(np.column_stack([x[:, 0], -x[:, 0], 0.5 * x[:, 1]]), axis=1)


def binary(x: np.ndarray) -> np.ndarray:
    return softmax(np.column_stack([-x[:, 0], x[:, 0]]), axis=1)


def many(x: np.ndarray) -> np.ndarray:
    return softmax(np.outer(x[:, 0], np.linspace(-1, 1, 25)) + x[:, [1]] * np.sin(np.arange(25)), axis=1)


def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 2))


def noisy_labels(model: Any) -> np.ndarray:
    labels = model(inputs() + np.random.default_rng(1).normal(0, 0.5, (N, 2))).argmax(1)
    return np.asarray(labels)


def f2(targets: Any, predictions: Any, weights: Any) -> float:
    return float(fbeta_score(targets, predictions > 0.3, beta=2, sample_weight=weights))


def evaluation(case: str) -> Result:
    x, recipe = inputs(), {"perturbations": [SHIFT]}
    if case == "numbers":
        y = x @ [1.0, 0.5] + np.random.default_rng(2).normal(0, 0.3, N)
        score = {"score": "neg_squared_error", "metrics": ["r2", "rmse"]}
        return probe(lambda x: x @ [1.0, 0.4], x, y, {**recipe, **score}, task="regressor")
    if case == "labels":
        return probe(lambda x: binary(x).argmax(1), x, noisy_labels(binary), {**recipe, "metrics": ["mcc", "recall"]})
    if case == "threshold":
        more = {"score": {"threshold": 0.3}, "label_list": ["no", "yes"], "metrics": ["f1", "roc_auc"]}
        return probe(binary, x, np.array(["no", "yes"])[noisy_labels(binary)], {**recipe, **more})
    if case == "three":
        return probe(classifier, x, noisy_labels(classifier), {**recipe, "metrics": ["roc_auc", "f1", "ece"]})
    if case == "twenty-five":
        y = np.concatenate([np.arange(25), noisy_labels(many)[25:]])
        return probe(many, x, y, {**recipe, "label_list": list(range(25)), "metrics": ["accuracy"]})
    bounds = {"declared": {"lower": 0.0, "upper": 1.0, "no_skill": 0.4}, "custom": {}}[case]
    score = {"function": lambda predictions, truth: 1 / (1 + abs(predictions)), **bounds}
    return probe(lambda x: x[:, 0], x, x[:, 0], {**recipe, "score": score})


def read_back(result: Result, folder: Path) -> ScoreTable:
    assert result.score_table is not None
    result.score_table.write_parquet(folder / "scores.parquet")
    return ScoreTable.read_parquet(folder / "scores.parquet")


@pytest.mark.parametrize("case", ["numbers", "labels", "threshold", "three", "twenty-five", "declared", "custom"])
def test_metrics_of_a_table_that_was_read_back_are_those_of_the_evaluation(case: str, tmp_path: Path) -> None:
    result = evaluation(case)
    table = read_back(result, tmp_path)
    reader = MetricReader.from_table(table, result.recipe)
    assert reader is not None
    estimates = {name: metric_estimate(sample) for name, sample in reader.samples(table, [CLEAN]).items()}
    assert estimates == result.metric_estimates
    assert set(estimates) == {metric.name for metric in reader.metrics}
    assert (case == "custom") is not bool(estimates)


def test_the_constant_is_that_of_the_whole_in_a_part_of_the_table(tmp_path: Path) -> None:
    result = evaluation("three")
    table = read_back(result, tmp_path)
    reader = MetricReader.from_table(table, result.recipe)
    assert reader is not None
    some = np.arange(N) < 40
    truth, _ = reader.truth(table, some)
    shares = np.bincount(noisy_labels(classifier), minlength=3) / N
    np.testing.assert_allclose(truth.constant, shares, atol=1e-12)
    assert not np.allclose(truth.class_shares, shares)


def test_a_users_metric_needs_its_function_again(tmp_path: Path) -> None:
    spec = {"name": "f2", "function": f2}
    result = probe(binary, inputs(), noisy_labels(binary), {"perturbations": [SHIFT], "metrics": [spec, "f1"]})
    table = read_back(result, tmp_path)
    assert result.metric_functions == {"f2": f2}
    with_it = MetricReader.from_table(table, result.recipe, result.metric_functions)
    without = MetricReader.from_table(table, Result.from_json(result.to_json()).recipe)
    assert with_it is not None and without is not None
    assert [metric.name for metric in without.metrics] == ["skill", "f1"]
    sample = with_it.samples(table, [CLEAN])["f2"]
    assert metric_estimate(sample) == result.metric_estimates["f2"]


def test_a_table_that_does_not_say_how_predictions_are_read_gives_no_metrics() -> None:
    table = evaluation("labels").score_table
    assert table is not None
    table.metadata.pop(METADATA)
    assert MetricReader.from_table(table, {}) is None
