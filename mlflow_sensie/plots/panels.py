"""Panels below the curve of a test: skill, and the headline where that is another metric, with the best constant's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_sensie.inference import PerturbationFit
from mlflow_sensie.inference.metric_fits import MetricSweep
from mlflow_sensie.plots import canvas
from mlflow_sensie.plots.canvas import BLUE, GREY, SKY, Style
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.text.skill import metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlflow_sensie.result import Result, TestResult

FLAT = 1e-9  # of a metric, by which rounding alone makes it vary
PANEL, GAP = 1.1, 0.14  # inches of a panel, and of what keeps it apart
CONSTANT: Style = {"color": GREY, "lw": 1, "ls": (0, (5, 3)), "zorder": 1.5}


def panels_of(result: Result, test: TestResult) -> list[str]:
    """Give the metrics that have a panel: the headline, and skill where that says up to where a sweep holds."""
    names = [result.recipe.get("headline", "score"), SKILL]
    names = [name for name in dict.fromkeys(names) if name in test.metric_fits]
    return names if is_held_by_skill(test) else names[:1]


def is_held_by_skill(test: TestResult) -> bool:
    """Tell whether skill, not the mean score, says up to where a perturbation test holds."""
    skill = test.metric_fits.get(SKILL)
    if not isinstance(skill, MetricSweep) or not isinstance(test.fit, PerturbationFit):
        return False
    return [side.holds for side in test.fit.sides] == list(skill.sides)


def metric_points(test: TestResult, name: str) -> pd.DataFrame:
    """Give a metric's points: x, mean, low, high; those of bins stand where the curve's own do."""
    fit: Any = test.metric_fits[name]
    numbers = {"mean": fit.values, "low": fit.lo95, "high": fit.hi95}
    if isinstance(fit, MetricSweep):
        points = pd.DataFrame({"x": fit.p, **numbers}, dtype=float)
    else:
        places = dict(zip(test.fit.curve.label, test.fit.curve.p, strict=True))
        points = pd.DataFrame({"x": [places.get(label) for label in fit.labels], **numbers}, dtype=float)
        if test.fit.ranks is not None:
            points["x"] = test.fit.ranks.share(points["x"])
    return points.dropna(subset=["x", "mean"]).sort_values("x")


def draw_panel(ax: Axes, points: pd.DataFrame, name: str, no_skill: float | None, floor: float | None) -> None:
    """Draw a metric over the same axis, within a range that shows its values; a dashed line for the best constant."""
    values = [*points["mean"], *(y for y in (no_skill, floor) if y is not None)]
    low, high = min(values), max(values)
    reach = high - low if high - low > FLAT * max(1.0, abs(high)) else 0.1
    shown = [*values, *points["low"].clip(lower=low - reach), *points["high"].clip(upper=high + reach)]
    ends = [] if reach == high - low else [low - reach, high + reach]
    canvas.set_score_axis(ax, *canvas.score_window(None, None, [*shown, *ends]), most=4)
    if len(points) > 1:
        ax.plot(points["x"], points["mean"], color=SKY, lw=1.0, ls="-", zorder=2, label="metric curve")
    bottom, top = ax.get_ylim()
    low95, high95 = points["low"].fillna(bottom), points["high"].fillna(top)
    ax.vlines(points["x"], low95.clip(lower=bottom), high95.clip(upper=top), colors=BLUE, lw=1.5, zorder=4)
    ax.plot(points["x"], points["mean"], color=BLUE, marker="o", ms=4, ls="none", zorder=5, label="metric")
    if no_skill is not None:
        draw_constant(ax, no_skill)
    ax.set_ylabel(metric_label(name), fontsize=canvas.KEY, color=canvas.INK)
    ax.yaxis.set_label_coords(-(canvas.LEFT - canvas.MARGIN) / canvas.size_of(ax)[0], 0.5)
    ax.yaxis.label.set_verticalalignment("top")


def draw_constant(ax: Axes, no_skill_score: float | None) -> None:
    """Draw what the best constant prediction scores, where it lies within the axis."""
    low, high = ax.get_ylim()
    if no_skill_score is not None and low <= no_skill_score <= high:
        ax.axhline(no_skill_score, **CONSTANT, label="best constant")
        where: Style = {"transform": ax.get_yaxis_transform(), "va": "bottom", "ha": "left", "fontsize": canvas.KEY}
        ax.text(0.01, no_skill_score, "best constant", color=GREY, label="note", **where)


def move_x_axis(upper: list[Axes], lowest: Axes) -> None:
    """Let the lowest axes take over x of those above: its scale, range, ticks and name."""
    first = upper[0]
    name = next((text for ax in upper if (text := ax.get_xlabel())), "")
    lowest.set_xscale(first.get_xscale())
    lowest.sharex(first)
    lowest.set_xlabel(name, fontsize=canvas.LABEL, color=canvas.INK, labelpad=3)
    for ax in upper:
        ax.set_xlabel("")
        ax.tick_params(axis="x", labelbottom=False, bottom=False)
