"""What fonts can draw and how wide it is: text made legible, and cut and broken to what the paper holds."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

    from mlflow_sensie.comparison import TestComparison
    from mlflow_sensie.result import TestResult

FREE_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC")
SYSTEM_FONTS = ("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei")
WIDE_FONTS = (*FREE_FONTS, *SYSTEM_FONTS, "Droid Sans Fallback", "Arial Unicode MS")
NO_GLYPH = "□"


def name_of(test: TestResult | TestComparison) -> str:
    """Give a test's name as it can be shown; where the fonts lack some of it, with the slug beside it."""
    shown = legible(test.name)
    return f"{shown} ({test.slug})" if NO_GLYPH in shown and NO_GLYPH not in test.name else shown


def axis_name(test: TestResult | TestComparison, inches: float, size: float, note: str = "") -> str:
    """Name the property or magnitude for an axis, with its unit and a note; the name is shortened to fit."""
    unit = "date" if test.unit == words.DAYS else shorten(legible(test.unit), inches / 2, size)
    tail = (f" ({unit})" if unit else "") + (f", {note}" if note else "")
    name = legible(getattr(test, "label", "")) or name_of(test)  # a comparison has no label
    return shorten(name, inches - width(tail, size), size) + tail


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Give the fonts of every text: DejaVu Sans, which matplotlib brings, and wider ones where installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in WIDE_FONTS if name in installed))


@lru_cache(maxsize=2)
def _fonts(weight: str) -> list[FT2Font]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return [get_font(findfont(FontProperties(family=[name], weight=weight))) for name in families()]


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


def legible(text: str) -> str:
    """Replace what no font can draw by □ and white space by single spaces; invisible marks are left out."""
    letters = (c for c in " ".join(str(text)[:2000].split()) if unicodedata.category(c) != "Cf")
    return "".join(c if _drawable(c) else NO_GLYPH for c in letters)


def width(text: str, size: float, weight: str = "normal") -> float:
    """Measure a text that is `legible`, in inches."""
    return sum(_advance(letter, weight) or 0.0 for letter in text) * size / 72


def shorten(text: str, inches: float, size: float, weight: str = "normal", *, tail: bool = True) -> str:
    """Cut a text down to a width, leaving out its middle, or its end where the tail matters less."""
    if width(text, size, weight) <= inches:
        return text
    count = bisect_right(range(1, len(text)), inches, key=lambda n: width(_cut(text, n, tail), size, weight))
    return _cut(text, max(1, count), tail)


def _cut(text: str, count: int, tail: bool) -> str:
    """Give so many letters of a text, two thirds of them from its beginning or all, with "…" for the rest."""
    head = -(-count * 2 // 3) if tail else count
    return f"{text[:head].rstrip()}…{text[len(text) - (count - head) :].lstrip() if count > head else ''}"


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
