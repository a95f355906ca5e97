"""What is drawn beside the line: a line over part of the range, and a polynomial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.inference import PerturbationFit, Polynomial, RangeFit
from mlflow_sensie.plots.canvas import INK, PURPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SHADE: dict[str, Any] = {"color": INK, "alpha": 0.07, "linewidth": 0}
THICK: dict[str, Any] = {"color": INK, "linewidth": 2.2, "linestyle": "-"}
BAND: dict[str, Any] = {"color": PURPLE, "alpha": 0.2, "linewidth": 0}
ANNOUNCED: dict[str, Any] = {"color": INK, "linewidth": 1.1, "linestyle": (0, (2, 1.2)), "marker": "s"}
ANNOUNCED |= {"markersize": 4.2, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.9}
CURVED: dict[str, Any] = {"color": PURPLE, "linewidth": 1.5, "linestyle": (0, (6, 1.5, 1.5, 1.5))}


def draw_range(ax: Axes, part: RangeFit) -> None:
    """Shade the range of a fit, and draw its line."""
    line = part.line
    ax.axvspan(line.start, line.stop, **SHADE, zorder=0, label=f"range-{part.side}")
    p = _grid(line.start, line.stop, line.log_distance)
    ax.plot(p, line.at(p)[0], **THICK, zorder=3.2, label=f"range-line-{part.side}")


def draw_polynomial(ax: Axes, found: Polynomial) -> None:
    """Draw a polynomial and its band over the curve."""
    p = _grid(found.start, found.stop, found.log_distance)
    mean, low, high = found.at(p)
    ax.fill_between(p, low, high, **BAND, zorder=2.4, label=f"polynomial-band-{found.side}")
    ax.plot(p, mean, **CURVED, zorder=2.8, label=f"polynomial-{found.side}")


def _grid(start: float, stop: float, logarithmic: bool) -> Any:
    return (np.geomspace if logarithmic else np.linspace)(start, stop, 101)


def draw_expected(ax: Axes, fit: PerturbationFit) -> None:
    """Join the mean scores that the model itself announces over the sweep."""
    if fit.calibration is None:
        return
    at = list(fit.magnitudes) if fit.neutral is None else [fit.neutral, *fit.magnitudes]
    points = sorted(zip(at, fit.calibration.expected[-len(at) :], strict=True))
    ax.plot([p for p, _ in points], [y for _, y in points], **ANNOUNCED, zorder=2.2, label="expected")


def texts(fit: Any) -> list[str]:
    """Name what is drawn, for the legend."""
    announced = ["what the model expects"] if getattr(fit, "calibration", None) else []
    ranges = ["fit over the shaded range"] if fit.fit_range else []
    return [
        *announced,
        *ranges,
        *(f"polynomial of order {order}" for order in sorted({each.order for each in fit.polynomials})),
    ]


def signs(fit: Any) -> list[Any]:
    """Draw the legend's signs of `texts`."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    announced = [Line2D([], [], **ANNOUNCED)] if getattr(fit, "calibration", None) else []
    shaded = [(Patch(**SHADE), Line2D([], [], **THICK))] if fit.fit_range else []
    return [*announced, *shaded, *([(Patch(**BAND), Line2D([], [], **CURVED))] if fit.polynomials else [])]
