"""The figure of a property or perturbation test: its curve, the line through it, and where it holds until."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import Curve, Line, PerturbationFit, PropertyFit
from mlflow_sensie.plots import canvas, fonts, points, ticks
from mlflow_sensie.plots.canvas import GREEN, GREY, INK, PALE, SKY, VERMILION
from mlflow_sensie.text import words
from mlflow_sensie.text.sentences import subtitle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

MISSING_AT = 0.13
STRIP = 0.36  # inches of the strip between a curve and its axis
HOLDING: dict[str, Any] = {"color": GREEN, "alpha": 0.3, "linewidth": 0}
Fit = PropertyFit | PerturbationFit
Span = tuple[float, float]


def draw_curve(result: Result, test: TestResult) -> Figure:
    """Draw means with intervals and SDs, and the fitted line; of a perturbation also where it holds until."""
    fit: Fit = test.fit
    figure, top = canvas.sheet(fonts.name_of(test), subtitle(test))
    keys, strip = _keys(fit), _is_worth_a_strip(fit)
    right = canvas.WIDTH - (canvas.RIGHT if isinstance(fit, PerturbationFit) else 0.2)
    bottom = canvas.legend_height([text for _, text in keys]) + 0.5 + (STRIP if strip else 0)
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, right, top)
    note = _x_axis(ax, test)
    ticks.set_score_axis(ax, *score_range(fit, result.score))
    _draw_fit(ax, fit, result.score)
    name = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
    canvas.name_axes(ax, name, words.score_label(result.score))
    if strip:
        _draw_strip(ax, fit)
    canvas.legend(figure, keys)
    return canvas.finish(figure)


# --- where things are ------------------------------------------------------------------------------


def lines(fit: Fit) -> tuple[Line, ...]:
    """Give the fitted lines, one per side of a sweep."""
    return tuple(side.line for side in fit.sides) if isinstance(fit, PerturbationFit) else (fit.line,)


def is_log(fit: Fit) -> bool:
    """Tell whether the axis of p is logarithmic."""
    return isinstance(fit, PerturbationFit) and fit.log_distance


def places_of(fit: Fit) -> list[float | None]:
    """Give where the points of the curve stand: at p, or at its rank."""
    if fit.curve is None or not isinstance(fit, PropertyFit) or fit.ranks is None:
        return list(fit.curve.p) if fit.curve is not None else []
    return [None if p is None else float(fit.ranks.share(p)) for p in fit.curve.p]


def points_of(fit: Fit) -> list[points.Point]:
    """Give the points of the curve where they stand, without that of missing values."""
    return points.points_of(fit.curve, places_of(fit)) if fit.curve is not None else []


def span(fit: Fit) -> Span:
    """Give the range of p that has anything to show."""
    ends = [end for line in lines(fit) for end in (line.start, line.stop)]
    ends += [point.x for point in points_of(fit)]
    return min(ends), max(ends)


def _missing(fit: Fit) -> Curve | None:
    """Give the point of the missing values, which stands beside a curve."""
    return fit.missing if isinstance(fit, PropertyFit) and fit.curve is not None else None


def _missing_place(fit: Fit) -> float:
    low, high = span(fit)
    return high + MISSING_AT * (high - low)


def _curves(fit: Fit) -> list[tuple[Curve, list[float | None]]]:
    """Give the curves to draw, each with where its points stand."""
    missing = _missing(fit)
    curves = [(fit.curve, places_of(fit))] if fit.curve is not None else []
    return [*curves, (missing, [_missing_place(fit)] * len(missing.n))] if missing is not None else curves


def score_range(fit: Fit, score: ScoreInfo) -> Span:
    """Give the range of scores to show: whatever is drawn of them."""
    scores: list[float] = []
    for curve, places in _curves(fit):
        bars = points.sds_of(curve, places, score)
        scores += [y for _, low, high in bars for y in (low, high)]
        # The interval of a single example reaches from bound to bound: it must not decide the range.
        several = {x for x, _, _ in bars}
        means = [point for point in points.points_of(curve, places) if point.x in several]
        scores += [y for point in means for y in (point.mean, point.low, point.high) if y is not None]
    if isinstance(fit, PerturbationFit):
        scores += [fit.clean.value, points.floor_of(fit, score), *(fit.calibration.expected if fit.calibration else ())]
    for line in lines(fit):
        mean, low, high = line.at(np.array([line.start, line.stop]))
        scores += [*mean] if fit.curve is not None else [*low, *high]
    if score.lower is not None or score.upper is not None:
        scores = [float(y) for y in np.clip(scores, score.lower, score.upper)]
    return ticks.score_window(score.lower, score.upper, scores)


# --- axes ------------------------------------------------------------------------------------------


def _x_axis(ax: Axes, test: TestResult) -> str:
    """Set range and ticks; give what the ticks leave to the axis label."""
    fit: Fit = test.fit
    (low, high), missing = span(fit), []
    count = len(set(fit.curve.p)) if fit.curve is not None else 10
    ticks.set_span(ax, low, high, log=is_log(fit), points=count)
    if _missing(fit) is not None:
        place = _missing_place(fit)
        air = max(ticks.air_beside(count), 0.05) * (high - low)
        ax.set_xlim(ax.get_xlim()[0], place + air)
        border: dict[str, Any] = {"color": PALE, "linewidth": 0.8, "linestyle": "-", "zorder": 0}
        ax.axvline(high + 0.4 * (place - high), **border, label="border")
        missing = [(place, "missing")]
    places, labels, note = _x_ticks(ax, test, (low, high))
    ticks.set_ticks(ax.xaxis, [*places, *(x for x, _ in missing)], [*labels, *(text for _, text in missing)])
    return note


def _x_ticks(ax: Axes, test: TestResult, span: Span) -> tuple[list[float], list[str], str]:
    """Name the points themselves where they are few and have room, else round numbers."""
    p = magnitudes_of(test.fit)
    if isinstance(test.fit, PropertyFit) and test.fit.ranks is not None:
        return *ticks.rank_ticks(ax, test.fit.ranks, p, test.unit), "by rank"
    if test.unit == words.DAYS:
        return *ticks.date_ticks(*span), ""
    if is_log(test.fit):
        places = ticks.with_room(ax, p, [words.number(x) for x in p])
        return places, [words.number(x) for x in places], ""
    if 2 <= len(p) <= ticks.MOST_NAMED:
        labels, note = ticks.tick_labels(p)
        if max(map(len, labels)) <= 5 and ticks.with_room(ax, p, labels) == p:
            return p, labels, note
    places = ticks.nice_ticks(*span)
    return places, *ticks.tick_labels(places)


def magnitudes_of(fit: Fit) -> list[float]:
    """Give the p of the curve, ascending."""
    return sorted({p for p in fit.curve.p if p is not None}) if fit.curve is not None else []


# --- what is drawn ---------------------------------------------------------------------------------


def _draw_fit(ax: Axes, fit: Fit, score: ScoreInfo) -> None:
    if isinstance(fit, PerturbationFit):
        # Only a sweep is read between its points: there the crossing of the floor lies.
        joined = points.points_of(fit.curve, fit.curve.p)
        style: dict[str, Any] = {"color": SKY, "linewidth": 1.0, "linestyle": "-", "zorder": 2}
        ax.plot([point.x for point in joined], [point.mean for point in joined], **style, label="curve")
        points.draw_expected(ax, fit)
    curves = _curves(fit)
    points.draw_sds(ax, [bar for curve, places in curves for bar in points.sds_of(curve, places, score)])
    points.draw_points(ax, [point for curve, places in curves for point in points.points_of(curve, places)])
    for line in lines(fit):
        points.draw_line(ax, line)
    for polynomial in fit.polynomials:
        points.draw_polynomial(ax, polynomial)
    for part in fit.fit_range:
        points.draw_range(ax, part)
    if isinstance(fit, PerturbationFit):
        points.draw_floor(ax, fit, points.floor_of(fit, score))


def _keys(fit: Fit) -> list[tuple[Any, str]]:
    """Give the legend's signs, stand-ins for what the axes hold, and their texts."""
    handle, patch, sweep = points.handle, points.patch, isinstance(fit, PerturbationFit)
    line = (patch(**points.BAND), handle(color=VERMILION, linewidth=1.6, linestyle="-"))
    bound = handle(color=GREEN, linewidth=2.4, linestyle="-")
    diamond = handle(marker="D", markersize=6, **points.DIAMOND)
    shade = (patch(**points.RANGE_SHADE), handle(**points.RANGE_LINE))
    curved = (patch(**points.POLYNOMIAL_BAND), handle(**points.POLYNOMIAL_LINE))
    orders = {polynomial.order for polynomial in fit.polynomials}
    keys = [
        (points.mean_handle(), "mean, 95 % interval", fit.curve is not None),
        (points.bar_handle(SKY, 3.2, alpha=0.45), "± SD", fit.curve is not None),
        (points.mean_handle(few=True), "little evidence", any(any(curve.hatched) for curve, _ in _curves(fit))),
        (line, "line, 95 % band", True),
        ((bound, diamond), "holds until, bound", sweep),
        (handle(**points.EXPECTED), "what the model expects", getattr(fit, "calibration", None)),
        (shade, "fit over the shaded range", fit.fit_range),
        *((curved, f"polynomial of order {order}", True) for order in sorted(orders)),
    ]
    return [(sign, text) for sign, text, is_drawn in keys if is_drawn]


# --- the strip: a property's counts, or how many examples hold by themselves -------------------------


def _is_worth_a_strip(fit: Fit) -> bool:
    """Tell whether bins are of very unequal size, or some example falls by itself."""
    if isinstance(fit, PerturbationFit):
        return any(sum(side.first_failed[:-1]) for side in fit.sides)
    n = [count for count in fit.curve.n if count] if fit.curve is not None else []
    return bool(n) and min(n) < 0.5 * max(n)


def _draw_strip(ax: Axes, fit: Fit) -> None:
    if isinstance(fit, PerturbationFit):
        _draw_holding(ax, fit)
        return
    counts = [(x, n) for curve, places in _curves(fit) for x, n in zip(places, curve.n, strict=True)]
    _draw_counts(ax, [(x, n) for x, n in counts if x is not None])


def _draw_counts(ax: Axes, counts: Sequence[tuple[float, int]]) -> None:
    """Draw (x, count) of every bin."""
    most = max(n for _, n in counts)
    strip = _add_strip(ax, f"n {most:,}" if most < 1e5 else f"n {most:.1e}", most)
    style: dict[str, Any] = {"colors": GREY, "linewidth": 4, "alpha": 0.55, "linestyles": "solid"}
    strip.vlines([x for x, _ in counts], 0, [n for _, n in counts], **style, label="counts")


def _draw_holding(ax: Axes, fit: PerturbationFit) -> None:
    """Draw the share of the examples whose own score has not fallen below its floor, over the sweep."""
    strip = _add_strip(ax, "100 % hold", 1)
    for side in fit.sides:
        shares = sorted((fit.magnitude(side.side, distance), share) for distance, share in side.own_holds())
        x, share = np.array(shares).T
        strip.fill_between(x, 0, share, **HOLDING, label=f"own-{side.side}")
        line: dict[str, Any] = {"color": GREEN, "linewidth": 0.9, "linestyle": "-"}
        strip.plot(x, share, **line, label=f"own-line-{side.side}")


def _add_strip(ax: Axes, top: str, most: float) -> Axes:
    """Add axes below others, which take over their x axis."""
    box = ax.get_position()
    left, right, below = box.x0 * canvas.WIDTH, box.x1 * canvas.WIDTH, box.y0 * canvas.HEIGHT
    strip = canvas.add_axes(canvas.figure_of(ax), left, below - STRIP, right, below - 0.06)
    if ax.get_xscale() == "log":
        ticks.set_log(strip)
    strip.set(xlim=ax.get_xlim(), ylim=(0, 1.08 * most))
    ticks.set_ticks(strip.xaxis, list(ax.get_xticks()), [text.get_text() for text in ax.get_xticklabels()])
    ticks.set_ticks(strip.yaxis, [most], [top])
    strip.tick_params(axis="y", labelsize=canvas.KEY - 1, labelcolor=GREY)
    strip.set_xlabel(ax.get_xlabel(), fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False, bottom=False)
    ax.spines["bottom"].set_visible(False)
    return strip
