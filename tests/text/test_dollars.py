"""A regressor is spoken of in its target's own unit, and its error as an error."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, probe
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text.findings import findings
from mlflow_sensie.text.skill import ERRORS, skill_sentence


def diamonds(score: str) -> Result:
    """Probe a model of skewed prices, which errs by more dollars on large stones, and by less of their price."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"carat": rng.lognormal(-0.4, 0.5, 3000), "clarity": rng.integers(1, 9, 3000).astype(float)})
    noise = pd.Series(rng.normal(size=3000))

    def price(stones: pd.DataFrame) -> pd.Series[float]:
        return 4000 * stones["carat"].clip(0.05) ** 1.7 * 1.08 ** stones["clarity"]

    def model(stones: pd.DataFrame) -> pd.Series[float]:
        return price(stones) + 6 * price(stones) ** 0.6 * noise[stones.index]

    recipe = {
        "score": score,
        "properties": ["carat"],
        "perturbations": [{"name": "tabular.noise", "magnitudes": [0, 1]}],
    }
    return probe(model, X, price(X).rename("dollars"), recipe, task="regressor")


def sentences(result: Result) -> dict[str, str]:
    return {finding.name: finding.text for finding in findings(result)}


def test_the_absolute_error_grows_with_size_while_the_relative_one_falls() -> None:
    absolute, relative = (diamonds(score) for score in ("neg_absolute_error", "neg_relative_error"))
    assert re.match(
        r"the absolute error grows by 15\d\d \[\d+, \d+\] \(dollars\) from 0\.", sentences(absolute)["carat"]
    )
    assert re.match(r"the relative error shrinks by 0\.\d+ \[0\.\d+, 0\.\d+\] from 0\.", sentences(relative)["carat"])
    for result, unit in ((absolute, r" \(dollars\)"), (relative, "")):
        error = sentences(result)["tabular.noise"]
        assert re.match(rf"the \w+ error grows by [\d.]+ \[[\d.]+, [\d.]+\]{unit} on average over 0 to 1", error)
    assert "dollars" in skill_sentence(absolute) and "dollars" not in skill_sentence(relative)
    assert absolute.no_skill_score == pytest.approx(-2469, abs=1)  # what the median errs by, in dollars


def test_every_score_of_numbers_is_spoken_of_as_an_error() -> None:
    assert set(ERRORS) == {name for name, kind in KINDS.items() if kind.needs == "numbers"}
