"""The figure of all tests: what each found, with its intervals, in one column per kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import Interval
from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots import ticks as tick
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, VERMILION
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, TestResult

MOST_ROWS = 60
ROW = 0.25
HEADINGS = (
    (("perturbation",), "perturbations: mean drop over the sweep"),
    (("property",), "properties: effect, the change over the property's range"),
    (("category", "class"), "categories: spread, the SD between levels"),
)
COLORS = {"sensitive": VERMILION, "undecided": BLUE, "negligible": GREEN}
ROPE: dict[str, Any] = {"color": PALE, "alpha": 0.6, "linewidth": 0}
MARKERS = {"sensitive": "o", "undecided": "s", "negligible": "D"}


@dataclass(frozen=True)
class Row:
    """One line of the forest: a heading, a test with its interval, or a failed test with its error."""

    text: str
    test: TestResult | None = None
    interval: Interval | None = None


def overview(result: Result) -> Figure:
    """Draw every test's headline: mean drop of perturbations, effect of properties, spread of categories.

    Within a kind the largest comes first; failed tests stand at the bottom with their errors. Of more than 60
    rows the first 60 are drawn, and the subtitle says so.
    """
    rows = forest_rows(result)
    left_out = sum(row.test is not None for row in rows[MOST_ROWS:])
    rows = rows[:MOST_ROWS]
    names, numbers = _columns(rows)
    found = [row for row in rows if row.interval is not None]
    decisions = [row.test.fit.decision for row in found if row.test is not None]
    texts = [word for word in COLORS if word in decisions]
    keys = [*texts, _rope_words(found)] if texts else []
    below = canvas.legend_height(keys) + 0.5
    said = _phrases(result, left_out)
    above = 0.45 + canvas.LINE * len(fonts.pack(said, canvas.WIDTH - 2 * canvas.MARGIN, canvas.SUBTITLE))
    height = max(2.2, above + below + ROW * (len(rows) + 0.5))
    title = f"Sensitivity of {fonts.legible(result.title) or 'a model'}"
    figure, top = canvas.sheet(title, said, height)
    ax = canvas.add_axes(figure, names, below, canvas.WIDTH - numbers, top)
    ax.set_ylim(len(rows) - 0.25, -0.75)
    ax.set_xlim(*_reach(found, result))
    _axis(ax, result, bool(texts))
    for y, row in enumerate(rows):
        _draw_row(ax, y, row, names)
    if keys:
        canvas.legend(figure, list(zip(_keys(texts), keys, strict=True)))
    return canvas.finish(figure)


def forest_rows(result: Result) -> list[Row]:
    """Give headings and tests in the order they are drawn."""
    rows: list[Row] = []
    for kinds, heading in HEADINGS:
        tests = [test for test in result.tests.values() if test.kind in kinds and test.ok]
        # A drop below zero is an improvement: it comes last, however large.
        signed = kinds == ("perturbation",)
        tests.sort(key=lambda test: -test.headline.value if signed else -abs(test.headline.value))
        rows += [Row(heading)] if tests else []
        rows += [Row(fonts.name_of(test), test, test.headline) for test in tests]
    failed = [test for test in result.tests.values() if not test.ok]
    rows += [Row("failed: no result")] if failed else []
    return [*rows, *(Row(fonts.name_of(test), test) for test in failed)]


def _phrases(result: Result, left_out: int) -> list[str]:
    decisions = [test.fit.decision for test in result.tests.values() if test.ok]
    counts = [f"{decisions.count(word)} {word}" for word in COLORS if word in decisions]
    counts += [f"{len(result.failed)} failed"] if result.failed else []
    tests = f"{len(result.tests)} {'test' if len(result.tests) == 1 else 'tests'}"
    return [
        f"{tests}: {', '.join(counts)}" if counts else tests,
        f"at most {result.several.expected_by_chance:.2g} would be by chance" if result.several else "",
        words.with_interval("clean score", result.clean, say=True),
        f"n = {result.n:,}",
        f"{left_out} more are not drawn" if left_out else "",
    ]


def _rope_words(rows: Sequence[Row]) -> str:
    ropes = {row.test.fit.rope for row in rows if row.test is not None}
    where = f"within ±{words.number(ropes.pop())}" if len(ropes) == 1 else "rope"
    return f"{where}: too small to matter"


def _reach(rows: Sequence[Row], result: Result) -> tuple[float, float]:
    """Choose the range: all values, the rope, and the intervals, save those so wide that they say nothing."""
    if not rows:
        return -1.0, 1.0
    found = [row.interval for row in rows if row.interval is not None]
    ropes = [row.test.fit.rope for row in rows if row.test is not None]
    most = 3 * max(*(abs(one.value) for one in found), *ropes)
    if result.score.lower is not None and result.score.upper is not None:
        most = min(most, result.score.upper - result.score.lower)
    low = min(*(max(one.lo95, min(one.value, -most)) for one in found), *(-1.5 * rope for rope in ropes))
    high = max(*(min(one.hi95, max(one.value, most)) for one in found), *(1.5 * rope for rope in ropes))
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _axis(ax: Axes, result: Result, any_result: bool) -> None:
    canvas.set_ticks(ax.yaxis, [], [])
    ax.spines["left"].set_visible(False)
    if not any_result:
        canvas.set_ticks(ax.xaxis, [], [])
        ax.spines["bottom"].set_visible(False)
        return
    ticks = tick.nice_ticks(*ax.get_xlim(), most=5)
    labels, note = tick.tick_labels(ticks)
    canvas.set_ticks(ax.xaxis, ticks, labels)
    label = f"in units of the score ({fonts.legible(words.score_label(result.score))}) {note}".rstrip()
    # Centred on the paper, for it may be wider than the axes.
    box, label = ax.get_position(), fonts.shorten(label, canvas.WIDTH - 0.3, canvas.LABEL)
    ax.set_xlabel(label, fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.xaxis.label.set_x((0.5 - box.x0) / box.width)


def _columns(rows: Sequence[Row]) -> tuple[float, float]:
    """Give the inches left and right of the axes that names and numbers need."""
    tests = [row for row in rows if row.test is not None]
    shown = [fonts.shorten(row.text, 2.0, canvas.TICK) for row in tests]
    names = max((fonts.width(text, canvas.TICK) for text in shown), default=0.0)
    said = [_numbers(row.interval) for row in tests if row.interval is not None]
    numbers = max((fonts.width(text, canvas.KEY) for text in said), default=1.0)
    return canvas.MARGIN + 0.3 + max(0.8, names), canvas.MARGIN + 0.1 + numbers


def _numbers(interval: Interval) -> str:
    value, low, high = words.between(interval)
    return fonts.shorten(f"{value} [{low}, {high}]", 2.4, canvas.KEY)


def _draw_row(ax: Axes, y: int, row: Row, names: float) -> None:
    edge = canvas.MARGIN - names
    if row.test is None:
        _write(ax, y, edge, row.text, label="heading")
        return
    name = fonts.shorten(row.text, names - canvas.MARGIN - 0.2, canvas.TICK)
    _write(ax, y, edge + 0.1, name, label="name")
    if row.interval is None:
        error = fonts.legible(row.test.error or "no error was recorded")
        error = fonts.shorten(error, canvas.WIDTH - names - canvas.MARGIN, canvas.KEY, tail=False)
        _write(ax, y, 0, error, color=VERMILION, size=canvas.KEY, label="error")
        return
    _interval(ax, y, row.interval, row.test.fit.decision, row.test.fit.rope)
    _write(ax, y, canvas.size_of(ax)[0] + 0.1, _numbers(row.interval), size=canvas.KEY, label="numbers")


def _write(ax: Axes, y: int, inches: float, text: str, **style: Any) -> None:
    """Write at a row, so many inches right of the axes' left edge."""
    style = {"color": INK, "va": "center", "ha": "left", "size": canvas.TICK, **style}
    ax.text(inches / canvas.size_of(ax)[0], y, text, transform=ax.get_yaxis_transform(), **style)


def _interval(ax: Axes, y: int, found: Interval, decision: str, rope: float) -> None:
    low, high = ax.get_xlim()
    color = COLORS[decision]
    ax.plot([0, 0], [y - 0.5, y + 0.5], color=GREY, linewidth=0.8, linestyle="-", zorder=1, label="zero")
    ax.fill_between([-rope, rope], y - 0.5, y + 0.5, **ROPE, zorder=0, label="rope")
    for start, stop, thick in ((found.lo95, found.hi95, 1.5), (found.lo50, found.hi50, 4.2)):
        ends = [min(max(x, low), high) for x in (start, stop)]
        bar: dict[str, Any] = {"color": color, "linewidth": thick, "linestyle": "-", "solid_capstyle": "butt"}
        ax.plot(ends, [y, y], **bar, zorder=3, label="interval")
    for beyond, at, marker in ((found.lo95 < low, low, "<"), (found.hi95 > high, high, ">")):
        if beyond:
            arrow: dict[str, Any] = {"marker": marker, "color": color, "markersize": 5, "linestyle": "none"}
            ax.plot([at], [y], **arrow, clip_on=False, zorder=3, label="beyond")
    ax.plot([found.value], [y], zorder=4, label="value", **_sign(decision))


def _sign(decision: str) -> dict[str, Any]:
    return {
        "marker": MARKERS[decision],
        "color": COLORS[decision],
        "markersize": 5.8,
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
        "linestyle": "none",
    }


def _keys(texts: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [*(Line2D([], [], **_sign(word)) for word in texts), Patch(**ROPE)]
