"""Stopping early: each test for itself, never for what it found, and the rest as if nothing had stopped."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flavours.logged import draw_nothing, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie import Result, compare, probe
from mlflow_sensie.evaluation import stopping
from mlflow_sensie.evaluation.fitting import CLASS
from mlflow_sensie.evaluation.stopping import strata_of, stratified_order
from mlflow_sensie.inference import MagnitudeGrid, PerturbationFit, ScoreScale, perturbation_test
from mlflow_sensie.report.result_page import facts_of
from mlflow_sensie.result.keys import metrics_of
from mlflow_sensie.scores.scorer import Targets
from mlflow_sensie.scores.table import CLEAN, ID, ScoreTable, score_column

N = 2000
EVERY = 64 * 2 ** np.arange(12)


def frame(n: int = N, seed: int = 3) -> pd.DataFrame:
    """Examples sorted by class, a quarter of class 1; what each test does to the score is a column."""
    rng = np.random.default_rng(seed)
    y = np.sort((np.arange(n) % 4 == 0).astype(int))
    columns = {"base": rng.normal(0.8, 0.05, n), "narrow": rng.normal(-0.2, 0.02, n)}
    columns |= {"wide": rng.normal(-0.2, 0.15, n) - 0.2 * y, "rare": np.where(rng.random(n) < 0.004, -0.7, 0.0)}
    columns |= {"broad": rng.choice([-0.8, 0.0], n)}
    return pd.DataFrame({**columns, "change": 0.0, "y": y})


def model(X: Any) -> Any:
    """The probability of the right class is known; a change is added to it."""
    right = np.clip(X["base"] + X["change"], 0, 1)
    return np.where(
        np.arange(2) == X["y"].to_numpy()[:, None], right.to_numpy()[:, None], 1 - right.to_numpy()[:, None]
    )


def change(name: str) -> dict[str, Any]:
    function = lambda x, p: x.assign(change=p * x[name])
    return {"name": name, "apply": function, "magnitudes": [0.5, 1], "neutral": 0}


def noise(x: Any, p: float, rng: np.random.Generator) -> Any:
    return x.assign(change=p * rng.normal(size=len(x)))


NOISE = {"name": "noise", "apply": noise, "magnitudes": [0.1, 0.2], "neutral": 0}
ASKED: dict[str, Any] = {
    "properties": ["base"],
    "perturbations": [change(name) for name in ("narrow", "wide", "rare", "broad")],
    "class_test": True,
}  # fmt: skip


def run(asked: dict[str, Any], X: pd.DataFrame | None = None, predict: Callable[[Any], Any] = model) -> Result:
    X = frame() if X is None else X
    return probe(predict, X, X["y"].to_numpy(), asked)


def swept(result: Result, name: str) -> Any:
    """The scores of a test, clean ones first, with what it was not asked."""
    columns = [CLEAN, score_column(name, 0), score_column(name, 1)]
    return np.column_stack([result.score_table.column(column) for column in columns])


def fit_of(scores: Any) -> PerturbationFit:
    return perturbation_test(scores, MagnitudeGrid.of([0.5, 1], 0), ScoreScale(0, 1, "probability"))


@cache
def plain() -> Result:
    return run(ASKED)


@cache
def early() -> Result:
    return run({**ASKED, "precision": 0.05})


# --- precision ---------------------------------------------------------------------------------------------


def test_each_test_stops_for_itself_and_finds_the_truth() -> None:
    rows: list[int] = []

    def counted(X: Any) -> Any:
        rows.append(len(X))
        return model(X)

    result = run({**ASKED, "precision": 0.03}, predict=counted)
    tests = result.tests
    assert {name: test.stopped for name, test in tests.items()} == {
        "base": "all", CLASS: "all", "narrow": "precision", "wide": "precision", "rare": "precision", "broad": "all"
    }  # fmt: skip
    used = {name: test.fit.n for name, test in tests.items()}
    assert used["narrow"] == 64 < used["wide"] < 1100 and {used["wide"], used["rare"]} < set(EVERY)
    assert used["base"] == used[CLASS] == used["broad"] == result.n == N
    for name, truth in (("narrow", -0.2), ("wide", -0.25), ("rare", -0.7 * 0.004)):
        found = tests[name].metrics
        assert found["effect_lo95"] < truth < found["effect_hi95"] and found["n"] == used[name]
        assert found["effect_hi95"] - found["effect_lo95"] < 0.03
        assert not any("missing" in warning for warning in tests[name].warnings) and tests[name].fit.n_dropped == 0
    assert result.n_planned == N * 9 and (result.status, result.warnings) == ("done", ())
    asked = sum(used[name] for name in ("narrow", "wide", "rare", "broad"))
    assert result.n_predictions == N + 2 * asked == sum(rows) - 256  # the first look


def test_few_that_change_are_no_reason_to_stop_before_they_are_seen() -> None:
    """Nothing changes in the first examples but rarely; the interval that is looked at allows for it."""
    result = run({**ASKED, "perturbations": [change("rare")], "precision": 0.05})
    fit = result.tests["rare"].fit
    scores = swept(result, "rare")
    first = fit_of(scores[:64])
    assert first.plain_effect.hi95 - first.plain_effect.lo95 < 0.05 <= first.effect.hi95 - first.effect.lo95
    assert fit.n == 128 and "few_informative" in fit.flags and fit.effect.lo95 < -0.7 * 0.004 < fit.effect.hi95


@pytest.mark.parametrize(("n", "changed", "stops"), [(128, 14, False), (128, 22, True), (256, 14, True)])
def test_what_carries_the_interval(n: int, changed: int, stops: bool) -> None:
    """Of 128, 14 that change carry it without a guard, yet are too few; of 256 the guard is there."""
    scores = np.ones((n, 3)) - np.outer(np.arange(n) < changed, [0, 0.05, 0.1])
    fit = fit_of(scores)
    assert fit.effect.hi95 - fit.effect.lo95 < 0.05 and fit.precise(0.05) is stops


def test_what_rests_on_clean_scores_does_not_change() -> None:
    for name in ("base", CLASS):
        assert early().tests[name].metrics == pytest.approx(plain().tests[name].metrics, rel=1e-9)
    assert early().clean.value == pytest.approx(plain().clean.value, rel=1e-12)
    assert early().data_sha256 == plain().data_sha256 and early().recipe_sha256 != plain().recipe_sha256
    assert (plain().n_planned, plain().n_predictions) == (N * 9, N * 9)


def test_a_stopped_test_is_the_test_on_the_rows_that_it_has() -> None:
    result = early()
    table, fit = result.score_table, result.tests["wide"].fit
    scores = swept(result, "wide")
    assert np.isfinite(scores[: fit.n]).all() and np.isnan(scores[fit.n :, 1:]).all() and len(scores) == N
    by_score = metrics_of("perturbation", fit_of(scores[: fit.n]), {})
    by_score = {name: value for name, value in by_score.items() if not name.startswith("holds")}  # said of skill
    metrics = result.tests["wide"].metrics
    assert by_score == pytest.approx({name: metrics[name] for name in by_score}, rel=1e-9, abs=1e-9)
    assert all(
        metric.mean_drop.value == pytest.approx(metrics[f"{name}_mean_drop"])
        for name, metric in result.tests["wide"].metric_fits.items()
    )
    ids = table.column(ID)
    assert sorted(ids) == list(range(N)) and not np.array_equal(ids, np.sort(ids))
    np.testing.assert_allclose(scores[:, 0], frame()["base"][ids].clip(0, 1), rtol=1e-12)
    share = frame()["y"][ids[: fit.n]].mean()
    assert share == pytest.approx(0.25, abs=1.5 / fit.n)  # of data that are sorted by class


def test_every_look_before_the_last_one_was_too_wide() -> None:
    result = run({**ASKED, "precision": 0.03})
    n, scores = result.tests["wide"].fit.n, swept(result, "wide")
    fits = {int(look): fit_of(scores[:look]) for look in EVERY[n >= EVERY]}
    assert [look for look, fit in fits.items() if fit.effect.hi95 - fit.effect.lo95 < 0.03] == [n] and n >= 256


def test_an_effect_that_is_plain_to_see_stops_nothing() -> None:
    result = run({**ASKED, "perturbations": [change("wide")], "precision": 0.001})
    assert result.tests["wide"].stopped == "all" and result.tests["wide"].fit.n == N
    assert result.tests["wide"].metrics["effect_hi95"] < 0


def test_of_two_sides_the_wider_one_decides() -> None:
    def both(x: Any, p: float) -> Any:
        return x.assign(change=abs(p) * (x["narrow"] if p < 0 else x["wide"]))

    spec = {"name": "both", "apply": both, "magnitudes": [-1, -0.5, 0.5, 1], "neutral": 0}
    sided = run({"perturbations": [spec, change("wide"), change("narrow")], "precision": 0.05})
    used = {name: test.fit.n for name, test in sided.tests.items()}
    assert used["both"] >= used["wide"] > used["narrow"]
    fit = sided.tests["both"].fit
    widths = [one.hi95 - one.lo95 for one in (side.posterior.summary(2) for side in fit.sides)]
    assert max(widths) < 0.05 and fit.precise(0.05) and not fit.precise(max(widths))


@pytest.mark.parametrize("batch_size", [7, 64, 256, 5000])
def test_results_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    asked = {**ASKED, "perturbations": [NOISE, change("wide")], "precision": 0.05}
    X = frame(700)
    auto, other = run(asked, X), run({**asked, "batch_size": batch_size}, X)
    assert other.tests == auto.tests and other.n_predictions == auto.n_predictions
    np.testing.assert_array_equal(auto.score_table.column(ID), other.score_table.column(ID))


def test_seeded() -> None:
    asked = {**ASKED, "perturbations": [NOISE, change("wide")], "precision": 0.05}
    one, again, other = (run({**asked, "seed": seed}) for seed in (1, 1, 2))
    assert one.tests == again.tests and one.metrics == again.metrics
    assert not np.array_equal(one.score_table.column(ID), other.score_table.column(ID))
    assert one.data_sha256 == other.data_sha256


def test_how_precise_changes_no_score() -> None:
    """Runs with other settings of stopping share order, chunks and draws: they differ in where they end."""
    few, many = (run({"perturbations": [NOISE], "precision": width}) for width in (0.1, 0.03))
    n = few.tests["noise"].fit.n
    assert n < many.tests["noise"].fit.n < N
    for column in (ID, score_column("noise", 0), score_column("noise", 1)):
        one, other = (result.score_table.column(column)[:n] for result in (few, many))
        np.testing.assert_array_equal(one, other)


def test_without_chance_an_example_scores_the_same_as_in_a_plain_run() -> None:
    ids = early().score_table.column(ID)
    for name in ("narrow", "wide", "broad"):
        column, n = score_column(name, 1), early().tests[name].fit.n
        whole = plain().score_table.column(column)
        np.testing.assert_array_equal(whole[ids][:n], early().score_table.column(column)[:n])


def test_slices_interactions_weights_and_clusters_use_the_rows_that_there_are() -> None:
    X = frame().assign(site=np.where(np.arange(N) % 3, "a", "b"), unit=np.arange(N) // 4, w=1.0 + np.arange(N) % 2)
    asked = {**ASKED, "precision": 0.05, "slices": ["site"], "interactions": True, "cluster": "unit", "weights": "w"}
    result = run(asked, X)
    used = {name: test.fit.n for name, test in result.tests.items()}
    assert used["wide"] < 1000 and result.tests["wide"].stopped == "precision"
    slices = result.slices[0].slices
    for name in ("narrow", "wide"):
        assert sum(each.tests[name].fit.n for each in slices) == used[name]
        assert all(each.tests[name].fit.n_dropped == 0 for each in slices)
    assert sum(each.n for each in slices) == N
    by_test = {each.perturbation: each.fit for each in result.interactions}
    assert (by_test["wide"].n, by_test["wide"].n_dropped) == (used["wide"], 0)


def test_regressors_are_spread_by_quantile() -> None:
    rng = np.random.default_rng(8)
    X = pd.DataFrame({"a": np.sort(rng.exponential(size=N)), "shift": rng.normal(0.5, 0.05, N), "p": 0.0})
    spec = {"name": "shift", "apply": lambda x, p: x.assign(p=p), "magnitudes": [1, 2], "neutral": 0}
    predict = lambda X: X["a"].to_numpy() + X["p"].to_numpy() * X["shift"].to_numpy()
    result = probe(predict, X, X["a"].to_numpy(), {"perturbations": [spec], "precision": 0.05}, task="regressor")
    fit, sd = result.tests["shift"].fit, X["a"].to_numpy().std()
    assert result.tests["shift"].stopped == "precision" and fit.n < 500
    assert fit.effect.lo95 < -2 * 0.5 / sd < fit.effect.hi95
    tenths = result.score_table.column(ID)[: fit.n] * 10 // N
    assert np.bincount(tenths) == pytest.approx(fit.n / 10, abs=2)


def test_a_test_that_fails_stays_failed_while_another_stops() -> None:
    def bad(x: Any, p: float) -> Any:
        if len(x) > 200:
            raise KeyError("late")
        return x.assign(change=p * x["broad"])

    spec = {"name": "bad", "apply": bad, "magnitudes": [0.5, 1]}
    result = run({"perturbations": [change("narrow"), spec], "precision": 0.02, "on_error": "record"})
    assert "chunk 3 (256 examples in a shuffled order: " in result.failed["bad"]
    assert np.isnan(result.score_table.column(score_column("bad", 0))).all()
    assert result.tests["narrow"].fit.n == 64
    assert result.n_predictions == N + 2 * 64 + 2 * 256


# --- from file, and side by side ----------------------------------------------------------------------------


def test_a_stopped_test_survives_json_and_parquet(tmp_path: Path) -> None:
    result = early()
    back = Result.from_json(result.to_json())
    assert back.tests == result.tests and back.tests["wide"].stopped == "precision"
    assert (back.n_planned, back.n_predictions) == (result.n_planned, result.n_predictions)
    result.score_table.write_parquet(tmp_path / "scores.parquet")
    read = ScoreTable.read_parquet(tmp_path / "scores.parquet")
    assert read.metadata == result.score_table.metadata
    columns = [ID, score_column("wide", 1)]
    for table in (read, result.score_table):
        rows = [len(block[ID]) for block in table.asked(columns).blocks(columns)]
        assert sum(rows) == result.tests["wide"].fit.n
        assert sum(len(block[ID]) for block in table.asked([ID]).blocks([ID])) == N


def test_two_models_are_compared_on_the_examples_that_both_have() -> None:
    worse = lambda X: model(X.assign(base=X["base"] - 0.05, wide=X["wide"] - 0.1))
    found = compare(early(), run(ASKED, predict=worse))
    test = found.tests["wide"]
    assert test.n == early().tests["wide"].fit.n < N
    assert test.differences["effect"].difference.value == pytest.approx(0, abs=1e-3)
    assert found.clean.difference.value == pytest.approx(-0.05, abs=0.01)


# --- time budget -------------------------------------------------------------------------------------------


TIMED = {**ASKED, "perturbations": [change(name) for name in ("narrow", "wide", "broad")]}


class Clock:
    """A clock that only predictions move, 10 ms per row."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.calls = 100.0, []
        monkeypatch.setattr(stopping, "monotonic", lambda: self.now)

    def predict(self, X: Any) -> Any:
        self.now += 0.01 * len(X)
        self.calls.append(len(X))
        return model(X)


def test_the_time_budget_ends_with_a_valid_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    result = run({**TIMED, "time_budget": "30s", "batch_size": 64}, predict=clock.predict)
    n = result.n
    assert n == len(result.score_table) == 512  # 3,000 predictions, 7 for an example: the last test is cut short
    assert sum(clock.calls) - 256 == result.n_predictions == 256 * 7 + 256 * 5
    assert result.status == "done" and {test.stopped for test in result.tests.values()} == {"time_budget"}
    (warning,) = result.warnings
    assert f"30 s was over after {n} of 2,000 examples" in warning and "'broad' after 256" in warning
    assert result.recipe["time_budget"] == 30.0
    ids = result.score_table.column(ID)
    assert frame()["y"][ids].mean() == pytest.approx(0.25, abs=0.01)
    for name in ("narrow", "wide"):
        found = result.tests[name].metrics
        truth = -0.2 - 0.05 * (name == "wide")
        assert found["effect_lo95"] < truth < found["effect_hi95"] and found["n"] == n
    assert result.tests["base"].fit.n == result.tests[CLASS].fit.n == n
    assert result.data_sha256 == run(TIMED).data_sha256


def test_a_test_that_was_done_when_the_time_was_over_keeps_its_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third chunk, 128 examples, is cut: the clean scores and the first test are there."""
    clock = Clock(monkeypatch)
    seconds = 0.01 * (128 * 7 + 128 * 3)
    result = run({**TIMED, "time_budget": seconds, "batch_size": 128}, predict=clock.predict)
    used = {name: test.fit.n for name, test in result.tests.items()}
    assert used == {"base": 256, CLASS: 256, "narrow": 256, "wide": 128, "broad": 128}
    assert result.n_predictions == 128 * 7 + 128 * 3
    assert np.isnan(result.score_table.column(score_column("wide", 0))[128:]).all()


def test_the_first_chunk_is_always_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    result = run({**TIMED, "time_budget": 0.001, "batch_size": 16}, predict=clock.predict)
    assert {test.fit.n for test in result.tests.values()} == {64} and result.n_predictions == 64 * 7
    assert "after 64 of 2,000 examples" in result.warnings[0]


def test_time_enough_changes_nothing_but_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    result = run({**TIMED, "time_budget": "1h"}, predict=clock.predict)
    assert {test.stopped for test in result.tests.values()} == {"all"} and result.warnings == ()
    whole = run(TIMED)
    assert result.metrics == pytest.approx(whole.metrics, rel=1e-9, abs=1e-9)
    assert result.n_predictions == whole.n_predictions


def test_precision_and_time_budget_together(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    asked = {**ASKED, "perturbations": [change("narrow"), change("broad")], "precision": 0.03, "time_budget": 30}
    result = run(asked, predict=clock.predict)
    assert {name: test.stopped for name, test in result.tests.items()} == {
        "base": "time_budget", CLASS: "time_budget", "narrow": "precision", "broad": "time_budget"
    }  # fmt: skip
    assert "narrow" not in result.warnings[0] and result.tests["narrow"].fit.n == 64


# --- the order ---------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=6), st.integers(0, 99), st.data())
def test_every_head_of_the_order_has_its_share_of_every_class(sizes: list[int], seed: int, data: Any) -> None:
    strata = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = stratified_order(strata, seed)
    assert sorted(order) == list(range(len(strata)))
    m = data.draw(st.integers(1, len(strata)))
    share = m * np.array(sizes) / len(strata)
    assert np.abs(np.bincount(strata[order[:m]], minlength=len(sizes)) - share).max() < 1 + len(sizes) / 2


def test_any_example_may_come_first() -> None:
    strata = np.repeat([0, 1, 2], [30, 9, 1])
    first = [stratified_order(strata, seed)[:4] for seed in range(3000)]
    counts = np.bincount(np.concatenate(first), minlength=40)
    assert counts == pytest.approx(3000 * 4 / 40, rel=0.25)


def test_strata() -> None:
    assert strata_of(Targets(np.array([2, 0, 2]), ("a", "b", "c"))).tolist() == [1, 0, 1]
    assert strata_of(Targets(np.array(["x", 1, "x"], dtype=object))).tolist() == [1, 0, 1]
    numbers = np.random.default_rng(0).exponential(size=1000)
    tenths = strata_of(Targets(numbers))
    assert np.bincount(tenths).tolist() == [100] * 10
    assert all(numbers[tenths == k].max() < numbers[tenths == k + 1].min() for k in range(9))


# --- on a run, and in words --------------------------------------------------------------------------------


def test_through_mlflow(monkeypatch: pytest.MonkeyPatch, experiment_id: str) -> None:
    draw_nothing(monkeypatch)
    asked = {"perturbations": [change("narrow"), change("broad")], "precision": 0.03, "slices": False}
    done = evaluate(model, frame(), asked, targets="y", feature_names=["base", "narrow", "broad", "change", "y"])
    result = done.result()
    assert done.ours == result.metrics
    assert (result.tests["narrow"].fit.n, result.tests["broad"].fit.n) == (64, N)
    assert result.tests["narrow"].stopped == "precision" and result.n_predictions == N + 2 * (64 + N) < result.n_planned
    assert done.run.data.tags["sensie_status"] == "done"


def test_the_report_says_what_was_saved() -> None:
    result = early()
    facts = dict(facts_of(result))
    assert facts["Predictions"].startswith(
        f"{result.n_predictions:,} of {result.n_planned:,} (stopped early: narrow after 64"
    )
    assert dict(facts_of(plain()))["Predictions"].startswith("18,000 in ")


def test_progress_tells_what_comes_and_what_was_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = early().n_predictions  # run before anything is captured
    monkeypatch.setenv("MLFLOW_SENSIE_PROGRESS", "1")
    run({**ASKED, "precision": 0.05})
    told = capsys.readouterr().err
    assert "sensie: at most 18,000 predictions are coming, 9 for each of 2,000 examples" in told
    assert "predictions are left; they will take about" in told
    assert f"sensie: {made:,} of 18,000 predictions were made" in told and "'narrow' after 64" in told
    run(ASKED)
    whole = capsys.readouterr().err
    assert "sensie: 18,000 predictions are coming" in whole and "were made" not in whole
    monkeypatch.setenv("MLFLOW_SENSIE_PROGRESS", "auto")  # stderr is no terminal here
    run({**ASKED, "precision": 0.05})
    assert capsys.readouterr().err == ""
