"""The figures of a comparison: every difference with its interval, and one test's curves above their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE, Conclusion, conclusion
from mlflow_sensie.inference import Interval
from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots import ticks as tick
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, VERMILION
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.text import words
from mlflow_sensie.text.comparison_sentences import holding_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, TestComparison

MOST_ROWS = 60
ROW = 0.25
HEADINGS = (
    (("perturbation",), "perturbations: larger mean drop"),
    (("property",), "properties: larger effect, either way"),
    (("category", "class"), "categories: larger spread between levels"),
)
SIGNS: dict[Conclusion, tuple[str, str]] = {BETTER: (GREEN, "D"), WORSE: (VERMILION, "o"), UNDECIDED: (BLUE, "s")}
COLORS = {"A": BLUE, "B": VERMILION}
MOST_LABELS = 12
NAMES = {"holds_until": "distance that it holds"}


@dataclass(frozen=True)
class Row:
    """One line of the forest: a heading, or a difference with by how much B is worse, in the unit of its axis."""

    text: str
    worse_by: Interval | None = None
    said: str = ""


def forest(comparison: Comparison) -> Figure:
    """Draw by how much B is worse, everywhere: B's losses stand right of zero, its gains left.

    Clean score, mean drops, sizes of effects and spreads share an axis in the score's unit; below, how much shorter
    B holds, as a share of the longer of the two distances. Of more than 60 rows the first 60 are drawn.
    """
    upper, lower = score_rows(comparison), holding_rows(comparison)
    left_out = max(0, len(upper) - MOST_ROWS)
    upper, lower = upper[:MOST_ROWS], lower[: MOST_ROWS // 2]
    found = [conclusion(row.worse_by) for row in [*upper, *lower] if row.worse_by is not None]
    keys = [word for word in SIGNS if word in found]
    said = [*_phrases(comparison), f"{left_out} more rows are not drawn" if left_out else ""]
    below = canvas.legend_height(keys) + 0.55
    lines = fonts.pack(said, canvas.WIDTH - 2 * canvas.MARGIN, canvas.SUBTITLE)
    tall = ROW * (len(upper) + 0.6), (ROW * (len(lower) + 0.6) + 0.5 if lower else 0.0)
    height = 0.5 + canvas.LINE * len(lines) + sum(tall) + below
    figure, top = canvas.sheet("B compared with A", said, height)
    names, numbers = _columns([*upper, *lower])
    right = canvas.WIDTH - numbers
    ax = canvas.add_axes(figure, names, top - tall[0], right, top)
    _rows(ax, upper, names, f"B worse by, in units of the score ({_score(comparison)})")
    if lower:
        ax = canvas.add_axes(figure, names, below, right, below + tall[1] - 0.5)
        _rows(ax, lower, names, "B holds shorter by, as a share of the longer distance")
    canvas.legend(figure, [(_mark(word), word) for word in keys])
    return canvas.finish(figure)


def score_rows(comparison: Comparison) -> list[Row]:
    """Give headings and differences in the score's unit, the largest loss first within a kind."""
    rows = [Row("clean score"), _row("all examples", comparison.clean)]
    for kinds, heading in HEADINGS:
        tests = [test for test in comparison.tests.values() if test.kind in kinds]
        tests.sort(key=lambda test: -test.headline.worse_by.value)
        rows += [Row(heading)] if tests else []
        rows += [_row(fonts.name_of(test), test.headline) for test in tests]
    return rows


def holding_rows(comparison: Comparison) -> list[Row]:
    """Give how much shorter B holds, test by test, as a share of the longer distance."""
    tests = [test for test in comparison.tests.values() if "holds_until" in test.differences]
    rows = [Row("perturbations: how far the score holds")] if tests else []
    for test in tests:
        found = test.differences["holds_until"]
        longer = max(found.a, found.b)
        share = found.worse_by.scaled(1 / longer if longer > 0 else 0.0)
        ends = " → ".join(holding_ends(found, test.curve)) if test.curve else ""
        rows.append(Row(fonts.name_of(test), share, fonts.shorten(ends, 2.0, canvas.KEY)))
    return rows


def draw_pair(comparison: Comparison, test: TestComparison) -> Figure:
    """Draw both models' curves, and below them the difference B - A with its simultaneous 95 % band.

    Raises:
        ValueError: the test has no curve.
    """
    curve = test.curve
    if curve is None:
        raise ValueError(f"test {test.name!r} has no bins, so no curve to draw")
    levels = test.kind in ("category", "class")
    band = "B − A, 95 % intervals that hold together" if levels else "B − A, 95 % band of the whole curve"
    keys = [f"A: {comparison.a}", f"B: {comparison.b}", band]
    keys = [fonts.shorten(fonts.legible(key), 2.6, canvas.KEY) for key in keys]
    figure, top = canvas.sheet(fonts.name_of(test), _test_phrases(test), canvas.HEIGHT + 0.8)
    bottom = canvas.legend_height(keys) + 0.5 + (0.65 * _slanted(curve) if levels else 0.0)
    middle = bottom + 0.38 * (top - bottom)
    right = canvas.WIDTH - 0.2
    upper = canvas.add_axes(figure, canvas.LEFT, middle + 0.14, right, top)
    lower = canvas.add_axes(figure, canvas.LEFT, bottom, right, middle - 0.14)
    places = list(map(float, range(len(curve.p)))) if levels else list(curve.p)
    for ax in (upper, lower):
        _x_axis(ax, test, places, shown=ax is lower)
    kind = KINDS.get(comparison.score)
    _draw_curves(upper, curve, places, levels, least=0.1 if kind is not None and kind.scale.fractional else 0.0)
    _draw_band(lower, curve, places, levels)
    name = fonts.axis_name(test, canvas.size_of(lower)[0], canvas.LABEL)
    canvas.name_axes(upper, "", _score(comparison))
    canvas.name_axes(lower, name, "B − A")
    canvas.legend(figure, list(zip(_curve_keys(levels), keys, strict=True)))
    return canvas.finish(figure)


def _score(comparison: Comparison) -> str:
    return fonts.legible(words.score_name(comparison.score, comparison.score_unit))


# --- the forest ------------------------------------------------------------------------------------


def _row(name: str, found: Difference) -> Row:
    return Row(name, found.worse_by, fonts.shorten(_numbers(found.worse_by), 2.4, canvas.KEY))


def _numbers(interval: Interval) -> str:
    value, low, high = words.between(interval)
    return f"{value} [{low}, {high}]"


def _phrases(comparison: Comparison) -> list[str]:
    inside = canvas.WIDTH / 2 - 2 * canvas.MARGIN
    models = [
        fonts.shorten(fonts.legible(f"{side}: {name}"), inside, canvas.SUBTITLE)
        for side, name in (("A", comparison.a), ("B", comparison.b))
    ]
    how = "the same" if comparison.paired else "not the same: unpaired,"
    found = comparison.conclusions
    counts = ", ".join(f"{word} in {found.count(word)}" for word in SIGNS if word in found)
    counts = "every score is the same: no difference" if comparison.identical else f"{len(found)} tests: {counts}"
    return [
        *models,
        f"{how} examples, n = {comparison.n:,}",
        counts,
        f"{len(comparison.not_compared)} tests not compared" if comparison.not_compared else "",
    ]


def _columns(rows: Sequence[Row]) -> tuple[float, float]:
    """Give the inches left and right of the axes that names and numbers need."""
    shown = [fonts.shorten(row.text, 2.0, canvas.TICK) for row in rows if row.worse_by is not None]
    names = max(fonts.width(text, canvas.TICK) for text in shown)
    numbers = max(fonts.width(row.said, canvas.KEY) for row in rows)
    return canvas.MARGIN + 0.3 + max(0.8, names), canvas.MARGIN + 0.1 + numbers


def _rows(ax: Axes, rows: Sequence[Row], names: float, label: str) -> None:
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(*_reach([row.worse_by for row in rows if row.worse_by is not None]))
    canvas.set_ticks(ax.yaxis, [], [])
    ax.spines["left"].set_visible(False)
    places = tick.nice_ticks(*ax.get_xlim(), most=4)
    texts, note = tick.tick_labels(places)
    canvas.set_ticks(ax.xaxis, places, texts)
    box = ax.get_position()
    ax.set_xlabel(f"{label} {note}".rstrip(), fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.xaxis.label.set_x((0.5 - box.x0) / box.width)
    for y, row in enumerate(rows):
        edge = canvas.MARGIN - names
        if row.worse_by is None:
            _write(ax, y, edge, row.text, label="heading")
            continue
        ax.plot([0, 0], [y - 0.5, y + 0.5], color=GREY, linewidth=0.8, linestyle="-", zorder=1, label="zero")
        _write(ax, y, edge + 0.1, fonts.shorten(row.text, names - canvas.MARGIN - 0.2, canvas.TICK), label="name")
        _interval(ax, y, row.worse_by)
        _write(ax, y, canvas.size_of(ax)[0] + 0.1, row.said, size=canvas.KEY, label="numbers")


def _reach(found: Sequence[Interval]) -> tuple[float, float]:
    """Choose the range: all values and intervals, save those so wide that they say nothing."""
    most = 4 * max(max(abs(one.value) for one in found), min(one.hi95 - one.lo95 for one in found))
    low = min(0.0, *(max(one.lo95, min(one.value, -most)) for one in found))
    high = max(0.0, *(min(one.hi95, max(one.value, most)) for one in found))
    if not high > low:
        return -1.0, 1.0
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _write(ax: Axes, y: int, inches: float, text: str, **style: Any) -> None:
    """Write at a row, so many inches right of the axes' left edge."""
    style = {"color": INK, "va": "center", "ha": "left", "size": canvas.TICK, **style}
    ax.text(inches / canvas.size_of(ax)[0], y, text, transform=ax.get_yaxis_transform(), **style)


def _interval(ax: Axes, y: int, found: Interval) -> None:
    low, high = ax.get_xlim()
    word = conclusion(found)
    for start, stop, thick in ((found.lo95, found.hi95, 1.5), (found.lo50, found.hi50, 4.2)):
        ends = [min(max(x, low), high) for x in (start, stop)]
        bar: dict[str, Any] = {"color": SIGNS[word][0], "linewidth": thick, "linestyle": "-"}
        ax.plot(ends, [y, y], **bar, solid_capstyle="butt", zorder=3, label="interval")
    for beyond, at, marker in ((found.lo95 < low, low, "<"), (found.hi95 > high, high, ">")):
        if beyond:
            arrow: dict[str, Any] = {"marker": marker, "color": SIGNS[word][0], "markersize": 5, "linestyle": "none"}
            ax.plot([at], [y], **arrow, clip_on=False, zorder=3, label="beyond")
    ax.plot([found.value], [y], zorder=4, label="value", **_sign(word))


def _sign(word: Conclusion) -> dict[str, Any]:
    color, marker = SIGNS[word]
    edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.8}
    return {"marker": marker, "color": color, "markersize": 5.8, "linestyle": "none", **edge}


def _mark(word: Conclusion) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], **_sign(word))


# --- the curves ------------------------------------------------------------------------------------


def _test_phrases(test: TestComparison) -> list[str]:
    found = test.differences
    phrases = [
        f"{NAMES.get(metric, metric.replace('_', ' '))} {_change(found[metric])}"
        for metric in ("mean_drop", "effect", "spread", "holds_until")
        if metric in found
    ]
    return [
        *phrases,
        f"P(B is more robust) {words.probability(test.headline.prob_more_robust)}",
        f"n = {test.n:,}",
        "few examples carry this: interval guarded" if test.warnings else "",
    ]


def _change(found: Difference) -> str:
    step = (found.difference.hi95 - found.difference.lo95) / 10 or None
    a, b = (words.number(end, step) for end in (found.a, found.b))
    return f"{a} → {b}, B − A {_numbers(found.difference)}"


def _slanted(curve: CurveDifference) -> float:
    """Give the inches of the longest label where there is no room for labels to stand level, else 0."""
    longest = max(
        fonts.width(fonts.shorten(fonts.legible(label), 0.9, canvas.TICK), canvas.TICK) for label in curve.label
    )
    return longest if longest > (canvas.WIDTH - 1.2) / len(curve.label) - 0.1 else 0.0


def _x_axis(ax: Axes, test: TestComparison, places: Sequence[float], *, shown: bool) -> None:
    low, high = min(places), max(places)
    curve = test.curve
    assert curve is not None
    if curve.log and low > 0:
        canvas.set_log(ax)
        ax.set_xlim(low * (low / high) ** 0.03, high * (high / low) ** 0.03)
    else:
        air = max(0.03, 0.2 / max(len(places) - 1, 1)) * ((high - low) or 1.0)
        ax.set_xlim(low - air, high + air)
    at, labels = _ticks(ax, test, places)
    canvas.set_ticks(ax.xaxis, at, labels if shown else [""] * len(at))
    if test.kind in ("category", "class") and _slanted(curve):
        for label in ax.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")


def _ticks(ax: Axes, test: TestComparison, places: Sequence[float]) -> tuple[list[float], list[str]]:
    curve = test.curve
    assert curve is not None
    if test.kind in ("category", "class"):
        step = -(-len(places) // (2 * MOST_LABELS))
        names = [fonts.shorten(fonts.legible(label), 0.9, canvas.TICK) for label in curve.label]
        return list(places[::step]), names[::step]
    if test.unit == words.DAYS:
        return tick.date_ticks(min(places), max(places))
    labels = [words.number(p) for p in places]
    if curve.log or len(places) <= MOST_LABELS:
        kept = canvas.roomy(ax, places, labels)
        return kept, [words.number(p) for p in kept]
    at = tick.nice_ticks(min(places), max(places))
    return at, tick.tick_labels(at)[0]


def _draw_curves(ax: Axes, curve: CurveDifference, places: Sequence[float], levels: bool, least: float) -> None:
    """Draw both curves on axes that show at least so much of the score: a fall of 0.01 shall not look like a cliff."""
    values = [*curve.a, *curve.b]
    seen = max(values) - min(values)
    air = 0.08 * seen if seen > least else (least - seen) / 2 or 0.05
    canvas.set_score_axis(ax, min(values) - air, max(values) + air)
    for name, y in (("A", curve.a), ("B", curve.b)):
        ax.plot(places, y, label=name, zorder=3, **_line(name, levels))


def _line(name: str, levels: bool) -> dict[str, Any]:
    marker = {"A": "o", "B": "D"}[name]
    style: dict[str, Any] = {"color": COLORS[name], "marker": marker, "markersize": 4.6, "linewidth": 1.5}
    return {**style, "linestyle": "none" if levels else "-", "markeredgecolor": "white", "markeredgewidth": 0.6}


def _draw_band(ax: Axes, curve: CurveDifference, places: Sequence[float], levels: bool) -> None:
    ends = [*curve.lo95, *curve.hi95, 0.0]
    air = 0.08 * (max(ends) - min(ends)) or 0.05
    canvas.set_score_axis(ax, min(ends) - air, max(ends) + air)
    ax.axhline(0, color=GREY, linewidth=0.8, linestyle="-", zorder=1, label="zero")
    dot: dict[str, Any] = {"color": INK, "marker": "o", "markersize": 3.2, "linewidth": 1.3}
    if levels:
        ax.vlines(places, curve.lo95, curve.hi95, colors=GREY, linewidth=1.6, zorder=2, label="band")
    else:
        ax.fill_between(places, curve.lo95, curve.hi95, color=PALE, linewidth=0, zorder=2, label="band")
    ax.plot(places, curve.difference, zorder=3, label="difference", linestyle="none" if levels else "-", **dot)


def _curve_keys(levels: bool) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    a, b = (Line2D([], [], **_line(name, levels)) for name in COLORS)
    line = Line2D([], [], color=INK, linewidth=1.3, marker="o", markersize=3.2, linestyle="none" if levels else "-")
    bar = Line2D([], [], color=GREY, marker="|", markersize=11, markeredgewidth=1.6, linestyle="none")
    return [a, b, (bar if levels else Patch(color=PALE, linewidth=0), line)]
