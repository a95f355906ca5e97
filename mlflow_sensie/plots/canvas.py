"""The paper: sheets with a title, axes measured in inches, ticks, labels, the legend below; and paper as files."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.plots import fonts
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.inference import RankAxis

WIDTH, HEIGHT, DPI = 6.4, 4.2, 100
MARGIN, LEFT, RIGHT = 0.14, 0.82, 0.95
INK, GREY, PALE = "#222222", "#666666", "#d4d4d4"
# Okabe & Ito's colours, told apart with any colour vision.
BLUE, SKY, VERMILION, GREEN, PURPLE = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7"
TITLE, SUBTITLE, LABEL, TICK, KEY, SMALLEST = 13.0, 9.5, 10.5, 9.5, 9.0, 8.0
LINE = 0.175
STEPS = {"Y": (20, 10, 5, 2, 1), "M": (6, 3, 1), "D": (14, 7, 2, 1)}  # of ticks, in years, months and days
MOST_NAMED = 12  # points that name themselves
Keys = Sequence[tuple[Any, str]]  # signs and texts of a legend
Style = dict[str, Any]
SLANTED: Style = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}

# --- sheets ----------------------------------------------------------------------------------------


def blank(width: float, height: float) -> Figure:
    """Give white paper of this size in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", edgecolor="none")
    figure.set_layout_engine("none")
    return figure


def sheet(title: str, phrases: Iterable[str], body: float = 0.0, least: float = HEIGHT) -> tuple[Figure, float]:
    """Start a figure with title and subtitle above a body of at least so many inches, and at least so high in all.

    Give it, and the inches of height left for the body.
    """
    inside = WIDTH - 2 * MARGIN
    lines = fonts.pack(map(fonts.legible, phrases), inside, SUBTITLE)
    height = max(least, 0.45 + LINE * len(lines) + body)
    figure, top = blank(WIDTH, height), height - 0.12
    put(figure, MARGIN, top, fonts.shorten(title, inside, TITLE, "bold"), TITLE, label="title")
    top -= 0.27
    for line in lines:
        put(figure, MARGIN, top, line, SUBTITLE, color=GREY, label="subtitle")
        top -= LINE
    return figure, top - 0.06


def put(figure: Figure, x: float, y: float, text: str, size: float, **style: Any) -> None:
    """Write a text on the paper, its top left corner at (x, y) inches."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, **{"color": INK, "va": "top", "ha": "left", "fontsize": size, **style})


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Add plain axes between these inches from the figure's lower left corner."""
    width, height = figure.get_size_inches()
    ax = figure.add_axes((left / width, bottom / height, (right - left) / width, (top - bottom) / height))
    ax.set(facecolor="white", axisbelow=True)
    ax.grid(False)
    ax.minorticks_off()
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=GREY, linewidth=0.8)
    ax.tick_params(length=3.5, width=0.8, direction="out", color=GREY, pad=3.5, labelcolor=INK, labelsize=TICK)
    ax.tick_params(bottom=True, labelbottom=True, left=True, labelleft=True)
    ax.tick_params(top=False, labeltop=False, right=False, labelright=False)
    return ax


def size_of(ax: Axes) -> tuple[float, float]:
    """Give width and height of axes in inches."""
    return ax.bbox.width / DPI, ax.bbox.height / DPI


def name_axes(ax: Axes, x: str, y: str) -> None:
    """Label both axes; y's label takes two lines where the axes are low, or is smaller where its ticks are wide."""
    ax.set_xlabel(x, fontsize=LABEL, color=INK, labelpad=3)
    (wide, high), size = size_of(ax), LABEL
    outward = 0.11 + max((fonts.width(text.get_text(), TICK) for text in ax.get_yticklabels()), default=0.0)
    lines = fonts.wrap(y, high, LABEL, 2)
    if len(lines) > 1:  # of like length
        least = max(0.3, fonts.width(y, LABEL) / 2)
        narrow = (fonts.wrap(y, inches, LABEL, 3) for inches in np.linspace(least, max(high, least), 20))
        lines = next((lines for lines in narrow if len(lines) <= 2), lines)
    if len(lines) > 1 and outward + len(lines) * LINE > LEFT - MARGIN:
        size = max(SMALLEST, min(LABEL, LABEL * high / fonts.width(y, LABEL)))
        lines = [fonts.shorten(y, high * (1 + 1e-9), size)]  # which the size just fills
    ax.set_ylabel("\n".join(lines), fontsize=size, color=INK, labelpad=0, linespacing=1.15)
    # At a place of its own, so that labels stand alike in all figures and never leave the paper.
    place = min(LEFT - 0.03, max(LEFT - MARGIN, outward + len(lines) * LINE))
    ax.yaxis.set_label_coords(-place / wide, 0.5)
    ax.yaxis.label.set_verticalalignment("top")


def margin_notes(ax: Axes, notes: Sequence[tuple[float, str, str]]) -> None:
    """Write (y, text, colour) beside the right edge, moved apart where they would overlap."""
    low, high = ax.get_ylim()
    gap, places = LINE / size_of(ax)[1], [-math.inf]
    for y, _, _ in sorted(notes):
        places.append(max((y - low) / (high - low), places[-1] + gap))
    over = max(0.0, places[-1] - 1)
    for place, (_, text, color) in zip(places[1:], sorted(notes), strict=True):
        style: Style = {"fontsize": KEY, "color": color, "va": "center", "ha": "left", "label": "note"}
        ax.text(1.012, place - over, fonts.shorten(text, RIGHT - 0.1, KEY), transform=ax.transAxes, **style)


def legend(figure: Figure, keys: Keys) -> None:
    """Set the legend in rows along the bottom of the paper."""
    signs, texts = zip(*keys, strict=True)
    corner = (MARGIN / WIDTH, 0.05 / figure.get_size_inches()[1])
    look: Style = {"frameon": False, "fontsize": KEY, "labelcolor": INK, "labelspacing": 0.45, "alignment": "left"}
    look |= {"borderpad": 0.2, "borderaxespad": 0, "columnspacing": 1.2, "handlelength": 1.8, "handletextpad": 0.5}
    figure.legend(signs, texts, loc="lower left", bbox_to_anchor=corner, ncols=_columns(texts), **look)


def legend_height(keys: Keys) -> float:
    """Give the inches that a legend takes."""
    return 0.08 + 0.185 * math.ceil(len(keys) / _columns([text for _, text in keys])) if keys else 0.05


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
        weight = "bold" if text.get_label() in ("title", "heading") else "normal"
        text.set(usetex=False, parse_math=False, fontfamily=list(fonts.families()), weight=weight, style="normal")
    return figure


def handle(**style: Any) -> Any:
    """Give the sign of a line or a marker."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **style)


def patch(**style: Any) -> Any:
    """Give the sign of a tinted area."""
    from matplotlib.patches import Patch

    return Patch(**style)


def bar_handle(color: str, width: float, **style: Any) -> Any:
    """Give the sign of an upright bar."""
    return handle(color=color, marker="|", markersize=11, markeredgewidth=width, linestyle="none", **style)


# --- axes and their ticks --------------------------------------------------------------------------


def set_span(ax: Axes, low: float, high: float, air: float, *, log: bool = False) -> None:
    """Set the range of x, with a share of it as air beside it; a logarithmic axis is without its small ticks."""
    if log:
        ax.set_xscale("log")
        ax.minorticks_off()
        ax.set_xlim(low * (low / high) ** air, high * (high / low) ** air)
    else:
        beside = air * ((high - low) or 1.0)
        ax.set_xlim(low - beside, high + beside)


def air_beside(points: int) -> float:
    """Give the air beside so many points, as a share of their range: few stand off the edges."""
    return max(0.03, 0.2 / max(points - 1, 1))


def set_score_axis(ax: Axes, low: float, high: float, *, most: int = 6, note: bool = True) -> None:
    """Set range and ticks of y; what the ticks leave out stands above them."""
    ax.set_ylim(low, high)
    places, labels, rest = nice_ticks(low, high, most)
    ax.set_yticks(places, labels)
    if note and rest:
        ax.text(0, 1.01, rest, transform=ax.transAxes, fontsize=KEY, color=INK, va="bottom", ha="left")


def with_room(ax: Axes, places: Sequence[float], labels: Sequence[str]) -> list[float]:
    """Leave out the places whose labels would touch, from the largest down."""
    low, high = ax.get_xlim()
    scale = np.log if ax.get_xscale() == "log" else np.asarray
    middles = (scale(np.asarray(places)) - scale(low)) / (scale(high) - scale(low)) * size_of(ax)[0]
    fitting: list[float] = []
    edge = math.inf
    for place, middle, label in sorted(zip(places, middles, labels, strict=True), reverse=True):
        half = fonts.width(label, TICK) / 2
        if middle + half + 0.06 <= edge:
            fitting.append(place)
            edge = middle - half
    return fitting[::-1]


def nice_ticks(low: float, high: float, most: int = 7) -> tuple[list[float], list[str], str]:
    """Give round numbers between two, their labels, and what these leave out."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3).tick_values(low, high)
    slack = (high - low) * 1e-9
    places = [float(t) for t in ticks if low - slack <= t <= high + slack]
    return places, *tick_labels(places)


def date_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], list[str]]:
    """Give days since 1970 that start a year, a month or a day, as many as have room, and their labels."""
    start, stop = np.floor([low, high]).astype("M8[D]")
    chosen: list[float] = []
    for unit, step in ((unit, step) for unit, steps in STEPS.items() for step in steps):
        first, last = (int(day.astype(f"M8[{unit}]").astype(int)) for day in (start, stop))
        days = np.arange(first // step * step, last + 1, step).astype(f"M8[{unit}]").astype("M8[D]").astype(float)
        days = days[(days >= low) & (days <= high)]
        if len(days) > most and len(chosen) >= 2:
            break
        chosen = days.tolist()
    texts = [words.date(day) for day in chosen]
    end = next((end for end in ("-01-01", "-01") if all(text.endswith(end) for text in texts)), "")
    return chosen, [text.removesuffix(end) for text in texts]


def rank_ticks(ax: Axes, ranks: RankAxis, points: Sequence[float], unit: str) -> tuple[list[float], list[str]]:
    """Stand values of a property at their ranks: the points where they are few, else every tenth of the way."""
    values = np.array(points) if len(points) <= MOST_NAMED else ranks.value(np.linspace(0, 1, 11))
    write = words.date if unit == words.DAYS else words.number
    texts = {float(ranks.share(p)): write(float(p)) for p in values}
    # The label of an end stands half outside the axes: a long one would leave the paper.
    labels = {share: text for share, text in texts.items() if len(text) <= 6 or 0.05 < share < 0.95}
    places = with_room(ax, list(labels), list(labels.values()))
    return places, [labels[share] for share in places]


def tick_labels(ticks: Sequence[float]) -> tuple[list[str], str]:
    """Write ticks alike, and what was taken out of them to be short: "×10⁹", "+ 1600000000", or nothing."""
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


def score_window(lower: float | None, upper: float | None, values: Sequence[float]) -> tuple[float, float]:
    """Choose the range of scores to show.

    Of a score with two bounds the whole range, or the half or quarter of it that holds everything: so figures
    of several runs mostly share their axes. Else what was seen, with some air.
    """
    finite = [x for x in values if math.isfinite(x)] or [0.0]
    low, high = min(finite), max(finite)
    if lower is None or upper is None:
        air = 0.06 * (high - low) or 0.5
        return low - air, high + air
    for _ in range(2):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if low >= middle else (lower, middle) if high <= middle else (lower, upper)
    air = 0.025 * (upper - lower)
    return min(lower, low) - air, max(upper, high) + air


# --- files -----------------------------------------------------------------------------------------


def to_png(figure: Figure, dpi: float = 150) -> bytes:
    """Render a figure as PNG."""
    file = io.BytesIO()
    with _pixels(figure, dpi) as agg:
        agg.print_png(file)
    return file.getvalue()


def to_array(figure: Figure, dpi: float = 150) -> NDArray[np.uint8]:
    """Render a figure as pixels (height, width, 3)."""
    with _pixels(figure, dpi) as agg:
        agg.draw()
        return np.asarray(agg.buffer_rgba(), np.uint8)[:, :, :3].copy()


def to_svg(figure: Figure) -> str:
    """Render a figure as SVG text, the same every time; its ids meet no other figure's on the same page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    svg: Any = FigureCanvasSVG(figure)
    with _pixels(figure, 72):
        svg.print_svg(file, metadata={"Date": None})
    text = file.getvalue().decode()
    # matplotlib salts some ids at random unless an rcParam says otherwise: all are numbered instead.
    order = {name: str(k) for k, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text)))}
    pattern = re.compile(r'(\bid="|"#|url\(#)([^")]+)')
    numbered = pattern.sub(lambda m: m[1] + order.get(m[2], m[2]), text)
    salt = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return pattern.sub(lambda m: f"{m[1]}s{salt}-{order[m[2]]}" if m[2] in order else m[0], text)


@contextmanager
def _pixels(figure: Figure, dpi: float) -> Iterator[Any]:
    """Lend a figure another resolution: savefig would draw it twice, and heed rcParams."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    before, figure.dpi = figure.dpi, dpi
    try:
        yield FigureCanvasAgg(figure)
    finally:
        figure.dpi = before
