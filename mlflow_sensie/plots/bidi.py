"""Marked lines in right-to-left scripts: their parts in the order in which they stand from left to right."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

from mlflow_sensie.plots.text_diff import Run

MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")
SIDES = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N"}


def in_visual_order(runs: Sequence[Run]) -> list[Run]:
    """The parts of a line as they follow each other from left to right, split where the direction changes.

    After the Unicode bidirectional algorithm (UAX #9) without its explicit marks, which are never shown. Letters
    within a part are left in reading order: matplotlib turns them, from 3.11 on; without that nothing is changed.
    """
    letters = [(letter, k) for k, (text, _) in enumerate(runs) for letter in text or " "]
    sides = [SIDES.get(unicodedata.bidirectional(letter), "") for letter, _ in letters]
    if len(runs) < 2 or "R" not in sides or not _turns_letters():
        return list(runs)
    base = 1 if next(side for side in sides if side in ("L", "R")) == "R" else 0
    levels = _levels("".join(letter for letter, _ in letters), sides, base)
    parts = [
        (level, runs[k], "".join(letters[i][0] for i in places), [sides[i] for i in places])
        for (level, k), group in groupby(range(len(letters)), key=lambda i: (levels[i], letters[i][1]))
        for places in [list(group)]
    ]
    order = list(range(len(parts)))
    for least in range(max(levels), 0, -1):
        order = _turned(order, [parts[k][0] >= least for k in order])
    return [_drawn(*parts[k]) for k in order]


def _levels(text: str, sides: list[str], base: int) -> list[int]:
    """The level of each letter: odd ones run to the left; numbers in right-to-left text are level 2."""
    known = list(sides)
    for i in range(1, len(text) - 1):  # 12.5 and 10:30 are one number
        if sides[i] == "" and text[i] in ".,:/" and known[i - 1] == "N" and sides[i + 1] == "N":
            known[i] = "N"
    strong = "R" if base else "L"
    for i, side in enumerate(known):  # a number after a left-to-right letter is part of that text
        strong = side if side in ("L", "R") else strong
        known[i] = "L" if side == "N" and strong == "L" else side
    level = {"L": 2 * base, "R": 1, "N": 2}
    # what stands between two of one direction has it too, all else that of the line
    edge = "R" if base else "L"
    found = []
    for i, side in enumerate(known):
        if side:
            found.append(level[side])
            continue
        before = next((s for s in reversed(known[:i]) if s), edge).replace("N", "R")
        after = next((s for s in known[i:] if s), edge).replace("N", "R")
        found.append(level[before] if before == after else base)
    return found


def _turned(order: list[int], chosen: list[bool]) -> list[int]:
    """Reverse every stretch of chosen places."""
    turned: list[int] = []
    for high, group in groupby(zip(order, chosen, strict=True), key=lambda pair: pair[1]):
        places = [place for place, _ in group]
        turned += places[::-1] if high else places
    return turned


def _drawn(level: int, run: Run, text: str, sides: list[str]) -> Run:
    """A part as it is handed to matplotlib, which turns it only if it has a letter that runs to the left."""
    if not run[0]:
        return run
    return (text[::-1].translate(MIRRORED) if level == 1 and "R" not in sides else text), run[1]


def _turns_letters() -> bool:
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")
