"""The figure of one test of two results: both curves above their difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.text import Text

from mlflow_sensie.comparison import TestComparison
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.plots import to_png
from plots.cases import check_texts
from plots.comparisons import HOSTILE, comparison, group, prop, sweep


@pytest.mark.parametrize(
    "test", [sweep("tilt", 0.03), sweep("gamma", 0.03, log=True), group("site"), group("many", 90)]
)
def test_curves_stand_above_their_difference(test: TestComparison) -> None:
    figure = comparison(test).plot(test.slug)
    upper, lower = figure.axes
    assert [line.get_label() for line in upper.lines] == ["A", "B"]
    assert upper.get_xlim() == lower.get_xlim() and upper.get_position().y0 > lower.get_position().y1
    drawn = next(line for line in lower.lines if line.get_label() == "difference")
    assert list(drawn.get_ydata()) == list(test.curve.difference)  # type: ignore[union-attr, call-overload]
    assert len(to_png(figure)) > 5_000


@pytest.mark.parametrize("start", [0.8, 0.0, -0.5])
@pytest.mark.parametrize("test", [sweep("tilt", 0.03), sweep("gamma", 0.03, log=True), group("site")])
def test_nothing_is_cut_off_and_no_texts_overlap(test: TestComparison, start: float) -> None:
    assert test.curve is not None
    a, b = (tuple(start + step * k for k in range(3)) for step in (-0.0011, 0.0013))
    check_texts(comparison(replace(test, curve=replace(test.curve, a=a, b=b))).plot(test.slug))
    unbounded = replace(comparison(replace(test, curve=replace(test.curve, a=a, b=b))), score="neg_absolute_error")
    check_texts(unbounded.plot(test.slug))


def test_a_small_fall_of_a_probability_is_drawn_small() -> None:
    test = sweep("tilt", 0.001)
    assert test.curve is not None
    close = replace(test, curve=replace(test.curve, a=(0.9, 0.9, 0.899), b=(0.9, 0.899, 0.898)))
    low, high = comparison(close).plot("tilt").axes[0].get_ylim()
    assert high - low == pytest.approx(0.1)


def test_what_cannot_be_drawn_is_told() -> None:
    with pytest.raises(ValueError, match="'age' has no bins, so no curve"):
        comparison(prop("age")).plot("age")
    with pytest.raises(ComparisonError, match="'x' was not compared: no"):
        comparison(prop("age")).plot("x")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_a_figure(name: str) -> None:
    renamed = replace(comparison(sweep(name, 0.03), replace(group("g"), name=name * 2)), a=name, b=name)
    for figure in (renamed.plot(), renamed.plot("slug-g"), renamed.plot(name)):
        assert len(to_png(figure)) > 5_000
        width = figure.get_size_inches()[0]
        assert all(not text.get_parse_math() for text in figure.findobj(Text))  # type: ignore[union-attr]
        assert width == pytest.approx(6.4)
