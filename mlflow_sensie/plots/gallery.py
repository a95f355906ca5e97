"""The figures of galleries: paper measured in inches that all share, and grids of images and of series."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, LINE, MARGIN, PALE, VERMILION, WIDTH
from mlflow_sensie.result.gallery import Gallery
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

HEAD, CELL = 0.86, 8.2  # inches of the rows' heads; points of what stands in cells
STEP, RISE = 0.146, 0.105  # inches from line to line in cells, and from a line's top to its letters' feet
WIDEST = 1.3
RIGHT, WRONG = "✓", "✗"
TALLEST = 1.3
CHANNELS = ((BLUE, "-"), (GREEN, "--"), (INK, ":"))
Box = tuple[float, float, float, float]  # left, bottom, width and height in inches


@dataclass(frozen=True)
class Paper:
    """A figure under its title, and axes over all of it in inches; ``top`` is where the drawing begins."""

    figure: Figure
    axes: Axes
    top: float

    @classmethod
    def of(cls, test: TestResult, phrases: Sequence[str], inches: float) -> Paper:
        """Start paper with room for a drawing so many inches high."""
        lines = fonts.pack(phrases, WIDTH - 2 * MARGIN, canvas.SUBTITLE)
        height = 0.45 + LINE * len(lines) + inches + MARGIN
        figure, top = canvas.sheet(fonts.name_of(test), phrases, height)
        axes = figure.add_axes((0, 0, 1, 1), label="paper")
        axes.set_axis_off()
        axes.set(xlim=(0, WIDTH), ylim=(0, height), autoscale_on=False)
        return cls(figure, axes, top)

    def put(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a text in the size of cells, its top left corner at (x, y)."""
        if text:
            canvas.put(self.figure, x, y - RISE, text, CELL, va="baseline", **style)

    def box(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """Draw a rectangle by its lower left corner."""
        from matplotlib.patches import Rectangle

        plain = {"facecolor": "none", "edgecolor": "none", "linewidth": 0.0, "linestyle": "-", "zorder": 1}
        self.axes.add_patch(Rectangle((x, y), width, height, **{**plain, **style}))

    def line(self, x: Any, y: Any, **style: Any) -> None:
        """Draw a line through points."""
        plain = {"color": PALE, "linewidth": 0.8, "linestyle": "-", "marker": "", "zorder": 2, "antialiased": True}
        self.axes.plot(x, y, **{**plain, **style})


def phrases_of(gallery: Gallery, score: ScoreInfo, *more: str) -> list[str]:
    """Say what is shown, in parts of a subtitle."""
    count, shown = len(gallery.ids), len(gallery.magnitudes)
    some = f"{shown} of the {gallery.tested}" if shown < gallery.tested else f"all {shown}"
    phrases = [f"the same {count} examples at {some} magnitudes tested", *more]
    if gallery.touched is not None and gallery.touched[0] < gallery.touched[1]:
        phrases.append(f"{gallery.touched[0]} of the first {gallery.touched[1]} examples change")
    if gallery.answers is not None:
        marks = f" ({RIGHT} right, {WRONG} wrong)" if gallery.labels else ""
        phrases.append(f"with the model's answer{marks} and score: {words.score_label(score)}")
    else:
        phrases.append(f"with the score: {words.score_label(score)}")
    if not gallery.repeated:
        phrases.append("asked again, the model gave other answers than in the test")
    return phrases


def head_lines(gallery: Gallery, unit: str, inches: float) -> list[list[str]]:
    """Name each magnitude with its unit, "20 degrees", in one line each or in more each; the neutral one is clean."""
    unit = fonts.legible(unit)
    heads = [[] if p is None else [words.quantity(unit, p)] for p in gallery.magnitudes]
    if any(fonts.width(text, CELL) > inches for lines in heads for text in lines):
        heads = [[] if p is None else _in_lines(words.number(p), unit, inches) for p in gallery.magnitudes]
    return [["clean", *lines] if k == gallery.clean else lines for k, lines in enumerate(heads)]


def _in_lines(number: str, unit: str, inches: float) -> list[str]:
    name = fonts.wrap(words.with_unit("", unit), inches, CELL, 3)
    return [*name, number] if unit in words.BEFORE else [number, *name]


def _name_lines(test: TestResult) -> list[str]:
    """The test's name, broken after dots and underscores."""
    parts = re.split(r"(?<=[._ -])", fonts.name_of(test))
    return fonts.pack(parts, HEAD - 0.06, CELL, "")[:3]


def heads_height(test: TestResult, gallery: Gallery, inches: float) -> float:
    """Give the inches that the heads take."""
    return STEP * max(map(len, [*head_lines(gallery, test.unit, inches - 0.06), _name_lines(test)])) + 0.06


def draw_heads(paper: Paper, test: TestResult, gallery: Gallery, lefts: Sequence[float], inches: float) -> float:
    """Head the columns: the test's name, then each magnitude with its unit; give where the heads end."""
    for j, line in enumerate(_name_lines(test)):
        paper.put(MARGIN, paper.top - j * STEP, line, color=GREY, label="test")
    for x, lines in zip(lefts, head_lines(gallery, test.unit, inches - 0.06), strict=True):
        for j, line in enumerate(lines):
            paper.put(x, paper.top - j * STEP, line, label="heading" if line == "clean" else "head")
    return paper.top - heads_height(test, gallery, inches)


def label_text(label: Any) -> str:
    """Write a class's label or a number; a missing answer is none."""
    if label is None:
        return "none"
    if isinstance(label, float | np.floating):
        return words.number(float(label))
    return fonts.legible(str(label)) or "''"


def write_answer(
    paper: Paper,
    gallery: Gallery,
    score: ScoreInfo,
    cell: tuple[int, int],
    place: tuple[float, float],
    inches: float,
    step: float = STEP,
) -> None:
    """Write a cell's answer, with a mark of whether it is right and coloured if not, and the score below it.

    ``cell`` is a magnitude and an example, ``place`` the inches of the top left corner, ``step`` those of a line.
    Only a custom score knows no answer: then the score stands in its place.
    """
    (k, i), (x, y) = cell, place
    if gallery.answers is not None:
        right, answer = gallery.right(k, i), label_text(gallery.answers[k][i])
        text = answer if right is None else f"{RIGHT if right else WRONG} {answer}"
        color = VERMILION if right is False else INK
        paper.put(x, y, fonts.shorten(text, inches, CELL), color=color, label="answer")
        y -= step
    paper.put(x, y, fonts.shorten(_score_text(gallery, score, k, i), inches, CELL), color=INK, label="score")


def _score_text(gallery: Gallery, score: ScoreInfo, k: int, i: int) -> str:
    """Write a score with two decimals."""
    y = float(gallery.scores[k, i])
    if not np.isfinite(y):
        return "no score"
    kind = KINDS.get(score.kind)
    plain = (kind is not None and kind.binary) or abs(y) >= 1000
    return words.number(y) if plain else f"{y:.2f}".replace("-0.00", "0.00").replace("-", "−")


def example_name(gallery: Gallery, i: int) -> str:
    """Name an example by what identifies it, its row."""
    return f"example {label_text(gallery.ids[i])}"


def columns_of(k: int) -> tuple[list[float], float]:
    """Place k columns beside the rows' heads: their left edges, and their width."""
    width = min(WIDEST, (WIDTH - 2 * MARGIN - HEAD) / k)
    return [MARGIN + HEAD + j * width for j in range(k)], width


# --- images and series ---------------------------------------------------------------------------------------


def draw_grid(result: Result, test: TestResult, gallery: Gallery) -> Figure:
    """Draw a row per example and a column per magnitude, of images or small lines."""
    lefts, width = columns_of(len(gallery.magnitudes))
    inside = width - 0.06
    tall = _height(gallery, inside)
    below = STEP * (1 if gallery.answers is None else 2) + 0.13
    body = heads_height(test, gallery, width) + len(gallery.ids) * (tall + below)
    paper = Paper.of(test, phrases_of(gallery, result.score, *_notes(gallery)), body)
    top = draw_heads(paper, test, gallery, lefts, width)
    draw = _draw_image if gallery.pictures else _draw_series
    for i in range(len(gallery.ids)):
        _write_row_head(paper, gallery, i, top, most=int((tall + below) / STEP) - 1)
        for k, x in enumerate(lefts):
            draw(paper, gallery, k, i, (x, top - tall, inside, tall))
            write_answer(paper, gallery, result.score, (k, i), (x, top - tall - 0.04), inside)
        top -= tall + below
    return canvas.finish(paper.figure)


def _write_row_head(paper: Paper, gallery: Gallery, i: int, y: float, most: int) -> None:
    """Name an example, and below it its true answer in at most so many lines."""
    inches = HEAD - 0.08
    name = fonts.shorten(example_name(gallery, i), inches, CELL)
    true = fonts.wrap(f"true: {label_text(gallery.truths[i])}", inches, CELL, most)
    for j, (line, color) in enumerate([(name, GREY), *((line, INK) for line in true)]):
        paper.put(MARGIN, y - j * STEP, line, color=color, label="example")


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
    paper.box(x, y, across, height, zorder=2, **_frame(gallery, k, i))


def _frame(gallery: Gallery, k: int, i: int) -> dict[str, Any]:
    """Give the frame's style: that of a wrong answer stands out."""
    wrong = gallery.right(k, i) is False
    return {"edgecolor": VERMILION if wrong else PALE, "linewidth": 1.8 if wrong else 0.8}


def _draw_series(paper: Paper, gallery: Gallery, k: int, i: int, box: Box) -> None:
    versions = [_channels(batch[i]) for batch in gallery.inputs]
    finite = np.concatenate([values[np.isfinite(values)] for values in versions])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    x, y, width, height = box
    paper.box(x, y, width, height, **_frame(gallery, k, i))

    def place(values: Any) -> tuple[Any, Any]:
        across = np.linspace(0.03, 0.97, len(values)) if len(values) > 1 else np.array([0.5])
        share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
        return x + across * width, y + (0.06 + 0.88 * share) * height

    for values in versions[gallery.clean].T:
        paper.line(*place(values), linewidth=1.0)
    for values, (colour, dash) in zip(versions[k].T, CHANNELS, strict=False):
        paper.line(*place(values), color=colour, linestyle=dash, linewidth=1.0, zorder=3)


def _channels(series: Any) -> Any:
    """Give one series as (T, at most 3) floats."""
    values = np.asarray(series, dtype=np.float64)
    return (values[:, None] if values.ndim == 1 else values)[:, : len(CHANNELS)]
