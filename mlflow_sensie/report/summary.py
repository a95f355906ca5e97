"""The summary of a result: a row per test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mlflow_sensie.result import Result, TestResult

NUMBERS = ("effect", "lo95", "hi95", "mean_drop", "holds_until", "spread")
COLUMNS = ("kind", *NUMBERS, "decision", "significance")
FIT = ("fit_from", "fit_to", "fit_effect", "fit_lo95", "fit_hi95")


def summary_frame(result: Result) -> pd.DataFrame:
    """Return a row per test; see ``Result.summary``."""
    rows = {name: _row(test) for name, test in result.tests.items()}
    fitted = FIT if any("fit_effect" in row for row in rows.values()) else ()
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[*COLUMNS, *fitted])
    frame = frame.astype({name: float for name in (*NUMBERS, *fitted)}).rename_axis("test")
    frame.attrs["several"] = result.several.text if result.several else ""
    return frame


def _row(test: TestResult) -> dict[str, Any]:
    if not test.ok:
        return {"kind": test.kind, "decision": "failed"}
    found = test.metrics
    name = "effect" if "effect" in found else "spread"
    return {
        "kind": test.kind,
        "effect": found.get("effect"),
        "lo95": found[f"{name}_lo95"],
        "hi95": found[f"{name}_hi95"],
        "mean_drop": found.get("mean_drop"),
        "holds_until": found.get("holds_until"),
        "spread": found.get("spread"),
        "decision": test.fit.decision,
        "significance": test.fit.significance,
        **_fit(test),
    }


def _fit(test: TestResult) -> dict[str, float]:
    ranges = getattr(test.fit, "fit_range", ())
    if not ranges:
        return {}
    part = min(ranges, key=lambda each: each.effect.value)
    return dict(zip(FIT, (part.start, part.stop, part.effect.value, part.effect.lo95, part.effect.hi95), strict=True))
