"""The heat map of slices: every test in every slice of a column, coloured by how it differs from the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_sensie.plots import canvas, fonts, ticks
from mlflow_sensie.plots.canvas import INK, PALE
from mlflow_sensie.result import HEADLINES
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, SliceColumn

MOST_ROWS, MOST_COLUMNS = 40, 12
ROW, NARROWEST, UPRIGHT = 0.26, 0.42, 2.1
FAR = 5  # ropes: smaller differences are never drawn in full colour
# From worse to better than the whole: orange to blue, told apart with any colour vision.
WORSE, BETTER = (0.84, 0.37, 0.0), (0.0, 0.45, 0.70)


@dataclass(frozen=True)
class Column:
    """A column of the map: a quantity of a test in every slice, and in the whole."""

    heading: str
    quantity: str
    whole: float
    rows: pd.DataFrame

    def value(self, level: str) -> float:
        """The pooled value in a slice."""
        return float(self.rows["pooled"].to_dict()[level])

    def worse_by(self, level: str) -> float | None:
        """How much worse than the whole a slice is, in the score's unit; None where it has no result."""
        if level not in self.rows.index:
            return None
        value = self.value(level)
        if self.quantity == "clean_score":
            return self.whole - value
        return abs(value) - abs(self.whole) if self.quantity == "effect" else value - self.whole


def draw_slices(result: Result, column: SliceColumn) -> Figure:
    """Draw the slices of one column: a row per slice, the clean score and every test's headline across.

    Numbers are partially pooled; colours say how much worse (orange) or better (blue) than in the whole data.
    Of more than 40 slices the 40 with the lowest clean score are drawn, of more than 12 tests the first 12.
    """
    frame = result.slices_frame()
    frame = frame[frame["column"] == column.column]
    across = _columns(result, frame)
    levels = [part.level for part in column.slices]
    if len(levels) > MOST_ROWS:
        clean = across[0].rows["pooled"].sort_values()
        levels = [level for level in levels if level in set(clean.index[:MOST_ROWS])]
    counts = {part.level: part.n for part in column.slices}
    names = [f"{fonts.legible(level)} ({counts[level]:,})" for level in levels]
    left = canvas.MARGIN + min(1.9, max(fonts.width(name, canvas.TICK) for name in names)) + 0.12
    wide = (canvas.WIDTH - canvas.MARGIN - left) / len(across)
    heads, above, upright = _headings([test.heading for test in across], wide)
    phrases = _phrases(frame, len(column.slices) - len(levels))
    subtitle = fonts.pack(phrases, canvas.WIDTH - 2 * canvas.MARGIN, canvas.SUBTITLE)
    height = 0.5 + canvas.LINE * len(subtitle) + above + ROW * len(levels) + 0.2
    title = f"Slices by {fonts.legible(column.column)}"
    figure, top = canvas.sheet(title, phrases, height)
    ax = canvas.add_axes(figure, left, 0.14, canvas.WIDTH - canvas.MARGIN, top - above)
    _grid(ax, len(across), len(levels))
    ticks.set_ticks(ax.yaxis, range(len(levels)), [fonts.shorten(n, 1.9, canvas.TICK) for n in names])
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "rotation": 90 if upright else 0, "linespacing": 1.15}
    for k, head in enumerate(heads):
        canvas.put(figure, left + wide * (k + 0.5), top - above + 0.06, head, canvas.KEY, **style)
    _fill(ax, across, levels, FAR * float(result.recipe["inference"]["rope"]), wide)
    return canvas.finish(figure)


def _columns(result: Result, frame: pd.DataFrame) -> list[Column]:
    clean = frame[frame["quantity"] == "clean_score"].set_index("level")
    columns = [Column("clean score", "clean_score", result.clean.value, clean)]
    for test in list(result.tests.values())[:MOST_COLUMNS]:
        quantity = HEADLINES[test.kind]
        rows = frame[(frame["test"] == test.name) & (frame["quantity"] == quantity)].set_index("level")
        if test.ok and len(rows):
            name = f"{fonts.name_of(test)}: {quantity.replace('_', ' ')}"
            columns.append(Column(name, quantity, test.metrics[quantity], rows))
    return columns


def _phrases(frame: pd.DataFrame, hidden: int) -> list[str]:
    worst = frame[frame["worst"]]
    clean = worst[worst["quantity"] == "clean_score"].iloc[0]
    drops = worst[worst["quantity"] == "mean_drop"]
    lowest = words.number(clean["pooled"], 0.01, zeros=True)
    phrases = [f"lowest clean score: {fonts.legible(clean['level'])}, {lowest}"]
    if len(drops):
        most = drops.sort_values("pooled").iloc[-1]
        where = f"{fonts.legible(most['level'])} under {fonts.legible(most['test'])}"
        phrases.append(f"largest mean drop: {where}, {words.number(most['pooled'], 0.01, zeros=True)}")
    phrases += ["orange: worse than the whole, blue: better", "partially pooled", "(number of examples)"]
    return [*phrases, f"{hidden} slices with higher clean scores are not drawn" if hidden > 0 else ""]


def _headings(texts: list[str], inches: float) -> tuple[list[str], float, bool]:
    """Headings in at most four lines, upright where a word is wider than its column; their height, and which."""
    upright = any(fonts.width(word, canvas.KEY) > inches - 0.04 for text in texts for word in text.split())
    if upright:
        short = [fonts.shorten(text, UPRIGHT, canvas.KEY) for text in texts]
        return short, max(fonts.width(text, canvas.KEY) for text in short) + 0.14, True
    lines = [fonts.wrap(text, inches - 0.04, canvas.KEY, 4) for text in texts]
    return ["\n".join(heading) for heading in lines], 0.17 * max(map(len, lines)) + 0.1, False


def _grid(ax: Axes, columns: int, rows: int) -> None:
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    ticks.set_ticks(ax.xaxis, [], [])
    ax.tick_params(left=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _fill(ax: Axes, across: list[Column], levels: list[str], far: float, wide: float) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"va": "center", "ha": "center", "fontsize": canvas.KEY, "color": INK}
    gaps = [abs(by) for column in across for level in levels if (by := column.worse_by(level)) is not None]
    most = max([*gaps, far, 1e-12])
    for k, column in enumerate(across):
        for i, level in enumerate(levels):
            by = column.worse_by(level)
            color = PALE if by is None else _color(by / most)
            ax.add_patch(Rectangle((k - 0.48, i - 0.46), 0.96, 0.92, facecolor=color, linewidth=0))
            if by is None:
                continue
            text = words.number(column.value(level), 0.01 if wide > NARROWEST else 0.1, zeros=True)
            ax.text(k, i, text, label="heading" if column.rows.at[level, "worst"] else "", **style)


def _color(share: float) -> tuple[float, ...]:
    """White where a slice is like the whole; at most 60 % of the full colour, so that numbers stay legible."""
    t = 0.6 * math.sqrt(min(1.0, abs(share)))
    return tuple(1 + t * (end - 1) for end in (WORSE if share > 0 else BETTER))
