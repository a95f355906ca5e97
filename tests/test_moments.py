"""One contract for all mergeable sums, and the exactness of the central ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mlflow_sensie.moments import ClusterSums, Extremes, GroupedMoments, Moments, PowerSums, Sums, Tally


@dataclass(frozen=True)
class Case:
    """A kind of sums over the rows (n, 4) of a table."""

    name: str
    of: Callable[[np.ndarray], Sums]
    empty: Sums

    def __str__(self) -> str:
        return self.name


def _groups(rows: np.ndarray) -> np.ndarray:
    return (np.abs(rows[:, 0] * 7) % 5).astype(int)


CASES = [
    Case("Moments", Moments.of, Moments.empty(4)),
    Case("Moments, weighted", lambda x: Moments.of(x[:, :3], np.abs(x[:, 3])), Moments.empty(3)),
    Case(
        "GroupedMoments",
        lambda x: GroupedMoments.of(_groups(x), np.round(x[:, 1]), 5, -1, 1),
        GroupedMoments.empty(5),
    ),
    Case("GroupedMoments of columns", GroupedMoments.of_columns, GroupedMoments.empty(4)),
    Case("PowerSums", PowerSums.of, PowerSums.empty(4)),
    Case("ClusterSums", lambda x: ClusterSums.of(_groups(x), x[:, 1:]), ClusterSums.empty(3)),
    Case("Extremes", Extremes.of, Extremes.empty()),
    Case("Tally", lambda x: Tally.of(_groups(x), 5), Tally.empty(5)),
]


def assert_same(a: Sums, b: Sums, rtol: float = 1e-10) -> None:
    """Compare every field of two sums."""
    assert type(a) is type(b)
    for field in fields(a):
        assert_allclose(getattr(a, field.name), getattr(b, field.name), rtol=rtol, atol=1e-11, err_msg=field.name)


@pytest.mark.parametrize("case", CASES, ids=str)
class TestContract:
    @given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 999))
    @settings(max_examples=25, deadline=None)
    def test_chunks_in_any_order_make_the_whole(self, case: Case, cuts: list[int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = rng.normal(3, 2, size=(60, 4))
        parts = [case.of(part) for part in np.split(rows, sorted(cuts))]
        total = case.empty
        for k in rng.permutation(len(parts)):
            total = total + parts[k]
        assert_same(total, case.of(rows))

    def test_is_associative(self, case: Case, rng: np.random.Generator) -> None:
        a, b, c = (case.of(rng.normal(size=(n, 4))) for n in (3, 1, 20))
        assert_same((a + b) + c, a + (b + c))

    def test_empty_changes_nothing(self, case: Case, rng: np.random.Generator) -> None:
        some = case.of(rng.normal(size=(9, 4)))
        assert_same(case.empty + some, some)
        assert_same(some.merge(case.empty), some)
        assert_same(case.of(np.empty((0, 4))), case.empty)

    def test_survives_pickle_and_json(self, case: Case, rng: np.random.Generator) -> None:
        some = case.of(rng.normal(size=(9, 4)))
        assert_same(pickle.loads(pickle.dumps(some)), some, rtol=0)
        back = type(some).from_dict(json.loads(json.dumps(some.to_dict())))
        assert_same(back, some, rtol=0)
        assert_same(back + some, some + some, rtol=0)


def test_moments_are_those_of_numpy(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(50, 3))
    found = Moments.of(rows)
    assert_allclose(found.mean, rows.mean(0))
    assert_allclose(found.covariance(), np.cov(rows.T))
    assert (found.n, found.weight, found.weight2) == (50, 50, 50)


def test_weights_count_like_repeated_rows(rng: np.random.Generator) -> None:
    rows, times = rng.normal(size=(8, 2)), np.arange(8)
    weighted, repeated = Moments.of(rows, times), Moments.of(np.repeat(rows, times, axis=0))
    assert_allclose(weighted.mean, repeated.mean)
    assert_allclose(weighted.scatter, repeated.scatter)
    assert weighted.weight == repeated.n and weighted.weight2 == (times**2).sum()


def test_a_million_rows_far_from_zero_keep_nine_digits(rng: np.random.Generator) -> None:
    p = 1e6 + rng.random(1_000_000)
    y = 0.5 - 0.2 * (p - 1e6) + 0.1 * rng.normal(size=len(p))
    rows = np.column_stack([p, y])
    total = Moments.empty(2)
    for start in range(0, len(rows), 4096):
        total += Moments.of(rows[start : start + 4096])
    exact = rows.astype(np.longdouble)
    centred = exact - exact.mean(0)
    slope = (centred[:, 0] * centred[:, 1]).sum() / (centred[:, 0] ** 2).sum()
    assert_allclose(float(total.scatter[0, 1] / total.scatter[0, 0]), float(slope), rtol=1e-9)
    assert_allclose(total.scatter[0, 0], float((centred[:, 0] ** 2).sum()), rtol=1e-9)
    assert_allclose(total.mean, exact.mean(0).astype(float), rtol=1e-14)


def test_groups_are_those_of_numpy(rng: np.random.Generator) -> None:
    group, y = rng.integers(0, 3, 40), rng.integers(0, 2, 40).astype(float)
    found = GroupedMoments.of(group, y, 4, 0, 1)
    for k in range(3):
        assert_allclose(found.mean[k], y[group == k].mean())
        assert_allclose(found.variance()[k], y[group == k].var(ddof=1))
        assert found.at_lower[k] == (y[group == k] == 0).sum()
        assert found.at_upper[k] == (y[group == k] == 1).sum()
    assert found.n[3] == 0 and found.mean[3] == 0 and found.variance()[3] == 0
    within = sum(((y[group == k] - y[group == k].mean()) ** 2).sum() for k in range(3))
    assert_allclose(found.pooled_variance(), within / 37)


def test_informative_counts_the_examples_that_carry_a_sum() -> None:
    d = np.column_stack([np.ones(100), np.eye(100)[0], np.zeros(100)])
    assert_allclose(PowerSums.of(d).informative(), [100, 1, 0])
