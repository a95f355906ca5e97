"""The figures of a comparison: they say what it says, on the side that it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from plots.cases import check_texts

from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, Sampled, SkewedT, TestComparison
from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE, conclusion
from mlflow_sensie.comparison.posteriors import summary_of
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.plots import to_png
from mlflow_sensie.plots.differences import forest, holding_rows, score_rows

HOSTILE = [
    "<script>alert('1')</script>",
    r"$x_1$ \frac{1}{2",
    "very long name " * 20,
    "旋转 🚀",
    "line\nbreak\x00",
    "z",
]


def known(metric: str, loc: float, better: str = "lower", a: float = 0.1) -> Difference:
    posterior = SkewedT(loc, 0.01, 50.0)
    return Difference(metric, 51, a, a + loc, summary_of(loc, posterior), posterior, better)  # type: ignore[arg-type]


def curve(n: int = 3, *, log: bool = False) -> CurveDifference:
    p = tuple(float(k + 1) for k in range(n))
    flat = tuple(0.8 - 0.1 * k / n for k in range(n))
    d = tuple(-0.01 * k for k in range(n))
    ends = (tuple(x - 0.02 for x in d), tuple(x + 0.02 for x in d))
    return CurveDifference(p, tuple(f"level {x:g}" for x in p), flat, flat, d, *ends, log)


def sweep(name: str, loc: float, *, log: bool = False) -> TestComparison:
    found = {"mean_drop": known("mean_drop", loc), "holds_until": known("holds_until", -20 * loc, "higher", 10.0)}
    return TestComparison(name, f"slug-{len(name)}", "perturbation", "degrees", 51, found, curve(log=log))


def group(name: str, levels: int = 3) -> TestComparison:
    return TestComparison(name, "slug-g", "category", "", 51, {"spread": known("spread", -0.05)}, curve(levels))


def prop(name: str) -> TestComparison:
    sizes = Sampled(tuple(x / 100 for x in range(-5, 6)))
    effect = replace(known("effect", 0.2, "smaller", -0.1), sizes=sizes)
    return TestComparison(name, "slug-p", "property", "", 51, {"effect": effect}, None)


def comparison(*tests: TestComparison) -> Comparison:
    return Comparison(
        a="old", b="new", score="probability", score_unit="probability", n=51, paired=True, identical=False,
        correlation=0.9, clean=known("clean_score", 0.05, "higher", 0.8),
        tests={test.name: test for test in tests}, not_compared={"x": "no"},
    )  # fmt: skip


def texts(figure: Figure, label: str = "") -> list[str]:
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    return [text.get_text() for text in found if not label or text.get_label() == label]


def test_losses_stand_right_of_zero_and_gains_left() -> None:
    rows = {row.text: row.worse_by for row in score_rows(comparison(sweep("tilt", 0.03), group("site"), prop("age")))}
    assert [conclusion(rows[name]) for name in ("all examples", "tilt", "site", "age")] == [  # type: ignore[arg-type]
        BETTER, WORSE, BETTER, UNDECIDED,
    ]  # fmt: skip
    assert rows["all examples"].value == pytest.approx(-0.05)  # type: ignore[union-attr]
    assert rows["tilt"].value == pytest.approx(0.03)  # type: ignore[union-attr]
    assert rows["age"].value == pytest.approx(0)  # type: ignore[union-attr]


def test_the_largest_loss_of_a_kind_comes_first() -> None:
    names = [row.text for row in score_rows(comparison(sweep("small", 0.01), sweep("large", 0.04)))]
    assert names.index("large") < names.index("small")


def test_how_far_it_holds_is_a_share_of_the_longer_distance() -> None:
    heading, row = holding_rows(comparison(sweep("tilt", 0.1)))
    assert heading.worse_by is None and row.worse_by is not None
    assert row.worse_by.value == pytest.approx(2 / 10) and row.said == "10 → 8"
    assert holding_rows(comparison(group("site"))) == []


def test_the_forest_names_models_and_counts() -> None:
    found = texts(forest(comparison(sweep("tilt", 0.03), group("site"), prop("age"))))
    said = " ".join(found)
    for part in ("A: old", "B: new", "the same examples, n = 51", "3 tests: B is more robust in 1",
                 "B is less robust in 1", "not told apart in 1", "1 tests not compared", "tilt", "site",
                 "age"):  # fmt: skip
        assert part in said, part
    assert "unpaired" in " ".join(texts(forest(replace(comparison(prop("age")), paired=False))))


def test_identical_models_make_a_figure_that_says_so() -> None:
    same = comparison(sweep("tilt", 0.1).as_identical())
    figure = forest(replace(same, clean=same.clean.as_identical(), identical=True))
    assert "every score is the same: no difference" in " ".join(texts(figure))
    assert len(to_png(figure)) > 5_000


@pytest.mark.parametrize(
    "test", [sweep("tilt", 0.03), sweep("gamma", 0.03, log=True), group("site"), group("many", 90)]
)
def test_curves_stand_above_their_difference(test: TestComparison) -> None:
    figure = comparison(test).plot(test.slug)
    upper, lower = figure.axes
    assert [line.get_label() for line in upper.lines] == ["A", "B"]
    assert upper.get_xlim() == lower.get_xlim() and upper.get_position().y0 > lower.get_position().y1
    drawn = next(line for line in lower.lines if line.get_label() == "difference")
    assert list(drawn.get_ydata()) == list(test.curve.difference)  # type: ignore[union-attr, call-overload]
    assert len(to_png(figure)) > 5_000


@pytest.mark.parametrize("start", [0.8, 0.0, -0.5])
@pytest.mark.parametrize("test", [sweep("tilt", 0.03), sweep("gamma", 0.03, log=True), group("site")])
def test_nothing_is_cut_off_and_no_texts_overlap(test: TestComparison, start: float) -> None:
    assert test.curve is not None
    a, b = (tuple(start + step * k for k in range(3)) for step in (-0.0011, 0.0013))
    check_texts(comparison(replace(test, curve=replace(test.curve, a=a, b=b))).plot(test.slug))
    unbounded = replace(comparison(replace(test, curve=replace(test.curve, a=a, b=b))), score="neg_absolute_error")
    check_texts(unbounded.plot(test.slug))


def test_a_small_fall_of_a_probability_is_drawn_small() -> None:
    test = sweep("tilt", 0.001)
    assert test.curve is not None
    close = replace(test, curve=replace(test.curve, a=(0.9, 0.9, 0.899), b=(0.9, 0.899, 0.898)))
    low, high = comparison(close).plot("tilt").axes[0].get_ylim()
    assert high - low == pytest.approx(0.1)


def test_what_cannot_be_drawn_is_told() -> None:
    with pytest.raises(ValueError, match="'age' has no bins, so no curve"):
        comparison(prop("age")).plot("age")
    with pytest.raises(ComparisonError, match="'x' was not compared: no"):
        comparison(prop("age")).plot("x")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_a_figure(name: str) -> None:
    found = replace(comparison(sweep(name, 0.03), replace(group("g"), name=name * 2)), a=name, b=name)
    for figure in (found.plot(), found.plot("slug-g"), found.plot(name)):
        assert len(to_png(figure)) > 5_000
        width = figure.get_size_inches()[0]
        assert all(not text.get_parse_math() for text in figure.findobj(Text))  # type: ignore[union-attr]
        assert width == pytest.approx(6.4)


def test_sixty_rows_are_the_most() -> None:
    figure = forest(comparison(*(sweep(f"test {k}", 0.01 * k) for k in range(80))))
    assert "23 more rows are not drawn" in " ".join(texts(figure))
