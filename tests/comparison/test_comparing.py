"""Whole results compared: every test, values that are the results' own, and refusals that say why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import mlflow_sensie
from mlflow_sensie.comparison import Comparison, compare, leaderboard
from mlflow_sensie.doors.probe import probe
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.result import Result
from mlflow_sensie.scores.table import ScoreTable

Array = NDArray[np.float64]
N = 400


def model(steep: float, other: float = 0.0) -> Callable[[Any], Array]:
    """A binary classifier by hand: its first input tells the class, its second should not matter."""

    def predict(inputs: Any) -> Array:
        x = np.asarray(inputs, float)
        p = 1 / (1 + np.exp(-steep * x[:, 0] - other * x[:, 1]))
        return np.column_stack([1 - p, p])

    return predict


def shift(inputs: Any, p: float) -> Any:
    return inputs + p


RECIPE: dict[str, Any] = {
    "properties": ["b", {"name": "group", "of": "group"}, {"name": "confident", "of": "model.confidence"}],
    "perturbations": [
        {"name": "one side", "apply": shift, "magnitudes": [0.5, 1, 2], "neutral": 0},
        {"name": "two sides", "apply": shift, "magnitudes": [-1, -0.5, 0.5, 1], "neutral": 0},
        {"name": "no neutral", "apply": shift, "magnitudes": [0.5, 1, 2]},
    ],
    "class_test": True,
}


def data(n: int = N) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    inputs = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    return inputs, (inputs["a"] + 0.5 * rng.normal(size=n) > 0).astype(int).to_numpy()


def probed(predict: Callable[[Any], Array], recipe: dict[str, Any] = RECIPE, n: int = N) -> Result:
    inputs, targets = data(n)
    groups = pd.DataFrame({"group": np.array(["x", "y", "z"])[np.arange(n) % 3]})
    return probe(predict, inputs, targets, recipe, metadata=groups)


@pytest.fixture(scope="module")
def old() -> Result:
    return probed(model(2.0))


@pytest.fixture(scope="module")
def new() -> Result:
    return probed(model(2.3, 0.4))


@pytest.fixture(scope="module")
def comparison(old: Result, new: Result) -> Comparison:
    return compare(old, new)


def with_table(result: Result, block: dict[str, Any]) -> Result:
    """The same result with these scores."""
    assert result.score_table is not None
    other = Result.from_json(result.to_json())
    other._score_table = ScoreTable(result.score_table.metadata)
    other._score_table.append(block)
    return other


def columns_of(result: Result) -> dict[str, Any]:
    assert result.score_table is not None
    return {name: result.score_table.column(name).copy() for name in result.score_table.columns}


# --- what is compared --------------------------------------------------------------------------------------


def test_every_test_is_compared(comparison: Comparison) -> None:
    followed = ("skill", "roc_auc", "balanced_accuracy")
    swept = {f"{name}_{what}" for name in followed for what in ("mean_drop", "holds_until")}
    swept |= {"mean_drop", "effect", "holds_until"}
    assert {name: set(test.differences) for name, test in comparison.tests.items()} == {
        "b": {"effect", "slope", "unexpected", "spread"},
        "group": {"spread"},
        "class": {"spread"},
        "one side": swept | {"slope"},
        "two sides": swept,
        "no neutral": swept | {"slope"},
    }
    assert set(comparison.metrics) == {"skill", "clean_roc_auc", "clean_balanced_accuracy"}
    assert list(comparison.not_compared) == ["confident"]
    assert "one of the predictions" in comparison.not_compared["confident"]
    assert comparison.paired and comparison.n == N and not comparison.identical
    assert 0.9 < (comparison.correlation or 0) < 1


def test_values_are_those_of_the_two_results(comparison: Comparison, old: Result, new: Result) -> None:
    assert comparison.clean.difference.value == pytest.approx(new.clean.value - old.clean.value)
    for name in ("one side", "two sides", "no neutral"):
        for metric in ("mean_drop", "effect", "holds_until"):
            found = comparison.difference(name, metric)
            ours, theirs = (getattr(result.tests[name].fit, metric) for result in (old, new))
            if metric != "holds_until":
                ours, theirs = ours.value, theirs.value
            assert (found.a, found.b) == pytest.approx((ours, theirs), abs=1e-9), (name, metric)
            assert found.difference.lo95 <= found.difference.value <= found.difference.hi95
    for metric in ("effect", "slope", "unexpected"):
        found = comparison.difference("b", metric)
        ours, theirs = (getattr(result.tests["b"].fit, metric).value for result in (old, new))
        assert (found.a, found.b) == pytest.approx((ours, theirs)), metric


def test_what_a_sweep_does_not_announce_is_compared(old: Result) -> None:
    ours, theirs = (probed(model(*steep), {**RECIPE, "calibration": True}) for steep in ((2.0,), (2.3, 0.4)))
    found = compare(ours, theirs)
    for name in ("one side", "two sides", "no neutral"):
        unexpected = found.difference(name, "unexpected")
        a, b = (result.tests[name].fit.unexpected.value for result in (ours, theirs))
        assert (unexpected.a, unexpected.b) == pytest.approx((a, b), abs=1e-9), name
        assert unexpected.difference.lo95 < b - a < unexpected.difference.hi95
    plain = compare(old, theirs)
    assert plain.difference("one side", "effect") == found.difference("one side", "effect")
    assert "unexpected" not in plain.tests["one side"].differences
    assert Comparison.from_json(found.to_json()) == found


def test_correlation_is_that_of_the_clean_scores(comparison: Comparison, old: Result, new: Result) -> None:
    ours, theirs = (columns_of(result)["clean"] for result in (old, new))
    assert comparison.correlation == pytest.approx(np.corrcoef(ours, theirs)[0, 1])


def test_a_steeper_model_is_less_robust(comparison: Comparison) -> None:
    assert comparison.clean.prob_more_robust > 0.99
    drop = comparison.difference("one side", "mean_drop")
    assert drop.difference.value > 0 and drop.prob_more_robust < 0.01
    assert comparison.difference("one side", "holds_until").prob_more_robust < 0.01


def test_the_other_way_round_is_the_mirror_image_of_every_contrast(
    comparison: Comparison, old: Result, new: Result
) -> None:
    other = compare(new, old)
    for found, turned in (
        (comparison.clean, other.clean),
        (comparison.difference("one side", "mean_drop"), other.difference("one side", "mean_drop")),
    ):
        one, two = found.difference, turned.difference
        assert (two.value, two.lo95, two.hi95) == pytest.approx((-one.value, -one.hi95, -one.lo95))


def test_it_survives_json_and_gives_the_same_again(comparison: Comparison, old: Result, new: Result) -> None:
    assert Comparison.from_json(comparison.to_json()) == comparison == compare(old, new)
    assert len(comparison.summary()) == 4 + sum(len(test.differences) for test in comparison.tests.values())
    assert mlflow_sensie.compare(old, new) == comparison and mlflow_sensie.Comparison is Comparison


def test_tables_in_another_order_compare_the_same(comparison: Comparison, old: Result, new: Result) -> None:
    order = np.random.default_rng(0).permutation(N)
    found = compare(old, with_table(new, {name: values[order] for name, values in columns_of(new).items()}))
    pd.testing.assert_frame_equal(found.summary(), comparison.summary(), rtol=1e-4, atol=1e-6)


def test_a_regressors_unbounded_score_is_compared() -> None:
    inputs, _ = data(200)
    targets = inputs["a"] * 2 + inputs["b"]
    recipe = {"properties": ["b"], "perturbations": [{"name": "s", "apply": shift, "magnitudes": [1, 2], "neutral": 0}]}

    def predict(slope: float) -> Callable[[Any], Any]:
        return lambda x: np.asarray(x)[:, 0] * slope + np.asarray(x)[:, 1] * 0.9

    one, two = (probe(predict(slope), inputs, targets, recipe, task="regressor") for slope in (1.95, 1.8))
    found = compare(one, two)
    assert found.score == "neg_absolute_error" and found.clean.prob_more_robust < 0.01
    assert set(found.tests["b"].differences) == {"effect", "slope", "spread"}
    assert Comparison.from_json(found.to_json()) == found


def test_an_error_in_the_targets_unit_is_that_of_its_data() -> None:
    """On targets that vary more, any model errs more: such results are compared without a unit, or not at all."""
    inputs, _ = data(200)
    targets = pd.Series(np.exp(inputs["a"]), name="price")
    model = lambda x: np.exp(x["a"]) * 1.1
    for score in ("neg_absolute_error", "neg_squared_error", {"quantile": 0.5}):
        one, two = (probe(model, inputs[:n], targets[:n], {"properties": ["b"], "score": score}) for n in (150, 200))
        with pytest.raises(ComparisonError, match=r"different data, and \w+ \(price²?\) hangs on .* neg_log_error"):
            compare(one, two)
        assert compare(one, one).identical
    for score in ("neg_relative_error", "neg_log_error"):
        one, two = (probe(model, inputs[:n], targets[:n], {"properties": ["b"], "score": score}) for n in (150, 200))
        assert not compare(one, two).paired


# --- the same model, or nearly -----------------------------------------------------------------------------


def test_a_model_does_not_differ_from_itself(old: Result) -> None:
    found = compare(old, old)
    assert found.identical and found.correlation == pytest.approx(1)
    everything = [found.clean, *(each for test in found.tests.values() for each in test.differences.values())]
    for each in everything:
        assert (each.difference.value, each.difference.lo95, each.difference.hi95) == (0, 0, 0)
        assert each.prob_worse_by_at_most(0) == 1 and each.prob_worse_by_more(0) == 0 and each.prob_more_robust == 0.5
    assert all(set(test.curve.difference) == {0} for test in found.tests.values() if test.curve)
    assert "could have been missed" in found.warnings[-1]
    assert (found.a, found.b) == (f"{old.model_name} (A)", f"{old.model_name} (B)")
    assert Comparison.from_json(found.to_json()) == found


def test_scores_that_agree_where_one_test_looks_are_no_identity(old: Result) -> None:
    """The clean scores are the same; only one magnitude's differ, so the models are two."""
    block = columns_of(old)
    block[f"score/{old.tests['one side'].slug}/0"][:5] *= 0.9
    found = compare(old, with_table(old, block))
    assert not found.identical and found.clean.difference.value == 0
    assert found.clean.few_informative and found.clean.difference.hi95 > 0


# --- examples in one of them only --------------------------------------------------------------------------


def test_examples_in_one_table_only_are_left_out_and_told(old: Result, new: Result) -> None:
    found = compare(old, with_table(new, {name: values[:300] for name, values in columns_of(new).items()}))
    assert found.n == 300 and "100 examples have a clean score in one model only" in found.warnings[0]


def test_missing_scores_are_left_out_of_both(old: Result, new: Result) -> None:
    block = columns_of(new)
    block["clean"][:50] = np.nan
    block[f"score/{new.tests['one side'].slug}/2"][:80] = np.nan
    found = compare(old, with_table(new, block))
    assert found.clean.n == 350 and found.tests["one side"].n == 320 and found.tests["two sides"].n == 350
    assert found.tests["class"].n == 350
    block["clean"][:] = np.nan
    with pytest.raises(ComparisonError, match="at least two"):
        compare(old, with_table(new, block))


def test_other_properties_of_the_same_examples_are_paired(old: Result, comparison: Comparison) -> None:
    found = compare(old, probed(model(2.3, 0.4), {**RECIPE, "properties": []}))
    assert old.data_sha256 != found.sides[1].data_sha256
    assert found.paired and found.clean.difference == comparison.clean.difference
    other = probed(model(2.3, 0.4), n=300)
    assert other.examples_sha256 != old.examples_sha256


def test_other_data_is_compared_unpaired_and_says_so(old: Result, comparison: Comparison) -> None:
    found = compare(old, probed(model(2.3, 0.4), n=300))
    assert not found.paired and found.n == 300 and found.correlation is None
    assert "not paired" in found.warnings[0] and "taken for independent" in found.warnings[0]
    for test, metric in (("one side", "mean_drop"), ("two sides", "effect"), ("class", "spread")):
        wide, narrow = (each.difference(test, metric).difference for each in (found, comparison))
        assert wide.hi95 - wide.lo95 > 1.5 * (narrow.hi95 - narrow.lo95), (test, metric)
    assert "confident" in found.tests


# --- refusals ----------------------------------------------------------------------------------------------


def test_other_scores_are_refused(old: Result) -> None:
    with pytest.raises(ComparisonError, match="is scored by 'probability', .* by 'neg_brier_score'"):
        compare(old, probed(model(2.0), {**RECIPE, "score": "neg_brier_score"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magnitudes": [0.5, 1, 3]}, r"magnitudes is \(0.5, 1.0, 2.0\) in A and \(0.5, 1.0, 3.0\) in B"),
        ({"magnitudes": [1, 2, 3], "neutral": 0.5}, "(magnitudes|neutral) is"),
        ({"allowed_drop": 0.2}, "allowed_drop is 0.1 in A and 0.2 in B"),
        ({"apply": np.add}, "apply is"),
    ],
)
def test_other_settings_of_a_test_are_told(old: Result, change: dict[str, Any], message: str) -> None:
    first, *others = RECIPE["perturbations"]
    found = compare(old, probed(model(2.0), {**RECIPE, "perturbations": [{**first, **change}, *others]}))
    with pytest.raises(ComparisonError, match=message):
        found.difference("one side", "mean_drop")
    assert "two sides" in found.tests and "the two recipes are not the same" in found.warnings[0]


def test_failed_and_missing_tests_are_told() -> None:
    def fails(inputs: Any, p: float) -> Any:
        raise RuntimeError("no")

    first = {**RECIPE["perturbations"][0], "name": "fine"}
    broken = {**first, "name": "broken", "apply": fails}
    one = probed(model(2.3), {"perturbations": [first, broken], "on_error": "record"})
    two = probed(
        model(2.0), {"perturbations": [{**broken, "name": "fine"}, first | {"name": "broken"}], "on_error": "record"}
    )
    three = probed(model(2.0), {"perturbations": [first]})
    assert "it failed on B" in compare(one, two).not_compared["fine"]
    assert "it failed on A" in compare(one, two).not_compared["broken"]
    assert compare(one, three).not_compared == {"broken": "B has no such test"}
    assert compare(three, one).not_compared == {"broken": "A has no such test"}


def test_a_result_from_json_needs_its_table(old: Result, new: Result, tmp_path: Path) -> None:
    read = Result.from_json(old.to_json())
    with pytest.raises(ComparisonError, match="has no score table: a result read from JSON comes without"):
        compare(read, new)
    (tmp_path / "report.json").write_text(old.to_json())
    assert old.score_table is not None
    old.score_table.write_parquet(tmp_path / "scores.parquet")
    assert mlflow_sensie.compare(tmp_path, new) == compare(old, new)


def test_a_table_of_other_data_is_refused(old: Result, new: Result) -> None:
    other = probed(model(2.0), n=300)
    stolen = Result.from_json(old.to_json())
    stolen._score_table = other.score_table
    with pytest.raises(ComparisonError, match="the score table is not that of .*: data_sha256"):
        compare(new, stolen)


# --- weights and clusters ----------------------------------------------------------------------------------


def designed(predict: Callable[[Any], Array], **recipe: Any) -> Result:
    """Two hundred examples, each there twice, with a weight that differs."""
    inputs, targets = data(200)
    twice = pd.concat([inputs, inputs], ignore_index=True)
    more = pd.DataFrame({"patient": np.tile(np.arange(200), 2), "w": np.r_[np.full(200, 1.0), np.full(200, 3.0)]})
    first = RECIPE["perturbations"][0]
    recipe = {"properties": ["b"], "perturbations": [first], "class_test": True, **recipe}
    return probe(predict, twice, np.r_[targets, targets], recipe, metadata=more)


def test_rows_of_one_cluster_count_once() -> None:
    """Every example is there twice: with clusters the answer is that of one copy, without them it is too sure."""
    single, double = [
        compare(designed(model(2.0), **recipe), designed(model(2.3, 0.4), **recipe))
        for recipe in ({"cluster": "patient"}, {})
    ]
    inputs, targets = data(200)
    first = RECIPE["perturbations"][0]
    plain = {"properties": ["b"], "perturbations": [first], "class_test": True}
    once = compare(*(probe(predict, inputs, targets, plain) for predict in (model(2.0), model(2.3, 0.4))))
    for test, metric in ((None, "clean_score"), ("one side", "mean_drop"), ("b", "effect"), ("class", "spread")):
        one, two, three = (found.difference(test, metric).difference for found in (single, once, double))
        assert (one.value, one.hi95 - one.lo95) == pytest.approx((two.value, two.hi95 - two.lo95), rel=0.02, abs=1e-4)
        assert three.hi95 - three.lo95 < 0.8 * (one.hi95 - one.lo95)
    assert single.clean.n == 400


def test_weights_are_those_of_the_two_results() -> None:
    old, new = (designed(predict, weights="w") for predict in (model(2.0), model(2.3, 0.4)))
    found = compare(old, new)
    assert found.clean.difference.value == pytest.approx(new.clean.value - old.clean.value)
    drop = found.difference("one side", "mean_drop")
    assert (drop.a, drop.b) == pytest.approx([each.tests["one side"].fit.mean_drop.value for each in (old, new)])


def test_examples_that_count_otherwise_are_other_data() -> None:
    found = compare(designed(model(2.0), weights="w"), designed(model(2.3)))
    assert not found.paired and "not paired" in found.warnings[0]


def test_a_rank_is_compared_on_the_rank() -> None:
    inputs, targets = data()
    recipe = {"properties": [{"name": "b", "of": "b", "rank": True}]}
    old, new = (probe(predict, inputs, targets, recipe) for predict in (model(2.0), model(2.3, 0.4)))
    found = compare(old, new).difference("b", "effect")
    assert found.difference.value == pytest.approx(new.tests["b"].fit.effect.value - old.tests["b"].fit.effect.value)
    width = found.difference.hi95 - found.difference.lo95
    assert width < new.tests["b"].fit.effect.hi95 - new.tests["b"].fit.effect.lo95


# --- several results ---------------------------------------------------------------------------------------


def ranked(*steep: float, **recipe: Any) -> tuple[pd.DataFrame, dict[str, Result], dict[str, Comparison]]:
    """The leaderboard of models of this steepness."""
    asked = {**RECIPE, "properties": ["b"], "perturbations": RECIPE["perturbations"][:1], **recipe}
    results = {f"steep {slope:g}": probed(model(slope), asked) for slope in steep}
    table, comparisons = leaderboard(results)
    return table.set_index("run"), results, comparisons


def test_the_leaderboard_says_what_the_results_say() -> None:
    rows, results, comparisons = ranked(1.0, 3.0)
    assert list(comparisons) == ["steep 3"] and set(rows.index) == set(results)
    assert rows["worst_loss"].is_monotonic_increasing and set(rows["worst"]) == {"one side"}
    for name, result in results.items():
        assert rows.loc[name, "clean_score"] == result.clean.value
        assert rows.loc[name, "worst_loss_hi95"] == result.tests["one side"].fit.mean_drop.hi95
    comparison = comparisons["steep 3"]
    assert np.isnan(rows.loc["steep 1", "clean_difference"])
    assert rows.loc["steep 3", "clean_difference"] == comparison.clean.difference.value
    losses = [test.headline.worse_by for test in comparison.tests.values()]
    assert rows.loc["steep 3", "less_robust"] == sum(loss.lo95 > 0 for loss in losses)
    assert rows.loc["steep 3", "more_robust"] == sum(loss.hi95 < 0 for loss in losses)
    assert rows.loc["steep 3", "compared"] == 3


def test_properties_rank_by_the_size_of_their_effect() -> None:
    rows, _, _ = ranked(1.0, 3.0, perturbations=[])
    assert set(rows["worst"]) == {"b"} and (rows["worst_loss"] >= 0).all()
    assert (rows["worst_loss_lo95"] <= rows["worst_loss"]).all()
    assert (rows["worst_loss"] <= rows["worst_loss_hi95"]).all()
