"""The door of ``mlflow-sensie run``: evaluate a model on a dataset, and log both on a run."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.entities import Metric

from mlflow_sensie.doors.datasets import SensieDataset
from mlflow_sensie.evaluation.probe import run
from mlflow_sensie.gate.evaluating import Evaluate, judged, prepare_both
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import Result
from mlflow_sensie.tracking import runs as tracking


def evaluate_and_log(
    model_uri: str,
    dataset: SensieDataset,
    recipe: Recipe,
    *,
    task: str | None = None,
    run_id: str | None = None,
    experiment: str | None = None,
    run: Evaluate = run,
) -> tuple[Result, str]:
    """Evaluate, log the dataset as input and the result, and return the result and the run's id.

    ``run_id``: an existing run; without it a new one, in ``experiment`` by name or else the active one. A run whose
    evaluation raises is marked as failed; what is wrong from the start makes no run. ``run`` is how the sweep is made.

    Raises:
        SensieError: what came cannot be evaluated.
        mlflow.exceptions.MlflowException: there is no such run, or the tracking server failed.
    """
    ours, theirs = prepare_both(model_uri, dataset, None, recipe, task=task)
    model_id = ours.settled.model.model_id
    if experiment is not None:
        mlflow.set_experiment(experiment)
    with mlflow.start_run(run_id=run_id) as active:
        mlflow.log_input(dataset, context="evaluation", **_linked(model_id))
        result = judged(ours, theirs, run, run)
        where = tracking.Destination(active.info.run_id, model_id, dataset.name, dataset.digest)
        tracking.log_result(result, where)
    return result, str(active.info.run_id)


def _linked(model_id: str | None) -> dict[str, Any]:
    """MLflow 3's link from the run to the model that it evaluates; none on 2.22."""
    if model_id is None or not hasattr(Metric, "model_id"):
        return {}
    from mlflow.entities import LoggedModelInput

    return {"model": LoggedModelInput(model_id)}
