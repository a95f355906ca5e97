"""Changes that no line tells: a sweep that breaks the model at its first step, a property that falls and rises."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie.inference import (
    MagnitudeGrid,
    ScoreScale,
    bin_edges,
    perturbation_test,
    property_span,
    property_test,
)

PROBABILITY = ScoreScale(0.0, 1.0, "probability")


@pytest.mark.parametrize("neutral", [None, 0.0])
def test_a_model_that_breaks_at_the_first_step_is_sensitive(neutral: float | None) -> None:
    rng = np.random.default_rng(0)
    broken = rng.uniform(0.05, 0.15, (400, 5))
    broken[:, 0] += 0.8
    broken[:, -1] += 0.8 * (neutral is not None)  # and recovers at the last, so that no slope is left
    fit = perturbation_test(broken, MagnitudeGrid.of((1, 2, 3, 4), neutral), PROBABILITY)
    assert abs(fit.effect.value) < 0.02 and fit.mean_drop.value > 0.3
    assert fit.decision == "sensitive"


def test_nothing_that_matters_stays_negligible() -> None:
    scores = np.random.default_rng(0).uniform(0.4, 0.6, (2_000, 1)) + np.random.default_rng(1).normal(
        0, 0.01, (2_000, 5)
    )
    fit = perturbation_test(scores, MagnitudeGrid.of((1, 2, 3, 4), 0.0), PROBABILITY)
    assert fit.decision == "negligible"


def test_a_valley_is_sensitive() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(-1, 1, 4_000)
    score = np.clip(0.5 + 0.4 * p**2 + rng.normal(0, 0.1, p.size), 0, 1)
    edges, unique = bin_edges(p, 20)
    fit = property_test(p, score, PROBABILITY, edges=edges, unique=unique, span=property_span(p))
    assert abs(fit.effect.value) < 0.02 and fit.spread is not None and fit.spread.spread.value > 0.1
    assert fit.decision == "sensitive"
    still = 0.5 + rng.normal(0, 0.01, p.size)
    flat = property_test(p, still, PROBABILITY, edges=edges, unique=unique, span=property_span(p))
    assert flat.decision == "negligible"
