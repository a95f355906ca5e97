"""Properties of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    count = len(text.split())
    return len("".join(text.split())) / count if count else float("nan")


def uppercase_fraction(text: str) -> float:
    """The fraction of the letters that are upper case; NaN without letters."""
    return share(str.isupper, filter(str.isalpha, text))


def non_ascii_fraction(text: str) -> float:
    """The fraction of the characters that are not ASCII; NaN for an empty text."""
    return share(lambda character: not character.isascii(), text)


def share(counted: Callable[[str], bool], characters: Iterable[str]) -> float:
    """The fraction of the characters that are ``counted``; NaN if there are none."""
    flags = list(map(counted, characters))
    return sum(flags) / len(flags) if flags else float("nan")


LENGTH = TextProperty(length, unit="characters")
WORDS = TextProperty(words, unit="words")
MEAN_WORD_LENGTH = TextProperty(mean_word_length, unit="characters")
UPPERCASE_FRACTION = TextProperty(uppercase_fraction, unit="fraction of letters")
NON_ASCII_FRACTION = TextProperty(non_ascii_fraction, unit="fraction of characters")
