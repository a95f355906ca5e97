"""Categories, classes and the spread between them."""

from __future__ import annotations

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose
from scipy import integrate

from mlflow_sensie.inference import CategoryFit, ScoreScale, category_test, merge_rare, spread_of
from mlflow_sensie.inference.spread import noise
from mlflow_sensie.inference.weights import GroupedMoments

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")


def fit(level: np.ndarray, y: np.ndarray, k: int, scale: ScoreScale = PROBABILITY) -> CategoryFit:
    """Run the test over levels "0" to "k-1"."""
    return category_test(level, y, scale, levels=[str(j) for j in range(k)])


def simulate(rng: np.random.Generator, k: int, n: int, sd: float, mean: float = 0.75) -> tuple[np.ndarray, np.ndarray]:
    """Give levels and zero-one scores; the true means have exactly this SD."""
    truth = rng.normal(size=k)
    truth = mean + sd * (truth - truth.mean()) / truth.std(ddof=1)
    level = np.repeat(np.arange(k), n)
    return level, (rng.random(k * n) < truth[level]).astype(float)


@pytest.mark.parametrize("k", [2, 10, 100, 1000])
def test_a_known_spread_is_found(k: int, rng: np.random.Generator) -> None:
    found = fit(*simulate(rng, k, 200, 0.08), k)
    assert found.spread.lo95 < 0.08 < found.spread.hi95
    if k >= 10:
        assert found.decision == "sensitive"
        assert found.spread.value == pytest.approx(0.08, rel=0.5 if k == 10 else 0.2)


def test_a_spread_carries_its_whole_posterior(rng: np.random.Generator) -> None:
    found = fit(*simulate(rng, 10, 200, 0.08), 10).levels_spread
    assert found.posterior.interval() == pytest.approx((found.spread.lo95, found.spread.hi95), rel=2e-3)
    assert found.posterior.prob_above(0.02) == pytest.approx(found.prob_sensitive, abs=1e-3)


def test_no_spread_is_not_called_one() -> None:
    rng = np.random.default_rng(2)
    words = [fit(*simulate(rng, 10, 100, 0.0), 10).decision for _ in range(60)]
    assert words.count("sensitive") <= 3


def test_the_quadrature_is_that_of_scipy() -> None:
    m, v = np.array([0.7, 0.8, 0.95]), np.array([0.002, 0.001, 0.003])

    def density(tau: float) -> float:
        w = 1 / (tau**2 + v)
        centre = w @ m / w.sum()
        fit = np.exp(-0.5 * (w * (m - centre) ** 2).sum() - 0.5 * (tau / 0.25) ** 2)
        return float(fit * np.sqrt(np.prod(w) / w.sum()))

    from mlflow_sensie.inference.spread import _posterior

    tau, mass = _posterior(m, v)
    total = integrate.quad(density, 0, 3)[0]
    for x in (0.02, 0.1, 0.3):
        exact = integrate.quad(density, 0, x)[0] / total
        assert np.interp(x, tau, np.cumsum(mass)) == pytest.approx(exact, abs=1e-4)


def test_levels_are_shrunk_towards_each_other(rng: np.random.Generator) -> None:
    level = np.repeat([0, 1, 2], [500, 500, 3])
    y = np.concatenate([rng.random(500) < 0.7, rng.random(500) < 0.8, [0, 0, 0]]).astype(float)
    found = fit(level, y, 3)
    means, raw = found.levels_spread.means, found.curve.score
    assert means[2] is not None and means[2] > 0.3, "three failures do not make a level that always fails"
    assert means[0] == pytest.approx(raw[0], abs=0.01)
    assert found.range == pytest.approx(max(means) - min(means))  # type: ignore[type-var,operator]
    assert found.flags == ("small_levels",)
    ends = zip(found.levels_spread.lo95, means, found.levels_spread.hi95, strict=True)
    assert all(0 <= low <= mean <= high <= 1 for low, mean, high in ends)  # type: ignore[operator]


def test_a_level_without_failures_has_noise_all_the_same() -> None:
    sums = GroupedMoments.of(np.repeat([0, 1], 50), np.r_[np.ones(50), np.zeros(5), np.ones(45)], 2, 0, 1)
    assert noise(sums, 0, 1, bounded=True)[0] > 1e-4
    equal = GroupedMoments.of([0, 0, 1, 1], np.ones(4), 2, 0, 1)
    assert np.all(noise(equal, 0, 1, bounded=True) > 0)
    assert np.all(noise(equal, 0, 1, bounded=False) > 0)


def test_missing_levels_and_bad_scores_stand_apart() -> None:
    level = np.array([0, 0, 1, 1, -1, -1, 0])
    y = np.array([1, 0, 1, 1, 0, 0.5, np.nan])
    found = fit(level, y, 3)
    assert (found.n, found.n_missing, found.n_dropped) == (4, 2, 1)
    assert found.curve.n == (2, 2, 0) and found.curve.score == (0.5, 1.0, None)
    assert found.levels_spread.means[2] is None
    assert found.missing is not None and found.missing.score == (0.25,)


def test_the_order_of_the_examples_changes_nothing(rng: np.random.Generator) -> None:
    level, y = simulate(rng, 5, 40, 0.1)
    order = rng.permutation(200)
    whole, parts = fit(level, y, 5), fit(level[order], y[order], 5)
    assert_allclose(list(numbers_of(parts).values()), list(numbers_of(whole).values()), rtol=1e-8)


def test_the_scores_unit_scales_everything_but_the_rope(rng: np.random.Generator) -> None:
    level = np.repeat(np.arange(6), 40)
    y = rng.normal(size=240) + 0.8 * level
    one, ten = (
        spread_of(GroupedMoments.of(level, f * y, 6), UNBOUNDED, (f * y.min(), f * y.max()), 0.02 * f) for f in (1, 10)
    )
    assert_allclose(ten.spread.hi95, 10 * one.spread.hi95)
    assert_allclose(ten.prob_sensitive, one.prob_sensitive)
    assert one.spread.lo95 < np.std(0.8 * np.arange(6), ddof=1) < one.spread.hi95


@pytest.mark.parametrize("level", [[0, 0, 0], [0, -1, -1], [-1, -1, -1]])
def test_fewer_than_two_levels_are_an_error(level: list[int]) -> None:
    with pytest.raises(ValueError, match="at least two levels"):
        fit(np.array(level), np.ones(3), 2)


def test_one_group_of_bins_tells_nothing_but_the_prior() -> None:
    found = spread_of(GroupedMoments.of([0, 0], [0.2, 0.4], 1), PROBABILITY, (0.0, 1.0), 0.02)
    assert found.p_value is None and found.spread.hi95 > 0.4
    with pytest.raises(ValueError, match="no group"):
        spread_of(GroupedMoments.of([], [], 3), PROBABILITY, (0.0, 1.0), 0.02)


@pytest.mark.parametrize(
    ("counts", "levels", "index"),
    [
        ({"a": 500, "b": 490, "c": 5, "d": 5}, ("a", "b", "other"), [0, 1, 2, 2]),
        ({"a": 5, "b": 500, "c": 5, "d": 490}, ("b", "d", "other"), [2, 0, 2, 1]),
        ({"a": 500, "other": 490, "c": 5, "d": 5}, ("a", "other", "other (rare)"), [0, 1, 2, 2]),
        ({"a": 995, "other": 3, "d": 2}, ("a", "other"), [0, 1, 1]),
        ({"a": 500, "b": 495, "c": 5}, ("a", "b", "c"), [0, 1, 2]),
        ({str(k): 5 for k in range(300)}, tuple(str(k) for k in range(300)), list(range(300))),
    ],
)
def test_rare_levels_are_merged(counts: dict[str, int], levels: tuple[str, ...], index: list[int]) -> None:
    found, where = merge_rare(list(counts), list(counts.values()))
    assert found == levels and where.tolist() == index
