"""How sure a model is beside how often it is right: said once, of the examples as they are, and in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, probe
from mlflow_sensie.text.skill import confidence_sentence

N = 4000


def of_calibration(power: float, **recipe: Any) -> Result:
    """Probe a model whose log odds are ``power`` times those of the truth."""
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"a": rng.normal(size=N), "w": rng.integers(1, 4, N).astype(float)})
    y = (rng.random(N) < 1 / (1 + np.exp(-X["a"]))).astype(int)
    asked = {"properties": ["a"], **recipe}
    return probe(lambda x: 1 / (1 + np.exp(-power * x["a"].to_numpy())), X, y, asked)


@pytest.mark.parametrize(
    ("power", "verdict"), [(1.0, "accuracy less confidence is"), (4.0, "too sure by"), (0.2, "not sure enough by")]
)
def test_the_gap_is_told_from_chance(power: float, verdict: str) -> None:
    result = of_calibration(power)
    confidence = result.confidence
    assert confidence is not None
    p = 1 / (1 + np.exp(-power * np.asarray(result.score_table.column("property/a"))))
    y = np.asarray(result.score_table.column("target"))
    assert confidence.mean == pytest.approx(np.maximum(p, 1 - p).mean())
    assert confidence.accuracy == pytest.approx(((p > 0.5) == y).mean())
    assert confidence.gap.value == pytest.approx(confidence.accuracy - confidence.mean)
    assert verdict in confidence_sentence(result)
    assert Result.from_json(result.to_json()).confidence == confidence
    assert confidence_sentence(result) in result.html().replace("\u00a0", " ").replace("&#39;", "'")


def test_a_column_of_weights_counts_and_balanced_weights_do_not() -> None:
    plain, weighted, balanced = (of_calibration(1.0, weights=weights) for weights in (None, "w", "balanced"))
    assert plain.confidence == balanced.confidence != weighted.confidence


def test_without_probabilities_there_is_no_confidence() -> None:
    X = pd.DataFrame({"a": np.arange(50.0)})
    labels = probe(lambda x: (x["a"].to_numpy() > 20).astype(int), X, np.arange(50) % 2, {"properties": ["a"]})
    assert labels.confidence is None and confidence_sentence(labels) == ""


def test_of_what_is_no_input_nothing_is_called_unexpected() -> None:
    """A property that knows the answer makes a model that is calibrated for every input look wrong."""
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"a": rng.normal(size=N)})
    p = 1 / (1 + np.exp(-X["a"]))
    y = (rng.random(N) < p).astype(int)
    table = pd.DataFrame({"afterwards": y + 0.1 * rng.normal(size=N)})
    recipe = {"properties": ["a", "afterwards"], "property_table": table}
    tests = probe(lambda x: 1 / (1 + np.exp(-x["a"].to_numpy())), X, y, recipe).tests
    assert tests["afterwards"].fit.unexpected is None and "unexpected" not in tests["afterwards"].metrics
    assert tests["a"].fit.unexpected is not None
