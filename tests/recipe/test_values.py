"""Values that can be written in several ways: how each is read, and that its JSON schema agrees."""

from __future__ import annotations

from typing import Any

import jsonschema
import numpy as np
import pytest

from mlflow_sensie.errors import RecipeError
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import load_recipe


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
