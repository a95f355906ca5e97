"""Metrics of two models compared: the differences of the two results' own values, by what pairs tell of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from mlflow_sensie import Comparison, Result, compare, judge, probe
from mlflow_sensie.comparison.metrics import clean_name
from mlflow_sensie.scores.table import ScoreTable

N = 400
METRICS = ["roc_auc", "average_precision", "balanced_accuracy", "f1", "log_loss", "ece"]
SWEEP = {"name": "more", "apply": lambda x, p: _noisier(x, p), "magnitudes": [0.5, 1.0, 2.0], "neutral": 0}


def _noisier(x: Any, p: float) -> Any:
    noise = np.random.default_rng(9).normal(size=(len(x), 1))
    return x + p * noise if isinstance(x, np.ndarray) else x.assign(a=x["a"] + p * noise[:, 0])


def patients(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    ill = rng.random(n) < 1 / (1 + np.exp(1 - 2 * frame["a"] - frame["b"]))
    return frame.assign(ill=ill.astype(int), site=np.arange(n) % 2, patient=np.arange(n) // 4, w=rng.uniform(0.5, 2, n))


def model(slope: float, shift: float = 0.0) -> Callable[[pd.DataFrame], Any]:
    def predict(x: pd.DataFrame) -> Any:
        z = 2 * x["a"].to_numpy() * slope + x["b"].to_numpy() - 1 + shift
        return softmax(np.column_stack([np.zeros(len(z)), z]), axis=1)

    return predict


GOOD, OTHER = model(1.0), model(0.4, 0.3)


def result(of: Any, frame: pd.DataFrame | None = None, **recipe: Any) -> Result:
    frame = patients() if frame is None else frame
    names = {"site", *([recipe["cluster"]] if "cluster" in recipe else []), *(["w"] if "weights" in recipe else [])}
    recipe = {"perturbations": [SWEEP], "metrics": METRICS, **recipe}
    columns = ["a", "b", *sorted(names)]
    found: Result = probe(of, frame[columns], frame["ill"].to_numpy(), recipe)
    return found


@pytest.fixture(scope="module")
def pair() -> tuple[Result, Result]:
    return result(GOOD), result(OTHER)


@pytest.fixture(scope="module")
def compared(pair: tuple[Result, Result]) -> Comparison:
    return compare(*pair)


def agrees(comparison: Comparison, a: Result, b: Result) -> None:
    """Every difference of metrics is that of the two results' own values."""
    biased = {name for name, estimate in a.metric_estimates.items() if estimate.interval is None}
    assert set(comparison.metrics) == {clean_name(name) for name in a.metric_estimates if name not in biased}
    for name in set(a.metric_estimates) - biased:
        found = comparison.difference(None, clean_name(name))
        own = a.metric_estimates[name].value, b.metric_estimates[name].value
        np.testing.assert_allclose((found.a, found.b, found.difference.value), (*own, own[1] - own[0]), atol=1e-12)
    for test in comparison.tests:
        for name, fit in a.tests[test].metric_fits.items():
            ours, theirs = fit, b.tests[test].metric_fits[name]
            drop = comparison.difference(test, f"{name}_mean_drop")
            np.testing.assert_allclose((drop.a, drop.b), (ours.mean_drop.value, theirs.mean_drop.value), atol=1e-9)
            if ours.holds_until is not None:
                holds = comparison.difference(test, f"{name}_holds_until")
                np.testing.assert_allclose((holds.a, holds.b), (ours.holds_until, theirs.holds_until), atol=1e-9)


def test_differences_are_those_of_the_two_results_own_values(compared: Comparison, pair: tuple[Result, Result]) -> None:
    agrees(compared, *pair)
    y = patients()["ill"]
    aucs = [roc_auc_score(y, of(patients())[:, 1]) for of in (GOOD, OTHER)]
    found = compared.difference(None, "clean_roc_auc")
    assert found.difference.value == pytest.approx(aucs[1] - aucs[0], abs=1e-9)
    assert found.n == N and found.difference.lo95 < found.difference.value < found.difference.hi95


def test_a_smaller_loss_is_better(compared: Comparison) -> None:
    loss, skill = compared.difference(None, "clean_log_loss"), compared.difference(None, "skill")
    assert (loss.better, skill.better) == ("lower", "higher")
    assert loss.conclusion == skill.conclusion == "B is less robust"
    assert loss.worse_by.value == pytest.approx(loss.b - loss.a) and loss.worse_by.value > 0
    assert skill.worse_by.value == pytest.approx(skill.a - skill.b) and skill.worse_by.value > 0


def test_claims_are_never_more_hopeful_than_the_interval(compared: Comparison) -> None:
    drops = [one for name, one in compared.tests["more"].differences.items() if name.endswith("_drop")]
    for difference in (*compared.metrics.values(), *drops):
        worse = difference.worse_by
        assert difference.prob_worse_by_at_most(worse.hi95) <= 0.975 + 0.003
        assert difference.prob_worse_by_at_most(-10.0) == pytest.approx(0, abs=1e-6)
        assert difference.prob_worse_by_at_most(10.0) == pytest.approx(1, abs=1e-3)


def test_what_holds_is_said_of_skill_as_in_the_results(compared: Comparison, pair: tuple[Result, Result]) -> None:
    found, of_skill = (compared.difference("more", name) for name in ("holds_until", "skill_holds_until"))
    own = [one.tests["more"].fit.holds_until for one in pair]
    assert [found.a, found.b] == pytest.approx(own) and [of_skill.a, of_skill.b] == pytest.approx(own)
    assert found.a != found.b


def test_an_absolute_drop_is_one_of_the_score() -> None:
    drop = {"allowed_drop": {"absolute": 0.1}}
    a, b = result(GOOD, **drop), result(OTHER, **drop)
    found = compare(a, b).difference("more", "holds_until")
    assert [found.a, found.b] == pytest.approx([one.tests["more"].fit.holds_until for one in (a, b)])


def test_a_model_without_skill_holds_until_nothing(pair: tuple[Result, Result]) -> None:
    useless = result(model(-1.0))
    found = compare(pair[0], useless).difference("more", "holds_until")
    assert found.b == 0.0 == useless.tests["more"].fit.holds_until
    assert found.a == pytest.approx(pair[0].tests["more"].fit.holds_until)
    assert found.conclusion == "B is less robust"
    assert compare(useless, useless).difference("more", "holds_until").difference.hi95 == 0.0


def test_pairs_tell_more_than_independent_examples() -> None:
    a, near = result(GOOD), model(0.9)
    together, apart = compare(a, result(near)), compare(a, result(near, patients(seed=7)))
    assert together.paired and not apart.paired
    for name in ("skill", "clean_roc_auc", "clean_balanced_accuracy", "clean_log_loss"):
        widths = [c.difference(None, name).difference for c in (together, apart)]
        narrow, wide = (one.hi95 - one.lo95 for one in widths)
        assert narrow < 0.6 * wide
    narrow, wide = (c.difference("more", "roc_auc_mean_drop").difference for c in (together, apart))
    assert narrow.hi95 - narrow.lo95 < wide.hi95 - wide.lo95


def test_apart_the_values_are_the_two_results_own() -> None:
    a, b = result(GOOD), result(OTHER, patients(300, seed=7))
    agrees(compare(a, b), a, b)


def test_a_model_differs_from_itself_by_nothing(pair: tuple[Result, Result]) -> None:
    found = compare(pair[0], pair[0])
    assert found.identical
    for difference in (*found.metrics.values(), *found.tests["more"].differences.values()):
        assert difference.difference.lo95 == difference.difference.hi95 == 0.0


def test_models_that_agree_in_scores_alone_are_not_identical() -> None:
    recipe = {"score": "correct", "metrics": ["roc_auc"]}
    a, b = result(GOOD, **recipe), result(lambda x: _sharper(GOOD(x)), **recipe)
    found = compare(a, b)
    assert found.clean.difference.value == 0 and not found.identical
    assert found.difference(None, "skill").difference.value != 0
    assert any("but the predictions are not" in warning for warning in found.warnings)


def _sharper(p: Any) -> Any:
    return p**3 / (p**3).sum(axis=1, keepdims=True)


def test_clusters_and_weights_count() -> None:
    keys = {"cluster": "patient", "weights": "w"}
    a, b = result(GOOD, **keys), result(OTHER, **keys)
    found = compare(a, b)
    agrees(found, a, b)
    frame = patients()
    aucs = [roc_auc_score(frame["ill"], of(frame)[:, 1], sample_weight=frame["w"]) for of in (GOOD, OTHER)]
    assert found.difference(None, "clean_roc_auc").difference.value == pytest.approx(aucs[1] - aucs[0], abs=1e-9)


def test_repeated_rows_of_a_cluster_tell_nothing_more() -> None:
    frame, keys = patients(100), {"cluster": "patient"}
    frame["patient"] = np.arange(100)
    four = pd.concat([frame] * 4, ignore_index=True)
    once = compare(result(GOOD, frame, **keys), result(OTHER, frame, **keys))
    often = compare(result(GOOD, four, **keys), result(OTHER, four, **keys))
    for name in ("skill", "clean_roc_auc", "clean_log_loss"):
        one, other = (c.difference(None, name).difference for c in (once, often))
        assert other.hi95 - other.lo95 == pytest.approx(one.hi95 - one.lo95, rel=0.1)


def test_balanced_weights_do_not_count() -> None:
    plain, balanced = (compare(result(GOOD, **more), result(OTHER, **more)) for more in ({}, {"weights": "balanced"}))
    for name, difference in plain.metrics.items():
        assert balanced.metrics[name].difference == difference.difference


def test_slices_are_held_against_the_constant_of_the_whole(pair: tuple[Result, Result]) -> None:
    from mlflow_sensie.gate.scope import Scope

    a, b = (result(of, slices=["site"]) for of in (GOOD, OTHER))
    (scope,) = Scope(b, a).slices({"site": 0})
    assert isinstance(scope.comparison, Comparison) and scope.baseline is not None
    agrees(scope.comparison, scope.baseline, scope.result)


def test_only_what_both_follow_is_compared(pair: tuple[Result, Result]) -> None:
    other = result(OTHER, metrics=["mcc", "f1"])
    found = compare(pair[0], other)
    assert set(found.metrics) == {"skill", "clean_f1"}
    labels = result(lambda x: OTHER(x).argmax(1), score="correct", metrics=["f1"])
    told = compare(result(GOOD, score="correct", metrics=["f1"]), labels)
    assert set(told.metrics) == {"clean_f1"}
    assert told.not_compared["metric skill"] == "it is computed of probabilities in A and of labels in B"
    assert "holds_until" not in told.tests["more"].differences


def share(targets: Any, predictions: Any, weights: Any) -> float:
    return float(np.mean((predictions > 0.7) == (targets == 1)))


def test_users_metrics_are_compared_where_their_function_is_there(tmp_path: Path) -> None:
    spec = {"metrics": [{"name": "mine", "function": share}]}
    a, b = result(GOOD, **spec), result(OTHER, **spec)
    agrees(compare(a, b), a, b)
    agrees(compare(_read_back(a, tmp_path), b), a, b)
    found = compare(_read_back(a, tmp_path), _read_back(b, tmp_path))
    assert set(found.metrics) == {"skill"} and "comes" not in found.metrics
    assert "read back" in found.not_compared["metric mine"]


def _read_back(found: Result, folder: Path) -> Result:
    again = Result.from_json(found.to_json())
    assert found.score_table is not None
    path = folder / f"{found.clean.value}.parquet"
    found.score_table.write_parquet(path)
    again._score_table = ScoreTable.read_parquet(path)
    return again


def test_results_that_were_read_back_compare_alike(
    compared: Comparison, pair: tuple[Result, Result], tmp_path: Path
) -> None:
    again = compare(*(_read_back(one, tmp_path) for one in pair))
    assert again.metrics == compared.metrics
    assert again.tests["more"].differences == compared.tests["more"].differences


def test_json_has_the_metrics(compared: Comparison) -> None:
    assert Comparison.from_json(compared.to_json()) == compared


def test_a_gate_judges_metrics_against_a_baseline(pair: tuple[Result, Result]) -> None:
    rules = [
        {"metric": metric, "versus": "baseline", "worse_by_at_most": margin, **test}
        for metric, margin, test in (
            ("skill", 0.01, {}), ("clean_roc_auc", 0.2, {}), ("clean_log_loss", 2.0, {}),
            ("roc_auc_mean_drop", 0.5, {"test": "more"}), ("roc_auc_holds_until", 3.0, {"test": "more"}),
        )
    ]  # fmt: skip
    found = judge(pair[1], rules, pair[0]).judgements
    judgements = {one.metric: one for one in found if one.versus == "baseline"}
    difference = compare(*pair).difference(None, "clean_roc_auc")
    assert judgements["clean_roc_auc"].probability == difference.prob_worse_by_at_most(0.2)
    outcomes = {rule["metric"]: judgements[rule["metric"]].outcome for rule in rules}
    assert outcomes == {
        "skill": "fail", "clean_roc_auc": "pass", "clean_log_loss": "pass", "roc_auc_mean_drop": "pass",
        "roc_auc_holds_until": "pass",
    }  # fmt: skip


def test_a_rare_class_is_said_to_promise_nothing() -> None:
    frame = patients()
    frame["ill"] = (np.arange(N) < 6).astype(int)
    a, b = (result(of, frame, metrics=["recall"]) for of in (GOOD, OTHER))
    found = compare(a, b)
    assert found.difference(None, "clean_recall").few_of_a_class
    assert any("fewer than ten examples" in warning for warning in found.tests["more"].warnings)
    rule = {"metric": "clean_recall", "versus": "baseline", "worse_by_at_most": 0.1}
    (judged,) = [one for one in judge(b, [rule], a).judgements if one.metric == "clean_recall"]
    assert any("fewer than ten examples" in warning for warning in judged.warnings)
