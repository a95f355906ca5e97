"""Lines through part of a curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose
from scipy import stats

from mlflow_sensie.inference import (
    ExtraFits,
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    Ranks,
    SamplingDesign,
    ScoreScale,
    bin_edges,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.inference.extra_fits import CHOSEN, GIVEN

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")
U = np.linspace(0, 1, 11)


def sweep(
    rows: np.ndarray, magnitudes: Any, shape: ExtraFits, neutral: float | None = 0.0, **more: Any
) -> PerturbationFit:
    """Run a perturbation test over a single block."""
    more = {"scale": PROBABILITY, **more}
    grid = MagnitudeGrid.of(list(magnitudes), neutral, more.pop("log_distance", False))
    return perturbation_test(rows, grid, extra=shape, **more)


def sigmoid(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    """Give sweeps that each fall about .5."""
    return 0.1 + 0.8 / (1 + np.exp((U - 0.5 - 0.1 * rng.normal(size=(n, 1))) / 0.05)) + 0.02 * rng.normal(size=(n, 11))


def numeric(p: np.ndarray, y: np.ndarray, shape: ExtraFits, **more: Any) -> PropertyFit:
    """Run a property test over a single block."""
    edges, unique = bin_edges(p)
    more = {"scale": UNBOUNDED, "span": property_span(p), "edges": edges, "unique": unique, **more}
    return property_test(p, y, extra=shape, **more)


# ------------------------------------------------------------ sweeps


def test_a_given_range_is_the_line_through_its_points(rng: np.random.Generator) -> None:
    rows = sigmoid(rng)
    found = sweep(rows, U[1:], ExtraFits((0.3, 0.7)), scale=UNBOUNDED)
    (part,) = found.fit_range
    slopes = np.polyfit(U[3:8], rows[:, 3:8].T, 1)[0]
    low, high = stats.t(299, slopes.mean(), slopes.std(ddof=1) / np.sqrt(300)).interval(0.95)
    assert (part.start, part.stop, part.points) == (pytest.approx(0.3), pytest.approx(0.7), 5)
    assert_allclose([part.slope.value, part.slope.lo95, part.slope.hi95], [slopes.mean(), low, high])
    assert_allclose(part.effect.value, 0.4 * slopes.mean())
    assert (part.auto, part.note) == (False, GIVEN)
    assert_allclose(part.line.at(U[3:8])[0], np.polyval(np.polyfit(U[3:8], rows[:, 3:8].mean(0), 1), U[3:8]))


def test_it_changes_no_key(rng: np.random.Generator) -> None:
    rows, p = sigmoid(rng), rng.random(300)
    for shape in (ExtraFits((0.3, 0.7), 3), ExtraFits("auto", 2)):
        assert numbers_of(sweep(rows, U[1:], shape)) == numbers_of(sweep(rows, U[1:], ExtraFits()))
        assert numbers_of(numeric(p, rows[:, 5], shape)) == numbers_of(numeric(p, rows[:, 5], ExtraFits()))


def test_both_sides_of_the_neutral_have_a_part_of_their_own(rng: np.random.Generator) -> None:
    at = np.array([-3, -2, -1, 1, 2, 3.0])
    rows = np.clip(0.9 - rng.uniform(0, 0.2, (200, 1)) * np.abs([0, *at]), 0, 1)
    below, above = sweep(rows, at, ExtraFits((-2, 1))).fit_range
    assert (below.start, below.stop, below.points) == (-2, 0, 3) and (above.start, above.stop) == (0, 1)
    assert below.side == "below" and below.slope.value == pytest.approx(-0.1, abs=0.01)
    (alone,) = sweep(rows, at, ExtraFits((1, 3))).fit_range
    assert alone.side == "above" and alone.points == 3


@pytest.mark.parametrize("shape", [ExtraFits((4.0, 9.0)), ExtraFits((0.05, 0.1))])
def test_a_range_without_two_points_is_flagged(shape: ExtraFits, rng: np.random.Generator) -> None:
    found = sweep(sigmoid(rng), U[1:], shape)
    assert found.fit_range == () and "no_fit_range" in found.flags


def test_auto_takes_the_fall_and_says_so(rng: np.random.Generator) -> None:
    (part,) = sweep(sigmoid(rng), U[1:], ExtraFits("auto")).fit_range
    assert 0.3 <= part.start < part.stop <= 0.7 and part.auto and part.note == CHOSEN
    assert part.slope.value < -2
    plain = part.posterior.interval()
    assert part.effect.lo95 <= plain[0] and part.effect.hi95 >= plain[1]


def test_auto_finds_nothing_where_the_score_only_rises(rng: np.random.Generator) -> None:
    rows = 0.5 + 0.4 * U + 0.001 * rng.normal(size=(100, 11))
    found = sweep(rows, U[1:], ExtraFits("auto"))
    assert found.fit_range == () and "no_fit_range" in found.flags


def test_factors_and_sweeps_without_a_neutral(rng: np.random.Generator) -> None:
    p = np.array([0.25, 0.5, 2, 4])
    rows = 0.9 - 0.2 * np.abs(np.log(np.append(1, p))) + 0.01 * rng.normal(size=(100, 5))
    below, above = sweep(rows, p, ExtraFits((0.25, 2)), 1.0, log_distance=True).fit_range
    assert (below.start, below.stop, above.stop) == (0.25, 1, 2)
    assert above.slope.value == pytest.approx(-0.2, abs=0.01)
    assert above.effect.value == pytest.approx(-0.2 * np.log(2), abs=0.01)
    (alone,) = sweep(rows, p, ExtraFits((0.5, 4)), None).fit_range
    assert alone.points == 3 and (alone.start, alone.stop) == (0.5, 4)


def test_a_handful_of_examples_is_guarded_there_too() -> None:
    rows = np.ones((100, 11))
    rows[:2, 5:] = 0
    (part,) = sweep(rows, U[1:], ExtraFits((0.3, 0.7))).fit_range
    assert part.few_informative and part.effect.hi95 > 0


# ------------------------------------------------------------ properties


def test_a_given_range_of_a_property_is_the_test_of_its_examples(rng: np.random.Generator) -> None:
    p = rng.normal(size=600)
    y = np.tanh(2 * p) + (0.1 + 0.1 * np.abs(p)) * rng.normal(size=600)
    (part,) = numeric(p, y, ExtraFits((-0.5, 0.75))).fit_range
    kept = (p >= -0.5) & (p <= 0.75)
    alone = property_test(p[kept], y[kept], UNBOUNDED, span=(-0.5, 0.75))
    assert (part.start, part.stop, part.points) == (pytest.approx(-0.5), pytest.approx(0.75), kept.sum())
    assert_allclose([part.slope.value, part.slope.lo95], [alone.slope.value, alone.slope.lo95])
    assert part.effect.hi95 == pytest.approx(alone.effect.hi95)


def test_weights_and_clusters_count_in_a_range(rng: np.random.Generator) -> None:
    p, weight, patient = rng.normal(size=400), rng.uniform(0.2, 3, 400), np.repeat(np.arange(80), 5)
    y = p + rng.normal(size=80)[patient]
    design = SamplingDesign(weight, patient)
    (part,) = numeric(p, y, ExtraFits((-1, 1)), design=design).fit_range
    kept = np.abs(p) <= 1
    alone = property_test(p[kept], y[kept], UNBOUNDED, span=(-1, 1), design=design.take(kept))
    assert_allclose([part.slope.value, part.slope.lo95], [alone.slope.value, alone.slope.lo95])


def test_a_range_beyond_the_data_ends_with_the_span(rng: np.random.Generator) -> None:
    p, y = rng.random(300), rng.random(300)
    (part,) = numeric(p, y, ExtraFits((0.5, 80))).fit_range
    assert (part.start, part.stop) == (pytest.approx(0.5), pytest.approx(property_span(p)[1]))
    for nowhere in (ExtraFits((2.0, 3.0)), ExtraFits((0.5, 0.5 + 1e-9))):
        found = numeric(p, y, nowhere)
        assert found.fit_range == () and "no_fit_range" in found.flags


@pytest.mark.parametrize("sign", [1, -1])
def test_auto_finds_where_a_property_matters(sign: int, rng: np.random.Generator) -> None:
    p = sign * rng.random(2000)
    y = 0.2 + 0.6 / (1 + np.exp(-(np.abs(p) - 0.6) / 0.04)) + 0.05 * rng.normal(size=2000)
    (part,) = numeric(p, y, ExtraFits("auto")).fit_range
    low, high = sorted(np.abs([part.start, part.stop]))
    assert 0.4 < low < 0.6 < high < 0.8 and part.auto
    assert sign * part.slope.value > 2
    inside = (p >= part.start) & (p <= part.stop)
    assert part.points == pytest.approx(inside.sum(), abs=1)


def test_auto_needs_bins(rng: np.random.Generator) -> None:
    p, y = rng.random(100), rng.random(100)
    found = numeric(p, y, ExtraFits("auto", 2), edges=None, unique=None)
    assert found.fit_range == () and "no_fit_range" in found.flags and len(found.polynomials) == 1


def test_with_ranks_the_range_is_that_of_the_values(rng: np.random.Generator) -> None:
    p = np.exp(2 * rng.normal(size=500))
    ranks = Ranks.of(p)
    y = 0.8 - 0.5 * ranks.share(p) + 0.01 * rng.normal(size=500)
    (part,) = numeric(p, y, ExtraFits((0.5, 4)), ranks=ranks).fit_range
    kept = (p >= 0.5) & (p <= 4)
    assert part.points == kept.sum() and 0.45 < part.start <= 0.55 and 3.8 < part.stop < 4.2
    assert part.slope.value == pytest.approx(-0.5, abs=0.02)
    share = ranks.share(p)

    def slope(chosen: np.ndarray) -> float:
        again = Ranks.of(p[chosen]).share(p[chosen])
        inside = (p[chosen] >= 0.5) & (p[chosen] <= 4)
        return float(np.polyfit(again[inside], y[chosen][inside], 1)[0])

    left_out = np.array([slope(np.delete(np.arange(500), k)) for k in range(500)])
    jackknife = np.sqrt(499 / 500 * ((left_out - left_out.mean()) ** 2).sum())
    width = share[kept].max() - share[kept].min()
    assert part.posterior.scale / width == pytest.approx(jackknife, rel=0.15)


# ------------------------------------------------------------ honesty


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200])
def test_an_interval_over_a_chosen_range_holds_where_there_is_nothing_to_find(n: int) -> None:
    held, plain = [], []
    for seed in range(500):
        rng = np.random.default_rng([31, seed])
        rows = 0.8 + 0.1 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 11))
        for part in sweep(rows, U[1:], ExtraFits("auto"), scale=UNBOUNDED).fit_range:
            held.append(part.effect.lo95 <= 0 <= part.effect.hi95)
            plain.append(part.posterior.interval()[1] >= 0)
    assert len(held) > 400 and 0.92 <= np.mean(held) <= 0.98
    assert np.mean(plain) < np.mean(held)


@pytest.mark.slow
def test_an_interval_over_the_chosen_range_of_a_property_holds() -> None:
    held, plain = [], []
    for seed in range(300):
        rng = np.random.default_rng([32, seed])
        p, y = rng.random(1000), rng.beta(6, 2, 1000)
        (part,) = numeric(p, y, ExtraFits("auto"), scale=PROBABILITY).fit_range
        held.append(part.effect.lo95 <= 0 <= part.effect.hi95)
        low, high = part.posterior.interval()
        plain.append(low <= 0 <= high)
    assert np.mean(held) >= 0.92 and np.mean(plain) < 0.88
