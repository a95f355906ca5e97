"""Properties by rank: shares, bins, the slope, and the noise of the ranks themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose
from scipy import stats

from mlflow_sensie.inference import (
    PropertyFit,
    Ranks,
    SamplingDesign,
    ScoreScale,
    bin_edges,
    exact,
    property_span,
    property_test,
)

UNBOUNDED = ScoreScale(None, None, "target SD")


def fit(p: np.ndarray, y: np.ndarray, bins: Any = 20, expected: np.ndarray | None = None) -> PropertyFit:
    """Run the test by rank over a single block."""
    edges, unique = bin_edges(p, bins)
    span, ranks = property_span(p), Ranks.of(p)
    return property_test(p, y, UNBOUNDED, expected=expected, edges=edges, unique=unique, span=span, ranks=ranks)


def skewed(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Give a lognormal property and scores that fall with its rank."""
    p = np.exp(2 * rng.normal(size=n))
    return p, 0.8 - 0.3 * stats.norm.cdf(np.log(p) / 2) + 0.1 * rng.normal(size=n)


def test_shares_are_ranks_with_ties_averaged(rng: np.random.Generator) -> None:
    p = rng.integers(0, 30, 200).astype(float)
    p[:5] = np.nan
    ranks, known = Ranks.of(p), p[5:]
    assert_allclose(ranks.share(known), (stats.rankdata(known) - 0.5) / 195)
    assert np.isnan(ranks.share(p[:5])).all()
    assert_allclose(ranks.value(ranks.share(known)), known)
    assert ranks.span == (ranks.share(known.min()), ranks.share(known.max()))


@pytest.mark.parametrize("distinct", [1, 2, 101, 5000])
def test_an_axis_has_at_most_101_values_and_goes_both_ways(distinct: int, rng: np.random.Generator) -> None:
    ranks = Ranks.of(np.sort(rng.standard_cauchy(distinct)))
    axis = ranks.axis()
    assert len(axis.values) == min(distinct, 101)
    assert (axis.values[0], axis.values[-1]) == (ranks.values[0], ranks.values[-1])
    assert_allclose(axis.share(axis.values), ranks.share(np.array(axis.values)))
    assert_allclose(axis.value(axis.shares), axis.values)
    assert np.abs(axis.share(ranks.values) - ranks.share(ranks.values)).max() <= 0.01 + 1e-9


def test_nothing_to_rank() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        Ranks.of([np.nan, np.inf])


def test_the_slope_is_least_squares_on_the_share(rng: np.random.Generator) -> None:
    p, y = skewed(rng)
    found, share = fit(p, y), (stats.rankdata(p) - 0.5) / 300
    assert found.slope.value == pytest.approx(stats.linregress(share, y).slope)
    assert found.effect.value == pytest.approx(found.slope.value * 299 / 300)
    assert_allclose(found.span, (0.5 / 300, 1 - 0.5 / 300))
    assert (found.line.start, found.line.stop) == found.span


def test_only_the_order_of_the_property_matters(rng: np.random.Generator) -> None:
    p, y = skewed(rng)
    raw, log = fit(p, y, expected=y**2), fit(np.log(p), y, expected=y**2)
    assert numbers_of(raw) == pytest.approx(numbers_of(log)) and raw.curve is not None and log.curve is not None
    assert raw.curve.score == pytest.approx(log.curve.score) and raw.curve.n == log.curve.n
    assert_allclose(np.log(raw.curve.p), log.curve.p)


@pytest.mark.parametrize("bins", [20, [0.0, 0.5, 1, 1000], ("uniform", 5)])
def test_bins_are_those_of_the_property(bins: Any, rng: np.random.Generator) -> None:
    p, y = skewed(rng)
    edges, unique = bin_edges(p, bins)
    plain = property_test(p, y, UNBOUNDED, edges=edges, unique=unique, span=property_span(p))
    found = fit(p, y, bins)
    assert plain.curve is not None and found.curve is not None
    assert (found.curve.n, found.curve.label) == (plain.curve.n, plain.curve.label)
    assert_allclose([x for x in found.curve.score if x is not None], [x for x in plain.curve.score if x is not None])
    assert found.spread == plain.spread


def test_each_of_few_values_keeps_its_own_point(rng: np.random.Generator) -> None:
    p = rng.poisson(2, 300).astype(float)
    found = fit(p, rng.random(300))
    assert found.curve is not None and found.curve.p == tuple(np.unique(p))


@pytest.mark.parametrize("ties", [False, True])
def test_the_posterior_is_as_wide_as_the_jackknife_with_ranks_anew(ties: bool, rng: np.random.Generator) -> None:
    # Hardly any noise: nearly all of the uncertainty is that of the ranks, which least squares do not see.
    p = rng.poisson(3, 400).astype(float) if ties else np.exp(rng.normal(size=400))
    y = 0.9 - 0.4 * np.tanh(p) + 0.01 * rng.normal(size=400)
    width = Ranks.of(p).span[1] - Ranks.of(p).span[0]

    def slope(kept: np.ndarray) -> float:
        return float(stats.linregress((stats.rankdata(p[kept]) - 0.5) / len(kept), y[kept]).slope)

    left_out = np.array([slope(np.delete(np.arange(400), k)) for k in range(400)])
    jackknife = np.sqrt(399 / 400 * ((left_out - left_out.mean()) ** 2).sum())
    assert fit(p, y).posterior.scale / width == pytest.approx(jackknife, rel=0.05)
    naive = stats.linregress((stats.rankdata(p) - 0.5) / 400, y).stderr
    assert jackknife > 1.2 * naive


def test_with_weights_and_clusters_it_is_the_jackknife_over_clusters(rng: np.random.Generator) -> None:
    patient = np.repeat(np.arange(150), 4)
    weight = rng.uniform(0.5, 2, 600)
    p = np.exp(rng.normal(size=150)[patient] + 0.3 * rng.normal(size=600))
    y = 0.9 - 0.4 * np.tanh(p) + 0.03 * rng.normal(size=150)[patient] + 0.01 * rng.normal(size=600)
    design = SamplingDesign(weight, patient)
    found = property_test(p, y, UNBOUNDED, span=property_span(p), ranks=Ranks.of(p), design=design)

    def slope(kept: np.ndarray) -> float:
        share = (stats.rankdata(p[kept]) - 0.5) / kept.sum()
        return float(np.polyfit(share, y[kept], 1, w=np.sqrt(weight[kept]))[0])

    left_out = np.array([slope(patient != k) for k in range(150)])
    assert found.slope.value == pytest.approx(slope(patient >= 0))
    jackknife = np.sqrt(149 / 150 * ((left_out - left_out.mean()) ** 2).sum())
    assert found.posterior.scale / (found.span[1] - found.span[0]) == pytest.approx(jackknife, rel=0.05)


def test_another_engine_is_said_to_know_the_ranks(rng: np.random.Generator) -> None:
    p, y = skewed(rng)
    found = fit(p, y)
    assert "ranks_as_known" in found.with_posteriors(exact(found.regressions)).flags


@pytest.mark.slow
def test_coverage_where_the_ranks_are_the_noise() -> None:
    held = []
    for seed in range(500):
        rng = np.random.default_rng([21, seed])
        u = rng.random(200)
        found = fit(u**5, 0.2 + 0.6 * u + 0.03 * rng.normal(size=200), "none")
        held.append(found.slope.lo95 <= 0.6 <= found.slope.hi95)
    assert 0.93 <= np.mean(held) <= 0.97
