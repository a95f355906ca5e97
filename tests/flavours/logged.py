"""Log a model, evaluate it in a run of its own, and read that run back, on MLflow 3 and on 2.22."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlflow
import pytest
from matplotlib.figure import Figure
from mlflow.entities import Metric, Run
from mlflow.models import EvaluationResult

from mlflow_sensie import plots
from mlflow_sensie.result import Result

V3 = hasattr(Metric, "model_id")


def log_model(log: Callable[..., Any], *model: Any, **options: Any) -> Any:
    """Call a flavour's ``log_model`` in a run and return the model's ``ModelInfo``.

    The requirements are given, because finding them out takes MLflow many seconds.
    """
    name = {"name": "model"} if V3 else {"artifact_path": "model"}
    with mlflow.start_run():
        return log(*model, **{"pip_requirements": ["mlflow"], **name, **options})


@dataclass(frozen=True)
class Evaluated:
    """A finished evaluation: what ``evaluate`` returned, and its run as it was right afterwards."""

    returned: EvaluationResult
    run: Run

    @property
    def run_id(self) -> str:
        return str(self.run.info.run_id)

    @property
    def ours(self) -> dict[str, float]:
        """The metrics that ``evaluate`` returned of ours."""
        return {key: value for key, value in self.returned.metrics.items() if "sensie/" in key}

    def result(self, prefix: str = "") -> Result:
        """The result as it lies on the run."""
        return Result.from_json(mlflow.artifacts.load_text(f"{self.run.info.artifact_uri}/{prefix}sensie/report.json"))


def evaluate(model: Any, data: Any, recipe: dict[str, Any] | None = None, **options: Any) -> Evaluated:
    """Evaluate in a new run, with ``evaluators=["sensie"]`` and a classifier unless ``options`` say otherwise."""
    wanted: dict[str, Any] = {"evaluators": ["sensie"], "model_type": "classifier"}
    if recipe is not None:
        wanted["evaluator_config"] = {"sensie": recipe}
    wanted |= options
    with mlflow.start_run() as run:
        returned = mlflow.models.evaluate(model, data, **wanted)
        assert mlflow.active_run().info.run_id == run.info.run_id  # the evaluation left the user's run alone
    return Evaluated(returned, mlflow.MlflowClient().get_run(run.info.run_id))


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all figures empty, for tests of something else: drawing takes most of a small evaluation's time."""
    monkeypatch.setattr(plots, "draw", lambda result, test: Figure((2, 1)))


def points(run_id: str, key: str) -> list[tuple[int, float]]:
    """The history of a metric as (step, value), by step."""
    return sorted((m.step, m.value) for m in mlflow.MlflowClient().get_metric_history(run_id, key))


def artifact_paths(run_id: str, folder: str | None = None) -> set[str]:
    """All artifact files of a run, with their folders."""
    found: set[str] = set()
    for item in mlflow.MlflowClient().list_artifacts(run_id, folder):
        found |= artifact_paths(run_id, item.path) if item.is_dir else {item.path}
    return found
