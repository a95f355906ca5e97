"""Paper as PNG, pixels and SVG."""

from __future__ import annotations

from xml.dom import minidom

import numpy as np

from mlflow_sensie import plots
from plots.cases import case, figure, make_result


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
