"""The figures of galleries: paper measured in inches that all share, and grids of images and of series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, MARGIN, PALE, VERMILION, WIDTH, Style
from mlflow_sensie.result.gallery import Gallery
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, ScoreInfo, TestResult

HEAD, CELL = 0.86, 8.2  # inches of the rows' heads; points of what stands in cells
STEP, RISE = 0.146, 0.105  # inches from line to line in cells, and from a line's top to its letters' feet
WIDEST = TALLEST = 1.3
RIGHT, WRONG = "✓", "✗"
CHANNELS = ((BLUE, "-"), (GREEN, "--"), (INK, ":"))
Box = tuple[float, float, float, float]  # left, bottom, width and height in inches
Line = tuple[str, str, str]  # text, colour, and the artist's label


@dataclass(frozen=True)
class Paper:
    """A figure under its title, and axes over all of it in inches; ``top`` is where the drawing begins."""

    figure: Figure
    axes: Axes
    top: float

    @classmethod
    def of(cls, test: TestResult, phrases: Sequence[str], inches: float) -> Paper:
        """Start paper with room for a drawing so many inches high."""
        figure, top = canvas.sheet(fonts.name_of(test), phrases, inches + MARGIN, least=0)
        axes = figure.add_axes((0, 0, 1, 1), label="paper")
        axes.set_axis_off()
        axes.set(xlim=(0, WIDTH), ylim=(0, figure.get_figheight()), autoscale_on=False)
        return cls(figure, axes, top)

    def write(self, x: float, y: float, lines: Iterable[Line], step: float = STEP) -> None:
        """Write lines below each other in the size of cells, their top left corner at (x, y)."""
        for j, (text, color, label) in enumerate(lines):
            if text:
                style: Style = {"va": "baseline", "color": color, "label": label}
                canvas.put(self.figure, x, y - j * step - RISE, text, CELL, **style)

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
    marks = f" ({RIGHT} right, {WRONG} wrong)" if gallery.labels else ""
    what = "the score" if gallery.answers is None else f"the model's answer{marks} and score"
    phrases.append(f"with {what}: {words.score_name(score.kind, score.unit)}")
    return [*phrases, "" if gallery.repeated else "asked again, the model gave other answers than in the test"]


def heads_of(gallery: Gallery, unit: str, inches: float) -> list[list[Line]]:
    """Name each magnitude with its unit, "20 degrees", in one line each or in more each; the neutral one is clean."""
    unit = fonts.legible(unit)
    heads = [[] if p is None else [words.quantity(unit, p)] for p in gallery.magnitudes]
    if any(fonts.width(text, CELL) > inches for lines in heads for text in lines):
        name = fonts.wrap(words.with_unit("", unit), inches, CELL, 3)
        numbers = [None if p is None else words.number(p) for p in gallery.magnitudes]
        heads = [[] if p is None else [*name, p] if unit in words.BEFORE else [p, *name] for p in numbers]
    heads[gallery.clean] = ["clean", *heads[gallery.clean]]
    return [[(text, INK, "heading" if text == "clean" else "head") for text in lines] for lines in heads]


def columns_of(test: TestResult, gallery: Gallery) -> tuple[list[float], float, list[list[Line]], float]:
    """Give the columns, one a magnitude: left edges, width, heads (the test's name first) and the height of these."""
    k = len(gallery.magnitudes)
    width = min(WIDEST, (WIDTH - 2 * MARGIN - HEAD) / k)
    # The test's name, broken after dots and underscores.
    name = fonts.pack(re.split(r"(?<=[._ -])", fonts.name_of(test)), HEAD - 0.06, CELL, "")[:3]
    heads = [[(line, GREY, "test") for line in name], *heads_of(gallery, test.unit, width - 0.06)]
    return [MARGIN + HEAD + j * width for j in range(k)], width, heads, STEP * max(map(len, heads)) + 0.06


def label_text(label: Any) -> str:
    """Write a class's label or a number; a missing answer is none."""
    if label is None:
        return "none"
    if isinstance(label, float | np.floating):
        return words.number(float(label))
    return fonts.legible(str(label)) or "''"


def answer_lines(gallery: Gallery, score: ScoreInfo, k: int, i: int, inches: float) -> list[Line]:
    """Give a cell's answer, with a mark of whether it is right and coloured if not, and the score below it.

    Only a custom score knows no answer: then the score stands in its place.
    """
    lines = [(_score_text(gallery, score, k, i), INK, "score")]
    if gallery.answers is not None:
        right, text = gallery.right(k, i), label_text(gallery.answers[k][i])
        text = text if right is None else f"{RIGHT if right else WRONG} {text}"
        lines.insert(0, (text, VERMILION if right is False else INK, "answer"))
    return [(fonts.shorten(text, inches, CELL), color, label) for text, color, label in lines]


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


# --- images and series ---------------------------------------------------------------------------------------


def draw_grid(result: Result, test: TestResult, gallery: Gallery) -> Figure:
    """Draw a row per example and a column per magnitude, of images or small lines."""
    lefts, width, heads, above = columns_of(test, gallery)
    inside = width - 0.06
    tall = 0.75 * inside
    if gallery.pictures:
        height, across = gallery.pictures[0].shape[1:3]
        tall = float(np.clip(inside * height / across, 0.2, TALLEST))
    row = tall + STEP * (1 if gallery.answers is None else 2) + 0.13
    phrases = phrases_of(gallery, result.score, *_notes(gallery))
    paper = Paper.of(test, phrases, above + len(gallery.ids) * row)
    for x, lines in zip([MARGIN, *lefts], heads, strict=True):
        paper.write(x, paper.top, lines)
    draw = _draw_image if gallery.pictures else _draw_series
    for i in range(len(gallery.ids)):
        top = paper.top - above - i * row
        name = fonts.shorten(example_name(gallery, i), HEAD - 0.08, CELL)
        true = fonts.wrap(f"true: {label_text(gallery.truths[i])}", HEAD - 0.08, CELL, int(row / STEP) - 1)
        paper.write(MARGIN, top, [(name, GREY, "example"), *((line, INK, "example") for line in true)])
        for k, x in enumerate(lefts):
            draw(paper, gallery, k, i, (x, top - tall, inside, tall))
            paper.write(x, top - tall - 0.04, answer_lines(gallery, result.score, k, i, inside))
    return canvas.finish(paper.figure)


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
    style: Style = {"cmap": "gray", "vmin": 0, "vmax": 1, "origin": "upper", "aspect": "auto", "resample": True}
    style["interpolation"] = "nearest" if max(picture.shape[:2]) <= 64 else "antialiased"
    style["interpolation_stage"] = "rgba" if picture.ndim == 3 else "data"
    paper.axes.imshow(picture, extent=(x, x + across, y, y + height), zorder=1, **style)
    paper.box(x, y, across, height, zorder=2, **_frame(gallery, k, i))


def _frame(gallery: Gallery, k: int, i: int) -> dict[str, Any]:
    """Give the frame's style: that of a wrong answer stands out."""
    wrong = gallery.right(k, i) is False
    return {"edgecolor": VERMILION if wrong else PALE, "linewidth": 1.8 if wrong else 0.8}


def _draw_series(paper: Paper, gallery: Gallery, k: int, i: int, box: Box) -> None:
    series = [np.asarray(batch[i], np.float64) for batch in gallery.inputs]
    versions = [values.reshape(len(values), -1)[:, : len(CHANNELS)] for values in series]
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
