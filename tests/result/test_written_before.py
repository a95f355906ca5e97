"""What earlier versions wrote is still read: a result and a comparison of 0.1.0, with a test of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_sensie import Result
from mlflow_sensie.comparison import Comparison

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


def test_a_comparison_is_read_and_shown() -> None:
    comparison = Comparison.from_json((FOLDER / "comparison.json").read_text(encoding="utf-8"))
    assert set(comparison.tests) == {"a", "site", "class", "shift"} and "broken" in comparison.not_compared
    assert all(name in comparison.html() for name in comparison.tests)
    assert Comparison.from_json(comparison.to_json()) == comparison
