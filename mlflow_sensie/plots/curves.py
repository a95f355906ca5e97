"""The figure of a property or perturbation test: its curve, the line through it, and where it holds until."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import Curve, Line, PerturbationFit, PropertyFit, RankAxis
from mlflow_sensie.plots import canvas, extra_lines, fonts, strips
from mlflow_sensie.plots import points as marks
from mlflow_sensie.plots import ticks as tick
from mlflow_sensie.plots.canvas import BLUE, GREEN, PALE, SKY, VERMILION
from mlflow_sensie.plots.points import floor_of
from mlflow_sensie.text import words
from mlflow_sensie.text.phrases import perturbation_phrases, property_phrases

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

MISSING_AT = 0.13
MOST_NAMED, CURVE_LONG = 12, 10
KEYS = ("mean, 95 % interval", "± SD", "little evidence", "line, 95 % band", "holds until, bound")
Fit = PropertyFit | PerturbationFit
Span = tuple[float, float]


def draw_curve(result: Result, test: TestResult) -> Figure:
    """Draw means with intervals and SDs, and the fitted line; of a perturbation also where it holds until."""
    fit: Fit = test.fit
    phrases = perturbation_phrases(test) if isinstance(fit, PerturbationFit) else property_phrases(test)
    figure, top = canvas.sheet(fonts.name_of(test), phrases)
    texts, strip = [*_key_texts(fit), *extra_lines.texts(fit)], strips.worth_a_strip(fit)
    right = canvas.WIDTH - (canvas.RIGHT if isinstance(fit, PerturbationFit) else 0.2)
    bottom = canvas.legend_height(texts) + 0.5 + (strips.HEIGHT if strip else 0)
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, right, top)
    note = _x_axis(ax, test, span(fit))
    canvas.set_score_axis(ax, *score_range(fit, result.score))
    _draw_fit(ax, fit, result.score)
    name = fonts.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
    canvas.name_axes(ax, name, words.score_label(result.score))
    if strip:
        _draw_strip(ax, fit)
    canvas.legend(figure, list(zip([*_keys(_key_texts(fit)), *extra_lines.signs(fit)], texts, strict=True)))
    return canvas.finish(figure)


# --- where things are ------------------------------------------------------------------------------


def lines(fit: Fit) -> tuple[Line, ...]:
    return tuple(side.line for side in fit.sides) if isinstance(fit, PerturbationFit) else (fit.line,)


def _missing(fit: Fit) -> Curve | None:
    """Give the point of the missing values, which stands beside a curve."""
    return fit.missing if isinstance(fit, PropertyFit) and fit.curve is not None else None


def _placed(fit: Fit) -> list[tuple[Curve, list[float | None]]]:
    """Give the curves to draw, each with where its points stand."""
    missing, place = _missing(fit), _missing_place(span(fit))
    parts = [(fit.curve, places(fit))] if fit.curve is not None else []
    return [*parts, (missing, [place] * len(missing.n))] if missing is not None else parts


def places(fit: Fit) -> list[float | None]:
    """Give where the points of the curve stand: at p, or at its rank."""
    if fit.curve is None or not isinstance(fit, PropertyFit) or fit.ranks is None:
        return list(fit.curve.p) if fit.curve is not None else []
    return [None if p is None else float(fit.ranks.share(p)) for p in fit.curve.p]


def span(fit: Fit) -> Span:
    """Give the range of p that has anything to show."""
    ends = [end for line in lines(fit) for end in (line.start, line.stop)]
    points = marks.points_of(fit.curve, places(fit)) if fit.curve is not None else []
    ends += [point.x for point in points]
    return min(ends), max(ends)


def _missing_place(span: Span) -> float:
    return span[1] + MISSING_AT * (span[1] - span[0])


# --- axes ------------------------------------------------------------------------------------------


def _x_axis(ax: Axes, test: TestResult, span: Span) -> str:
    """Set range and ticks; give what the ticks leave to the axis label."""
    fit: Fit = test.fit
    low, high = span
    if _log(fit):
        canvas.set_log(ax)
        ax.set_xlim(low * (low / high) ** 0.03, high * (high / low) ** 0.03)
        return _set_x_ticks(ax, test, span, [])
    # Few values stand off the edges.
    count = len(set(fit.curve.p)) if fit.curve is not None else CURVE_LONG
    air = max(0.03, 0.2 / max(count - 1, 1)) * (high - low)
    if _missing(fit) is None:
        ax.set_xlim(low - air, high + air)
        return _set_x_ticks(ax, test, span, [])
    place = _missing_place(span)
    ax.set_xlim(low - air, place + max(air, 0.05 * (high - low)))
    border: dict[str, Any] = {"color": PALE, "linewidth": 0.8, "linestyle": "-", "zorder": 0}
    ax.axvline(high + 0.4 * (place - high), **border, label="border")
    return _set_x_ticks(ax, test, span, [(place, "missing")])


def _log(fit: Fit) -> bool:
    return isinstance(fit, PerturbationFit) and fit.log_distance


def _set_x_ticks(ax: Axes, test: TestResult, span: Span, more: Sequence[tuple[float, str]]) -> str:
    ticks, labels, note = _x_ticks(ax, test, span)
    canvas.set_ticks(ax.xaxis, [*ticks, *(p for p, _ in more)], [*labels, *(text for _, text in more)])
    return note


def _x_ticks(ax: Axes, test: TestResult, span: Span) -> tuple[list[float], list[str], str]:
    """Name the points themselves where they are few and have room, else round numbers."""
    points = _points_of(test)
    if isinstance(test.fit, PropertyFit) and test.fit.ranks is not None:
        return rank_ticks(ax, test)
    if test.unit == words.DAYS:
        return *tick.date_ticks(*span), ""
    if _log(test.fit):
        kept = canvas.roomy(ax, points, [words.number(p) for p in points])
        return kept, [words.number(p) for p in kept], ""
    if 2 <= len(points) <= MOST_NAMED:
        labels, note = tick.tick_labels(points)
        if max(map(len, labels)) <= 5 and canvas.roomy(ax, points, labels) == points:
            return points, labels, note
    ticks = tick.nice_ticks(*span)
    return ticks, *tick.tick_labels(ticks)


def _points_of(test: TestResult) -> list[float]:
    curve = test.fit.curve
    return sorted({p for p in curve.p if p is not None}) if curve is not None else []


def rank_ticks(ax: Axes, test: TestResult) -> tuple[list[float], list[str], str]:
    """Stand values of the property at their ranks: the points where they are few, else every tenth of the way."""
    ranks: RankAxis = test.fit.ranks
    points = _points_of(test)
    values = np.array(points) if len(points) <= MOST_NAMED else ranks.value(np.linspace(0, 1, 11))
    write = words.date if test.unit == words.DAYS else words.number
    named = {float(ranks.share(p)): write(float(p)) for p in values}
    # The label of an end stands half outside the axes: a long one would leave the paper.
    labels = {share: text for share, text in named.items() if len(text) <= 6 or 0.05 < share < 0.95}
    kept = canvas.roomy(ax, list(labels), list(labels.values()))
    return kept, [labels[share] for share in kept], "by rank"


def score_range(fit: Fit, score: ScoreInfo) -> Span:
    seen: list[float] = []
    for curve, at in _placed(fit):
        bars = marks.sds_of(curve, at, score)
        seen += [y for _, low, high in bars for y in (low, high)]
        # The interval of a single example reaches from bound to bound: it must not decide the range.
        points = [p for p in marks.points_of(curve, at) if p.x in {x for x, _, _ in bars}]
        seen += [y for p in points for y in (p.mean, p.low, p.high) if y is not None]
    if isinstance(fit, PerturbationFit):
        seen += [fit.clean.value, floor_of(fit, score), *(fit.calibration.expected if fit.calibration else ())]
    for line in lines(fit):
        mean, low, high = line.at(np.array([line.start, line.stop]))
        seen += [*mean] if fit.curve is not None else [*low, *high]
    if score.lower is not None or score.upper is not None:
        seen = [float(y) for y in np.clip(seen, score.lower, score.upper)]
    return tick.window(score.lower, score.upper, seen)


# --- what is drawn ---------------------------------------------------------------------------------


def _draw_fit(ax: Axes, fit: Fit, score: ScoreInfo) -> None:
    parts = _placed(fit)
    if isinstance(fit, PerturbationFit):
        # Only a sweep is read between its points: there the crossing of the floor lies.
        known = marks.points_of(fit.curve, fit.curve.p)
        joined: dict[str, Any] = {"color": SKY, "linewidth": 1.0, "linestyle": "-", "zorder": 2}
        ax.plot([p.x for p in known], [p.mean for p in known], **joined, label="curve")
        extra_lines.draw_expected(ax, fit)
    marks.draw_sds(ax, [bar for curve, at in parts for bar in marks.sds_of(curve, at, score)])
    marks.draw_points(ax, [point for curve, at in parts for point in marks.points_of(curve, at)])
    for line in lines(fit):
        marks.draw_line(ax, line)
    for found in fit.polynomials:
        extra_lines.draw_polynomial(ax, found)
    for part in fit.fit_range:
        extra_lines.draw_range(ax, part)
    if isinstance(fit, PerturbationFit):
        marks.draw_floor(ax, fit, floor_of(fit, score))


def _draw_strip(ax: Axes, fit: Fit) -> None:
    if isinstance(fit, PerturbationFit):
        strips.draw_own(ax, fit)
    else:
        placed = [(p, n) for curve, at in _placed(fit) for p, n in zip(at, curve.n, strict=True)]
        strips.draw_counts(ax, [(p, n) for p, n in placed if p is not None])


# --- the legend ------------------------------------------------------------------------------------


def _key_texts(fit: Fit) -> list[str]:
    few = any(any(curve.hatched) for curve, _ in _placed(fit))
    curve = fit.curve is not None
    shown = (curve, curve, few, True, isinstance(fit, PerturbationFit))
    return [text for text, there in zip(KEYS, shown, strict=True) if there]


def _keys(texts: Sequence[str]) -> list[Any]:
    """Draw the legend's signs: stand-ins for what the axes hold."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dot: dict[str, Any] = {**marks.DOT, "markersize": 5.2}
    tall: dict[str, Any] = {"marker": "|", "linestyle": "none", "markersize": 11}
    bar = Line2D([], [], color=BLUE, markeredgewidth=1.9, **tall)
    sd = Line2D([], [], color=SKY, alpha=0.45, markeredgewidth=3.2, **tall)
    line = Line2D([], [], color=VERMILION, linewidth=1.6, linestyle="-")
    bound = Line2D([], [], color=GREEN, linewidth=2.4, linestyle="-")
    full, hollow = (Line2D([], [], markerfacecolor=face, **dot) for face in (BLUE, "white"))
    diamond = Line2D([], [], marker="D", markersize=6, **marks.DIAMOND)
    signs = [(bar, full), sd, hollow, (Patch(**marks.BAND), line), (bound, diamond)]
    return [dict(zip(KEYS, signs, strict=True))[text] for text in texts]
