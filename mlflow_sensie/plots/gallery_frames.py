"""Galleries of tables (a block per example, a row per column) and of texts (a row per magnitude), changes marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import partial
from itertools import groupby, takewhile
from operator import eq
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from bidi import algorithm as bidi

from mlflow_sensie.data.input_format import holds_arrays
from mlflow_sensie.data.survey import as_numbers, column_kind
from mlflow_sensie.plots import canvas, fonts, gallery
from mlflow_sensie.plots.canvas import GREY, INK, MARGIN, VERMILION, WIDTH
from mlflow_sensie.plots.gallery import CELL, HEAD, RISE, STEP, Paper
from mlflow_sensie.result.gallery import Gallery, series_of
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, TestResult

# A part of a text, and whether it changed; an empty one that did is where something was left out.
Run = tuple[str, bool]

TINT = "#fbdcc8"  # behind what changed
ROW = STEP + 0.035
ANSWER = 1.0  # inches of a text's answer and score
MOST_LINES = 2
COMPARED, AGAINST = 150, 600  # letters of the changed text, what two lines hold, and of the clean one
EARLY, AHEAD = 80, 40
LEFT_OUT, GAP = 0.03, "\u2009"  # inches of the mark where something was left out, and the narrow space it is drawn as
SPACED: list[Run] = [(" ", False)]
SPACE = "␣"  # shown where white space itself changed
TURNED = ("R", "AL")  # Unicode's classes of letters that run to the left

# --- tables --------------------------------------------------------------------------------------------------


def draw_tables(result: Result, test: TestResult, shown: Gallery) -> Figure:
    """Draw a small table per example: the columns that change most in rows, the magnitudes in columns."""
    lefts, width, heads, above = gallery.columns_of(test, shown)
    names = [fonts.shorten(fonts.legible(str(column)), HEAD - 0.08, CELL) for column in shown.columns]
    feet = ["score"] if shown.answers is None else ["model says", "score"]
    block = 0.24 + (len(names) + len(feet)) * ROW + 0.12
    phrases = gallery.phrases_of(shown, result.score, *_notes(shown))
    paper = Paper.of(test, phrases, above + len(shown.ids) * block)
    for x, lines in zip([MARGIN, *lefts], heads, strict=True):
        paper.write(x, paper.top, lines)
    texts = {column: cell_texts(shown, column) for column in shown.columns}
    for i in range(len(shown.ids)):
        top = paper.top - above - i * block
        _block_head(paper, shown, i, top)
        top, foot = top - 0.24, top - 0.26 - len(names) * ROW
        paper.write(MARGIN, top, [(name, INK, "column") for name in names], ROW)
        paper.write(MARGIN, foot, [(name, GREY, "row") for name in feet], ROW)
        for k, x in enumerate(lefts):
            cells = [(texts[column][k][i], bool(shown.changed(k, column)[i])) for column in shown.columns]
            _draw_cells(paper, cells, x, top, width)
            paper.write(x, foot, gallery.answer_lines(shown, result.score, k, i, width - 0.06), ROW)
    return canvas.finish(paper.figure)


def _notes(shown: Gallery) -> list[str]:
    first = shown.inputs[0]
    frame = first if isinstance(first, pd.DataFrame) else pd.DataFrame()
    arrays = [name for name in frame.columns if holds_arrays(frame[name])]
    every = len(frame.columns) - len(arrays)
    some = f"the {len(shown.columns)} of {every} columns that change most"
    without = "columns of arrays are left out"
    return [*([some] if len(shown.columns) < every else []), *([without] if arrays else []), "tinted: changed"]


def _block_head(paper: Paper, shown: Gallery, i: int, top: float) -> None:
    """Name the example over its table or text."""
    paper.line([MARGIN, WIDTH - MARGIN], [top - 0.01, top - 0.01])
    head = f"{gallery.example_name(shown, i)}, true: {gallery.label_text(shown.truths[i])}"
    paper.write(MARGIN, top - 0.045, [(fonts.shorten(head, WIDTH - 2 * MARGIN, CELL, "bold"), INK, "heading")])


def _draw_cells(paper: Paper, cells: Sequence[Run], x: float, y: float, width: float) -> None:
    """Write the cells of a column below each other, those that changed on a tint."""
    for j, (_, changed) in enumerate(cells):
        if changed:
            paper.box(x - 0.02, y - j * ROW - STEP, width - 0.03, ROW - 0.015, facecolor=TINT)
    styles = {True: (INK, "changed"), False: (GREY, "cell")}
    paper.write(x, y, [(fonts.shorten(text, width - 0.06, CELL), *styles[changed]) for text, changed in cells], ROW)


def cell_texts(shown: Gallery, column: Any) -> list[list[str]]:
    """Write the cells of a column, per magnitude: numbers alike, dates as dates, all else as text."""
    batches = [batch[column] for batch in shown.inputs if isinstance(batch, pd.DataFrame)]
    if any(column_kind(cells) not in ("numeric", "integer") for cells in batches):
        return [[_cell_text(cell) for cell in cells] for cells in batches]
    numbers = np.stack([as_numbers(cells) for cells in batches])
    moves = np.abs(numbers - numbers[shown.clean])
    finite, moves = numbers[np.isfinite(numbers)], moves[np.isfinite(moves)]
    # Whole ones are written by 1, others by a hundredth of how far they move, or in three digits.
    step = 1.0 if (finite == np.round(finite)).all() else None
    if step is None and moves.any():
        step = float(max(moves.max() / 100, np.abs(finite).max() / 1e5))
    write = partial(words.number, step=step, zeros=step is not None)
    return [["missing" if np.isnan(x) else write(float(x)) for x in values] for values in numbers]


def _cell_text(cell: Any) -> str:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return "missing"
    if isinstance(cell, pd.Timestamp):
        return cell.strftime("%Y-%m-%d" if cell == cell.normalize() else "%Y-%m-%d %H:%M")
    return fonts.legible(str(cell)) or "''"


# --- texts ---------------------------------------------------------------------------------------------------


def draw_texts(result: Result, test: TestResult, shown: Gallery) -> Figure:
    """Draw a block per text: a row per magnitude, what differs from the clean text marked."""
    # Letters may be drawn at whole pixels.
    room = 0.97 * (WIDTH - 2 * MARGIN - HEAD - ANSWER - 0.1)
    heads = gallery.heads_of(shown, test.unit, HEAD - 0.06)
    least = 1 if shown.answers is None else 2
    blocks = []
    for i in range(len(shown.ids)):
        lines = [lines_of(runs, room, CELL, MOST_LINES) for runs in excerpts(texts_of(shown, i), shown.clean)]
        heights = [STEP * max(least, len(below), len(head)) + 0.06 for below, head in zip(lines, heads, strict=True)]
        blocks.append(list(zip(heads, lines, heights, strict=True)))
    body = sum(0.26 + sum(height for _, _, height in block) + 0.06 for block in blocks)
    note = "marked: changed, or left out (narrow mark)"
    paper = Paper.of(test, gallery.phrases_of(shown, result.score, note), body)
    y = paper.top
    for i, block in enumerate(blocks):
        _block_head(paper, shown, i, y)
        y -= 0.26
        for k, (head, runs_by_line, height) in enumerate(block):
            paper.write(MARGIN, y, head)
            for j, runs in enumerate(runs_by_line):
                _draw_marked(paper, MARGIN + HEAD, y - j * STEP, runs)
            paper.write(WIDTH - MARGIN - ANSWER, y, gallery.answer_lines(shown, result.score, k, i, ANSWER))
            y -= height
        y -= 0.06
    return canvas.finish(paper.figure)


def texts_of(shown: Gallery, i: int) -> list[str]:
    """Give one example's text at each magnitude; a missing one is empty."""
    cells = [series_of(batch, shown.columns[0] if shown.columns else None).iloc[i] for batch in shown.inputs]
    return ["" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell) for cell in cells]


def _draw_marked(paper: Paper, x: float, y: float, runs: Sequence[Run]) -> None:
    """Write a line of marked text; its parts are placed when it is drawn, for only then their widths are known."""
    from matplotlib.offsetbox import HPacker, TextArea

    plain = {"color": INK, "size": CELL}
    mark = {"boxstyle": "square,pad=0", "facecolor": TINT, "edgecolor": VERMILION, "linewidth": 0.5}
    parts: list[Artist] = []
    for text, changed in in_visual_order(runs):
        parts.append(TextArea(text or GAP, textprops={**plain, "bbox": mark} if changed else plain))
        parts[-1].get_children()[0].set_label("changed" if changed else "text")
    line = HPacker(pad=0, sep=0, align="baseline", children=parts)
    line.set_offset(lambda *box: (x * paper.figure.dpi, (y - RISE) * paper.figure.dpi))
    paper.figure.add_artist(line)


# --- what changed --------------------------------------------------------------------------------------------


def excerpts(texts: Sequence[str], clean: int) -> list[list[Run]]:
    """Mark what differs from the clean text, the one at that position, from shortly before the first change on."""
    alike = (sum(takewhile(bool, map(eq, texts[clean], text))) for text in texts if text != texts[clean])
    first = min(alike, default=0)
    start = 0 if first < EARLY else texts[clean].rfind(" ", 0, first - AHEAD) + 1
    head = [("… ", False)] if start else []
    return [[*head, *marked(texts[clean][start:], text[start:])] for text in texts]


def marked(before: str, after: str) -> list[Run]:
    """Split the beginning of a text into what it shares with another one and what it does not."""
    new = after[:COMPARED]
    changed, gaps = _changes(before[:AGAINST], new)
    for word in re.finditer(r"\w+", new):  # of a word that mostly changed, all
        if sum(changed[word.start() : word.end()]) * 2 > len(word.group()):
            changed[word.start() : word.end()] = [True] * len(word.group())
    if new != after:  # what follows is compared no more
        gaps.discard(len(new))
    runs: list[Run] = []
    for k, letter in enumerate([*new, ""]):
        if k in gaps and not any(changed[max(k - 1, 0) : k + 1]):
            runs.append(("", True))
        if letter:
            runs.append((letter, changed[k]))
    return _joined(runs if new == after else [*runs, (" …", False)])


def _changes(old: str, new: str) -> tuple[list[bool], set[int]]:
    """Give which letters of ``new`` are not those of ``old``, and before which ones some of ``old`` are left out."""
    changed, gaps = [False] * len(new), set()
    operations = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, i, _, start, stop in operations:
        if tag == "delete":
            # rather whole words than ends and beginnings
            gaps.add(start + (new[start : start + 1] == old[i] == " "))
        elif tag != "equal":
            changed[start:stop] = [True] * (stop - start)
    for before, (tag, _, _, start, stop), after in zip(operations, operations[1:], operations[2:], strict=False):
        if tag == "equal" and stop - start == 1 and {before[0], after[0]} == {"insert", "delete"}:
            changed[start] = not new[start].isspace()  # two letters that changed places
    return changed, gaps


def lines_of(runs: Sequence[Run], inches: float, size: float, most: int) -> list[list[Run]]:
    """Break marked text into at most so many lines of a width, legible; what does not fit ends in "…"."""
    lines: list[list[Run]] = [[]]
    used, dots, spaced = 0.0, fonts.width(" …", size), False
    for word in _words(runs, inches - dots, size):
        if word == SPACED:
            spaced = True
            continue
        wide = _width([*SPACED, *word] if spaced and lines[-1] else word, size)
        if lines[-1] and used + wide > inches - (dots if len(lines) == most else 0):
            if len(lines) == most:
                lines[-1].append((" …", False))
                break
            lines.append([])
            used, wide = 0.0, _width(word, size)
        lines[-1] += [*SPACED, *word] if spaced and lines[-1] else word
        used, spaced = used + wide, False
    return [_joined(line) for line in lines]


def _width(runs: Sequence[Run], size: float) -> float:
    """Measure marked text that is legible, in inches."""
    return sum(fonts.width(text, size) if text else LEFT_OUT for text, _ in runs)


def _words(runs: Sequence[Run], inches: float, size: float) -> Iterator[list[Run]]:
    """Yield spaces, and unbreakable pieces, each at most a line wide."""
    word: list[Run] = []
    for letter in _letters(runs):
        if word and (letter in SPACED or word == SPACED or _width([*word, letter], size) > inches):
            yield word
            word = []
        word.append(letter)
    yield word


def _letters(runs: Sequence[Run]) -> Iterator[Run]:
    """Yield the letters as they can be drawn; white space that changed gets a sign of its own."""
    for text, changed in runs:
        if not text:
            yield "", True
        for letter in text:
            drawn = (SPACE if changed else " ") if letter.isspace() else fonts.legible(letter)
            if drawn:
                yield drawn, changed


def _joined(line: Sequence[Run]) -> list[Run]:
    """Join neighbours that are alike."""
    alike = groupby(line, lambda run: (bool(run[0]), run[1]))
    return [("".join(text for text, _ in group), changed) for (_, changed), group in alike]


def in_visual_order(runs: Sequence[Run]) -> list[Run]:
    """Give the parts of a line as they follow each other from left to right, split where the direction changes.

    By the Unicode bidirectional algorithm (UAX #9). Letters within a part are left in reading order: matplotlib
    turns them, from 3.11 on; without that nothing is changed.
    """
    text, origins = "".join(part or " " for part, _ in runs), [k for k, run in enumerate(runs) for _ in run[0] or " "]
    if len(runs) < 2 or not _turns_letters() or not any(unicodedata.bidirectional(c) in TURNED for c in text):
        return list(runs)
    ordered: list[Run] = []
    for (k, level), group in groupby(_ordered(text), key=lambda letter: (origins[letter["place"]], letter["level"])):
        letters = list(group)
        part = "".join(letter["ch"] for letter in letters)
        if level % 2 and any(letter["orig"] in TURNED for letter in letters):  # matplotlib turns it
            part = "".join(text[letter["place"]] for letter in reversed(letters))
        ordered.append((part if runs[k][0] else "", runs[k][1]))
    return ordered


def _ordered(text: str) -> list[dict[str, Any]]:
    """Give the letters of a line from left to right, each with its level, its place in the text, and mirrored."""
    level = bidi.get_base_level(text)
    storage = {**bidi.get_empty_storage(), "base_level": level, "base_dir": "LR"[level]}
    bidi.get_embedding_levels(text, storage)
    for place, letter in enumerate(storage["chars"]):
        letter["place"] = place
    bidi.explicit_embed_and_overrides(storage)
    bidi.resolve_weak_types(storage)
    for name in ("resolve_neutral_types", "resolve_implicit_levels", "reorder_resolved_levels", "apply_mirroring"):
        getattr(bidi, name)(storage, False)
    letters: list[dict[str, Any]] = storage["chars"]
    return letters


def _turns_letters() -> bool:
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")
