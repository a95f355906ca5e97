"""Two models on the same examples: joined right, refused where they must be, and differences that are true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from mlflow_sensie.comparison import Comparison, compare
from mlflow_sensie.differences import Draws, Skewed, correlation_of, joint_draws
from mlflow_sensie.errors import DataError
from mlflow_sensie.inference import ScoreScale, perturbation_test
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.sides import Sweep
from mlflow_sensie.moments import GroupedMoments
from mlflow_sensie.paired_spread import spread_difference
from mlflow_sensie.paired_sweep import SweepSums, crossings
from mlflow_sensie.paired_tests import clean_difference
from mlflow_sensie.pairing import Pairing
from mlflow_sensie.probing import probe
from mlflow_sensie.result import Result
from mlflow_sensie.scores import ScoreTable

Array = NDArray[np.float64]
PROBABILITY = ScoreScale(0.0, 1.0, "probability")
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
    "properties": ["b", {"name": "group", "of": "group"}, {"name": "confident", "of": "prediction.confidence"}],
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
def baseline() -> Result:
    return probed(model(2.0))


@pytest.fixture(scope="module")
def candidate() -> Result:
    return probed(model(2.3, 0.4))


@pytest.fixture(scope="module")
def comparison(candidate: Result, baseline: Result) -> Comparison:
    return compare(candidate, baseline)


# --- joining -----------------------------------------------------------------------------------------------


def table(ids: Sequence[Any], clean: Sequence[float], sizes: Sequence[int] = (), **more: Any) -> ScoreTable:
    """A score table in blocks of these sizes."""
    made, columns = ScoreTable(), {"id": np.array(ids), "clean": np.array(clean, float), **more}
    cuts = [0, *np.cumsum(sizes).tolist(), len(ids)] if sizes else [0, len(ids)]
    for start, stop in zip(cuts, cuts[1:], strict=False):
        made.append({name: values[start:stop] for name, values in columns.items()})
    return made


def pairs(pairing: Pairing) -> list[tuple[Any, float, float]]:
    rows = [zip(a["id"], a["clean"], b["clean"], strict=True) for a, b in pairing.blocks(["id", "clean"])]
    return [row for block in rows for row in block]


@pytest.mark.parametrize("sizes", [((), ()), ((3, 4), (5,)), ((1, 1, 1), (9,)), ((9, 1), (2, 2, 2))])
def test_blocks_of_any_size_are_read_in_step(sizes: tuple[Sequence[int], Sequence[int]]) -> None:
    ids, values = range(10), np.arange(10.0)
    found = Pairing.of(table(ids, values, sizes[0]), table(ids, -values, sizes[1]))
    assert found.order is None
    assert pairs(found) == [(i, float(i), -float(i)) for i in range(10)]


def test_other_orders_are_joined_by_id() -> None:
    found = Pairing.of(table([3, 1, 2, 9], [3, 1, 2, 9]), table([2, 3, 1, 7], [-2, -3, -1, -7], [2]))
    assert found.n == 3
    assert sorted(pairs(found)) == [(1, 1, -1), (2, 2, -2), (3, 3, -3)]


def test_text_ids_join_too() -> None:
    assert sorted(pairs(Pairing.of(table(["b", "a"], [2, 1]), table(["a", "b"], [1, 2])))) == [("a", 1, 1), ("b", 2, 2)]


def test_a_spilled_table_is_streamed(tmp_path: Any) -> None:
    values = np.linspace(0, 1, 1000)
    whole, spilled = table(range(1000), values), ScoreTable(spill_bytes=1000)
    for start in range(0, 1000, 100):
        spilled.append({"id": np.arange(start, start + 100), "clean": values[start : start + 100]})
    spilled.write_parquet(tmp_path / "scores.parquet")
    for other in (spilled, ScoreTable.read_parquet(tmp_path / "scores.parquet")):
        found = Pairing.of(whole, other)
        assert found.order is None and found.identical()


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([1, 1, 2], [1, 2, 3], "candidate's example ids are not unique"),
        ([1, 2, 3], [3, 3, 1], "baseline's example ids are not unique"),
        ([1, 2], [3, 4], "0 examples in common"),
        ([1, 2, 3], [3, 4, 5], "1 examples in common"),
        ([1, 2, 3], ["a", "b", "c"], "0 examples in common"),
    ],
)
def test_what_cannot_be_joined_is_refused(ours: list[Any], theirs: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Pairing.of(table(ours, np.zeros(len(ours))), table(theirs, np.zeros(len(theirs))))


# --- posteriors --------------------------------------------------------------------------------------------


def test_without_skew_it_is_students_t() -> None:
    found = Skewed(1.0, 2.0, 7.0)
    assert found.prob_below(2.5) == pytest.approx(stats.t(7, 1, 2).cdf(2.5))
    assert found.prob_above(2.5) == pytest.approx(stats.t(7, 1, 2).sf(2.5))
    assert found.interval() == pytest.approx(stats.t(7, 1, 2).interval(0.95))
    assert Skewed(0.0, 1.0).quantile(0.975) == pytest.approx(1.959964)


@pytest.mark.parametrize("skew", [-0.8, -0.05, 0.0, 0.3, 1.2])
@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.95, 0.999])
def test_quantiles_invert_probabilities(skew: float, probability: float) -> None:
    found = Skewed(-3.0, 0.5, 12.0, skew)
    assert found.prob_below(found.quantile(probability)) == pytest.approx(probability)
    turned = found.scaled(-2)
    assert turned.prob_above(-2 * found.quantile(probability)) == pytest.approx(probability)


def test_skew_corrects_the_coverage_of_a_poisson_like_mean(rng: np.random.Generator) -> None:
    """Of losses alone, 2 % of 1,000: the t calls 7 % of them clearly below 2 %."""
    rows = [-(rng.random(1000) < 0.02).astype(float) for _ in range(1500)]
    losses = [clean_difference(lambda row=row: [np.column_stack([np.ones(1000), row])], PROBABILITY) for row in rows]
    passed = np.mean([loss.prob_worse_by_at_most(0.02) >= 0.95 for loss in losses])
    plain = np.mean([replace(loss.loss, skew=0.0).prob_below(0.02) >= 0.95 for loss in losses])
    assert passed <= 0.05 < plain


def test_draws_keep_what_is_equal() -> None:
    found = Draws.of(np.r_[np.zeros(3000), np.linspace(1, 2, 1000)])
    assert found.prob_below(0) == found.prob_below(0.999) == 0.75
    assert found.prob_above(0) == 1 and found.prob_above(1e-9) == 0.25
    assert found.scaled(-1).prob_below(-1) == 0.25
    assert Draws.of(np.zeros(10)).interval() == (0, 0)


def test_joint_draws_have_their_moments_and_keep_what_does_not_vary(rng: np.random.Generator) -> None:
    covariance = np.array([[4.0, 0, 1.9], [0, 0, 0], [1.9, 0, 1]])
    drawn = joint_draws(np.array([1.0, 2, 3]), covariance, 1e6, rng, 50_000)
    assert np.all(drawn[:, 1] == 2)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.05)
    assert joint_draws(np.zeros(2), np.ones((2, 2)), 1e6, rng).T[0] == pytest.approx(
        joint_draws(np.zeros(2), np.ones((2, 2)), 1e6, np.random.default_rng(0)).T[0] * 0, abs=9
    )


def test_correlation_from_variances(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 100))
    d = b - a
    found = correlation_of(a.var(), d.var(), float(np.mean((a - a.mean()) * (d - d.mean()))))
    assert found == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert correlation_of(0.0, 1.0, 0.0) is None


# --- one sweep ---------------------------------------------------------------------------------------------


def two_sweeps(rng: np.random.Generator, n: int, ours: Array, theirs: Array, rho: float = 0.9) -> tuple[Array, Array]:
    """Beta-like scores with these mean curves: logistic ones about them, clipped nowhere near the bounds."""
    shared, own = rng.normal(size=(2, n, 1)) + 0.5 * rng.normal(size=(2, n, len(ours)))
    return ours + 0.06 * shared, theirs + 0.06 * (rho * shared + np.sqrt(1 - rho**2) * own)


OURS, THEIRS = np.array([0.8, 0.78, 0.72, 0.6, 0.5]), np.array([0.79, 0.76, 0.68, 0.55, 0.45])
LINE = Sweep.of([1.0, 2, 3, 4], 0.0)


def sums_of(baseline: Array, candidate: Array, sweep: Sweep = LINE) -> SweepSums:
    rows = np.hstack([baseline, candidate - baseline])
    return SweepSums.of(lambda: [rows[:37], rows[37:]], sweep, PROBABILITY)


def test_contrasts_are_those_of_the_perturbation_test_on_differences(rng: np.random.Generator) -> None:
    a, b = two_sweeps(rng, 300, OURS, THEIRS)
    fit = perturbation_test(lambda: [b - a], ScoreScale(-1, 1, ""), magnitudes=LINE.magnitudes, neutral=0.0)
    sums = sums_of(a, b)
    drop, effect = sums.mean_drop(), sums.effect(rng)
    for found, expected in ((drop, fit.mean_drop_posterior), (effect, fit.sides[0].posterior)):
        assert isinstance(found.posterior, Skewed)
        assert (found.value, found.posterior.scale) == pytest.approx((expected.loc, expected.scale))
    b_i = (b - a) @ LINE.contrasts()[:, 1]
    assert drop.posterior.skew == pytest.approx(stats.skew(b_i) / np.sqrt(300))  # type: ignore[union-attr]
    assert drop.correlation == pytest.approx(np.corrcoef(a @ LINE.contrasts()[:, 1], b @ LINE.contrasts()[:, 1])[0, 1])


def test_truth_lies_in_the_intervals(rng: np.random.Generator) -> None:
    """Coverage of mean drop, effect, holds until and the whole curve in 200 data sets, Monte Carlo error .015."""
    exact = sums_of(np.tile(OURS, (4000, 1)), np.tile(THEIRS, (4000, 1)))
    floor = Floor.of(0.1, True)
    truths = {"mean_drop": exact.mean_drop(), "effect": exact.effect(rng), "holds_until": exact.holds_until(floor, rng)}
    inside = {name: 0 for name in (*truths, "curve")}
    for _ in range(200):
        sums = sums_of(*two_sweeps(rng, 120, OURS, THEIRS))
        found = {"mean_drop": sums.mean_drop(), "effect": sums.effect(rng), "holds_until": sums.holds_until(floor, rng)}
        for name, truth in truths.items():
            inside[name] += found[name].lo95 <= truth.value <= found[name].hi95
        curve = sums.curve(rng)
        low, high = np.array(curve.lo95), np.array(curve.hi95)
        inside["curve"] += bool(np.all((low <= THEIRS - OURS) & (THEIRS - OURS <= high)))
    assert all(count >= 0.9 * 200 for count in inside.values()), inside
    assert inside["curve"] <= 0.99 * 200 and inside["mean_drop"] <= 0.99 * 200, inside


def test_worse_by_the_margin_passes_one_time_in_twenty(rng: np.random.Generator) -> None:
    """Where the baseline has no effect at all, drawn |effect| would let 20 % pass."""
    flat, falling = np.full(5, 0.7), np.linspace(0.7, 0.66, 5)
    found = [sums_of(*two_sweeps(rng, 100, flat, falling)).effect(rng) for _ in range(300)]
    assert np.mean([each.prob_worse_by_at_most(0.04) >= 0.95 for each in found]) <= 0.09
    assert np.mean([each.loss.prob_below(0.04) >= 0.95 for each in found]) >= 0.12


def test_two_sides_are_held_against_their_own_side(rng: np.random.Generator) -> None:
    sweep = Sweep.of([-2.0, -1, 1, 2], 0.0)
    ours = np.array([0.8, 0.6, 0.7, 0.7, 0.6])
    worse = ours - np.array([0, 0.06, 0.03, 0, 0])
    found = [sums_of(*two_sweeps(rng, 100, ours, worse), sweep).effect(rng) for _ in range(200)]
    assert np.mean([each.prob_worse_by_at_most(0.06) >= 0.95 for each in found]) <= 0.1
    assert np.mean([each.value for each in found]) == pytest.approx(-0.06, abs=0.005)
    assert all(isinstance(each.posterior, Draws) for each in found)
    covered = [each.lo95 <= -0.06 <= each.hi95 for each in found]
    assert np.mean(covered) >= 0.9


def test_crossings_are_those_of_the_result(rng: np.random.Generator) -> None:
    curves = np.array([OURS, THEIRS, np.full(5, 0.8), [0.8, 0.5, 0.8, 0.8, 0.2], [0.8, 0.72, 0.72, 0.72, 0.72]])
    found = crossings(LINE.sides[0], curves, Floor.of(0.1, True))
    for curve, distance in zip(curves, found, strict=True):
        fit = perturbation_test(
            lambda curve=curve: [np.tile(curve, (2000, 1)) + 1e-9 * rng.normal(size=(2000, 5))],
            PROBABILITY, magnitudes=LINE.magnitudes, neutral=0.0,
        )  # fmt: skip
        assert distance == pytest.approx(fit.holds_until, abs=1e-4)


def test_a_baseline_that_never_fell_is_held_to_what_was_tested(rng: np.random.Generator) -> None:
    ours, theirs = np.array([0.8, 0.79, 0.78, 0.77, 0.76]), np.array([0.8, 0.78, 0.76, 0.74, 0.68])
    found = sums_of(*two_sweeps(rng, 2000, ours, theirs)).holds_until(Floor.of(0.1, True), rng)
    assert found.baseline == 4 and found.candidate < 3.6
    assert found.worse_by == pytest.approx(4 - found.candidate)
    assert found.prob_worse_by_at_most(1.0) > 0.95 > 0.05 > found.prob_worse_by_at_most(0.1)


def test_few_changes_are_guarded(rng: np.random.Generator) -> None:
    a = np.ones((100, 5))
    b = a.copy()
    b[3, 2] = 0
    found = sums_of(a, b).mean_drop()
    assert found.few_informative and found.hi95 > 0.02
    nothing = sums_of(a, a).mean_drop()
    assert nothing.few_informative and nothing.value == 0 and nothing.hi95 > 0.01 and nothing.correlation is None


def test_a_sweep_without_a_neutral_has_no_point_there(rng: np.random.Generator) -> None:
    sums = sums_of(*two_sweeps(rng, 100, OURS, THEIRS), Sweep.of([1.0, 2, 3, 4], None))
    assert sums.curve(rng).p == (1, 2, 3, 4)
    assert sums_of(*two_sweeps(rng, 100, OURS, THEIRS)).curve(rng).p == (0, 1, 2, 3, 4)


# --- spread ------------------------------------------------------------------------------------------------


def spread_of(rng: np.random.Generator, ours: Array, theirs: Array, each: int = 200) -> Any:
    group = np.repeat(np.arange(len(ours)), each)
    shared, own = rng.normal(size=(2, len(group)))
    a, b = (0.1 * shared + ours[group], 0.1 * (0.9 * shared + 0.44 * own) + theirs[group])
    sums = [GroupedMoments.of(group, values, len(ours)) for values in (a, b, b - a)]
    return spread_difference(sums[0], sums[1], sums[2], PROBABILITY, (0.0, 1.0), rng)


@pytest.mark.parametrize(("ours", "theirs"), [(0.05, 0.05), (0.0, 0.05), (0.08, 0.02)])
def test_the_difference_of_spreads_is_found(rng: np.random.Generator, ours: float, theirs: float) -> None:
    pattern = np.array([-1.0, 0, 1, 0.5, -0.5])
    pattern /= pattern.std(ddof=1)
    found = [spread_of(rng, 0.5 + ours * pattern, 0.5 + theirs * pattern) for _ in range(60)]
    assert np.mean([each.value for each in found]) == pytest.approx(theirs - ours, abs=0.006)
    assert np.mean([each.lo95 <= theirs - ours <= each.hi95 for each in found]) >= 0.85
    assert np.mean([each.prob_worse_by_at_most(max(theirs - ours, 0)) >= 0.95 for each in found]) <= (
        0.2 if theirs >= ours else 1
    )


def test_a_spread_needs_two_groups(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="at least two groups"):
        spread_of(rng, np.array([0.5]), np.array([0.5]))


# --- whole results -----------------------------------------------------------------------------------------


def test_every_test_is_compared(comparison: Comparison, candidate: Result, baseline: Result) -> None:
    metrics = {name: set(test.differences) for name, test in comparison.tests.items()}
    assert metrics == {
        "b": {"effect", "slope", "unexpected", "spread"},
        "group": {"spread"},
        "class": {"spread"},
        "one side": {"mean_drop", "effect", "slope", "holds_until"},
        "two sides": {"mean_drop", "effect", "holds_until"},
        "no neutral": {"mean_drop", "effect", "slope", "holds_until"},
    }
    assert list(comparison.missing) == ["confident"]
    assert "one of the predictions" in comparison.missing["confident"]
    assert comparison.n == N and not comparison.identical and 0 < (comparison.correlation or 0) < 1


def test_values_are_those_of_the_two_results(comparison: Comparison, candidate: Result, baseline: Result) -> None:
    assert comparison.clean.value == pytest.approx(candidate.clean.value - baseline.clean.value)
    for name in ("one side", "two sides", "no neutral"):
        for metric in ("mean_drop", "effect", "holds_until"):
            found = comparison.tests[name].differences[metric]
            ours, theirs = (getattr(result.tests[name].fit, metric) for result in (candidate, baseline))
            if metric != "holds_until":
                ours, theirs = ours.value, theirs.value
            assert (found.candidate, found.baseline) == pytest.approx((ours, theirs), abs=2e-3), (name, metric)
            assert found.lo95 <= found.value <= found.hi95
    effect = comparison.tests["b"].differences["effect"]
    assert effect.value == pytest.approx(candidate.tests["b"].fit.effect.value - baseline.tests["b"].fit.effect.value)


def test_a_steeper_model_is_less_robust(comparison: Comparison) -> None:
    assert comparison.clean.prob_more_robust > 0.9
    drop = comparison.tests["one side"].differences["mean_drop"]
    assert drop.worse_by == drop.value > 0 and drop.prob_more_robust < 0.05
    assert comparison.tests["one side"].differences["holds_until"].prob_more_robust < 0.05


def test_swapping_the_models_mirrors_what_is_a_contrast(
    comparison: Comparison, candidate: Result, baseline: Result
) -> None:
    other = compare(baseline, candidate)
    for found, turned in (
        (comparison.clean, other.clean),
        (comparison.tests["one side"].differences["mean_drop"], other.tests["one side"].differences["mean_drop"]),
    ):
        assert (turned.value, turned.lo95, turned.hi95) == pytest.approx((-found.value, -found.hi95, -found.lo95))


def test_the_comparison_survives_json_and_makes_a_table(comparison: Comparison) -> None:
    assert Comparison.from_json(comparison.to_json()) == comparison
    rows = comparison.summary()
    assert list(rows["test"][:2]) == ["clean", "b"] and len(rows) == 1 + sum(
        len(test.differences) for test in comparison.tests.values()
    )


def test_a_model_does_not_differ_from_itself(baseline: Result) -> None:
    found = compare(baseline, baseline)
    assert found.identical and found.correlation == 1
    everything = [found.clean, *(each for test in found.tests.values() for each in test.differences.values())]
    for each in everything:
        assert (each.value, each.lo95, each.hi95, each.worse_by) == (0, 0, 0, 0)
        assert each.prob_worse_by_at_most(0) == 1 and each.prob_worse_by_more(0) == 0 and each.prob_more_robust == 0.5
    assert all(set(test.curve.difference) == {0} for test in found.tests.values() if test.curve)
    assert "could have been missed" in found.warnings[-1]
    assert Comparison.from_json(found.to_json()) == found


def test_scores_that_merely_agree_where_one_test_looks_are_no_identity(baseline: Result) -> None:
    """The clean scores are the same; only one magnitude's differ, so the models are two."""
    changed = baseline.model_copy()
    block = {name: baseline.score_table.column(name).copy() for name in baseline.score_table.columns}  # type: ignore[union-attr]
    block["score/one_side-" + baseline.tests["one side"].slug.rsplit("-", 1)[1] + "/0"][:5] *= 0.9
    other = ScoreTable(baseline.score_table.metadata)  # type: ignore[union-attr]
    other.append(block)
    found = compare(changed, baseline, candidate_scores=other)
    assert not found.identical and found.clean.value == 0 and found.clean.hi95 > 0 and found.clean.few_informative


def test_tables_in_another_order_compare_the_same(comparison: Comparison, candidate: Result, baseline: Result) -> None:
    given = candidate.score_table
    assert given is not None
    order = np.random.default_rng(0).permutation(N)
    turned = ScoreTable(given.metadata)
    turned.append({name: given.column(name)[order] for name in given.columns})
    found = compare(candidate, baseline, candidate_scores=turned)
    assert found.clean.value == pytest.approx(comparison.clean.value)
    for name, test in comparison.tests.items():
        for metric, known in test.differences.items():
            assert found.tests[name].differences[metric].value == pytest.approx(known.value)


def test_examples_in_one_table_only_are_left_out_and_told(candidate: Result, baseline: Result) -> None:
    given = candidate.score_table
    assert given is not None
    part = ScoreTable(given.metadata)
    part.append({name: given.column(name)[:300] for name in given.columns})
    found = compare(candidate, baseline, candidate_scores=part)
    assert found.n == 300 and "100 examples are in one score table only" in found.warnings[0]


def test_a_regressors_unbounded_score_is_compared() -> None:
    inputs, _ = data(200)
    targets = inputs["a"] * 2 + inputs["b"]
    recipe = {"properties": ["b"], "perturbations": [{"name": "s", "apply": shift, "magnitudes": [1, 2], "neutral": 0}]}

    def predict(slope: float) -> Callable[[Any], Any]:
        return lambda x: np.asarray(x)[:, 0] * slope + np.asarray(x)[:, 1] * 0.9

    ours, theirs = (probe(predict(slope), inputs, targets, recipe, task="regressor") for slope in (1.8, 1.95))
    found = compare(ours, theirs)
    assert found.score == "neg_absolute_error" and found.clean.worse_by > 0
    assert {"effect", "slope", "spread"} <= set(found.tests["b"].differences)
    assert Comparison.from_json(found.to_json()) == found


# --- refusals ----------------------------------------------------------------------------------------------


def test_other_data_is_refused(baseline: Result) -> None:
    with pytest.raises(DataError, match="evaluate both with the same recipe on the same examples"):
        compare(probed(model(2.0), n=300), baseline)


def test_other_scores_are_refused(baseline: Result) -> None:
    with pytest.raises(DataError, match="scored by 'neg_brier_score', the baseline by 'probability'"):
        compare(probed(model(2.0), {**RECIPE, "score": "neg_brier_score"}), baseline)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magnitudes": [0.5, 1, 3]}, "magnitudes is .* for the candidate"),
        ({"magnitudes": [1, 2, 3], "neutral": 0.5}, "'one side': (magnitudes|neutral) is"),
        ({"allowed_drop": 0.2}, "allowed_drop is 0.2"),
        ({"apply": np.add}, "apply is"),
    ],
)
def test_other_settings_of_a_test_are_refused(baseline: Result, change: dict[str, Any], message: str) -> None:
    first, *others = RECIPE["perturbations"]
    recipe = {**RECIPE, "perturbations": [{**first, **change}, *others]}
    with pytest.raises(DataError, match=message):
        compare(probed(model(2.0), recipe), baseline)


def test_a_result_from_json_needs_its_table(candidate: Result, baseline: Result) -> None:
    read = Result.from_json(candidate.to_json())
    with pytest.raises(DataError, match="the candidate has no score table: it was read back from JSON"):
        compare(read, baseline)
    assert compare(read, baseline, candidate_scores=candidate.score_table).n == N


def test_a_table_of_other_data_is_refused(candidate: Result, baseline: Result) -> None:
    foreign = probed(model(2.0), n=300).score_table
    with pytest.raises(DataError, match="score table does not belong to its result: data_sha256"):
        compare(candidate, baseline, baseline_scores=foreign)


def test_failed_and_missing_tests_are_told(candidate: Result) -> None:
    def fails(inputs: Any, p: float) -> Any:
        raise RuntimeError("no")

    first = RECIPE["perturbations"][0]
    one = {**RECIPE, "perturbations": [first, {**first, "name": "broken", "apply": fails}], "on_error": "record"}
    two = {**RECIPE, "perturbations": [{**first, "name": "broken", "apply": fails}], "on_error": "record"}
    found = compare(probed(model(2.3), one), probed(model(2.0), two))
    assert found.missing["one side"] == "the baseline has no test 'one side'"
    assert "failed on the candidate" in found.missing["broken"]
    assert "the two recipes are not the same" in found.warnings[0]
    other = compare(probed(model(2.3), two), probed(model(2.0), one))
    assert other.missing["one side"] == "the candidate has no test 'one side'"


def test_missing_scores_are_left_out_of_both(candidate: Result, baseline: Result) -> None:
    given = candidate.score_table
    assert given is not None
    block = {name: given.column(name).copy() for name in given.columns}
    block["clean"][:50] = np.nan
    holed = ScoreTable(given.metadata)
    holed.append(block)
    found = compare(candidate, baseline, candidate_scores=holed)
    assert found.clean.n == 350 and found.tests["one side"].differences["mean_drop"].n == 350
    block["clean"][:] = np.nan
    empty = ScoreTable(given.metadata)
    empty.append(block)
    with pytest.raises(DataError, match="at least two"):
        compare(candidate, baseline, candidate_scores=empty)
