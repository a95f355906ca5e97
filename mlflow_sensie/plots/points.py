"""What curves are drawn with: points and intervals, SDs, fitted lines, and where a sweep holds until."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import Curve, HoldsUntil, Line, PerturbationFit, Polynomial, RangeFit
from mlflow_sensie.plots import canvas
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, PURPLE, SKY, VERMILION
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
# Beside the line: a line over part of the range, a polynomial, and what the model itself expects.
RANGE_SHADE: Style = {"color": INK, "alpha": 0.07, "linewidth": 0}
RANGE_LINE: Style = {"color": INK, "linewidth": 2.2, "linestyle": "-"}
POLYNOMIAL_BAND: Style = {"color": PURPLE, "alpha": 0.2, "linewidth": 0}
POLYNOMIAL_LINE: Style = {"color": PURPLE, "linewidth": 1.5, "linestyle": (0, (6, 1.5, 1.5, 1.5))}
EXPECTED: Style = {"color": INK, "linewidth": 1.1, "linestyle": (0, (2, 1.2)), "marker": "s"}
EXPECTED |= {"markersize": 4.2, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.9}


@dataclass(frozen=True)
class Point:
    """A mean with its 95 % interval at x; an end of None goes on to the edge. `few`: not to be trusted."""

    x: float
    mean: float
    low: float | None
    high: float | None
    few: bool


def points_of(curve: Curve, places: Sequence[float | None]) -> list[Point]:
    """Give the points of a curve that have a score, standing at `places`."""
    rows = zip(places, curve.score, curve.lo95, curve.hi95, curve.hatched, strict=True)
    return [Point(x, y, low, high, few) for x, y, low, high, few in rows if x is not None and y is not None]


def sds_of(curve: Curve, places: Sequence[float | None], score: ScoreInfo) -> list[tuple[float, float, float]]:
    """Give (x, low, high) of each SD bar, within the score's bounds; a single example has none."""
    lower = -math.inf if score.lower is None else score.lower
    upper = math.inf if score.upper is None else score.upper
    rows = zip(places, curve.score, curve.sd, strict=True)
    bars = [(x, y, sd) for x, y, sd in rows if x is not None and y is not None and sd is not None]
    return [(x, max(y - sd, lower), min(y + sd, upper)) for x, y, sd in bars]


# --- the curve -------------------------------------------------------------------------------------


def draw_points(ax: Axes, points: Sequence[Point]) -> None:
    """Draw means and dark intervals, once the range is set; hollow and dashed where evidence is little."""
    bottom, top = ax.get_ylim()
    thin = _thin(len(points))
    for few in (False, True):
        alike = [point for point in points if point.few == few]
        if not alike:
            continue
        x, label = [point.x for point in alike], "few" if few else "mean"
        low = [bottom if point.low is None else point.low for point in alike]
        high = [top if point.high is None else point.high for point in alike]
        bar: Style = {"colors": BLUE, "linewidth": (1.3 if few else 1.9) * thin}
        bar["linestyles"] = (0, (1.5, 1.2)) if few else "solid"
        ax.vlines(x, low, high, **bar, zorder=4, label=f"{label} interval")
        dot: Style = {**DOT, "markersize": 5.2 * thin, "markerfacecolor": "white" if few else BLUE}
        ax.plot(x, [point.mean for point in alike], **dot, zorder=5, label=label)


def draw_sds(ax: Axes, bars: Sequence[tuple[float, float, float]]) -> None:
    """Draw light bars for the SD of the examples."""
    if bars:
        x, low, high = zip(*bars, strict=True)
        style: Style = {"colors": SKY, "alpha": 0.35, "linestyles": "solid"}
        style["linewidth"] = 3.2 * _thin(len(bars))
        ax.vlines(x, low, high, **style, zorder=1, label="sd")


def _thin(count: int) -> float:
    """Give by how much marks shrink where there are many."""
    return float(min(1.0, (CROWD / max(count, 1)) ** 0.4))


# --- what was fitted -------------------------------------------------------------------------------


def draw_line(ax: Axes, line: Line) -> None:
    """Draw a fitted line and its 95 % band over the range it was fitted on."""
    p = _grid(line)
    mean, low, high = line.at(p)
    ax.fill_between(p, low, high, **BAND, zorder=2.5, label=f"band-{line.side}")
    ax.plot(p, mean, color=VERMILION, linewidth=1.6, linestyle="-", zorder=3, label=f"line-{line.side}")


def draw_range(ax: Axes, part: RangeFit) -> None:
    """Shade the range of a fit, and draw its line."""
    line = part.line
    ax.axvspan(line.start, line.stop, **RANGE_SHADE, zorder=0, label=f"range-{part.side}")
    p = _grid(line)
    ax.plot(p, line.at(p)[0], **RANGE_LINE, zorder=3.2, label=f"range-line-{part.side}")


def draw_polynomial(ax: Axes, polynomial: Polynomial) -> None:
    """Draw a polynomial and its band over the curve."""
    p = _grid(polynomial)
    mean, low, high = polynomial.at(p)
    ax.fill_between(p, low, high, **POLYNOMIAL_BAND, zorder=2.4, label=f"polynomial-band-{polynomial.side}")
    ax.plot(p, mean, **POLYNOMIAL_LINE, zorder=2.8, label=f"polynomial-{polynomial.side}")


def _grid(fit: Line | Polynomial) -> Any:
    """Give the p to draw a fit at, over the range it was fitted on."""
    return (np.geomspace if fit.log_distance else np.linspace)(fit.start, fit.stop, 101)


def draw_expected(ax: Axes, fit: PerturbationFit) -> None:
    """Join the mean scores that the model itself announces over the sweep."""
    if fit.calibration is None:
        return
    magnitudes = list(fit.magnitudes) if fit.neutral is None else [fit.neutral, *fit.magnitudes]
    points = sorted(zip(magnitudes, fit.calibration.expected[-len(magnitudes) :], strict=True))
    ax.plot([p for p, _ in points], [y for _, y in points], **EXPECTED, zorder=2.2, label="expected")


def floor_of(fit: PerturbationFit, score: ScoreInfo) -> float:
    """Give the lowest mean score that counts as holding: that of a side's first point less its margin."""
    holds = fit.sides[0].holds
    first = fit.magnitude(holds.side, holds.distances[0])
    top = fit.clean.value
    if fit.neutral is None:
        scores = zip(fit.curve.p, fit.curve.score, strict=True)
        top = next((y for p, y in scores if p == first and y is not None), top)
    floor = top - holds.margin[0]
    return floor if score.lower is None else max(floor, score.lower)


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
        _draw_holds(ax, fit, side.holds, floor)


def _draw_holds(ax: Axes, fit: PerturbationFit, holds: HoldsUntil, floor: float) -> None:
    """Mark the crossing, a stem down to the axis, and the one-sided bound; an arrow where it never falls."""
    crossing, bound = (fit.magnitude(holds.side, distance) for distance in (holds.value, holds.lo95))
    stem: Style = {"color": GREEN, "linewidth": 0.9, "linestyle": DOTTED}
    ax.plot([crossing] * 2, [ax.get_ylim()[0], floor], **stem, zorder=1.5, label=f"stem-{holds.side}")
    bar: Style = {"color": GREEN, "linewidth": 2.4, "linestyle": "-", "solid_capstyle": "butt"}
    ax.plot([bound, crossing], [floor, floor], **bar, zorder=5.5, label=f"bound-{holds.side}")
    cap: Style = {"color": GREEN, "marker": "|", "markersize": 9, "markeredgewidth": 1.8, "linestyle": "none"}
    ax.plot([bound], [floor], **cap, zorder=5.5, label="cap")
    shape: Style = {"marker": "D", "markersize": 7}
    if holds.censored:
        shape = {"marker": "<" if holds.side == "below" else ">", "markersize": 9}
    ax.plot([crossing], [floor], **DIAMOND, **shape, zorder=6, clip_on=False, label=f"holds-{holds.side}")


# --- the legend ------------------------------------------------------------------------------------


def handle(**style: Any) -> Any:
    """Give a line's or a marker's sign for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **style)


def patch(**style: Any) -> Any:
    """Give a tinted area's sign for a legend."""
    from matplotlib.patches import Patch

    return Patch(**style)


def mean_handle(*, few: bool = False) -> Any:
    """Give a mean's sign; with its interval, or hollow where evidence is little."""
    dot: Style = {**DOT, "markersize": 5.2, "markerfacecolor": "white" if few else BLUE}
    return handle(**dot) if few else (bar_handle(BLUE, 1.9), handle(**dot))


def bar_handle(color: str, width: float, **style: Any) -> Any:
    """Give the sign of an upright bar."""
    return handle(color=color, marker="|", markersize=11, markeredgewidth=width, linestyle="none", **style)
