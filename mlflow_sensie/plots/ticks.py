"""Which part of an axis is shown, and how its ticks are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.plots import fonts
from mlflow_sensie.plots.canvas import INK, KEY, TICK, size_of
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlflow_sensie.inference import RankAxis

YEARS, MONTHS, DAYS = (20, 10, 5, 2, 1), (6, 3, 1), (14, 7, 2, 1)
CALENDAR = [(unit, step) for unit, steps in (("Y", YEARS), ("M", MONTHS), ("D", DAYS)) for step in steps]
MOST_NAMED = 12  # points that name themselves


# --- an axis ---------------------------------------------------------------------------------------


def set_ticks(axis: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    """Fix an axis's ticks, so that they hang on no formatter of somebody else's settings."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(list(labels)))


def set_log(ax: Axes) -> None:
    """Make x logarithmic, without the small ticks that come with it."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())


def set_span(ax: Axes, low: float, high: float, *, log: bool = False, points: int = 10) -> None:
    """Set the range of x, with some air around it: of few points more, for these stand off the edges."""
    if log:
        set_log(ax)
        ax.set_xlim(low * (low / high) ** 0.03, high * (high / low) ** 0.03)
        return
    air = air_beside(points) * ((high - low) or 1.0)
    ax.set_xlim(low - air, high + air)


def air_beside(points: int) -> float:
    """Give the air beside so many points, as a share of their range."""
    return max(0.03, 0.2 / max(points - 1, 1))


def set_score_axis(ax: Axes, low: float, high: float, *, most: int = 6, note: bool = True) -> None:
    """Set range and ticks of y; what the ticks leave out stands above them."""
    ax.set_ylim(low, high)
    places = nice_ticks(low, high, most)
    labels, rest = tick_labels(places)
    set_ticks(ax.yaxis, places, labels)
    if note and rest:
        ax.text(0, 1.01, rest, transform=ax.transAxes, fontsize=KEY, color=INK, va="bottom", ha="left")


def with_room(ax: Axes, places: Sequence[float], labels: Sequence[str]) -> list[float]:
    """Leave out the places whose labels would touch, from the largest down."""
    inches = size_of(ax)[0]
    low, high = ax.get_xlim()
    scale = np.log if ax.get_xscale() == "log" else np.asarray
    middles = (scale(np.asarray(places)) - scale(low)) / (scale(high) - scale(low)) * inches
    fitting: list[float] = []
    edge = math.inf
    for place, middle, label in sorted(zip(places, middles, labels, strict=True), reverse=True):
        half = fonts.width(label, TICK) / 2
        if middle + half + 0.06 <= edge:
            fitting.append(place)
            edge = middle - half
    return fitting[::-1]


# --- places and labels -----------------------------------------------------------------------------


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


def rank_ticks(ax: Axes, ranks: RankAxis, points: Sequence[float], unit: str) -> tuple[list[float], list[str]]:
    """Stand values of a property at their ranks: the points where they are few, else every tenth of the way."""
    values = np.array(points) if len(points) <= MOST_NAMED else ranks.value(np.linspace(0, 1, 11))
    write = words.date if unit == words.DAYS else words.number
    texts = {float(ranks.share(p)): write(float(p)) for p in values}
    # The label of an end stands half outside the axes: a long one would leave the paper.
    labels = {share: text for share, text in texts.items() if len(text) <= 6 or 0.05 < share < 0.95}
    places = with_room(ax, list(labels), list(labels.values()))
    return places, [labels[share] for share in places]


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


def score_window(lower: float | None, upper: float | None, values: Sequence[float]) -> tuple[float, float]:
    """Choose the range of scores to show.

    Of a score with two bounds the whole range, or the half or quarter of it that holds everything: so figures
    of several runs mostly share their axes. Else what was seen, with some air.
    """
    finite = [x for x in values if math.isfinite(x)] or [0.0]
    low, high = min(finite), max(finite)
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
