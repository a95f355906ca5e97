"""What the figures say: numbers, quantities with units, and text cut to what fonts and paper can hold."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlflow_sensie.scores.kinds import KINDS

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

    from mlflow_sensie.inference import Interval
    from mlflow_sensie.result import ScoreInfo

DAYS = "days since 1970-01-01"
BEFORE = ("factor", "exponent", "opacity", "rate")
WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
NO_GLYPH = "□"


def number(x: float, step: float | None = None, *, zeros: bool = False) -> str:
    """Write a number with a true minus sign, so that `step` can be told, by default three digits."""
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


def with_interval(name: str, interval: Interval, *, say: bool = False) -> str:
    """Write "effect −0.85 [−0.87, −0.83]"; with `say` also that the interval is the 95 % one."""
    value, low, high = between(interval)
    return f"{name} {value}{', 95 % interval' if say else ''} [{low}, {high}]"


def quantity(unit: str, *values: float) -> str:
    """Write magnitudes or values of a property with their unit: "0 to 180 degrees", "factor 2"."""
    if unit == DAYS:
        return " to ".join(map(date, values))
    width = max(values) - min(values)
    return with_unit(" to ".join(number(x, width / 100 if width > 0 else None) for x in values), unit)


def with_unit(said: str, unit: str) -> str:
    """Put a unit where it belongs: "3 px", "factor 2", "0.1 (fraction of side)"."""
    if unit in BEFORE:
        return f"{unit} {said}"
    plain = not unit.startswith(("fraction", "σ")) and not any(c in "0123456789(" for c in unit)
    return f"{said} {unit}".rstrip() if plain else f"{said} ({unit})"


def date(days: float) -> str:
    """Write days since 1970 as an ISO date."""
    if not math.isfinite(days) or abs(days) > 2.9e6:
        return number(days)
    return str(np.datetime64("1970-01-01") + np.timedelta64(math.floor(days), "D"))


def score_label(score: ScoreInfo) -> str:
    """Name a score for an axis, with its unit."""
    return score_name(score.kind, score.unit)


def score_name(kind: str, unit: str) -> str:
    """Name a score of this kind, with its unit."""
    if kind in KINDS:
        return KINDS[kind].label
    plain = "accuracy" in unit or unit in ("", "score")
    return legible(unit if plain else f"score ({unit})") or "score"


def probability(p: float) -> str:
    """Write a probability, no surer than draws can tell."""
    return "over 0.99" if p > 0.995 else "under 0.01" if p < 0.005 else f"{p:.2f}"


class Named(Protocol):
    """What has the name of a test: its result, or the comparison of two."""

    @property
    def name(self) -> str:
        """As the user named it."""

    @property
    def slug(self) -> str:
        """As files and metrics are named."""

    @property
    def unit(self) -> str:
        """The unit of the property or magnitude."""


def name_of(test: Named) -> str:
    """Give a test's name as it can be shown; where the fonts lack some of it, with the slug beside it."""
    shown = legible(test.name)
    return f"{shown} ({test.slug})" if NO_GLYPH in shown and NO_GLYPH not in test.name else shown


def axis_name(test: Named, inches: float, size: float, note: str = "") -> str:
    """Name the property or magnitude for an axis, with its unit and a note; the name is shortened to fit."""
    unit = "date" if test.unit == DAYS else shorten(legible(test.unit), inches / 2, size)
    tail = (f" ({unit})" if unit else "") + (f", {note}" if note else "")
    return shorten(name_of(test), inches - width(tail, size), size) + tail


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Give the fonts of every text: DejaVu Sans, which matplotlib brings, and wider ones where installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in WIDE_FONTS if name in installed))


@lru_cache(maxsize=2)
def _fonts(weight: str) -> list[FT2Font]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    wanted = [FontProperties(family=[name], weight=weight) for name in families()]
    return [get_font(findfont(properties)) for properties in wanted]


@lru_cache(maxsize=4096)
def _advance(letter: str, weight: str) -> float | None:
    """Give the room that a letter takes, as a share of the font's size; None where no font can draw it."""
    for font in _fonts(weight):
        if font.get_char_index(ord(letter)):
            font.set_size(100, 72)
            return float(font.load_char(ord(letter)).linearHoriAdvance / 65536 / 100)
    return None


def _drawable(letter: str) -> bool:
    return letter.isprintable() and all(_advance(letter, weight) is not None for weight in ("normal", "bold"))


def plain(text: str) -> str:
    """Replace white space by single spaces and leave out invisible marks and control characters."""
    return "".join(c for c in " ".join(str(text)[:2000].split()) if unicodedata.category(c) not in ("Cf", "Cc", "Cs"))


def legible(text: str) -> str:
    """Replace what no font can draw by □ and white space by single spaces; invisible marks are left out."""
    kept = (c for c in " ".join(str(text)[:2000].split()) if unicodedata.category(c) != "Cf")
    return "".join(c if _drawable(c) else NO_GLYPH for c in kept)


def width(text: str, size: float, weight: str = "normal") -> float:
    """Measure a text that is `legible`, in inches."""
    return sum(_advance(letter, weight) or 0.0 for letter in text) * size / 72


def shorten(text: str, inches: float, size: float, weight: str = "normal", *, tail: bool = True) -> str:
    """Cut a text down to a width, leaving out its middle, or its end where the tail matters less."""
    if width(text, size, weight) <= inches:
        return text
    low, high = 1, len(text) - 1
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if width(_cut(text, kept, tail), size, weight) <= inches else (low, kept - 1)
    return _cut(text, low, tail)


def _cut(text: str, kept: int, tail: bool) -> str:
    head = -(-kept * 2 // 3) if tail else kept
    return f"{text[:head].rstrip()}…{text[len(text) - (kept - head) :].lstrip() if kept > head else ''}"


def pack(phrases: Iterable[str], inches: float, size: float, glue: str = " · ") -> list[str]:
    """Set phrases in lines of at most a width, breaking between phrases only; too long a one is shortened."""
    lines: list[str] = []
    for phrase in (shorten(phrase, inches, size) for phrase in phrases if phrase):
        longer = f"{lines[-1]}{glue}{phrase}" if lines else ""
        if longer and width(longer, size) <= inches:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return lines


def wrap(text: str, inches: float, size: float, most: int) -> list[str]:
    """Break a text into at most so many lines; what does not fit ends in "…"."""
    parts = [_pieces(legible(part), inches, size) for part in text[:6000].splitlines()]
    lines = [line for part in parts for line in pack(part, inches, size, " ")]
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], shorten(lines[most - 1] + " …", inches, size, tail=False)]


def _pieces(text: str, inches: float, size: float) -> Sequence[str]:
    """Split at spaces, and words that are wider than a line into parts."""
    parts: list[str] = []
    for word in text.split():
        wide = width(word, size)
        step = len(word) if wide <= inches else max(1, int(0.9 * len(word) * inches / wide))
        parts += [word[i : i + step] for i in range(0, len(word), step)]
    return parts
