"""Recipes: slugs, keys, files, what `recipe` beside a key means, YAML there and back, and the digest."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie import probe
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.perturbations.geometry import Rotate
from mlflow_sensie.plugins import find, load_target, source_of, takes
from mlflow_sensie.recipe.model import Recipe, slug
from mlflow_sensie.recipe.reading import load_recipe, shipped_recipes
from mlflow_sensie.recipe.values import AbsoluteDrop, Threshold, TopK

SLUG = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


def shifted(x: Any, p: float) -> Any:
    return x + p


def scaled(x: Any, p: float, by: float = 1.0) -> Any:
    return x * p * by


# --- slugs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("rotation", "rotation"),
        ("image.rotate", "image.rotate"),
        ("a_b-c.9", "a_b-c.9"),
        ("trailing.", "trailing."),
        ("x" * 100, "x" * 100),
        ("mean radius", "mean_radius-"),
        ("a/b", "a_b-"),
        (".hidden", "hidden-"),
        ("../../etc", "_.._etc-"),
        ("x" * 101, "x" * 93 + "-"),
        ("温度", "test-"),
        ("..", "test-"),
        ("é" * 200, "test-"),
    ],
)
def test_slug_keeps_what_it_can_and_marks_what_it_lost(name: str, kept: str) -> None:
    assert slug(name) == kept if name == kept else re.fullmatch(re.escape(kept) + "[0-9a-f]{6}", slug(name))


def test_two_chinese_names_have_two_slugs() -> None:
    assert slug("温度") != slug("湿度")


@given(st.lists(st.text(min_size=1, max_size=130), min_size=2, max_size=8, unique=True))
def test_slugs_fit_the_pattern_and_do_not_collide(names: list[str]) -> None:
    slugs = [slug(name) for name in names]
    assert all(SLUG.fullmatch(each) for each in slugs)
    assert len(set(slugs)) == len(names)


@given(st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", fullmatch=True))
def test_slug_leaves_a_good_name_alone(name: str) -> None:
    assert slug(name) == name


# --- keys and values ---------------------------------------------------------------------------------------


def test_short_forms_are_the_long_ones() -> None:
    short = load_recipe({"properties": ["alcohol", abs], "perturbations": ["image.rotate", {"apply": shifted}]})
    assert [(spec.name, spec.of) for spec in short.properties] == [("alcohol", "alcohol"), ("abs", abs)]
    named = [(spec.name, spec.apply) for spec in short.perturbations]
    assert named == [("image.rotate", "image.rotate"), ("shifted", shifted)]
    assert load_recipe({"properties": [{"of": "a"}, {"name": "b"}]}).properties == (
        load_recipe({"properties": ["a", "b"]}).properties
    )


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
        ({"top_k": 3}, TopK(top_k=3)),
        ({"threshold": 0.7}, Threshold(threshold=0.7)),
        ("package.module:function", "package.module:function"),
        (shifted, shifted),
    ],
)
def test_scores(score: Any, found: Any) -> None:
    assert load_recipe({"class_test": True, "score": score}).score == found


def test_allowed_drop_is_a_fraction_or_absolute() -> None:
    recipe = load_recipe({"class_test": True, "allowed_drop": {"absolute": 2}})
    assert recipe.allowed_drop == AbsoluteDrop(absolute=2.0)
    assert load_recipe({"class_test": True}).allowed_drop == 0.1


@pytest.mark.parametrize(("prefix", "found"), [("", ""), ("a", "a/"), ("a/", "a/"), ("team_1/run-2", "team_1/run-2/")])
def test_prefix_ends_in_a_slash(prefix: str, found: str) -> None:
    assert load_recipe({"prefix": prefix}).prefix == found


def test_recipe_is_frozen_and_loading_one_gives_itself() -> None:
    recipe = load_recipe({"class_test": True})
    assert load_recipe(recipe) is recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


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


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


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


# --- there and back ----------------------------------------------------------------------------------------

ASKED: dict[str, Any] = {
    "kind": "tabular",
    "properties": [
        "a",
        {"name": "b c", "of": "b", "bins": [0, 0.5, 2]},
        {"name": "u", "of": "a", "bins": {"uniform": 4}},
    ],
    "perturbations": [
        {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, np.float64(0.5)], "params": {"columns": ["a"]}},
        {"name": "shift", "apply": "tabular.shift", "allowed_drop": {"absolute": 0.2}},
    ],
    "class_test": True,
    "score": {"top_k": 2},
    "label_list": [np.int64(0), np.int64(1)],
    "inference": {"rope": 0.03},
    "seed": 7,
    "prefix": "first",
    "batch_size": 5,
}


def small() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=80), "b": rng.uniform(0, 2, 80)})
    return X, (X["a"] > 0).astype(int).to_numpy()


def half(X: Any) -> Any:
    p = 1 / (1 + np.exp(-np.asarray(X, dtype=float)[:, 0]))
    return np.column_stack([1 - p, p])


@pytest.mark.parametrize("asked", [ASKED, "auto", {"recipe": "auto", "class_test": True}], ids=["all", "auto", "both"])
def test_the_resolved_recipe_as_yaml_is_the_same_recipe(tmp_path: Path, asked: Any) -> None:
    X, y = small()
    result = probe(half, X, y, asked)
    path = write(tmp_path, result.recipe_yaml)
    again = load_recipe(path)
    assert again.digest() == result.recipe_sha256 == load_recipe(yaml.safe_load(result.recipe_yaml)).digest()
    once_more = probe(half, X, y, path)
    assert once_more.metrics == result.metrics
    assert once_more.recipe_sha256 == result.recipe_sha256


def test_the_resolved_yaml_stands_by_itself(tmp_path: Path) -> None:
    X, y = small()
    base = write(tmp_path, "properties: [a]\nseed: 9")
    text = probe(half, X, y, base).recipe_yaml
    base.unlink()
    recipe = load_recipe(yaml.safe_load(text))
    assert text.startswith(f"# from the recipe {base}\n")
    assert (recipe.seed, [spec.name for spec in recipe.properties]) == (9, ["a"])


def test_what_is_not_portable_is_marked() -> None:
    X, y = small()
    asked = {
        "properties": [{"name": "sum", "of": lambda frame: frame.sum(axis=1)}, "q"],
        "perturbations": [{"name": "mine", "apply": shifted, "magnitudes": [1, 2]}],
        "property_table": pd.DataFrame({"q": X["a"] ** 2}),
    }
    text = probe(half, X, y, asked).recipe_yaml
    notes = [line for line in text.splitlines() if line.startswith("# not portable")]
    assert [note.split(": ", 1)[1].split(" is ")[0] for note in notes] == [
        "property sum", "perturbation mine", "property_table was given in memory",
    ]  # fmt: skip
    written = yaml.safe_load(text)
    assert re.fullmatch("table sha256:[0-9a-f]{64}", written["property_table"])
    assert written["perturbations"][0]["apply"] == f"{__name__}:shifted"


# --- the digest --------------------------------------------------------------------------------------------


def with_key(**keys: Any) -> str:
    return load_recipe({**ASKED, **keys}).digest()


def named(perturbation: Any, **more: Any) -> str:
    return with_key(perturbations=[{"name": "n", "apply": perturbation, "magnitudes": [1, 2], **more}])


@pytest.mark.parametrize(
    "keys",
    [
        {"batch_size": 17},
        {"batch_size": "auto"},
        {"prefix": "other/"},
        {"on_error": "record"},
        {"scores": False},
    ],
    ids=str,
)
def test_digest_ignores_what_changes_no_number(keys: dict[str, Any]) -> None:
    assert with_key(**keys) == with_key()


@pytest.mark.parametrize(
    "keys",
    [
        {"seed": 8},
        {"class_test": False},
        {"score": {"top_k": 1}},
        {"score": "correct"},
        {"properties": ["a"]},
        {"inference": {"rope": 0.04}},
        {"allowed_drop": 0.2},
        {"max_examples": 40},
        {"precision": 0.05},
        {"time_budget": 60},
        {"missing": "drop"},
        {"label_list": [1, 0]},
        {"property_table": {"q": [1, 2]}},
    ],
    ids=str,
)
def test_digest_tells_what_changes_numbers(keys: dict[str, Any]) -> None:
    assert with_key(**keys) != with_key()


def test_digest_covers_magnitudes_params_and_sources() -> None:
    by_two, by_three = functools.partial(scaled, by=2.0), functools.partial(scaled, by=3.0)
    digests = [
        named(shifted),
        named(scaled),
        named(by_two),
        named(by_three),
        named(shifted, magnitudes=[1, 3]),
        named(shifted, neutral=0),
        named(shifted, params={"by": 2}),
        named(Rotate()),
        named(Rotate(order=0)),
    ]
    assert len(set(digests)) == len(digests)
    assert named(functools.partial(scaled, by=2.0)) == named(by_two)
    assert named(Rotate(order=0)) == named(Rotate(order=0))


def test_digest_covers_the_source_of_a_function_and_not_its_place(tmp_path: Path, monkeypatch: Any) -> None:
    def digest_of(module: str, body: str) -> str:
        write(tmp_path, f"def f(x, p):\n    return {body}\n", f"{module}.py")
        return named(load_target(f"{module}:f"))

    monkeypatch.syspath_prepend(tmp_path)
    assert digest_of("one_sensie", "x + p") == digest_of("two_sensie", "x + p") != digest_of("three_sensie", "x - p")


def test_digest_covers_the_content_of_a_table(tmp_path: Path) -> None:
    one, same, other = (write(tmp_path, text, name) for text, name in
                        (("q\n1\n2\n", "one.csv"), ("q\n1\n2\n", "same.csv"), ("q\n1\n3\n", "other.csv")))  # fmt: skip
    assert with_key(property_table=str(one)) == with_key(property_table=same) != with_key(property_table=str(other))
    frame = pd.DataFrame({"q": [1, 2]})
    assert with_key(property_table=frame) == with_key(property_table=frame.copy())
    assert with_key(property_table=frame) != with_key(property_table=frame + 1)
    assert with_key(property_table={"q": [1, 2]}) != with_key(property_table={"q": [1, 3]})


@settings(max_examples=10, deadline=None)
@given(st.permutations(list(ASKED)))
def test_digest_does_not_depend_on_the_order_of_keys(keys: list[str]) -> None:
    assert load_recipe({key: ASKED[key] for key in keys}).digest() == load_recipe(ASKED).digest()


# --- names of functions ------------------------------------------------------------------------------------


def test_names_lead_to_functions() -> None:
    table = {"lazy": "math:sqrt", "there": len}
    assert find("there", table, "no.such.group", "thing") is len
    assert find("lazy", table, "no.such.group", "thing")(9) == 3
    assert find("os.path:join", table, "no.such.group", "thing")("a", "b") == "a/b"
    with pytest.raises(RecipeError, match=r"unknown thing 'nought'; known: lazy, there; or a function"):
        find("nought", table, "no.such.group", "thing")


@pytest.mark.parametrize("path", ["no_such_module:f", "math:no_such", "math:"])
def test_a_target_that_is_not_there(path: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(repr(path))):
        load_target(path)


def test_how_a_function_is_written_down() -> None:
    assert source_of(shifted) == (f"{__name__}:shifted", "def shifted(x: Any, p: float) -> Any:\n    return x + p\n")
    assert source_of(len) == ("builtins:len", "builtins:len")
    assert source_of(functools.partial(scaled, by=2))[0] == f"{__name__}:scaled"


def test_takes_counts_positional_arguments() -> None:
    assert takes(shifted, 2) and not takes(shifted, 3) and takes(scaled, 3)


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


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"seed.*max_examples|max_examples.*seed"):
        load_recipe({"class_test": True, "seed": -1, "max_examples": 0})


def test_every_key_of_the_design_is_known() -> None:
    documented = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", DESIGN_TABLE, re.M)
    keys = {key for row in documented for key in re.findall(r"`(\w+)`", row)}
    assert keys == set(Recipe.model_fields)


DESIGN_TABLE = """
| `recipe` |
| `kind`, `input_shape`, `layout` |
| `value_range`, `preprocess` |
| `score` |
| `output`, `pos_label`, `label_list`, `predictions` |
| `properties` |
| `property_table` |
| `perturbations` |
| `class_test` |
| `slices` |
| `weights`, `cluster` |
| `interactions` |
| `calibration` |
| `inference` |
| `allowed_drop` |
| `max_examples`, `precision`, `time_budget` |
| `batch_size`, `seed` |
| `missing`, `on_error` |
| `log_examples` |
| `scores`, `checkpoint`, `prefix` |
| `gate`, `baseline` |
"""


def test_a_known_key_that_says_its_default_is_let_through() -> None:
    recipe = load_recipe({"class_test": True, "calibration": False, "log_examples": "ids", "slices": None})
    assert recipe.class_test
