"""What all galleries share: paper measured in inches, heads, the model's answers and scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.bidi import in_visual_order
from mlflow_sensie.plots.canvas import GREY, INK, LINE, MARGIN, PALE, VERMILION, WIDTH
from mlflow_sensie.plots.text_diff import Run
from mlflow_sensie.result.gallery import Gallery
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import ScoreInfo, TestResult

HEAD, CELL = 0.86, 8.2  # inches of the rows' heads; points of what stands in cells
STEP, RISE = 0.146, 0.105  # inches from line to line in cells, and from a line's top to its letters' feet
TINT = "#fbdcc8"  # behind what changed
GAP = "\u2009"  # a narrow space, where something was left out
WIDEST = 1.3
RIGHT, WRONG = "✓", "✗"


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

    def put_marked(self, x: float, y: float, runs: Sequence[Run]) -> None:
        """Write a line of marked text; its parts are placed when it is drawn, for only then their widths are known."""
        from matplotlib.offsetbox import HPacker, TextArea

        plain = {"color": INK, "size": CELL}
        mark = {"boxstyle": "square,pad=0", "facecolor": TINT, "edgecolor": VERMILION, "linewidth": 0.5}
        parts: list[Artist] = []
        for text, changed in in_visual_order(runs):
            parts.append(TextArea(text or GAP, textprops={**plain, "bbox": mark} if changed else plain))
            parts[-1].get_children()[0].set_label("changed" if changed else "text")
        line = HPacker(pad=0, sep=0, align="baseline", children=parts)
        line.set_offset(lambda *box: (x * self.figure.dpi, (y - RISE) * self.figure.dpi))
        self.figure.add_artist(line)

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
    found = [f"the same {count} examples at {some} magnitudes tested", *more]
    if gallery.touched is not None and gallery.touched[0] < gallery.touched[1]:
        found.append(f"{gallery.touched[0]} of the first {gallery.touched[1]} examples change")
    if gallery.answers is not None:
        marks = f" ({RIGHT} right, {WRONG} wrong)" if gallery.labels else ""
        found.append(f"with the model's answer{marks} and score: {words.score_label(score)}")
    else:
        found.append(f"with the score: {words.score_label(score)}")
    if not gallery.repeated:
        found.append("asked again, the model gave other answers than in the test")
    return found


def head_lines(gallery: Gallery, unit: str, inches: float) -> list[list[str]]:
    """Name each magnitude with its unit, "20 degrees", in one line each or in more each; the neutral one is clean."""
    unit = fonts.legible(unit)
    said = [[] if p is None else [words.quantity(unit, p)] for p in gallery.magnitudes]
    if any(fonts.width(text, CELL) > inches for lines in said for text in lines):
        said = [[] if p is None else _in_lines(words.number(p), unit, inches) for p in gallery.magnitudes]
    return [["clean", *lines] if k == gallery.clean else lines for k, lines in enumerate(said)]


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


def answer_text(gallery: Gallery, k: int, i: int) -> str:
    """Write the model's answer, with a mark of whether it is right; nothing where only a custom score knows."""
    if gallery.answers is None:
        return ""
    right, said = gallery.right(k, i), label_text(gallery.answers[k][i])
    return said if right is None else f"{RIGHT if right else WRONG} {said}"


def answer_style(gallery: Gallery, k: int, i: int) -> dict[str, Any]:
    """Colour a wrong answer, which its mark tells as well."""
    wrong = gallery.right(k, i) is False
    return {"color": VERMILION if wrong else INK, "label": "answer"}


def score_text(gallery: Gallery, score: ScoreInfo, k: int, i: int) -> str:
    """Write a score with two decimals."""
    y = float(gallery.scores[k, i])
    if not np.isfinite(y):
        return "no score"
    kind = KINDS.get(score.kind)
    plain = (kind is not None and kind.binary) or abs(y) >= 1000
    return words.number(y) if plain else f"{y:.2f}".replace("-0.00", "0.00").replace("-", "−")


def row_head(gallery: Gallery, i: int, inches: float, most: int) -> list[tuple[str, str]]:
    """Name an example, and its true answer in at most so many lines, each with its colour."""
    true = fonts.wrap(f"true: {label_text(gallery.truths[i])}", inches, CELL, most)
    return [(fonts.shorten(example_name(gallery, i), inches, CELL), GREY), *((line, INK) for line in true)]


def example_name(gallery: Gallery, i: int) -> str:
    """Name an example by what identifies it, its row."""
    return f"example {label_text(gallery.ids[i])}"


def columns_of(k: int) -> tuple[list[float], float]:
    """Place k columns beside the rows' heads: their left edges, and their width."""
    width = min(WIDEST, (WIDTH - 2 * MARGIN - HEAD) / k)
    return [MARGIN + HEAD + j * width for j in range(k)], width
