"""A test's figure for a small place: the chart view of runs shows it two hundred pixels wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_sensie.inference import CategoryFit, PerturbationFit, PropertyFit
from mlflow_sensie.plots import canvas, curves, fonts, levels
from mlflow_sensie.plots.canvas import GREEN, GREY, INK
from mlflow_sensie.result import HEADLINES
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 2.9, 2.2, 0.58, 0.44, 1.7


def draw_tile(result: Result, test: TestResult) -> Figure:
    """Draw name, headline and curve of a test, 2.9 × 2.2 inches; of a failed one that it failed."""
    figure, inside = canvas.blank(WIDTH, HEIGHT), WIDTH - 0.16
    name = fonts.shorten(fonts.name_of(test), inside, canvas.TITLE, "bold")
    canvas.put(figure, 0.08, HEIGHT - 0.07, name, canvas.TITLE, label="title")
    headline = f"failed: {fonts.legible(test.error or '')}"
    if test.ok:
        headline = words.with_interval(HEADLINES[test.kind].replace("_", " "), test.headline)
    headline = fonts.shorten(headline, inside - 0.15, canvas.TICK)
    canvas.put(figure, 0.08, HEIGHT - 0.3, headline, canvas.TICK, color=GREY, label="subtitle")
    if test.ok:
        ax = canvas.add_axes(figure, LEFT, BOTTOM, WIDTH - 0.14, TOP)
        (_draw_levels if isinstance(test.fit, CategoryFit) else _draw_curve)(ax, test, result.score)
        note = "by rank" if getattr(test.fit, "ranks", None) is not None else ""
        label = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
        ax.set_xlabel(label, fontsize=canvas.LABEL, color=INK, labelpad=2)
    return canvas.finish(figure)


def _draw_curve(ax: Axes, test: TestResult, score: ScoreInfo) -> None:
    fit, ends = test.fit, curves.span(test.fit)
    canvas.set_span(ax, *ends, 0.04, log=curves.is_log(fit))
    if curves.is_log(fit):
        ax.set_xticks(ends, [words.number(p) for p in ends])
    else:
        _set_ticks(ax, *_ticks(ax, test, *ends))
    canvas.set_score_axis(ax, *curves.score_range(test, score), most=4, note=False)
    curves.draw_points(ax, curves.points_of(fit))
    if isinstance(fit, PerturbationFit):
        curves.join_means(ax, fit, 1.4)
        floor = curves.floor_of(test, score)
        if floor is not None:
            ax.axhline(floor, color=GREEN, lw=1.2, ls=curves.DOTTED, zorder=1.5, label="floor")
    else:
        curves.draw_line(ax, fit.line)


def _ticks(ax: Axes, test: TestResult, low: float, high: float) -> tuple[Sequence[float], Sequence[str]]:
    if isinstance(test.fit, PropertyFit) and test.fit.ranks is not None:
        return canvas.rank_ticks(ax, test.fit.ranks, curves.magnitudes_of(test.fit), test.unit)
    if test.unit == words.DAYS:
        return canvas.date_ticks(low, high, 3)
    return canvas.nice_ticks(low, high, 4)[:2]


def _draw_levels(ax: Axes, test: TestResult, score: ScoreInfo) -> None:
    shown = levels.chosen(levels.ordered(test.fit))
    levels.draw_means(ax, test.fit, shown, score, most=4, note=False)
    _set_ticks(ax, shown["x"].tolist(), [fonts.shorten(label, 0.8, canvas.TICK) for label in shown["label"]])


def _set_ticks(ax: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Set the ticks whose labels touch neither each other nor the paper's edge."""
    low, high = ax.get_xlim()
    inch, rows = (high - low) / canvas.size_of(ax)[0], zip(places, labels, strict=True)
    edge = low + (WIDTH - 0.02 - LEFT) * inch
    fitting = {x: text for x, text in rows if x + 0.55 * inch * fonts.width(text, canvas.TICK) <= edge}
    shown = canvas.with_room(ax, list(fitting), list(fitting.values()))
    ax.set_xticks(shown, [fitting[x] for x in shown])
