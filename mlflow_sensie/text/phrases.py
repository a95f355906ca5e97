"""The subtitles of curves: a test's key numbers in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_sensie.inference import PerturbationFit, PropertyFit, RangeFit
from mlflow_sensie.text import words

Fit = PropertyFit | PerturbationFit

if TYPE_CHECKING:
    from mlflow_sensie.result import TestResult


def property_phrases(test: TestResult) -> list[str]:
    """Give the key numbers of a property test in words."""
    fit: PropertyFit = test.fit
    phrases = [
        f"{fit.decision}: {words.with_interval('effect', fit.effect, say=True)}",
        "from the lowest to the highest rank"
        if fit.ranks
        else f"from {words.quantity(words.plain(test.unit), *fit.span)}",
    ]
    if fit.unexpected is not None:
        phrases.append(words.with_interval("unexpected", fit.unexpected))
    if fit.spread is not None:
        phrases.append(words.with_interval("spread between bins", fit.spread.spread))
    phrases += range_phrases(test)
    if fit.curve is None:
        phrases.append("no bins were asked for: the line alone")
    return [*phrases, *_count_phrases(fit)]


def perturbation_phrases(test: TestResult) -> list[str]:
    """Give the key numbers of a perturbation test in words."""
    fit: PerturbationFit = test.fit
    worse = next(side for side in fit.sides if side.side == fit.worse)
    start, stop = worse.line.start, worse.line.stop
    unit = words.plain(test.unit)
    ends = (stop, start) if fit.worse == "below" else (start, stop)
    return [
        f"{fit.decision}: {words.with_interval('effect', fit.effect, say=True)}",
        f"from {words.quantity(unit, *ends)}{', the worse side' if len(fit.sides) > 1 else ''}",
        words.with_interval("mean drop", fit.mean_drop),
        holds_phrase(fit, unit),
        "" if fit.unexpected is None else words.with_interval("unexpected", fit.unexpected),
        *range_phrases(test),
        *_count_phrases(fit),
    ]


def range_phrases(test: TestResult) -> list[str]:
    """Say what each range fit found: its range, its effect, and who chose it."""
    return [range_phrase(test, part) for part in test.fit.fit_range]


def range_phrase(test: TestResult, part: RangeFit) -> str:
    """Say over what range a line was fitted and what it found."""
    over = words.quantity(words.plain(test.unit), part.start, part.stop)
    chosen = ", chosen from the curve" if part.auto else ""
    return f"shaded, {over}{chosen}: {words.with_interval('effect', part.effect)}"


def holds_phrase(fit: PerturbationFit, unit: str) -> str:
    """Say up to where the mean score stays above its floor, as a magnitude, and how sure that is."""
    step = (max(side.line.stop for side in fit.sides) - min(side.line.start for side in fit.sides)) / 300
    ends, bounds, sure = [], [], True
    for side in fit.sides:
        at, bound = (fit.magnitude(side.side, d) for d in (side.holds.value, side.holds.lo95))
        sign = "" if not side.holds.censored else "≤ " if side.side == "below" else "≥ "
        ends.append(sign + words.number(at, step))
        bounds.append(words.number(bound, step))
        sure = sure and at == bound
    said = f"holds {'until' if len(ends) == 1 else 'from'} {words.with_unit(' to '.join(ends), unit)}"
    return said if sure else f"{said}, 95 % bound{'s' if len(ends) > 1 else ''} {' and '.join(bounds)}"


def _count_phrases(fit: Fit) -> list[str]:
    dropped = f", {fit.n_dropped:,} without a score" if fit.n_dropped else ""
    missing = f", {fit.n_missing:,} missing" if isinstance(fit, PropertyFit) and fit.n_missing else ""
    carried = {"few_informative": "interval guarded", "unguarded": "interval may be too narrow"}
    few = "".join(f"few examples carry this: {text}" for flag, text in carried.items() if flag in fit.flags)
    return [f"n = {fit.n:,}{missing}{dropped}", few]
