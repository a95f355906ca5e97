"""Paper as PNG, pixels and SVG; ticks are short and tell each other apart."""

from __future__ import annotations

from typing import Any
from xml.dom import minidom

import numpy as np
import pytest

from mlflow_sensie import plots
from mlflow_sensie.plots import canvas
from plots.cases import case, figure, make_result


def test_arrays_are_what_mlflow_wants() -> None:
    pixels = plots.to_array(figure("rotation"), dpi=50)
    assert pixels.shape == (210, 320, 3) and pixels.dtype == np.uint8
    assert (pixels[0, 0] == 255).all() and pixels.min() < 60
    assert figure("rotation").dpi == 100


def test_svg_is_the_same_every_time_and_ids_differ_between_figures() -> None:
    test = case("two sides")
    first, second = (plots.to_svg(plots.draw(make_result(test), test)) for _ in range(2))
    assert first == second
    other = plots.to_svg(figure("rotation"))
    ids = [
        {e.getAttribute("id") for e in minidom.parseString(svg).getElementsByTagName("*") if e.hasAttribute("id")}
        for svg in (first, other)
    ]
    assert all(ids) and not ids[0] & ids[1]
    used = {part.split('"')[0] for part in first.split('href="#')[1:]}
    assert used and used <= ids[0]


@pytest.mark.parametrize(
    ("values", "labels", "note"),
    [
        ([0, 45, 90], ["0", "45", "90"], ""),
        ([-0.05, 0, 0.05], ["−0.05", "0.00", "0.05"], ""),
        ([0, 2.5, 5], ["0.0", "2.5", "5.0"], ""),
        ([1990, 2000, 2010], ["1990", "2000", "2010"], ""),
        ([1.62e9, 1.64e9], ["1.62", "1.64"], "×10⁹"),
        ([2e-5, 4e-5], ["2", "4"], "×10⁻⁵"),
        ([1600000020, 1600000040], ["20", "40"], "+ 1600000000"),
        ([3], ["3"], ""),
    ],
)
def test_ticks_are_short_and_tell_each_other_apart(values: list[float], labels: list[str], note: str) -> None:
    assert canvas.tick_labels(values) == (labels, note)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (18262, 19000, ["2020-01", "2020-07", "2021-01", "2021-07", "2022-01"]),
        (18263, 18266, ["2020-01-02", "2020-01-03", "2020-01-04", "2020-01-05"]),
        (0, 18262, ["1970", "1980", "1990", "2000", "2010", "2020"]),
    ],
)
def test_date_ticks_start_years_months_and_days(low: float, high: float, labels: list[str]) -> None:
    places, texts = canvas.date_ticks(low, high)
    assert texts == labels
    assert len(places) == len(texts) and all(low <= place <= high for place in places)


@pytest.mark.parametrize(
    ("bounds", "seen", "shown"),
    [
        ((0.0, 1.0), [0.1, 0.95], (0, 1)),
        ((0.0, 1.0), [0.6, 0.95], (0.5, 1)),
        ((0.0, 1.0), [0.8, 0.95], (0.75, 1)),
        ((0.0, 1.0), [0.1, 0.2], (0, 0.25)),
        ((-2.0, 0.0), [-0.9, -0.1], (-1, 0)),
        ((None, 0.0), [-3.0, -1.0], (-3, -1)),
        ((None, None), [2.0, 2.0], (1.5, 2.5)),
        ((None, None), [np.nan], (-0.5, 0.5)),
    ],
)
def test_the_range_of_scores_is_shared_or_close(bounds: Any, seen: list[float], shown: tuple[float, float]) -> None:
    low, high = canvas.score_window(*bounds, seen)
    air = 0.07 * (shown[1] - shown[0])
    assert shown[0] - air <= low <= shown[0] and shown[1] <= high <= shown[1] + air
