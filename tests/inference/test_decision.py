"""Words for what was found."""

from __future__ import annotations

import pytest

from mlflow_sensie.inference import Interval, decide, significance


@pytest.mark.parametrize(
    ("prob", "chance", "word"),
    [
        (1.0, False, "sensitive"),
        (0.95, False, "sensitive"),
        (0.949, False, "undecided"),
        (0.051, False, "undecided"),
        (0.05, False, "negligible"),
        (0.0, True, "negligible"),
        (1.0, True, "undecided"),
    ],
)
def test_decide(prob: float, chance: bool, word: str) -> None:
    assert decide(prob, chance=chance) == word


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        (Interval(-0.3, -0.35, -0.25, -0.4, -0.2), "high"),
        (Interval(0.3, 0.25, 0.35, 0.2, 0.4), "high"),
        (Interval(0.1, 0.05, 0.15, -0.1, 0.3), "medium"),
        (Interval(-0.1, -0.2, 0.01, -0.4, 0.2), "low"),
        (Interval(0.01, 0.009, 0.011, 0.008, 0.012), "low"),  # surely not 0, but below the rope
    ],
)
def test_significance_of_an_effect(interval: Interval, word: str) -> None:
    assert significance(interval, 0.02) == word


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        (Interval(0.06, 0.05, 0.07, 0.03, 0.1), "high"),
        (Interval(0.06, 0.03, 0.07, 0.01, 0.1), "medium"),
        (Interval(0.02, 0.01, 0.03, 0.001, 0.1), "low"),
    ],
)
def test_significance_of_a_spread_asks_for_the_rope(interval: Interval, word: str) -> None:
    assert significance(interval, 0.02, spread=True) == word
