"""A test's figure for a small place: the chart view of runs shows it two hundred pixels wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import PerturbationFit, PropertyFit
from mlflow_sensie.plots import canvas, curves, fonts, levels, ticks
from mlflow_sensie.plots import points as marks
from mlflow_sensie.plots.canvas import GREEN, GREY, INK, SKY
from mlflow_sensie.plots.points import floor_of
from mlflow_sensie.result import HEADLINES
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, TestResult

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 2.9, 2.2, 0.58, 0.44, 1.7


def draw_tile(result: Result, test: TestResult) -> Figure:
    """Draw name, headline and curve of a test, 2.9 × 2.2 inches; of a failed one that it failed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=100, facecolor="white", edgecolor="none")
    figure.set_layout_engine("none")
    inside = WIDTH - 0.16
    name = fonts.shorten(fonts.name_of(test), inside, canvas.TITLE, "bold")
    canvas.put(figure, 0.08, HEIGHT - 0.07, name, canvas.TITLE, label="title")
    said = fonts.shorten(_said(test), inside - 0.15, canvas.TICK)
    canvas.put(figure, 0.08, HEIGHT - 0.3, said, canvas.TICK, color=GREY, label="subtitle")
    if test.ok:
        ax = canvas.add_axes(figure, LEFT, BOTTOM, WIDTH - 0.14, TOP)
        (_levels if test.kind in ("category", "class") else _curve)(ax, result, test)
        note = "by rank" if getattr(test.fit, "ranks", None) is not None else ""
        label = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
        ax.set_xlabel(label, fontsize=canvas.LABEL, color=INK, labelpad=2)
    return canvas.finish(figure)


def _said(test: TestResult) -> str:
    if not test.ok:
        return f"failed: {fonts.legible(test.error or '')}"
    return words.with_interval(HEADLINES[test.kind].replace("_", " "), test.headline)


def _curve(ax: Axes, result: Result, test: TestResult) -> None:
    fit = test.fit
    points = marks.points_of(fit.curve, curves.places(fit)) if fit.curve is not None else []
    low, high = curves.span(fit)
    air = 0.04 * (high - low)
    if isinstance(fit, PerturbationFit) and fit.log_distance:
        canvas.set_log(ax)
        ax.set_xlim(low * (low / high) ** 0.04, high * (high / low) ** 0.04)
        canvas.set_ticks(ax.xaxis, [low, high], [words.number(p) for p in (low, high)])
    else:
        ax.set_xlim(low - air, high + air)
        _few_ticks(ax, test, low, high)
    _score_axis(ax, curves.score_range(fit, result.score))
    marks.draw_points(ax, points)
    if isinstance(fit, PerturbationFit):
        joined: dict[str, Any] = {"color": SKY, "linewidth": 1.4, "linestyle": "-", "zorder": 2}
        ax.plot([p.x for p in points], [p.mean for p in points], **joined, label="curve")
        floor = floor_of(fit, result.score)
        ax.axhline(floor, color=GREEN, linewidth=1.2, linestyle=marks.DOTTED, zorder=1.5, label="floor")
        return
    for line in curves.lines(fit):
        marks.draw_line(ax, line)


def _few_ticks(ax: Axes, test: TestResult, low: float, high: float) -> None:
    if isinstance(test.fit, PropertyFit) and test.fit.ranks is not None:
        places, texts, _ = curves.rank_ticks(ax, test)
    elif test.unit == words.DAYS:
        places, texts = ticks.date_ticks(low, high, 3)
    else:
        places = ticks.nice_ticks(low, high, 4)
        texts, _ = ticks.tick_labels(places)
    shown = {place: text for place, text in zip(places, texts, strict=True) if _fits(ax, place, text)}
    kept = canvas.roomy(ax, list(shown), list(shown.values()))
    canvas.set_ticks(ax.xaxis, kept, [shown[place] for place in kept])


def _levels(ax: Axes, result: Result, test: TestResult) -> None:
    drawn, _ = levels.chosen(levels.ordered(test.fit))
    ax.set_xlim(-0.6, drawn[-1].place + 0.6)
    average = levels.overall(test.fit)
    _score_axis(ax, levels.score_range(result.score, drawn, average))
    marks.draw_points(ax, [marks.Point(each.place, each.mean, each.low, each.high, each.few) for each in drawn])
    ax.axhline(average, color=GREY, linewidth=1, linestyle=marks.DASHED, zorder=1, label="average")
    names = [fonts.shorten(each.label, 0.8, canvas.TICK) for each in drawn]
    shown = {each.place: name for each, name in zip(drawn, names, strict=True) if _fits(ax, each.place, name)}
    kept = canvas.roomy(ax, list(shown), list(shown.values()))
    canvas.set_ticks(ax.xaxis, kept, [shown[place] for place in kept])


def _fits(ax: Axes, place: float, name: str) -> bool:
    """Whether a label in the middle below a place stays on the paper."""
    low, high = ax.get_xlim()
    middle = LEFT + canvas.size_of(ax)[0] * (place - low) / (high - low)
    return middle + 0.55 * fonts.width(name, canvas.TICK) <= WIDTH - 0.02


def _score_axis(ax: Axes, ends: tuple[float, float]) -> None:
    ax.set_ylim(*ends)
    places = ticks.nice_ticks(*ends, most=4)
    canvas.set_ticks(ax.yaxis, places, ticks.tick_labels(places)[0])
