"""Perturbations of text: characters and words hit at a rate; the draws are shared by all magnitudes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from mlflow_sensie.perturbations.text_edits import EditFunction, TextEdit, TextPerturbation

KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# fmt: off
LOOKALIKES = {
    "a": "o", "b": "6", "c": "e", "e": "c", "g": "9", "h": "b", "i": "l", "l": "1", "m": "rn", "n": "ri",
    "o": "0", "q": "g", "s": "5", "t": "f", "u": "v", "v": "u", "w": "vv", "z": "2",
    "B": "8", "D": "O", "G": "6", "I": "l", "O": "0", "Q": "O", "S": "5", "Z": "2",
    "0": "O", "1": "l", "2": "Z", "5": "S", "6": "b", "8": "B", "9": "g",
}
# fmt: on
MARKS = ",.;:!?"
WORDS = re.compile(r"\S+")
SPLITTABLE = re.compile(r"[^\W\d_]{2,}")  # two letters or more
GAPS = re.compile(r"\s+")


@lru_cache(maxsize=1)
def neighbours() -> dict[str, str]:
    """Lower-case letters to those beside, above and below them on a QWERTY keyboard."""
    near_keys = {}
    for row, keys in enumerate(KEY_ROWS):
        for column, key in enumerate(keys):
            near = [keys[c] for c in (column - 1, column + 1) if 0 <= c < len(keys)]
            # each row starts half a key further right than the one above
            for other, columns in ((row - 1, (column, column + 1)), (row + 1, (column - 1, column))):
                if 0 <= other < len(KEY_ROWS):
                    near += [KEY_ROWS[other][c] for c in columns if 0 <= c < len(KEY_ROWS[other])]
            near_keys[key] = "".join(near)
    return near_keys


def typos(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Mistypes a fraction p of the letters: the key beside it, left out, doubled, or swapped with the next.

    Keys are those of QWERTY; letters of other scripts are left out, doubled or swapped. Case is kept. One edit
    per letter.

    Examples:
        >>> TYPOS(np.array(["one keystroke too many"]), 0.3, np.random.default_rng(0)).tolist()
        ['onnee keystroek tooo mmayn']
    """
    turns, kinds, picks = rng.random(len(text)), rng.integers(0, 4, len(text)), rng.random(len(text))
    return [
        mistyped(text, index, int(kinds[index]), float(picks[index]), float(turns[index]))
        for index in range(len(text))
        if text[index].isalpha()
    ]


def mistyped(text: str, index: int, kind: int, pick: float, turn: float) -> TextEdit:
    """The edit of one letter: kind 0 another key, 1 left out, 2 doubled, 3 swapped with the next letter."""
    letter = text[index]
    keys = neighbours().get(letter.lower(), "")
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
    turns = rng.random(len(text))
    return [
        TextEdit(index, index + 1, LOOKALIKES[character], float(turns[index]))
        for index, character in enumerate(text)
        if character in LOOKALIKES
    ]


def case(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Flips a fraction p of the letters between upper and lower case; scripts without case stay."""
    turns = rng.random(len(text))
    return [
        TextEdit(index, index + 1, character.swapcase(), float(turns[index]))
        for index, character in enumerate(text)
        if character.swapcase() != character
    ]


def whitespace(text: str, rng: np.random.Generator) -> list[TextEdit]:
    """Disturbs a fraction p of the gaps and words: a gap is lost or doubled, a word split in two."""
    edits = []
    for gap in GAPS.finditer(text):
        lost = rng.random() < 0.5
        edits.append(TextEdit(gap.start(), gap.end(), "" if lost else gap.group() * 2, rng.random()))
    for word in SPLITTABLE.finditer(text):
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
    words = list(WORDS.finditer(text))
    turns = rng.random(len(words))
    ends = [*(word.start() for word in words[1:]), words[-1].end()] if words else []
    last = int(turns.argmax()) if words else -1  # the one whose turn would come last
    return [
        TextEdit(word.start(), end, "", float(turn))
        for index, (word, end, turn) in enumerate(zip(words, ends, turns, strict=True))
        if index != last
    ]


TYPOS = EditFunction(typos)
OCR = EditFunction(ocr)
CASE = EditFunction(case)
WHITESPACE = EditFunction(whitespace)
PUNCTUATION = EditFunction(punctuation)
DROP_WORDS = EditFunction(drop_words)


@dataclass(frozen=True, kw_only=True)
class Synonyms(TextPerturbation):
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
            choices = self.mapping.get(word.group().lower())
            if choices:
                choice = choices[int(rng.random() * len(choices))]
                edits.append(TextEdit(word.start(), word.end(), in_case_of(word.group(), choice), rng.random()))
        return edits


def in_case_of(word: str, synonym: str) -> str:
    """``synonym`` capitalised as ``word`` is."""
    if len(word) > 1 and word.isupper():
        return synonym.upper()
    return synonym[:1].upper() + synonym[1:] if word[:1].isupper() else synonym
