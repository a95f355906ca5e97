"""The figure of one test of two results: both curves, and below them their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlflow_sensie.plots import canvas, fonts, ticks
from mlflow_sensie.plots.canvas import BLUE, GREY, INK, PALE, VERMILION
from mlflow_sensie.plots.points import bar_handle, handle, patch
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, TestComparison

MODELS: dict[str, dict[str, Any]] = {"A": {"color": BLUE, "marker": "o"}, "B": {"color": VERMILION, "marker": "D"}}
NAMES = {"holds_until": "distance that it holds"}


def draw_pair(comparison: Comparison, test: TestComparison) -> Figure:
    """Draw both models' curves, and below them the difference B - A with its simultaneous 95 % band.

    Raises:
        ValueError: the test has no curve.
    """
    curve = test.curve
    if curve is None:
        raise ValueError(f"test {test.name!r} has no bins, so no curve to draw")
    levels = test.kind in ("category", "class")
    keys = _keys(comparison, levels)
    figure, top = canvas.sheet(fonts.name_of(test), _phrases(test), canvas.HEIGHT + 0.8)
    slanted = _slanted(curve) if levels else 0.0
    bottom = canvas.legend_height([text for _, text in keys]) + 0.5 + 0.65 * slanted
    middle = bottom + 0.38 * (top - bottom)
    right = canvas.WIDTH - 0.2
    upper = canvas.add_axes(figure, canvas.LEFT, middle + 0.14, right, top)
    lower = canvas.add_axes(figure, canvas.LEFT, bottom, right, middle - 0.14)
    places = list(map(float, range(len(curve.p)))) if levels else list(curve.p)
    for ax in (upper, lower):
        _x_axis(ax, curve, test.unit, places, levels)
    ticks.set_ticks(upper.xaxis, list(upper.get_xticks()), [""] * len(upper.get_xticks()))
    for label in lower.get_xticklabels() if slanted else ():
        label.set(rotation=40, ha="right", rotation_mode="anchor")
    kind = KINDS.get(comparison.score)
    _draw_curves(upper, curve, places, levels, least=0.1 if kind is not None and kind.scale.fractional else 0.0)
    _draw_band(lower, curve, places, levels)
    name = fonts.axis_name(test, canvas.size_of(lower)[0], canvas.LABEL)
    canvas.name_axes(upper, "", words.score_name(comparison.score, comparison.score_unit))
    canvas.name_axes(lower, name, "B − A")
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def _phrases(test: TestComparison) -> list[str]:
    differences = [
        f"{NAMES.get(metric, metric.replace('_', ' '))} {_change(test.differences[metric])}"
        for metric in ("mean_drop", "effect", "spread", "holds_until")
        if metric in test.differences
    ]
    return [
        *differences,
        f"P(B is more robust) {words.probability(test.headline.prob_more_robust)}",
        f"n = {test.n:,}",
        "few examples carry this: interval guarded" if test.warnings else "",
    ]


def _change(difference: Difference) -> str:
    interval = difference.difference
    step = (interval.hi95 - interval.lo95) / 10 or None
    a, b = (words.number(end, step) for end in (difference.a, difference.b))
    value, low, high = words.between(interval)
    return f"{a} → {b}, B − A {value} [{low}, {high}]"


# --- the axis of p ---------------------------------------------------------------------------------


def _labels(curve: CurveDifference) -> list[str]:
    return [fonts.shorten(fonts.legible(label), 0.9, canvas.TICK) for label in curve.label]


def _slanted(curve: CurveDifference) -> float:
    """Give the inches of the longest label where there is no room for labels to stand level, else 0."""
    longest = max(fonts.width(label, canvas.TICK) for label in _labels(curve))
    return longest if longest > (canvas.WIDTH - 1.2) / len(curve.label) - 0.1 else 0.0


def _x_axis(ax: Axes, curve: CurveDifference, unit: str, places: Sequence[float], levels: bool) -> None:
    low, high = min(places), max(places)
    ticks.set_span(ax, low, high, log=curve.log and low > 0, points=len(places))
    if levels:
        step = -(-len(places) // (2 * ticks.MOST_NAMED))
        ticks.set_ticks(ax.xaxis, places[::step], _labels(curve)[::step])
    else:
        ticks.set_ticks(ax.xaxis, *_ticks(ax, curve, unit, places))


def _ticks(ax: Axes, curve: CurveDifference, unit: str, places: Sequence[float]) -> tuple[list[float], list[str]]:
    if unit == words.DAYS:
        return ticks.date_ticks(min(places), max(places))
    if curve.log or len(places) <= ticks.MOST_NAMED:
        fitting = ticks.with_room(ax, places, [words.number(p) for p in places])
        return fitting, [words.number(p) for p in fitting]
    nice = ticks.nice_ticks(min(places), max(places))
    return nice, ticks.tick_labels(nice)[0]


# --- what is drawn ---------------------------------------------------------------------------------


def _draw_curves(ax: Axes, curve: CurveDifference, places: Sequence[float], levels: bool, least: float) -> None:
    """Draw both curves on axes that show at least so much of the score: a fall of 0.01 shall not look like a cliff."""
    scores = [*curve.a, *curve.b]
    reach = max(scores) - min(scores)
    air = 0.08 * reach if reach > least else (least - reach) / 2 or 0.05
    ticks.set_score_axis(ax, min(scores) - air, max(scores) + air)
    for name, y in (("A", curve.a), ("B", curve.b)):
        ax.plot(places, y, label=name, zorder=3, **_line(name, levels))


def _line(name: str, levels: bool) -> dict[str, Any]:
    style: dict[str, Any] = {"markersize": 4.6, "markeredgecolor": "white", "markeredgewidth": 0.6, "linewidth": 1.5}
    return {**MODELS[name], **style, "linestyle": "none" if levels else "-"}


def _draw_band(ax: Axes, curve: CurveDifference, places: Sequence[float], levels: bool) -> None:
    ends = [*curve.lo95, *curve.hi95, 0.0]
    air = 0.08 * (max(ends) - min(ends)) or 0.05
    ticks.set_score_axis(ax, min(ends) - air, max(ends) + air)
    ax.axhline(0, color=GREY, linewidth=0.8, linestyle="-", zorder=1, label="zero")
    if levels:
        ax.vlines(places, curve.lo95, curve.hi95, colors=GREY, linewidth=1.6, zorder=2, label="band")
    else:
        ax.fill_between(places, curve.lo95, curve.hi95, color=PALE, linewidth=0, zorder=2, label="band")
    ax.plot(places, curve.difference, zorder=3, label="difference", **_difference_line(levels))


def _difference_line(levels: bool) -> dict[str, Any]:
    dot: dict[str, Any] = {"color": INK, "marker": "o", "markersize": 3.2, "linewidth": 1.3}
    return {**dot, "linestyle": "none" if levels else "-"}


def _keys(comparison: Comparison, levels: bool) -> list[tuple[Any, str]]:
    band = bar_handle(GREY, 1.6) if levels else patch(color=PALE, linewidth=0)
    difference = "B − A, 95 % intervals that hold together" if levels else "B − A, 95 % band of the whole curve"
    keys = [
        (handle(**_line("A", levels)), f"A: {comparison.a}"),
        (handle(**_line("B", levels)), f"B: {comparison.b}"),
        ((band, handle(**_difference_line(levels))), difference),
    ]
    return [(sign, fonts.shorten(fonts.legible(text), 2.6, canvas.KEY)) for sign, text in keys]
