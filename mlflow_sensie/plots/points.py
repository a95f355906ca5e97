"""What curves are drawn with: points and intervals, SDs, fitted lines, and where a sweep holds until."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import Curve, HoldsUntil, Line, PerturbationFit
from mlflow_sensie.plots import canvas
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, PALE, SKY, VERMILION
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlflow_sensie.result import ScoreInfo

CROWD = 24
Style = dict[str, Any]
DOT: Style = {"marker": "o", "linestyle": "none", "markeredgecolor": BLUE, "markeredgewidth": 1.2}
BAND: Style = {"color": VERMILION, "alpha": 0.16, "linewidth": 0}
DIAMOND: Style = {"color": GREEN, "markeredgecolor": "white", "markeredgewidth": 0.9, "linestyle": "none"}
DASHED, DOTTED = (0, (5, 3)), (0, (1.2, 1.8))


@dataclass(frozen=True)
class Point:
    """A mean with its 95 % interval at x; an end of None goes on to the edge. `few`: not to be trusted."""

    x: float
    mean: float
    low: float | None
    high: float | None
    few: bool


def points_of(curve: Curve, at: Sequence[float | None]) -> list[Point]:
    """Give the points of a curve that have a score, standing at `at`."""
    rows = zip(at, curve.score, curve.lo95, curve.hi95, curve.hatched, strict=True)
    return [Point(p, y, low, high, few) for p, y, low, high, few in rows if p is not None and y is not None]


def sds_of(curve: Curve, at: Sequence[float | None], score: ScoreInfo) -> list[tuple[float, float, float]]:
    """Give (x, low, high) of each SD bar, within the score's bounds; a single example has none."""
    lower = -math.inf if score.lower is None else score.lower
    upper = math.inf if score.upper is None else score.upper
    rows = zip(at, curve.score, curve.sd, strict=True)
    known = [(p, y, sd) for p, y, sd in rows if p is not None and y is not None and sd is not None]
    return [(p, max(y - sd, lower), min(y + sd, upper)) for p, y, sd in known]


def draw_points(ax: Axes, points: Sequence[Point]) -> None:
    """Draw means and dark intervals, once the range is set; hollow and dashed where evidence is little."""
    bottom, top = ax.get_ylim()
    thin = _thin(len(points))
    for few, kept in ((False, [p for p in points if not p.few]), (True, [p for p in points if p.few])):
        if not kept:
            continue
        x, label = [p.x for p in kept], "few" if few else "mean"
        low = [bottom if p.low is None else p.low for p in kept]
        high = [top if p.high is None else p.high for p in kept]
        bar: Style = {"colors": BLUE, "linewidth": (1.3 if few else 1.9) * thin}
        bar["linestyles"] = (0, (1.5, 1.2)) if few else "solid"
        ax.vlines(x, low, high, **bar, zorder=4, label=f"{label} interval")
        dot: Style = {**DOT, "markersize": 5.2 * thin, "markerfacecolor": "white" if few else BLUE}
        ax.plot(x, [p.mean for p in kept], **dot, zorder=5, label=label)


def draw_sds(ax: Axes, sds: Sequence[tuple[float, float, float]]) -> None:
    """Draw light bars for the SD of the examples."""
    if sds:
        x, low, high = zip(*sds, strict=True)
        style: Style = {"colors": SKY, "alpha": 0.35, "linestyles": "solid"}
        style["linewidth"] = 3.2 * _thin(len(sds))
        ax.vlines(x, low, high, **style, zorder=1, label="sd")


def _thin(count: int) -> float:
    """Give by how much marks shrink where there are many."""
    return float(min(1.0, (CROWD / max(count, 1)) ** 0.4))


def draw_line(ax: Axes, line: Line) -> None:
    """Draw a fitted line and its 95 % band over the range it was fitted on."""
    grid = np.geomspace if line.log_distance else np.linspace
    p = grid(line.start, line.stop, 101)
    mean, low, high = line.at(p)
    ax.fill_between(p, low, high, **BAND, zorder=2.5, label=f"band-{line.side}")
    ax.plot(p, mean, color=VERMILION, linewidth=1.6, linestyle="-", zorder=3, label=f"line-{line.side}")


def draw_floor(ax: Axes, fit: PerturbationFit, floor: float) -> None:
    """Draw the clean level, the floor, and on each side where the curve falls through it."""
    clean = fit.clean.value
    for y, name, color, dashes in ((clean, "clean", GREY, DASHED), (floor, "floor", GREEN, DOTTED)):
        ax.axhline(y, color=color, linewidth=1, linestyle=dashes, zorder=1.5, label=name)
    step = abs(clean - floor) / 10 or None
    clean_text, floor_text = (words.number(y, step, zeros=True) for y in (clean, floor))
    canvas.margin_notes(ax, [(clean, f"clean {clean_text}", GREY), (floor, f"floor {floor_text}", GREEN)])
    if len(fit.sides) > 1 and fit.neutral is not None:
        ax.axvline(fit.neutral, color=PALE, linewidth=0.8, linestyle="-", zorder=0, label="neutral")
    for side in fit.sides:
        _holds(ax, fit, side.holds, floor)


def _holds(ax: Axes, fit: PerturbationFit, holds: HoldsUntil, floor: float) -> None:
    """Mark the crossing, a stem down to the axis, and the one-sided bound; an arrow where none was found."""
    at, bound = (fit.magnitude(holds.side, distance) for distance in (holds.value, holds.lo95))
    stem: Style = {"color": GREEN, "linewidth": 0.9, "linestyle": DOTTED}
    ax.plot([at, at], [ax.get_ylim()[0], floor], **stem, zorder=1.5, label=f"stem-{holds.side}")
    bar: Style = {"color": GREEN, "linewidth": 2.4, "linestyle": "-", "solid_capstyle": "butt"}
    ax.plot([bound, at], [floor, floor], **bar, zorder=5.5, label=f"bound-{holds.side}")
    cap: Style = {"color": GREEN, "marker": "|", "markersize": 9, "markeredgewidth": 1.8, "linestyle": "none"}
    ax.plot([bound], [floor], **cap, zorder=5.5, label="cap")
    shape: Style = {"marker": "D", "markersize": 7}
    if holds.censored:
        shape = {"marker": "<" if holds.side == "below" else ">", "markersize": 9}
    ax.plot([at], [floor], **DIAMOND, **shape, zorder=6, clip_on=False, label=f"holds-{holds.side}")


def floor_of(fit: PerturbationFit, score: ScoreInfo) -> float:
    """Give the lowest mean score that counts as holding: that of a side's first point less its margin."""
    holds = fit.sides[0].holds
    first = fit.magnitude(holds.side, holds.distances[0])
    known = fit.clean.value
    if fit.neutral is None:
        known = next(
            (y for p, y in zip(fit.curve.p, fit.curve.score, strict=True) if p == first and y is not None),
            known,
        )
    floor = known - holds.margin[0]
    return floor if score.lower is None else max(floor, score.lower)
