"""Figures of a finished result: one per test, and one of all of them.

Everything is drawn with matplotlib's object interface and explicit properties: `matplotlib.pyplot` is never
imported and no rcParams are changed, so a notebook's style and backend neither matter nor suffer. ArviZ's forest
plot of the posterior alone, under engine `pymc`, is as ArviZ draws it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_sensie.plots.curves import draw_curve
from mlflow_sensie.plots.failed import draw_failed
from mlflow_sensie.plots.files import to_array, to_png, to_svg
from mlflow_sensie.plots.forest import overview
from mlflow_sensie.plots.levels import draw_levels
from mlflow_sensie.plots.posterior import draw_posterior
from mlflow_sensie.plots.slices import draw_slices
from mlflow_sensie.plots.tile import draw_tile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result, TestResult

__all__ = ["draw", "draw_posterior", "draw_slices", "draw_tile", "overview", "to_array", "to_png", "to_svg"]


def draw(result: Result, test: TestResult) -> Figure:
    """Draw one test, 6.4 × 4.2 inches: a curve, a category's levels, or the error of a failed test."""
    if not test.ok:
        return draw_failed(test)
    return draw_levels(result, test) if test.kind in ("category", "class") else draw_curve(result, test)
