"""From mappings, names and files to a recipe: what stands where nothing is said, what may run code, what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mlflow_sensie import probe
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.recipe.reading import load_recipe, shipped_recipes
from recipe.written import half, small, write


def shifted(x: Any, p: float) -> Any:
    return x + p


@pytest.mark.parametrize(
    ("source", "base", "n_tests"),
    [
        (None, "auto", 0),
        ("auto", "auto", 0),
        ({}, "auto", 0),
        ({"seed": 3}, "auto", 0),
        ({"recipe": "auto", "class_test": True}, "auto", 1),
        ({"class_test": True}, None, 1),
        ({"properties": ["a"]}, None, 1),
        ("image_robustness", "image_robustness", 5),
    ],
)
def test_what_is_asked_where_nothing_is(source: Any, base: str | None, n_tests: int) -> None:
    recipe = load_recipe(source)
    assert (recipe.recipe, recipe.n_tests) == (base, n_tests)


# --- files -------------------------------------------------------------------------------------------------


def test_a_key_beside_recipe_replaces_the_whole_value() -> None:
    base = load_recipe("image_robustness")
    recipe = load_recipe({"recipe": "image_robustness", "perturbations": ["image.zoom"], "max_examples": 50})
    assert [spec.name for spec in recipe.perturbations] == ["image.zoom"]
    assert recipe.max_examples == 50
    assert (recipe.properties, recipe.class_test, recipe.kind) == (base.properties, True, "tensor")
    assert len(base.perturbations) == 3  # and the shipped recipe is as it was


def test_a_file_may_start_from_another(tmp_path: Path) -> None:
    first = write(tmp_path, "properties: [a, b]\nseed: 1", "first.yaml")
    second = write(tmp_path, f"recipe: {first}\nseed: 2", "second.yaml")
    recipe = load_recipe({"recipe": second, "class_test": True})
    assert [spec.name for spec in recipe.properties] == ["a", "b"]
    assert (recipe.seed, recipe.class_test, recipe.recipe) == (2, True, str(second))


@pytest.mark.parametrize("text", ["recipe: auto\nseed: 4", "seed: 4"])
def test_settings_alone_in_a_file_mean_auto(tmp_path: Path, text: str) -> None:
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.recipe, recipe.seed) == ("auto", 4)


@pytest.mark.parametrize(
    "text",
    [
        "perturbations: [{name: mine, apply: 'os:getcwd', magnitudes: [1, 2]}]",
        "perturbations: ['os:getcwd']",
        "perturbations: [{name: 'os:getcwd'}]",
        "properties: ['os:getcwd']",
        "properties: !!set {'os:getcwd'}",
        "properties: [{name: a, of: 'os:getcwd'}]",
        "class_test: true\nscore: 'os:getcwd'",
        "class_test: true\nmetrics: [r2, 'os:getcwd']",
        "class_test: true\nmetrics: [{name: cost, function: 'os:getcwd'}]",
        "class_test: true\npreprocess: 'os:getcwd'",
    ],
)
def test_code_in_a_file_must_be_allowed(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=r"'os:getcwd', which runs code; pass allow_code=True \(--allow-code\)"):
        load_recipe(path)
    assert load_recipe(path, allow_code=True).n_tests == 1


def test_code_in_a_file_that_another_starts_from_must_be_allowed_too(tmp_path: Path) -> None:
    inner = write(tmp_path, "properties: ['os:getcwd']", "inner.yaml")
    with pytest.raises(RecipeError, match="which runs code"):
        load_recipe({"recipe": str(write(tmp_path, f"recipe: {inner}\nseed: 1", "outer.yaml"))})


@pytest.mark.parametrize("key", ["preprocess", "score", "property_table"])
@pytest.mark.parametrize("name", ["sneaky_sensie", "sneaky_sensie: f", "sneaky_sensie:f()", ":sneaky_sensie"])
def test_nothing_is_imported_by_a_name_that_goes_unnoticed(
    tmp_path: Path, monkeypatch: Any, key: str, name: str
) -> None:
    (tmp_path / "sneaky_sensie.py").write_text("raise SystemExit('ran')")
    monkeypatch.syspath_prepend(tmp_path)
    X, y = small()
    path = write(tmp_path, f"class_test: true\n{key}: '{name}'")
    with pytest.raises(RecipeError, match=f"{key}|could not be loaded"):
        probe(half, X, y, path)


def test_a_column_with_a_colon_in_its_name_is_no_code(tmp_path: Path) -> None:
    X, y = small()
    text = probe(half, X.rename(columns={"a": "Unnamed: 0"}), y, {"properties": ["Unnamed: 0"]}).recipe_yaml
    assert load_recipe(write(tmp_path, text)).properties[0].of == "Unnamed: 0"


def test_yaml_is_loaded_safely(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = write(tmp_path, f"properties: !!python/object/apply:os.mkdir ['{mark}']")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(path, allow_code=True)
    assert not mark.exists()


def test_shipped_recipes_are_found() -> None:
    assert {"image_robustness"} <= set(shipped_recipes())


# --- what is refused ---------------------------------------------------------------------------------------


# (what concerns data or model is in test_bad_input.py)


@pytest.mark.parametrize(
    ("source", "phrases"),
    [
        (3, ["a mapping, the name of a shipped recipe or a path", "int"]),
        ({"recipe": {"seed": 1}}, ["the name of a shipped recipe or a path", "dict"]),
        ("no_such", ["'no_such'", "shipped ones are: auto, ", "image_robustness"]),
        ({"properties": "alcohol"}, ["properties", "'alcohol' came"]),
        ({"properties": 5}, ["properties", "5 came"]),
        ({"perturbations": [7]}, ["perturbations.0", "7 came"]),
        ({"class_test": True, "seed": -1}, ["seed", "greater than or equal to 0", "-1 came"]),
        ({"class_test": True, "missing": "ignore"}, ["missing", "'fail' or 'drop'", "'ignore' came"]),
        ({"class_test": True, "on_error": "stop"}, ["on_error", "'raise' or 'record'"]),
        ({"class_test": True, "output": "odds"}, ["output", "'logits'", "'odds' came"]),
        ({"class_test": True, "layout": "HWC"}, ["layout", "'NHWC', 'NCHW' or 'NHW'", "'HWC' came"]),
        ({"class_test": True, "kind": "image"}, ["kind", "'tensor', 'tabular', 'text' or 'series'"]),
        ({"class_test": True, "max_examples": 1}, ["max_examples", "greater than or equal to 2", "1 came"]),
        *(
            ({"class_test": True, "precision": value}, ["precision", "a number above 0", f"{value!r} came"])
            for value in (0, -0.1, "5%", True, float("nan"), float("inf"))
        ),
        *(
            ({"class_test": True, "time_budget": value}, ["time_budget", "'10min'", f"{value!r} came"])
            for value in (0, -5, "10", "10 days", "0s", True, float("nan"))
        ),
        ({"class_test": True, "batch_size": 0}, ["batch_size is 'auto' or at least 1; 0 came"]),
        ({"class_test": True, "prefix": "a b"}, ["prefix", "'a b' came"]),
        ({"class_test": True, "prefix": "/a"}, ["prefix", "'/a' came"]),
        ({"class_test": True, "score": "f1"}, ["score", "probability, correct", "{top_k: k}", "'f1' came"]),
        ({"class_test": True, "score": {"top_k": 0}}, ["score", "top_k", "greater than or equal to 1"]),
        ({"class_test": True, "score": {"threshold": 1.5}}, ["score", "threshold", "less than 1"]),
        ({"class_test": True, "allowed_drop": 0}, ["allowed_drop", "a number above 0 or {absolute: x}", "0 came"]),
        ({"class_test": True, "allowed_drop": {"absolute": -1}}, ["allowed_drop", "greater than 0"]),
        ({"class_test": True, "inference": {"engine": "nuts"}}, ["inference.engine", "'robust'", "'nuts' came"]),
        ({"properties": [{"name": "a", "bins": 1}]}, ["properties.0.bins: at least 2 bins are needed, 1 came"]),
        ({"properties": [{"name": "a", "bins": {"uniform": 1}}]}, ["at least 2 bins"]),
        (
            {"properties": [{"name": "a", "bins": [0, 2, 1]}]},
            ["at least three increasing numbers", "[0.0, 2.0, 1.0] came"],
        ),
        ({"properties": [{"name": "a", "bins": "many"}]}, ["properties.0.bins", "'none'", "'many' came"]),
        ({"properties": [""]}, ["properties.0.name", "at least 1 character"]),
        (
            {"perturbations": [{"name": "a", "magnitudes": {"start": 0, "stop": 1}}]},
            ["start, stop and num", "['start', 'stop'] came"],
        ),
        (
            {"perturbations": [{"name": "a", "magnitudes": {"start": "x", "stop": 1, "num": 3}}]},
            ["start and stop must be numbers", "'x' and 1 came"],
        ),
        (
            {"perturbations": [{"name": "a", "magnitudes": {"start": 0, "stop": 1, "num": 2.5}}]},
            ["num must be a whole number above 0; 2.5 came"],
        ),
        ({"perturbations": [{"name": "a", "magnitudes": [0, float("inf")]}]}, ["finite numbers", "[0.0, inf] came"]),
        ({"perturbations": [{"name": "a", "magnitudes": "0-10"}]}, ["magnitudes", "'0-10' came"]),
    ],
    ids=str,
)
def test_a_value_that_is_not_understood(source: Any, phrases: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(source)
    assert [phrase for phrase in phrases if phrase not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b", "just words", "a: [1,"])
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=f"{re.escape(str(path))} (must hold a mapping|is not valid YAML)"):
        load_recipe(path)


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"seed.*max_examples|max_examples.*seed"):
        load_recipe({"class_test": True, "seed": -1, "max_examples": 0})


def test_a_known_key_that_says_its_default_is_let_through() -> None:
    recipe = load_recipe({"class_test": True, "calibration": False, "log_examples": "ids", "slices": None})
    assert recipe.class_test
