"""The door of ``mlflow-sensie run``: evaluate a model on a dataset, and log both on a run."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.entities import Metric

from mlflow_sensie.doors.datasets import SensieDataset
from mlflow_sensie.doors.probe import Evaluate, evaluate_and_judge, prepare_both
from mlflow_sensie.evaluation.conductor import evaluate
from mlflow_sensie.evaluation.inputs import EvaluationRequest
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
    evaluate: Evaluate = evaluate,
) -> tuple[Result, str]:
    """Evaluate, log the dataset as input and the result, and return the result and the run's id.

    ``run_id``: an existing run; without it a new one, in ``experiment`` by name or else the active one. A run whose
    evaluation raises is marked as failed; what is wrong from the start makes no run. ``evaluate`` makes the sweep.

    Raises:
        SensieError: what came cannot be evaluated.
        mlflow.exceptions.MlflowException: there is no such run, or the tracking server failed.
    """
    candidate, baseline = prepare_both(EvaluationRequest(model_uri, dataset.sensie_data, recipe, task))
    model_id = candidate.model.model_id
    if experiment is not None:
        mlflow.set_experiment(experiment)
    with mlflow.start_run(run_id=run_id) as active:
        mlflow.log_input(dataset, context="evaluation", **_linked(model_id))
        result = evaluate_and_judge(candidate, baseline, evaluate)
        where = tracking.Destination(active.info.run_id, model_id, dataset.name, dataset.digest)
        tracking.log_result(result, where)
    return result, str(active.info.run_id)


def _linked(model_id: str | None) -> dict[str, Any]:
    """MLflow 3's link from the run to the model that it evaluates; none on 2.22."""
    if model_id is None or not hasattr(Metric, "model_id"):
        return {}
    from mlflow.entities import LoggedModelInput

    return {"model": LoggedModelInput(model_id)}
