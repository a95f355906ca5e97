"""What earlier versions wrote is still read: a result and a comparison of 0.1.0, with a test of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlflow_sensie import Result
from mlflow_sensie.comparison import Comparison, compare, leaderboard
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.gate import judge, power
from mlflow_sensie.scores.table import ScoreTable

FOLDER = Path(__file__).parent / "written"


def test_a_result_is_read_drawn_and_shown() -> None:
    result = Result.from_json((FOLDER / "result.json").read_text(encoding="utf-8"))
    kinds = {name: test.kind for name, test in result.tests.items() if test.ok}
    assert kinds == {"a": "property", "site": "category", "class": "class", "shift": "perturbation"}
    assert result.metrics["sensie/clean_score"] == pytest.approx(0.576423942514896, rel=1e-9)
    sensitive = {name: result.metrics[f"sensie/{name}/prob_sensitive"] for name in kinds}
    assert sensitive == {name: result.tests[name].fit.prob_sensitive for name in kinds}
    names = {key.rpartition("/")[2] for key in result.metrics}
    assert names > {"n", "effect_bound95"} and "sensitive" not in names
    assert [len(result.tests[name].curve) for name in kinds] == [3, 3, 2, 3]
    assert all(name in result.html() for name in kinds)
    assert Result.from_json(result.to_json()) == result
    assert result.read_only and (result.schema_version, json.loads(result.to_json())["schema_version"]) == (1, 1)


@pytest.fixture
def old() -> Result:
    """A result of 0.1.0 with its clean scores alone."""
    result = Result.from_json((FOLDER / "result.json").read_text(encoding="utf-8"))
    result = result.model_copy(update={"tests": {}})
    ids, scores = np.arange(result.n), np.random.default_rng(0).uniform(size=result.n)
    table = ScoreTable()
    table.append({"id": ids, "target": ids % 2, "clean": scores})
    result._score_table = table
    return result


@pytest.fixture
def new(old: Result) -> Result:
    """The same as this version would have written it."""
    result = old.model_copy(update={"schema_version": 2, "model_name": "new"})
    result._score_table = old.score_table
    return result


def test_old_and_new_are_not_compared(old: Result, new: Result) -> None:
    for a, b in ((old, new), (new, old)):
        with pytest.raises(ComparisonError, match=r"'<lambda>' was evaluated by mlflow-sensie 0.1.0 .* evaluate it"):
            compare(a, b)
        with pytest.raises(ComparisonError, match="'<lambda>' was .* evaluate it again"):
            leaderboard({"a": a, "b": b})
    assert compare(old, old).identical and compare(new, new).identical


def test_a_gate_judges_no_old_result_and_none_against_an_old_one(old: Result, new: Result) -> None:
    rules = [{"metric": "clean_score", "at_least": 0.1}]
    for result, baseline in ((old, None), (new, old), (old, new)):
        for ask in (judge, power):
            with pytest.raises(ComparisonError, match="'<lambda>' was .* evaluate it again"):
                ask(result, rules, baseline)
    assert judge(new, rules).passed


def test_a_comparison_is_read_and_shown() -> None:
    comparison = Comparison.from_json((FOLDER / "comparison.json").read_text(encoding="utf-8"))
    assert set(comparison.tests) == {"a", "site", "class", "shift"} and "broken" in comparison.not_compared
    assert all(name in comparison.html() for name in comparison.tests)
    assert Comparison.from_json(comparison.to_json()) == comparison
