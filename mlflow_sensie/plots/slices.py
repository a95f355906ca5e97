"""The heat map of slices: every test in every slice of a column, coloured by how it differs from the whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import PALE, Style
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


Column = tuple[str, pd.DataFrame]  # heading; by slice the pooled value, whether it is the worst, and how much worse


def draw_slices(result: Result, column: SliceColumn) -> Figure:
    """Draw the slices of one column: a row per slice, the clean score and every test's headline across.

    Numbers are partially pooled; colours say how much worse (orange) or better (blue) than in the whole data.
    Of more than 40 slices the 40 with the lowest clean score are drawn, of more than 12 tests the first 12.
    """
    frame = result.slices_frame()
    frame = frame[frame["column"] == column.column]
    across = _columns(result, frame)
    lowest = set(across[0][1]["pooled"].sort_values().index[:MOST_ROWS])
    shown = [part for part in column.slices if part.level in lowest or len(column.slices) <= MOST_ROWS]
    names = [f"{fonts.legible(part.level)} ({part.n:,})" for part in shown]
    left = canvas.MARGIN + min(1.9, max(fonts.width(name, canvas.TICK) for name in names)) + 0.12
    wide = (canvas.WIDTH - canvas.MARGIN - left) / len(across)
    heads, above, upright = _headings([heading for heading, _ in across], wide)
    phrases = _phrases(frame, len(column.slices) - len(shown))
    body = 0.25 + above + ROW * len(shown)
    figure, top = canvas.sheet(f"Slices by {fonts.legible(column.column)}", phrases, body, least=0)
    ax = canvas.add_axes(figure, left, 0.14, canvas.WIDTH - canvas.MARGIN, top - above)
    ax.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(shown) - 0.5, -0.5), xticks=[])
    ax.set_yticks(range(len(shown)), [fonts.shorten(name, 1.9, canvas.TICK) for name in names])
    ax.tick_params(left=False)
    ax.spines[:].set_visible(False)
    style: Style = {"ha": "center", "va": "bottom", "rotation": 90 if upright else 0, "linespacing": 1.15}
    for k, head in enumerate(heads):
        canvas.put(figure, left + wide * (k + 0.5), top - above + 0.06, head, canvas.KEY, **style)
    levels = [part.level for part in shown]
    _fill(ax, across, levels, FAR * float(result.recipe["inference"]["rope"]), 0.01 if wide > NARROWEST else 0.1)
    return canvas.finish(figure)


def _columns(result: Result, frame: pd.DataFrame) -> list[Column]:
    columns = [("clean score", _rows(frame, "", "clean_score", result.clean.value))]
    for test in list(result.tests.values())[:MOST_COLUMNS]:
        quantity = HEADLINES[test.kind]
        if test.ok and len(rows := _rows(frame, test.name, quantity, test.metrics[quantity])):
            columns.append((f"{fonts.name_of(test)}: {quantity.replace('_', ' ')}", rows))
    return columns


def _rows(frame: pd.DataFrame, test: str, quantity: str, whole: float) -> pd.DataFrame:
    """Give a quantity by slice, and how much worse than the whole it is, in the score's unit."""
    rows = frame[(frame["test"] == test) & (frame["quantity"] == quantity)].set_index("level")
    gap = rows["pooled"].abs() - abs(whole) if quantity == "effect" else rows["pooled"] - whole
    return rows.assign(worse_by=-gap if quantity == "clean_score" else gap)


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
    if any(fonts.width(word, canvas.KEY) > inches - 0.04 for text in texts for word in text.split()):
        short = [fonts.shorten(text, UPRIGHT, canvas.KEY) for text in texts]
        return short, max(fonts.width(text, canvas.KEY) for text in short) + 0.14, True
    lines = [fonts.wrap(text, inches - 0.04, canvas.KEY, 4) for text in texts]
    return ["\n".join(heading) for heading in lines], 0.17 * max(map(len, lines)) + 0.1, False


def _fill(ax: Axes, across: list[Column], levels: list[str], far: float, step: float) -> None:
    from matplotlib.patches import Rectangle

    style: Style = {"va": "center", "ha": "center", "fontsize": canvas.KEY, "color": canvas.INK}
    rows = [column.reindex(levels) for _, column in across]
    most = max(far, 1e-12, pd.concat(rows)["worse_by"].abs().max())
    for k, column in enumerate(rows):
        for i, (value, by, worst) in enumerate(column[["pooled", "worse_by", "worst"]].to_numpy()):
            color = PALE if math.isnan(by) else _color(by / most)
            ax.add_patch(Rectangle((k - 0.48, i - 0.46), 0.96, 0.92, facecolor=color, linewidth=0))
            if not math.isnan(by):
                text = words.number(value, step, zeros=True)
                ax.text(k, i, text, label="heading" if worst is True else "", **style)


def _color(share: float) -> tuple[float, ...]:
    """White where a slice is like the whole; at most 60 % of the full colour, so that numbers stay legible."""
    t = 0.6 * math.sqrt(min(1.0, abs(share)))
    return tuple(1 + t * (end - 1) for end in (WORSE if share > 0 else BETTER))
