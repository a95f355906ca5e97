"""Figures as PNG, pixels and SVG."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def to_png(figure: Figure, dpi: float = 150) -> bytes:
    """Render a figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    with _resolution(figure, dpi):
        canvas.print_png(file)
    return file.getvalue()


def to_array(figure: Figure, dpi: float = 150) -> NDArray[np.uint8]:
    """Render a figure as pixels (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    with _resolution(figure, dpi):
        canvas.draw()
        return np.asarray(canvas.buffer_rgba(), np.uint8)[:, :, :3].copy()


def to_svg(figure: Figure) -> str:
    """Render a figure as SVG text, the same every time; its ids meet no other figure's on the same page."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    canvas: Any = FigureCanvasSVG(figure)
    with _resolution(figure, 72):
        canvas.print_svg(file, metadata={"Date": None})
    FigureCanvasAgg(figure)
    text = file.getvalue().decode()
    # matplotlib salts some ids at random unless an rcParam says otherwise: all are numbered instead.
    order = {name: str(k) for k, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text)))}
    pattern = re.compile(r'(\bid="|"#|url\(#)([^")]+)')
    numbered = pattern.sub(lambda m: m[1] + order.get(m[2], m[2]), text)
    salt = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return pattern.sub(lambda m: f"{m[1]}s{salt}-{order[m[2]]}" if m[2] in order else m[0], text)


@contextmanager
def _resolution(figure: Figure, dpi: float) -> Iterator[None]:
    """Lend a figure another resolution: savefig would draw it twice, and heed rcParams."""
    before = figure.dpi
    figure.dpi = dpi
    try:
        yield
    finally:
        figure.dpi = before
