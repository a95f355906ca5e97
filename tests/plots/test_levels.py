"""The figure of a category: its levels in order."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie import plots
from mlflow_sensie.plots import levels
from plots.cases import case, category, figure, labelled, make_result, make_test, one, text_of, tick_texts


def test_levels_are_in_order_with_their_own_labels() -> None:
    fit, ax = case("digits").fit, figure("digits").axes[0]
    order = np.argsort(fit.levels_spread.means)
    assert tick_texts(ax) == [fit.levels[k] for k in order]
    drawn = [(x, y) for kind in ("mean", "few") for line in labelled(ax, kind) for x, y in line.get_xydata()]
    assert [y for _, y in sorted(drawn)] == pytest.approx([fit.levels_spread.means[k] for k in order])
    assert one(ax, "raw").get_ydata() == pytest.approx([fit.curve.score[k] for k in order])
    bars = [
        bar for kind in ("mean", "few") for lines in labelled(ax, f"{kind} interval") for bar in lines.get_segments()
    ]
    assert sorted(bar[0, 1] for bar in bars) == pytest.approx(sorted(fit.levels_spread.lo95))
    weighted = np.average(fit.curve.score, weights=fit.curve.n)
    assert one(ax, "average").get_ydata()[0] == pytest.approx(weighted)
    assert "spread between levels (SD)" in text_of(figure("digits"), "subtitle")


def test_of_many_levels_the_lowest_and_highest_are_shown() -> None:
    fit, ax = case("300 levels").fit, figure("300 levels").axes[0]
    shown = len(tick_texts(ax))
    assert shown == levels.MOST_LEVELS + 1 and tick_texts(ax)[-1] == "missing"
    ordered = levels.ordered(fit)
    raw = one(ax, "raw").get_ydata()
    assert raw == pytest.approx([*ordered["raw"][:20], *ordered["raw"][-20:]])
    assert text_of(figure("300 levels"), "gap") == "260 levels not shown"
    assert "the 20 lowest and 20 highest shown" in text_of(figure("300 levels"), "subtitle")


def test_a_thousand_levels_and_levels_without_examples_do_no_harm() -> None:
    labels = [f"{'long ' * 40}{k} $^_<b>" for k in range(1000)]
    test = make_test("many", "category", category(labels, n=700))
    drawing = plots.draw(make_result(test), test)
    assert len(plots.to_png(drawing, dpi=40)) > 1000
    assert "without examples" in text_of(drawing, "subtitle")
