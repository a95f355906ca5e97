"""Judgements and verdicts: when a rule passes, fails or neither, what is said, and what cannot be judged."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gate.made import judged, made, rules
from mlflow_sensie import Result
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.gate import judge, power
from mlflow_sensie.gate.quantities import FEW
from mlflow_sensie.result.verdict import Judgement, Verdict

Array = NDArray[np.float64]
VERSUS: dict[str, Any] = {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.02}


def one(result: Result, rule: dict[str, Any], baseline: Result | None = None, **given: Any) -> Judgement:
    (found,) = judged(result, rules(rule), baseline, **given)
    return found


@pytest.fixture(scope="module")
def scores() -> Array:
    """Clean and at 1 to 3: symmetric about means of .8, .75, .7 and .6, so that the t is exact."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([half := rng.uniform(-0.15, 0.15, (100, 4)), -half])
    return np.array([0.8, 0.75, 0.7, 0.6]) + noise


@pytest.fixture(scope="module")
def result(scores: Array) -> Result:
    return made(scores)


# --- passes, fails, or neither -----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["clean_score", "mean_drop", "effect"])
@pytest.mark.parametrize(
    ("at", "outcome"), [(0.96, "pass"), (0.94, "inconclusive"), (0.06, "inconclusive"), (0.04, "fail")]
)
def test_a_rule_is_decided_by_its_probability(
    scores: Array, result: Result, metric: str, at: float, outcome: str
) -> None:
    contrast = {
        "clean_score": scores[:, 0],
        "mean_drop": scores @ [1 - 1 / 6, -1 / 3, -1 / 3, -1 / 6],
        "effect": -3 * scores @ (np.arange(4) - 1.5) / 5,
    }[metric]  # fmt: skip
    known = stats.t(len(scores) - 1, contrast.mean(), stats.sem(contrast))
    rule: dict[str, Any] = {"metric": metric, "at_most": float(known.ppf(at)), "test": "sweep"}
    if metric == "clean_score":
        rule = {"metric": metric, "at_least": float(known.isf(at))}
    found = one(result, rule)
    assert found.outcome == outcome
    assert found.probability == pytest.approx(at, abs=2e-3)
    assert found.value == pytest.approx(contrast.mean())
    assert (found.lo95, found.hi95) == pytest.approx(known.interval(0.95), rel=1e-2)
    assert found.n == 200


def test_confidence_is_the_rules_own(result: Result) -> None:
    limit = {"metric": "clean_score", "at_least": result.clean.value - 0.003}
    assert one(result, {**limit, "confidence": 0.6}).outcome == "pass"
    assert one(result, {**limit, "confidence": 0.99}).outcome == "inconclusive"


@pytest.mark.parametrize("margin", [0.001, 0.003])
def test_as_many_more_examples_as_said_settle_it(scores: Array, margin: float) -> None:
    """The same examples over and over: the estimate stays where it is, as the number supposes."""
    rule = {"metric": "clean_score", "at_least": float(scores[:, 0].mean()) - margin}
    found = one(made(scores), rule)
    assert found.outcome == "inconclusive" and found.n_more is not None
    times = (200 + found.n_more) / 200
    assert one(made(np.tile(scores, (int(np.ceil(times)), 1))), rule).outcome == "pass"
    assert one(made(np.tile(scores, (max(1, int(times * 0.8)), 1))), rule).outcome == "inconclusive"
    assert f"about {found.n_more:,} more examples would settle it" in found.reason


@pytest.mark.parametrize(("away", "more"), [(0.003, [1000, 3000]), (0.0005, [50_000, 110_000]), (1e-4, [])])
def test_two_digits_tell_how_many_more_and_none_at_the_limit(scores: Array, away: float, more: list[int]) -> None:
    found = one(made(scores), {"metric": "clean_score", "at_least": float(scores[:, 0].mean()) - away})
    if more:
        assert found.n_more is not None and more[0] <= found.n_more <= more[1]
        assert set(str(found.n_more)[2:]) <= {"0"}
    else:
        assert found.n_more is None and "no number of examples within reach would settle it" in found.reason


def test_the_size_of_an_effect_counts_not_its_sign(scores: Array) -> None:
    up, down = made(scores[:, ::-1]), made(scores)
    rule = {"metric": "effect", "test": "sweep", "at_most": 0.25}
    found = [one(each, rule) for each in (up, down)]
    assert found[0].value == pytest.approx(found[1].value) and found[0].value > 0
    assert [each.outcome for each in found] == ["pass", "pass"]
    assert one(down, {**rule, "at_most": 0.15}).outcome == "fail"


def test_both_sides_of_a_sweep_must_hold(scores: Array) -> None:
    left = made(np.tile(scores[:, :1], (1, 4)))
    assert one(left, {"metric": "holds_until", "test": "sweep", "at_least": 3}).outcome == "pass"
    found = one(made(scores), {"metric": "holds_until", "test": "sweep", "at_least": 3})
    assert found.outcome == "fail" and found.hi95 is None


def test_a_few_examples_that_carry_it_are_judged_by_the_guarded_interval() -> None:
    scores = np.ones(200)
    scores[:2] = 0
    found = one(made(scores), {"metric": "clean_score", "at_least": 0.97})
    assert found.warnings == ("few examples are informative: judged by the guarded interval",)
    assert found.outcome == "inconclusive"  # the plain t would be sure: .99 ± .014


def test_spread(rng: np.random.Generator) -> None:
    level = np.repeat(np.arange(8), 100)
    even, uneven = (rng.beta(8 * m, 8 * (1 - m)) for m in (0.8 + 0 * level, np.linspace(0.5, 0.95, 8)[level]))
    given = {"metadata": {"site": level.astype(str)}, "class_test": False, "properties": ["site"]}
    rule = {"metric": "spread", "test": "site", "at_most": 0.05}
    assert [one(made(each, **given), rule).outcome for each in (even, uneven)] == ["pass", "fail"]
    two = made(even, metadata={"site": (level // 4).astype(str)}, class_test=False, properties=["site"])
    found = one(two, {**rule, "at_most": 0.02})
    assert found.outcome == "inconclusive" and found.n_more is None
    assert found.warnings == ("2 levels tell little of the spread between levels",)
    assert found.reason.endswith("no number of examples within reach would settle it")


def test_unexpected(rng: np.random.Generator) -> None:
    p = rng.uniform(0.5, 1, 800)
    right = np.where(rng.random(800) < p, p, 1 - p)  # as sure as it should be
    result = made(right, metadata={"a": p}, properties=["a"])
    rule = {"metric": "unexpected", "kind": "property", "at_most": 0.15}
    assert one(result, rule).outcome == "pass"
    assert one(result, {**rule, "metric": "effect"}).outcome == "fail"


def followed(p: Array, cut: Array) -> Result:
    """A model as sure as p (n, J + 1), clean and at each magnitude, that is right with that probability less cut."""
    right = np.random.default_rng(7).random((len(p), 1)) < p - cut
    return made(np.where(right, p, 1 - p), calibration=True)


def test_unexpected_of_a_sweep(rng: np.random.Generator) -> None:
    cut, p = np.array([0, 0.1, 0.2, 0.3]), rng.uniform(0.8, 1, (600, 1))
    knows, fooled = followed(np.clip(p - cut, 0.5, 1), 0 * cut), followed(p + 0 * cut, cut)
    rule = {"metric": "unexpected", "test": "sweep", "at_most": 0.12}
    assert [one(each, rule).outcome for each in (knows, fooled)] == ["pass", "fail"]
    assert one(knows, {**rule, "metric": "effect"}).outcome == "fail"
    against = {**rule, "at_most": None, "versus": "baseline", "worse_by_at_most": 0.12}
    assert one(fooled, against, knows).outcome == "fail" and one(knows, against, fooled).outcome == "pass"
    assert power(knows, rules(against)).chance > 0.5
    without = one(made(p + 0 * cut), rule)
    assert without.outcome == "fail" and without.reason.endswith(
        "a perturbation test, has no unexpected (it needs probabilities, and 'calibration: true' in the recipe)"
    )


# --- the rule that nobody has to write ---------------------------------------------------------------------


def skill_of(result: Result, **more: Any) -> Judgement:
    return judge(result, rules({"metric": "clean_score", "at_least": 0.0}), **more).judgements[0]


def test_a_gate_begins_with_the_rule_that_a_model_is_better_than_a_constant(result: Result) -> None:
    skill = skill_of(result)
    estimate = result.metric_estimates["skill"]
    assert (skill.rule, skill.outcome, skill.value) == ("skill at least 0", "pass", estimate.value)
    assert skill.reason == (
        f"skill is {estimate.value:.4g} [{skill.lo95:.4g}, {skill.hi95:.4g}]; at least 0: "
        "better than the best constant prediction with probability above .999"
    )


def test_a_model_that_is_worse_than_a_constant_does_not_pass_whatever_else_is_kept(scores: Array) -> None:
    worse = made(scores - 0.45)
    verdict = judge(worse, rules({"metric": "clean_score", "at_least": 0.3}), made(scores - 0.45))
    assert [one.outcome for one in verdict.judgements] == ["fail", "pass"] and not verdict.passed
    assert verdict.reasons[0].endswith("worse than the best constant prediction with probability above .999")


def test_skill_that_is_not_known_yet_is_inconclusive(rng: np.random.Generator) -> None:
    skill = skill_of(made(rng.uniform(0.1, 0.9, 40) + 0.02))
    assert skill.outcome == "inconclusive" and skill.blocks
    assert "; at least 0: better than the best constant prediction with probability 0." in skill.reason


def test_undefined_skill_is_said_and_blocks_nothing(scores: Array) -> None:
    undefined = made(scores, score=lambda predictions, targets: predictions)
    verdict = judge(undefined, rules({"metric": "clean_score", "at_least": 0.0}))
    skill = verdict.judgements[0]
    assert verdict.passed and (skill.outcome, skill.severity, skill.value) == ("inconclusive", "warn", None)
    assert skill.reason.startswith("skill is not judged, which blocks nothing: nothing says what no skill scores")
    (own,) = judged(undefined, rules({"metric": "skill", "at_least": 0.1}))
    assert own.outcome == "fail"  # who asks for it must have it


# --- against a baseline ------------------------------------------------------------------------------------


def test_worse_by_at_most_is_paired(scores: Array, rng: np.random.Generator) -> None:
    """Each example loses .01 ± .02, far less than examples differ among themselves."""
    loss = 0.01 + rng.uniform(-0.02, 0.02, (len(scores), 1))
    better, worse = made(scores, "champion"), made(scores - loss, "challenger")
    found = one(worse, VERSUS, better)
    known = stats.t(199, loss.mean(), stats.sem(loss[:, 0]))
    assert (found.outcome, found.versus) == ("pass", "baseline")
    assert found.value == pytest.approx(loss.mean())
    assert (found.lo95, found.hi95) == pytest.approx(known.interval(0.95), rel=2e-2)
    assert one(worse, {**VERSUS, "worse_by_at_most": 0.005}, better).outcome == "fail"
    assert "clean_score is worse by 0.01" in found.reason
    back = one(better, {**VERSUS, "worse_by_at_most": 0.0}, worse)
    assert back.outcome == "pass" and "clean_score is better by 0.01" in back.reason


@pytest.mark.parametrize("metric", ["mean_drop", "effect", "holds_until"])
def test_a_fragile_challenger_fails(scores: Array, metric: str) -> None:
    fragile = scores - np.array([0, 0.1, 0.2, 0.3])
    rule = {"metric": metric, "test": "*", "versus": "baseline", "worse_by_at_most": 0.05}
    assert one(made(fragile), rule, made(scores)).outcome == "fail"
    assert one(made(scores), rule, made(fragile)).outcome == "pass"
    assert one(made(fragile), VERSUS, made(scores)).outcome == "pass"


METRICS = ("clean_score", "mean_drop", "effect", "holds_until")


def versus(metric: str, margin: float) -> dict[str, Any]:
    about = {} if metric == "clean_score" else {"test": "sweep"}
    return {"metric": metric, **about, "versus": "baseline", "worse_by_at_most": margin}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [10, 100])
def test_identical_predictions_pass_however_few(scores: Array, n: int, metric: str) -> None:
    found = one(made(scores[:n]), versus(metric, 0.0), made(scores[:n]))
    assert (found.outcome, found.probability, found.value) == ("pass", 1, 0)
    assert found.warnings == (
        f"all scores are the same on {n} examples; a difference that shows in fewer than one example of {n // 3} "
        "could have been missed",
    )


@pytest.mark.parametrize("metric", METRICS)
def test_scores_of_0_and_1_that_agree_are_no_identical_predictions(scores: Array, metric: str) -> None:
    """Two good models share most of them by chance: one that loses 2 % looks the same in 36 % of sets of 50."""
    right = (scores > 0.6).astype(float)
    found = {n: one(made(right[:n]), versus(metric, 0.02), made(right[:n])) for n in (50, 200)}
    assert found[50].outcome == "inconclusive" and found[50].value == 0
    # A baseline that is not surely above no skill may hold to the end: no number of examples is told from that.
    assert (found[50].n_more is None) is (metric == "holds_until")
    if metric == "clean_score":
        assert found[200].outcome == "pass" and found[200].warnings == (FEW,)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_that_fail_at_the_same_magnitudes_are_identical_predictions(metric: str) -> None:
    """Ten examples whose rows of 0 and 1 are all different; with nine, two models may agree by chance."""
    right = (np.arange(12)[:, None] > np.arange(12)).astype(float)  # example k fails from magnitude k on
    found = {n: one(made(right[:n]), versus(metric, 0.01), made(right[:n])) for n in (9, 10)}
    assert [each.outcome for each in found.values()] == ["inconclusive", "pass"]
    assert found[10].probability == 1 and "could have been missed" in found[10].warnings[0]
    assert one(made(right * 0), versus(metric, 0.01), made(right * 0)).outcome == "inconclusive"


@pytest.mark.parametrize("metric", ["clean_score", "mean_drop", "effect"])
def test_as_many_more_examples_as_said_settle_a_comparison(scores: Array, metric: str) -> None:
    """Nothing differs, so the guard decides; it fades faster than the number supposes."""
    right, rule = (scores[:100] > 0.6).astype(float), versus(metric, 0.02)
    found = one(made(right), rule, made(right))
    assert found.outcome == "inconclusive" and found.n_more is not None and found.n_more < 3000
    more = np.tile(right, (1 + found.n_more // 100 + 1, 1))
    assert one(made(more), rule, made(more)).outcome == "pass"


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_is_as_good_as_itself_whatever_its_scores_tell(scores: Array, metric: str) -> None:
    right = (scores[:3] > 0.6).astype(float)
    ours, theirs = (made(right).model_copy(update={"model_uuid": "m-1"}) for _ in range(2))
    for result in (ours, theirs):
        result._score_table = made(right).score_table
    found = one(ours, versus(metric, 0.0), theirs)
    assert (found.outcome, found.probability) == ("pass", 1)
    assert found.warnings == ("A and B are the same model",)


@pytest.mark.parametrize(
    ("baseline", "why"),
    [
        (lambda scores: None, "there is no baseline"),
        (lambda scores: made(scores[:150]), "the baseline was measured on other examples"),
        (lambda scores: made(scores, score="correct"), "such scores are not compared"),
        (lambda scores: made(scores[:, 0]), "test 'sweep' was not compared: A has no such test"),
    ],
)
def test_no_comparison_no_pass(scores: Array, result: Result, baseline: Any, why: str) -> None:
    rule = {"metric": "mean_drop", "kind": "perturbation", "versus": "baseline", "worse_by_at_most": 0.5}
    found = one(result, rule, baseline(scores))
    assert found.outcome == "fail" and found.value is None and found.probability is None
    assert found.reason.startswith("mean_drop of sweep cannot be judged: ") and why in found.reason


def test_a_result_without_its_scores_cannot_be_compared(result: Result) -> None:
    read = Result.from_json(result.to_json())
    assert "has no score table" in one(result, VERSUS, read).reason
    absolute = {"metric": "mean_drop", "test": "sweep", "at_most": 0.2}
    assert one(read, absolute) == one(result, absolute)  # what is known of the model itself is all in the JSON


# --- which tests and slices a rule is about ----------------------------------------------------------------


def test_many_tests_are_those_that_have_the_metric(rng: np.random.Generator) -> None:
    scores = rng.uniform(0.7, 0.9, (200, 3))
    broken = {"name": "broken", "apply": lambda x, p: 1 / 0, "magnitudes": [1, 2]}
    result = made(scores, metadata={"a": rng.normal(size=200)}, properties=["a"], class_test=True)
    wider = made(scores, perturbations=[broken], class_test=True, on_error="record")

    def about(result: Result, **rule: Any) -> list[str | None]:
        return [each.test for each in judged(result, rules({"at_most": 0.9, **rule}))]

    assert about(result, metric="effect", test="*") == ["a", "sweep"]
    assert about(result, metric="effect", kind="property") == ["a"]
    assert about(result, metric="spread", test="*") == ["a", "class"]
    assert about(result, metric="spread", kind="class") == ["class"]
    (failed,) = judged(wider, rules({"metric": "mean_drop", "test": "*", "at_most": 0.9}))
    assert failed.outcome == "fail" and "test 'broken' failed" in failed.reason and "division by zero" in failed.reason


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"metric": "mean_drop", "test": "nope", "at_most": 1.0}, "no test 'nope'; tests are: sweep (perturbation)"),
        ({"metric": "spread", "kind": "class", "at_most": 1.0}, "no class has spread; tests are: sweep"),
        ({"metric": "spread", "test": "sweep", "at_most": 1.0}, "'sweep', a perturbation test, has no spread"),
        ({"metric": "holds_until", "test": "sweep", "at_least": 4}, "was tested up to a distance of 3 only"),
        ({"metric": "clean_score", "at_least": 0.1, "slice": {"site": "A"}}, "there are no slices by 'site'"),
    ],
)
def test_what_is_not_there_fails_with_the_reason(result: Result, rule: dict[str, Any], why: str) -> None:
    found = one(result, rule)
    assert found.outcome == "fail" and why in found.reason


def test_slices(scores: Array) -> None:
    site = np.array(["A", "B"])[(np.arange(200) % 4 > 1).astype(int)]
    given: dict[str, Any] = {"metadata": {"site": site}, "slices": ["site"]}
    worse = np.where((site == "B")[:, None], scores - 0.1, scores)
    old, new = made(scores, "old", **given), made(worse, "new", **given)
    absolute = {"metric": "clean_score", "at_least": 0.75}
    found = judged(new, rules({**absolute, "slice": {"site": "*"}}))
    assert [(each.slice, each.outcome, each.n) for each in found] == [
        ("site = A", "pass", 100),
        ("site = B", "fail", 100),
    ]
    assert found[1].value == pytest.approx(worse[site == "B", 0].mean())
    outcomes = [each.outcome for each in judged(new, rules({**VERSUS, "slice": {"site": "*"}}), old)]
    assert outcomes == ["pass", "fail"]
    (drop,) = judged(new, rules({"metric": "mean_drop", "test": "sweep", "at_most": 0.12, "slice": {"site": "B"}}))
    assert (drop.n, drop.reason[:39]) == (100, "mean_drop of sweep where site = B is 0.")
    assert "no slice site = 'C'; there are: A, B" in one(new, {**absolute, "slice": {"site": "C"}}).reason


# --- severity, waivers, the verdict as a whole -------------------------------------------------------------


BROKEN: dict[str, Any] = {"metric": "clean_score", "at_least": 0.99}
KEPT: dict[str, Any] = {"metric": "clean_score", "at_least": 0.1}
TODAY = datetime.date(2026, 1, 31)


def verdict(result: Result, *given: dict[str, Any]) -> Verdict:
    return judge(result, rules(*given), today=TODAY)


def test_only_what_blocks_decides(result: Result) -> None:
    unsure = {"metric": "clean_score", "at_least": result.clean.value}
    for given, outcome in [
        ([KEPT], "pass"),
        ([KEPT, BROKEN], "fail"),
        ([KEPT, unsure], "inconclusive"),
        ([unsure, BROKEN], "fail"),
        ([KEPT, {**BROKEN, "severity": "warn"}], "pass"),
        ([{**unsure, "severity": "warn"}], "pass"),
        ([{**BROKEN, "waive": {"reason": "new labels", "until": "2026-01-31"}}], "pass"),
        ([{**BROKEN, "waive": {"reason": "new labels", "until": "2026-01-30"}}], "fail"),
    ]:
        found = verdict(result, *given)
        assert (found.outcome, found.passed) == (outcome, outcome == "pass"), given
        assert bool(found.reasons) is (outcome != "pass")


def test_a_waiver_is_told(result: Result) -> None:
    waive = {"reason": "new labels", "until": "2026-01-31"}
    _, held = verdict(result, {**BROKEN, "waive": waive}).judgements
    assert held.waived and held.outcome == "fail"
    assert held.reason.endswith("Waived until 2026-01-31: new labels")
    _, ended = verdict(result, {**BROKEN, "waive": {**waive, "until": "2026-01-30"}}).judgements
    assert not ended.waived and ended.reason.endswith("Its waiver ended on 2026-01-30: new labels")
    _, kept = verdict(result, {**KEPT, "waive": waive}).judgements
    assert not kept.waived and "aive" not in kept.reason


def test_the_examples_that_settle_the_whole(result: Result) -> None:
    near = [{"metric": "clean_score", "at_least": result.clean.value - margin} for margin in (0.002, 0.004)]
    found = verdict(result, *near, KEPT)
    assert found.n_more == max(each.n_more for each in found.judgements if each.n_more)
    assert verdict(result, KEPT).n_more is None
    assert verdict(result, *near, {"metric": "clean_score", "at_least": result.clean.value}).n_more is None


def test_the_verdict_as_json_and_as_a_table(result: Result) -> None:
    found = verdict(result, KEPT, {**BROKEN, "name": "high", "severity": "warn"})
    assert Verdict.from_json(found.to_json()) == found
    assert (found.n, found.candidate, found.baseline, found.score) == (200, "model", None, "probability")
    assert (found.data_sha256, found.recipe_sha256) == (result.data_sha256, result.recipe_sha256)
    table = found.summary()
    assert table["outcome"].tolist() == ["pass", "pass", "fail"]
    assert table["rule"].tolist() == ["skill at least 0", "clean_score at least 0.1", "high"]


def test_rules_may_come_as_a_recipe_has_them(result: Result) -> None:
    assert judge(result, [KEPT, BROKEN]) == judge(result, rules(KEPT, BROKEN))
    with pytest.raises(RecipeError, match="unknown key 'at_laest' in gate.0 .did you mean 'at_least'"):
        judge(result, [{"metric": "clean_score", "at_laest": 0.5}])
