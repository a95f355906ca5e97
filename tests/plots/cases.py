"""Tests of every kind, their figures, and what stands in them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from mlflow_sensie import plots
from mlflow_sensie.inference import (
    CategoryFit,
    ExtraFits,
    Interval,
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    Ranks,
    ScoreScale,
    bin_edges,
    category_test,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.result import Result, ScoreInfo, TestResult
from mlflow_sensie.text import words

PROBABILITY = ScoreScale(0.0, 1.0, "probability")
ERROR = ScoreScale(None, 0.0, "target unit")
INFO = ScoreInfo(kind="probability", lower=0.0, upper=1.0, unit="probability", source="predict_proba")
ERROR_INFO = ScoreInfo(kind="neg_absolute_error", lower=None, upper=0.0, unit="target unit", source="predict")
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
    grid = MagnitudeGrid.of(magnitudes, neutral, kwargs.pop("log_distance", False))
    return perturbation_test(scores, grid, PROBABILITY, **kwargs)


def binned(p: np.ndarray, mean: np.ndarray, *, bins: Any = 20, hard: bool = False, **more: Any) -> PropertyFit:
    rng = np.random.default_rng(0)
    score = (rng.random(len(p)) < mean).astype(float) if hard else rng.beta(6 * mean, 6 * (1 - mean))
    edges, unique = bin_edges(p, bins)
    options = {"edges": edges, "unique": unique, "span": property_span(p), **more}
    return property_test(p, score, PROBABILITY, **options)


def ranked(p: np.ndarray, mean: np.ndarray, **more: Any) -> PropertyFit:
    return binned(p, mean, ranks=Ranks.of(p), **more)


def category(labels: Sequence[str], n: int = 1000, missing: int = 0) -> CategoryFit:
    rng = np.random.default_rng(0)
    mean = np.clip(0.8 + 0.1 * rng.normal(size=len(labels)), 0.02, 0.98)
    level = rng.integers(0, len(labels), n)
    score = (rng.random(n) < mean[level]).astype(float)
    level[:missing] = -1
    return category_test(level, score, PROBABILITY, levels=labels)


def followed() -> PerturbationFit:
    fall, rng = np.array([[0, 0.1, 0.25, 0.5]]), np.random.default_rng(0)
    scores = np.clip(0.9 - fall * rng.uniform(0.5, 1.5, (300, 1)), 0, 1)
    expected = np.clip(0.9 - 0.3 * fall + 0.02 * rng.normal(size=(300, 1)), 0, 1)
    return perturbation_test(scores, MagnitudeGrid.of([1.0, 2.0, 4.0], 0.0), PROBABILITY, excess=scores - expected)


def regression() -> PerturbationFit:
    rng = np.random.default_rng(0)
    scores = -np.abs(rng.normal(size=(400, 1))) * np.array([[0.4, 0.5, 0.6, 0.9, 1.4]])
    return perturbation_test(scores, MagnitudeGrid.of([0.1, 0.2, 0.5, 1.0], 0.0), ERROR)


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
        "bent": lambda: binned(alcohol, rising, extra=ExtraFits("auto", 3)),
        "ranked part": lambda: ranked(np.exp(alcohol), rising, extra=ExtraFits((9000.0, 60000.0), 2)),
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
            "image.rotate", "perturbation", sweep([*range(20, 181, 20)], falling, extra=ExtraFits("auto", 3)), "degrees"
        ),
        "part of two sides": lambda: make_test(
            "contrast",
            "perturbation",
            sweep(
                [0.25, 0.5, 2.0, 4.0],
                lambda x: falling(np.log(x), 0.9, 0.2),
                neutral=1.0,
                log_distance=True,
                extra=ExtraFits((0.5, 4.0), 2),
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


def text_of(drawing: Figure, label: str) -> str:
    """Give all text of one kind."""
    return " ".join(text.get_text() for text in drawing.findobj(Text) if text.get_label() == label)


def segments(ax: Axes, label: str) -> np.ndarray:
    return np.array(one(ax, label).get_segments())


def visible_texts(drawing: Figure) -> list[tuple[str, Any]]:
    """Give every text that is drawn with its box in pixels; of slanted ones the box says little."""
    FigureCanvasAgg(drawing)
    # Labels find their place when they are drawn.
    drawing.draw_without_rendering()
    texts: dict[int, Any] = {id(text): text for text in drawing.findobj(Text)}
    drawn = [text for text in texts.values() if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in drawn if text.get_rotation() in (0, 90)]


def check_texts(drawing: Figure) -> None:
    """Fail where a text leaves the paper or meets another."""
    texts = visible_texts(drawing)
    assert texts
    width, height = drawing.bbox.width, drawing.bbox.height
    for text, box in texts:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
    for (text, box), (other, its) in itertools.combinations(texts, 2):
        across = min(box.x1, its.x1) - max(box.x0, its.x0)
        down = min(box.y1, its.y1) - max(box.y0, its.y0)
        # Boxes hold room for letters that reach below the line, and may touch.
        assert across < 1 or down < 4, (text, other)


def legend_texts(name: str) -> list[str]:
    (legend,) = figure(name).legends
    return [text.get_text() for text in legend.get_texts()]


def tick_texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_xticklabels()]
