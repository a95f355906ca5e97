"""The figure of a test that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_sensie.plots import canvas, fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import TestResult


def draw_failed(test: TestResult) -> Figure:
    """Say that a test failed, and why."""
    figure, top = canvas.sheet(fonts.name_of(test), [f"This {test.kind} test failed: it has no result."])
    ax = canvas.add_axes(figure, canvas.MARGIN, canvas.MARGIN, canvas.WIDTH - canvas.MARGIN, top)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    for axis in (ax.xaxis, ax.yaxis):
        canvas.set_ticks(axis, [], [])
    for spine in ax.spines.values():
        spine.set(visible=False)
    ax.set_facecolor("#f6f6f6")
    ax.axvline(0, color=canvas.VERMILION, linewidth=6)
    most = int((top - canvas.MARGIN - 0.3) / canvas.LINE)
    lines = fonts.wrap(test.error or "No error was recorded.", canvas.WIDTH - 0.9, canvas.SUBTITLE, most)
    for k, line in enumerate(lines):
        canvas.put(figure, 0.4, top - 0.15 - k * canvas.LINE, line, canvas.SUBTITLE, label="error")
    return canvas.finish(figure)
