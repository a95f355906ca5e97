"""Numbers, intervals, quantities with units and scores, as figures and pages write them."""

from __future__ import annotations

import math
import unicodedata

import numpy as np

from mlflow_sensie.inference import Interval
from mlflow_sensie.recipe.rules import metric_of
from mlflow_sensie.scores.kinds import CUSTOM, KINDS
from mlflow_sensie.scores.metrics import METRICS

DAYS = "days since 1970-01-01"
ROUNDING = 1e-12  # what sums of numbers about 1 leave of 0
BEFORE = ("factor", "exponent", "opacity", "rate")


def number(x: float, step: float | None = None, *, zeros: bool = False) -> str:
    """Write a number with a true minus sign, so that ``step`` can be told, by default three digits."""
    x = 0.0 if abs(x) < ROUNDING else x
    step = abs(x) / 100 if step is None else step
    if not math.isfinite(x) or not 0 < step < math.inf:
        return "0" if x == 0 else f"{x:.4g}".replace("-", "−")
    if x == 0 and not zeros:
        return "0"
    if abs(x) >= 1e15 or max(abs(x), step) < 1e-4:
        return f"{x:.3g}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{round(x, decimals) + 0.0:.{decimals}f}"
    text = text if zeros or "." not in text else text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


def between(interval: Interval) -> tuple[str, str, str]:
    """Write (value, lo95, hi95) with the decimals that the interval's width deserves."""
    half = (interval.hi95 - interval.lo95) / 2
    if not (math.isfinite(half) and 1e-7 < half < 1e6):
        return number(interval.value), number(interval.lo95), number(interval.hi95)
    # Two digits of the half width, or one where that is at least 4: an interval's ends are not known better.
    decimals = max(0, math.ceil(-math.log10(half / 4)))
    texts = [f"{x:.{decimals}f}".replace("-", "−") for x in (interval.value, interval.lo95, interval.hi95)]
    zero = f"{0:.{decimals}f}"
    return tuple(zero if text == f"−{zero}" else text for text in texts)  # type: ignore[return-value]


def bracketed(interval: Interval) -> str:
    """Write a value and its 95 % interval: "−0.85 [−0.87, −0.83]"."""
    value, low, high = between(interval)
    return f"{value} [{low}, {high}]"


def with_interval(name: str, interval: Interval, *, say: bool = False) -> str:
    """Write "effect −0.85 [−0.87, −0.83]"; with ``say`` also that the interval is the 95 % one."""
    return f"{name} {bracketed(interval).replace(' [', ', 95 % interval [' if say else ' [')}"


def with_bound(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """Write a value and its interval or bound, with the decimals that this deserves."""
    if low is not None and high is not None:
        text, bottom, top = between(Interval(value, low, high, low, high))
        return text, f"{bottom} to {top}"
    bound = high if low is None else low
    if bound is None:
        return number(value), ""
    step = max(abs(value - bound) / 10, abs(value) / 1000)
    text, end = (number(x, step, zeros=value != bound) for x in (value, bound))
    return text, f"{'at most' if low is None else 'at least'} {end}"


def quantity(unit: str, *values: float) -> str:
    """Write magnitudes or values of a property with their unit: "0 to 180 degrees", "factor 2"."""
    if unit == DAYS:
        return " to ".join(map(date, values))
    width = max(values) - min(values)
    return with_unit(" to ".join(number(x, width / 100 if width > 0 else None) for x in values), unit)


def with_unit(text: str, unit: str) -> str:
    """Put a unit where it belongs: "3 px", "factor 2", "0.1 (fraction of side)"."""
    if unit in BEFORE:
        return f"{unit} {text}"
    bare = not unit.startswith(("fraction", "σ")) and not any(c in "0123456789(" for c in unit)
    return f"{text} {unit}".rstrip() if bare else f"{text} ({unit})"


def date(days: float) -> str:
    """Write days since 1970 as an ISO date."""
    if not math.isfinite(days) or abs(days) > 2.9e6:
        return number(days)
    return str(np.datetime64("1970-01-01") + np.timedelta64(math.floor(days), "D"))


def score_name(kind: str, unit: str) -> str:
    """Name a score of this kind, with its unit."""
    if kind in KINDS:
        return KINDS[kind].label.format(unit=plain(unit))
    if kind.startswith(f"{CUSTOM}: "):
        name = kind.removeprefix(f"{CUSTOM}: ")
        return plain(name if unit in ("", "score", name) else f"{name} ({unit})")
    bare = "accuracy" in unit or unit in ("", "score")
    return plain(unit if bare else f"score ({unit})") or "score"


def probability(p: float) -> str:
    """Write a probability, no surer than draws can tell."""
    return "over 0.99" if p > 0.995 else "under 0.01" if p < 0.005 else f"{p:.2f}"


def plain(text: str) -> str:
    """Replace white space by single spaces and leave out invisible marks and control characters."""
    return "".join(c for c in " ".join(str(text)[:2000].split()) if unicodedata.category(c) not in ("Cf", "Cc", "Cs"))


def metric_label(name: str) -> str:
    """Return what a metric is called in words.

    >>> metric_label("roc_auc"), metric_label("recall-3"), metric_label("skill")
    ('ROC AUC', 'recall of 3', 'skill')
    """
    known, _, of = name.partition("-")
    if known in METRICS and name not in METRICS and of:
        return f"{METRICS[known].label} of {of}"
    return METRICS[name].label if name in METRICS else name


def difference_label(name: str) -> str:
    """Return what the metric of a difference's name is called, as ``clean_roc_auc`` or ``roc_auc_mean_drop``.

    >>> difference_label("clean_roc_auc"), difference_label("skill_mean_drop"), difference_label("skill")
    ('ROC AUC', 'skill', 'skill')
    """
    of_metric = metric_of(name)
    return metric_label(name if of_metric is None else of_metric[0])


def difference_name(name: str) -> str:
    """Return what a difference is called in tables.

    >>> difference_name("clean_roc_auc"), difference_name("f1_mean_drop"), difference_name("mean_drop")
    ('ROC AUC', 'mean drop of F1', 'mean drop')
    """
    of_metric = metric_of(name)
    if of_metric is None:
        return name.replace("_", " ")
    forms = {"_mean_drop": "mean drop of {}", "_holds_until": "holds until, by {}"}
    return forms.get(of_metric[1], "{}").format(metric_label(of_metric[0]))
