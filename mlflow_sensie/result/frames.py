"""Data frames of a result: a row per test, per slice and quantity, per interaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.inference import Interval
from mlflow_sensie.inference.metric_fits import MetricEstimate
from mlflow_sensie.inference.multiplicity import Multiplicity
from mlflow_sensie.inference.spread import pooled
from mlflow_sensie.result.keys import HEADLINES
from mlflow_sensie.result.tests import Interaction, ScoreInfo, Slice, SliceColumn, TestResult

SUMMARY_NUMBERS = ("effect", "lo95", "hi95", "mean_drop", "holds_until", "spread")
SUMMARY = ("kind", *SUMMARY_NUMBERS, "decision", "significance")
FIT_RANGE = ("fit_from", "fit_to", "fit_effect", "fit_lo95", "fit_hi95")
# The quantities of a slice's tests, by their kind, and those of no test.
SLICE_QUANTITIES = {
    "perturbation": ("mean_drop", "effect"),
    "property": ("effect", "unexpected"),
    "category": ("spread",),
    "class": ("spread",),
}
SLICE_SCORES = {"clean_score": "clean", "unannounced": "unannounced"}


def summary_frame(tests: Mapping[str, TestResult], several: Multiplicity | None) -> pd.DataFrame:
    """Return a row per test; see ``Result.summary``."""
    rows = {name: _summary_row(test) for name, test in tests.items()}
    fit_range = FIT_RANGE if any("fit_effect" in row for row in rows.values()) else ()
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[*SUMMARY, *fit_range])
    frame = frame.astype({name: float for name in (*SUMMARY_NUMBERS, *fit_range)}).rename_axis("test")
    frame.attrs["several"] = several.text if several else ""
    return frame


def _summary_row(test: TestResult) -> dict[str, Any]:
    if not test.ok:
        return {"kind": test.kind, "decision": "failed"}
    metrics = test.metrics
    leading = "effect" if "effect" in metrics else "spread"
    return {
        "kind": test.kind,
        **{name: metrics.get(name) for name in ("effect", "mean_drop", "holds_until", "spread")},
        "lo95": metrics[f"{leading}_lo95"],
        "hi95": metrics[f"{leading}_hi95"],
        "decision": test.fit.decision,
        "significance": test.fit.significance,
        **_fit_range_cells(test),
    }


def _fit_range_cells(test: TestResult) -> dict[str, float]:
    ranges = getattr(test.fit, "fit_range", ())
    if not ranges:
        return {}
    worst = min(ranges, key=lambda part: part.effect.value)
    effect = worst.effect
    return dict(zip(FIT_RANGE, (worst.start, worst.stop, effect.value, effect.lo95, effect.hi95), strict=True))


# --- slices and interactions -------------------------------------------------------------------------------


def slices_frame(columns: Sequence[SliceColumn], score: ScoreInfo) -> pd.DataFrame:
    """Return a row per slice, test and quantity; see ``Result.slices_frame``."""
    rows = [row for column in columns for row in _column_rows(column, score)]
    names = ["column", "level", "n", "test", "kind", "quantity", "value", "lo95", "hi95"]
    return pd.DataFrame(rows, columns=[*names, "pooled", "pooled_lo95", "pooled_hi95", "worst"])


def metrics_frame(whole: Mapping[str, MetricEstimate], columns: Sequence[SliceColumn]) -> pd.DataFrame:
    """Return a row per metric, of all examples and of every slice; see ``Result.metrics_frame``."""
    parts = [("", "", whole)]
    parts += [(column.column, part.level, part.metric_estimates) for column in columns for part in column.slices]
    rows = [
        (column, level, name, metric.n, metric.value, *_ends(metric.interval), metric.no_skill)
        for column, level, estimates in parts
        for name, metric in estimates.items()
    ]
    frame = pd.DataFrame(rows, columns=["column", "level", "metric", "n", "value", "lo95", "hi95", "no_skill"])
    return frame.astype({name: float for name in ("value", "lo95", "hi95", "no_skill")})


def _ends(interval: Interval | None) -> tuple[float, float]:
    return (np.nan, np.nan) if interval is None else (interval.lo95, interval.hi95)


def _column_rows(column: SliceColumn, score: ScoreInfo) -> Iterator[tuple[Any, ...]]:
    for quantity in SLICE_SCORES:
        yield from _quantity_rows(column, "", "", quantity, score)
    tests = {name: test for level in column.slices for name, test in level.tests.items()}
    for name, test in tests.items():
        for quantity in SLICE_QUANTITIES[test.kind]:
            yield from _quantity_rows(column, name, test.kind, quantity, score)


def _quantity_rows(
    column: SliceColumn, test: str, kind: str, quantity: str, score: ScoreInfo
) -> Iterator[tuple[Any, ...]]:
    """The rows of one quantity; a spread is never negative, so it is not pooled as if it were normal."""
    pairs = [(level, interval) for level in column.slices if (interval := _interval(level, test, quantity)) is not None]
    intervals = [interval for _, interval in pairs]
    shrunken = intervals if quantity == "spread" else pooled(intervals, _score_range(score))
    worst = _worst(quantity, shrunken)
    for index, ((level, own), together) in enumerate(zip(pairs, shrunken, strict=True)):
        n = level.tests[test].fit.n if test else level.n
        numbers = (end for interval in (own, together) for end in (interval.value, interval.lo95, interval.hi95))
        yield column.column, level.level, n, test, kind, quantity, *numbers, index == worst


def _interval(level: Slice, test: str, quantity: str) -> Interval | None:
    owner = level if not test else level.tests[test].fit if test in level.tests else None
    interval: Interval | None = getattr(owner, SLICE_SCORES.get(quantity, quantity), None)
    return interval


def _score_range(score: ScoreInfo) -> float | None:
    return None if score.lower is None or score.upper is None else score.upper - score.lower


def _worst(quantity: str, intervals: Sequence[Interval]) -> int | None:
    """The slice whose score is lowest, or lowest by what it announces; with the largest drop, effect or spread."""
    if not intervals:
        return None
    size = [-interval.value if quantity in SLICE_SCORES else interval.value for interval in intervals]
    return int(np.argmax(np.abs(size) if quantity in ("effect", "unexpected") else size))


def interactions_frame(interactions: Sequence[Interaction]) -> pd.DataFrame:
    """Return a row per interaction; see ``Result.interactions_frame``."""
    rows = []
    for interaction in interactions:
        if interaction.fit is not None:
            names = interaction.property, interaction.perturbation, HEADLINES[interaction.kind]
            interval: Interval = getattr(interaction.fit, names[-1])
            rows.append((*names, interval.value, interval.lo95, interval.hi95, interaction.fit.decision))
    return pd.DataFrame(rows, columns=["property", "perturbation", "quantity", "value", "lo95", "hi95", "decision"])
