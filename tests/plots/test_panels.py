"""Panels of metrics below a curve: what says up to where it holds, and what the best constant gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, plots, probe
from mlflow_sensie.plots.panels import is_held_by_skill, panels_of


def probed(skilled: bool, **keys: Any) -> Result:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    p = 1 / (1 + np.exp(-2 * X["a"]))
    y = (rng.random(400) < p).astype(int).to_numpy()
    recipe = {"properties": ["b"], "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1.0, 2.0]}], **keys}

    def model(inputs: pd.DataFrame) -> Any:
        return 1 / (1 + np.exp(-2 * inputs["a"])) if skilled else np.full(len(inputs), 0.5)

    return probe(model, X, y, recipe)


@pytest.mark.parametrize(
    ("keys", "panels"),
    [
        ({}, ["skill"]),
        ({"headline": "roc_auc", "metrics": ["roc_auc"]}, ["roc_auc", "skill"]),
        ({"allowed_drop": {"absolute": 0.1}}, ["skill"]),
    ],
)  # fmt: skip
def test_headline_and_skill_have_panels_and_the_floor_stands_where_it_is_said(keys: Any, panels: list[str]) -> None:
    result = probed(True, **keys)
    test = result.tests["tabular.noise"]
    figure = plots.draw(result, test)
    below = figure.axes[-len(panels) :]
    assert panels_of(result, test) == panels and is_held_by_skill(test) == ("allowed_drop" not in keys)
    floors = [any(line.get_label() == "floor" for line in ax.lines) for ax in (figure.axes[0], below[-1])]
    assert floors == [not is_held_by_skill(test), is_held_by_skill(test)]
    for name, ax in zip(panels, below, strict=True):
        (metric,) = (line for line in ax.lines if line.get_label() == "metric")
        assert list(metric.get_ydata()) == list(test.metric_fits[name].values)
        (constant,) = (line for line in ax.lines if line.get_label() == "best constant")
        assert constant.get_ydata()[0] == result.metric_estimates[name].no_skill
    assert [bool(ax.get_xlabel()) for ax in figure.axes].index(True) == len(figure.axes) - 1


def test_without_skill_nothing_is_marked_as_holding() -> None:
    result = probed(False)
    figure = plots.draw(result, result.tests["tabular.noise"])
    labels = {line.get_label() for ax in figure.axes for line in ax.lines}
    assert "floor" not in labels and not any(str(label).startswith("holds") for label in labels)


def test_bins_stand_where_those_of_the_curve_do() -> None:
    result = probed(True)
    test = result.tests["b"]
    ax = plots.draw(result, test).axes[-1]
    (metric,) = (line for line in ax.lines if line.get_label() == "metric")
    assert set(metric.get_xdata()) <= set(test.curve["p"]) and len(metric.get_xdata()) > 3
