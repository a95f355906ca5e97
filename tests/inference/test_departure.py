"""Departures from a line."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie.inference.curve import (
    Departure,
    departure_of_bins,
    departure_of_sweep,
    pooled_departure,
)
from mlflow_sensie.inference.weights import GroupedMoments, Moments

U = np.linspace(0, 1, 11)


def bins(rng: np.random.Generator, shape: np.ndarray, noise: np.ndarray | float = 0.1, n: int = 50) -> Departure:
    """Give the departure of bins whose true means are `shape`."""
    k = len(shape)
    y = shape + noise * rng.normal(size=(n, k))
    return departure_of_bins(np.linspace(0, 1, k), GroupedMoments.of_columns(y))


def sweep(rows: np.ndarray) -> Departure:
    """Give the departure of a sweep."""
    sums = Moments.of(rows)
    return departure_of_sweep(U, sums.mean, sums.covariance(), sums.n)


def test_size_is_the_rms_distance_from_the_line(rng: np.random.Generator) -> None:
    bend = (U - 0.5) ** 2
    residual = bend - bend.mean()
    truth = np.sqrt((residual**2).mean())
    found = sweep(0.5 + 3 * U + bend + 0.001 * rng.normal(size=(100, 11)))
    assert found.size == pytest.approx(truth, rel=0.02)
    assert found.p_value is not None and found.p_value < 1e-6
    found = bins(rng, 0.5 + 3 * U + bend, 0.001)
    assert found.size == pytest.approx(truth, rel=0.02)
    assert found.p_value is not None and found.p_value < 1e-6


def test_bins_weigh_as_their_examples(rng: np.random.Generator) -> None:
    x, n = np.array([0, 0.5, 1.0, 1.5]), np.array([400, 100, 50, 25])
    group = np.repeat(np.arange(4), n)
    shape = np.array([0, 0.3, 0.1, 0.2])
    y = shape[group] + 1e-4 * rng.normal(size=len(group))
    residual = np.polynomial.Polynomial.fit(x, shape, 1, w=np.sqrt(n))(x) - shape
    truth = np.sqrt(np.average(residual**2, weights=n))
    assert departure_of_bins(x, GroupedMoments.of(group, y, 4)).size == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("noise", [0.1, np.linspace(0.01, 0.5, 11)])
def test_straight_bins_are_called_bent_in_one_of_twenty(noise: np.ndarray | float) -> None:
    rng = np.random.default_rng(5)
    p = [bins(rng, 0.5 * U, noise).p_value or 1.0 for _ in range(400)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085


def test_few_examples_that_change_anywhere_are_no_bend() -> None:
    # Hotelling's test calls two in three of these bent.
    rng = np.random.default_rng(6)
    at = np.where(rng.random((300, 200, 1)) < 0.1, rng.random((300, 200, 1)), 2.0)
    p = [sweep((rows > U).astype(float)).p_value or 1.0 for rows in at]
    assert np.mean(np.array(p) < 0.05) <= 0.08


def test_too_few_points_or_no_noise() -> None:
    assert departure_of_sweep(U[:2], np.array([1, 0.5]), np.eye(2), 10) == Departure(0.0, None)
    assert sweep(np.tile(0.9 - 0.3 * U, (20, 1))).size == pytest.approx(0, abs=1e-9)
    still = sweep(np.tile(U**2, (20, 1)))
    assert still.size > 0.05 and still.p_value is None
    two = GroupedMoments.of([0, 0, 1, 1], [0, 1, 1, 2], 3)
    assert departure_of_bins(np.array([0, 1, 2.0]), two) == Departure(0.0, None)


def test_sides_are_pooled() -> None:
    both = pooled_departure([(Departure(0.3, 0.01), 4), (Departure(0.0, None), 12)])
    assert both.size == pytest.approx(0.15) and both.p_value == 0.01
    assert pooled_departure([(Departure(0, 0.4), 3), (Departure(0, 0.6), 3)]).p_value == 0.8
