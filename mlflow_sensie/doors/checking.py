"""The door of ``mlflow-sensie check``: is this model safe to promote?"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.data.dataset import Dataset
from mlflow.data.pandas_dataset import from_pandas
from mlflow.exceptions import MlflowException

from mlflow_sensie.data.sources import Data, as_data
from mlflow_sensie.doors.loading import load
from mlflow_sensie.doors.probe import evaluate_and_judge, prepare_both
from mlflow_sensie.errors import ComparisonError, DataError, ModelError, RecipeError, RegistryError, did_you_mean
from mlflow_sensie.evaluation.conductor import Prepared, evaluate
from mlflow_sensie.evaluation.inputs import EvaluationRequest
from mlflow_sensie.gate import Power, power
from mlflow_sensie.gate.formats import EXIT_CODES, Check
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result
from mlflow_sensie.result.verdict import Promotion, Verdict
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.registry import ModelVersion, alias_of, move_alias, tag_version, version_of

MOST_RUNS = 20  # that are looked through for a past evaluation


def check(
    model: Any,
    baseline: Any = None,
    *,
    data: Any = None,
    targets: Any = None,
    dataset_run: str | None = None,
    dataset: str | None = None,
    recipe: Any = "promotion",
    promote: str | None = None,
    model_type: str | None = None,
    name: str | None = None,
    reuse: bool = True,
    allow_code: bool = False,
) -> Check:
    """Judge a model by the gate of a recipe, log the verdict, and move an alias if it passed and that was asked.

    ``model`` and ``baseline``: URIs (``models:/name/7``, ``models:/name@champion``, ``runs:/…``, a path), or whatever
    ``probe`` takes; without a ``baseline`` the recipe's. ``data``: a file or folder (``load_dataset`` says of which
    kinds), a frame with the column ``targets``, or inputs to which ``targets`` (n,) are the right answers; instead of
    it ``dataset_run``, a run whose logged input (``dataset`` by name) is read again. ``promote``: the alias to move to
    a model version that passes. ``reuse``: take over a past run of the active experiment with the same model, data
    and recipe. The verdict is logged to a new run of that experiment; its tags also go to the model version.

    Raises:
        SensieError, MlflowException: nothing could be judged, and no alias was moved. Where it is the model that
            cannot be evaluated, the tag ``sensie_verdict`` of run and model version says ``error``.
    """
    request = CheckRequest(
        model, baseline, data, targets, dataset_run, dataset, recipe, promote, model_type, name, reuse, allow_code
    )
    return run_check(request)


@dataclass(frozen=True)
class CheckRequest:
    """What is to be checked, as it came; see ``check``."""

    model: Any
    baseline: Any = None
    data: Any = None
    targets: Any = None
    dataset_run: str | None = None
    dataset: str | None = None
    recipe: Any = "promotion"
    promote: str | None = None
    model_type: str | None = None
    name: str | None = None
    reuse: bool = True
    allow_code: bool = False


def run_check(request: CheckRequest) -> Check:
    """Evaluate, judge, log and promote; see ``check``."""
    return finalise([evaluate_check(resolve(request))])[0]


def dry_run(request: CheckRequest) -> Power:
    """Tell how often the gate would pass two equally good models on this data; see ``check``.

    Past evaluations of the two are used where there are both. Else the baseline alone (without one, the model) is
    evaluated, and a twin of it supposed. Nothing is logged, tagged or moved.
    """
    check = resolve(request)
    candidate, baseline = prepare_both(check.evaluation)
    both = [candidate] if baseline is None else [candidate, baseline]
    past = [_find_past(prepared, []) if check.reuse else None for prepared in both]
    if len(past) == 2 and past[0] is not None and past[1] is not None:
        return power(past[0], candidate.recipe.gate or (), past[1])
    return power(past[-1] or evaluate(both[-1]), candidate.recipe.gate or ())


# --- what is checked ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ResolvedCheck:
    """A check with aliases as the versions that they name now, data read, and recipe loaded.

    ``version`` is the registered version that the model is, if any; ``before`` the one that ``alias``, to be moved,
    names. ``dataset`` is the data as MLflow shows it, where it has a Dataset for it.
    """

    name: str
    evaluation: EvaluationRequest
    dataset: Dataset | None
    version: ModelVersion | None
    alias: str | None
    before: str | None
    reuse: bool

    @property
    def model(self) -> str:
        """The model's URI, or what it looks like in Python."""
        return str(self.evaluation.model)

    @property
    def baseline(self) -> str | None:
        """The baseline's URI, or its type."""
        baseline = self.evaluation.recipe.baseline
        return baseline if baseline is None or isinstance(baseline, str) else type(baseline).__name__


@dataclass(frozen=True)
class JudgedCheck:
    """A check whose verdict is on its run, but not yet on the model version; ``tags`` are the run's."""

    check: ResolvedCheck
    verdict: Verdict
    run_id: str
    tags: Mapping[str, str]
    reused: tuple[str, ...]


def resolve(request: CheckRequest) -> ResolvedCheck:
    """Resolve what a check needs; no model is opened, and nothing evaluated or logged yet.

    Raises:
        SensieError: the recipe has no gate, there is no such data, version or alias.
    """
    client, model = mlflow.MlflowClient(), request.model
    recipe = load_recipe(request.recipe, allow_code=request.allow_code)
    if recipe.gate is None:
        raise RecipeError("the recipe has no gate, so there is nothing to judge by; see the recipe 'promotion'")
    X, y = _read(request, recipe)
    version = version_of(model, client) if isinstance(model, str) else None
    if request.promote is not None and version is None:
        raise RegistryError(f"promote: only a registered version can get an alias, as models:/name/7; {model!r} came")
    before = alias_of(version.name, request.promote, client) if version and request.promote else None
    baseline = recipe.baseline if request.baseline is None else request.baseline
    pinned = version_of(baseline, client) if isinstance(baseline, str) else None
    recipe = recipe.model_copy(update={"baseline": pinned.uri if pinned else baseline})
    dataset = from_pandas(X) if isinstance(X, pd.DataFrame) else X
    return ResolvedCheck(
        name=request.name or (model if isinstance(model, str) else type(model).__name__),
        evaluation=EvaluationRequest(version.uri if version else model, as_data(X, y), recipe, request.model_type),
        dataset=dataset if isinstance(dataset, Dataset) else None,
        version=version,
        alias=request.promote,
        before=before,
        reuse=request.reuse,
    )


def _read(request: CheckRequest, recipe: Recipe) -> tuple[Any, Any]:
    """Inputs and targets: of a file, folder or past run as an MLflow Dataset, of a frame, or as they came."""
    data, targets, run = request.data, request.targets, request.dataset_run
    if data is None or run is not None or isinstance(data, str | Path):
        return load(data, targets=targets, dataset_run=run, dataset=request.dataset, recipe=recipe), None
    if not isinstance(targets, str):
        return data, targets
    if not isinstance(data, pd.DataFrame) or targets not in data:
        known = list(data) if isinstance(data, pd.DataFrame) else []
        columns = ", ".join(map(str, known)) or f"none, it is a {type(data).__name__}"
        raise DataError(f"the data has no column {targets!r}{did_you_mean(targets, known)}; its columns: {columns}")
    return data.drop(columns=targets), data[targets].to_numpy()


# --- evaluations, past and present -------------------------------------------------------------------------


def evaluate_check(check: ResolvedCheck) -> JudgedCheck:
    """Evaluate and judge a model, and log what came out."""
    _refuse_without_baseline(check.evaluation.recipe)
    with _run_for(check) as run_id:
        candidate, baseline = prepare_both(check.evaluation)
        runs: list[str] = []
        past = functools.partial(_find_past, runs=runs) if check.reuse else _no_past
        result = evaluate_and_judge(
            candidate,
            baseline,
            lambda prepared: past(prepared) or evaluate(prepared),
            lambda prepared: past(prepared) or _evaluate_baseline(prepared, check),
        )
        where = _log_input(candidate, run_id, check.dataset)
        tracking.log_result(result, where)
    assert result.verdict is not None
    without_data = replace(check, evaluation=replace(check.evaluation, data=Data(None)), dataset=None)
    reused = tuple(dict.fromkeys(runs))
    return JudgedCheck(without_data, result.verdict, run_id, tracking.tags(result, where), reused)


def _refuse_without_baseline(recipe: Recipe) -> None:
    """Raise RecipeError if rules compare with a baseline and there is none: that says nothing of the model."""
    rules = recipe.gate or ()
    comparing = sum(rule.versus is not None for rule in rules)
    if comparing and recipe.baseline is None:
        raise RecipeError(
            f"{comparing} of {len(rules)} rules compare with a baseline, and none was given: --baseline on the "
            "command line, baseline= in Python, or baseline in the recipe"
        )


def _find_past(prepared: Prepared, runs: list[str]) -> Result | None:
    """The latest evaluation of the same in the active experiment; its run is added to ``runs``."""
    if prepared.model.model_uuid is None:
        return None
    tags = {
        "sensie_data_sha256": prepared.data_sha256, "sensie_recipe_sha256": prepared.recipe.digest(),
        "sensie_status": "done", "sensie_version": version_of_package("mlflow-sensie"),
    }  # fmt: skip
    condition = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    for run in mlflow.search_runs(filter_string=condition, max_results=MOST_RUNS, output_format="list"):
        with contextlib.suppress(ComparisonError):  # its files are gone, or it holds several results
            result = _as_prepared(tracking.read_result(run.info.run_id), prepared)
            if result is not None:
                runs.append(run.info.run_id)
                return result
    return None


def _as_prepared(result: Result, prepared: Prepared) -> Result | None:
    """A past result as a new evaluation would have it; None where it is not the same, or without its score table."""
    recipe, model = prepared.recipe, prepared.model
    identity = (model.model_uuid, prepared.data_sha256, recipe.digest())
    same = (result.model_uuid, result.data_sha256, result.recipe_sha256) == identity and not result.read_only
    if not same or result.score_table is None:
        return None
    new = {"recipe": recipe.to_plain(), "recipe_yaml": recipe.to_yaml(), "prefix": recipe.prefix, "verdict": None}
    return result.model_copy(update={**new, "model_name": model.name})


def _no_past(prepared: Prepared) -> None:
    return None


def _evaluate_baseline(prepared: Prepared, check: ResolvedCheck) -> Result:
    """Evaluate the baseline, and log what is new to a run of its own, for the next check to take over."""
    result = evaluate(prepared)
    with mlflow.start_run(run_name=f"baseline of {check.name}", nested=True) as active:
        tracking.log_result(result, _log_input(prepared, active.info.run_id, check.dataset))
    return result


@contextlib.contextmanager
def _run_for(check: ResolvedCheck) -> Iterator[str]:
    """A run for the check, inside the active one if there is one; on an error it says so and has failed."""
    run_id = mlflow.start_run(run_name=f"check {check.name}", nested=True).info.run_id
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except Exception as error:
        _tag_error(error, check.version, run_id)
        raise
    finally:
        with contextlib.suppress(MlflowException):  # the server is gone; the error on its way says more
            mlflow.end_run(status)


def _log_input(prepared: Prepared, run_id: str, dataset: Dataset | None) -> tracking.Destination:
    """Show the data among the active run's inputs, where MLflow has a dataset for it; say where the result goes."""
    if dataset is not None:
        mlflow.log_input(dataset, context="check")
    return tracking.Destination(run_id, prepared.model.model_id, *tracking.dataset_of(dataset))


def _tag_error(error: Exception, version: ModelVersion | None, run_id: str) -> None:
    """Tag the run, and the model version where it is the model that failed, as well as that can be done now."""
    client = mlflow.MlflowClient()
    tags = {"sensie_status": "error", "sensie_verdict": "error", "sensie_run_id": run_id}
    with contextlib.suppress(MlflowException):
        for key, value in {**tags, "mlflow.note.content": str(error)}.items():
            client.set_tag(run_id, key, value[: tracking.LONGEST_TAG])
    if version is not None and isinstance(error, ModelError):
        tag_version(version, tags, client)


# --- tags and alias ----------------------------------------------------------------------------------------


def finalise(checks: Sequence[JudgedCheck], *, complete: bool = True) -> list[Check]:
    """Tag the model version that all of these checks are of, and move aliases if all of them passed.

    Of several verdicts the worst is written last. ``complete``: no other check of this version has failed to judge.
    """
    client = mlflow.MlflowClient()
    from_best = sorted(checks, key=lambda judged: -[*EXIT_CODES].index(judged.verdict.outcome))
    version = checks[0].check.version
    failures = [tag_version(version, judged.tags, client) for judged in from_best] if version else []
    untagged = next((failure for failure in failures if failure), None)
    promotions: dict[str, Promotion] = {}
    if version and complete and all(judged.verdict.passed for judged in checks):
        aliases = {judged.check.alias: judged.check.before for judged in checks if judged.check.alias}
        promotions = {alias: _promote(version, alias, before, untagged) for alias, before in aliases.items()}
    return [_finished(judged, promotions.get(judged.check.alias or ""), untagged) for judged in checks]


def _promote(version: ModelVersion, alias: str, before: str | None, untagged: str | None) -> Promotion:
    if untagged is not None:
        return Promotion(alias, "failed", before, before, f"the alias {alias!r} was not moved, for {untagged}")
    return move_alias(version, alias, before, mlflow.MlflowClient())


def _finished(judged: JudgedCheck, promotion: Promotion | None, untagged: str | None) -> Check:
    check, failed = judged.check, promotion is not None and not promotion.done
    return Check(
        check.name, check.model, check.baseline,
        outcome="error" if failed else judged.verdict.outcome, error=promotion.reason if promotion and failed else None,
        verdict=judged.verdict, run_id=judged.run_id, reused=judged.reused, promotion=promotion,
        warnings=tuple(text for text in (untagged, promotion and promotion.warning) if text),
    )  # fmt: skip
