"""The figure of one test of two results: both curves, and below them their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import BLUE, GREY, INK, PALE, VERMILION, Style, bar_handle, handle, patch
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, TestComparison

DOT: Style = {"ms": 4.6, "mec": "white", "mew": 0.6, "lw": 1.5}
MODELS: dict[str, Style] = {"A": {"color": BLUE, "marker": "o", **DOT}, "B": {"color": VERMILION, "marker": "D", **DOT}}
DIFFERENCE: Style = {"color": INK, "marker": "o", "ms": 3.2, "lw": 1.3}
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
    stroke = "none" if levels else "-"
    keys = _keys(comparison, stroke)
    figure, top = canvas.sheet(fonts.name_of(test), _phrases(test), least=canvas.HEIGHT + 0.8)
    labels = [fonts.shorten(fonts.legible(label), 0.9, canvas.TICK) for label in curve.label]
    longest = max(fonts.width(label, canvas.TICK) for label in labels)
    slanted = longest if levels and longest > (canvas.WIDTH - 1.2) / len(labels) - 0.1 else 0.0
    bottom = canvas.legend_height(keys) + 0.5 + 0.65 * slanted
    middle = bottom + 0.38 * (top - bottom)
    right = canvas.WIDTH - 0.2
    upper = canvas.add_axes(figure, canvas.LEFT, middle + 0.14, right, top)
    lower = canvas.add_axes(figure, canvas.LEFT, bottom, right, middle - 0.14)
    places = list(map(float, range(len(curve.p)))) if levels else list(curve.p)
    for ax in (upper, lower):
        log = curve.log and min(places) > 0
        air = 0.03 if log else canvas.air_beside(len(places))
        canvas.set_span(ax, min(places), max(places), air, log=log)
        step = -(-len(places) // (2 * canvas.MOST_NAMED))
        ticks = (places[::step], labels[::step]) if levels else _ticks(ax, curve, test.unit)
        ax.set_xticks(*ticks, **(canvas.SLANTED if slanted else {}))
    upper.tick_params(labelbottom=False)
    _draw_curves(upper, comparison, curve, places, stroke)
    _draw_band(lower, curve, places, stroke)
    canvas.name_axes(upper, "", words.score_name(comparison.score, comparison.score_unit))
    canvas.name_axes(lower, fonts.axis_name(test, canvas.size_of(lower)[0], canvas.LABEL), "B − A")
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def _phrases(test: TestComparison) -> list[str]:
    names = (test.leads, "mean_drop", "effect", "spread", "holds_until")
    metrics = [name for name in names if name in test.differences]
    return [
        *(f"{NAMES.get(name, words.difference_name(name))} {_change(test.differences[name])}" for name in metrics),
        f"P(B is more robust) {words.probability(test.headline.prob_more_robust)}",
        f"n = {test.n:,}",
        "few examples carry this: interval guarded" if test.warnings else "",
    ]


def _change(difference: Difference) -> str:
    interval = difference.difference
    step = (interval.hi95 - interval.lo95) / 10 or None
    a, b = (words.number(end, step) for end in (difference.a, difference.b))
    return f"{a} → {b}, {words.with_interval('B − A', interval)}"


def _ticks(ax: Axes, curve: CurveDifference, unit: str) -> tuple[list[float], list[str]]:
    if unit == words.DAYS:
        return canvas.date_ticks(min(curve.p), max(curve.p))
    if curve.log or len(curve.p) <= canvas.MOST_NAMED:
        fitting = canvas.with_room(ax, curve.p, [words.number(p) for p in curve.p])
        return fitting, [words.number(p) for p in fitting]
    return canvas.nice_ticks(min(curve.p), max(curve.p))[:2]


def _draw_curves(ax: Axes, comparison: Comparison, curve: CurveDifference, places: list[float], stroke: str) -> None:
    """Draw both curves; of a score that is a share, 0.1 at least is shown: a fall of 0.01 is no cliff."""
    kind = KINDS.get(comparison.score)
    least = 0.1 if kind is not None and kind.scale.fractional else 0.0
    scores = [*curve.a, *curve.b]
    reach = max(scores) - min(scores)
    air = 0.08 * reach if reach > least else (least - reach) / 2 or 0.05
    canvas.set_score_axis(ax, min(scores) - air, max(scores) + air)
    for name, y in (("A", curve.a), ("B", curve.b)):
        ax.plot(places, y, label=name, zorder=3, **MODELS[name], ls=stroke)


def _draw_band(ax: Axes, curve: CurveDifference, places: Sequence[float], stroke: str) -> None:
    ends = [*curve.lo95, *curve.hi95, 0.0]
    air = 0.08 * (max(ends) - min(ends)) or 0.05
    canvas.set_score_axis(ax, min(ends) - air, max(ends) + air)
    ax.axhline(0, color=GREY, lw=0.8, ls="-", zorder=1, label="zero")
    if stroke == "none":
        ax.vlines(places, curve.lo95, curve.hi95, colors=GREY, lw=1.6, zorder=2, label="band")
    else:
        ax.fill_between(places, curve.lo95, curve.hi95, color=PALE, lw=0, zorder=2, label="band")
    ax.plot(places, curve.difference, zorder=3, label="difference", **DIFFERENCE, ls=stroke)


def _keys(comparison: Comparison, stroke: str) -> list[tuple[Any, str]]:
    levels = stroke == "none"
    band = bar_handle(GREY, 1.6) if levels else patch(color=PALE, lw=0)
    difference = "intervals that hold together" if levels else "band of the whole curve"
    models = [(handle(**MODELS[side], ls=stroke), f"{side}: {getattr(comparison, side.lower())}") for side in MODELS]
    keys = [*models, ((band, handle(**DIFFERENCE, ls=stroke)), f"B − A, 95 % {difference}")]
    return [(sign, fonts.shorten(fonts.legible(text), 2.6, canvas.KEY)) for sign, text in keys]
