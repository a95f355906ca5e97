"""Forests: the intervals of all tests of a result, of all differences of two, and of what engine `pymc` sampled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE, conclusion
from mlflow_sensie.inference import Interval
from mlflow_sensie.inference.pymc_engine import posterior_of
from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import BLUE, GREEN, GREY, INK, PALE, VERMILION, Style, handle, patch
from mlflow_sensie.text import words
from mlflow_sensie.text.sentences import holding_ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_sensie.comparison import Comparison
    from mlflow_sensie.result import Result

MOST_ROWS = 60
ROW = 0.25
# Kinds of tests, and what they head of one model and of two.
HEADINGS = {
    ("perturbation",): ("perturbations: mean drop over the sweep", "perturbations: larger mean drop"),
    ("property",): (
        "properties: effect, the change over the property's range",
        "properties: larger effect, either way",
    ),
    ("category", "class"): ("categories: spread, the SD between levels", "categories: larger spread between levels"),
}
# Colour and marker of what an interval says, of one model or of two.
DECISIONS = {"sensitive": (VERMILION, "o"), "undecided": (BLUE, "s"), "negligible": (GREEN, "D")}
CONCLUSIONS: dict[str, tuple[str, str]] = {BETTER: (GREEN, "D"), WORSE: (VERMILION, "o"), UNDECIDED: (BLUE, "s")}
SIGNS: dict[str, tuple[str, str]] = {**DECISIONS, **CONCLUSIONS}
ROPE: Style = {"color": PALE, "alpha": 0.6, "lw": 0}
Rows = Sequence["Row"]


@dataclass(frozen=True)
class Row:
    """One line of a forest: a heading, an interval with what it says and its numbers, or a failed test's error."""

    text: str
    interval: Interval | None = None
    says: str = ""
    numbers: str = ""
    rope: float | None = None
    error: str = ""


# --- one model -------------------------------------------------------------------------------------


def overview(result: Result) -> Figure:
    """Draw every test's headline: mean drop of perturbations, effect of properties, spread of categories.

    Within a kind the largest comes first; failed tests stand at the bottom with their errors. Of more than 60
    rows the first 60 are drawn, and the subtitle says so.
    """
    rows = _result_rows(result)
    left_out = sum(row.interval is not None or row.error != "" for row in rows[MOST_ROWS:])
    rows = rows[:MOST_ROWS]
    keys = _keys(DECISIONS, rows)
    ropes = {row.rope for row in rows if row.rope is not None}
    where = f"within ±{words.number(ropes.pop())}" if len(ropes) == 1 else "rope"
    keys += [(patch(**ROPE), f"{where}: too small to matter")] if keys else []
    below = canvas.legend_height(keys) + 0.5
    title, body = f"Sensitivity of {fonts.legible(result.title) or 'a model'}", below + ROW * (len(rows) + 0.5)
    figure, top = canvas.sheet(title, _result_phrases(result, left_out), body, least=2.2)
    left, right = _margins(rows)
    ax = canvas.add_axes(figure, left, below, canvas.WIDTH - right, top)
    ax.set(xlim=_result_span(rows, result), ylim=(len(rows) - 0.25, -0.75))
    score = fonts.legible(words.score_name(result.score.kind, result.score.unit))
    _draw_rows(ax, rows, f"in units of the score ({score})", most=5)
    if keys:
        canvas.legend(figure, keys)
    return canvas.finish(figure)


def _result_rows(result: Result) -> list[Row]:
    """Give headings and tests in the order they are drawn."""
    rows: list[Row] = []
    for kinds, (heading, _) in HEADINGS.items():
        tests = [test for test in result.tests.values() if test.kind in kinds and test.ok]
        # A drop below zero is an improvement: it comes last, however large.
        signed = kinds == ("perturbation",)
        tests.sort(key=lambda test: -test.headline.value if signed else -abs(test.headline.value))
        rows += [Row(heading)] if tests else []
        for test in tests:
            numbers = fonts.shorten(words.bracketed(test.headline), 2.4, canvas.KEY)
            rows.append(Row(fonts.name_of(test), test.headline, test.fit.decision, numbers, test.fit.rope))
    failed = [test for test in result.tests.values() if not test.ok]
    rows += [Row("failed: no result")] if failed else []
    return [*rows, *(Row(fonts.name_of(test), error=test.error or "no error was recorded") for test in failed)]


def _result_phrases(result: Result, left_out: int) -> list[str]:
    decisions = [test.fit.decision for test in result.tests.values() if test.ok]
    counts = [f"{decisions.count(word)} {word}" for word in DECISIONS if word in decisions]
    counts += [f"{len(result.failed)} failed"] if result.failed else []
    tests = f"{len(result.tests)} {'test' if len(result.tests) == 1 else 'tests'}"
    return [
        f"{tests}: {', '.join(counts)}" if counts else tests,
        f"at most {result.several.expected_by_chance:.2g} would be by chance" if result.several else "",
        words.with_interval("clean score", result.clean, say=True),
        f"n = {result.n:,}",
        f"{left_out} more are not drawn" if left_out else "",
    ]


def _result_span(rows: Rows, result: Result) -> tuple[float, float]:
    """Choose the range: all values, the rope, and the intervals, save those so wide that they say nothing."""
    intervals = [row.interval for row in rows if row.interval is not None]
    if not intervals:
        return -1.0, 1.0
    rope = max(row.rope for row in rows if row.rope is not None)
    most = 3 * max(rope, *(abs(interval.value) for interval in intervals))
    if result.score.lower is not None and result.score.upper is not None:
        most = min(most, result.score.upper - result.score.lower)
    low, high = _ends(intervals, most)
    low, high = min(low, -1.5 * rope), max(high, 1.5 * rope)
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


# --- two models ------------------------------------------------------------------------------------


def draw_differences(comparison: Comparison) -> Figure:
    """Draw by how much B is worse, everywhere: B's losses stand right of zero, its gains left.

    Clean score, mean drops, sizes of effects and spreads share an axis in the score's unit; below, how much shorter
    B holds, as a share of the longer of the two distances. Of more than 60 rows the first 60 are drawn.
    """
    upper, lower = difference_rows(comparison), holding_rows(comparison)
    left_out = max(0, len(upper) - MOST_ROWS)
    upper, lower = upper[:MOST_ROWS], lower[: MOST_ROWS // 2]
    rows = [*upper, *lower]
    keys = _keys(CONCLUSIONS, rows)
    phrases = [*_comparison_phrases(comparison), f"{left_out} more rows are not drawn" if left_out else ""]
    below = canvas.legend_height(keys) + 0.55
    upper_height, lower_height = ROW * (len(upper) + 0.6), ROW * (len(lower) + 0.6)
    body = 0.05 + upper_height + (lower_height + 0.5 if lower else 0.0) + below
    figure, top = canvas.sheet("B compared with A", phrases, body, least=0)
    left, right = _margins(rows)
    score = fonts.legible(words.score_name(comparison.score, comparison.score_unit))
    panels = [(upper, top - upper_height, top, f"B worse by, in units of the score ({score})")]
    holding = "B holds shorter by, as a share of the longer distance"
    for rows, bottom, top, label in [*panels, (lower, below, below + lower_height, holding)][: 2 if lower else 1]:
        ax = canvas.add_axes(figure, left, bottom, canvas.WIDTH - right, top)
        ax.set(xlim=_difference_span(rows), ylim=(len(rows) - 0.4, -0.6))
        _draw_rows(ax, rows, label, most=4)
    canvas.legend(figure, keys)
    return canvas.finish(figure)


def difference_rows(comparison: Comparison) -> list[Row]:
    """Give headings and differences in the score's unit, the largest loss first within a kind."""

    def row(name: str, worse_by: Interval) -> Row:
        return Row(name, worse_by, conclusion(worse_by), fonts.shorten(words.bracketed(worse_by), 2.4, canvas.KEY))

    rows = [Row("clean score"), row("all examples", comparison.clean.worse_by)]
    for kinds, (_, heading) in HEADINGS.items():
        tests = [test for test in comparison.tests.values() if test.kind in kinds]
        tests.sort(key=lambda test: -test.of_score.worse_by.value)
        rows += [Row(heading)] if tests else []
        rows += [row(fonts.name_of(test), test.of_score.worse_by) for test in tests]
    return rows


def holding_rows(comparison: Comparison) -> list[Row]:
    """Give how much shorter B holds, test by test, as a share of the longer distance."""
    tests = [test for test in comparison.tests.values() if "holds_until" in test.differences]
    rows = [Row("perturbations: how far the score holds")] if tests else []
    for test in tests:
        difference = test.differences["holds_until"]
        longer = max(difference.a, difference.b)
        share = difference.worse_by.scaled(1 / longer if longer > 0 else 0.0)
        ends = " → ".join(holding_ends(difference, test.curve)) if test.curve else ""
        rows.append(Row(fonts.name_of(test), share, conclusion(share), fonts.shorten(ends, 2.0, canvas.KEY)))
    return rows


def _comparison_phrases(comparison: Comparison) -> list[str]:
    inside = canvas.WIDTH / 2 - 2 * canvas.MARGIN
    models = (f"{side}: {name}" for side, name in (("A", comparison.a), ("B", comparison.b)))
    how = "the same" if comparison.paired else "not the same: unpaired,"
    conclusions = comparison.conclusions
    counts = ", ".join(f"{word} in {conclusions.count(word)}" for word in CONCLUSIONS if word in conclusions)
    return [
        *(fonts.shorten(fonts.legible(model), inside, canvas.SUBTITLE) for model in models),
        f"{how} examples, n = {comparison.n:,}",
        "every score is the same: no difference" if comparison.identical else f"{len(conclusions)} tests: {counts}",
        f"{len(comparison.not_compared)} tests not compared" if comparison.not_compared else "",
    ]


def _difference_span(rows: Rows) -> tuple[float, float]:
    """Choose the range: zero, all values and intervals, save those so wide that they say nothing."""
    intervals = [row.interval for row in rows if row.interval is not None]
    narrowest = min(interval.hi95 - interval.lo95 for interval in intervals)
    low, high = _ends(intervals, 4 * max(narrowest, *(abs(interval.value) for interval in intervals)))
    low, high = min(0.0, low), max(0.0, high)
    air = 0.05 * (high - low)
    return (low - air, high + air) if air > 0 else (-1.0, 1.0)


def _keys(signs: Iterable[str], rows: Rows) -> list[tuple[Any, str]]:
    """Give the legend of what the intervals say, as far as any does."""
    said = {row.says for row in rows}
    return [(handle(**_sign(word)), word) for word in signs if word in said]


def _sign(word: str) -> Style:
    color, marker = SIGNS[word]
    return {"marker": marker, "color": color, "ms": 5.8, "ls": "none", "mec": "white", "mew": 0.8}


def _ends(intervals: Sequence[Interval], most: float) -> tuple[float, float]:
    """Give what intervals reach over, none farther than `most` from zero unless its value is."""
    low = min(max(interval.lo95, min(interval.value, -most)) for interval in intervals)
    return low, max(min(interval.hi95, max(interval.value, most)) for interval in intervals)


def _margins(rows: Rows) -> tuple[float, float]:
    """Give the inches left and right of the axes that names and numbers need."""
    names = [fonts.shorten(row.text, 2.0, canvas.TICK) for row in rows if row.interval is not None or row.error]
    left = max((fonts.width(name, canvas.TICK) for name in names), default=0.0)
    numbers = [fonts.width(row.numbers, canvas.KEY) for row in rows if row.interval is not None]
    return canvas.MARGIN + 0.3 + max(0.8, left), canvas.MARGIN + 0.1 + max(numbers, default=1.0)


def _draw_rows(ax: Axes, rows: Rows, label: str, most: int) -> None:
    """Draw the rows once the ranges are set; names stand left of the axes."""
    ax.set(yticks=[], xticks=[])
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_visible(any(row.interval for row in rows))
    if any(row.interval for row in rows):
        places, labels, note = canvas.nice_ticks(*ax.get_xlim(), most=most)
        ax.set_xticks(places, labels)
        # Centred on the paper, for it may be wider than the axes.
        box, label = ax.get_position(), fonts.shorten(f"{label} {note}".rstrip(), canvas.WIDTH - 0.3, canvas.LABEL)
        ax.set_xlabel(label, fontsize=canvas.LABEL, color=INK, labelpad=3, x=(0.5 - box.x0) / box.width)
    for y, row in enumerate(rows):
        _draw_row(ax, y, row)


def _draw_row(ax: Axes, y: int, row: Row) -> None:
    left = ax.get_position().x0 * canvas.WIDTH
    if row.interval is None and not row.error:
        _write(ax, y, canvas.MARGIN - left, row.text, label="heading")
        return
    name = fonts.shorten(row.text, left - canvas.MARGIN - 0.2, canvas.TICK)
    _write(ax, y, canvas.MARGIN - left + 0.1, name, label="name")
    if row.interval is not None:
        _draw_interval(ax, y, row.interval, row)
        _write(ax, y, canvas.size_of(ax)[0] + 0.1, row.numbers, size=canvas.KEY, label="numbers")
        return
    error = fonts.shorten(fonts.legible(row.error), canvas.WIDTH - left - canvas.MARGIN, canvas.KEY, tail=False)
    _write(ax, y, 0, error, color=VERMILION, size=canvas.KEY, label="error")


def _write(ax: Axes, y: int, inches: float, text: str, **style: Any) -> None:
    """Write at a row, so many inches right of the axes' left edge."""
    style = {"color": INK, "va": "center", "ha": "left", "size": canvas.TICK, **style}
    ax.text(inches / canvas.size_of(ax)[0], y, text, transform=ax.get_yaxis_transform(), **style)


def _draw_interval(ax: Axes, y: int, interval: Interval, row: Row) -> None:
    low, high = ax.get_xlim()
    color = SIGNS[row.says][0]
    ax.plot([0, 0], [y - 0.5, y + 0.5], color=GREY, lw=0.8, ls="-", zorder=1, label="zero")
    if row.rope is not None:
        ax.fill_between([-row.rope, row.rope], y - 0.5, y + 0.5, **ROPE, zorder=0, label="rope")
    for start, stop, thick in ((interval.lo95, interval.hi95, 1.5), (interval.lo50, interval.hi50, 4.2)):
        bar: Style = {"color": color, "lw": thick, "ls": "-", "solid_capstyle": "butt", "label": "interval"}
        ax.plot([min(max(x, low), high) for x in (start, stop)], [y, y], **bar, zorder=3)
    for is_beyond, edge, marker in ((interval.lo95 < low, low, "<"), (interval.hi95 > high, high, ">")):
        if is_beyond:
            arrow: Style = {"marker": marker, "color": color, "ms": 5, "ls": "none", "label": "beyond"}
            ax.plot([edge], [y], **arrow, clip_on=False, zorder=3)
    ax.plot([interval.value], [y], zorder=4, label="value", **_sign(row.says))


# --- draws -----------------------------------------------------------------------------------------


def draw_posterior(result: Result) -> Figure:
    """Draw the effects' posteriors below each other, with their 50 and 95 % intervals.

    Raises:
        ValueError: the result holds no draws.
    """
    if result.inference_data is None:
        raise ValueError("there are no draws: engine pymc makes them, and a result read back from JSON has none")
    effects = posterior_of(result.inference_data)[["effect"]]
    short = [fonts.shorten(name, 2.2, 10) for name in effects["test"].to_numpy().tolist()]
    if len(set(short)) == len(short):
        effects = effects.assign_coords(test=short)
    figure, ax = _draw_by_arviz(effects, (canvas.WIDTH, 1.2 + 0.34 * len(short)))
    rope = float(result.recipe["inference"]["rope"])
    ax.axvspan(-rope, rope, color=PALE, alpha=0.5, lw=0, zorder=0)
    ax.set_xlabel(f"effect ({result.score.unit})\n50 and 95 % intervals; grey: |effect| < {rope:g}", fontsize=9)
    return canvas.finish(figure)


def _draw_by_arviz(effects: Any, size: tuple[float, float]) -> tuple[Figure, Any]:
    """Give a figure and its axes; from version 1 on ArviZ draws by pyplot, which the other figures never touch."""
    import arviz as az

    options: dict[str, Any] = {"var_names": ["effect"], "combined": True, "backend": "matplotlib"}
    if not hasattr(az, "convert_to_datatree"):  # before ArviZ 1
        from matplotlib.figure import Figure

        figure = Figure(size, layout="constrained")
        data, labels = az.convert_to_inference_data(effects), az.labels.NoVarLabeller()
        ax = figure.subplots()
        az.plot_forest(data, ax=ax, hdi_prob=0.95, labeller=labels, textsize=9, show=False, **options)
        ax.set_title("")
        if effects.sizes["test"] == 1:
            ax.set_yticklabels(effects["test"].to_numpy())  # which ArviZ leaves out
        return figure, ax
    from matplotlib import pyplot

    plot = az.plot_forest(
        az.convert_to_datatree(effects), ci_kind="eti", ci_probs=(0.5, 0.95), labels=["test"],
        figure_kwargs={"figsize": size, "layout": "constrained"}, **options,
    )  # fmt: skip
    figure = plot.viz["figure"].item()
    pyplot.close(figure)
    return figure, plot.viz["plot"].sel(column="forest").item()
