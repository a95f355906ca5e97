"""A difference and a comparison: what they say, and that they survive JSON."""

from __future__ import annotations

import pytest

from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, TestComparison
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import OrderStatistics, SkewedT
from mlflow_sensie.recipe.model import slug


def drop(loc: float = 0.03, scale: float = 0.01) -> Difference:
    """B's mean drop is larger by 0.03 ± 0.01."""
    posterior = SkewedT(loc, scale, 50.0, 0.1)
    return Difference(
        "mean_drop", 51, 0.1, 0.1 + loc, posterior.summary(value=loc), posterior, "lower", informative=40.5
    )


def effect() -> Difference:
    draws, hopeful, bound = (
        OrderStatistics(values) for values in ((-0.3, -0.1, 0.1), (-0.2, 0.0, 0.2), (0.0, 0.2, 0.4))
    )
    return Difference("effect", 51, -0.4, -0.5, draws.summary(value=-0.1), draws, "smaller", hopeful, bound)


def comparison() -> Comparison:
    curve = CurveDifference((0.0, 1.0), ("0", "1"), (0.8, 0.7), (0.8, 0.6), (0.0, -0.1), (-0.1, -0.2), (0.1, 0.0))
    test = TestComparison("my test", "my_test-1", "perturbation", "px", 51, {"mean_drop": drop()}, curve, ("few",))
    clean = SkewedT(0.01, 0.02, 50.0)
    return Comparison(
        a="old", b="new", score="correct", score_unit="accuracy", n=51, paired=True, identical=False,
        correlation=0.5, tests={"my test": test}, not_compared={"other test": "A has no such test"},
        clean=Difference("clean_score", 51, 0.8, 0.81, clean.summary(value=0.01), clean, "higher"),
    )  # fmt: skip


def test_probabilities_of_a_difference() -> None:
    found = drop()
    assert found.posterior.prob_below(0.03) + found.posterior.prob_above(0.03) == pytest.approx(1)
    assert found.prob_worse_by_at_most(0.05) == found.posterior.prob_below(0.05) > 0.95
    assert found.prob_worse_by_more(0.05) == pytest.approx(found.posterior.prob_above(0.05))
    assert found.prob_more_robust < 0.01
    assert comparison().clean.prob_more_robust == pytest.approx(comparison().clean.posterior.prob_above(0))


def test_a_claim_is_judged_by_the_bound_and_a_breach_by_the_loss() -> None:
    found = effect()
    assert found.prob_worse_by_at_most(0.1) == pytest.approx(1 / 3)
    assert found.prob_worse_by_more(0.1) == pytest.approx(1 / 3)
    assert found.prob_more_robust == pytest.approx(0.5)


@pytest.mark.parametrize("found", [drop(), effect()])
def test_a_model_does_not_differ_from_itself(found: Difference) -> None:
    same = found.as_identical()
    assert same.a == same.b == found.a
    assert same.difference.value == same.difference.lo95 == same.difference.hi95 == 0
    assert same.prob_worse_by_at_most(0) == 1 and same.prob_worse_by_more(0) == 0 and same.prob_more_robust == 0.5


@pytest.mark.parametrize("found", [drop(), effect()])
def test_another_unit_changes_no_probability(found: Difference) -> None:
    other = found.scaled("slope", 0.25)
    assert other.metric == "slope" and other.b == found.b / 4
    assert other.prob_worse_by_at_most(0.005) == pytest.approx(found.prob_worse_by_at_most(0.02))
    assert other.difference.hi95 == pytest.approx(found.difference.hi95 / 4)
    assert other.prob_more_robust == pytest.approx(found.prob_more_robust)


def test_differences_are_found_by_name_and_slug() -> None:
    found = comparison()
    assert found.difference("my test", "mean_drop") is found.difference("my_test-1", "mean_drop")
    assert found.difference(None, "clean_score") is found.clean


@pytest.mark.parametrize(
    ("test", "metric", "message"),
    [
        ("my test", "spread", "test 'my test': no difference of 'spread'; there are: mean_drop"),
        (None, "mean_drop", "as a whole: no difference of 'mean_drop'; there are: clean_score"),
        ("other test", "effect", "'other test' was not compared: A has no such test"),
        (slug("other test"), "effect", "was not compared: A has no such test"),
        ("none", "effect", "neither result has such a test"),
    ],
)
def test_what_there_is_not_is_told(test: str | None, metric: str, message: str) -> None:
    with pytest.raises(ComparisonError, match=message):
        comparison().difference(test, metric)


def test_a_comparison_survives_json_and_makes_a_table() -> None:
    found = comparison()
    assert Comparison.from_json(found.to_json()) == found
    rows = found.summary()
    assert list(rows["test"]) == ["", "my test"] and list(rows["metric"]) == ["clean_score", "mean_drop"]
    assert rows.loc[1, ["a", "b", "difference"]].tolist() == pytest.approx([0.1, 0.13, 0.03])


def test_an_identical_curve_is_zero_throughout() -> None:
    test = comparison().tests["my test"].as_identical()
    assert test.curve is not None
    assert test.curve.difference == test.curve.lo95 == test.curve.hi95 == (0, 0) and test.curve.b == (0.8, 0.7)
    assert test.differences["mean_drop"].difference.value == 0
