"""The numbers of a fit by name, so that two fits can be held against each other."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from mlflow_sensie.inference import Departure, Interval, Spread


def numbers_of(fit: Any) -> dict[str, float]:
    """Those that stand in a fit, and those of its intervals, of its departure and spread, and of two sides."""
    numbers: dict[str, float] = {}
    for name in [field.name for field in fields(fit)] + ["unexpected"] * hasattr(fit, "unexpected"):
        value = getattr(fit, name)
        value = value.spread if isinstance(value, Spread) else value
        if isinstance(value, Interval):
            numbers |= {f"{name}_{end}".removesuffix("_value"): number for end, number in asdict(value).items()}
        elif isinstance(value, bool | int | float):
            numbers[name] = float(value)
        elif isinstance(value, Departure):
            numbers[name] = value.size
    sides = getattr(fit, "sides", ())
    if len(sides) == 2:
        numbers |= {f"{side.side}_effect": side.effect.value for side in sides}
        numbers |= {f"holds_until_{side.side}": side.holds.value for side in sides}
    return numbers
