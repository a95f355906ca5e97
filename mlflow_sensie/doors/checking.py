"""The door of ``mlflow-sensie check``: is this model safe to promote?"""

from __future__ import annotations

import contextlib
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

from mlflow_sensie.doors.loading import load
from mlflow_sensie.errors import ComparisonError, DataError, ModelError, RecipeError, RegistryError, did_you_mean
from mlflow_sensie.evaluation.probe import Prepared, run
from mlflow_sensie.gate import Power, power
from mlflow_sensie.gate.evaluating import judged, prepare_both
from mlflow_sensie.gate.outcome import FROM_WORST, Check
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result
from mlflow_sensie.result.verdict import Verdict
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.registry import ModelVersion, Promotion, alias_of, move_alias, tag_version, version_of

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
    asked = CheckRequest.of(
        model, baseline, data=data, targets=targets, dataset_run=dataset_run, dataset=dataset, recipe=recipe,
        promote=promote, model_type=model_type, name=name, allow_code=allow_code,
    )  # fmt: skip
    return conclude([evaluate(asked, reuse)])[0]


def dry_run(
    model: Any,
    baseline: Any = None,
    *,
    data: Any = None,
    targets: Any = None,
    dataset_run: str | None = None,
    dataset: str | None = None,
    recipe: Any = "promotion",
    model_type: str | None = None,
    reuse: bool = True,
    allow_code: bool = False,
) -> Power:
    """Tell how often the gate would pass two equally good models on this data; see ``check``.

    Past evaluations of the two are used where there are both. Else the baseline alone (without one, the model) is
    evaluated, and a twin of it supposed. Nothing is logged, tagged or moved.
    """
    asked = CheckRequest.of(
        model,
        baseline,
        data=data,
        targets=targets,
        dataset_run=dataset_run,
        dataset=dataset,
        recipe=recipe,
        model_type=model_type,
        allow_code=allow_code,
    )
    ours, theirs = asked.prepare()
    past = _Past(reuse)
    known, other = past.find(ours), past.find(theirs) if theirs else None
    if known is not None and other is not None:
        return power(known, ours.recipe.gate or (), other)
    return power(past.or_run(theirs or ours), ours.recipe.gate or ())


@dataclass(frozen=True)
class Judged:
    """A check whose verdict is on its run, but not yet on the model version; ``tags`` are the run's."""

    asked: CheckRequest
    verdict: Verdict
    run_id: str
    tags: Mapping[str, str]
    reused: tuple[str, ...]


def evaluate(asked: CheckRequest, reuse: bool) -> Judged:
    """Evaluate and judge a model, and log what came out."""
    asked.refuse_without_baseline()
    with _run_for(asked) as run_id:
        ours, theirs = asked.prepare()
        past = _Past(reuse)
        result = judged(ours, theirs, past.or_run, lambda prepared: _evaluate_baseline(prepared, asked, past))
        where = _destination(ours, run_id, _log_input(asked))
        tracking.log_result(result, where)
    assert result.verdict is not None
    tags = tracking.tags(result, where)
    return Judged(replace(asked, X=None, y=None), result.verdict, run_id, tags, tuple(dict.fromkeys(past.runs)))


# --- what was asked ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckRequest:
    """A check whose arguments are settled: aliases as the versions that they name now, data read, recipe loaded.

    ``version`` is the registered version that the model is, if any; ``before`` the one that the alias to move names.
    """

    name: str
    model: Any
    baseline: Any
    version: ModelVersion | None
    alias: str | None
    before: str | None
    recipe: Recipe
    X: Any
    y: Any
    model_type: str | None

    @classmethod
    def of(
        cls,
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
        allow_code: bool = False,
    ) -> CheckRequest:
        """Settle the arguments of ``check``; nothing is opened, evaluated or logged yet."""
        client = mlflow.MlflowClient()
        wanted = load_recipe(recipe, allow_code=allow_code)
        if wanted.gate is None:
            raise RecipeError("the recipe has no gate, so there is nothing to judge by; see the recipe 'promotion'")
        X, y = _read(data, targets, dataset_run, dataset)
        version = version_of(model, client) if isinstance(model, str) else None
        if promote is not None and version is None:
            raise RegistryError(
                f"promote: only a registered version can get an alias, as models:/name/7; {model!r} came"
            )
        before = alias_of(version.name, promote, client) if version and promote else None
        against = wanted.baseline if baseline is None else baseline
        pinned = version_of(against, client) if isinstance(against, str) else None
        return cls(
            name=name or (model if isinstance(model, str) else type(model).__name__),
            model=version.uri if version else model,
            baseline=pinned.uri if pinned else against,
            version=version,
            alias=promote,
            before=before,
            recipe=wanted.model_copy(update={"baseline": pinned.uri if pinned else against}),
            X=X,
            y=y,
            model_type=model_type,
        )

    def prepare(self) -> tuple[Prepared, Prepared | None]:
        """Open both models and settle all that comes before the sweep."""
        return prepare_both(self.model, self.X, self.y, self.recipe, baseline=self.baseline, task=self.model_type)

    def refuse_without_baseline(self) -> None:
        """Raise RecipeError if rules compare with a baseline and there is none: that says nothing of the model."""
        rules = self.recipe.gate or ()
        comparing = sum(rule.versus is not None for rule in rules)
        if comparing and self.baseline is None:
            raise RecipeError(
                f"{comparing} of {len(rules)} rules compare with a baseline, and none was given: --baseline on the "
                "command line, baseline= in Python, or baseline in the recipe"
            )

    def concluded(self, **found: Any) -> Check:
        """The check with what was found."""
        baseline = (
            self.baseline if self.baseline is None or isinstance(self.baseline, str) else type(self.baseline).__name__
        )
        return Check(name=self.name, model=str(self.model), baseline=baseline, **found)


def _read(data: Any, targets: Any, dataset_run: str | None, dataset: str | None) -> tuple[Any, Any]:
    """Inputs and targets: of a file, folder or past run as an MLflow Dataset, of a frame, or as they came."""
    if data is None or dataset_run is not None or isinstance(data, str | Path):
        return load(data, targets=targets, dataset_run=dataset_run, dataset=dataset), None
    if not isinstance(targets, str):
        return data, targets
    if not isinstance(data, pd.DataFrame) or targets not in data:
        known = list(data) if isinstance(data, pd.DataFrame) else []
        columns = ", ".join(map(str, known)) or f"none, it is a {type(data).__name__}"
        raise DataError(f"the data has no column {targets!r}{did_you_mean(targets, known)}; its columns: {columns}")
    return data.drop(columns=targets), data[targets].to_numpy()


# --- evaluations, past and present -------------------------------------------------------------------------


class _Past:
    """Past evaluations, taken over where model, data and recipe are the same; ``runs`` are theirs."""

    def __init__(self, reuse: bool) -> None:
        self.runs: list[str] = []
        self._reuse = reuse

    def or_run(self, prepared: Prepared) -> Result:
        """The past evaluation, or else a new one."""
        return self.find(prepared) or run(prepared)

    def find(self, prepared: Prepared) -> Result | None:
        """The latest evaluation in the active experiment, by this version of the package."""
        if not self._reuse or prepared.settled.model.model_uuid is None:
            return None
        wanted = {
            "sensie_data_sha256": prepared.data_sha256,
            "sensie_recipe_sha256": prepared.recipe.digest(), "sensie_status": "done",
            "sensie_version": version_of_package("mlflow-sensie"),
        }  # fmt: skip
        said = " and ".join(f"tags.{key} = '{value}'" for key, value in wanted.items())
        for found in mlflow.search_runs(filter_string=said, max_results=MOST_RUNS, output_format="list"):
            with contextlib.suppress(ComparisonError):  # its files are gone, or it holds several results
                result = _as_prepared(tracking.read_result(found.info.run_id), prepared)
                if result is not None:
                    self.runs.append(found.info.run_id)
                    return result
        return None


def _as_prepared(result: Result, prepared: Prepared) -> Result | None:
    """A past result as a new evaluation would have it; None where it is not the same, or without its score table."""
    recipe, model = prepared.recipe, prepared.settled.model
    wanted = (model.model_uuid, prepared.data_sha256, recipe.digest())
    if (result.model_uuid, result.data_sha256, result.recipe_sha256) != wanted or result.score_table is None:
        return None
    new = {"recipe": recipe.to_plain(), "recipe_yaml": recipe.to_yaml(), "prefix": recipe.prefix, "verdict": None}
    return result.model_copy(update={**new, "model_name": model.name})


def _evaluate_baseline(prepared: Prepared, asked: CheckRequest, past: _Past) -> Result:
    """Evaluate the baseline, and log what is new to a run of its own, for the next check to take over."""
    if (found := past.find(prepared)) is not None:
        return found
    result = run(prepared)
    with mlflow.start_run(run_name=f"baseline of {asked.name}", nested=True) as active:
        tracking.log_result(result, _destination(prepared, active.info.run_id, _log_input(asked)))
    return result


def _destination(prepared: Prepared, run_id: str, data: Dataset | None) -> tracking.Destination:
    model = prepared.settled.model
    return tracking.Destination(run_id, model.model_id, *tracking.dataset_of(data))


@contextlib.contextmanager
def _run_for(asked: CheckRequest) -> Iterator[str]:
    """A run for the check, inside the active one if there is one; on an error it says so and has failed."""
    run_id = mlflow.start_run(run_name=f"check {asked.name}", nested=True).info.run_id
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except Exception as error:
        _tell_of(error, asked, run_id)
        raise
    finally:
        with contextlib.suppress(MlflowException):  # the server is gone; the error on its way says more
            mlflow.end_run(status)


def _log_input(asked: CheckRequest) -> Dataset | None:
    """Show the data among the active run's inputs, where MLflow has a dataset for it."""
    data = from_pandas(asked.X) if isinstance(asked.X, pd.DataFrame) else asked.X
    if not isinstance(data, Dataset):
        return None
    mlflow.log_input(data, context="check")
    return data


def _tell_of(error: Exception, asked: CheckRequest, run_id: str) -> None:
    """Tag the run, and the model version where it is the model that failed, as well as that can be done now."""
    client = mlflow.MlflowClient()
    tags = {"sensie_status": "error", "sensie_verdict": "error", "sensie_run_id": run_id}
    with contextlib.suppress(MlflowException):
        for key, value in {**tags, "mlflow.note.content": str(error)}.items():
            client.set_tag(run_id, key, value[: tracking.LONGEST_TAG])
    if asked.version is not None and isinstance(error, ModelError):
        tag_version(asked.version, tags, client)


# --- tags and alias ----------------------------------------------------------------------------------------


def conclude(group: Sequence[Judged], *, complete: bool = True) -> list[Check]:
    """Tag the model version that all of a group's checks are of, and move aliases if all of them passed.

    Of several verdicts the worst is written last. ``complete``: no other check of this version has failed to judge.
    """
    client = mlflow.MlflowClient()
    from_best = sorted(group, key=lambda each: -FROM_WORST.index(each.verdict.outcome))
    version = group[0].asked.version
    failures = [tag_version(version, each.tags, client) for each in from_best] if version else []
    untagged = next((failure for failure in failures if failure), None)
    passed = complete and all(each.verdict.passed for each in group)
    aliases = {each.asked.alias: each.asked.before for each in group if each.asked.alias} if passed and version else {}
    moved = {
        alias: _promotion(version, alias, before, untagged, client) for alias, before in aliases.items() if version
    }
    return [_concluded(each, moved.get(each.asked.alias or ""), untagged) for each in group]


def _promotion(
    version: ModelVersion, alias: str, before: str | None, untagged: str | None, client: mlflow.MlflowClient
) -> Promotion:
    if untagged is not None:
        return Promotion(alias, "failed", before, before, f"the alias {alias!r} was not moved, for {untagged}")
    return move_alias(version, alias, before, client)


def _concluded(judged: Judged, promotion: Promotion | None, untagged: str | None) -> Check:
    failed = promotion is not None and not promotion.done
    said = tuple(text for text in (untagged, promotion and promotion.warning) if text)
    return judged.asked.concluded(
        outcome="error" if failed else judged.verdict.outcome, error=promotion.reason if promotion and failed else None,
        verdict=judged.verdict, run_id=judged.run_id, reused=judged.reused, promotion=promotion,
        warnings=said,
    )  # fmt: skip
