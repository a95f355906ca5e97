"""The figure of a category or class test: its levels in order of their means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import CategoryFit
from mlflow_sensie.plots import canvas, words
from mlflow_sensie.plots.canvas import BLUE, GREY, INK, PALE, SKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

MOST_LEVELS = 40
KEYS = ("shrunken mean, 95 % interval", "raw mean", "little evidence")


@dataclass(frozen=True)
class Level:
    """One level as it is drawn: its place, its shrunken mean (raw for missing values) with the 95 % interval, its raw mean."""

    place: float
    label: str
    mean: float
    low: float | None
    high: float | None
    raw: float | None
    few: bool


def draw_levels(result: Result, test: TestResult) -> Figure:
    """Draw the levels' shrunken means in ascending order; of many levels the 20 lowest and the 20 highest."""
    fit: CategoryFit = test.fit
    levels = ordered(fit)
    shown, hidden = chosen(levels)
    missing = _missing(fit, shown)
    drawn = [*shown, *missing]
    texts = [text for text, there in zip(KEYS, (True, True, any(level.few for level in drawn)), strict=True) if there]
    labels, style, deep = _labels(drawn, drawn[-1].place + 1)
    # Long labels lengthen the paper instead of flattening the plot.
    height = canvas.HEIGHT + max(0.0, deep - 0.5)
    figure, top = canvas.sheet(words.name_of(test), phrases(fit, levels, hidden), height)
    bottom = canvas.legend_height(texts) + 0.33 + deep
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, canvas.WIDTH - canvas.RIGHT, top)
    ax.set_xlim(-0.6, drawn[-1].place + 0.6)
    average = overall(fit)
    _y_axis(ax, result.score, drawn, average)
    _marks(ax, drawn)
    if missing:
        ax.axvline((shown[-1].place + missing[0].place) / 2, color=PALE, linewidth=0.8, zorder=0)
    if hidden:
        _gap(ax, shown, hidden)
    ax.axhline(average, color=GREY, linewidth=1, linestyle=(0, (5, 3)), zorder=1, gid="average")
    canvas.margin_notes(ax, [(average, f"all {words.number(average)}", GREY)])
    canvas.set_ticks(ax.xaxis, [level.place for level in drawn], labels)
    ax.tick_params(axis="x", labelsize=style.pop("size"))
    for label in ax.get_xticklabels():
        label.set(**style)
    name = words.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, "the lowest mean first")
    canvas.name_axes(ax, name, words.score_label(result.score))
    canvas.legend(figure, list(zip(_keys(), KEYS, strict=True))[: len(texts)])
    return canvas.finish(figure)


def ordered(fit: CategoryFit) -> list[Level]:
    """Give the levels that have a score, the lowest shrunken mean first."""
    found, curve = fit.levels_spread, fit.curve
    rows = zip(fit.levels, found.means, found.lo95, found.hi95, curve.score, curve.hatched, strict=True)
    having = sorted((row for row in rows if row[1] is not None), key=lambda row: float(row[1] or 0))
    return [
        Level(float(k), words.legible(label), float(mean or 0), low, high, raw, few)
        for k, (label, mean, low, high, raw, few) in enumerate(having)
    ]


def chosen(levels: list[Level]) -> tuple[list[Level], int]:
    """Give at most 40 levels, moved together around a gap, and how many are left out."""
    hidden = len(levels) - MOST_LEVELS
    if hidden <= 0:
        return levels, 0
    half = MOST_LEVELS // 2
    high = [_moved(level, half + 2.0 + k) for k, level in enumerate(levels[-half:])]
    return [*levels[:half], *high], hidden


def _moved(level: Level, place: float) -> Level:
    return Level(place, level.label, level.mean, level.low, level.high, level.raw, level.few)


def _missing(fit: CategoryFit, shown: list[Level]) -> list[Level]:
    curve = fit.missing
    if curve is None or curve.score[0] is None:
        return []
    return [Level(shown[-1].place + 1.5, "missing", curve.score[0], curve.lo95[0], curve.hi95[0], None, curve.hatched[0])]


def overall(fit: CategoryFit) -> float:
    """Give the mean score of all examples that have a level."""
    pairs = [(n, y) for n, y in zip(fit.curve.n, fit.curve.score, strict=True) if y is not None]
    return sum(n * y for n, y in pairs) / sum(n for n, _ in pairs)


def phrases(fit: CategoryFit, levels: list[Level], hidden: int) -> list[str]:
    """Give the key numbers of a category test in words."""
    low, high = levels[0], levels[-1]
    empty = len(fit.levels) - len(levels)
    step = (high.mean - low.mean) / 20 or None
    return [
        f"{fit.decision}: {words.with_interval('spread between levels (SD)', fit.spread, say=True)}",
        f"lowest {words.shorten(low.label, 1.3, canvas.SUBTITLE)} {words.number(low.mean, step)}",
        f"highest {words.shorten(high.label, 1.3, canvas.SUBTITLE)} {words.number(high.mean, step)}",
        f"{len(levels):,} levels" + (f", the {MOST_LEVELS // 2} lowest and {MOST_LEVELS // 2} highest shown" if hidden else ""),
        f"{empty:,} without examples" if empty else "",
        f"n = {fit.n:,}" + (f", {fit.n_missing:,} missing" if fit.n_missing else ""),
    ]


def _labels(drawn: list[Level], slots: float) -> tuple[list[str], dict[str, Any], float]:
    """Choose how the labels stand: level where there is room, else slanted, else upright; and the inches they take."""
    slot = (canvas.WIDTH - canvas.LEFT - canvas.RIGHT) / slots
    size = canvas.TICK
    texts = [level.label for level in drawn]
    if max(words.width(text, size) for text in texts[:12]) <= slot - 0.06 and len(texts) <= 24:
        widths = [words.width(text, size) for text in texts]
        if max(widths) <= slot - 0.06:
            return texts, {"size": size, "rotation": 0}, 0.16
    if slot >= 0.24:
        texts = [words.shorten(text, 1.05, size) for text in texts]
        style = {"size": size, "rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        return texts, style, 0.12 + 0.66 * max(words.width(text, size) for text in texts)
    size = max(5.5, min(size, slot * 72 * 0.8))
    texts = [words.shorten(text, 0.9, size) for text in texts]
    style = {"size": size, "rotation": 90, "ha": "center", "va": "top"}
    return texts, style, 0.06 + max(words.width(text, size) for text in texts)


def _y_axis(ax: Axes, score: ScoreInfo, drawn: list[Level], average: float) -> None:
    ends = [y for level in drawn for y in (level.low, level.high, level.mean, level.raw) if y is not None]
    ax.set_ylim(*canvas.window(score.lower, score.upper, [*ends, average]))
    ticks = canvas.nice_ticks(*ax.get_ylim(), most=6)
    labels, note = canvas.tick_labels(ticks)
    canvas.set_ticks(ax.yaxis, ticks, labels)
    if note:
        ax.text(0, 1.01, note, transform=ax.transAxes, fontsize=canvas.KEY, color=INK, va="bottom", ha="left")


def _marks(ax: Axes, drawn: list[Level]) -> None:
    bottom, top = ax.get_ylim()
    size = 5.6 if len(drawn) <= 24 else 4.2
    for level in drawn:
        low, high = (bottom if level.low is None else level.low), (top if level.high is None else level.high)
        dashes: Any = (0, (1.5, 1.2)) if level.few else "-"
        x = level.place
        ax.plot([x, x], [low, high], color=BLUE, linewidth=1.3 if level.few else 1.9, linestyle=dashes, zorder=3, gid="interval")
        if level.raw is not None:
            ax.plot([x], [level.raw], marker="_", color=SKY, markersize=2.2 * size, markeredgewidth=1.8, zorder=2, gid="raw")
        face = "white" if level.few else BLUE
        dot: dict[str, Any] = {"marker": "o", "markersize": size, "markeredgewidth": 1.2, "markeredgecolor": BLUE}
        ax.plot([x], [level.mean], markerfacecolor=face, zorder=4, gid="few" if level.few else "mean", linestyle="none", **dot)


def _gap(ax: Axes, shown: list[Level], hidden: int) -> None:
    """Mark the place of the levels left out."""
    x = (shown[MOST_LEVELS // 2 - 1].place + shown[MOST_LEVELS // 2].place) / 2
    ax.axvspan(x - 1, x + 1, color="#f0f0f0", linewidth=0, zorder=0)
    text = f"{hidden:,} levels not shown"
    text = text if words.width(text, canvas.KEY) <= canvas.size_of(ax)[1] else f"{hidden:,} more"
    ax.text(
        x, 0.5, text, transform=ax.get_xaxis_transform(), rotation=90, fontsize=canvas.KEY, color=GREY, ha="center", va="center"
    ).set_gid("gap")


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "markersize": 5.2, "linestyle": "none", "markeredgecolor": BLUE, "markeredgewidth": 1.2}
    bar = Line2D([], [], color=BLUE, marker="|", markersize=11, markeredgewidth=1.9, linestyle="none")
    return [
        (bar, Line2D([], [], markerfacecolor=BLUE, **dot)),
        Line2D([], [], color=SKY, marker="_", markersize=10, markeredgewidth=1.8, linestyle="none"),
        Line2D([], [], markerfacecolor="white", **dot),
    ]


