"""What a model's own confidence does not announce of a sweep."""

from __future__ import annotations

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit

from mlflow_sensie.inference import MagnitudeGrid, PerturbationFit, SamplingDesign, ScoreScale, perturbation_test

PROBABILITY = ScoreScale(0, 1, "probability")
U = np.linspace(0, 1, 6)


def binary(rng: np.random.Generator, n: int, *, knows: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give scores and expected scores (n, 6) of a model that knows, or does not, how much noise was added."""
    y = rng.choice([-1.0, 1.0], (n, 1))
    own, added = rng.normal(size=(2, n, 1))
    q = expit(3 * (1.5 * y + own + 3 * U * added) / (1 + 9 * U**2 if knows else 1.0))
    return np.where(y > 0, q, 1 - q), q * q + (1 - q) ** 2


def fit(
    scores: np.ndarray, expected: np.ndarray, magnitudes: list[float] | None = None, **more: object
) -> PerturbationFit:
    """Run the test of a sweep from 0."""
    grid = MagnitudeGrid.of(magnitudes or U[1:].tolist(), 0)
    return perturbation_test(scores, grid, PROBABILITY, excess=scores - expected, **more)  # type: ignore[arg-type]


def test_it_is_the_effect_of_the_examples_own_excess(rng: np.random.Generator) -> None:
    scores, expected = binary(rng, 300, knows=False)
    found = fit(scores, expected)
    slopes = np.polyfit(U, (scores - expected).T, 1)[0]
    low, high = stats.t(299, slopes.mean(), slopes.std(ddof=1) / np.sqrt(300)).interval(0.95)
    assert found.unexpected is not None and found.calibration is not None
    assert_allclose([found.unexpected.value, found.unexpected.lo95, found.unexpected.hi95], [slopes.mean(), low, high])
    assert_allclose(found.calibration.expected, expected.mean(0))
    assert found.calibration.slope.value == pytest.approx(found.unexpected.value)  # over a range of 1
    keys = set(numbers_of(found)) - set(numbers_of(fit_without(scores)))
    assert keys == {"unexpected", *(f"unexpected_{end}" for end in ("lo50", "hi50", "lo95", "hi95"))}


def fit_without(scores: np.ndarray) -> PerturbationFit:
    return perturbation_test(scores, MagnitudeGrid.of(U[1:].tolist(), 0), PROBABILITY)


def test_a_model_that_knows_falls_as_it_says_and_one_that_does_not_does_not(rng: np.random.Generator) -> None:
    knows, not_so = (fit(*binary(rng, 4000, knows=it)) for it in (True, False))
    assert knows.unexpected is not None and not_so.unexpected is not None
    assert knows.effect.hi95 < -0.25 and abs(knows.unexpected.value) < 0.02
    assert not_so.unexpected.hi95 < -0.2


def test_everything_else_stays_as_it_is(rng: np.random.Generator) -> None:
    scores, expected = binary(rng, 200, knows=True)
    followed, without = numbers_of(fit(scores, expected)), numbers_of(fit_without(scores))
    assert {key: followed[key] for key in without} == pytest.approx(without)


def test_of_two_sides_the_one_that_falls_more_counts(rng: np.random.Generator) -> None:
    n, at = 400, [-2.0, -1.0, 1.0, 2.0]
    fall = rng.uniform(0, 0.2, (n, 1))
    scores = 0.9 - fall * np.array([0, 2, 1, 1, 2])
    expected = 0.9 - fall * np.array([0, 0, 0, 1, 2])  # below the neutral the model notices nothing
    found = fit(scores, expected, at, family=5)
    assert found.calibration is not None and found.unexpected is not None
    below, above = found.calibration.sides
    assert found.calibration.worse == below.side == "below" and above.posterior.loc == pytest.approx(0, abs=1e-9)
    assert (found.unexpected.lo95, found.unexpected.hi95) == below.posterior.interval(1 - 0.05 / 10)
    assert found.calibration.slope.value == pytest.approx(found.unexpected.value / 2)
    assert above.few_informative and above.effect.hi95 > 0  # nothing varies: guarded


def test_dropped_rows_weights_and_clusters(rng: np.random.Generator) -> None:
    scores, expected = binary(rng, 240, knows=False)
    scores[3, 2] = expected[3, 2] = np.nan
    weight, patient = rng.uniform(0.5, 2, 240), np.repeat(np.arange(60), 4)
    found, alone = fit(scores, expected, design=SamplingDesign(weight, patient)), fit(scores, expected)
    assert found.n == alone.n == 239 and found.unexpected is not None and alone.unexpected is not None
    kept = np.arange(240) != 3
    slopes = np.polyfit(U, (scores - expected)[kept].T, 1)[0]
    assert found.unexpected.value == pytest.approx(np.average(slopes, weights=weight[kept]))
    assert alone.unexpected.value == pytest.approx(slopes.mean())


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 300])
def test_coverage_of_nothing_unexpected(n: int) -> None:
    held = []
    for seed in range(400):
        found = fit(*binary(np.random.default_rng([41, seed]), n, knows=True)).unexpected
        assert found is not None
        held.append(found.lo95 <= 0 <= found.hi95)
    assert 0.93 <= np.mean(held) <= 0.98
