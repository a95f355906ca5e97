"""The skewness that posteriors carry for one-sided claims, and the mean score, which is claimed that way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.inference import (
    MagnitudeGrid,
    Posterior,
    SamplingDesign,
    ScoreScale,
    SkewedT,
    mean_test,
    perturbation_test,
    property_test,
)

PROBABILITY = ScoreScale(0, 1, "probability")


def over_root_n(rows: np.ndarray) -> float:
    return float(stats.skew(rows) / np.sqrt(len(rows)))


def mean_of(score: np.ndarray, design: SamplingDesign = SamplingDesign(), scale: ScoreScale = PROBABILITY) -> Posterior:
    return mean_test(score, scale, design).posterior


def test_of_a_mean(rng: np.random.Generator) -> None:
    score = rng.beta(8, 1, 200)
    found = mean_of(score)
    assert found.skew == pytest.approx(over_root_n(score)) and found.skew < 0
    assert found.loc == pytest.approx(score.mean())
    assert found.scale == pytest.approx(stats.sem(score))


def test_pseudo_examples_of_a_mean_lie_at_the_bounds() -> None:
    score = np.array([0.0] + [1.0] * 99)
    guarded = mean_test(score, PROBABILITY, SamplingDesign())
    joined = np.append(score, [0.0, 1.0])
    assert guarded.few_informative
    assert guarded.plain.loc == pytest.approx(0.99)
    assert guarded.posterior.loc == pytest.approx(joined.mean())
    assert guarded.posterior.scale == pytest.approx(stats.sem(joined))
    assert guarded.posterior.skew == pytest.approx(over_root_n(joined))


def test_of_a_drop_and_of_the_effect_of_a_side(rng: np.random.Generator) -> None:
    scores = np.column_stack([np.ones(300), rng.beta(5, 1, (300, 3))])
    fit = perturbation_test(scores, MagnitudeGrid.of([1, 2, 3], 0), PROBABILITY)
    drops = scores @ np.array([1 - 1 / 6, -1 / 3, -1 / 3, -1 / 6])
    slopes = scores @ (np.arange(4) - 1.5)
    assert fit.mean_drop_posterior.skew == pytest.approx(over_root_n(drops))
    assert fit.sides[0].posterior.skew == pytest.approx(over_root_n(slopes))
    assert fit.sides[0].posterior.scaled(-2).skew == pytest.approx(-over_root_n(slopes))


def test_of_a_guarded_drop_that_of_the_examples_and_the_two_beside_them() -> None:
    scores = np.ones((100, 2))
    scores[:3, 1] = [0.0, 0.2, 0.1]
    fit = perturbation_test(scores, MagnitudeGrid.of([1], 0), PROBABILITY)
    joined = np.append((scores[:, 0] - scores[:, 1]) / 2, [0.5, -0.5])
    assert "few_informative" in fit.flags
    assert fit.mean_drop_posterior.loc == pytest.approx(joined.mean())
    assert fit.mean_drop_posterior.skew == pytest.approx(over_root_n(joined))


def test_of_a_property(rng: np.random.Generator) -> None:
    p = rng.random(400)
    score = 1 - rng.beta(2, 3, 400) * p
    found = property_test(p, score, PROBABILITY, span=(0, 1)).posterior
    line = stats.linregress(p, score)
    d = (p - p.mean()) * (score - line.intercept - line.slope * p)
    assert isinstance(found, Posterior)
    assert found.skew == pytest.approx((d**3).sum() / (d**2).sum() ** 1.5)


def test_weights_and_clusters_count(rng: np.random.Generator) -> None:
    score, weight = rng.beta(8, 1, 60), rng.uniform(0.5, 2, 60)
    whole = mean_of(score, SamplingDesign(weight))
    assert whole.loc == pytest.approx(np.average(score, weights=weight))
    d = weight * (score - whole.loc)
    assert whole.skew == pytest.approx((d**3).sum() / (d**2).sum() ** 1.5)
    twice = mean_of(np.repeat(score, 2), SamplingDesign(None, np.repeat(np.arange(60), 2)))
    alone = mean_of(score)
    assert (twice.loc, twice.scale, twice.skew) == pytest.approx((alone.loc, alone.scale, alone.skew))


def test_a_mean_needs_two_independent_examples() -> None:
    one_cluster = SamplingDesign(None, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="only 1 examples"):
        mean_of(np.array([0.2, 0.4, 0.9]), one_cluster)


def zero_one(rng: np.random.Generator) -> np.ndarray:
    return (rng.random(1500) < 0.98).astype(float)


def left_skewed(rng: np.random.Generator) -> np.ndarray:
    return 1 - rng.beta(0.5, 4, 100)


@pytest.mark.parametrize(("draw", "truth"), [(zero_one, 0.98), (left_skewed, 1 - 0.5 / 4.5)])
def test_a_claim_at_the_truth_is_made_once_in_twenty(
    draw: Callable[[np.random.Generator], np.ndarray], truth: float
) -> None:
    """A claim "at least the truth": by Student's t 8 % of the time, by the posterior with its skewness 5 %."""
    rng, plain, corrected = np.random.default_rng(1), 0, 0
    for _ in range(1500):
        found = mean_of(draw(rng))
        plain += found.prob_above(truth) >= 0.95
        corrected += SkewedT(found.loc, found.scale, found.df, found.skew).prob_above(truth) >= 0.95
    assert plain / 1500 > 0.065
    assert corrected / 1500 < 0.06
