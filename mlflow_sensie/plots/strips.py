"""The strip between a curve and its axis: a property's counts, or how many examples hold by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import PerturbationFit, PropertyFit
from mlflow_sensie.plots import canvas
from mlflow_sensie.plots.canvas import GREEN, GREY, INK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

HEIGHT = 0.36
AREA: dict[str, Any] = {"color": GREEN, "alpha": 0.3, "linewidth": 0}


def worth_a_strip(fit: PropertyFit | PerturbationFit) -> bool:
    """Tell whether bins are of very unequal size, or some example falls by itself."""
    if isinstance(fit, PerturbationFit):
        return any(sum(side.first_failed[:-1]) for side in fit.sides)
    n = [count for count in fit.curve.n if count] if fit.curve is not None else []
    return bool(n) and min(n) < 0.5 * max(n)


def draw_counts(ax: Axes, at: Sequence[tuple[float, int]]) -> None:
    """Draw (p, count) of every bin."""
    most = max(n for _, n in at)
    strip = _strip(ax, f"n {most:,}" if most < 1e5 else f"n {most:.1e}", most)
    style: dict[str, Any] = {"colors": GREY, "linewidth": 4, "alpha": 0.55, "linestyles": "solid"}
    strip.vlines([p for p, _ in at], 0, [n for _, n in at], **style, label="counts")


def draw_own(ax: Axes, fit: PerturbationFit) -> None:
    """Draw the share of the examples whose own score has not fallen below its floor, over the sweep."""
    strip = _strip(ax, "100 % hold", 1)
    for side in fit.sides:
        points = sorted((fit.magnitude(side.side, distance), share) for distance, share in side.own_holds())
        x, share = np.array(points).T
        strip.fill_between(x, 0, share, **AREA, label=f"own-{side.side}")
        line: dict[str, Any] = {"color": GREEN, "linewidth": 0.9, "linestyle": "-"}
        strip.plot(x, share, **line, label=f"own-line-{side.side}")


def _strip(ax: Axes, top: str, most: float) -> Axes:
    """Add axes below others, which take over their x axis."""
    box = ax.get_position()
    left, right, below = box.x0 * canvas.WIDTH, box.x1 * canvas.WIDTH, box.y0 * canvas.HEIGHT
    strip = canvas.add_axes(canvas.figure_of(ax), left, below - HEIGHT, right, below - 0.06)
    if ax.get_xscale() == "log":
        canvas.set_log(strip)
    strip.set(xlim=ax.get_xlim(), ylim=(0, 1.08 * most))
    canvas.set_ticks(strip.xaxis, list(ax.get_xticks()), [text.get_text() for text in ax.get_xticklabels()])
    canvas.set_ticks(strip.yaxis, [most], [top])
    strip.tick_params(axis="y", labelsize=canvas.KEY - 1, labelcolor=GREY)
    strip.set_xlabel(ax.get_xlabel(), fontsize=canvas.LABEL, color=INK, labelpad=3)
    ax.set_xlabel("")
    ax.tick_params(axis="x", labelbottom=False, bottom=False)
    ax.spines["bottom"].set_visible(False)
    return strip
