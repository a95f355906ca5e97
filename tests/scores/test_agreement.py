"""Agreement with the model's own clean answer: perturbation tests of data without any targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie import check, probe
from mlflow_sensie.comparison import compare
from mlflow_sensie.errors import DataError, RecipeError, SensieError
from mlflow_sensie.scores.table import CLEAN, TARGET, score_column

N = 700
NOISE = {"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 1, 2]}
FLOOR = {"metric": "clean_score", "at_least": 0.5}
AGAINST = {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.1}
ASKED = {"score": "agreement", "perturbations": [NOISE]}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N), "site": rng.choice(["u", "v"], N)})


def probabilities(X: Any) -> Any:
    a, b = (np.asarray(X[name], dtype=float) for name in "ab")
    weights = np.exp(np.column_stack([a, b, -a - b]))
    return weights / weights.sum(axis=1, keepdims=True)


def labels(X: Any) -> Any:
    return np.array(["ant", "bee", "cat"])[probabilities(X).argmax(axis=1)]


def columns(result: Any) -> Any:
    return result.score_table.array([score_column("noise", index) for index in range(3)])


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (probabilities, {}),
        (labels, {}),
        (lambda X: pd.DataFrame({"label": labels(X)}), {}),
        (lambda X: np.log(probabilities(X)), {"output": "log_proba"}),
        (lambda X: probabilities(X).argmax(axis=1), {}),
    ],
    ids=["probabilities", "labels", "a frame", "logarithms", "numbers"],
)
def test_it_is_1_where_the_label_stays(model: Any, more: Any) -> None:
    """Whatever form the answers have: those of the same labels agree, and the clean ones with themselves."""
    result = probe(model, frame(), recipe={**ASKED, **more})
    assert (result.score.kind, result.score.lower, result.score.upper) == ("agreement", 0, 1)
    assert (result.score_table.column(CLEAN) == 1).all() and result.clean.value == 1
    correct = {**ASKED, "score": "correct", "label_list": ["ant", "bee", "cat"]}
    wanted = probe(probabilities, frame(), labels(frame()), correct)
    np.testing.assert_array_equal(columns(result), columns(wanted))
    assert 0 < columns(result).mean() < 1 and result.tests["noise"].fit.mean_drop.value > 0.05


def test_targets_that_come_do_not_count() -> None:
    alone, beside = (probe(probabilities, frame(), y, ASKED) for y in (None, np.arange(N) % 3))
    np.testing.assert_array_equal(columns(alone), columns(beside))
    assert set(alone.score_table.column(TARGET)) == {""} and alone.metrics == beside.metrics


def test_without_targets_it_does_what_perturbation_tests_do(tmp_path: Path) -> None:
    recipe = {**ASKED, "slices": ["site"], "log_examples": "full", "max_examples": 300, "precision": 0.2}
    result = probe(probabilities, frame(), recipe={**recipe, "checkpoint": tmp_path})
    assert result.n == 300 and {row.level for row in result.slices[0].slices} == {"u", "v"}
    assert result.html() and result.plot("noise") and result.galleries["noise"].answers is not None
    assert not result.galleries["noise"].repeated or result.galleries["noise"].truths[0] == ""
    again = probe(probabilities, frame(), recipe={**recipe, "checkpoint": tmp_path})
    assert again.metrics == result.metrics and again.n_predictions == result.n_predictions
    assert compare(result, again).clean.difference.value == 0


def test_auto_takes_perturbations_alone() -> None:
    result = probe(probabilities, frame(), recipe={"score": "agreement"})
    assert {test.kind for test in result.tests.values()} == {"perturbation"}
    assert "a: left out, every unperturbed example has the same score" in result.choices


@pytest.mark.parametrize("what", ["frame", "file", "tensors"])
def test_through_mlflow(tmp_path: Path, what: str, experiment_id: str) -> None:
    X = frame()[["a", "b"]]
    model = LogisticRegression().fit(X, labels(X))
    recipe = {**ASKED, "gate": [{"test": "noise", "metric": "mean_drop", "at_most": 0.5}]}
    direct = probe(model, X, recipe=recipe)
    if what == "file":
        X.to_csv(tmp_path / "new.csv", index=False)
        found = check(model, data=tmp_path / "new.csv", recipe=recipe)
        assert found.passed
        return
    elif what == "tensors":
        found = probe(model, mlflow_sensie.from_tensors(X.to_numpy(), None), recipe=recipe)
    else:
        with mlflow.start_run(experiment_id=experiment_id):
            metric = mlflow.metrics.make_metric(eval_fn=lambda predictions: 0.0, greater_is_better=True, name="none")
            done = mlflow.models.evaluate(  # it wants targets or a metric of one's own
                lambda inputs: model.predict_proba(inputs), X, extra_metrics=[metric], evaluators=["sensie"],
                evaluator_config={"sensie": recipe},
            )  # fmt: skip
        assert done.metrics == direct.metrics
        return
    assert found.metrics == direct.metrics


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"properties": ["a"]}, RecipeError, "is 1 for every unperturbed example, so property 'a' has nothing"),
        ({"class_test": True}, RecipeError, "so class_test has nothing to show"),
        ({"slices": [{"target": True}]}, DataError, "slices by target: there are no targets"),
        ({"weights": "balanced"}, DataError, "balanced is for classes, and the targets are none"),
        ({"baseline": "models:/a/1", "gate": [FLOOR]}, RecipeError, "another score is needed"),
        ({"gate": [AGAINST]}, RecipeError, "agrees best"),
    ],
)  # fmt: skip
def test_what_it_cannot_tell_is_refused(more: Any, error: type[SensieError], said: str) -> None:
    with pytest.raises(error, match=said):
        probe(probabilities, frame(), recipe={**ASKED, **more})


def test_a_baseline_that_a_door_puts_in_is_refused(experiment_id: str) -> None:
    recipe = {**ASKED, "gate": [FLOOR]}
    with pytest.raises(RecipeError, match="agrees best"):
        check(probabilities, labels, data=frame(), recipe=recipe)


def test_it_is_for_classifiers() -> None:
    with pytest.raises(DataError, match="agreement is for classifiers, whose labels agree or do not"):
        probe(lambda X: X["a"], frame(), recipe=ASKED, task="regressor")


def test_other_scores_say_how_to_do_without_targets() -> None:
    with pytest.raises(DataError, match="no targets came; .*score: agreement needs none"):
        probe(probabilities, frame(), recipe={"perturbations": [NOISE]})
