"""The paper: sheets with a title, axes measured in inches, ticks, the legend below, and files."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.plots import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 4.2
MARGIN, LEFT, RIGHT = 0.14, 0.82, 0.95
INK, GREY, PALE = "#222222", "#666666", "#d4d4d4"
# Okabe & Ito's colours, told apart with any colour vision.
BLUE, SKY, VERMILION, GREEN = "#0072B2", "#56B4E9", "#D55E00", "#009E73"
TITLE, SUBTITLE, LABEL, TICK, KEY = 13.0, 9.5, 10.5, 9.5, 9.0
LINE = 0.175
Handles = Sequence[tuple[Any, str]]


def sheet(title: str, phrases: Iterable[str], height: float = HEIGHT) -> tuple[Figure, float]:
    """Start a figure with its title and subtitle; give it and how many inches of height are left below them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=100, facecolor="white", edgecolor="none", layout="none")
    inside = WIDTH - 2 * MARGIN
    top = height - 0.12
    put(figure, MARGIN, top, words.shorten(title, inside, TITLE, "bold"), TITLE, weight="bold", gid="title")
    top -= 0.27
    for line in words.pack(phrases, inside, SUBTITLE):
        put(figure, MARGIN, top, line, SUBTITLE, color=GREY, gid="subtitle")
        top -= LINE
    return figure, top - 0.06


def put(figure: Figure, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Write a text on the paper, its top left corner at (x, y) inches."""
    gid = style.pop("gid", None)
    style = {"color": INK, "va": "top", "ha": "left", **style}
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=size, **style).set_gid(gid)


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
        axis.set_tick_params(length=3.5, width=0.8, direction="out", color=GREY, labelcolor=INK, labelsize=TICK, pad=3.5)
    ax.tick_params(bottom=True, labelbottom=True, left=True, labelleft=True, top=False, labeltop=False, right=False)
    ax.set_axisbelow(True)
    return ax


def size_of(ax: Axes) -> tuple[float, float]:
    """Give width and height of axes in inches."""
    (width, height), box = ax.figure.get_size_inches(), ax.get_position()  # type: ignore[union-attr]
    return float(box.width * width), float(box.height * height)


def name_axes(ax: Axes, x: str, y: str) -> None:
    """Label both axes; the label of y takes two lines where the axes are low."""
    ax.set_xlabel(x, fontsize=LABEL, color=INK, labelpad=3)
    lines = words.wrap(y, size_of(ax)[1], LABEL, 2)
    ax.set_ylabel("\n".join(lines), fontsize=LABEL, color=INK, labelpad=0, linespacing=1.15)
    # At a place of its own, so that labels stand alike in all figures and never leave the paper.
    ax.yaxis.set_label_coords(-(LEFT - MARGIN) / size_of(ax)[0], 0.5)
    ax.yaxis.label.set_verticalalignment("top")


def set_ticks(axis: Any, ticks: Sequence[float], labels: Sequence[str]) -> None:
    """Fix an axis's ticks, so that they hang on no formatter of somebody else's settings."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter(list(labels)))


def nice_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Give round numbers between two."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3).tick_values(low, high)
    slack = (high - low) * 1e-9
    return [float(t) for t in ticks if low - slack <= t <= high + slack]


def date_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Give days since 1970 that start a year, a month or a day, as many as there is room for."""
    start, stop = (np.datetime64("1970-01-01") + np.timedelta64(math.floor(x), "D") for x in (low, high))
    chosen: list[float] = []
    for unit, step in (("Y", 20), ("Y", 10), ("Y", 5), ("Y", 2), ("Y", 1), ("M", 6), ("M", 3), ("M", 1), ("D", 7), ("D", 2), ("D", 1)):
        first, last = start.astype(f"M8[{unit}]").astype(int) // step * step, stop.astype(f"M8[{unit}]").astype(int)
        days = np.arange(first, last + 1, step).astype(f"M8[{unit}]").astype("M8[D]").astype(float)
        days = days[(days >= low) & (days <= high)]
        if len(days) > most and len(chosen) >= 2:
            break
        chosen = days.tolist()
    return chosen


def tick_labels(ticks: Sequence[float]) -> tuple[list[str], str]:
    """Write ticks alike, and what was taken out of all of them to keep them short: "×10⁹", "+ 1600000000", both, or nothing."""
    values = np.asarray(ticks, np.float64)
    if len(values) < 2:
        return [words.number(x) for x in ticks], ""
    step, notes = float(np.diff(values).min()), []
    if np.abs(values).max() > 2e4 * step:
        # What all of them share, down to the power of ten that their range fills.
        unit = 10.0 ** math.ceil(math.log10(np.ptp(values)))
        shift = float(np.floor(values[0] / unit) * unit)
        notes, values = [f"+ {words.number(shift, unit)}"], values - shift
    power = math.floor(math.log10(np.abs(values).max()))
    if power >= 5 or power <= -4:
        values, step = values / 10.0**power, step / 10.0**power
        notes = ["×10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")), *notes]
    decimals = next((d for d in range(16) if np.abs(np.round(values, d) - values).max() < 1e-3 * step), 16)
    labels = [f"{x + 0.0:.{decimals}f}".replace("-", "−") for x in np.round(values, decimals)]
    return labels, " ".join(notes)


def window(lower: float | None, upper: float | None, values: Sequence[float]) -> tuple[float, float]:
    """Choose the range of scores to show.

    Of a score with two bounds the whole range, or the half or quarter of it that holds everything: so figures of several runs mostly
    share their axes. Else what was seen, with some air.
    """
    seen = [x for x in values if math.isfinite(x)] or [0.0]
    low, high = min(seen), max(seen)
    if lower is None or upper is None:
        air = 0.06 * (high - low) or 0.5
        return low - air, high + air
    for _ in range(2):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if low >= middle else (lower, middle) if high <= middle else (lower, upper)
    air = 0.025 * (upper - lower)
    return min(lower, low) - air, max(upper, high) + air


def margin_notes(ax: Axes, notes: Sequence[tuple[float, str, str]]) -> None:
    """Write (y, text, colour) beside the right edge, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    gap, last = LINE / size_of(ax)[1], -math.inf
    for y, text, color in sorted(notes):
        place = max((y - low) / (high - low), last + gap)
        last = place
        text = words.shorten(text, RIGHT - 0.1, KEY)
        ax.text(1.012, place, text, transform=ax.transAxes, fontsize=KEY, color=color, va="center", ha="left").set_gid("note")


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
    widths = [words.width(text, KEY) + KEY * 3.5 / 72 for text in texts]
    fitting = [k for k in range(1, len(texts) + 1) if sum(max(part) for part in np.array_split(widths, k)) <= WIDTH - MARGIN]
    rows = math.ceil(len(texts) / max(fitting, default=1))
    return next((k for k in fitting if math.ceil(len(texts) / k) == rows), 1)


def finish(figure: Figure) -> Figure:
    """Make every text plain: one font, and never mathematics."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_usetex(False)
        text.set_parse_math(False)
        text.set_fontfamily(list(words.families()))
    return figure


def to_png(figure: Figure, dpi: float = 150) -> bytes:
    """Render a figure as PNG."""
    file = io.BytesIO()
    _save(figure, file, format="png", dpi=dpi)
    return file.getvalue()


def to_array(figure: Figure, dpi: float = 150) -> NDArray[np.uint8]:
    """Render a figure as pixels (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, before = FigureCanvasAgg(figure), figure.dpi
    try:
        figure.dpi = dpi
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
    finally:
        figure.dpi = before


def to_svg(figure: Figure) -> str:
    """Render a figure as SVG text that is the same every time, and whose ids meet no other figure's on the same page."""
    file = io.BytesIO()
    _save(figure, file, format="svg", metadata={"Date": None})
    text = file.getvalue().decode()
    # matplotlib salts some ids at random unless an rcParam says otherwise: all are numbered instead, in order of appearance.
    order = {name: str(k) for k, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text)))}
    pattern = re.compile(r'(\bid="|"#|url\(#)([^")]+)')
    numbered = pattern.sub(lambda m: m[1] + order.get(m[2], m[2]), text)
    salt = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return pattern.sub(lambda m: f"{m[1]}s{salt}-{order[m[2]]}" if m[2] in order else m[0], text)


def _save(figure: Figure, file: io.BytesIO, **options: Any) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(file, facecolor="white", edgecolor="none", bbox_inches=figure.bbox_inches, **options)
