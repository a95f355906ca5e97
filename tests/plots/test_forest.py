"""Forests: what all tests found, or how two models differ, with intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlflow_sensie import plots
from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE, conclusion
from mlflow_sensie.inference import (
    Interval,
)
from mlflow_sensie.plots import forest, to_png
from mlflow_sensie.plots.forest import difference_rows, draw_differences, holding_rows
from mlflow_sensie.result import Result
from plots.cases import case, labelled, make_result, make_test, text_of, visible_texts
from plots.comparisons import comparison, group, prop, sweep, texts


def mixed() -> Result:
    return make_result(*(case(k) for k in ("flat", "rotation", "bins", "counts", "digits", "300 levels", "failed")))


def test_the_overview_shows_one_named_quantity_per_kind_the_largest_first() -> None:
    result = mixed()
    drawing = plots.overview(result)
    ax = drawing.axes[0]
    names = [text.get_text() for text in labelled(ax, "name")]
    assert names[:2] == ["image.rotate", "flip"] and names[-1] == "mine"
    headings = [text.get_text() for text in labelled(ax, "heading")]
    assert [heading.split(",")[0].split(" over")[0] for heading in headings] == [
        "perturbations: mean drop",
        "properties: effect",
        "categories: spread",
        "failed: no result",
    ]
    values = [line.get_xdata()[0] for line in labelled(ax, "value")]
    shown = [next(test for test in result.tests.values() if test.name == name) for name in names[:-1]]
    assert values == pytest.approx([test.headline.value for test in shown])
    bars = [tuple(line.get_xdata()) for line in labelled(ax, "interval")]
    for test in shown:
        interval = test.headline
        assert any(bar == pytest.approx((interval.lo95, interval.hi95)) for bar in bars)
        assert any(bar == pytest.approx((interval.lo50, interval.hi50)) for bar in bars)
    assert "magnitude 3.0" in labelled(ax, "error")[0].get_text()
    assert "7 tests: " in text_of(drawing, "subtitle") and "1 failed" in text_of(drawing, "subtitle")


def test_the_rope_is_shaded_and_the_decisions_are_named() -> None:
    drawing = plots.overview(mixed())
    box = labelled(drawing.axes[0], "rope")[0].get_datalim(drawing.axes[0].transData)
    assert (box.x0, box.x1) == pytest.approx((-0.02, 0.02))
    texts = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert texts == ["sensitive", "negligible", "within ±0.02: too small to matter"]


def test_an_interval_that_says_nothing_is_cut_with_an_arrow() -> None:
    wide = Interval(0.01, -2.0, 2.0, -9.0, 9.0)
    fit = case("bins").fit
    tests = [case("counts"), make_test("wide", "property", type(fit)(**{**vars(fit), "effect": wide}))]
    ax = plots.overview(make_result(*tests)).axes[0]
    assert ax.get_xlim()[0] > -1.5 and ax.get_xlim()[1] < 1.5
    assert len(labelled(ax, "beyond")) == 2


@pytest.mark.parametrize("count", [0, 1, 50, 90])
def test_the_overview_grows_with_the_tests(count: int) -> None:
    tests = [case("rotation").model_copy(update={"name": f"test {k} {'long ' * 30}"}) for k in range(count)]
    drawing = plots.overview(make_result(*tests))
    assert 2 < drawing.get_size_inches()[1] < 18
    assert len(labelled(drawing.axes[0], "name")) == min(count, forest.MOST_ROWS - 1)
    assert ("more are not drawn" in text_of(drawing, "subtitle")) == (count == 90)
    height, width = drawing.bbox.height, drawing.bbox.width
    for text, box in visible_texts(drawing):
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height, text


def test_an_overview_of_failures_alone() -> None:
    drawing = plots.overview(make_result(case("failed")))
    assert not drawing.legends and labelled(drawing.axes[0], "error")
    assert plots.to_png(drawing, dpi=40)


# --- two models ------------------------------------------------------------------------------------


def test_losses_stand_right_of_zero_and_gains_left() -> None:
    rows = {
        row.text: row.interval for row in difference_rows(comparison(sweep("tilt", 0.03), group("site"), prop("age")))
    }
    assert [conclusion(rows[name]) for name in ("all examples", "tilt", "site", "age")] == [  # type: ignore[arg-type]
        BETTER, WORSE, BETTER, UNDECIDED,
    ]  # fmt: skip
    assert rows["all examples"].value == pytest.approx(-0.05)  # type: ignore[union-attr]
    assert rows["tilt"].value == pytest.approx(0.03)  # type: ignore[union-attr]
    assert rows["age"].value == pytest.approx(0)  # type: ignore[union-attr]


def test_the_largest_loss_of_a_kind_comes_first() -> None:
    names = [row.text for row in difference_rows(comparison(sweep("small", 0.01), sweep("large", 0.04)))]
    assert names.index("large") < names.index("small")


def test_how_far_it_holds_is_a_share_of_the_longer_distance() -> None:
    heading, row = holding_rows(comparison(sweep("tilt", 0.1)))
    assert heading.interval is None and row.interval is not None
    assert row.interval.value == pytest.approx(2 / 10) and row.numbers == "10 → 8"
    assert holding_rows(comparison(group("site"))) == []


def test_the_forest_names_models_and_counts() -> None:
    lines = texts(draw_differences(comparison(sweep("tilt", 0.03), group("site"), prop("age"))))
    text = " ".join(lines)
    for part in ("A: old", "B: new", "the same examples, n = 51", "3 tests: B is more robust in 1",
                 "B is less robust in 1", "not told apart in 1", "1 tests not compared", "tilt", "site",
                 "age"):  # fmt: skip
        assert part in text, part
    assert "unpaired" in " ".join(texts(draw_differences(replace(comparison(prop("age")), paired=False))))


def test_identical_models_make_a_figure_that_says_so() -> None:
    same = comparison(sweep("tilt", 0.1).as_identical())
    figure = draw_differences(replace(same, clean=same.clean.as_identical(), identical=True))
    assert "every score is the same: no difference" in " ".join(texts(figure))
    assert len(to_png(figure)) > 5_000


def test_sixty_rows_are_the_most() -> None:
    figure = draw_differences(comparison(*(sweep(f"test {k}", 0.01 * k) for k in range(80))))
    assert "23 more rows are not drawn" in " ".join(texts(figure))
