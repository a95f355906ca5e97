"""What the figures say: numbers, quantities with their units, and text cut to what the fonts and the paper can hold."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

    from mlflow_sensie.inference import Interval
    from mlflow_sensie.result import ScoreInfo, TestResult

DAYS = "days since 1970-01-01"
BEFORE = ("factor", "exponent", "opacity")
WIDE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Hiragino Sans GB")
WIDE_FONTS += ("Microsoft YaHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS")
NO_GLYPH = "□"
SCORES = {
    "probability": "probability of the correct class",
    "correct": "accuracy",
    "neg_log_loss": "−log loss (nats)",
    "neg_brier_score": "−Brier score",
    "neg_absolute_error": "−absolute error (target SDs)",
    "neg_squared_error": "−squared error (target variances)",
    "custom": "score",
}


def number(x: float, step: float | None = None) -> str:
    """Write a number so that `step` can be told, by default three digits; with a true minus sign and no trailing zeros."""
    step = abs(x) / 100 if step is None else step
    if not math.isfinite(x) or x == 0 or not 0 < step < math.inf:
        return "0" if x == 0 else f"{x:.4g}".replace("-", "−")
    if abs(x) >= 1e15 or max(abs(x), step) < 1e-4:
        return f"{x:.3g}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{x:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text.replace("-", "−")


def between(interval: Interval) -> tuple[str, str, str]:
    """Write (value, lo95, hi95) with the decimals that the interval's width deserves."""
    half = (interval.hi95 - interval.lo95) / 2
    if not (math.isfinite(half) and 1e-7 < half < 1e6):
        return number(interval.value), number(interval.lo95), number(interval.hi95)
    # Two digits of the half width, or one where that is at least 3: an interval's ends are not known better.
    decimals = max(0, math.ceil(-math.log10(half / 3)))
    texts = [f"{x:.{decimals}f}".replace("-", "−") for x in (interval.value, interval.lo95, interval.hi95)]
    zero = f"{0:.{decimals}f}"
    return tuple(zero if text == f"−{zero}" else text for text in texts)  # type: ignore[return-value]


def with_interval(name: str, interval: Interval, *, say: bool = False) -> str:
    """Write "effect −0.85 [−0.87, −0.83]"; with `say` also that the interval is the 95 % one."""
    value, low, high = between(interval)
    return f"{name} {value}{', 95 % interval' if say else ''} [{low}, {high}]"


def quantity(unit: str, *values: float) -> str:
    """Write one or more values of a property or magnitude with their unit: "0 to 180 degrees", "factor 2", "2021-03-05"."""
    if unit == DAYS:
        return " to ".join(map(date, values))
    width = max(values) - min(values)
    return with_unit(" to ".join(number(x, width / 100 if width > 0 else None) for x in values), unit)


def with_unit(said: str, unit: str) -> str:
    """Put a unit where it belongs: "3 px", "factor 2", "0.1 (fraction of side)"."""
    if unit in BEFORE:
        return f"{unit} {said}"
    plain = unit[:1] in "°%" or (unit.replace(" ", "").isalpha() and not unit.startswith(("fraction", "σ")))
    return f"{said} {unit}".rstrip() if plain else f"{said} ({unit})"


def date(days: float) -> str:
    """Write days since 1970 as an ISO date."""
    if not math.isfinite(days) or abs(days) > 2.9e6:
        return number(days)
    return str(np.datetime64("1970-01-01") + np.timedelta64(math.floor(days), "D"))


def score_label(score: ScoreInfo) -> str:
    """Name a score for an axis, with its unit."""
    if score.kind in SCORES:
        return SCORES[score.kind]
    return legible(score.unit if "accuracy" in score.unit or not score.unit else f"score ({score.unit})") or "score"


def name_of(test: TestResult) -> str:
    """Give a test's name as it can be shown; where the fonts lack some of it, with the slug beside it."""
    shown = legible(test.name)
    return f"{shown} ({test.slug})" if NO_GLYPH in shown and NO_GLYPH not in test.name else shown


def axis_name(test: TestResult, inches: float, size: float, note: str = "") -> str:
    """Name the property or magnitude for an axis, with its unit and a note on its ticks, the name shortened to fit."""
    unit = "date" if test.unit == DAYS else shorten(legible(test.unit), inches / 2, size)
    tail = (f" ({unit})" if unit else "") + (f", {note}" if note else "")
    return shorten(name_of(test), inches - width(tail, size), size) + tail


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Give the font families of every text: DejaVu Sans, which comes with matplotlib, and what is installed of wider reach."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in WIDE_FONTS if name in installed))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """Give the code points that can be drawn both plain and bold."""
    from matplotlib.font_manager import findfont, get_font

    weights = ("normal", "bold")
    drawn = [{c for name in families() for c in get_font(findfont(_font(10, w, name))).get_charmap()} for w in weights]
    return frozenset(drawn[0] & drawn[1])


def _font(size: float, weight: str = "normal", family: str | None = None) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=[family] if family else list(families()), size=size, weight=weight)


def legible(text: str) -> str:
    """Replace what no font can draw by □ and white space by single spaces; invisible marks are left out."""
    kept = ("" if unicodedata.category(c) == "Cf" else c for c in " ".join(str(text)[:2000].split()))
    return "".join(c if ord(c) in _glyphs() and c.isprintable() else NO_GLYPH for c in kept)


def width(text: str, size: float, weight: str = "normal") -> float:
    """Measure a text that is `legible`, in inches."""
    from matplotlib.textpath import text_to_path

    return float(text_to_path.get_text_width_height_descent(text, _font(size, weight), ismath=False)[0]) / 72


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
    return f"{text[:head].rstrip()}…{text[len(text) - (kept - head):].lstrip() if kept > head else ''}"


def pack(phrases: Iterable[str], inches: float, size: float, glue: str = " · ") -> list[str]:
    """Set phrases in lines of at most a width, breaking between phrases only; one that is too long is shortened."""
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
    lines = [line for part in text[:6000].splitlines() for line in pack(_pieces(legible(part), inches, size), inches, size, " ")]
    return lines if len(lines) <= most else [*lines[: most - 1], shorten(lines[most - 1], inches - 0.3, size).rstrip("…") + " …"]


def _pieces(text: str, inches: float, size: float) -> Sequence[str]:
    """Split at spaces, and words that are wider than a line into parts."""
    per_line = max(1, int(inches / (0.011 * size)))
    return [word[i : i + per_line] for word in text.split() for i in range(0, len(word), per_line)]
