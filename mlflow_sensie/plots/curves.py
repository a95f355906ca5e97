"""The figure of a property or perturbation test: its curve, the line through it, and where it holds until."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlflow_sensie.inference import Curve, HoldsUntil, Line, PerturbationFit, Polynomial, PropertyFit
from mlflow_sensie.inference.metric_fits import MetricSweep
from mlflow_sensie.plots import canvas, fonts, panels
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, PURPLE, SKY, VERMILION, Style, handle, patch
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.text import words
from mlflow_sensie.text.sentences import allowed_drop, subtitle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

CROWD = 24  # points, beyond which marks shrink
MISSING_AT = 0.13
STRIP = 0.36  # inches of the strip between a curve and its axis
DASHED, DOTTED = (0, (5, 3)), (0, (1.2, 1.8))
DOT: Style = {"marker": "o", "ls": "none", "mec": BLUE, "mew": 1.2}
LINE: Style = {"color": VERMILION, "lw": 1.6, "ls": "-", "zorder": 3}
BAND: Style = {"color": VERMILION, "alpha": 0.16, "lw": 0, "zorder": 2.5}
DIAMOND: Style = {"color": GREEN, "mec": "white", "mew": 0.9, "ls": "none"}
# Beside the line: a line over part of the range, a polynomial, and what the model itself expects.
RANGE_SHADE: Style = {"color": INK, "alpha": 0.07, "lw": 0, "zorder": 0}
RANGE_LINE: Style = {"color": INK, "lw": 2.2, "ls": "-", "zorder": 3.2}
POLYNOMIAL_BAND: Style = {"color": PURPLE, "alpha": 0.2, "lw": 0, "zorder": 2.4}
POLYNOMIAL_LINE: Style = {"color": PURPLE, "lw": 1.5, "ls": (0, (6, 1.5, 1.5, 1.5)), "zorder": 2.8}
EXPECTED: Style = {"color": INK, "lw": 1.1, "ls": (0, (2, 1.2)), "marker": "s", "ms": 4.2}
EXPECTED |= {"mfc": "white", "mec": INK, "mew": 0.9, "zorder": 2.2}
Fit = PropertyFit | PerturbationFit
Span = tuple[float, float]


def draw_curve(result: Result, test: TestResult) -> Figure:
    """Draw means with intervals and SDs, and the fitted line; of a perturbation also where it holds until."""
    fit: Fit = test.fit
    names = panels.panels_of(result, test)
    deep = len(names) * panels.PANEL
    figure, top = canvas.sheet(fonts.name_of(test), subtitle(test), least=canvas.HEIGHT + deep)
    keys, strip = _keys(fit), _is_worth_a_strip(fit)
    right = canvas.WIDTH - (canvas.RIGHT if isinstance(fit, PerturbationFit) else 0.2)
    under = canvas.legend_height(keys) + 0.5
    bottom = under + deep + (STRIP if strip else 0)
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, right, top)
    note = _x_axis(ax, test)
    canvas.set_score_axis(ax, *score_range(test, result.score))
    _draw_fit(ax, test, result.score)
    panels.draw_constant(ax, result.no_skill_score)
    name = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
    canvas.name_axes(ax, name, words.score_name(result.score.kind, result.score.unit))
    upper = [ax]
    if strip:
        upper.append(canvas.add_axes(figure, canvas.LEFT, bottom - STRIP, right, bottom - 0.06))
        _draw_strip(ax, fit, upper[-1])
    for k, metric in enumerate(names):
        low = under + (len(names) - 1 - k) * panels.PANEL
        panel = canvas.add_axes(figure, canvas.LEFT, low, right, low + panels.PANEL - panels.GAP)
        panels.move_x_axis(upper, panel)
        upper.append(panel)
        _draw_metric(panel, result, test, metric)
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def _draw_metric(ax: Axes, result: Result, test: TestResult, name: str) -> None:
    """Draw a metric's panel; that of skill says up to where a sweep holds, where that is said of skill."""
    estimate = result.metric_estimates.get(name)
    no_skill = None if estimate is None else estimate.no_skill
    points, floor, sweep = panels.metric_points(test, name), None, test.metric_fits[name]
    holding = name == SKILL and panels.is_held_by_skill(test)
    if holding and isinstance(sweep, MetricSweep) and "no_skill" not in sweep.flags:
        floor = sweep.values[0] * (1 - float(allowed_drop(result, test)))
    panels.draw_panel(ax, points, name, no_skill, floor)
    if floor is not None:
        ax.axhline(floor, color=GREEN, lw=1, ls=DOTTED, zorder=1.5, label="floor")
        for side in test.fit.sides:
            _draw_holds(ax, test.fit, side.holds, floor)


# --- where things are ------------------------------------------------------------------------------


def lines(fit: Fit) -> tuple[Line, ...]:
    """Give the fitted lines, one per side of a sweep."""
    return tuple(side.line for side in fit.sides) if isinstance(fit, PerturbationFit) else (fit.line,)


def is_log(fit: Fit) -> bool:
    """Tell whether the axis of p is logarithmic."""
    return isinstance(fit, PerturbationFit) and fit.log_distance


def magnitudes_of(fit: Fit) -> list[float]:
    """Give the p of the curve, ascending."""
    return sorted({p for p in fit.curve.p if p is not None}) if fit.curve is not None else []


def points_of(fit: Fit, *, missing: bool = False) -> pd.DataFrame:
    """Give the points that have a score, that of missing values too if wanted: x, mean, low, high, sd, n, few.

    They stand at p, or at its rank; ``few`` are not to be trusted; an end that is missing goes on to the edge.
    """
    points = _rows(fit.curve)
    if isinstance(fit, PropertyFit) and fit.ranks is not None:
        points["x"] = fit.ranks.share(points["x"])
    points = points.dropna(subset=["x", "mean"])
    if missing and isinstance(fit, PropertyFit) and fit.curve is not None:
        low, high = span(fit)
        beside = _rows(fit.missing).assign(x=high + MISSING_AT * (high - low))
        return pd.concat([points, beside.dropna(subset="mean")])
    return points


def _rows(curve: Curve | None) -> pd.DataFrame:
    names = {"x": "p", "mean": "score", "low": "lo95", "high": "hi95", "sd": "sd", "n": "n", "few": "hatched"}
    rows = {name: () if curve is None else getattr(curve, field) for name, field in names.items()}
    return pd.DataFrame(rows, dtype=float)


def span(fit: Fit) -> Span:
    """Give the range of p that has anything to show."""
    ends = [end for line in lines(fit) for end in (line.start, line.stop)]
    ends += points_of(fit)["x"].tolist()
    return min(ends), max(ends)


def score_range(test: TestResult, score: ScoreInfo) -> Span:
    """Give the range of scores to show: whatever is drawn of them."""
    fit: Fit = test.fit
    # The interval of a single example, which has no SD, reaches from bound to bound: it must not decide the range.
    points = points_of(fit, missing=True).dropna(subset="sd")
    bars = [points["mean"] - points["sd"], points["mean"] + points["sd"]]
    scores = np.concatenate([points["mean"], points["low"], points["high"], *bars]).tolist()
    if isinstance(fit, PerturbationFit):
        floor = floor_of(test, score)
        scores += [fit.clean.value, *([] if floor is None else [floor])]
        scores += fit.calibration.expected if fit.calibration else ()
    for line in lines(fit):
        mean, low, high = line.at(np.array([line.start, line.stop]))
        scores += [*mean] if fit.curve is not None else [*low, *high]
    if score.lower is not None or score.upper is not None:
        scores = np.clip(scores, score.lower, score.upper).tolist()
    return canvas.score_window(score.lower, score.upper, scores)


def floor_of(test: TestResult, score: ScoreInfo) -> float | None:
    """Give the lowest mean score that counts as holding, a side's first point less its margin; none of skill."""
    if panels.is_held_by_skill(test):
        return None
    fit: PerturbationFit = test.fit
    holds, top = fit.sides[0].holds, fit.clean.value
    if fit.neutral is None:
        first = fit.magnitude(holds.side, holds.distances[0])
        top = next((y for x, y in zip(fit.curve.p, fit.curve.score, strict=True) if x == first and y is not None), top)
    floor = top - holds.margin[0]
    return floor if score.lower is None else max(floor, score.lower)


# --- axes ------------------------------------------------------------------------------------------


def _x_axis(ax: Axes, test: TestResult) -> str:
    """Set range and ticks; give what the ticks leave to the axis label."""
    fit: Fit = test.fit
    low, high = span(fit)
    air = canvas.air_beside(len(set(fit.curve.p)) if fit.curve is not None else 10)
    canvas.set_span(ax, low, high, 0.03 if is_log(fit) else air, log=is_log(fit))
    beside = sorted({x for x in points_of(fit, missing=True)["x"] if x > high})
    for place in beside:
        ax.set_xlim(right=place + max(air, 0.05) * (high - low))
        ax.axvline(high + 0.4 * (place - high), color=PALE, lw=0.8, ls="-", zorder=0, label="border")
    places, labels, note = _x_ticks(ax, test, (low, high))
    ax.set_xticks([*places, *beside], [*labels, *("missing" for _ in beside)])
    return note


def _x_ticks(ax: Axes, test: TestResult, span: Span) -> tuple[list[float], list[str], str]:
    """Name the points themselves where they are few and have room, else round numbers."""
    p = magnitudes_of(test.fit)
    if isinstance(test.fit, PropertyFit) and test.fit.ranks is not None:
        return *canvas.rank_ticks(ax, test.fit.ranks, p, test.unit), "by rank"
    if test.unit == words.DAYS:
        return *canvas.date_ticks(*span), ""
    if is_log(test.fit):
        places = canvas.with_room(ax, p, [words.number(x) for x in p])
        return places, [words.number(x) for x in places], ""
    if 2 <= len(p) <= canvas.MOST_NAMED:
        labels, note = canvas.tick_labels(p)
        if max(map(len, labels)) <= 5 and canvas.with_room(ax, p, labels) == p:
            return p, labels, note
    return canvas.nice_ticks(*span)


# --- what is drawn ---------------------------------------------------------------------------------


def _draw_fit(ax: Axes, test: TestResult, score: ScoreInfo) -> None:
    fit: Fit = test.fit
    points = points_of(fit, missing=True)
    _draw_sds(ax, points.dropna(subset="sd"), score)
    draw_points(ax, points)
    for line in lines(fit):
        draw_line(ax, line)
    for polynomial in fit.polynomials:
        draw_line(ax, polynomial, "polynomial", POLYNOMIAL_LINE, POLYNOMIAL_BAND)
    for part in fit.fit_range:
        ax.axvspan(part.line.start, part.line.stop, **RANGE_SHADE, label=f"range-{part.side}")
        draw_line(ax, part.line, "range-line", RANGE_LINE, None)
    if isinstance(fit, PerturbationFit):
        join_means(ax, fit, 1.0)
        if fit.calibration is not None:  # the mean scores that the model itself announces
            magnitudes = list(fit.magnitudes) if fit.neutral is None else [fit.neutral, *fit.magnitudes]
            expected = sorted(zip(magnitudes, fit.calibration.expected[-len(magnitudes) :], strict=True))
            ax.plot(*zip(*expected, strict=True), **EXPECTED, label="expected")
        _draw_floor(ax, fit, floor_of(test, score))


def join_means(ax: Axes, fit: PerturbationFit, width: float) -> None:
    """Join the means of a sweep, which alone is read between its points: there the crossing of the floor lies."""
    points = points_of(fit)
    ax.plot(points["x"], points["mean"], color=SKY, lw=width, ls="-", zorder=2, label="curve")


def draw_points(ax: Axes, points: pd.DataFrame) -> None:
    """Draw means and dark intervals, once the range is set; hollow and dashed where evidence is little."""
    bottom, top = ax.get_ylim()
    thin = _thin(len(points))
    for few, alike in points.groupby("few"):
        label = "few" if few else "mean"
        bar: Style = {"colors": BLUE, "lw": (1.3 if few else 1.9) * thin, "label": f"{label} interval", "zorder": 4}
        bar["linestyles"] = (0, (1.5, 1.2)) if few else "solid"
        ax.vlines(alike["x"], alike["low"].fillna(bottom), alike["high"].fillna(top), **bar)
        dot: Style = {**DOT, "ms": 5.2 * thin, "mfc": "white" if few else BLUE}
        ax.plot(alike["x"], alike["mean"], **dot, zorder=5, label=label)


def _draw_sds(ax: Axes, points: pd.DataFrame, score: ScoreInfo) -> None:
    """Draw light bars for the SD of the examples, within the score's bounds; a single example has none."""
    if len(points):
        style: Style = {"colors": SKY, "alpha": 0.35, "linestyles": "solid", "lw": 3.2 * _thin(len(points))}
        low, high = points["mean"] - points["sd"], points["mean"] + points["sd"]
        ax.vlines(points["x"], low.clip(score.lower), high.clip(upper=score.upper), **style, zorder=1, label="sd")


def _thin(count: int) -> float:
    """Give by how much marks shrink where there are many."""
    return float(min(1.0, (CROWD / max(count, 1)) ** 0.4))


def draw_line(
    ax: Axes, line: Line | Polynomial, name: str = "line", style: Style = LINE, band: Style | None = BAND
) -> None:
    """Draw what was fitted, and its 95 % band, over the range it was fitted on."""
    p = (np.geomspace if line.log_distance else np.linspace)(line.start, line.stop, 101)
    mean, low, high = line.at(p)
    if band is not None:
        ax.fill_between(p, low, high, **band, label=f"{name}-band-{line.side}")
    ax.plot(p, mean, **style, label=f"{name}-{line.side}")


def _draw_floor(ax: Axes, fit: PerturbationFit, floor: float | None) -> None:
    """Draw the clean level, the floor where there is one, and on each side where the curve falls through it."""
    clean = fit.clean.value
    step, notes = (None if floor is None else abs(clean - floor) / 10 or None), []
    for y, name, color, dashes in ((clean, "clean", GREY, DASHED), (floor, "floor", GREEN, DOTTED)):
        if y is None:
            continue
        ax.axhline(y, color=color, lw=1, ls=dashes, zorder=1.5, label=name)
        notes.append((y, f"{name} {words.number(y, step, zeros=True)}", color))
    canvas.margin_notes(ax, notes)
    if len(fit.sides) > 1 and fit.neutral is not None:
        ax.axvline(fit.neutral, color=PALE, lw=0.8, ls="-", zorder=0, label="neutral")
    if floor is not None:
        for side in fit.sides:
            _draw_holds(ax, fit, side.holds, floor)


def _draw_holds(ax: Axes, fit: PerturbationFit, holds: HoldsUntil, floor: float) -> None:
    """Mark the crossing, a stem down to the axis, and the one-sided bound; an arrow where it never falls."""
    crossing, bound = (fit.magnitude(holds.side, distance) for distance in (holds.value, holds.lo95))
    stem: Style = {"color": GREEN, "lw": 0.9, "ls": DOTTED, "label": f"stem-{holds.side}"}
    ax.plot([crossing] * 2, [ax.get_ylim()[0], floor], **stem, zorder=1.5)
    bar: Style = {"color": GREEN, "lw": 2.4, "ls": "-", "solid_capstyle": "butt", "label": f"bound-{holds.side}"}
    ax.plot([bound, crossing], [floor, floor], **bar, zorder=5.5)
    ax.plot([bound], [floor], color=GREEN, marker="|", ms=9, mew=1.8, ls="none", zorder=5.5, label="cap")
    marker = "D" if not holds.censored else "<" if holds.side == "below" else ">"
    shape: Style = {**DIAMOND, "marker": marker, "ms": 9 if holds.censored else 7, "label": f"holds-{holds.side}"}
    ax.plot([crossing], [floor], **shape, zorder=6, clip_on=False)


def mean_handle(*, few: bool = False) -> Any:
    """Give a mean's sign; with its interval, or hollow where evidence is little."""
    dot = handle(**DOT, ms=5.2, mfc="white" if few else BLUE)
    return dot if few else (canvas.bar_handle(BLUE, 1.9), dot)


def _keys(fit: Fit) -> list[tuple[Any, str]]:
    """Give the legend's signs, stand-ins for what the axes hold, and their texts."""
    bound, diamond = handle(color=GREEN, lw=2.4, ls="-"), handle(marker="D", ms=6, **DIAMOND)
    curved = (patch(**POLYNOMIAL_BAND), handle(**POLYNOMIAL_LINE))
    orders = sorted({polynomial.order for polynomial in fit.polynomials})
    keys = [
        (mean_handle(), "mean, 95 % interval", fit.curve is not None),
        (canvas.bar_handle(SKY, 3.2, alpha=0.45), "± SD", fit.curve is not None),
        (mean_handle(few=True), "little evidence", points_of(fit, missing=True)["few"].any()),
        ((patch(**BAND), handle(**LINE)), "line, 95 % band", True),
        ((bound, diamond), "holds until, bound", isinstance(fit, PerturbationFit) and "no_skill" not in fit.flags),
        (handle(**EXPECTED), "what the model expects", getattr(fit, "calibration", None)),
        ((patch(**RANGE_SHADE), handle(**RANGE_LINE)), "fit over the shaded range", fit.fit_range),
        *((curved, f"polynomial of order {order}", True) for order in orders),
    ]
    return [(sign, text) for sign, text, is_drawn in keys if is_drawn]


# --- the strip: a property's counts, or how many examples hold by themselves -------------------------


def _is_worth_a_strip(fit: Fit) -> bool:
    """Tell whether bins are of very unequal size, or some example falls by itself."""
    if isinstance(fit, PerturbationFit):
        return any(sum(side.first_failed[:-1]) for side in fit.sides)
    n = [count for count in fit.curve.n if count] if fit.curve is not None else []
    return bool(n) and min(n) < 0.5 * max(n)


def _draw_strip(ax: Axes, fit: Fit, strip: Axes) -> None:
    """Draw on axes below others, whose x axis they take over."""
    most, name = 1, "100 % hold"
    if isinstance(fit, PerturbationFit):
        _draw_holding(strip, fit)
    else:
        points = points_of(fit, missing=True)
        most = int(points["n"].max())
        name = f"n {most:,}" if most < 1e5 else f"n {most:.1e}"
        strip.vlines(points["x"], 0, points["n"], colors=GREY, lw=4, alpha=0.55, linestyles="solid", label="counts")
    strip.set_xscale(ax.get_xscale())
    strip.sharex(ax)
    strip.set_ylim(0, 1.08 * most)
    strip.set_yticks([most], [name])
    strip.tick_params(axis="y", labelsize=canvas.KEY - 1, labelcolor=GREY)
    strip.set_xlabel(ax.get_xlabel(), fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False, bottom=False)
    ax.spines["bottom"].set_visible(False)


def _draw_holding(strip: Axes, fit: PerturbationFit) -> None:
    """Draw the share of the examples whose own score has not fallen below its floor, over the sweep."""
    for side in fit.sides:
        shares = sorted((fit.magnitude(side.side, distance), share) for distance, share in side.own_holds())
        x, share = np.array(shares).T
        strip.fill_between(x, 0, share, color=GREEN, alpha=0.3, lw=0, label=f"own-{side.side}")
        strip.plot(x, share, color=GREEN, lw=0.9, ls="-", label=f"own-line-{side.side}")
