"""The figure of a category or class test: its levels in order of their means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import CategoryFit
from mlflow_sensie.plots import canvas, fonts, points, ticks
from mlflow_sensie.plots.canvas import GREY, PALE, SKY
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

MOST_LEVELS, MOST_LEVEL = 40, 24
RAW: dict[str, Any] = {"color": SKY, "marker": "_", "linestyle": "none", "markeredgewidth": 1.8}


@dataclass(frozen=True)
class Level(points.Point):
    """A level: where it stands, its shrunken mean (of missing values the raw one) with its interval, its raw mean."""

    label: str
    raw: float | None


def draw_levels(result: Result, test: TestResult) -> Figure:
    """Draw the levels' shrunken means in ascending order; of many levels the 20 lowest and the 20 highest."""
    fit: CategoryFit = test.fit
    every = ordered(fit)
    shown, hidden = chosen(every)
    missing = _missing(fit, shown)
    levels = [*shown, *missing]
    keys = _keys(levels)
    labels, style, deep = _labels(levels, levels[-1].x + 1)
    # Long labels lengthen the paper instead of flattening the plot.
    height = canvas.HEIGHT + max(0.0, deep - 0.5)
    figure, top = canvas.sheet(fonts.name_of(test), _phrases(fit, every, hidden), height)
    bottom = canvas.legend_height([text for _, text in keys]) + 0.33 + deep
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, canvas.WIDTH - canvas.RIGHT, top)
    ax.set_xlim(-0.6, levels[-1].x + 0.6)
    average = mean_score(fit)
    ticks.set_score_axis(ax, *score_range(result.score, levels, average))
    _draw_means(ax, levels)
    if missing:
        ax.axvline((shown[-1].x + missing[0].x) / 2, color=PALE, linewidth=0.8, zorder=0)
    if hidden:
        _draw_gap(ax, shown, hidden)
    ax.axhline(average, color=GREY, linewidth=1, linestyle=points.DASHED, zorder=1, label="average")
    canvas.margin_notes(ax, [(average, f"all {words.number(average, zeros=True)}", GREY)])
    ticks.set_ticks(ax.xaxis, [level.x for level in levels], labels)
    for label in ax.get_xticklabels():
        label.set(**style)
    name = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, "the lowest mean first")
    canvas.name_axes(ax, name, words.score_label(result.score))
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def ordered(fit: CategoryFit) -> list[Level]:
    """Give the levels that have a score, the lowest shrunken mean first."""
    spread, curve = fit.levels_spread, fit.curve
    rows = zip(fit.levels, spread.means, spread.lo95, spread.hi95, curve.score, curve.hatched, strict=True)
    scored = sorted((row for row in rows if row[1] is not None), key=lambda row: float(row[1] or 0))
    return [
        Level(float(k), float(mean or 0), low, high, few, fonts.legible(label), raw)
        for k, (label, mean, low, high, raw, few) in enumerate(scored)
    ]


def chosen(levels: list[Level]) -> tuple[list[Level], int]:
    """Give at most 40 levels, moved together around a gap, and how many are left out."""
    hidden = len(levels) - MOST_LEVELS
    if hidden <= 0:
        return levels, 0
    half = MOST_LEVELS // 2
    high = [replace(level, x=half + 2.0 + k) for k, level in enumerate(levels[-half:])]
    return [*levels[:half], *high], hidden


def _missing(fit: CategoryFit, shown: list[Level]) -> list[Level]:
    curve = fit.missing
    if curve is None or curve.score[0] is None:
        return []
    place, mean = shown[-1].x + 1.5, curve.score[0]
    return [Level(place, mean, curve.lo95[0], curve.hi95[0], curve.hatched[0], "missing", None)]


def mean_score(fit: CategoryFit) -> float:
    """Give the mean score of all examples that have a level."""
    pairs = [(n, y) for n, y in zip(fit.curve.n, fit.curve.score, strict=True) if y is not None]
    return sum(n * y for n, y in pairs) / sum(n for n, _ in pairs)


def _phrases(fit: CategoryFit, levels: list[Level], hidden: int) -> list[str]:
    """Give the key numbers of a category test in words."""
    ends = (("lowest", levels[0]), ("highest", levels[-1]))
    empty, half = len(fit.levels) - len(levels), MOST_LEVELS // 2
    step = (levels[-1].mean - levels[0].mean) / 20 or None
    return [
        f"{fit.decision}: {words.with_interval('spread between levels (SD)', fit.spread, say=True)}",
        *(f"{word}: {_short(level)} ({words.number(level.mean, step, zeros=True)})" for word, level in ends),
        f"{len(levels):,} levels" + (f", the {half} lowest and {half} highest shown" if hidden else ""),
        f"{empty:,} without examples" if empty else "",
        f"n = {fit.n:,}" + (f", {fit.n_missing:,} missing" if fit.n_missing else ""),
    ]


def _short(level: Level) -> str:
    return fonts.shorten(level.label, 1.3, canvas.SUBTITLE)


def _labels(levels: list[Level], slots: float) -> tuple[list[str], dict[str, Any], float]:
    """Choose how labels stand, level where there is room, else slanted, else upright, and their inches."""
    slot = (canvas.WIDTH - canvas.LEFT - canvas.RIGHT) / slots
    size = canvas.TICK
    texts = [level.label for level in levels]
    if len(texts) <= MOST_LEVEL and max(fonts.width(text, size) for text in texts) < slot - 0.06:
        return texts, {"size": size, "rotation": 0}, 0.16
    if slot >= 0.24:
        texts = [fonts.shorten(text, 1.05, size) for text in texts]
        style = {"size": size, "rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        return texts, style, 0.08 + 0.66 * max(fonts.width(text, size) for text in texts)
    size = max(5.5, min(size, slot * 72 * 0.8))
    texts = [fonts.shorten(text, 0.9, size) for text in texts]
    style = {"size": size, "rotation": 90, "ha": "center", "va": "top"}
    return texts, style, 0.06 + max(fonts.width(text, size) for text in texts)


def score_range(score: ScoreInfo, levels: list[Level], average: float) -> tuple[float, float]:
    """Give the range of scores to show: all means and intervals, and the average."""
    ends = [y for level in levels for y in (level.low, level.high, level.mean, level.raw) if y is not None]
    return ticks.score_window(score.lower, score.upper, [*ends, average])


def _draw_means(ax: Axes, levels: list[Level]) -> None:
    raw = [(level.x, level.raw) for level in levels if level.raw is not None]
    ax.plot(*zip(*raw, strict=True), zorder=2, label="raw", **RAW, markersize=12 if len(levels) <= MOST_LEVEL else 8)
    points.draw_points(ax, levels)


def _draw_gap(ax: Axes, shown: list[Level], hidden: int) -> None:
    """Mark the place of the levels left out."""
    x = (shown[MOST_LEVELS // 2 - 1].x + shown[MOST_LEVELS // 2].x) / 2
    ax.axvspan(x - 1, x + 1, color="#f0f0f0", linewidth=0, zorder=0)
    text = f"{hidden:,} levels not shown"
    text = text if fonts.width(text, canvas.KEY) <= canvas.size_of(ax)[1] else f"{hidden:,} more"
    style: dict[str, Any] = {"rotation": 90, "fontsize": canvas.KEY, "color": GREY, "label": "gap"}
    style |= {"ha": "center", "va": "center"}
    ax.text(x, 0.5, text, transform=ax.get_xaxis_transform(), **style)


def _keys(levels: list[Level]) -> list[tuple[Any, str]]:
    raw = points.handle(**RAW, markersize=10)
    keys = [(points.mean_handle(), "shrunken mean, 95 % interval"), (raw, "raw mean")]
    few = [(points.mean_handle(few=True), "little evidence")]
    return [*keys, *few] if any(level.few for level in levels) else keys
