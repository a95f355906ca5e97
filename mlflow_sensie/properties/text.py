"""Properties of texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.text import text_columns
from mlflow_sensie.properties import Measure


@dataclass(frozen=True, kw_only=True)
class TextProperty(Measure):
    """A function of a text as a property, of one column or of several joined by a space; NaN where missing.

    Examples:
        >>> WORDS(np.array(["The quick brown fox", None], dtype=object))
        array([ 4., nan])
    """

    kind = "text"

    columns: tuple[str, ...] | None = None

    def __call__(self, inputs: Any) -> Array:
        """The property of each text."""
        rows = zip(*text_columns(inputs, self.columns).values(), strict=True)
        present = ([cell for cell in row if isinstance(cell, str)] for row in rows)
        return np.array([self.function(" ".join(cells)) if cells else np.nan for cells in present], dtype=np.float64)


def length(text: str) -> float:
    """The number of characters."""
    return len(text)


def words(text: str) -> float:
    """The number of words, which whitespace separates."""
    return len(text.split())


def mean_word_length(text: str) -> float:
    """The mean number of characters per word; NaN without words."""
    lengths = [len(word) for word in text.split()]
    return sum(lengths) / len(lengths) if lengths else float("nan")


def uppercase_fraction(text: str) -> float:
    """The fraction of the letters that are upper case; NaN without letters."""
    return share(text, str.isupper, str.isalpha)


def non_ascii_fraction(text: str) -> float:
    """The fraction of the characters that are not ASCII; NaN for an empty text."""
    return share(text, lambda character: not character.isascii(), lambda _: True)


def share(text: str, counted: Callable[[str], bool], among: Callable[[str], bool]) -> float:
    """The fraction of the characters ``among`` that are ``counted``; NaN if there are none."""
    base = [character for character in text if among(character)]
    return sum(map(counted, base)) / len(base) if base else float("nan")


LENGTH = TextProperty(length, unit="characters")
WORDS = TextProperty(words, unit="words")
MEAN_WORD_LENGTH = TextProperty(mean_word_length, unit="characters")
UPPERCASE_FRACTION = TextProperty(uppercase_fraction, unit="fraction of letters")
NON_ASCII_FRACTION = TextProperty(non_ascii_fraction, unit="fraction of characters")
