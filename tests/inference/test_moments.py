"""Moments, groups and powers of arrays are those of NumPy, and exact far from zero."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from mlflow_sensie.inference.weights import GroupedMoments, Moments, informative_units, power_sums, weighted_mean


def test_moments_are_those_of_numpy(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(50, 3))
    moments = Moments.of(rows)
    assert_allclose(moments.mean, rows.mean(0))
    assert_allclose(moments.covariance(), np.cov(rows.T))
    assert moments.n == 50


def test_units_that_join_are_units_like_the_others(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(9, 2))
    joined, whole = Moments.of(rows[:6]).joined(rows[6:]), Moments.of(rows)
    assert joined.n == whole.n
    assert_allclose(joined.mean, whole.mean)
    assert_allclose(joined.scatter, whole.scatter)


def test_weights_count_like_repeated_rows(rng: np.random.Generator) -> None:
    rows, times = rng.normal(size=(8, 2)), np.arange(8)
    assert_allclose(weighted_mean(rows, times.astype(float)), np.repeat(rows, times, axis=0).mean(0))
    group = np.arange(8) % 2
    weighted = GroupedMoments.of(group, rows[:, 0], 2, weights=times.astype(float))
    repeated = GroupedMoments.of(np.repeat(group, times), np.repeat(rows[:, 0], times), 2)
    for name in ("n", "mean", "m2"):
        assert_allclose(getattr(weighted, name), getattr(repeated, name))


def test_a_million_rows_far_from_zero_keep_nine_digits(rng: np.random.Generator) -> None:
    p = 1e6 + rng.random(1_000_000)
    y = 0.5 - 0.2 * (p - 1e6) + 0.1 * rng.normal(size=len(p))
    rows = np.column_stack([p, y])
    moments = Moments.of(rows)
    exact = rows.astype(np.longdouble)
    centred = exact - exact.mean(0)
    slope = (centred[:, 0] * centred[:, 1]).sum() / (centred[:, 0] ** 2).sum()
    assert_allclose(float(moments.scatter[0, 1] / moments.scatter[0, 0]), float(slope), rtol=1e-9)
    assert_allclose(moments.scatter[0, 0], float((centred[:, 0] ** 2).sum()), rtol=1e-9)
    assert_allclose(moments.mean, exact.mean(0).astype(float), rtol=1e-14)


def test_groups_are_those_of_numpy(rng: np.random.Generator) -> None:
    group, y = rng.integers(0, 3, 40), rng.integers(0, 2, 40).astype(float)
    moments = GroupedMoments.of(group, y, 4, 0, 1)
    for k in range(3):
        assert_allclose(moments.mean[k], y[group == k].mean())
        assert_allclose(moments.variance()[k], y[group == k].var(ddof=1))
        assert moments.at_bound[k] == max((y[group == k] == bound).sum() for bound in (0, 1))
    assert moments.n[3] == 0 and moments.mean[3] == 0 and moments.variance()[3] == 0
    within = sum(((y[group == k] - y[group == k].mean()) ** 2).sum() for k in range(3))
    assert_allclose(moments.pooled_variance(), within / 37)


def test_columns_are_groups_of_the_same_size(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 3, (30, 4)).astype(float)
    columns = GroupedMoments.of_columns(rows, 0, 2)
    groups = GroupedMoments.of(np.tile(np.arange(4), 30), rows.ravel(), 4, 0, 2)
    for name in ("n", "mean", "m2", "at_bound"):
        assert_allclose(getattr(columns, name), getattr(groups, name), atol=1e-12)


def test_informative_counts_the_examples_that_carry_a_sum() -> None:
    d = np.column_stack([np.ones(100), np.eye(100)[0], np.zeros(100)])
    assert_allclose(informative_units(power_sums([d[:40], d[40:]], 3)), [100, 1, 0])
