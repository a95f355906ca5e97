"""The figures: that they say what the fits say, legibly, for any name, and leave matplotlib's state alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from xml.dom import minidom

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import library
from matplotlib.text import Text

from mlflow_sensie import plots
from mlflow_sensie.inference import (
    CategoryFit,
    Interval,
    PerturbationFit,
    PropertyFit,
    Ranks,
    ScoreScale,
    Shape,
    bin_edges,
    category_test,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.plots import canvas, forest, levels, ticks
from mlflow_sensie.result import Result, ScoreInfo, TestResult
from mlflow_sensie.text import words

PROBABILITY = ScoreScale(0.0, 1.0, "probability")
ERROR = ScoreScale(None, 0.0, "target SD")
INFO = ScoreInfo(kind="probability", lower=0.0, upper=1.0, unit="probability", source="predict_proba")
ERROR_INFO = ScoreInfo(kind="neg_absolute_error", lower=None, upper=0.0, unit="target SD", source="predict")
CLEAN = Interval(0.947, 0.945, 0.949, 0.94, 0.954)
FAILURE = "ValueError: magnitude 3.0, chunk 7 of 'mine' returned (256, 28, 27)\n  File \"my.py\"\n" + "x" * 400
HOSTILE = [
    "<script>alert('1')</script>",
    r"$x_1$ & $\frac{1}{2$ ^ \alpha _",
    "a very long name " * 20,
    "旋转 🚀 rotation",
    "line\nbreak\ttab \x00 \ud800 \u202e",
    "",
    '--> ]]> <!-- &amp; "#figure_1" id="figure_1"',
]


def make_result(*tests: TestResult, score: ScoreInfo = INFO) -> Result:
    return Result(
        version="0",
        score=score,
        n=1000,
        clean=CLEAN,
        tests={test.name: test for test in tests},
        recipe={},
        recipe_yaml="",
        recipe_sha256="",
        data_sha256="",
        model_name="models:/digits/7",
        n_predictions=1,
        seconds=1.0,
    )


def make_test(name: str, kind: Any, fit: Any, unit: str = "", error: str | None = None) -> TestResult:
    return TestResult(name=name, slug=f"slug-{len(name)}", kind=kind, unit=unit, fit=fit, error=error)


# --- realistic fits, each made once ----------------------------------------------------------------


def falling(x: float, middle: float = 60, width: float = 18) -> float:
    return 0.1 + 0.85 / (1 + np.exp((abs(x) - middle) / width))


def sweep(
    magnitudes: Sequence[float],
    mean: Callable[[float], float],
    *,
    neutral: float | None = 0.0,
    n: int = 300,
    **kwargs: Any,
) -> PerturbationFit:
    rng = np.random.default_rng(0)
    clean = magnitudes[0] if neutral is None else neutral
    at = np.array([mean(p) for p in [clean, *magnitudes]])
    logits = np.log(at / (1 - at)) * 1.25 + 1.4 * rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, len(at)))
    scores = 1 / (1 + np.exp(-logits))
    return perturbation_test(lambda: [scores], PROBABILITY, magnitudes=magnitudes, neutral=neutral, **kwargs)


def binned(p: np.ndarray, mean: np.ndarray, *, bins: Any = 20, hard: bool = False, **more: Any) -> PropertyFit:
    rng = np.random.default_rng(0)
    score = (rng.random(len(p)) < mean).astype(float) if hard else rng.beta(6 * mean, 6 * (1 - mean))
    edges, unique = bin_edges(p, bins)
    blocks = [(p, score, None)]
    options = {"edges": edges, "unique": unique, "span": property_span(p), **more}
    return property_test(lambda: blocks, PROBABILITY, **options)


def ranked(p: np.ndarray, mean: np.ndarray, **more: Any) -> PropertyFit:
    return binned(p, mean, ranks=Ranks.of(p), **more)


def category(labels: Sequence[str], n: int = 1000, missing: int = 0) -> CategoryFit:
    rng = np.random.default_rng(0)
    mean = np.clip(0.8 + 0.1 * rng.normal(size=len(labels)), 0.02, 0.98)
    level = rng.integers(0, len(labels), n)
    score = (rng.random(n) < mean[level]).astype(float)
    level[:missing] = -1
    return category_test(lambda: [(level, score)], PROBABILITY, levels=labels)


def followed() -> PerturbationFit:
    fall, rng = np.array([[0, 0.1, 0.25, 0.5]]), np.random.default_rng(0)
    scores = np.clip(0.9 - fall * rng.uniform(0.5, 1.5, (300, 1)), 0, 1)
    expected = np.clip(0.9 - 0.3 * fall + 0.02 * rng.normal(size=(300, 1)), 0, 1)
    blocks = {"expected": lambda: [expected], "magnitudes": [1.0, 2.0, 4.0], "neutral": 0.0}
    return perturbation_test(lambda: [scores], PROBABILITY, **blocks)


def regression() -> PerturbationFit:
    rng = np.random.default_rng(0)
    scores = -np.abs(rng.normal(size=(400, 1))) * np.array([[0.4, 0.5, 0.6, 0.9, 1.4]])
    return perturbation_test(lambda: [scores], ERROR, magnitudes=[0.1, 0.2, 0.5, 1.0], neutral=0.0)


def _properties(kind: str) -> PropertyFit:
    rng = np.random.default_rng(1)
    alcohol = rng.normal(10.4, 1.0, 800)
    rising = 0.1 + 0.8 / (1 + np.exp(-(alcohol - 9)))
    counts = rng.poisson(3, 800).astype(float)
    gap = np.where(np.arange(800) % 13 == 0, np.nan, counts)
    seconds = 1.6e9 + rng.random(400) * 100
    flat = np.full(800, 0.8)
    return {
        "bins": lambda: binned(alcohol, rising),
        "counts": lambda: binned(counts, np.clip(0.9 - 0.05 * counts, 0.1, 0.9)),
        "missing": lambda: binned(gap, np.where(np.isnan(gap), 0.5, 0.85)),
        "flag": lambda: binned((rng.random(800) < 0.1).astype(float), flat, hard=True),
        "dates": lambda: binned(rng.integers(17000, 19000, 800).astype(float), flat),
        "seconds": lambda: binned(seconds, flat[:400]),
        "no bins": lambda: binned(alcohol, rising, bins="none"),
        "ranks": lambda: ranked(np.exp(2 * (alcohol - 10)), rising),
        "bent": lambda: binned(alcohol, rising, shape=Shape("auto", 3)),
        "ranked part": lambda: ranked(np.exp(alcohol), rising, shape=Shape((9000.0, 60000.0), 2)),
        "ranked counts": lambda: ranked(gap, np.where(np.isnan(gap), 0.5, 0.85)),
        "ranked dates": lambda: ranked(17000 + np.exp(alcohol - 4), flat),
    }[kind]()


@cache
def case(name: str) -> TestResult:
    """Give a test of every kind, by name."""
    if name in PROPERTIES:
        unit = {"bins": "% vol", "dates": words.DAYS, "ranked dates": words.DAYS, "seconds": "s"}.get(name, "")
        return make_test(f"property {name}", "property", _properties(name), unit)
    sides = [-45.0, -30.0, -15.0, 15.0, 30.0, 45.0]
    makers: dict[str, Callable[[], TestResult]] = {
        "rotation": lambda: make_test("image.rotate", "perturbation", sweep([*range(20, 181, 20)], falling), "degrees"),
        "two sides": lambda: make_test(
            "rotation",
            "perturbation",
            sweep(sides, lambda x: falling(x, 28, 8) if x > 0 else falling(x, 38, 8)),
            "degrees",
        ),
        "part of a sweep": lambda: make_test(
            "image.rotate", "perturbation", sweep([*range(20, 181, 20)], falling, shape=Shape("auto", 3)), "degrees"
        ),
        "part of two sides": lambda: make_test(
            "contrast",
            "perturbation",
            sweep(
                [0.25, 0.5, 2.0, 4.0],
                lambda x: falling(np.log(x), 0.9, 0.2),
                neutral=1.0,
                log_distance=True,
                shape=Shape((0.5, 4.0), 2),
            ),
            "factor",
        ),
        "calibration": lambda: make_test("noise", "perturbation", followed(), "px"),
        "below": lambda: make_test("tilt", "perturbation", sweep(sides[:3], lambda x: falling(x, 28, 8)), "degrees"),
        "half censored": lambda: make_test(
            "shift",
            "perturbation",
            sweep([-0.2, -0.1, 0.1, 0.2], lambda x: falling(x, 0.12, 0.03) if x > 0 else 0.93),
            "fraction of side",
        ),
        "flat": lambda: make_test("flip", "perturbation", sweep([1.0, 2.0, 3.0], lambda _: 0.95), "px"),
        "logarithmic": lambda: make_test(
            "contrast",
            "perturbation",
            sweep([0.25, 0.5, 2.0, 4.0], lambda x: falling(np.log(x), 0.9, 0.2), neutral=1.0, log_distance=True),
            "factor",
        ),
        "no neutral": lambda: make_test(
            "mine", "perturbation", sweep([1.0, 2.0, 4.0], lambda x: falling(x, 3, 1), neutral=None)
        ),
        "few": lambda: make_test(
            "tiny", "perturbation", sweep([1.0, 2.0, 4.0], lambda x: falling(x, 3, 1), n=12), "px"
        ),
        "digits": lambda: make_test("class", "class", category([str(k) for k in range(10)])),
        "names": lambda: make_test("make", "category", category([f"a longer name {k}" for k in range(8)])),
        "300 levels": lambda: make_test(
            "species", "category", category([f"species {k} of a long name" for k in range(300)], 5000, 50), ""
        ),
        "regression": lambda: make_test("feature.noise", "perturbation", regression(), "feature SDs"),
        "failed": lambda: make_test("mine", "perturbation", None, error=FAILURE),
        "failed without a word": lambda: make_test("mine", "category", None),
    }
    return makers[name]()


PARTS = ["part of a sweep", "part of two sides"]
CURVES = [
    "rotation",
    "two sides",
    "below",
    "half censored",
    "flat",
    "logarithmic",
    "no neutral",
    "few",
    "calibration",
    *PARTS,
]
RANKED = ["ranks", "ranked counts", "ranked dates"]
PROPERTIES = ["bins", "counts", "missing", "flag", "dates", "seconds", "no bins", "bent", "ranked part", *RANKED]
CASES = [
    *CURVES,
    *PROPERTIES,
    "digits",
    "names",
    "300 levels",
    "regression",
    "failed",
    "failed without a word",
]


@cache
def figure(name: str) -> Figure:
    """Draw a case, once and without a warning; tests only look at it."""
    test = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return plots.draw(make_result(test, score=ERROR_INFO if name == "regression" else INFO), test)


def labelled(ax: Axes, label: str) -> list[Any]:
    return [artist for artist in ax.get_children() if artist.get_label() == label]


def one(ax: Axes, label: str) -> Any:
    (artist,) = labelled(ax, label)
    return artist


def said(found: Figure, label: str) -> str:
    """Give all text of one kind."""
    return " ".join(text.get_text() for text in found.findobj(Text) if text.get_label() == label)


def segments(ax: Axes, label: str) -> np.ndarray:
    return np.array(one(ax, label).get_segments())


# --- every figure ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_kind_renders_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = plots.to_png(figure(name), dpi=30)
    assert png.startswith(b"\x89PNG")
    width, height = figure(name).get_size_inches()
    assert width == canvas.WIDTH and canvas.HEIGHT <= height < 5


def visible_texts(found: Figure) -> list[tuple[str, Any]]:
    """Give every text that is drawn with its box in pixels; of slanted ones the box says little."""
    FigureCanvasAgg(found)
    # Labels find their place when they are drawn.
    found.draw_without_rendering()
    texts: dict[int, Any] = {id(text): text for text in found.findobj(Text)}
    drawn = [text for text in texts.values() if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in drawn if text.get_rotation() in (0, 90)]


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_cut_off_and_no_texts_overlap(name: str) -> None:
    check_texts(figure(name))


@pytest.mark.parametrize("name", CASES)
def test_a_tile_says_the_same_in_large_letters(name: str) -> None:
    test = case(name)
    score = ERROR_INFO if name == "regression" else INFO
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile = plots.draw_tile(make_result(test, score=score), test)
    check_texts(tile)
    assert min(text.get_fontsize() for text in tile.findobj(Text) if text.get_text()) >= 9  # type: ignore[union-attr]
    if test.kind == "perturbation" and test.ok:
        (curve,) = labelled(tile.axes[0], "curve")
        assert list(curve.get_ydata()) == [y for y in test.fit.curve.score if y is not None]
    if getattr(test.fit, "ranks", None) is not None:
        ticks = dict(zip(tile.axes[0].get_xticks(), tile.axes[0].get_xticklabels(), strict=True))
        values = [test.fit.ranks.value(np.array([share]))[0] for share in ticks]
        write = words.date if name == "ranked dates" else words.number
        assert len(ticks) >= 1 and [text.get_text() for text in ticks.values()] == [write(p) for p in values]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_fits_a_tile(name: str) -> None:
    test = case("two sides").model_copy(update={"name": name})
    assert plots.to_png(plots.draw_tile(make_result(test), test), dpi=30).startswith(b"\x89PNG")


def check_texts(found: Figure) -> None:
    """Fail where a text leaves the paper or meets another."""
    texts = visible_texts(found)
    assert texts
    width, height = found.bbox.width, found.bbox.height
    for text, box in texts:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for (text, box), (other, its) in itertools.combinations(texts, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        down = min(box.y1, its.y1) - max(box.y0, its.y0)
        # Boxes hold room for letters that reach below the line, and may touch.
        assert across < 1 or down < 4, (text, other)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("rotation", "image.rotate (degrees)", "probability of the correct class"),
        ("half censored", "shift (fraction of side)", "probability of the correct class"),
        ("no neutral", "mine", "probability of the correct class"),
        ("bins", "property bins (% vol)", "probability of the correct class"),
        ("dates", "property dates (date)", "probability of the correct class"),
        ("seconds", "property seconds (s), + 1600000000", "probability of the correct class"),
        ("ranks", "property ranks, by rank", "probability of the correct class"),
        ("ranked dates", "property ranked dates (date), by rank", "probability of the correct class"),
        ("regression", "feature.noise (feature SDs)", "−absolute error (target SDs)"),
        ("digits", "class, the lowest mean first", "probability of the correct class"),
    ],
)
def test_axes_are_labelled_with_units(name: str, x: str, y: str) -> None:
    axes = figure(name).axes
    assert axes[-1].get_xlabel() == x  # a strip, where there is one, has the axis
    assert axes[0].get_ylabel().replace("\n", " ") == y


def test_the_title_is_the_name_and_the_subtitle_has_the_key_numbers() -> None:
    fit, found = case("rotation").fit, figure("rotation")
    text = said(found, "subtitle")
    assert said(found, "title") == "image.rotate"
    assert text.startswith(f"sensitive: effect {words.between(fit.effect)[0]}, 95 % interval [")
    assert "from 0 to 180 degrees" in text
    assert f"mean drop {words.between(fit.mean_drop)[0]} [" in text
    assert f"holds until {fit.holds_until:.1f} degrees, 95 % bound {fit.holds_until_lo95:.1f}" in text
    assert "n = 300" in text


# --- curves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CURVES, "bins", "missing", "no bins"])
def test_lines_and_bands_are_those_of_the_fit(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    lines = [side.line for side in fit.sides] if isinstance(fit, PerturbationFit) else [fit.line]
    drawn = [line for line in ax.get_lines() if str(line.get_label()).startswith("line-")]
    assert len(drawn) == len(lines)
    for line in lines:
        p = one(ax, f"line-{line.side}").get_xdata()
        mean, low, high = line.at(p)
        assert (p.min(), p.max()) == pytest.approx((line.start, line.stop))
        assert one(ax, f"line-{line.side}").get_ydata() == pytest.approx(mean)
        box = one(ax, f"band-{line.side}").get_datalim(ax.transData)
        assert (box.y0, box.y1) == pytest.approx((low.min(), high.max()))


@pytest.mark.parametrize("name", RANKED)
def test_ranked_points_stand_at_their_rank_and_ticks_say_values(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    x = np.concatenate([artist.get_xdata() for label in ("mean", "few") for artist in labelled(ax, label)])
    known = ax.get_xlim()[0] < x
    assert np.sort(x[known])[: len(fit.curve.p)] == pytest.approx(fit.ranks.share(fit.curve.p))
    lowest = figure(name).axes[-1]
    ticks = [text.get_text() for text in lowest.get_xticklabels()]
    at = dict(zip(ticks, lowest.get_xticks(), strict=True))
    at.pop("missing", None)
    assert len(at) >= 3
    for text, share in at.items():
        value = fit.ranks.value(share)
        assert text == (words.date(float(value)) if name == "ranked dates" else words.number(float(value)))


def test_what_the_model_expects_is_drawn_and_the_unexpected_said() -> None:
    fit, found = case("calibration").fit, figure("calibration")
    drawn = one(found.axes[0], "expected")
    assert drawn.get_xdata() == pytest.approx([0, 1, 2, 4])
    assert drawn.get_ydata() == pytest.approx(fit.calibration.expected)
    assert words.with_interval("unexpected", fit.unexpected) in said(found, "subtitle")
    assert "what the model expects" in [text.get_text() for text in found.legends[0].get_texts()]


@pytest.mark.parametrize("name", [*PARTS, "bent", "ranked part"])
def test_what_is_fitted_beside_the_line_is_drawn_and_said(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    assert fit.fit_range and fit.polynomials
    for part in fit.fit_range:
        line = one(ax, f"range-line-{part.side}")
        assert line.get_ydata() == pytest.approx(part.line.at(line.get_xdata())[0])
        shade = one(ax, f"range-{part.side}")
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((part.line.start, part.line.stop))
        assert words.with_interval("effect", part.effect) in said(figure(name), "subtitle")
    for found in fit.polynomials:
        drawn, (_, low, high) = one(ax, f"polynomial-{found.side}"), found.at(np.array([found.start, found.stop]))
        assert drawn.get_ydata() == pytest.approx(found.at(drawn.get_xdata())[0])
        box = one(ax, f"polynomial-band-{found.side}").get_datalim(ax.transData)
        assert box.y0 <= low.min() and box.y1 >= high.max()
    (legend,) = figure(name).legends
    keys = [text.get_text() for text in legend.get_texts()]
    assert keys[-2:] == ["fit over the shaded range", f"polynomial of order {fit.polynomials[0].order}"]
    assert ("chosen from the curve" in said(figure(name), "subtitle")) == fit.fit_range[0].auto


@pytest.mark.parametrize("name", ["rotation", "two sides", "bins"])
def test_points_intervals_and_sds_are_those_of_the_curve(name: str) -> None:
    curve, ax = case(name).fit.curve, figure(name).axes[0]
    assert one(ax, "mean").get_xdata() == pytest.approx(curve.p)
    assert one(ax, "mean").get_ydata() == pytest.approx(curve.score)
    bars = segments(ax, "mean interval")
    assert bars[:, 0, 1] == pytest.approx(curve.lo95)
    assert bars[:, 1, 1] == pytest.approx(curve.hi95)
    sds, score = np.array(curve.sd), np.array(curve.score)
    assert segments(ax, "sd")[:, 0, 1] == pytest.approx(np.maximum(score - sds, 0))
    assert segments(ax, "sd")[:, 1, 1] == pytest.approx(np.minimum(score + sds, 1))


def test_sds_of_an_unbounded_score_are_cut_at_its_one_bound() -> None:
    top = segments(figure("regression").axes[0], "sd")[:, 1, 1]
    assert (top <= 0).all()


def test_only_sweeps_are_joined_by_a_line() -> None:
    assert one(figure("rotation").axes[0], "curve").get_ydata() == pytest.approx(case("rotation").fit.curve.score)
    assert not labelled(figure("bins").axes[0], "curve")


def test_few_examples_are_hollow_and_explained() -> None:
    ax = figure("few").axes[0]
    assert not labelled(ax, "mean")
    assert one(ax, "few").get_markerfacecolor() == "white"
    assert len(segments(ax, "few interval")) == len(case("few").fit.curve.p)
    assert "little evidence" in legend_texts("few")
    assert "little evidence" not in legend_texts("rotation")


def legend_texts(name: str) -> list[str]:
    (legend,) = figure(name).legends
    return [text.get_text() for text in legend.get_texts()]


def test_the_legend_names_what_is_there() -> None:
    assert legend_texts("rotation") == [
        "mean, 95 % interval",
        "± SD",
        "line, 95 % band",
        "holds until, bound",
    ]
    assert legend_texts("bins") == ["mean, 95 % interval", "± SD", "line, 95 % band"]
    assert legend_texts("no bins") == ["line, 95 % band"]


@pytest.mark.parametrize("name", CURVES)
def test_clean_level_and_floor(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    assert one(ax, "clean").get_ydata()[0] == pytest.approx(fit.clean.value)
    # A handful of examples is judged with pseudo-examples, which move the floor by a hair.
    assert one(ax, "floor").get_ydata()[0] == pytest.approx(0.9 * fit.clean.value, abs=2 / fit.n)
    notes = [text.get_text() for text in labelled(ax, "note")]
    assert [note.split(" 0.")[0] for note in notes] == ["floor", "clean"]


@pytest.mark.parametrize("name", [*CURVES, "regression"])
def test_each_side_is_marked_where_it_holds_until(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    marks = [line for line in ax.get_lines() if str(line.get_label()).startswith("holds-")]
    assert len(marks) == len(fit.sides)
    for side in fit.sides:
        (at,), sign = one(ax, f"holds-{side.side}").get_xdata(), -1 if side.side == "below" else 1
        bound = one(ax, f"bound-{side.side}").get_xdata()[0]
        if fit.log_distance:
            assert np.log([at, bound]) == pytest.approx(sign * np.array([side.holds.value, side.holds.lo95]))
        else:
            assert (at, bound) == pytest.approx((sign * side.holds.value, sign * side.holds.lo95))


def test_what_never_falls_is_an_arrow_and_said_to_be_at_least() -> None:
    assert case("flat").fit.censored
    assert one(figure("flat").axes[0], "holds-above").get_marker() == ">"
    assert "holds until ≥ 3 px" in said(figure("flat"), "subtitle")
    ax = figure("half censored").axes[0]
    assert (one(ax, "holds-below").get_marker(), one(ax, "holds-above").get_marker()) == ("<", "D")
    assert "holds from ≤ −0.2 to 0.0" in said(figure("half censored"), "subtitle")


def test_a_floor_below_the_score_s_bound_is_drawn_at_the_bound() -> None:
    fit = sweep([1.0, 2.0], lambda _: 0.5, allowed_drop=("absolute", 0.9))
    test = make_test("harmless", "perturbation", fit, "px")
    assert one(plots.draw(make_result(test), test).axes[0], "floor").get_ydata()[0] == 0


def test_a_logarithmic_sweep_has_a_logarithmic_axis_with_its_magnitudes() -> None:
    ax, strip = figure("logarithmic").axes
    assert ax.get_xscale() == strip.get_xscale() == "log"
    assert tick_texts(strip) == ["0.25", "0.5", "1", "2", "4"]
    assert "from factor 1 to " in said(figure("logarithmic"), "subtitle")


def tick_texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_xticklabels()]


def test_missing_values_stand_apart_at_the_right() -> None:
    fit, (ax, strip) = case("missing").fit, figure("missing").axes
    place = ax.get_xticks()[-1]
    assert tick_texts(strip)[-1] == "missing"
    assert place > max(p for p in fit.curve.p if p is not None)
    means = one(ax, "mean")
    assert means.get_xdata()[-1] == place
    assert means.get_ydata()[-1] == pytest.approx(fit.missing.score[0])
    assert max(one(ax, "line-all").get_xdata()) < place
    assert f"{fit.n_missing} missing" in said(figure("missing"), "subtitle")


def test_uneven_counts_get_a_strip_and_even_ones_do_not() -> None:
    curve = case("counts").fit.curve
    strip = figure("counts").axes[1]
    assert segments(strip, "counts")[:, 1, 1] == pytest.approx(curve.n)
    assert len(figure("bins").axes) == 1


@pytest.mark.parametrize("name", ["rotation", "two sides", "below", "logarithmic", "no neutral"])
def test_a_strip_shows_how_many_examples_hold_by_themselves(name: str) -> None:
    test, (ax, strip) = case(name), figure(name).axes
    assert strip.get_xlim() == ax.get_xlim()
    for side, points in test.own_holds_until.groupby("side"):
        drawn, points = one(strip, f"own-line-{side}"), points.sort_values("p")
        assert drawn.get_xdata() == pytest.approx(points["p"].tolist())
        assert drawn.get_ydata() == pytest.approx(points["holds"].tolist())


def test_a_sweep_that_no_example_falls_in_has_no_strip() -> None:
    scores = np.full((50, 3), 0.9)
    fit = perturbation_test(lambda: [scores], PROBABILITY, magnitudes=[1, 2], neutral=0)
    test = make_test("harmless", "perturbation", fit)
    assert len(plots.draw(make_result(test), test).axes) == 1


def test_dates_are_written_as_dates() -> None:
    assert tick_texts(figure("dates").axes[0]) == ["2017", "2018", "2019", "2020", "2021"]
    assert "from 2016-08-21 to 2021-12-24" in said(figure("dates"), "subtitle")


def test_many_bins_are_drawn_in_a_few_artists() -> None:
    p = np.linspace(0, 1, 2000)
    test = make_test("p", "property", binned(p, np.full(2000, 0.8), bins=400))
    ax = plots.draw(make_result(test), test).axes[0]
    assert len(segments(ax, "sd")) == 400
    assert len(ax.get_children()) < 40


# --- categories ------------------------------------------------------------------------------------


def test_levels_are_in_order_with_their_own_labels() -> None:
    fit, ax = case("digits").fit, figure("digits").axes[0]
    order = np.argsort(fit.levels_spread.means)
    assert tick_texts(ax) == [fit.levels[k] for k in order]
    drawn = [(x, y) for kind in ("mean", "few") for line in labelled(ax, kind) for x, y in line.get_xydata()]
    assert [y for _, y in sorted(drawn)] == pytest.approx([fit.levels_spread.means[k] for k in order])
    assert one(ax, "raw").get_ydata() == pytest.approx([fit.curve.score[k] for k in order])
    bars = [
        bar for kind in ("mean", "few") for found in labelled(ax, f"{kind} interval") for bar in found.get_segments()
    ]
    assert sorted(bar[0, 1] for bar in bars) == pytest.approx(sorted(fit.levels_spread.lo95))
    weighted = np.average(fit.curve.score, weights=fit.curve.n)
    assert one(ax, "average").get_ydata()[0] == pytest.approx(weighted)
    assert "spread between levels (SD)" in said(figure("digits"), "subtitle")


def test_of_many_levels_the_lowest_and_highest_are_shown() -> None:
    fit, ax = case("300 levels").fit, figure("300 levels").axes[0]
    shown = len(tick_texts(ax))
    assert shown == levels.MOST_LEVELS + 1 and tick_texts(ax)[-1] == "missing"
    ordered = levels.ordered(fit)
    raw = one(ax, "raw").get_ydata()
    assert raw == pytest.approx([level.raw for level in [*ordered[:20], *ordered[-20:]]])
    assert said(figure("300 levels"), "gap") == "260 levels not shown"
    assert "the 20 lowest and 20 highest shown" in said(figure("300 levels"), "subtitle")


def test_a_thousand_levels_and_levels_without_examples_do_no_harm() -> None:
    labels = [f"{'long ' * 40}{k} $^_<b>" for k in range(1000)]
    test = make_test("many", "category", category(labels, n=700))
    found = plots.draw(make_result(test), test)
    assert len(plots.to_png(found, dpi=40)) > 1000
    assert "without examples" in said(found, "subtitle")


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_drawn_as_it_is_written(name: str) -> None:
    kinds = ("few", "failed")
    tests = [case(kind).model_copy(update={"name": name, "unit": name[:20]}) for kind in kinds]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [plots.draw(make_result(test), test) for test in tests]
        drawn.append(plots.overview(make_result(tests[0])))
        minidom.parseString(plots.to_svg(drawn[0]))
        for found in drawn:
            texts: list[Any] = found.findobj(Text)
            assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
            assert all(box.x0 >= 0 and box.x1 <= found.bbox.width for _, box in visible_texts(found))


def test_a_plain_title_is_kept_and_a_long_one_shortened() -> None:
    for name in HOSTILE[:2]:
        test = case("few").model_copy(update={"name": name})
        assert said(plots.draw(make_result(test), test), "title") == name
    test = case("few").model_copy(update={"name": HOSTILE[2]})
    assert "…" in said(plots.draw(make_result(test), test), "title")


def test_where_the_fonts_lack_letters_the_slug_tells_tests_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_drawable", str.isascii)
    test = case("few").model_copy(update={"name": "旋转"})
    assert said(plots.draw(make_result(test), test), "title") == "□□ (slug-4)"


# --- failures --------------------------------------------------------------------------------------


def test_a_failed_test_says_why() -> None:
    text = said(figure("failed"), "error")
    assert "failed" in said(figure("failed"), "subtitle")
    assert "magnitude 3.0, chunk 7 of 'mine' returned (256, 28, 27)" in text
    assert text.count("x") > 350
    assert said(figure("failed without a word"), "error") == "No error was recorded."


def test_letters_are_found_in_any_installed_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "WIDE_FONTS", ("STIXGeneral", "No Such Font"))
    for cached in (words.families, words._fonts, words._advance):
        cached.cache_clear()
    test = case("few").model_copy(update={"name": "cafe\u0301 \u2b9a \U0001d538 \u22ff"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = plots.draw(make_result(test), test)
        plots.to_png(found, dpi=30)
    assert words.families() == ("DejaVu Sans", "STIXGeneral")
    assert said(found, "title").startswith("cafe\u0301")
    monkeypatch.undo()
    for cached in (words.families, words._fonts, words._advance):
        cached.cache_clear()


def test_an_endless_error_is_cut() -> None:
    test = make_test("mine", "property", None, error="word " * 5000)
    text = said(plots.draw(make_result(test), test), "error")
    assert text.endswith("…") and text.count("word") < 400


# --- the overview ----------------------------------------------------------------------------------


def mixed() -> Result:
    return make_result(*(case(k) for k in ("flat", "rotation", "bins", "counts", "digits", "300 levels", "failed")))


def test_the_overview_shows_one_named_quantity_per_kind_the_largest_first() -> None:
    result = mixed()
    found = plots.overview(result)
    ax = found.axes[0]
    names = [text.get_text() for text in labelled(ax, "name")]
    assert names[:2] == ["image.rotate", "flip"] and names[-1] == "mine"
    headings = [text.get_text() for text in labelled(ax, "heading")]
    assert [heading.split(",")[0].split(" over")[0] for heading in headings] == [
        "perturbations: mean drop",
        "properties: effect",
        "categories: spread",
        "failed: no result",
    ]
    values = [line.get_xdata()[0] for line in labelled(ax, "value")]
    shown = [next(test for test in result.tests.values() if test.name == name) for name in names[:-1]]
    assert values == pytest.approx([test.headline.value for test in shown])
    bars = [tuple(line.get_xdata()) for line in labelled(ax, "interval")]
    for test in shown:
        interval = test.headline
        assert any(bar == pytest.approx((interval.lo95, interval.hi95)) for bar in bars)
        assert any(bar == pytest.approx((interval.lo50, interval.hi50)) for bar in bars)
    assert "magnitude 3.0" in labelled(ax, "error")[0].get_text()
    assert "7 tests: " in said(found, "subtitle") and "1 failed" in said(found, "subtitle")


def test_the_rope_is_shaded_and_the_decisions_are_named() -> None:
    found = plots.overview(mixed())
    box = labelled(found.axes[0], "rope")[0].get_datalim(found.axes[0].transData)
    assert (box.x0, box.x1) == pytest.approx((-0.02, 0.02))
    texts = [text.get_text() for text in found.legends[0].get_texts()]
    assert texts == ["sensitive", "negligible", "within ±0.02: too small to matter"]


def test_an_interval_that_says_nothing_is_cut_with_an_arrow() -> None:
    wide = Interval(0.01, -2.0, 2.0, -9.0, 9.0)
    fit = case("bins").fit
    tests = [case("counts"), make_test("wide", "property", type(fit)(**{**vars(fit), "effect": wide}))]
    ax = plots.overview(make_result(*tests)).axes[0]
    assert ax.get_xlim()[0] > -1.5 and ax.get_xlim()[1] < 1.5
    assert len(labelled(ax, "beyond")) == 2


@pytest.mark.parametrize("count", [0, 1, 50, 90])
def test_the_overview_grows_with_the_tests(count: int) -> None:
    tests = [case("rotation").model_copy(update={"name": f"test {k} {'long ' * 30}"}) for k in range(count)]
    found = plots.overview(make_result(*tests))
    assert 2 < found.get_size_inches()[1] < 18
    assert len(labelled(found.axes[0], "name")) == min(count, forest.MOST_ROWS - 1)
    assert ("more are not drawn" in said(found, "subtitle")) == (count == 90)
    height, width = found.bbox.height, found.bbox.width
    for text, box in visible_texts(found):
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text


def test_an_overview_of_failures_alone() -> None:
    found = plots.overview(make_result(case("failed")))
    assert not found.legends and labelled(found.axes[0], "error")
    assert plots.to_png(found, dpi=40)


# --- files and matplotlib's state ------------------------------------------------------------------


def test_arrays_are_what_mlflow_wants() -> None:
    pixels = plots.to_array(figure("rotation"), dpi=50)
    assert pixels.shape == (210, 320, 3) and pixels.dtype == np.uint8
    assert (pixels[0, 0] == 255).all() and pixels.min() < 60
    assert figure("rotation").dpi == 100


def test_svg_is_the_same_every_time_and_ids_differ_between_figures() -> None:
    test = case("two sides")
    first, second = (plots.to_svg(plots.draw(make_result(test), test)) for _ in range(2))
    assert first == second
    other = plots.to_svg(figure("rotation"))
    ids = [
        {e.getAttribute("id") for e in minidom.parseString(svg).getElementsByTagName("*") if e.hasAttribute("id")}
        for svg in (first, other)
    ]
    assert all(ids) and not ids[0] & ids[1]
    used = {part.split('"')[0] for part in first.split('href="#')[1:]}
    assert used and used <= ids[0]


def test_a_result_read_back_draws_the_same() -> None:
    result = make_result(case("two sides"))
    again = Result.from_json(result.to_json())
    before, after = (plots.to_svg(plots.draw(r, r.tests["rotation"])) for r in (result, again))
    assert before == after


@pytest.mark.parametrize("name", ["two sides", "counts", "digits"])
def test_a_notebook_s_style_changes_nothing(name: str) -> None:
    def render() -> np.ndarray:
        return plots.to_array(plots.draw(make_result(case(name)), case(name)), dpi=60)

    expected = render()
    own = {
        "text.usetex": True,
        "font.weight": "bold",
        "xtick.minor.visible": True,
        "figure.dpi": 300,
    }
    with matplotlib.rc_context({**library["dark_background"], **own}):
        assert (render() == expected).all()


def test_pyplot_is_not_imported_nor_rcparams_changed() -> None:
    result = make_result(*(case(name) for name in ("two sides", "missing", "digits")))
    code = """
import sys
from mlflow_sensie import plots
from mlflow_sensie.result import Result
assert "matplotlib" not in sys.modules
import matplotlib
before, backend = dict(matplotlib.rcParams), dict.__getitem__(matplotlib.rcParams, "backend")
result = Result.from_json(sys.stdin.read())
figures = [plots.draw(result, test) for test in result.tests.values()]
for figure, render in zip(figures, [plots.to_png, plots.to_array, plots.to_svg]):
    render(figure)
plots.to_png(plots.overview(result))
assert "matplotlib.pyplot" not in sys.modules
assert dict(matplotlib.rcParams) == before
assert dict.__getitem__(matplotlib.rcParams, "backend") == backend
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=result.to_json(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- words and ticks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "texts"),
    [
        ((-0.8531, -0.8712, -0.8342), ("−0.853", "−0.871", "−0.834")),
        ((0.4751, 0.4342, 0.5162), ("0.48", "0.43", "0.52")),
        ((0.0, -0.0004, 0.0004), ("0.0000", "−0.0004", "0.0004")),
        ((12345.0, 12000.0, 12700.0), ("12345", "12000", "12700")),
        ((0.5, 0.5, 0.5), ("0.5", "0.5", "0.5")),
        ((1.0, -np.inf, np.inf), ("1", "−inf", "inf")),
    ],
)
def test_intervals_are_written_as_exactly_as_they_are_known(interval: Any, texts: Any) -> None:
    value, low, high = interval
    assert words.between(Interval(value, low, high, low, high)) == texts


@pytest.mark.parametrize(
    ("unit", "values", "text"),
    [
        ("degrees", (0, 180), "0 to 180 degrees"),
        ("degrees", (-17.68,), "−17.7 degrees"),
        ("factor", (1, 0.25), "factor 1 to 0.25"),
        ("fraction of side", (0.2,), "0.2 (fraction of side)"),
        ("100 - quality", (0, 90), "0 to 90 (100 - quality)"),
        ("% vol", (8.412, 14.2), "8.41 to 14.2 % vol"),
        ("", (3,), "3"),
        ("s", (1600000000, 1690000000), "1600000000 to 1690000000 s"),
        ("", (1e-7, 3e-7), "1e−07 to 3e−07"),
        (words.DAYS, (18628, 19000.7), "2021-01-01 to 2022-01-08"),
    ],
)
def test_quantities_carry_their_unit(unit: str, values: tuple[float, ...], text: str) -> None:
    assert words.quantity(unit, *values) == text


@pytest.mark.parametrize(
    ("kind", "unit", "label"),
    [
        ("top_k", "top-k accuracy", "top-k accuracy"),
        ("custom", "score", "score"),
        ("other", "nats", "score (nats)"),
        ("other", "", "score"),
    ],
)
def test_scores_are_named(kind: str, unit: str, label: str) -> None:
    assert words.score_label(ScoreInfo(kind=kind, lower=None, upper=None, unit=unit, source="")) == label


@pytest.mark.parametrize(
    ("values", "labels", "note"),
    [
        ([0, 45, 90], ["0", "45", "90"], ""),
        ([-0.05, 0, 0.05], ["−0.05", "0.00", "0.05"], ""),
        ([0, 2.5, 5], ["0.0", "2.5", "5.0"], ""),
        ([1990, 2000, 2010], ["1990", "2000", "2010"], ""),
        ([1.62e9, 1.64e9], ["1.62", "1.64"], "×10⁹"),
        ([2e-5, 4e-5], ["2", "4"], "×10⁻⁵"),
        ([1600000020, 1600000040], ["20", "40"], "+ 1600000000"),
        ([3], ["3"], ""),
    ],
)
def test_ticks_are_short_and_tell_each_other_apart(values: list[float], labels: list[str], note: str) -> None:
    assert ticks.tick_labels(values) == (labels, note)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (18262, 19000, ["2020-01", "2020-07", "2021-01", "2021-07", "2022-01"]),
        (18263, 18266, ["2020-01-02", "2020-01-03", "2020-01-04", "2020-01-05"]),
        (0, 18262, ["1970", "1980", "1990", "2000", "2010", "2020"]),
    ],
)
def test_date_ticks_start_years_months_and_days(low: float, high: float, labels: list[str]) -> None:
    places, texts = ticks.date_ticks(low, high)
    assert texts == labels
    assert len(places) == len(texts) and all(low <= place <= high for place in places)


@pytest.mark.parametrize(
    ("bounds", "seen", "shown"),
    [
        ((0.0, 1.0), [0.1, 0.95], (0, 1)),
        ((0.0, 1.0), [0.6, 0.95], (0.5, 1)),
        ((0.0, 1.0), [0.8, 0.95], (0.75, 1)),
        ((0.0, 1.0), [0.1, 0.2], (0, 0.25)),
        ((-2.0, 0.0), [-0.9, -0.1], (-1, 0)),
        ((None, 0.0), [-3.0, -1.0], (-3, -1)),
        ((None, None), [2.0, 2.0], (1.5, 2.5)),
        ((None, None), [np.nan], (-0.5, 0.5)),
    ],
)
def test_the_range_of_scores_is_shared_or_close(bounds: Any, seen: list[float], shown: tuple[float, float]) -> None:
    low, high = ticks.window(*bounds, seen)
    air = 0.07 * (shown[1] - shown[0])
    assert shown[0] - air <= low <= shown[0] and shown[1] <= high <= shown[1] + air
