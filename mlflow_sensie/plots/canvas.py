"""The paper: sheets with a title, axes measured in inches, labels, the legend below; and paper as files."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.plots import fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 4.2
MARGIN, LEFT, RIGHT = 0.14, 0.82, 0.95
INK, GREY, PALE = "#222222", "#666666", "#d4d4d4"
# Okabe & Ito's colours, told apart with any colour vision.
BLUE, SKY, VERMILION, GREEN, PURPLE = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7"
TITLE, SUBTITLE, LABEL, TICK, KEY, SMALLEST = 13.0, 9.5, 10.5, 9.5, 9.0, 8.0
LINE = 0.175
BOLD = ("title", "heading")
Handles = Sequence[tuple[Any, str]]


def sheet(title: str, phrases: Iterable[str], height: float = HEIGHT) -> tuple[Figure, float]:
    """Start a figure with its title and subtitle; give it and the inches of height left below them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=100, facecolor="white", edgecolor="none")
    figure.set_layout_engine("none")
    inside = WIDTH - 2 * MARGIN
    top = height - 0.12
    put(figure, MARGIN, top, fonts.shorten(title, inside, TITLE, "bold"), TITLE, label="title")
    top -= 0.27
    for line in fonts.pack(map(fonts.legible, phrases), inside, SUBTITLE):
        put(figure, MARGIN, top, line, SUBTITLE, color=GREY, label="subtitle")
        top -= LINE
    return figure, top - 0.06


def put(figure: Figure, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Write a text on the paper, its top left corner at (x, y) inches."""
    width, height = figure.get_size_inches()
    style = {"color": INK, "va": "top", "ha": "left", "fontsize": size, **style}
    figure.text(x / width, y / height, text, **style)


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add plain axes between these inches from the figure's lower left corner."""
    from matplotlib.ticker import NullLocator

    width, height = figure.get_size_inches()
    ax = figure.add_axes((left / width, bottom / height, (right - left) / width, (top - bottom) / height))
    ax.set_facecolor("white")
    ax.grid(False)
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=GREY, linewidth=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_tick_params(length=3.5, width=0.8, direction="out", color=GREY, pad=3.5)
        axis.set_tick_params(labelcolor=INK, labelsize=TICK)
    ax.tick_params(bottom=True, labelbottom=True, left=True, labelleft=True)
    ax.tick_params(top=False, labeltop=False, right=False, labelright=False)
    ax.set_axisbelow(True)
    return ax


def figure_of(ax: Axes) -> Figure:
    """Give the figure that axes stand on."""
    figure: Any = ax.figure
    return cast("Figure", figure)


def size_of(ax: Axes) -> tuple[float, float]:
    """Give width and height of axes in inches."""
    (width, height), box = figure_of(ax).get_size_inches(), ax.get_position()
    return float(box.width * width), float(box.height * height)


def name_axes(ax: Axes, x: str, y: str) -> None:
    """Label both axes; y's label takes two lines where the axes are low, or is smaller where its ticks are wide."""
    ax.set_xlabel(x, fontsize=LABEL, color=INK, labelpad=3)
    (wide, high), size = size_of(ax), LABEL
    outward = 0.11 + max((fonts.width(text.get_text(), TICK) for text in ax.get_yticklabels()), default=0.0)
    lines = _balanced(y, high)
    if len(lines) > 1 and outward + len(lines) * LINE > LEFT - MARGIN:
        size = max(SMALLEST, min(LABEL, LABEL * high / fonts.width(y, LABEL)))
        lines = [fonts.shorten(y, high, size)]
    ax.set_ylabel("\n".join(lines), fontsize=size, color=INK, labelpad=0, linespacing=1.15)
    # At a place of its own, so that labels stand alike in all figures and never leave the paper.
    place = min(LEFT - 0.03, max(LEFT - MARGIN, outward + len(lines) * LINE))
    ax.yaxis.set_label_coords(-place / wide, 0.5)
    ax.yaxis.label.set_verticalalignment("top")


def _balanced(text: str, inches: float) -> list[str]:
    """Set a text in one line, or in two of like length."""
    least = max(0.3, fonts.width(text, LABEL) / 2)
    narrow = (fonts.wrap(text, share, LABEL, 3) for share in np.linspace(least, max(inches, least), 20))
    whole = fonts.wrap(text, inches, LABEL, 2)
    return whole if len(whole) < 2 else next((lines for lines in narrow if len(lines) <= 2), whole)


def margin_notes(ax: Axes, notes: Sequence[tuple[float, str, str]]) -> None:
    """Write (y, text, colour) beside the right edge, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    gap, places = LINE / size_of(ax)[1], [-math.inf]
    for y, _, _ in sorted(notes):
        places.append(max((y - low) / (high - low), places[-1] + gap))
    over = max(0.0, places[-1] - 1)
    for place, (_, text, color) in zip(places[1:], sorted(notes), strict=True):
        text = fonts.shorten(text, RIGHT - 0.1, KEY)
        style: dict[str, Any] = {"fontsize": KEY, "color": color, "va": "center", "ha": "left"}
        ax.text(1.012, place - over, text, transform=ax.transAxes, label="note", **style)


def legend(figure: Figure, handles: Handles) -> None:
    """Set the legend in rows along the bottom of the paper."""
    columns = _columns([text for _, text in handles])
    figure.legend(
        [handle for handle, _ in handles],
        [text for _, text in handles],
        loc="lower left",
        bbox_to_anchor=(MARGIN / WIDTH, 0.05 / figure.get_size_inches()[1]),
        ncols=columns,
        frameon=False,
        fontsize=KEY,
        labelcolor=INK,
        borderpad=0.2,
        borderaxespad=0,
        columnspacing=1.2,
        handlelength=1.8,
        handletextpad=0.5,
        labelspacing=0.45,
        alignment="left",
    )


def legend_height(texts: Sequence[str]) -> float:
    """Give the inches that a legend of these texts takes."""
    return 0.08 + 0.185 * math.ceil(len(texts) / _columns(texts)) if texts else 0.05


def _columns(texts: Sequence[str]) -> int:
    """Give the fewest columns that make the fewest rows that fit."""
    widths = [fonts.width(text, KEY) + KEY * 3.5 / 72 for text in texts]
    split = {k: sum(max(part) for part in np.array_split(widths, k)) for k in range(1, len(texts) + 1)}
    fitting = [k for k, total in split.items() if total <= WIDTH - MARGIN]
    rows = math.ceil(len(texts) / max(fitting, default=1))
    return next((k for k in fitting if math.ceil(len(texts) / k) == rows), 1)


def finish(figure: Figure) -> Figure:
    """Make every text plain: one font, and never mathematics."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_usetex(False)
        text.set_parse_math(False)
        text.set_fontfamily(list(fonts.families()))
        text.set_fontweight("bold" if text.get_label() in BOLD else "normal")
        text.set_fontstyle("normal")
    return figure


# --- files -----------------------------------------------------------------------------------------


def to_png(figure: Figure, dpi: float = 150) -> bytes:
    """Render a figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    agg: Any = FigureCanvasAgg(figure)
    with _resolution(figure, dpi):
        agg.print_png(file)
    return file.getvalue()


def to_array(figure: Figure, dpi: float = 150) -> NDArray[np.uint8]:
    """Render a figure as pixels (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    agg: Any = FigureCanvasAgg(figure)
    with _resolution(figure, dpi):
        agg.draw()
        return np.asarray(agg.buffer_rgba(), np.uint8)[:, :, :3].copy()


def to_svg(figure: Figure) -> str:
    """Render a figure as SVG text, the same every time; its ids meet no other figure's on the same page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    svg: Any = FigureCanvasSVG(figure)
    with _resolution(figure, 72):
        svg.print_svg(file, metadata={"Date": None})
    FigureCanvasAgg(figure)
    text = file.getvalue().decode()
    # matplotlib salts some ids at random unless an rcParam says otherwise: all are numbered instead.
    order = {name: str(k) for k, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text)))}
    pattern = re.compile(r'(\bid="|"#|url\(#)([^")]+)')
    numbered = pattern.sub(lambda m: m[1] + order.get(m[2], m[2]), text)
    salt = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return pattern.sub(lambda m: f"{m[1]}s{salt}-{order[m[2]]}" if m[2] in order else m[0], text)


@contextmanager
def _resolution(figure: Figure, dpi: float) -> Iterator[None]:
    """Lend a figure another resolution: savefig would draw it twice, and heed rcParams."""
    before = figure.dpi
    figure.dpi = dpi
    try:
        yield
    finally:
        figure.dpi = before
