"""Perturbations of text at a rate: characters and words that can be edited, each from a rate of its own on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Perturbation, column_names

if TYPE_CHECKING:
    import pandas as pd

# fmt: off
NEIGHBOURS = {  # on a QWERTY keyboard: beside, above and below
    "q": "wa", "w": "qeas", "e": "wrsd", "r": "etdf", "t": "ryfg", "y": "tugh", "u": "yihj", "i": "uojk", "o": "ipkl",
    "p": "ol", "a": "sqwz", "s": "adwezx", "d": "sferxc", "f": "dgrtcv", "g": "fhtyvb", "h": "gjyubn", "j": "hkuinm",
    "k": "jliom", "l": "kop", "z": "xas", "x": "zcsd", "c": "xvdf", "v": "cbfg", "b": "vngh", "n": "bmhj", "m": "njk",
}
LOOKALIKES = {
    "a": "o", "b": "6", "c": "e", "e": "c", "g": "9", "h": "b", "i": "l", "l": "1", "m": "rn", "n": "ri",
    "o": "0", "q": "g", "s": "5", "t": "f", "u": "v", "v": "u", "w": "vv", "z": "2",
    "B": "8", "D": "O", "G": "6", "I": "l", "O": "0", "Q": "O", "S": "5", "Z": "2",
    "0": "O", "1": "l", "2": "Z", "5": "S", "6": "b", "8": "B", "9": "g",
}
# fmt: on
MARKS = ",.;:!?"
Texts = dict[Any, list[Any]]  # the cells, or the edits of each, by column


class TextEdit(NamedTuple):
    """A place in a text that can be edited: the characters ``start`` to ``stop`` turn into ``becomes``."""

    start: int
    stop: int
    becomes: str
    turn: float  # the rate from which on it is


def edited(text: str, edits: list[TextEdit], rate: float) -> str:
    """``text`` with every edit whose turn has come, given in order; of overlapping ones the first.

    Examples:
        >>> edited("good film", [TextEdit(0, 4, "bad", 0.1), TextEdit(5, 9, "book", 0.7)], 0.2)
        'bad film'
    """
    pieces, position = [], 0
    for edit in edits:
        if edit.turn < rate and edit.start >= position:
            pieces += [text[position : edit.start], edit.becomes]
            position = edit.stop
    return "".join([*pieces, text[position:]])


@dataclass(frozen=True, kw_only=True)
class EditFunction(Perturbation):
    """A function (text, rng) → edits as a perturbation of text at a rate; a subclass may write `edits` instead.

    Inputs are a 1-D array of strings, a pandas Series, or a DataFrame, of which ``columns`` names the text
    columns (default: all of strings). Missing values pass. Outputs have the type that came in.

    Examples:
        >>> def shout(text, rng):
        ...     return [TextEdit(i, i + 1, "!", rng.random()) for i, mark in enumerate(text) if mark == "."]
        >>> EditFunction(shout)(np.array(["No. Never."]), 1.0, np.random.default_rng(0)).tolist()
        ['No! Never!']
    """

    kind = "text"
    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.2)
    random = True

    function: Callable[[str, np.random.Generator], list[TextEdit]] | None = field(
        default=None, kw_only=False, metadata=BOUND
    )
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        object.__setattr__(self, "columns", column_names(self.name, self.columns))

    @property
    def name(self) -> str:
        """The function's own name."""
        return getattr(self.function, "__name__", type(self).__name__)

    def edits(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """The places of a text that can be edited, in order, each with its turn and what it turns into."""
        assert self.function is not None
        return self.function(text, rng)

    def check(self, inputs: Any) -> None:
        """Raise DataError for what holds no text, or cells that are neither strings nor missing."""
        for text in chain.from_iterable(text_columns(inputs, self.columns).values()):
            if not isinstance(text, str) and not is_missing(text):
                raise DataError(f"{self.name} works on strings; got a {type(text).__name__}: {text!r:.80}.")

    def prepare(self, inputs: Any) -> tuple[Any, Texts]:
        """The inputs, and the cells of each text column."""
        return inputs, text_columns(inputs, self.columns)

    def draw(self, prepared: tuple[Any, Texts], rng: np.random.Generator) -> Texts:
        """The edits of every text, which draws from a generator of its own; none for missing ones."""
        inputs, columns = prepared
        rngs = rng.spawn(len(inputs))
        return {
            name: [
                self.edits(text, own) if isinstance(text, str) else [] for text, own in zip(texts, rngs, strict=True)
            ]
            for name, texts in columns.items()
        }

    def apply(self, prepared: tuple[Any, Texts], magnitude: float, draws: Texts) -> Any:
        """The texts with every edit whose turn has come."""
        inputs, columns = prepared
        texts = {
            name: [
                edited(str(text), edits, magnitude) if edits else text
                for text, edits in zip(cells, draws[name], strict=True)
            ]
            for name, cells in columns.items()
        }
        return with_texts(inputs, texts)


# --- what is edited ---


def typos(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Mistypes a fraction p of the letters: the key beside it, left out, doubled, or swapped with the next.

    Keys are those of QWERTY; letters of other scripts are left out, doubled or swapped. Case is kept. One edit
    per letter.

    Examples:
        >>> TYPOS(np.array(["one keystroke too many"]), 0.3, np.random.default_rng(0)).tolist()
        ['one kesygroe oto may']
    """
    turns, kinds, picks = rng.random(len(text)), rng.integers(0, 4, len(text)), rng.random(len(text))
    draws = zip(kinds.tolist(), picks.tolist(), turns.tolist(), strict=True)
    return [mistyped(text, index, *draw) for index, draw in enumerate(draws) if text[index].isalpha()]


def mistyped(text: str, index: int, kind: int, pick: float, turn: float) -> TextEdit:
    """The edit of one letter: kind 0 another key, 1 left out, 2 doubled, 3 swapped with the next letter."""
    letter = text[index]
    keys = NEIGHBOURS.get(letter.lower(), "")
    if kind == 0 and keys:
        key = keys[int(pick * len(keys))]
        return TextEdit(index, index + 1, key.upper() if letter.isupper() else key, turn)
    if kind == 3 and text[index + 1 : index + 2].isalpha() and text[index + 1] != letter:
        return TextEdit(index, index + 2, text[index + 1] + letter, turn)
    if kind == 1:
        return TextEdit(index, index + 1, "", turn)
    return TextEdit(index, index + 1, letter * 2, turn)


def ocr(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Misreads a fraction p of the characters that have a lookalike: o as 0, l as 1, m as rn; others stay."""
    turns = rng.random(len(text)).tolist()
    return [TextEdit(i, i + 1, LOOKALIKES[mark], turns[i]) for i, mark in enumerate(text) if mark in LOOKALIKES]


def case(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Flips a fraction p of the letters between upper and lower case; scripts without case stay."""
    turns, swapped = rng.random(len(text)).tolist(), map(str.swapcase, text)
    return [TextEdit(i, i + 1, other, turns[i]) for i, other in enumerate(swapped) if other != text[i]]


def whitespace(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Disturbs a fraction p of the gaps and words: a gap is lost or doubled, a word split in two."""
    edits = []
    for gap in re.finditer(r"\s+", text):
        lost = rng.random() < 0.5
        edits.append(TextEdit(*gap.span(), "" if lost else gap.group() * 2, rng.random()))
    for word in re.finditer(r"[^\W\d_]{2,}", text):  # two letters or more
        place = word.start() + 1 + int(rng.random() * (len(word.group()) - 1))
        edits.append(TextEdit(place, place, " ", rng.random()))
    return sorted(edits, key=lambda edit: edit.start)


def punctuation(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Disturbs a fraction p of the marks (,.;:!?) and words: a mark is lost or another, a word gets one."""
    edits = []
    for index, character in enumerate(text):
        mark, lost, turn = MARKS[int(rng.integers(len(MARKS)))], rng.random() < 0.5, rng.random()
        last = index + 1 == len(text) or text[index + 1].isspace()
        if character in MARKS:
            other = mark if mark != character else MARKS[(MARKS.index(mark) + 1) % len(MARKS)]
            edits.append(TextEdit(index, index + 1, "" if lost else other, turn))
        elif last and character.isalnum():
            edits.append(TextEdit(index + 1, index + 1, mark, turn))
    return edits


def drop_words(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Leaves out a fraction p of the words, with the gap after them; one word always stays."""
    words = list(re.finditer(r"\S+\s*", text.rstrip()))
    turns = rng.random(len(words)).tolist()
    last = max(turns, default=0)  # of the word that stays
    return [TextEdit(*word.span(), "", turn) for word, turn in zip(words, turns, strict=True) if turn < last]


TYPOS, OCR, CASE = map(EditFunction, (typos, ocr, case))
WHITESPACE, PUNCTUATION, DROP_WORDS = map(EditFunction, (whitespace, punctuation, drop_words))


@dataclass(frozen=True, kw_only=True)
class Synonyms(EditFunction):
    """Replaces a fraction p of the words that ``mapping`` has, word → synonym or list of them, by one.

    Words are matched without regard to case; a capital first letter, or capitals throughout, are kept.
    """

    mapping: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a mapping that is empty; take lists as they stand in a recipe."""
        super().__post_init__()
        if not isinstance(self.mapping, Mapping) or not self.mapping:
            raise ValueError("Synonyms needs mapping={word: synonym or list of synonyms}; got none.")
        plain = {word.lower(): (to,) if isinstance(to, str) else tuple(to) for word, to in self.mapping.items() if to}
        object.__setattr__(self, "mapping", plain)

    def edits(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One edit per word that has a synonym."""
        edits = []
        for word in re.finditer(r"\w+", text):
            if choices := self.mapping.get(word.group().lower()):
                choice = choices[int(rng.random() * len(choices))]
                edits.append(TextEdit(*word.span(), in_case_of(word.group(), choice), rng.random()))
        return edits


def in_case_of(word: str, synonym: str) -> str:
    """``synonym`` capitalised as ``word`` is."""
    if len(word) > 1 and word.isupper():
        return synonym.upper()
    return synonym[:1].upper() + synonym[1:] if word[:1].isupper() else synonym


# --- every form of text ---


def text_columns(inputs: Any, columns: tuple[str, ...] | None) -> Texts:
    """The cells of each text column; a single one without a name is called None.

    Raises DataError for what is no array, Series or DataFrame of text, or lacks a column.
    """
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        missing = [column for column in columns or () if column not in inputs.columns]
        if missing:
            raise DataError(f"No column {missing} in the inputs, which have {list(inputs.columns)}.")
        names = [c for c in inputs.columns if (is_text(inputs[c]) if columns is None else c in columns)]
        if not names:
            raise DataError(f"None of the columns {list(inputs.columns)} holds text; name them in `columns`.")
        return {name: list(inputs[name]) for name in names}
    is_array = isinstance(inputs, np.ndarray)
    if isinstance(inputs, pd.Series) or (is_array and inputs.ndim == 1 and inputs.dtype.kind in "OUT"):
        return {None: list(inputs)}
    came = f"{inputs.dtype} array {inputs.shape}" if is_array else type(inputs).__name__
    raise DataError(f"Text must be a 1-D array of strings, a Series, or a DataFrame; got {came}.")


def is_text(column: pd.Series[Any]) -> bool:
    """Whether a column holds strings and nothing else; categories are none."""
    import pandas as pd

    if column.dtype == object:
        return all(isinstance(cell, str) or is_missing(cell) for cell in column)
    return not isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(column.dtype)


def is_missing(cell: Any) -> bool:
    """Whether a cell is None, NaN, NaT or NA; arrays and other containers are not."""
    import pandas as pd

    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


def with_texts(inputs: Any, texts: Mapping[Any, list[Any]]) -> Any:
    """A copy of ``inputs`` with other texts, in the same type; fixed-width arrays are widened for them."""
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        result = fresh_copy(inputs)
        for name, cells in texts.items():
            column = pd.Series(cells, index=inputs.index, dtype=inputs[name].dtype)
            result.isetitem(inputs.columns.get_loc(name), column)
        return result
    if isinstance(inputs, pd.Series):
        return pd.Series(texts[None], index=inputs.index, name=inputs.name, dtype=inputs.dtype)
    if inputs.dtype.kind == "U":
        return np.array(texts[None], dtype=np.str_).reshape(inputs.shape)
    result = np.empty(inputs.shape, dtype=inputs.dtype)
    result[:] = texts[None]
    return result
