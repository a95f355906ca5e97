"""The figure of a gallery: a few examples at several magnitudes each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots import gallery_paper as sheet
from mlflow_sensie.plots.canvas import BLUE, GREEN, INK, MARGIN, PALE, VERMILION
from mlflow_sensie.plots.gallery_paper import CELL, HEAD, STEP, Paper
from mlflow_sensie.plots.gallery_rows import draw_tables, draw_texts
from mlflow_sensie.result.gallery import Gallery

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

TALLEST = 1.3
CHANNELS = ((BLUE, "-"), (GREEN, "--"), (INK, ":"))


def draw_gallery(result: Result, gallery: Gallery) -> Figure:
    """Draw the examples at each magnitude: images, lines, tables or texts, with the model's answers and scores."""
    test = result.tests[gallery.test]
    draw = {"tabular": draw_tables, "text": draw_texts}.get(gallery.input_format.kind, draw_grid)
    return draw(result, test, gallery)


# --- images and series ---------------------------------------------------------------------------------------


def draw_grid(result: Result, test: TestResult, gallery: Gallery) -> Figure:
    """Draw a row per example and a column per magnitude, of images or small lines."""
    lefts, width = sheet.columns_of(len(gallery.magnitudes))
    tall = _height(gallery, width - 0.06)
    below = STEP * (1 if gallery.answers is None else 2) + 0.13
    body = sheet.heads_height(test, gallery, width) + len(gallery.ids) * (tall + below)
    paper = Paper.of(test, sheet.phrases_of(gallery, result.score, *_notes(gallery)), body)
    top = sheet.draw_heads(paper, test, gallery, lefts, width)
    draw = _draw_image if gallery.pictures else _draw_series
    most = int((tall + below) / STEP) - 1
    for i in range(len(gallery.ids)):
        for j, (line, colour) in enumerate(sheet.row_head(gallery, i, HEAD - 0.08, most)):
            paper.put(MARGIN, top - j * STEP, line, color=colour, label="example")
        for k, x in enumerate(lefts):
            draw(paper, gallery, k, i, (x, top - tall, width - 0.06, tall))
            _write_below(paper, result.score, gallery, k, i, x, top - tall - 0.04, width - 0.06)
        top -= tall + below
    return canvas.finish(paper.figure)


def _height(gallery: Gallery, width: float) -> float:
    if not gallery.pictures:
        return 0.75 * width
    height, across = gallery.pictures[0].shape[1:3]
    return float(np.clip(width * height / across, 0.2, TALLEST))


def _notes(gallery: Gallery) -> Iterator[str]:
    """Say which column of several inputs and what of the channels is shown, and what the grey lines are."""
    shape = (*(gallery.input_format.shape or ()), 1)[:3]
    yield from (f"column {fonts.legible(str(name))}" for name in gallery.columns)
    if not gallery.pictures:
        yield "the clean series in grey"
        if shape[1] > len(CHANNELS):
            yield f"the first {len(CHANNELS)} of {shape[1]} channels"
        return
    channels = shape[0] if gallery.input_format.layout == "NCHW" else shape[2]
    if channels not in (1, 3):
        yield f"the mean of {channels} channels is shown"


Box = tuple[float, float, float, float]


def _draw_image(paper: Paper, gallery: Gallery, k: int, i: int, box: Box) -> None:
    picture = gallery.pictures[k][i]
    x, y, width, height = box
    across = min(width, height * picture.shape[1] / picture.shape[0])
    x += (width - across) / 2
    paper.axes.imshow(
        picture,
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(x, x + across, y, y + height),
        origin="upper",
        aspect="auto",
        interpolation="nearest" if max(picture.shape[:2]) <= 64 else "antialiased",
        interpolation_stage="rgba" if picture.ndim == 3 else "data",
        resample=True,
        zorder=1,
    )
    wrong = gallery.right(k, i) is False
    frame = {"edgecolor": VERMILION if wrong else PALE, "linewidth": 1.8 if wrong else 0.8}
    paper.box(x, y, across, height, zorder=2, **frame)


def _draw_series(paper: Paper, gallery: Gallery, k: int, i: int, box: Box) -> None:
    every = [_channels(batch[i]) for batch in gallery.inputs]
    seen = np.concatenate([values[np.isfinite(values)] for values in every])
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    x, y, width, height = box
    wrong = gallery.right(k, i) is False
    frame = {"edgecolor": VERMILION if wrong else PALE, "linewidth": 1.8 if wrong else 0.8}
    paper.box(x, y, width, height, **frame)

    def place(values: Any) -> tuple[Any, Any]:
        across = np.linspace(0.03, 0.97, len(values)) if len(values) > 1 else np.array([0.5])
        share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        return x + across * width, y + (0.06 + 0.88 * share) * height

    for values in every[gallery.clean].T:
        paper.line(*place(values), linewidth=1.0)
    for values, (colour, dash) in zip(every[k].T, CHANNELS, strict=False):
        paper.line(*place(values), color=colour, linestyle=dash, linewidth=1.0, zorder=3)


def _channels(series: Any) -> Any:
    """Give one series as (T, at most 3) floats."""
    values = np.asarray(series, dtype=np.float64)
    return (values[:, None] if values.ndim == 1 else values)[:, : len(CHANNELS)]


def _write_below(
    paper: Paper, score: ScoreInfo, gallery: Gallery, k: int, i: int, x: float, y: float, inches: float
) -> None:
    answer = fonts.shorten(sheet.answer_text(gallery, k, i), inches, CELL)
    paper.put(x, y, answer, **sheet.answer_style(gallery, k, i))
    y -= STEP if answer else 0
    paper.put(x, y, fonts.shorten(sheet.score_text(gallery, score, k, i), inches, CELL), color=INK, label="score")
