"""Where a curve falls, and what choosing that stretch costs."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie.inference.auto_range import region_of

U = np.linspace(0, 1, 11)
SIGMOID = 0.1 + 0.8 / (1 + np.exp((U - 0.5) / 0.08))
NO_NOISE = 1e-12 * np.eye(11)


def chosen(curve: np.ndarray, *, from_start: bool = True) -> tuple[int, int] | None:
    """Give the first and the last point of the region of a curve that is known well."""
    found = region_of(
        np.arange(len(curve), dtype=float), curve, NO_NOISE[: len(curve), : len(curve)], from_start=from_start
    )
    return None if found is None else (int(found[0][0]), int(found[0][-1]))


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        (SIGMOID, (4, 6)),  # 10 % of the drop between the 3rd and the 4th step, 90 % between the 6th and the 7th
        (1 - U, (1, 9)),
        (np.array([1, 1, 1, 0, 0, 0.0]), (2, 3)),  # a cliff: the points on both sides of it
        (np.array([1, 1, 0.5, 0, 0]), (1, 3)),  # a single point inside: those that enclose it too
        (np.array([0.8, 1.0, 0.6, 0.2, 0.3]), (1, 3)),  # what it rises first is no drop
        (np.array([1, 0.7, 1, 0.6, 0.0]), (1, 3)),
        (np.array([0.5, 0.6, 0.7]), None),
        (np.full(5, 0.9), None),
    ],
)
def test_the_stretch_between_10_and_90_percent_of_the_drop(curve: np.ndarray, points: tuple[int, int] | None) -> None:
    assert chosen(curve) == points


def test_without_a_start_it_is_the_largest_fall_in_the_direction_of_the_line() -> None:
    assert chosen(SIGMOID, from_start=False) == chosen(SIGMOID[::-1], from_start=False) == (4, 6)
    hump = np.array([0.2, 0.5, 0.9, 0.9, 0.6, 0.3, 0.0])
    assert chosen(hump, from_start=False) == (4, 5)
    assert chosen(hump[::-1], from_start=False) == (1, 2)


def test_a_drop_that_is_plain_to_see_costs_nothing() -> None:
    found = region_of(U, SIGMOID, 1e-6 * np.eye(11), from_start=True)
    assert found is not None
    assert found[1] == (pytest.approx(0.5, abs=0.03), pytest.approx(0.95, abs=0.008))


def test_a_drop_that_may_be_noise_costs_much(rng: np.random.Generator) -> None:
    noise = 1e-4 * np.eye(11)
    flat = 0.8 + 0.01 * rng.normal(size=11)
    for from_start in (True, False):
        found = region_of(U, flat, noise, from_start=from_start)
        assert found is not None and found[1][1] > 0.97 and found[1][0] > 0.55


def test_choosing_again_gives_the_same() -> None:
    noise = 1e-4 * (np.eye(11) + 1)
    one, again = (region_of(U, SIGMOID, noise, from_start=True) for _ in range(2))
    assert one is not None and again is not None and one[1] == again[1] and (one[0] == again[0]).all()


def test_a_curve_without_noise_has_nothing_to_widen() -> None:
    found = region_of(U, SIGMOID, np.zeros((11, 11)), from_start=True)
    assert found is not None and found[1] == (0.5, 0.95)
