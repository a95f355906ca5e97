"""Values that can be written in several ways: how each is read, and that its JSON schema agrees."""

from __future__ import annotations

import functools
from typing import Any

import jsonschema
import numpy as np
import pytest

from mlflow_sensie.errors import RecipeError
from mlflow_sensie.recipe.model import DEFAULT_METRICS, Recipe, metric_key
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.recipe.values import METRIC_NAMES, OF_A_CLASS
from mlflow_sensie.result.keys import KEYS
from mlflow_sensie.scores.metric_samples import DEFAULTS, OF_TWO
from mlflow_sensie.scores.metrics import METRICS, SKILL


def shifted(x: Any, p: float) -> Any:
    return x + p


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([0, 1, 2.5], (0.0, 1.0, 2.5)),
        ([3, 1, 2, 1], (1.0, 2.0, 3.0)),
        ((0, -5), (-5.0, 0.0)),
        (np.array([0.5, 1.5]), (0.5, 1.5)),
        (range(3), (0.0, 1.0, 2.0)),
        ({"start": 0, "stop": 180, "num": 10}, tuple(20.0 * i for i in range(10))),
        ({"start": 45, "stop": -45, "num": 3}, (-45.0, 0.0, 45.0)),
    ],
)
def test_magnitudes_are_ascending_numbers(given: Any, found: tuple[float, ...]) -> None:
    (spec,) = load_recipe({"perturbations": [{"name": "m", "apply": shifted, "magnitudes": given}]}).perturbations
    assert spec.magnitudes == found


@pytest.mark.parametrize(
    ("score", "found"),
    [
        ("correct", "correct"),
        ({"top_k": 3}, {"top_k": 3}),
        ({"threshold": 0.7}, {"threshold": 0.7}),
        ("package.module:function", "package.module:function"),
        (shifted, shifted),
    ],
)
def test_scores(score: Any, found: Any) -> None:
    assert load_recipe({"class_test": True, "score": score}).score == found


def test_allowed_drop_is_a_fraction_or_absolute() -> None:
    recipe = load_recipe({"class_test": True, "allowed_drop": {"absolute": 2}})
    assert recipe.allowed_drop == {"absolute": 2.0}
    assert load_recipe({"class_test": True}).allowed_drop == 0.1


def cost(targets: Any, predictions: Any, weights: Any) -> float:
    return 0.0


def test_metrics_in_each_form() -> None:
    asked = ["roc_auc", {"name": "f1"}, {"name": "recall", "of": np.int64(3)}, cost, "package.module:gain"]
    metrics = load_recipe({"class_test": True, "metrics": asked}).metrics
    assert metrics == (
        "roc_auc", "f1", {"name": "recall", "of": 3}, {"name": "cost", "function": cost},
        {"name": "gain", "function": "package.module:gain"},
    )  # fmt: skip
    assert [metric_key(metric) for metric in metrics] == ["roc_auc", "f1", "recall-3", "cost", "gain"]
    assert metric_key({"name": "recall", "of": "new customer"}).startswith("recall-new_customer-")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"metrics": ["rocauc"]}, r"one of roc_auc, average_precision, .*, skill \(did you mean 'roc_auc'\?\)"),
        ({"metrics": ["r2", "r2"]}, "each metric once; r2, r2 came"),
        ({"metrics": [{"name": "mcc", "of": 1}]}, "is for f1, precision, recall"),
        ({"metrics": ["f1"], "headline": "recall"}, "one of metrics, score, skill, f1; 'recall' came"),
        ({"headline": "f1"}, "score, skill, roc_auc, balanced_accuracy, r2; 'f1' came"),
    ],
)
def test_a_metric_that_there_is_not(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe({"class_test": True, **keys})


def test_a_metric_takes_the_name_of_no_other_key() -> None:
    for key in KEYS:
        with pytest.raises(RecipeError, match=f"'{key.name}' is taken"):
            load_recipe({"class_test": True, "metrics": [{"name": key.name, "function": cost}]})


def test_the_names_of_metrics_are_those_that_are_computed() -> None:
    assert set(METRIC_NAMES) == {*METRICS, SKILL}
    of_a_class = {name for name, metric in METRICS.items() if isinstance(metric.function, functools.partial)}
    assert set(OF_A_CLASS) == of_a_class
    defaults = {name for names in DEFAULTS.values() for name in names} | {*OF_TWO}
    assert set(DEFAULT_METRICS) == defaults


@pytest.mark.parametrize(
    ("said", "seconds"), [(60, 60.0), (0.5, 0.5), ("90s", 90.0), ("10min", 600.0), (" 1.5 h ", 5400.0), (None, None)]
)
def test_a_time_budget_in_words(said: Any, seconds: float | None) -> None:
    recipe = load_recipe({"class_test": True, "time_budget": said})
    assert recipe.time_budget == seconds and recipe.to_plain().get("time_budget") == seconds
    allowed = jsonschema.Draft202012Validator(Recipe.model_json_schema())
    if said is not None:
        assert allowed.is_valid({"class_test": True, "time_budget": said})
        assert not allowed.is_valid({"class_test": True, "time_budget": "10 days"})
        assert not allowed.is_valid({"class_test": True, "precision": 0})


SCHEMA = jsonschema.Draft202012Validator(Recipe.model_json_schema())
PERTURBATION = {"name": "m", "apply": "text.typos", "magnitudes": [0, 1]}
# A value of each type in each of its forms; and one that is refused.
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "score": (["correct", {"top_k": 2}, {"threshold": 0.5}, None], ["nought", {"top_k": 0}, {"threshold": 1}, 3]),
    "metrics": (
        [["roc_auc", {"name": "f1"}, {"name": "recall", "of": 3}, {"name": "recall", "of": "cat"}], [], None,
         ["package.module:gain", {"name": "cost", "function": "a:b", "greater_is_better": False}]],
        [["rocauc"], "roc_auc", [3], [{"name": "mcc", "of": 1}], [{"name": "recall", "of": [1]}], [{"of": 1}],
         [{"name": "r2", "function": "a:b"}], [{"name": "p", "function": "a:b"}], [{"name": "a b", "function": "a:b"}],
         [{"name": "cost", "function": "b"}], [{"name": "cost", "function": "a:b", "better": True}]],
    ),
    "headline": (["score", "skill", "roc_auc"], ["", 3]),
    "keep": (["scores", "predictions"], ["all", True]),
    "keys": (["essential", "all"], ["some", None]),
    "allowed_drop": ([0.2, 1, {"absolute": 2}], [0, -1, "much", {"absolute": 0}, {"absolute": 1, "of": 2}]),
    "precision": ([0.1, 2, None], [0, "narrow"]),
    "time_budget": ([60, "90s", " 1.5 h ", None], [0, "10 days"]),
    "slices": ([["a"], [{"column": "a", "bins": 3}], [{"target": True}], False, None], [[{"bin": 3}], True]),
    "checkpoint": (["folder", None], [3, ""]),
    "properties": (
        [["c", {"name": "a", "of": "image.mean", "bins": {"uniform": 4}}, {"of": "b", "bins": [0, 1, 2]}]],
        [[{"name": "a", "bins": 1}], [{"name": "a", "bins": {"even": 4}}], [{"name": "a", "bins": [0, 1]}], ["", 3]],
    ),
    "perturbations": (
        [["image.rotate", PERTURBATION, {**PERTURBATION, "name": "n", "fit_range": "auto", "allowed_drop": None}],
         [{**PERTURBATION, "magnitudes": {"start": 0, "stop": 1, "num": 3}, "fit_range": [0, 1]}]],
        [[{**PERTURBATION, "magnitudes": [1]}], [{**PERTURBATION, "fit_range": [1]}], [{"named": "a"}], [3]],
    ),
    "inference": (
        [{"fit_range": [0, 1]}, {"fit_range": None}, {"engine": "exact", "priors": {"slope": {"normal": [0, 2]}}}],
        [{"fit_range": "all"}, {"engine": "exact", "priors": {"slope": {"normal": [0]}}}, {"polynomial": 1}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", VALUES)
def test_the_json_schema_and_the_reader_agree(key: str) -> None:
    accepted, refused = VALUES[key]
    for value in accepted:
        recipe = {"class_test": True, key: value}
        load_recipe(recipe)
        assert [error.message for error in SCHEMA.iter_errors(recipe)] == []
    for value in refused:
        recipe = {"class_test": True, key: value}
        with pytest.raises(RecipeError):
            load_recipe(recipe)
        assert not SCHEMA.is_valid(recipe), value


def test_the_json_schema_says_what_it_is() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)
    assert SCHEMA.schema["title"] == "mlflow-sensie recipe" and set(SCHEMA.schema["properties"]) == {
        *Recipe.model_fields
    }
