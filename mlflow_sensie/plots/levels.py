"""The figure of a category or class test: its levels in order of their means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import CategoryFit
from mlflow_sensie.plots import canvas, curves, fonts
from mlflow_sensie.plots.canvas import GREY, PALE, SKY, Style
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

MOST_LEVELS, MOST_LEVEL = 40, 24
HALF = MOST_LEVELS // 2
RAW: Style = {"color": SKY, "marker": "_", "ls": "none", "mew": 1.8}


@dataclass(frozen=True)
class Level(curves.Point):
    """A level: where it stands, its shrunken mean (of missing values the raw one) with its interval, its raw mean."""

    label: str
    raw: float | None


def draw_levels(result: Result, test: TestResult) -> Figure:
    """Draw the levels' shrunken means in ascending order; of many levels the 20 lowest and the 20 highest."""
    fit: CategoryFit = test.fit
    every = ordered(fit)
    shown, hidden = chosen(every), max(0, len(every) - MOST_LEVELS)
    missing = _missing(fit, shown[-1].x + 1.5)
    levels = [*shown, *missing]
    keys = _keys(levels)
    labels, style, deep = _labels([level.label for level in levels], levels[-1].x + 1)
    # Long labels lengthen the paper instead of flattening the plot.
    least = canvas.HEIGHT + max(0.0, deep - 0.5)
    figure, top = canvas.sheet(fonts.name_of(test), _phrases(fit, every, hidden), least=least)
    bottom = canvas.legend_height(keys) + 0.33 + deep
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, canvas.WIDTH - canvas.RIGHT, top)
    average = draw_means(ax, fit, levels, result.score)
    raw = [(level.x, level.raw) for level in levels if level.raw is not None]
    ax.plot(*zip(*raw, strict=True), zorder=2, label="raw", **RAW, ms=12 if len(levels) <= MOST_LEVEL else 8)
    if missing:
        ax.axvline((shown[-1].x + missing[0].x) / 2, color=PALE, lw=0.8, zorder=0)
    if hidden:
        _draw_gap(ax, (shown[HALF - 1].x + shown[HALF].x) / 2, hidden)
    canvas.margin_notes(ax, [(average, f"all {words.number(average, zeros=True)}", GREY)])
    ax.set_xticks([level.x for level in levels], labels, **style)
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


def chosen(levels: list[Level]) -> list[Level]:
    """Give at most 40 levels, moved together around a gap where some are left out."""
    if len(levels) <= MOST_LEVELS:
        return levels
    return [*levels[:HALF], *(replace(level, x=HALF + 2.0 + k) for k, level in enumerate(levels[-HALF:]))]


def _missing(fit: CategoryFit, place: float) -> list[Level]:
    curve = fit.missing
    if curve is None or curve.score[0] is None:
        return []
    return [Level(place, curve.score[0], curve.lo95[0], curve.hi95[0], curve.hatched[0], "missing", None)]


def _phrases(fit: CategoryFit, levels: list[Level], hidden: int) -> list[str]:
    """Give the key numbers of a category test in words."""
    low, high, empty = levels[0], levels[-1], len(fit.levels) - len(levels)
    step = (high.mean - low.mean) / 20 or None
    ends = (
        (word, fonts.shorten(level.label, 1.3, canvas.SUBTITLE), level.mean)
        for word, level in (("lowest", low), ("highest", high))
    )
    return [
        f"{fit.decision}: {words.with_interval('spread between levels (SD)', fit.spread, say=True)}",
        *(f"{word}: {label} ({words.number(mean, step, zeros=True)})" for word, label, mean in ends),
        f"{len(levels):,} levels" + (f", the {HALF} lowest and {HALF} highest shown" if hidden else ""),
        f"{empty:,} without examples" if empty else "",
        f"n = {fit.n:,}" + (f", {fit.n_missing:,} missing" if fit.n_missing else ""),
    ]


def _labels(texts: list[str], slots: float) -> tuple[list[str], Style, float]:
    """Choose how labels stand, level where there is room, else slanted, else upright, and their inches."""
    slot = (canvas.WIDTH - canvas.LEFT - canvas.RIGHT) / slots
    size = canvas.TICK
    if len(texts) <= MOST_LEVEL and max(fonts.width(text, size) for text in texts) < slot - 0.06:
        return texts, {"size": size, "rotation": 0}, 0.16
    if slot >= 0.24:
        texts = [fonts.shorten(text, 1.05, size) for text in texts]
        return texts, {"size": size, **canvas.SLANTED}, 0.08 + 0.66 * max(fonts.width(text, size) for text in texts)
    size = max(5.5, min(size, slot * 72 * 0.8))
    texts = [fonts.shorten(text, 0.9, size) for text in texts]
    style = {"size": size, "rotation": 90, "ha": "center", "va": "top"}
    return texts, style, 0.06 + max(fonts.width(text, size) for text in texts)


def draw_means(ax: Axes, fit: CategoryFit, levels: list[Level], score: ScoreInfo, **options: Any) -> float:
    """Draw the levels' means and that of all examples with a level, within a range that shows them; give the latter."""
    n, means = zip(*((n, y) for n, y in zip(fit.curve.n, fit.curve.score, strict=True) if y is not None), strict=True)
    average = float(np.average(means, weights=n))
    ends = [y for level in levels for y in (level.low, level.high, level.mean, level.raw) if y is not None]
    ax.set_xlim(-0.6, levels[-1].x + 0.6)
    canvas.set_score_axis(ax, *canvas.score_window(score.lower, score.upper, [*ends, average]), **options)
    curves.draw_points(ax, levels)
    ax.axhline(average, color=GREY, lw=1, ls=curves.DASHED, zorder=1, label="average")
    return average


def _draw_gap(ax: Axes, x: float, hidden: int) -> None:
    """Mark the place of the levels left out."""
    ax.axvspan(x - 1, x + 1, color="#f0f0f0", lw=0, zorder=0)
    text = f"{hidden:,} levels not shown"
    text = text if fonts.width(text, canvas.KEY) <= canvas.size_of(ax)[1] else f"{hidden:,} more"
    style: Style = {"rotation": 90, "fontsize": canvas.KEY, "color": GREY, "ha": "center", "va": "center"}
    ax.text(x, 0.5, text, transform=ax.get_xaxis_transform(), label="gap", **style)


def _keys(levels: list[Level]) -> list[tuple[Any, str]]:
    keys = [(curves.mean_handle(), "shrunken mean, 95 % interval"), (canvas.handle(**RAW, ms=10), "raw mean")]
    few = [(curves.mean_handle(few=True), "little evidence")]
    return [*keys, *few] if any(level.few for level in levels) else keys
