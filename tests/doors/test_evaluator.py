"""The door: who is asked and when, what runs, what is refused, and that nothing of the user's is disturbed."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import artifact_paths, draw_nothing, evaluate, points
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult
from scipy.special import expit

import mlflow_sensie
from doors.predictors import FAILING
from mlflow_sensie.doors import evaluator
from mlflow_sensie.doors.evaluator import SensieEvaluator, asked_for
from mlflow_sensie.errors import DataError, EvaluationIncomplete, ModelError, RecipeError

RECIPE: dict[str, Any] = {"properties": [{"name": "a", "bins": 4}]}
QUIET = {"log_model_explainability": False}  # a key of MLflow's default evaluator
RESOLVING, EVALUATING = "resolve_evaluators_and_configs", "_evaluate"


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    """A regression problem: y = a − b / 2 + noise."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=60), rng.normal(size=60)
    return pd.DataFrame({"a": a, "b": b, "y": a - b / 2 + rng.normal(0, 0.3, 60)})


def regress(frame: pd.DataFrame) -> Any:
    return frame["a"].to_numpy()


def classify(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


# --- who is asked, and when: the contract with MLflow ------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "caller", "answer"),
    [
        ({}, EVALUATING, True),
        (None, EVALUATING, True),
        ({"anything": 1}, EVALUATING, True),  # wrong, which evaluate says
        ({}, RESOLVING, False),
        (None, RESOLVING, False),
        (QUIET, RESOLVING, False),
        ({"pos_label": 1, "label_list": [0, 1]}, RESOLVING, False),  # MLflow's own evaluators know these too
        (RECIPE, RESOLVING, True),
        ({"recipe": "auto"}, RESOLVING, True),
        ({"class_test": True}, RESOLVING, True),
        ({"max_examples": 100, **QUIET}, RESOLVING, True),
        ({}, "some_future_caller", False),  # the cautious answer
        (RECIPE, "some_future_caller", True),
    ],
)
def test_asked_for(config: dict[str, Any] | None, caller: str, answer: bool) -> None:
    assert asked_for(config, caller) is answer


@pytest.mark.parametrize(
    ("evaluators", "config", "asked_by", "seen"),
    [
        # named by the user: asked once, before evaluating
        (["sensie"], None, [EVALUATING], {}),
        ("sensie", None, [EVALUATING], {}),
        (["sensie"], {"sensie": RECIPE}, [EVALUATING], RECIPE),
        ("sensie", RECIPE, [EVALUATING], RECIPE),
        (["sensie", "default"], {"sensie": RECIPE, "default": QUIET}, [EVALUATING], RECIPE),
        (["default", "sensie"], {"sensie": RECIPE, "default": QUIET}, [EVALUATING], RECIPE),
        ("sensie", {"propertys": []}, [EVALUATING], {"propertys": []}),
        # evaluators=None, not meant: asked once, to resolve, and never again
        (None, None, [RESOLVING], None),
        (None, {}, [RESOLVING], None),
        (None, QUIET, [RESOLVING], None),
        (None, {"pos_label": 1}, [RESOLVING], None),
        (None, {"default": QUIET}, [RESOLVING], None),
        (None, {"regressor": QUIET}, [RESOLVING], None),
        (None, {"sensie": {}}, [RESOLVING], None),
        # evaluators=None with a config of ours: asked twice
        (None, {"sensie": RECIPE}, [RESOLVING, EVALUATING], RECIPE),
        (None, {"default": QUIET, "sensie": RECIPE}, [RESOLVING, EVALUATING], RECIPE),
        (None, RECIPE, [RESOLVING, EVALUATING], RECIPE),
    ],
)
def test_who_asks_and_whether_we_run(
    evaluators: Any,
    config: dict[str, Any] | None,
    asked_by: list[str],
    seen: dict[str, Any] | None,
    measured: pd.DataFrame,
    experiment_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``seen`` is the config that ``evaluate`` gets; None: it must not run."""
    callers: list[str] = []
    configs: list[Any] = []

    def ask(given: dict[str, Any] | None, caller: str) -> bool:
        callers.append(caller)
        return asked_for(given, caller)

    def run(self: SensieEvaluator, *, evaluator_config: Any = None, **options: Any) -> EvaluationResult:
        assert {"model_type", "dataset", "run_id", "model"} <= set(options)
        configs.append(evaluator_config)
        return EvaluationResult({"sensie/clean_score": 1.0}, {})

    monkeypatch.setattr(evaluator, "asked_for", ask)
    monkeypatch.setattr(SensieEvaluator, "evaluate", run)
    options: dict[str, Any] = {} if config is None else {"evaluator_config": config}
    done = evaluate(regress, measured, targets="y", model_type="regressor", evaluators=evaluators, **options)
    assert callers == asked_by
    assert configs == ([] if seen is None else [seen])
    assert ("sensie/clean_score" in done.returned.metrics) is (seen is not None)
    defaults_ran = "mean_squared_error" in done.returned.metrics
    assert defaults_ran is (evaluators is None or "default" in evaluators)


def test_what_passes_through_is_untouched(
    measured: pd.DataFrame, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions and frames in the config arrive as the very objects."""
    configs: list[Any] = []

    def run(self: SensieEvaluator, *, evaluator_config: Any = None, **options: Any) -> EvaluationResult:
        configs.append(evaluator_config)
        return EvaluationResult({"sensie/clean_score": 1.0}, {})

    monkeypatch.setattr(SensieEvaluator, "evaluate", run)
    recipe = {"perturbations": [regress], "property_table": measured, "properties": ["a"]}
    evaluate(regress, measured, recipe, targets="y", model_type="regressor")
    evaluate(regress, measured, targets="y", model_type="regressor", evaluators="sensie", evaluator_config=recipe)
    for config in configs:
        assert config["property_table"] is measured and config["perturbations"][0] is regress


def test_the_constructor_takes_nothing_and_does_nothing() -> None:
    assert vars(SensieEvaluator()) == {}


# --- what runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluators", [["sensie"], "sensie"])
def test_without_a_config_the_recipe_auto_runs(
    evaluators: Any, labelled: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    done = evaluate(classify, labelled, targets="y", evaluators=evaluators)
    result = done.result()
    assert {"a", "b", "tabular.noise"} <= set(result.tests)
    assert any("tabular.noise" in reason for reason in result.choices)
    assert done.ours == result.metrics


def test_settings_alone_run_auto_too(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    result = evaluate(classify, labelled, {"max_examples": 40, "seed": 3}, targets="y").result()
    assert result.n == 40 and result.choices


def test_flat_and_nested_configs_give_the_same(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    flat = evaluate(classify, labelled, targets="y", evaluators="sensie", evaluator_config=RECIPE)
    nested = evaluate(classify, labelled, RECIPE, targets="y")
    assert flat.ours == nested.ours
    assert flat.run.data.tags["sensie_recipe_sha256"] == nested.run.data.tags["sensie_recipe_sha256"]


@pytest.mark.parametrize("evaluators", [["sensie", "default"], ["default", "sensie"], None])
def test_beside_the_default_evaluator(
    evaluators: Any, measured: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    config = {"sensie": RECIPE, "default": QUIET}
    options: dict[str, Any] = {"evaluators": evaluators, "evaluator_config": config}
    done = evaluate(regress, measured, targets="y", model_type="regressor", **options)
    both = done.returned.metrics
    assert both["mean_absolute_error"] == pytest.approx(np.abs(measured["a"] - measured["y"]).mean())
    assert both["sensie/clean_score"] == pytest.approx(-both["mean_absolute_error"])
    assert done.ours == done.result().metrics
    assert points(done.run_id, "sensie/a/score") == list(enumerate(done.result().tests["a"].curve["score"]))


def test_a_matrix_of_probabilities(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    """Such a model breaks MLflow's own classifier evaluator, hence the advice: sensie alone, or first."""

    def matrix(frame: pd.DataFrame) -> Any:
        return np.column_stack([1 - classify(frame), classify(frame)])

    done = evaluate(matrix, labelled, RECIPE, targets="y")
    p = classify(labelled)
    assert done.ours["sensie/clean_score"] == pytest.approx(np.where(labelled["y"] == 1, p, 1 - p).mean())

    config = {"sensie": {**RECIPE, "prefix": "x"}, "default": QUIET}
    for evaluators, ran in ((["default", "sensie"], False), (["sensie", "default"], True)):
        with mlflow.start_run() as run, pytest.raises(Exception) as raised:
            mlflow.models.evaluate(
                matrix, labelled, targets="y", model_type="classifier", evaluators=evaluators, evaluator_config=config
            )
        assert not isinstance(raised.value, mlflow_sensie.errors.SensieError)
        tags = mlflow.MlflowClient().get_run(run.info.run_id).data.tags
        assert ("sensie_status" in tags) is ran


def test_two_models_carry_the_same_keys(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    """A recipe yields the same keys whatever is found: here one model is a constant, and insensitive."""
    recipe = {**RECIPE, "perturbations": ["tabular.noise"], "class_test": True}

    def constant(frame: pd.DataFrame) -> Any:
        return np.full(len(frame), 0.4)

    one, two = (evaluate(model, labelled, recipe, targets="y") for model in (classify, constant))
    assert set(one.run.data.metrics) == set(two.run.data.metrics)
    assert all(np.isfinite(list(each.run.data.metrics.values())).all() for each in (one, two))


# --- what is refused ---------------------------------------------------------------------------------------


def assert_nothing_of_ours(run_id: str) -> None:
    run = mlflow.MlflowClient().get_run(run_id)
    assert not [key for key in run.data.metrics if "sensie/" in key]
    assert not [key for key in run.data.tags if key.startswith("sensie")]
    assert not [path for path in artifact_paths(run_id) if "sensie" in path]


def refused(error: type[Exception], match: str, model: Any, data: Any, config: Any, **options: Any) -> None:
    wanted = {"targets": "y", "model_type": "classifier", "evaluators": ["sensie"], "evaluator_config": config}
    with mlflow.start_run() as run, pytest.raises(error, match=match):
        mlflow.models.evaluate(model, data, **{**wanted, **options})
    assert_nothing_of_ours(run.info.run_id)


WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (RecipeError, "unknown key 'propertys' in recipe .did you mean 'properties'", {"propertys": ["a"]}),
    (RecipeError, "checkpoint: Input should be a valid string", {**RECIPE, "checkpoint": 3}),
    (RecipeError, "gate.0: exactly one of at_least, at_most", {**RECIPE, "gate": [{"metric": "clean_score"}]}),
    (RecipeError, "no column 'age'; columns: a, b", {"properties": ["age"]}),
    (RecipeError, "two tests are called 'a'", {"properties": ["a", {"name": "a", "of": "b"}]}),
    (RecipeError, "'class' is reserved", {"properties": [{"name": "class", "of": "a"}]}),
    (RecipeError, "works on tensor inputs", {"perturbations": ["image.rotate"]}),
    (RecipeError, "two different magnitudes", {"perturbations": [{"name": "tabular.noise", "magnitudes": [1]}]}),
    (DataError, "the property table has 2 rows, the data 60", {"properties": ["z"], "property_table": {"z": [1, 2]}}),
]  # fmt: skip


@pytest.mark.parametrize(("error", "match", "recipe"), WRONG, ids=[match[:24] for _, match, _ in WRONG])
def test_a_wrong_recipe_is_said_and_nothing_is_logged(
    error: type[Exception], match: str, recipe: dict[str, Any], labelled: pd.DataFrame, experiment_id: str
) -> None:
    refused(error, match, classify, labelled, {"sensie": recipe})


@pytest.mark.parametrize(
    ("evaluators", "config"),
    [
        ("sensie", {"propertys": ["a"]}),  # flat
        (["sensie", "default"], {"sensie": {"propertys": ["a"]}}),
        (None, {"sensie": {**RECIPE, "propertys": ["a"]}}),
        (None, {**RECIPE, "propertys": ["a"]}),
    ],
)
def test_a_wrong_recipe_is_said_however_it_comes(
    evaluators: Any, config: dict[str, Any], measured: pd.DataFrame, experiment_id: str
) -> None:
    options = {"evaluators": evaluators, "model_type": "regressor"}
    refused(RecipeError, "unknown key 'propertys'", regress, measured, config, **options)


def test_a_setting_of_another_evaluator_in_a_flat_config_is_said(labelled: pd.DataFrame, experiment_id: str) -> None:
    refused(RecipeError, "unknown key 'log_model_explainability'", classify, labelled, {"sensie": {**RECIPE, **QUIET}})


def test_wrong_data_and_models_are_said(labelled: pd.DataFrame, experiment_id: str) -> None:
    config = {"sensie": RECIPE}
    strange = labelled.assign(y=labelled["y"] + 5)
    constant = labelled.assign(a=1.0)

    def nan(frame: pd.DataFrame) -> Any:
        return np.full(len(frame), np.nan)

    def logits(frame: pd.DataFrame) -> Any:
        return np.column_stack([frame["a"], frame["b"]]) * 9

    refused(DataError, "hold 5, 6.*classes are 0, 1", classify, strange, config)
    refused(DataError, "must vary", classify, constant, config)
    refused(DataError, "at least two examples are needed; 1 came", classify, labelled[:1], config)
    refused(ModelError, "NaN", nan, labelled, config)
    refused(ModelError, "output: logits", logits, labelled, config)


def test_predictions_names_the_output_column(labelled: pd.DataFrame, experiment_id: str) -> None:
    """MLflow's argument and the recipe's key mean the same, and may not disagree."""

    def model(frame: pd.DataFrame) -> pd.DataFrame:
        p = classify(frame)
        return pd.DataFrame({"noise": 0.5, "p": p, "rest": 1 - p})

    plain = evaluate(classify, labelled, RECIPE, targets="y")
    by_argument = evaluate(model, labelled, RECIPE, targets="y", predictions="p")
    by_key = evaluate(model, labelled, {**RECIPE, "predictions": "p"}, targets="y")
    assert by_argument.ours == by_key.ours == pytest.approx(plain.ours)
    other = {"sensie": {**RECIPE, "predictions": "rest"}}
    refused(RecipeError, "predictions='p' came, and the recipe says 'rest'", model, labelled, other, predictions="p")
    refused(
        ModelError, "no output 'q'; it returns noise, p, rest", model, labelled, {"sensie": RECIPE}, predictions="q"
    )
    refused(ModelError, "single output without a name", classify, labelled, {"sensie": RECIPE}, predictions="p")


def test_other_types_of_model_are_refused(labelled: pd.DataFrame, experiment_id: str) -> None:
    refused(RecipeError, "model_type 'text' came", classify, labelled, {"sensie": RECIPE}, model_type="text")


def test_no_targets(labelled: pd.DataFrame, experiment_id: str) -> None:
    """MLflow itself refuses to go on without, unless the type of the model is left open."""
    refused(MlflowException, "targets", classify, labelled, {"sensie": RECIPE}, targets=None)
    metric = mlflow.models.make_metric(eval_fn=lambda predictions, targets: 0.0, greater_is_better=True, name="m")
    open_type = {"targets": None, "model_type": None, "extra_metrics": [metric]}
    refused(DataError, "no targets came", classify, labelled, {"sensie": RECIPE}, **open_type)


def test_an_array_of_images_is_refused_by_mlflow_before_we_run(experiment_id: str) -> None:
    """What the README advises rests on this: pass flat rows with input_shape, or a column of array cells."""
    images = np.random.default_rng(0).random((20, 4, 4))
    called: list[int] = []
    match = r"(?i)dimension|shape|must be"
    for shape in (images, images[..., None]):
        refused(MlflowException, match, called.append, shape, {"sensie": {}}, targets=np.arange(20) % 2)
    assert not called


# --- a test that fails -------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_error", ["raise", "record"])
def test_a_failed_test_does_not_lose_the_others(
    on_error: str, labelled: pd.DataFrame, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_error == "record":
        draw_nothing(monkeypatch)
    config = {"sensie": {**FAILING, "on_error": on_error}}
    options = {"targets": "y", "model_type": "classifier", "evaluators": ["sensie"], "evaluator_config": config}
    said = r"1 of 3 tests failed.*\n- test 'shift', magnitude 2, chunk 0 .*ZeroDivisionError: no such luck"
    with mlflow.start_run() as run:
        if on_error == "raise":
            with pytest.raises(EvaluationIncomplete, match=said) as raised:
                mlflow.models.evaluate(classify, labelled[["a", "b", "y"]], **options)
            metrics = raised.value.result.metrics
        else:
            metrics = mlflow.models.evaluate(classify, labelled[["a", "b", "y"]], **options).metrics
    on_run = mlflow.MlflowClient().get_run(run.info.run_id).data
    assert on_run.tags["sensie_status"] == "partial" and on_run.tags["sensie_failed_tests"] == "shift"
    assert {key: on_run.metrics[key] for key in metrics} == metrics
    assert {key: value for key, value in on_run.metrics.items() if "/shift/" in key} == {"sensie/shift/ok": 0.0}
    assert on_run.metrics["sensie/n_failed"] == 1 and on_run.metrics["sensie/tabular.noise/ok"] == 1
    assert "sensie/worst_mean_drop" not in metrics  # it would be the worst of those that did not fail
    assert "sensie/worst_effect_bound95" in metrics
    assert points(run.info.run_id, "sensie/tabular.noise/score")
    files = artifact_paths(run.info.run_id)
    assert {"sensie/report.json", "sensie/shift.png", "sensie/tabular.noise.png", "sensie/scores.parquet"} <= files
    table = mlflow.load_table("sensie/bins.json", run_ids=[run.info.run_id])
    assert set(table["test"]) == {"a", "tabular.noise"}


def test_all_tests_failed(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    recipe = {"perturbations": FAILING["perturbations"][:1], "on_error": "record"}
    done = evaluate(classify, labelled, recipe, targets="y")
    assert done.run.data.tags["sensie_status"] == "error" and done.run.data.tags["sensie_worst_test"] == ""
    of_the_clean = {name for name in done.ours if name.startswith(("sensie/clean_", "sensie/skill", "sensie/no_skill"))}
    assert {"sensie/clean_score", "sensie/skill", "sensie/no_skill_score"} <= of_the_clean
    assert set(done.ours) - of_the_clean == {f"sensie/{name}" for name in ("n_tests", "n_failed", "shift/ok")}
    assert mlflow.load_table("sensie/bins.json", run_ids=[done.run_id]).empty
