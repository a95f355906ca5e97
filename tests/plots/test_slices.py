"""The heat map of slices: every slice and every test, under headings that break at no letter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evaluation.gallery_cases import rated, table

import mlflow_sensie
from mlflow_sensie import Result, plots

HALVED = {"apply": lambda x, p: x.assign(x01=x["x01"] * (1 - p)), "magnitudes": [0, 0.5, 1], "neutral": 0}


def by_level(data: Any, **recipe: Any) -> Result:
    return mlflow_sensie.probe(rated, data, np.arange(len(data)) % 2, {**recipe, "slices": ["level"]})


@pytest.mark.parametrize("long", [False, True])
def test_headings_break_at_no_letter(long: bool) -> None:
    names = ["a_property_with_a_name" * long or "age", "another_property" * long or "height"]
    data = table().assign(**{name: table()["x00"] + k for k, name in enumerate(names)})
    many = [{**HALVED, "name": f"perturbation{k}" if long else f"p{k}"} for k in range(6)]
    figure = by_level(data, properties=names, perturbations=many).plot("level", kind="slices")
    headings = [text for text in figure.texts if "mean drop" in " ".join(text.get_text().split())]
    assert len(headings) == 6 + 1  # and the subtitle
    assert {text.get_rotation() for text in headings[1:]} == {90.0 if long else 0.0}
    assert any(f"{names[0]}: effect" == " ".join(text.get_text().split()) for text in figure.texts)


def test_the_heat_map_shows_every_slice() -> None:
    result = by_level(table(), properties=["x00"])
    figure = plots.draw_slices(result, result.slices[0])
    texts = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert [text.split()[0] for text in texts] == ["high", "low"]
    assert plots.to_png(figure).startswith(b"\x89PNG")
