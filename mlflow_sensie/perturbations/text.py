"""Perturbations of text: characters and words hit at a rate; the draws are shared by all magnitudes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from mlflow_sensie.perturbations.text_edits import TextEdit, TextPerturbation

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
    found = {}
    for row, keys in enumerate(KEY_ROWS):
        for column, key in enumerate(keys):
            near = [keys[c] for c in (column - 1, column + 1) if 0 <= c < len(keys)]
            # each row starts half a key further right than the one above
            for other, columns in ((row - 1, (column, column + 1)), (row + 1, (column - 1, column))):
                if 0 <= other < len(KEY_ROWS):
                    near += [KEY_ROWS[other][c] for c in columns if 0 <= c < len(KEY_ROWS[other])]
            found[key] = "".join(near)
    return found


def words(text: str) -> list[re.Match[str]]:
    """The runs of characters that are no whitespace."""
    return list(WORDS.finditer(text))


@dataclass(frozen=True, kw_only=True)
class Typos(TextPerturbation):
    """Mistypes a fraction p of the letters: the key beside it, left out, doubled, or swapped with the next.

    Keys are those of QWERTY; letters of other scripts are left out, doubled or swapped. Case is kept.
    """

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per letter."""
        turns, kinds, picks = rng.random(len(text)), rng.integers(0, 4, len(text)), rng.random(len(text))
        return [
            mistyped(text, index, int(kinds[index]), float(picks[index]), float(turns[index]))
            for index in range(len(text))
            if text[index].isalpha()
        ]


def mistyped(text: str, index: int, kind: int, pick: float, turn: float) -> TextEdit:
    """The strike on one letter: kind 0 another key, 1 left out, 2 doubled, 3 swapped with the next letter."""
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


@dataclass(frozen=True, kw_only=True)
class Ocr(TextPerturbation):
    """Misreads a fraction p of the characters that have a lookalike: o as 0, l as 1, m as rn; others stay."""

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per character that has a lookalike."""
        turns = rng.random(len(text))
        return [
            TextEdit(index, index + 1, LOOKALIKES[character], float(turns[index]))
            for index, character in enumerate(text)
            if character in LOOKALIKES
        ]


@dataclass(frozen=True, kw_only=True)
class Case(TextPerturbation):
    """Flips a fraction p of the letters between upper and lower case; scripts without case stay."""

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per letter that has another case."""
        turns = rng.random(len(text))
        return [
            TextEdit(index, index + 1, character.swapcase(), float(turns[index]))
            for index, character in enumerate(text)
            if character.swapcase() != character
        ]


@dataclass(frozen=True, kw_only=True)
class Whitespace(TextPerturbation):
    """Disturbs a fraction p of the gaps and words: a gap is lost or doubled, a word split in two."""

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per gap and per word that can be split."""
        found = []
        for gap in GAPS.finditer(text):
            lost = rng.random() < 0.5
            found.append(TextEdit(gap.start(), gap.end(), "" if lost else gap.group() * 2, rng.random()))
        for word in SPLITTABLE.finditer(text):
            place = word.start() + 1 + int(rng.random() * (len(word.group()) - 1))
            found.append(TextEdit(place, place, " ", rng.random()))
        return sorted(found, key=lambda strike: strike.start)


@dataclass(frozen=True, kw_only=True)
class Punctuation(TextPerturbation):
    """Disturbs a fraction p of the marks (,.;:!?) and words: a mark is lost or another, a word gets one."""

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per mark, and per word that does not end in one."""
        found = []
        for index, character in enumerate(text):
            mark, lost, turn = MARKS[int(rng.integers(len(MARKS)))], rng.random() < 0.5, rng.random()
            last = index + 1 == len(text) or text[index + 1].isspace()
            if character in MARKS:
                other = mark if mark != character else MARKS[(MARKS.index(mark) + 1) % len(MARKS)]
                found.append(TextEdit(index, index + 1, "" if lost else other, turn))
            elif last and character.isalnum():
                found.append(TextEdit(index + 1, index + 1, mark, turn))
        return found


@dataclass(frozen=True, kw_only=True)
class DropWords(TextPerturbation):
    """Leaves out a fraction p of the words, with the gap after them; one word always stays."""

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per word, but for the one whose turn would come last."""
        found = words(text)
        turns = rng.random(len(found))
        kept = int(turns.argmax()) if found else -1
        result = []
        for index, word in enumerate(found):
            if index == kept:
                continue
            last = index + 1 == len(found)
            stop = word.end() if last else found[index + 1].start()
            result.append(TextEdit(word.start(), stop, "", float(turns[index])))
        return result


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

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """One strike per word that has a synonym."""
        found = []
        for word in re.finditer(r"\w+", text):
            choices = self.mapping.get(word.group().lower())
            if choices:
                choice = choices[int(rng.random() * len(choices))]
                found.append(TextEdit(word.start(), word.end(), in_case_of(word.group(), choice), rng.random()))
        return found


def in_case_of(word: str, synonym: str) -> str:
    """``synonym`` capitalised as ``word`` is."""
    if len(word) > 1 and word.isupper():
        return synonym.upper()
    return synonym[:1].upper() + synonym[1:] if word[:1].isupper() else synonym
