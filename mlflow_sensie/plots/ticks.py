"""Which part of an axis is shown, and how its ticks are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlflow_sensie.text import words

YEARS, MONTHS, DAYS = (20, 10, 5, 2, 1), (6, 3, 1), (14, 7, 2, 1)
CALENDAR = [(unit, step) for unit, steps in (("Y", YEARS), ("M", MONTHS), ("D", DAYS)) for step in steps]


def nice_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Give round numbers between two."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3).tick_values(low, high)
    slack = (high - low) * 1e-9
    return [float(t) for t in ticks if low - slack <= t <= high + slack]


def date_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], list[str]]:
    """Give days since 1970 that start a year, a month or a day, as many as have room, and their labels."""
    start, stop = (np.datetime64("1970-01-01") + np.timedelta64(math.floor(x), "D") for x in (low, high))
    chosen: list[float] = []
    for unit, step in CALENDAR:
        first, last = (int(day.astype(f"M8[{unit}]").astype(int)) for day in (start, stop))
        first = first // step * step
        days = np.arange(first, last + 1, step).astype(f"M8[{unit}]").astype("M8[D]").astype(float)
        days = days[(days >= low) & (days <= high)]
        if len(days) > most and len(chosen) >= 2:
            break
        chosen = days.tolist()
    texts = [words.date(day) for day in chosen]
    for end in ("-01-01", "-01"):
        if all(text.endswith(end) for text in texts):
            return chosen, [text.removesuffix(end) for text in texts]
    return chosen, texts


def tick_labels(ticks: Sequence[float]) -> tuple[list[str], str]:
    """Write ticks alike, and what was taken out of them to be short: "×10⁹", "+ 1600000000", or nothing."""
    values = np.asarray(ticks, np.float64)
    if len(values) < 2:
        return [words.number(x) for x in ticks], ""
    step, notes = float(np.diff(values).min()), []
    if np.abs(values).max() > 2e4 * step:
        # What all of them share, down to the power of ten that their range fills.
        unit = 10.0 ** math.ceil(math.log10(np.ptp(values)))
        shift = float(np.floor(values[0] / unit) * unit)
        notes, values = [f"+ {words.number(shift, unit)}"], values - shift
    power = math.floor(math.log10(np.abs(values).max()))
    if power >= 5 or power <= -4:
        values, step = values / 10.0**power, step / 10.0**power
        notes = ["×10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")), *notes]
    decimals = next((d for d in range(16) if np.abs(np.round(values, d) - values).max() < 1e-3 * step), 16)
    labels = [f"{x + 0.0:.{decimals}f}".replace("-", "−") for x in np.round(values, decimals)]
    return labels, " ".join(notes)


def window(lower: float | None, upper: float | None, values: Sequence[float]) -> tuple[float, float]:
    """Choose the range of scores to show.

    Of a score with two bounds the whole range, or the half or quarter of it that holds everything: so figures
    of several runs mostly share their axes. Else what was seen, with some air.
    """
    seen = [x for x in values if math.isfinite(x)] or [0.0]
    low, high = min(seen), max(seen)
    if lower is None or upper is None:
        air = 0.06 * (high - low) or 0.5
        return low - air, high + air
    for _ in range(2):
        middle = (lower + upper) / 2
        if low >= middle:
            lower = middle
        elif high <= middle:
            upper = middle
    air = 0.025 * (upper - lower)
    return min(lower, low) - air, max(upper, high) + air
