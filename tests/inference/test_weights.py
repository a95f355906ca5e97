"""Weights and clusters: what they must equal, and what they must change."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose

from mlflow_sensie.inference import (
    MagnitudeGrid,
    SamplingDesign,
    ScoreScale,
    category_test,
    perturbation_test,
    property_test,
)
from mlflow_sensie.inference.weights import AS_THEY_ARE, GroupedMoments, Units

PROBABILITY = ScoreScale(0, 1, "probability")
MAGNITUDES = [1.0, 2.0, 3.0]


def sweep(rows: np.ndarray, design: SamplingDesign = AS_THEY_ARE) -> Any:
    return perturbation_test(rows, MagnitudeGrid.of(MAGNITUDES, 0.0), PROBABILITY, design=design)


def prop(p: np.ndarray, y: np.ndarray, design: SamplingDesign = AS_THEY_ARE) -> Any:
    edges = np.linspace(0, 1, 5)
    return property_test(p, y, PROBABILITY, span=(0, 1), edges=edges, design=design)


def category(level: np.ndarray, y: np.ndarray, design: SamplingDesign = AS_THEY_ARE) -> Any:
    return category_test(level, y, PROBABILITY, levels=list("abc"), design=design)


def scores(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(0.9 - rng.beta(2, 4, (n, 1)) * np.arange(4) / 3 + 0.02 * rng.normal(size=(n, 4)), 0, 1)


def flip(rng: np.random.Generator, mean: Any) -> np.ndarray:
    return (rng.random(np.shape(mean)) < mean).astype(float)


def assert_alike(a: Any, b: Any, rtol: float = 1e-9) -> None:
    """Compare the metrics of two fits, and the intervals of their curves."""
    first, second = numbers_of(a), numbers_of(b)
    assert first.keys() == second.keys()
    for key, value in first.items():
        if key != "n":
            assert_allclose(value, second[key], rtol=rtol, atol=1e-12, err_msg=key)
    for name in ("score", "lo95", "hi95"):
        assert_allclose(getattr(a.curve, name), getattr(b.curve, name), rtol=rtol, err_msg=name)


@pytest.mark.parametrize("weight", [1.0, 0.25, 40.0])
def test_equal_weights_change_nothing(rng: np.random.Generator, weight: float) -> None:
    rows, p, level = scores(rng, 150), rng.random(150), rng.integers(0, 3, 150)
    y = flip(rng, 0.9 - 0.3 * p)
    design = SamplingDesign(np.full(150, weight))
    assert_alike(sweep(rows), sweep(rows, design))
    assert_alike(prop(p, y), prop(p, y, design))
    assert_alike(category(level, y), category(level, y, design))


def test_clusters_of_one_change_nothing(rng: np.random.Generator) -> None:
    rows, p, level = scores(rng, 150), rng.random(150), rng.integers(0, 3, 150)
    y = flip(rng, 0.9 - 0.3 * p)
    design = SamplingDesign(clusters=rng.permutation(150))
    assert_alike(sweep(rows), sweep(rows, design))
    assert_alike(prop(p, y), prop(p, y, design))
    assert_alike(category(level, y), category(level, y, design))


def test_copies_of_an_example_in_a_cluster_are_one_example(rng: np.random.Generator) -> None:
    rows = scores(rng, 100)
    found = sweep(np.repeat(rows, 4, axis=0), SamplingDesign(clusters=np.repeat(np.arange(100), 4)))
    assert_alike(sweep(rows), found)
    assert found.n == 400
    level, y = rng.integers(0, 3, 100), flip(rng, np.full(100, 0.8))
    copies = category(np.repeat(level, 4), np.repeat(y, 4), SamplingDesign(clusters=np.repeat(np.arange(100), 4)))
    assert_alike(category(level, y), copies)


def test_copies_give_a_property_the_slope_of_one_example_each(rng: np.random.Generator) -> None:
    p = rng.random(300)
    y = 0.5 - 0.2 * p + 0.2 * rng.normal(size=300)
    one, copies = (
        prop(p, y),
        prop(np.repeat(p, 4), np.repeat(y, 4), SamplingDesign(clusters=np.repeat(np.arange(300), 4))),
    )
    assert_allclose(astuple(copies.effect), astuple(one.effect), rtol=1e-9)


def test_blocks_of_rows_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, design = scores(rng, 90), SamplingDesign(rng.uniform(1, 5, 90), rng.integers(0, 20, 90))
    p, y = rng.random(90), rows[:, 1]
    whole = sweep(rows, design), prop(p, y, design)
    monkeypatch.setattr("mlflow_sensie.inference.weights.ROWS", 31)
    for one, other in zip(whole, (sweep(rows, design), prop(p, y, design)), strict=True):
        assert_alike(one, other, rtol=1e-10)


def test_a_weighted_mean_is_that_of_the_formula(rng: np.random.Generator) -> None:
    rows, w = scores(rng, 200), rng.uniform(1, 100, 200)
    found = sweep(rows, SamplingDesign(w))
    assert_allclose(found.curve.score, w @ rows / w.sum())
    drop = rows[:, 0] - (rows[:, 0] / 2 + rows[:, 1] + rows[:, 2] + rows[:, 3] / 2) / 3
    assert_allclose(found.mean_drop.value, w @ drop / w.sum())
    left = (w**2).sum() - 2 * (w**3).sum() / w.sum() + (w**2).sum() ** 2 / w.sum() ** 2
    variance = w**2 @ (drop - found.mean_drop.value) ** 2 / w.sum() ** 2 * (w**2).sum() / left
    assert_allclose(found.mean_drop_posterior.scale, np.sqrt(variance), rtol=1e-9)
    assert_allclose(found.mean_drop_posterior.df, (w**2).sum() ** 2 / (w**4).sum() - 1)


def test_a_weighted_slope_is_that_of_the_formula(rng: np.random.Generator) -> None:
    p, w = rng.random(400), rng.uniform(1, 100, 400)
    y = 0.5 - 0.2 * p + 0.2 * rng.normal(size=400)
    found = prop(p, y, SamplingDesign(w))
    assert_allclose(found.slope.value, np.polyfit(p, y, 1, w=np.sqrt(w))[0], rtol=1e-9)


def test_sums_of_equal_units(rng: np.random.Generator) -> None:
    x, w = rng.normal(size=(50, 3)), np.ones(50)
    units = Units.of(x, SamplingDesign(w))
    assert units.n == pytest.approx(50) and units.weights is not None
    assert_allclose(units.weights, 1)
    assert_allclose(units.moments.covariance(), np.cov(x, rowvar=False))
    groups = GroupedMoments.effective(np.arange(50) % 2, x[:, 0], 3, SamplingDesign(w))
    assert_allclose(groups.n, [25, 25, 0])
    assert_allclose(groups.variance(), [x[::2, 0].var(ddof=1), x[1::2, 0].var(ddof=1), 0])


def test_one_cluster_is_an_error(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="all 20 examples are one cluster"):
        sweep(scores(rng, 20), SamplingDesign(clusters=np.zeros(20, int)))


def test_a_group_of_one_cluster_says_nothing_about_its_noise(rng: np.random.Generator) -> None:
    clusters = np.r_[np.zeros(10, int), np.arange(1, 41)]
    found = category(
        np.r_[np.zeros(10, int), np.ones(40, int)], flip(rng, np.full(50, 0.8)), SamplingDesign(clusters=clusters)
    )
    assert (found.curve.lo95[0], found.curve.hi95[0]) == (0.0, 1.0)
    assert found.curve.n == (10, 40, 0) and "small_levels" in found.flags


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sweep", "property"])
def test_dependent_rows_are_covered(kind: str) -> None:
    """200 clusters of 10 rows each, alike within: the plain interval holds the truth in about half of the sets."""
    covered, naive = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(200), 10)
        design = SamplingDesign(clusters=clusters)
        if kind == "sweep":
            rows = 1 - 0.8 * (rng.random((200, 1)) < 0.3)[clusters] * np.arange(4) / 3
            found, plain, truth = sweep(rows, design), sweep(rows), -0.24
        else:
            p = rng.random(200)[clusters]
            y = 0.5 - 0.2 * p + (0.2 * rng.normal(size=200))[clusters] + 0.1 * rng.normal(size=2000)
            found, plain, truth = prop(p, y, design), prop(p, y), -0.2
        covered.append(found.effect.lo95 <= truth <= found.effect.hi95)
        naive.append(plain.effect.lo95 <= truth <= plain.effect.hi95)
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(naive) < 0.7
