"""Checks against a registry: verdict, run, tags, reuse, and an alias that moves on nothing but a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from flavours.logged import artifact_paths, draw_nothing
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from doors.registered import FEATURES, RECIPE, Models, alias, data, tags
from mlflow_sensie.doors import checking
from mlflow_sensie.doors.checking import CheckRequest, dry_run
from mlflow_sensie.errors import BaselineError, DataError, ModelError, RecipeError, RegistryError
from mlflow_sensie.gate.formats import Check
from mlflow_sensie.result.verdict import Verdict
from mlflow_sensie.tracking import registry
from mlflow_sensie.tracking import runs as tracking


def runs() -> list[Any]:
    found: list[Any] = mlflow.search_runs(filter_string="tags.sensie_status != ''", output_format="list")
    return found


# --- the whole way -----------------------------------------------------------------------------------------


def test_a_pass_moves_the_alias_and_says_so_everywhere(models: Models) -> None:
    done = models.check(2)
    assert (done.outcome, done.passed, done.exit_code) == ("pass", True, 0)
    assert (done.model, done.baseline) == (f"models:/{models.name}/2", f"models:/{models.name}/1")
    assert alias(models.name) == "2"
    assert done.promotion is not None and (done.promotion.before, done.promotion.after) == ("1", "2")
    run = mlflow.get_run(done.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == f"check models:/{models.name}/2"
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/sensie/verdict.json")
    assert Verdict.from_json(text) == done.verdict
    assert {"sensie/report.json", "sensie_report.html"} <= artifact_paths(done.run_id)
    (data_input,) = run.inputs.dataset_inputs
    assert data_input.dataset.name == "test"
    on_version = tags(models.name, "2")
    ours = {key: value for key, value in run.data.tags.items() if key.startswith("sensie_")}
    assert on_version == {**ours, "sensie_promotion": "the alias 'champion' moved from version 1 to version 2"}
    assert (ours["sensie_verdict"], ours["sensie_run_id"]) == ("pass", done.run_id)


def test_a_fail_leaves_the_alias_and_says_why(models: Models) -> None:
    done = models.check(3)
    assert (done.outcome, done.exit_code, done.promotion) == ("fail", 1, None)
    assert alias(models.name) == "1"
    assert done.reasons[0].startswith("mean_drop of noise is worse by")
    assert done.verdict is not None and done.verdict.judgements[1].outcome == "pass"  # on clean inputs it is as good
    on_version = tags(models.name, "3")
    assert on_version["sensie_verdict"] == "fail" and "sensie_promotion" not in on_version
    found = mlflow.MlflowClient().search_model_versions(f"name='{models.name}' and tags.sensie_verdict='fail'")
    assert [each.version for each in found] == ["3"] or [each.version for each in found] == [3]


def test_too_little_data_is_inconclusive_and_moves_nothing(models: Models) -> None:
    done = models.check(2, data=data(14, seed=8))
    assert (done.outcome, done.exit_code) == ("inconclusive", 3)
    assert alias(models.name) == "1"
    assert tags(models.name, "2")["sensie_verdict"] == "inconclusive"


def test_a_broken_model_is_an_error_on_its_tags(models: Models) -> None:
    with pytest.raises(ModelError, match="the weights are missing"):
        models.check(4)
    assert alias(models.name) == "1"
    assert tags(models.name, "4")["sensie_verdict"] == "error"
    (run,) = [each for each in runs() if each.data.tags["sensie_verdict"] == "error"]
    assert run.info.status == "FAILED" and "the weights are missing" in run.data.tags["mlflow.note.content"]
    assert tags(models.name, "4")["sensie_run_id"] == run.info.run_id


def test_a_broken_baseline_is_no_fault_of_the_model(models: Models) -> None:
    mlflow.MlflowClient().set_registered_model_alias(models.name, "champion", "4")
    with pytest.raises(BaselineError, match="the baseline models:/.*/4 cannot be evaluated: .*the weights are missing"):
        models.check(2)
    assert tags(models.name, "2") == {}
    assert alias(models.name) == "4"


def test_the_active_run_goes_on_and_holds_the_check(models: Models) -> None:
    with mlflow.start_run() as outer:
        done = models.check(2)
        assert mlflow.active_run().info.run_id == outer.info.run_id
    run = mlflow.get_run(done.run_id)
    assert run.data.tags["mlflow.parentRunId"] == outer.info.run_id


def test_models_in_memory_and_inputs_beside_their_targets(experiment_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)
    train, test = data(2000, seed=1), data()
    old, new = (LogisticRegression(C=C).fit(train[FEATURES], train["y"]) for C in (1.0, 0.5))
    done = mlflow_sensie.check(new, old, data=test[FEATURES], targets=test["y"].to_numpy(), recipe=RECIPE)
    assert done.passed and done.reused == ()
    assert (done.name, done.baseline) == ("LogisticRegression", "LogisticRegression")


def test_the_shipped_recipe_needs_no_word_more(models: Models) -> None:
    done = mlflow_sensie.check(f"models:/{models.name}/2", f"models:/{models.name}/1", data=models.data, targets="y")
    assert done.passed
    assert done.verdict is not None
    assert {each.rule for each in done.verdict.judgements} == {"skill at least 0", "skill", "skill-drop"}


# --- reuse -------------------------------------------------------------------------------------------------


@dataclass
class Counted:
    """How often a sweep was made."""

    sweeps: int = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    found, evaluate = Counted(), checking.evaluate

    def count(prepared: Any) -> Any:
        found.sweeps += 1
        return evaluate(prepared)

    monkeypatch.setattr(checking, "evaluate", count)
    return found


def test_what_was_evaluated_is_taken_over(models: Models, counted: Counted) -> None:
    first = models.check(3)
    assert (counted.sweeps, first.reused) == (2, ())
    again = models.check(3)
    assert (counted.sweeps, len(again.reused)) == (2, 2)
    assert again.run_id != first.run_id
    assert first.verdict is not None and again.verdict is not None
    told = [[each.reason for each in verdict.judgements] for verdict in (first.verdict, again.verdict)]
    assert told[0] == told[1]  # to four digits: the scores are summed in other blocks
    assert artifact_paths(str(again.run_id), "sensie") == artifact_paths(str(first.run_id), "sensie")
    other = models.check(2)
    assert (counted.sweeps, len(other.reused)) == (3, 1)  # the champion's, which was logged for that
    assert models.check(2, reuse=False, promote=None).reused == () and counted.sweeps == 5


@pytest.mark.parametrize(
    "other",
    [
        {"data": data(500)},
        {"recipe": {**RECIPE, "seed": 1}},
        {
            "recipe": {
                **RECIPE,
                "perturbations": [{"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 0.9]}],
            }
        },
    ],
    ids=["other data", "another seed", "other magnitudes"],
)
def test_another_evaluation_is_not(models: Models, counted: Counted, other: dict[str, Any]) -> None:
    models.check(3)
    assert models.check(3, **other).reused == ()
    assert counted.sweeps == 4


def test_another_gate_needs_no_new_evaluation(models: Models, counted: Counted) -> None:
    models.check(3)
    lenient = {**RECIPE, "gate": [{"metric": "clean_score", "at_least": 0.1}]}
    done = models.check(3, recipe=lenient)
    assert (counted.sweeps, done.outcome) == (2, "pass")
    report = mlflow.artifacts.load_text(f"runs:/{done.run_id}/sensie/report.json")
    assert mlflow_sensie.Result.from_json(report).recipe["gate"][0]["at_least"] == 0.1


def test_an_evaluation_by_the_data_scientist_is_taken_over(models: Models, counted: Counted) -> None:
    plain = {key: value for key, value in RECIPE.items() if key != "gate"}
    with mlflow.start_run():
        mlflow.models.evaluate(
            f"models:/{models.name}/3", data(), targets="y", model_type="classifier", evaluators=["sensie"],
            evaluator_config={"sensie": plain},
        )  # fmt: skip
    done = models.check(3, model_type="classifier")
    assert len(done.reused) == 1 and counted.sweeps == 1  # the baseline alone


def test_a_run_of_an_earlier_version_is_not(models: Models, counted: Counted, tmp_path: Path) -> None:
    models.check(3)
    for report in tmp_path.rglob("report.json"):
        text = report.read_text(encoding="utf-8")
        assert '"schema_version": 2' in text
        report.write_text(text.replace('"schema_version": 2', '"schema_version": 1', 1), encoding="utf-8")
    assert models.check(3).reused == () and counted.sweeps == 4


def test_a_run_whose_scores_are_gone_is_not(models: Models, counted: Counted, tmp_path: Path) -> None:
    models.check(3)
    for file in tmp_path.rglob("scores.parquet"):
        file.unlink()
    assert models.check(3).reused == ()


# --- a dry run ---------------------------------------------------------------------------------------------


def test_a_dry_run_leaves_no_trace(models: Models, counted: Counted) -> None:
    uris = f"models:/{models.name}/2", f"models:/{models.name}@champion"
    request = CheckRequest(*uris, data=models.data, targets="y", recipe=RECIPE)
    before = len(mlflow.search_runs(output_format="list"))
    told = dry_run(request)
    assert counted.sweeps == 1  # the baseline's
    assert 0 < told.chance < 1 and told.n == 600
    assert "correlation 0.88 supposed" in told.summary()["source"][1]
    assert len(mlflow.search_runs(output_format="list")) == before
    assert tags(models.name, "2") == {} and alias(models.name) == "1"
    models.check(2, promote=None)
    assert "measured on two models" in dry_run(request).summary()["source"][1]
    assert counted.sweeps == 3


# --- what is refused before anything is evaluated ----------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"recipe": "tabular_robustness"}, RecipeError, "the recipe has no gate"),
        ({"recipe": {"gate": [{"metric": "nope"}]}}, RecipeError, "gate.0.metric"),
        ({"data": "nowhere.parquet"}, DataError, "nowhere.parquet"),
        ({"targets": "label"}, DataError, "'label'"),
        ({"data": None}, DataError, "is needed; neither came"),
        ({"data": None, "dataset_run": "nobody"}, DataError, "nobody"),
        ({"data": np.zeros((5, 3))}, DataError, "no column 'y'; its columns: none, it is a ndarray"),
    ],
)
def test_a_wrong_argument_is_told_and_nothing_logged(
    models: Models, given: dict[str, Any], error: type[Exception], match: str
) -> None:
    before = len(mlflow.search_runs(output_format="list"))
    with pytest.raises(error, match=match):
        models.check(2, **given)
    assert len(mlflow.search_runs(output_format="list")) == before
    assert alias(models.name) == "1" and tags(models.name, "2") == {}


def test_rules_against_a_baseline_need_one(models: Models) -> None:
    """Nothing was learnt of the model then, so nothing is said of it."""
    before = len(mlflow.search_runs(output_format="list"))
    with pytest.raises(RecipeError, match="2 of 2 rules compare with a baseline, and none was given"):
        mlflow_sensie.check(models.uri(2), data=models.data, targets="y", recipe=RECIPE)
    assert len(mlflow.search_runs(output_format="list")) == before and tags(models.name, "2") == {}


def test_an_alias_needs_a_version(models: Models) -> None:
    with pytest.raises(RegistryError, match="only a registered version can get an alias"):
        mlflow_sensie.check(lambda x: x, data=models.data, targets="y", promote="champion")
    with pytest.raises(RegistryError, match="no version of .* has the alias 'nobody'. Give the first one by hand"):
        mlflow_sensie.check(f"models:/{models.name}@nobody", data=models.data, targets="y")


def test_csv_gives_what_parquet_gives(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    data().to_csv(path, index=False)
    first, second = models.check(3), models.check(3, data=str(path))
    assert first.verdict is not None and second.verdict is not None
    assert first.verdict.data_sha256 == second.verdict.data_sha256


# --- the alias moves on nothing but a pass -----------------------------------------------------------------


class Down(MlflowException):
    """What a client raises when the server does not answer."""


def break_client(monkeypatch: pytest.MonkeyPatch, method: str, call: int = 1) -> None:
    """Make a method of MLflow's client fail from its call-th call on."""
    calls, works = 0, getattr(mlflow.MlflowClient, method)

    def breaks(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise Down(f"{method} does not answer")
        return works(*args, **options)

    monkeypatch.setattr(mlflow.MlflowClient, method, breaks)


def break_reading(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Make the registry fail when it is asked for the alias: 1 for the baseline, 2 before it moves, 3 afterwards."""
    calls, works = 0, registry.alias_of

    def breaks(*given: Any) -> str | None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise RegistryError("the registry did not tell")
        return works(*given)

    monkeypatch.setattr(registry, "alias_of", breaks)


FAILURES = [
    *(("log_batch", call) for call in (1, 2, 3)), ("log_table", 1), ("log_artifact", 1), ("log_artifact", 4),
    ("log_image", 1), ("get_registered_model", 1), ("get_registered_model", 2), ("get_run", 1),
]  # fmt: skip


@pytest.mark.parametrize(("method", "call"), FAILURES, ids=[f"{method}-{call}" for method, call in FAILURES])
def test_a_server_that_fails_on_the_way_moves_nothing(
    models: Models, method: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_client(patch, method, call)
        with pytest.raises((MlflowException, RegistryError, BaselineError, ModelError)):
            models.check(2)
    assert alias(models.name) == "1"
    assert tags(models.name, "2").get("sensie_verdict") != "pass"


@pytest.mark.parametrize("method", ["load_model", "read_result", "evaluate_and_judge"])
def test_any_other_failure_moves_nothing(models: Models, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any, **options: Any) -> Any:
        raise RuntimeError("no")

    where: Any = {"load_model": mlflow.pyfunc, "read_result": tracking, "evaluate_and_judge": checking}[method]
    models.check(2, promote=None)
    monkeypatch.setattr(where, method, fails)
    with pytest.raises((RuntimeError, BaselineError)):
        models.check(2)
    assert alias(models.name) == "1"


def test_the_server_dies_between_check_and_promotion(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_client(patch, "set_registered_model_alias")
        done = models.check(2)
    assert (done.outcome, done.exit_code, done.passed) == ("error", 2, False)
    assert done.verdict is not None and done.verdict.passed
    assert done.error == "whether the alias 'champion' moved is not known: set_registered_model_alias does not answer"
    assert alias(models.name) == "1"
    assert tags(models.name, "2")["sensie_verdict"] == "pass"
    assert models.check(2).passed and alias(models.name) == "2"  # once more, when it is back


def test_it_dies_before_the_alias_is_read_again(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_reading(patch, 2)
        done = models.check(2)
    assert done.exit_code == 2 and "the alias 'champion' was not moved: the registry did not tell" in str(done.error)
    assert alias(models.name) == "1"


def test_it_dies_after_the_alias_was_set(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_reading(patch, 3)
        done = models.check(2)
    assert done.exit_code == 2 and "whether the alias 'champion' moved is not known" in str(done.error)
    assert alias(models.name) == "2"  # it was a pass


def test_without_permission_to_tag_a_check_warns_and_a_promotion_fails(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_client(monkeypatch, "set_model_version_tag")
    done = models.check(2, promote=None)
    assert done.outcome == "pass"
    assert done.warnings == (
        f"the tags of models:/{models.name}/2 could not be written: set_model_version_tag does not answer",
    )
    done = models.check(2)
    assert done.outcome == "error" and "the alias 'champion' was not moved, for the tags of" in str(done.error)
    assert alias(models.name) == "1"
    assert models.check(3).outcome == "fail"


# --- races -------------------------------------------------------------------------------------------------


def test_an_alias_that_moved_meanwhile_stays(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion that the model was judged against is the champion no more."""
    works = tracking.log_result

    def slowly(*given: Any, **options: Any) -> Any:
        mlflow.MlflowClient().set_registered_model_alias(models.name, "champion", "3")
        return works(*given, **options)

    monkeypatch.setattr(tracking, "log_result", slowly)
    done = models.check(2)
    assert (done.outcome, done.exit_code) == ("error", 2)
    assert done.promotion is not None and done.promotion.outcome == "lost race"
    assert done.error == "the alias 'champion' was not moved: meanwhile it went from version 1 to version 3"
    assert alias(models.name) == "3" and tags(models.name, "2")["sensie_promotion"] == done.error


def test_an_alias_that_is_moved_on_at_once_is_told(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    works = mlflow.MlflowClient.set_registered_model_alias

    def somebody_is_faster(self: Any, name: str, alias: str, version: str) -> None:
        works(self, name, alias, version)
        works(self, name, alias, "3")

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", somebody_is_faster)
    done = models.check(2)
    assert done.exit_code == 2 and done.promotion is not None and done.promotion.outcome == "lost race"
    assert (
        done.error == "the alias 'champion' moved from version 1 to version 2, and at once from version 2 to version 3"
    )
    assert tags(models.name, "2")["sensie_promotion"] == done.error


def test_a_champion_checked_again_stays_where_it_is(models: Models) -> None:
    done = models.check(1)
    assert done.passed and done.promotion is not None and done.promotion.outcome == "already there"
    assert alias(models.name) == "1"


def test_the_first_champion_is_made_by_absolute_rules(models: Models) -> None:
    absolute = {**RECIPE, "gate": [{"metric": "clean_score", "at_least": 0.5}]}
    done = mlflow_sensie.check(
        f"models:/{models.name}/2", data=models.data, targets="y", recipe=absolute, promote="first"
    )
    assert done.passed and done.promotion is not None
    assert done.promotion.reason == "the alias 'first' moved from no version to version 2"


# --- URIs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "version"),
    [
        ("models:/m/7", registry.ModelVersion("m", "7")),
        ("models:/main.ml.m/7", registry.ModelVersion("main.ml.m", "7")),
        ("models:/m-0123abc", None),
        ("models:/m/latest", None),
        ("runs:/abc/model", None),
        ("some/path", None),
    ],
)
def test_which_uris_name_a_version(uri: str, version: registry.ModelVersion | None, experiment_id: str) -> None:
    assert registry.version_of(uri, mlflow.MlflowClient()) == version


def test_what_a_check_was_made_on_can_be_checked_on_again(models: Models, counted: Counted) -> None:
    first = models.check(3)
    again = models.check(3, data=None, dataset_run=first.run_id)
    assert first.verdict is not None and again.verdict is not None
    assert again.verdict.data_sha256 == first.verdict.data_sha256
    assert len(again.reused) == 2 and counted.sweeps == 2


def test_check_is_no_module() -> None:
    import mlflow_sensie.doors.checking

    checks: Callable[..., Check] = mlflow_sensie.check
    assert callable(checks)
