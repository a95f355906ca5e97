"""The table of scores: every entry has everything, is computed as by hand, and is what the rest of the house reads."""

from __future__ import annotations

import dataclasses
import inspect
import math
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.recipe.values import SCORE_NAMES, SCORE_PARAMETERS
from mlflow_sensie.result import ScoreInfo
from mlflow_sensie.scores import kinds
from mlflow_sensie.scores.kinds import AGREEMENT, KINDS, Needs, ScoreKind
from mlflow_sensie.scores.table import CLEAN
from mlflow_sensie.text import words

# Probabilities of three examples and two classes, the right class of each, and what each kind gives, by hand.
P = [[0.75, 0.25], [0.625, 0.375], [0.125, 0.875]]
CORRECT = [0, 1, 1]
NUMBERS, TARGETS = [1.0, 5.0, 2.0, 8.0], [2.0, 2.0, 6.0, 6.0]  # of a regressor
BY_HAND: dict[str, tuple[Any, list[float]]] = {
    "probability": ("probability", [0.75, 0.375, 0.875]),
    "correct": ("correct", [1, 0, 1]),
    "top_k": ({"top_k": 1}, [1, 0, 1]),
    "threshold": ({"threshold": 0.3}, [1, 1, 1]),
    "neg_log_loss": ("neg_log_loss", [math.log(0.75), math.log(0.375), math.log(0.875)]),
    "neg_brier_score": ("neg_brier_score", [-2 * 0.25**2, -2 * 0.625**2, -2 * 0.125**2]),
    "neg_absolute_error": ("neg_absolute_error", [-1, -3, -4, -2]),
    "neg_squared_error": ("neg_squared_error", [-1, -9, -16, -4]),
    "neg_relative_error": ("neg_relative_error", [-1 / 2, -3 / 2, -4 / 6, -2 / 6]),
    "neg_log_error": ("neg_log_error", [-math.log(2), -math.log(2.5), -math.log(3), -math.log(8 / 6)]),
    "quantile": ({"quantile": 0.75}, [-0.75, -0.25 * 3, -0.75 * 4, -0.25 * 2]),
}
SETTINGS = {"positive"}  # besides the parameters of a recipe


def scored(name: str) -> Any:
    """The clean scores that an evaluation gives, and its ``ScoreInfo``."""
    score, _ = BY_HAND[name]
    regressor = KINDS[name].task == "regressor"
    answers, targets = (np.array(NUMBERS), np.array(TARGETS)) if regressor else (np.array(P), np.array(CORRECT))
    X = pd.DataFrame({"row": np.arange(len(targets)), "x": np.arange(len(targets)) % 2})
    recipe = {"properties": ["x"], "score": score}
    result = probe(lambda inputs: answers[inputs["row"]], X, targets, recipe, task=KINDS[name].task)
    assert result.score_table is not None
    return result.score_table.column(CLEAN), result.score


def test_the_recipe_names_the_kinds_of_the_table() -> None:
    assert {*SCORE_NAMES, *SCORE_PARAMETERS} == set(KINDS) == {*BY_HAND, AGREEMENT}
    assert all(name in KINDS[name].settings for name in SCORE_PARAMETERS)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_whole(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name and kind.label and kind.scale.unit and kind.needs in get_args(Needs)
    assert kind.scale.upper is not None, "greater is better: without an upper bound nothing says how good a score is"
    for function in (kind.function, kind.decision):
        if function is not None:
            keywords = [
                key for key, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY
            ]
            assert set(keywords) == set(kind.settings) <= {*SETTINGS, *SCORE_PARAMETERS}
            assert function.__doc__ and ">>>" in function.__doc__


@pytest.mark.parametrize("name", BY_HAND)
def test_a_kind_is_computed_as_by_hand(name: str) -> None:
    scores, info = scored(name)
    kind = KINDS[name]
    np.testing.assert_allclose(scores, BY_HAND[name][1], rtol=1e-12)
    assert info == ScoreInfo(
        kind=name, lower=kind.scale.lower, upper=kind.scale.upper, unit=kind.scale.unit, source="function"
    )
    assert kind.binary is (set(scores) <= {0.0, 1.0})
    assert (kind.scale.clip(scores) == scores).all()


@pytest.mark.parametrize("name", KINDS)
def test_words_name_a_kind_by_its_label(name: str) -> None:
    unit = KINDS[name].scale.unit
    assert words.score_name(name, unit) == KINDS[name].label.replace("{unit}", unit)


@pytest.mark.parametrize("lacking", ["name", "label", "scale", "needs", "function", "no_skill"])
def test_a_kind_that_lacks_something_cannot_be_made(lacking: str) -> None:
    whole = KINDS["neg_brier_score"]
    parts = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    assert ScoreKind(**parts) == whole
    with pytest.raises(TypeError, match=lacking):
        ScoreKind(**{name: value for name, value in parts.items() if name != lacking})


def test_a_kind_that_the_table_lacks_is_not_computed_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is added to the recipe alone is an error, not the Brier score under a new name."""
    rest = {name: kind for name, kind in KINDS.items() if name != "neg_brier_score"}
    monkeypatch.setattr(kinds, "KINDS", MappingProxyType(rest))
    with pytest.raises(KeyError, match="neg_brier_score"):
        scored("neg_brier_score")


def test_a_setting_that_nothing_gives_is_an_error() -> None:
    kind = dataclasses.replace(KINDS["probability"], settings=("temperature",))
    with pytest.raises(KeyError, match="temperature"):
        kind.score(np.array(P), np.array(CORRECT), {"positive": 1})


def test_the_default_is_the_first_of_its_need() -> None:
    defaults = {"probabilities": "probability", "labels": "correct", "numbers": "neg_absolute_error"}
    assert {needs: kinds.default_kind(needs).name for needs in defaults} == defaults
    assert load_recipe({"class_test": True}).score is None


def test_a_row_with_nan_scores_nan() -> None:
    p = np.array([[0.5, 0.5], [np.nan, 1.0]])
    for kind in (KINDS[name] for name in BY_HAND if KINDS[name].task == "classifier"):
        scores = kind.score(p, np.array([0, 1]), {"top_k": 1, "threshold": 0.5, "positive": 1})
        assert np.isnan(scores).tolist() == [False, True]


def test_the_page_has_the_table_of_the_scores() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")
    rows = []
    for name, kind in KINDS.items():
        ends = ["" if end is None else f"{end:g}".replace("-", "−") for end in (kind.scale.lower, kind.scale.upper)]
        unit = kind.scale.unit
        rows.append(f"| `{name}` | {kind.label.format(unit=unit)} | {' | '.join(ends)} | {unit} | {kind.needs} |")
    wanted = "\n".join(rows)
    assert wanted in page, f"docs/scores.md: put in\n{wanted}"
