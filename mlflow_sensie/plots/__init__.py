"""Figures of a finished result or comparison: one per test, and one of all of them.

Everything is drawn with matplotlib's object interface and explicit properties: `matplotlib.pyplot` is never
imported and no rcParams are changed, so a notebook's style and backend neither matter nor suffer. ArviZ's forest
plot of the posterior alone, under engine `pymc`, is as ArviZ draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from mlflow_sensie.plots import canvas, fonts
from mlflow_sensie.plots.canvas import to_array, to_png, to_svg
from mlflow_sensie.plots.curves import draw_curve
from mlflow_sensie.plots.forest import draw_differences, draw_posterior, overview
from mlflow_sensie.plots.gallery import draw_grid
from mlflow_sensie.plots.gallery_frames import draw_tables, draw_texts
from mlflow_sensie.plots.levels import draw_levels
from mlflow_sensie.plots.pair import draw_pair
from mlflow_sensie.plots.slices import draw_slices
from mlflow_sensie.plots.tile import draw_tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, TestResult

__all__ = [
    "KINDS",
    "draw",
    "draw_differences",
    "draw_pair",
    "draw_posterior",
    "draw_slices",
    "draw_tile",
    "overview",
    "to_array",
    "to_png",
    "to_svg",
]

T = TypeVar("T")


def draw(result: Result, test: TestResult) -> Figure:
    """Draw one test, 6.4 × 4.2 inches: a curve, a category's levels, or the error of a failed test."""
    if not test.ok:
        return _draw_failed(test)
    return draw_levels(result, test) if test.kind in ("category", "class") else draw_curve(result, test)


def _draw_failed(test: TestResult) -> Figure:
    """Say that a test failed, and why."""
    figure, top = canvas.sheet(fonts.name_of(test), [f"This {test.kind} test failed: it has no result."])
    ax = canvas.add_axes(figure, canvas.MARGIN, canvas.MARGIN, canvas.WIDTH - canvas.MARGIN, top)
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], facecolor="#f6f6f6")
    ax.spines[:].set_visible(False)
    ax.axvline(0, color=canvas.VERMILION, lw=6)
    most = int((top - canvas.MARGIN - 0.3) / canvas.LINE)
    lines = fonts.wrap(test.error or "No error was recorded.", canvas.WIDTH - 0.9, canvas.SUBTITLE, most)
    for k, line in enumerate(lines):
        canvas.put(figure, 0.4, top - 0.15 - k * canvas.LINE, line, canvas.SUBTITLE, label="error")
    return canvas.finish(figure)


# By the kind of input.
GALLERIES = {"tensor": draw_grid, "series": draw_grid, "tabular": draw_tables, "text": draw_texts}


def _named(items: Mapping[str, T], name: str | None, kind: str) -> T:
    if name is None or name not in items:
        there = f"there are: {', '.join(items)}" if items else "there are none"
        raise ValueError(f"kind={kind!r} needs a name; {there}; {name!r} came")
    return items[name]


def _draw_test(result: Result, name: str | None, kind: str, *kinds: str) -> Figure:
    tests = {key: test for key, test in result.tests.items() if not kinds or test.kind in kinds}
    return draw(result, _named(tests, name, kind))


def _draw_gallery(result: Result, name: str | None) -> Figure:
    galleries = result.galleries
    if not galleries:
        raise ValueError("there are no galleries: they hold examples, and are made under log_examples: full alone")
    if name is None or name not in galleries:
        lack = "kind='gallery' needs the name of a test" if name is None else f"there is no gallery of {name!r}"
        raise ValueError(f"{lack}; there are galleries of: {', '.join(galleries)}")
    gallery = galleries[name]
    return GALLERIES[gallery.input_format.kind](result, result.tests[name], gallery)


# What `Result.plot` draws by its ``kind``; its ``name`` is a test's, or that of a column of slices.
KINDS: dict[str, Callable[[Result, str | None], Figure]] = {
    "auto": lambda result, name: overview(result) if name is None else _draw_test(result, name, "auto"),
    "overview": lambda result, name: overview(result),
    "curve": lambda result, name: _draw_test(result, name, "curve", "property", "perturbation"),
    "categories": lambda result, name: _draw_test(result, name, "categories", "category", "class"),
    "slices": lambda result, name: draw_slices(result, _named({c.column: c for c in result.slices}, name, "slices")),
    "gallery": _draw_gallery,
}
