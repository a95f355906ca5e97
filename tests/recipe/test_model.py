"""The recipe: slugs, short forms, YAML there and back, and the digest."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mlflow_sensie
from mlflow_sensie import probe
from mlflow_sensie.perturbations.geometry import Rotate
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import WITHOUT_EFFECT, Recipe, slug
from mlflow_sensie.recipe.reading import load_recipe
from recipe.written import ASKED, half, small, write

SLUG = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


def shifted(x: Any, p: float) -> Any:
    return x + p


def share_right(targets: Any, predictions: Any, weights: Any) -> float:
    return float(((predictions > 0.5) == targets).mean())


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


# --- keys --------------------------------------------------------------------------------------------------


def test_short_forms_are_the_long_ones() -> None:
    short = load_recipe({"properties": ["alcohol", abs], "perturbations": ["image.rotate", {"apply": shifted}]})
    assert [(spec.name, spec.of) for spec in short.properties] == [("alcohol", "alcohol"), ("abs", abs)]
    named = [(spec.name, spec.apply) for spec in short.perturbations]
    assert named == [("image.rotate", "image.rotate"), ("shifted", shifted)]
    assert load_recipe({"properties": [{"of": "a"}, {"name": "b"}]}).properties == (
        load_recipe({"properties": ["a", "b"]}).properties
    )


@pytest.mark.parametrize(("prefix", "found"), [("", ""), ("a", "a/"), ("a/", "a/"), ("team_1/run-2", "team_1/run-2/")])
def test_prefix_ends_in_a_slash(prefix: str, found: str) -> None:
    assert load_recipe({"prefix": prefix}).prefix == found


def test_recipe_is_frozen_and_loading_one_gives_itself() -> None:
    recipe = load_recipe({"class_test": True})
    assert load_recipe(recipe) is recipe
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


# Every key of a recipe: those that change numbers, which the digest is made of, and those that do not.
NUMBERS = {
    "kind", "input_shape", "layout", "value_range", "preprocess", "score", "metrics", "headline", "output", "pos_label",
    "label_list", "predictions", "properties", "property_table", "perturbations", "class_test", "slices", "weights",
    "cluster", "interactions", "calibration", "adjust", "inference", "allowed_drop", "max_examples", "precision",
    "time_budget", "seed", "missing",
}  # fmt: skip
NO_NUMBERS = {
    "recipe", "batch_size", "on_error", "log_examples", "scores", "keep", "keys", "checkpoint", "prefix", "gate",
    "baseline",
}  # fmt: skip


def test_every_key_is_known_as_one_that_changes_numbers_or_not() -> None:
    assert set(Recipe.model_fields) == NUMBERS | NO_NUMBERS
    assert NO_NUMBERS == WITHOUT_EFFECT


@pytest.mark.parametrize("key", Recipe.model_fields)
def test_every_key_is_read_by_someone(key: str) -> None:
    name = {"interactions": "pairs"}.get(key, key)  # read by a method of the recipe
    reading = re.compile(rf'recipe(?:\.{name}\b|\["{key}"\]|\.get\("{key}")')
    sources = Path(mlflow_sensie.__file__).parent.rglob("*.py")
    assert any(reading.search(path.read_text(encoding="utf-8")) for path in sources)


# --- there and back ----------------------------------------------------------------------------------------


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
        "metrics": ["recall", share_right],
    }
    text = probe(half, X, y, asked).recipe_yaml
    notes = [line for line in text.splitlines() if line.startswith("# not portable")]
    assert [note.split(": ", 1)[1].split(" is ")[0] for note in notes] == [
        "property sum", "perturbation mine", "metric share_right", "property_table was given in memory",
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
        {"keep": "predictions"},
        {"keys": "all"},
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
        {"metrics": ["f1"]},
        {"metrics": ["f1", {"name": "f1", "of": 1}]},
        {"headline": "skill"},
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
