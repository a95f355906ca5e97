"""The figure of a category or class test: its levels in order of their means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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


def draw_levels(result: Result, test: TestResult) -> Figure:
    """Draw the levels' shrunken means in ascending order; of many levels the 20 lowest and the 20 highest."""
    fit: CategoryFit = test.fit
    every = ordered(fit)
    shown, hidden = chosen(every), max(0, len(every) - MOST_LEVELS)
    levels = pd.concat([shown, _missing(fit, shown["x"].iloc[-1] + 1.5)])
    keys = _keys(levels)
    labels, style, deep = _labels(levels["label"].tolist(), levels["x"].iloc[-1] + 1)
    # Long labels lengthen the paper instead of flattening the plot.
    least = canvas.HEIGHT + max(0.0, deep - 0.5)
    figure, top = canvas.sheet(fonts.name_of(test), _phrases(fit, every, hidden), least=least)
    bottom = canvas.legend_height(keys) + 0.33 + deep
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, canvas.WIDTH - canvas.RIGHT, top)
    average = draw_means(ax, fit, levels, result.score)
    ax.plot(shown["x"], shown["raw"], zorder=2, label="raw", **RAW, ms=12 if len(levels) <= MOST_LEVEL else 8)
    if len(levels) > len(shown):
        ax.axvline(levels["x"].iloc[-2:].mean(), color=PALE, lw=0.8, zorder=0)
    if hidden:
        _draw_gap(ax, shown["x"].iloc[HALF - 1 : HALF + 1].mean(), hidden)
    canvas.margin_notes(ax, [(average, f"all {words.number(average, zeros=True)}", GREY)])
    ax.set_xticks(levels["x"], labels, **style)
    name = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, "the lowest mean first")
    canvas.name_axes(ax, name, words.score_name(result.score.kind, result.score.unit))
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def ordered(fit: CategoryFit) -> pd.DataFrame:
    """Give the levels that have a score, the lowest mean first: label, shrunken mean, low, high, raw mean, few, x."""
    spread, curve = fit.levels_spread, fit.curve
    labels = pd.DataFrame({"label": map(fonts.legible, fit.levels), "few": curve.hatched})
    numbers = {"mean": spread.means, "low": spread.lo95, "high": spread.hi95, "raw": curve.score}
    levels = labels.join(pd.DataFrame(numbers, dtype=float)).dropna(subset="mean").sort_values("mean", kind="stable")
    return levels.assign(x=np.arange(float(len(levels))))


def chosen(levels: pd.DataFrame) -> pd.DataFrame:
    """Give at most 40 levels, moved together around a gap where some are left out."""
    if len(levels) <= MOST_LEVELS:
        return levels
    x = np.arange(float(MOST_LEVELS))
    return pd.concat([levels[:HALF], levels[-HALF:]]).assign(x=np.where(x < HALF, x, x + 2))


def _missing(fit: CategoryFit, place: float) -> pd.DataFrame:
    """Give the level of missing values, whose mean is the raw one."""
    curve = fit.missing
    if curve is None or curve.score[0] is None:
        return pd.DataFrame()
    row = {"label": "missing", "few": curve.hatched[0], "mean": curve.score[0], "x": place}
    return pd.DataFrame([{**row, "low": curve.lo95[0], "high": curve.hi95[0]}])


def _phrases(fit: CategoryFit, levels: pd.DataFrame, hidden: int) -> list[str]:
    """Give the key numbers of a category test in words."""
    low, high, empty = levels.iloc[0], levels.iloc[-1], len(fit.levels) - len(levels)
    step = (high["mean"] - low["mean"]) / 20 or None
    ends = (
        (word, fonts.shorten(level["label"], 1.3, canvas.SUBTITLE), words.number(level["mean"], step, zeros=True))
        for word, level in (("lowest", low), ("highest", high))
    )
    return [
        f"{fit.decision}: {words.with_interval('spread between levels (SD)', fit.spread, say=True)}",
        *(f"{word}: {label} ({mean})" for word, label, mean in ends),
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
        style, room, deep, share = {**canvas.SLANTED}, 1.05, 0.08, 0.66
    else:
        size = max(5.5, min(size, slot * 72 * 0.8))
        style, room, deep, share = {"rotation": 90, "ha": "center", "va": "top"}, 0.9, 0.06, 1.0
    texts = [fonts.shorten(text, room, size) for text in texts]
    return texts, {"size": size, **style}, deep + share * max(fonts.width(text, size) for text in texts)


def draw_means(ax: Axes, fit: CategoryFit, levels: pd.DataFrame, score: ScoreInfo, **options: Any) -> float:
    """Draw the levels' means and that of all examples with a level, within a range that shows them; give the latter."""
    n, means = zip(*((n, y) for n, y in zip(fit.curve.n, fit.curve.score, strict=True) if y is not None), strict=True)
    average = float(np.average(means, weights=n))
    ends = levels[["low", "high", "mean", "raw"]].to_numpy().ravel()
    ax.set_xlim(-0.6, levels["x"].iloc[-1] + 0.6)
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


def _keys(levels: pd.DataFrame) -> list[tuple[Any, str]]:
    keys = [(curves.mean_handle(), "shrunken mean, 95 % interval"), (canvas.handle(**RAW, ms=10), "raw mean")]
    return [*keys, (curves.mean_handle(few=True), "little evidence")] if levels["few"].any() else keys
