"""The figure of a property or perturbation test: its curve, the line through it, and where it holds until."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import Curve, HoldsUntil, Line, PerturbationFit, PropertyFit
from mlflow_sensie.plots import canvas, words
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, SKY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

    from matplotlib.figure import Figure

STRIP = 0.36
MISSING_AT = 0.13
Fit = PropertyFit | PerturbationFit


def draw_curve(result: Result, test: TestResult) -> Figure:
    """Draw mean scores with their intervals and SDs, the fitted line, and for perturbations the floor and where it is crossed."""
    fit: Fit = test.fit
    perturbed = isinstance(fit, PerturbationFit)
    phrases = perturbation_phrases(test) if isinstance(fit, PerturbationFit) else property_phrases(test)
    figure, top = canvas.sheet(words.name_of(test), phrases)
    strip = not perturbed and _uneven(fit.curve)
    texts = _key_texts(fit)
    bottom = canvas.legend_height(texts) + 0.5 + (STRIP if strip else 0)
    ax = canvas.add_axes(figure, canvas.LEFT, bottom, canvas.WIDTH - (canvas.RIGHT if perturbed else 0.2), top)
    span = _span(fit)
    missing = getattr(fit, "missing", None)
    note = _x_axis(ax, test, span, missing is not None)
    _y_axis(ax, result.score, fit)
    if fit.curve is not None:
        _points(ax, fit.curve, result.score, joined=perturbed)
    if missing is not None:
        _missing(ax, missing, result.score, span)
    for line in _lines(fit):
        _fitted(ax, line)
    if isinstance(fit, PerturbationFit):
        _floor(ax, fit)
    x_name = words.axis_name(test, canvas.size_of(ax)[0], canvas.LABEL, note)
    canvas.name_axes(ax, x_name, words.score_label(result.score))
    if strip and fit.curve is not None:
        _counts(ax, fit.curve, missing, span)
    canvas.legend(figure, list(zip(_keys(texts), texts, strict=True)))
    return canvas.finish(figure)


# --- what is said ------------------------------------------------------------------------------------------


def property_phrases(test: TestResult) -> list[str]:
    """Give the key numbers of a property test in words."""
    fit: PropertyFit = test.fit
    phrases = [
        f"{fit.decision}: {words.with_interval('effect', fit.effect, say=True)}",
        f"from {words.quantity(words.legible(test.unit), *fit.span)}",
    ]
    if fit.unexpected is not None:
        phrases.append(words.with_interval("unexpected", fit.unexpected))
    if fit.spread is not None:
        phrases.append(words.with_interval("spread between bins", fit.spread.spread))
    if fit.curve is None:
        phrases.append("no bins were asked for: the line alone")
    return [*phrases, *_count_phrases(fit)]


def perturbation_phrases(test: TestResult) -> list[str]:
    """Give the key numbers of a perturbation test in words."""
    fit: PerturbationFit = test.fit
    worse = next(side for side in fit.sides if side.side == fit.worse)
    start, stop = worse.line.start, worse.line.stop
    ends = (stop, start) if fit.worse == "below" else (start, stop)
    return [
        f"{fit.decision}: {words.with_interval('effect', fit.effect, say=True)}",
        f"from {words.quantity(words.legible(test.unit), *ends)}{' (the worse side)' if len(fit.sides) > 1 else ''}",
        words.with_interval("mean drop", fit.mean_drop),
        holds_phrase(fit, words.legible(test.unit)),
        *_count_phrases(fit),
    ]


def holds_phrase(fit: PerturbationFit, unit: str) -> str:
    """Say up to where the mean score stays above its floor, in the magnitude's own unit, and how sure that is."""
    low, high = _span(fit)
    ends, bounds, sure = [], [], True
    for side in fit.sides:
        at, bound = (magnitude(fit, side.side, d) for d in (side.holds.value, side.holds.lo95))
        sign = "" if not side.holds.censored else "≤ " if side.side == "below" else "≥ "
        ends.append(sign + words.number(at, (high - low) / 300))
        bounds.append(words.number(bound, (high - low) / 300))
        sure = sure and at == bound
    said = f"holds {'until' if len(ends) == 1 else 'from'} {words.with_unit(' to '.join(ends), unit)}"
    return said if sure else f"{said} (95 % bound{'s' if len(ends) > 1 else ''} {' and '.join(bounds)})"


def _count_phrases(fit: Fit) -> list[str]:
    dropped = f", {fit.n_dropped:,} without a score" if fit.n_dropped else ""
    missing = f", {fit.n_missing:,} missing" if isinstance(fit, PropertyFit) and fit.n_missing else ""
    few = "few examples carry this: interval guarded" if "few_informative" in fit.flags else ""
    return [f"n = {fit.n:,}{missing}{dropped}", few]


# --- where things are --------------------------------------------------------------------------------------


def magnitude(fit: PerturbationFit, side: str, distance: float) -> float:
    """Turn a distance on one side back into a magnitude."""
    if fit.neutral is None:
        return distance
    signed = -distance if side == "below" else distance
    return fit.neutral * math.exp(signed) if fit.log_distance else fit.neutral + signed


def floor_of(fit: PerturbationFit) -> float:
    """Give the lowest mean score that counts as holding: at a side's first point, the score less its margin."""
    holds = fit.sides[0].holds
    first = magnitude(fit, holds.side, holds.distances[0])
    scores = dict(zip(fit.curve.p, fit.curve.score, strict=True))
    score = fit.clean.value if fit.neutral is not None else scores.get(first)
    return (fit.clean.value if score is None else score) - holds.margin[0]


def _lines(fit: Fit) -> tuple[Line, ...]:
    return tuple(side.line for side in fit.sides) if isinstance(fit, PerturbationFit) else (fit.line,)


def _span(fit: Fit) -> tuple[float, float]:
    """Give the range of p that has anything to show."""
    ends = [end for line in _lines(fit) for end in (line.start, line.stop)]
    if fit.curve is not None:
        ends += [p for p, score in zip(fit.curve.p, fit.curve.score, strict=True) if p is not None and score is not None]
    return min(ends), max(ends)


def _missing_place(span: tuple[float, float]) -> float:
    return span[1] + MISSING_AT * (span[1] - span[0])


def _log(fit: Fit) -> bool:
    return isinstance(fit, PerturbationFit) and fit.log_distance


# --- axes --------------------------------------------------------------------------------------------------


def _x_axis(ax: Axes, test: TestResult, span: tuple[float, float], missing: bool) -> str:
    """Set range and ticks; give what the ticks leave to the axis label."""
    fit: Fit = test.fit
    low, high = span
    if _log(fit):
        ax.set_xscale("log")
        air = (high / low) ** 0.03
        ax.set_xlim(low / air, high * air)
    else:
        values = len(set(fit.curve.p)) if fit.curve is not None else 9
        air = max(0.03, 0.2 / max(values - 1, 1)) * (high - low)
        ax.set_xlim(low - air, _missing_place(span) + max(air, 0.05 * (high - low)) if missing else high + air)
    ticks, labels, note = _x_ticks(ax, test, span)
    if missing:
        ticks, labels = [*ticks, _missing_place(span)], [*labels, "missing"]
    canvas.set_ticks(ax.xaxis, ticks, labels)
    if missing:
        ax.axvline(high + 0.4 * (_missing_place(span) - high), color=PALE, linewidth=0.8, zorder=0)
    from matplotlib.ticker import NullLocator

    ax.xaxis.set_minor_locator(NullLocator())
    return note


def _x_ticks(ax: Axes, test: TestResult, span: tuple[float, float]) -> tuple[list[float], list[str], str]:
    curve = test.fit.curve
    points = sorted({p for p in curve.p if p is not None}) if curve is not None else []
    if test.unit == words.DAYS:
        ticks = canvas.date_ticks(*span)
        return ticks, [_date_label(ticks, tick) for tick in ticks], ""
    if _log(test.fit):
        kept = _roomy(ax, points, [words.number(p) for p in points])
        return kept, [words.number(p) for p in kept], ""
    if 2 <= len(points) <= 12:
        labels, note = canvas.tick_labels(points)
        if max(map(len, labels)) <= 5 and _roomy(ax, points, labels) == points:
            return points, labels, note
    ticks = canvas.nice_ticks(*span)
    return ticks, *canvas.tick_labels(ticks)


def _date_label(ticks: Sequence[float], tick: float) -> str:
    texts = [words.date(t) for t in ticks]
    short = 4 if all(t.endswith("-01-01") for t in texts) else 7 if all(t.endswith("-01") for t in texts) else 10
    return words.date(tick)[:short]


def _roomy(ax: Axes, points: Sequence[float], labels: Sequence[str]) -> list[float]:
    """Leave out the points whose labels would touch, from the largest down."""
    inches = canvas.size_of(ax)[0]
    low, high = ax.get_xlim()
    scale = np.log if ax.get_xscale() == "log" else np.asarray
    places = (scale(np.asarray(points)) - scale(low)) / (scale(high) - scale(low)) * inches
    kept: list[float] = []
    edge = math.inf
    for p, place, label in sorted(zip(points, places, labels, strict=True), reverse=True):
        half = words.width(label, canvas.TICK) / 2
        if place + half + 0.06 <= edge:
            kept.append(p)
            edge = place - half
    return kept[::-1]


def _y_axis(ax: Axes, score: ScoreInfo, fit: Fit) -> None:
    seen = [y for curve in (fit.curve, getattr(fit, "missing", None)) if curve is not None for y in _extremes(curve, score)]
    if isinstance(fit, PerturbationFit):
        seen += [fit.clean.value, floor_of(fit)]
    for line in _lines(fit):
        mean, low, high = line.at(np.array([line.start, line.stop]))
        seen += list(mean) if fit.curve is not None else [*low, *high]
    if score.lower is not None or score.upper is not None:
        seen = list(np.clip(seen, score.lower, score.upper))
    ax.set_ylim(*canvas.window(score.lower, score.upper, seen))
    ticks = canvas.nice_ticks(*ax.get_ylim(), most=6)
    labels, note = canvas.tick_labels(ticks)
    canvas.set_ticks(ax.yaxis, ticks, labels)
    if note:
        ax.text(0, 1.01, note, transform=ax.transAxes, fontsize=canvas.KEY, color=INK, va="bottom", ha="left")


def _extremes(curve: Curve, score: ScoreInfo) -> Iterable[float]:
    for mean, sd, low, high in zip(curve.score, curve.sd, curve.lo95, curve.hi95, strict=True):
        if mean is not None:
            yield from (mean - (sd or 0), mean + (sd or 0))
            # An interval that reaches a bound because a single example tells nothing must not decide the range.
            yield from (y for y in (low, high) if y is not None and sd is not None)


# --- marks -------------------------------------------------------------------------------------------------


def _points(ax: Axes, curve: Curve, score: ScoreInfo, *, joined: bool) -> None:
    """Draw means, dark 95 % intervals and light SDs; hollow and dashed where few examples stand behind them."""
    if joined:
        known = [(p, y) for p, y in zip(curve.p, curve.score, strict=True) if y is not None and p is not None]
        ax.plot(*zip(*known, strict=True), color=SKY, linewidth=1.0, zorder=2, gid="curve")
    for p, y, sd, low, high, few in zip(
        curve.p, curve.score, curve.sd, curve.lo95, curve.hi95, curve.hatched, strict=True
    ):
        if p is not None and y is not None:
            _point(ax, p, y, sd, (low, high), score, few=few)


def _point(
    ax: Axes, p: float, y: float, sd: float | None, interval: tuple[float | None, float | None], score: ScoreInfo, *, few: bool
) -> None:
    bottom, top = ax.get_ylim()
    if sd is not None:
        low = y - sd if score.lower is None else max(y - sd, score.lower)
        high = y + sd if score.upper is None else min(y + sd, score.upper)
        ax.plot([p, p], [low, high], color=SKY, alpha=0.35, linewidth=3.2, solid_capstyle="butt", zorder=1, gid="sd")
    # Where an interval has no end, it goes on to the edge.
    low, high = (bottom if interval[0] is None else interval[0]), (top if interval[1] is None else interval[1])
    style = {"linestyle": (0, (1.5, 1.2)), "linewidth": 1.3} if few else {"linestyle": "-", "linewidth": 1.9}
    ax.plot([p, p], [low, high], color=BLUE, zorder=4, gid="interval", **style)  # type: ignore[arg-type]
    _dot(ax, p, y, few=few)


def _dot(ax: Axes, p: float, y: float, *, few: bool) -> None:
    face = "white" if few else BLUE
    style: dict[str, Any] = {"marker": "o", "markersize": 4.8, "markeredgewidth": 1.2, "linestyle": "none"}
    ax.plot([p], [y], markerfacecolor=face, markeredgecolor=BLUE, zorder=5, gid="few" if few else "mean", **style)


def _missing(ax: Axes, curve: Curve, score: ScoreInfo, span: tuple[float, float]) -> None:
    for y, sd, low, high, few in zip(curve.score, curve.sd, curve.lo95, curve.hi95, curve.hatched, strict=True):
        if y is not None:
            _point(ax, _missing_place(span), y, sd, (low, high), score, few=few)


def _fitted(ax: Axes, line: Line) -> None:
    grid = np.geomspace if line.log_distance else np.linspace
    p = grid(line.start, line.stop, 101)
    mean, low, high = line.at(p)
    ax.fill_between(p, low, high, color=VERMILION, alpha=0.16, linewidth=0, zorder=2.5, gid=f"band-{line.side}")
    ax.plot(p, mean, color=VERMILION, linewidth=1.6, zorder=3, gid=f"line-{line.side}")


def _floor(ax: Axes, fit: PerturbationFit) -> None:
    """Draw the clean level, the floor, and on each side where the curve falls through it with its one-sided bound."""
    floor = floor_of(fit)
    ax.axhline(fit.clean.value, color=GREY, linewidth=1, linestyle=(0, (5, 3)), zorder=1.5, gid="clean")
    ax.axhline(floor, color=GREEN, linewidth=1, linestyle=(0, (1.2, 1.8)), zorder=1.5, gid="floor")
    step = abs(fit.clean.value - floor) / 10 or None
    notes = [(fit.clean.value, f"clean {words.number(fit.clean.value, step)}", GREY)]
    canvas.margin_notes(ax, [*notes, (floor, f"floor {words.number(floor, step)}", GREEN)])
    if len(fit.sides) > 1 and fit.neutral is not None:
        ax.axvline(fit.neutral, color=PALE, linewidth=0.8, zorder=0, gid="neutral")
    for side in fit.sides:
        _holds(ax, fit, side.holds, floor)


def _holds(ax: Axes, fit: PerturbationFit, holds: HoldsUntil, floor: float) -> None:
    at, bound = (magnitude(fit, holds.side, distance) for distance in (holds.value, holds.lo95))
    marker = "D" if not holds.censored else "<" if holds.side == "below" else ">"
    ax.plot([at, at], [ax.get_ylim()[0], floor], color=GREEN, linewidth=0.9, linestyle=(0, (1.2, 1.8)), zorder=1.5)
    ax.plot([bound, at], [floor, floor], color=GREEN, linewidth=2.4, solid_capstyle="butt", zorder=5.5, gid=f"bound-{holds.side}")
    ax.plot([bound], [floor], color=GREEN, marker="|", markersize=9, markeredgewidth=1.8, linestyle="none", zorder=5.5)
    style: dict[str, Any] = {"markersize": 9 if holds.censored else 7, "markeredgecolor": "white", "markeredgewidth": 0.9, "linestyle": "none"}
    ax.plot([at], [floor], marker=marker, color=GREEN, zorder=6, clip_on=False, gid=f"holds-{holds.side}", **style)


# --- counts and legend -------------------------------------------------------------------------------------


def _uneven(curve: Curve | None) -> bool:
    n = [count for count in curve.n if count] if curve is not None else []
    return bool(n) and min(n) < 0.8 * max(n)


def _counts(ax: Axes, curve: Curve, missing: Curve | None, span: tuple[float, float]) -> None:
    """Put a strip of the bins' counts between the curve and its axis."""
    figure = ax.get_figure()
    assert figure is not None
    box, height = ax.get_position(), canvas.HEIGHT
    left, right, below = box.x0 * canvas.WIDTH, box.x1 * canvas.WIDTH, box.y0 * height
    strip = canvas.add_axes(figure, left, below - STRIP, right, below - 0.06)  # type: ignore[arg-type]
    at = [(p, n) for p, n in zip(curve.p, curve.n, strict=True) if p is not None]
    at += [(_missing_place(span), sum(missing.n))] if missing is not None else []
    most = max(n for _, n in at)
    strip.vlines([p for p, _ in at], 0, [n for _, n in at], color=GREY, linewidth=4, alpha=0.55).set_gid("counts")
    strip.set(xlim=ax.get_xlim(), ylim=(0, 1.08 * most))
    ticks = list(ax.get_xticks())
    canvas.set_ticks(strip.xaxis, ticks, [label.get_text() for label in ax.get_xticklabels()])
    canvas.set_ticks(strip.yaxis, [most], [f"n {most:,}" if most < 1e5 else f"n {most:.1e}"])
    strip.tick_params(axis="y", labelsize=canvas.KEY - 1, labelcolor=GREY)
    strip.set_xlabel(ax.get_xlabel(), fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False, bottom=False)
    ax.spines["bottom"].set_visible(False)


KEYS = ("mean, 95 % interval", "± SD", "little evidence", "line, 95 % band", "holds until, bound")


def _key_texts(fit: Fit) -> list[str]:
    few = any(few for c in (fit.curve, getattr(fit, "missing", None)) if c is not None for few in c.hatched)
    shown = (fit.curve is not None, fit.curve is not None, few, True, isinstance(fit, PerturbationFit))
    return [text for text, there in zip(KEYS, shown, strict=True) if there]


def _keys(texts: Sequence[str]) -> list[Any]:
    """Draw the legend's signs: stand-ins for what the axes hold."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dot: dict[str, Any] = {"marker": "o", "markersize": 4.8, "linestyle": "none", "markeredgecolor": BLUE, "markeredgewidth": 1.2}
    tall: dict[str, Any] = {"marker": "|", "linestyle": "none", "markersize": 11}
    signs = {
        KEYS[0]: (Line2D([], [], color=BLUE, markeredgewidth=1.9, **tall), Line2D([], [], markerfacecolor=BLUE, **dot)),
        KEYS[1]: Line2D([], [], color=SKY, alpha=0.45, markeredgewidth=3.2, **tall),
        KEYS[2]: Line2D([], [], markerfacecolor="white", **dot),
        KEYS[3]: (Patch(color=VERMILION, alpha=0.16, linewidth=0), Line2D([], [], color=VERMILION, linewidth=1.6)),
        KEYS[4]: (
            Line2D([], [], color=GREEN, linewidth=2.4),
            Line2D([], [], color=GREEN, marker="D", markersize=6, markeredgecolor="white", linestyle="none"),
        ),
    }
    return [signs[text] for text in texts]
