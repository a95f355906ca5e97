"""Numbers, quantities and scores in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlflow_sensie.inference import (
    Interval,
)
from mlflow_sensie.text import words


@pytest.mark.parametrize(
    ("interval", "texts"),
    [
        ((-0.8531, -0.8712, -0.8342), ("−0.853", "−0.871", "−0.834")),
        ((0.4751, 0.4342, 0.5162), ("0.48", "0.43", "0.52")),
        ((0.0, -0.0004, 0.0004), ("0.0000", "−0.0004", "0.0004")),
        ((12345.0, 12000.0, 12700.0), ("12345", "12000", "12700")),
        ((0.5, 0.5, 0.5), ("0.5", "0.5", "0.5")),
        ((1.0, -np.inf, np.inf), ("1", "−inf", "inf")),
    ],
)
def test_intervals_are_written_as_exactly_as_they_are_known(interval: Any, texts: Any) -> None:
    value, low, high = interval
    assert words.between(Interval(value, low, high, low, high)) == texts


@pytest.mark.parametrize(
    ("unit", "values", "text"),
    [
        ("degrees", (0, 180), "0 to 180 degrees"),
        ("degrees", (-17.68,), "−17.7 degrees"),
        ("factor", (1, 0.25), "factor 1 to 0.25"),
        ("fraction of side", (0.2,), "0.2 (fraction of side)"),
        ("100 - quality", (0, 90), "0 to 90 (100 - quality)"),
        ("% vol", (8.412, 14.2), "8.41 to 14.2 % vol"),
        ("", (3,), "3"),
        ("s", (1600000000, 1690000000), "1600000000 to 1690000000 s"),
        ("", (1e-7, 3e-7), "1e−07 to 3e−07"),
        (words.DAYS, (18628, 19000.7), "2021-01-01 to 2022-01-08"),
    ],
)
def test_quantities_carry_their_unit(unit: str, values: tuple[float, ...], text: str) -> None:
    assert words.quantity(unit, *values) == text


@pytest.mark.parametrize(
    ("kind", "unit", "label"),
    [
        ("top_k", "top-k accuracy", "top-k accuracy"),
        ("custom", "score", "score"),
        ("other", "nats", "score (nats)"),
        ("other", "", "score"),
    ],
)
def test_scores_are_named(kind: str, unit: str, label: str) -> None:
    assert words.score_name(kind, unit) == label
