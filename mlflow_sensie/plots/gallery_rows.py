"""Galleries of tables (a block per example, a row per column) and of texts (a row per magnitude)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.input_format import holds_arrays
from mlflow_sensie.data.survey import as_numbers, column_kind
from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots import gallery_paper as sheet
from mlflow_sensie.plots.canvas import GREY, INK, MARGIN, WIDTH
from mlflow_sensie.plots.gallery_paper import CELL, HEAD, STEP, TINT, Paper
from mlflow_sensie.plots.text_diff import Run, excerpts, lines_of
from mlflow_sensie.result.gallery import Gallery
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

ROW = STEP + 0.035
ANSWER = 1.0  # inches of a text's answer and score
MOST_LINES = 2

# --- tables --------------------------------------------------------------------------------------------------


def draw_tables(result: Result, test: TestResult, gallery: Gallery) -> Figure:
    """Draw a small table per example: the columns that change most in rows, the magnitudes in columns."""
    lefts, width = sheet.columns_of(len(gallery.magnitudes))
    rows = len(gallery.columns) + (1 if gallery.answers is None else 2)
    block = 0.24 + rows * ROW + 0.12
    body = sheet.heads_height(test, gallery, width) + len(gallery.ids) * block
    paper = Paper.of(test, sheet.phrases_of(gallery, result.score, *_notes(gallery)), body)
    top = sheet.draw_heads(paper, test, gallery, lefts, width)
    texts = {column: cell_texts(gallery, column) for column in gallery.columns}
    for i in range(len(gallery.ids)):
        _block_head(paper, gallery, i, top)
        y = top - 0.24
        for column in gallery.columns:
            name = fonts.shorten(fonts.legible(str(column)), HEAD - 0.08, CELL)
            paper.put(MARGIN, y, name, color=INK, label="column")
            for k, x in enumerate(lefts):
                _cell(paper, texts[column][k][i], bool(gallery.changed(k, column)[i]), x, y, width)
            y -= ROW
        _answers(paper, result.score, gallery, i, lefts, y - 0.02, width)
        top -= block
    return canvas.finish(paper.figure)


def _notes(gallery: Gallery) -> list[str]:
    first = gallery.inputs[0]
    frame = first if isinstance(first, pd.DataFrame) else pd.DataFrame()
    arrays = [name for name in frame.columns if holds_arrays(frame[name])]
    every = len(frame.columns) - len(arrays)
    some = f"the {len(gallery.columns)} of {every} columns that change most"
    without = "columns of arrays are left out"
    return [*([some] if len(gallery.columns) < every else []), *([without] if arrays else []), "tinted: changed"]


def _block_head(paper: Paper, gallery: Gallery, i: int, top: float) -> None:
    """Name the example over its table."""
    paper.line([MARGIN, WIDTH - MARGIN], [top - 0.01, top - 0.01])
    true = f"{sheet.example_name(gallery, i)}, true: {sheet.label_text(gallery.truths[i])}"
    shown = fonts.shorten(true, WIDTH - 2 * MARGIN, CELL, "bold")
    paper.put(MARGIN, top - 0.045, shown, color=INK, label="heading")


def _cell(paper: Paper, text: str, changed: bool, x: float, y: float, width: float) -> None:
    if changed:
        paper.box(x - 0.02, y - STEP, width - 0.03, ROW - 0.015, facecolor=TINT)
    shown = fonts.shorten(text, width - 0.06, CELL)
    paper.put(x, y, shown, color=INK if changed else GREY, label="changed" if changed else "cell")


def _answers(
    paper: Paper, score: ScoreInfo, gallery: Gallery, i: int, lefts: Sequence[float], y: float, width: float
) -> None:
    """Write the model's answer and the score under each column."""
    if gallery.answers is not None:
        paper.put(MARGIN, y, "model says", color=GREY, label="row")
        for k, x in enumerate(lefts):
            text = fonts.shorten(sheet.answer_text(gallery, k, i), width - 0.06, CELL)
            paper.put(x, y, text, **sheet.answer_style(gallery, k, i))
        y -= ROW
    paper.put(MARGIN, y, "score", color=GREY, label="row")
    for k, x in enumerate(lefts):
        text = fonts.shorten(sheet.score_text(gallery, score, k, i), width - 0.06, CELL)
        paper.put(x, y, text, color=INK, label="score")


def cell_texts(gallery: Gallery, column: Any) -> list[list[str]]:
    """Write the cells of a column, per magnitude: numbers alike, dates as dates, all else as text."""
    batches = [batch[column] for batch in gallery.inputs if isinstance(batch, pd.DataFrame)]
    if any(column_kind(cells) not in ("numeric", "integer") for cells in batches):
        return [[_plain(cell) for cell in cells] for cells in batches]
    numbers = np.stack([as_numbers(cells) for cells in batches])
    step = _step(numbers, gallery.clean)
    return [[_number(x, step) for x in values] for values in numbers]


def _step(numbers: NDArray[np.float64], clean: int) -> float | None:
    """The step to write numbers in: whole ones by 1, others by a hundredth of how far they move, or in three digits."""
    known = numbers[np.isfinite(numbers)]
    if (known == np.round(known)).all():
        return 1.0
    moved = np.abs(numbers - numbers[clean])[np.isfinite(numbers - numbers[clean])]
    return float(max(moved.max() / 100, np.abs(known).max() / 1e5)) if moved.any() else None


def _number(x: float, step: float | None) -> str:
    return "missing" if np.isnan(x) else words.number(float(x), step, zeros=step is not None)


def _plain(cell: Any) -> str:
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return "missing"
    if isinstance(cell, pd.Timestamp):
        return cell.strftime("%Y-%m-%d" if cell == cell.normalize() else "%Y-%m-%d %H:%M")
    return fonts.legible(str(cell)) or "''"


# --- texts ---------------------------------------------------------------------------------------------------


def draw_texts(result: Result, test: TestResult, gallery: Gallery) -> Figure:
    """Draw a block per text: a row per magnitude, what differs from the clean text marked."""
    blocks = [_lines(gallery, i) for i in range(len(gallery.ids))]
    heads = sheet.head_lines(gallery, test.unit, HEAD - 0.06)
    least = 1 if gallery.answers is None else 2
    tall = [
        [STEP * max(least, len(lines), len(head)) + 0.06 for lines, head in zip(block, heads, strict=True)]
        for block in blocks
    ]
    body = sum(0.26 + sum(rows) + 0.06 for rows in tall)
    note = "marked: changed, or left out (narrow mark)"
    paper = Paper.of(test, sheet.phrases_of(gallery, result.score, note), body)
    y = paper.top
    for i, block in enumerate(blocks):
        _block_head(paper, gallery, i, y)
        y -= 0.26
        for k, lines in enumerate(block):
            _text_row(paper, y, heads[k], lines)
            _beside(paper, y, result.score, gallery, k, i)
            y -= tall[i][k]
        y -= 0.06
    return canvas.finish(paper.figure)


def _text_row(paper: Paper, y: float, head: Sequence[str], lines: Sequence[Sequence[Run]]) -> None:
    for j, line in enumerate(head):
        paper.put(MARGIN, y - j * STEP, line, label="heading" if line == "clean" else "head")
    for j, runs in enumerate(lines):
        paper.put_marked(MARGIN + HEAD, y - j * STEP, runs)


def _beside(paper: Paper, y: float, score: ScoreInfo, gallery: Gallery, k: int, i: int) -> None:
    """Write the model's answer and the score beside a text."""
    x = WIDTH - MARGIN - ANSWER
    answer = fonts.shorten(sheet.answer_text(gallery, k, i), ANSWER, CELL)
    paper.put(x, y, answer, **sheet.answer_style(gallery, k, i))
    y -= STEP if answer else 0
    paper.put(x, y, sheet.score_text(gallery, score, k, i), color=INK, label="score")


def texts_of(gallery: Gallery, i: int) -> list[str]:
    """Give one example's text at each magnitude; a missing one is empty."""
    found = []
    for batch in gallery.inputs:
        cell = batch[gallery.columns[0]].iloc[i] if isinstance(batch, pd.DataFrame) else batch[i]
        found.append("" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell))
    return found


def _lines(gallery: Gallery, i: int) -> list[list[list[Run]]]:
    """One example's lines at each magnitude."""
    inches = WIDTH - 2 * MARGIN - HEAD - ANSWER - 0.1
    room = 0.97 * inches  # letters may be drawn at whole pixels
    return [lines_of(runs, room, CELL, MOST_LINES) for runs in excerpts(texts_of(gallery, i), gallery.clean)]
