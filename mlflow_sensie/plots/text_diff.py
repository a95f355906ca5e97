"""Texts with what changed in them marked: compared, cut to where it begins, and broken into lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.plots import fonts

# A part of a text, and whether it changed; an empty one that did is where something was left out.
Run = tuple[str, bool]

COMPARED, AGAINST = 150, 2000  # letters of the changed text, what two lines hold, and of the clean one
EARLY, AHEAD = 80, 40
LEFT_OUT = 0.03  # inches of the mark where something was left out
SAME, COME, GONE = 0, 1, 2
OTHER, OPEN, LONGER = 6, 6, 2  # what another letter costs, one come or left out, and each further one of these
SPACE = "␣"  # shown where white space itself changed


def excerpts(texts: Sequence[str], clean: int) -> list[list[Run]]:
    """Mark what differs from the clean text, the one at that position, from shortly before the first change on."""
    start = _start(texts, clean)
    head = [("… ", False)] if start else []
    return [[*head, *marked(texts[clean][start:], text[start:])] for text in texts]


def _start(texts: Sequence[str], clean: int) -> int:
    """Where to begin: at a word somewhat before the first change, or at the beginning if that is close."""
    first = min((_shared(texts[clean], text) for text in texts if text != texts[clean]), default=0)
    return 0 if first < EARLY else texts[clean].rfind(" ", 0, first - AHEAD) + 1


def _shared(a: str, b: str) -> int:
    """How many letters two texts begin with alike."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def marked(before: str, after: str) -> list[Run]:
    """Split the beginning of a text into what it shares with another one and what it does not."""
    new = after[:COMPARED]
    changed, gaps = aligned(before[:AGAINST], new, whole=new == after)
    for word in re.finditer(r"\w+", new):  # of a word that mostly changed, all
        if sum(changed[word.start() : word.end()]) * 2 > len(word.group()):
            changed[word.start() : word.end()] = [True] * len(word.group())
    runs: list[Run] = []
    for k, letter in enumerate([*new, ""]):
        if k in gaps and not any(changed[max(k - 1, 0) : k + 1]):
            runs.append(("", True))
        if letter:
            runs.append((letter, changed[k]))
    return _joined(runs if new == after else [*runs, (" …", False)])


def aligned(old: str, new: str, *, whole: bool) -> tuple[list[bool], set[int]]:
    """Turn ``old`` into ``new`` at the least cost of letters changed, come or left out, runs of them being cheap.

    Gives which letters of ``new`` changed or came, and before which ones some are left out. What follows in
    ``old`` after all of ``new`` counts only if both are ``whole``. As Gotoh (1982,
    doi:10.1016/0022-2836(82)90398-9).
    """
    costs = _costs(old, new)
    i, j = len(new), len(old) if whole else int(costs[:, -1].min(axis=0).argmin())
    state = int(costs[:, i, j].argmin())
    changed, gaps = [True] * len(new), set()
    while i or j:
        last, step = costs[state, i, j], state
        i, j = i - (step != GONE), j - (step != COME)
        if step == GONE:
            gaps.add(i)
        elif step == SAME:
            changed[i] = old[j] != new[i]
        goes_on = step != SAME and costs[step, i, j] + LONGER == last
        state = step if goes_on else int(costs[:, i, j].argmin())
    return changed, gaps


def _costs(old: str, new: str) -> NDArray[np.int64]:
    """The least cost of each pair of beginnings, by what happened to the last letters: set side by side, come, gone."""
    letters, steps = np.array(list(old), dtype="<U1"), LONGER * np.arange(len(old) + 1)
    costs = np.full((3, len(new) + 1, len(old) + 1), 10**9)
    costs[SAME, 0, 0] = 0
    costs[GONE, 0, 1:] = OPEN + steps[:-1]
    for i, letter in enumerate(new):
        best = costs[:, i].min(axis=0)
        costs[SAME, i + 1, 1:] = best[:-1] + OTHER * (letters != letter)
        costs[COME, i + 1] = np.minimum(best + OPEN, costs[COME, i] + LONGER)
        before = costs[:, i + 1].min(axis=0)
        opening = OPEN - letter.isspace()  # rather whole words than ends and beginnings
        costs[GONE, i + 1, 1:] = np.minimum.accumulate(before - steps)[:-1] + opening + steps[:-1]
    return costs


# --- lines ---------------------------------------------------------------------------------------------------


def lines_of(runs: Sequence[Run], inches: float, size: float, most: int) -> list[list[Run]]:
    """Break marked text into at most so many lines of a width, legible; what does not fit ends in "…"."""
    lines: list[list[Run]] = [[]]
    used, space, dots = 0.0, fonts.width(" ", size), fonts.width(" …", size)
    for word, spaced in _words(runs, inches - dots, size):
        wide = width_of(word, size)
        gap = space if spaced and lines[-1] else 0.0
        room = inches - (dots if len(lines) == most else 0)
        if lines[-1] and used + gap + wide > room:
            if len(lines) == most:
                lines[-1].append((" …", False))
                break
            lines.append([])
            used = gap = 0.0
        lines[-1] += [(" ", False), *word] if gap else word
        used += gap + wide
    return [_joined(line) for line in lines]


def width_of(runs: Sequence[Run], size: float) -> float:
    """Measure marked text that is legible, in inches."""
    return sum(fonts.width(text, size) if text else LEFT_OUT for text, _ in runs)


def _words(runs: Sequence[Run], inches: float, size: float) -> Iterator[tuple[list[Run], bool]]:
    """Yield unbreakable pieces, each at most a line wide, and whether a space stands before."""
    word: list[Run] = []
    spaced, used = False, 0.0
    for letter, changed in _letters_of(runs):
        plain = letter == " " and not changed
        wide = width_of([(letter, changed)], size)
        if word and (plain or used + wide > inches):
            yield word, spaced
            word, spaced, used = [], False, 0.0
        if plain:
            spaced = True
        else:
            word.append((letter, changed))
            used += wide
    if word:
        yield word, spaced


def _letters_of(runs: Sequence[Run]) -> Iterator[Run]:
    """Yield the letters as they can be drawn; white space that changed gets a sign of its own."""
    for text, changed in runs:
        if not text:
            yield "", True
        for letter in text:
            shown = (SPACE if changed else " ") if letter.isspace() else fonts.legible(letter)
            if shown:
                yield shown, changed


def _joined(line: Sequence[Run]) -> list[Run]:
    """Join neighbours that are alike."""
    alike = groupby(line, lambda run: (bool(run[0]), run[1]))
    return [("".join(text for text, _ in group), changed) for (_, changed), group in alike]
