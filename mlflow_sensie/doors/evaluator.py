"""The door of ``mlflow.models.evaluate(..., evaluators=["sensie"])``.

Loaded at the first ``evaluate`` of anyone who has this package installed: nothing heavy is imported here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.models.evaluation.base import EvaluationArtifact, ModelEvaluator

if TYPE_CHECKING:
    from mlflow.models.evaluation.base import EvaluationResult

    from mlflow_sensie.result import Result

# One of these makes a config ours. Keys that other evaluators use as well (pos_label, ...) do not.
TELLING_KEYS = frozenset(
    {"recipe", "properties", "property_table", "perturbations", "class_test", "input_shape", "max_examples", "gate"}
)


def asked_for(config: dict[str, Any] | None, caller: str) -> bool:
    """Whether the user asked for this evaluator, by the config and by which MLflow function asks.

    With ``evaluators=None`` MLflow asks every installed evaluator from ``resolve_evaluators_and_configs``; yes
    is the answer there only to a config of ours. Before evaluating it asks once more, from ``_evaluate``: who
    gets that far was named by the user, or had said yes. Any other caller gets the cautious answer.
    """
    if caller == "_evaluate":
        return True
    return bool(TELLING_KEYS & set(config or {}))


class SensieEvaluator(ModelEvaluator):
    """MLflow model evaluator ``sensie``: what is the model sensitive to, and how sure are we?"""

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: dict[str, Any] | None, **kwargs: Any) -> bool:
        """Answer MLflow's question whether to run; a config that is wrong is answered in ``evaluate``."""
        return asked_for(evaluator_config, sys._getframe(1).f_code.co_name)

    def evaluate(
        self,
        *,
        model_type: str | None,
        dataset: Any,
        run_id: str,
        evaluator_config: dict[str, Any] | None = None,
        model: Any = None,
        model_id: str | None = None,
        predictions: str | None = None,
        **kwargs: Any,
    ) -> EvaluationResult:
        """Run the configured recipe on the dataset and log everything on the run.

        Raises:
            RecipeError, DataError, ModelError: what came cannot be evaluated; nothing was logged.
            EvaluationIncomplete: some tests failed; everything else is on the run.
        """
        from mlflow.models.evaluation.base import EvaluationResult

        from mlflow_sensie.doors.probe import complete
        from mlflow_sensie.tracking import runs as tracking

        result = _run(model, model_type, dataset, evaluator_config or {}, predictions)
        model_id = model_id or getattr(model, "model_id", None)
        where = tracking.Destination(run_id, model_id, *tracking.dataset_of(dataset))
        artifacts = tracking.log_result(result, where)
        _warn(result)
        complete(result)
        return EvaluationResult(metrics=result.metrics, artifacts=_artifacts(artifacts), run_id=run_id)


def _run(model: Any, model_type: str | None, dataset: Any, config: dict[str, Any], predictions: str | None) -> Result:
    from mlflow_sensie.data.sources import Data, as_data
    from mlflow_sensie.doors.probe import evaluate_and_judge, prepare_both
    from mlflow_sensie.errors import DataError, RecipeError
    from mlflow_sensie.evaluation.inputs import EvaluationRequest
    from mlflow_sensie.recipe.reading import load_recipe
    from mlflow_sensie.scores.kinds import AGREEMENT

    recipe = load_recipe({key: value for key, value in config.items() if key != "allow_code"},
                         allow_code=bool(config.get("allow_code")))  # fmt: skip
    if model_type not in ("classifier", "regressor", None):
        raise RecipeError(f"model_type {model_type!r} came; sensie evaluates 'classifier' and 'regressor'")
    if predictions is not None:
        if recipe.predictions not in (None, predictions):
            raise RecipeError(f"predictions={predictions!r} came, and the recipe says {recipe.predictions!r}; say one")
        recipe = recipe.model_copy(update={"predictions": predictions})
    if not dataset.has_targets and recipe.score != AGREEMENT:
        raise DataError(
            "no targets came; sensitivity is measured on the correct answer: pass targets=… (score: agreement needs "
            "none: it is with the model's own clean answer)"
        )
    if hasattr(dataset, "sensie_data"):  # one of ours, which may hold what no frame can
        data, columns = as_data(dataset), None
    else:
        columns = tuple(map(str, dataset.feature_names))
        recorded = dataset.predictions_data if model is None and dataset.has_predictions else None
        called = str(dataset.targets_name or "")
        data = Data(dataset.features_data, dataset.labels_data, predictions=recorded, target=called)
    return evaluate_and_judge(*prepare_both(EvaluationRequest(model, data, recipe, model_type, columns)))


def _artifacts(uris: dict[str, str]) -> dict[str, EvaluationArtifact]:
    from mlflow.models.evaluation import artifacts

    kinds: dict[str, type[EvaluationArtifact]] = {
        ".png": artifacts.ImageEvaluationArtifact,
        ".csv": artifacts.CsvEvaluationArtifact,
        ".json": artifacts.JsonEvaluationArtifact,
        ".parquet": artifacts.ParquetEvaluationArtifact,
        ".yaml": artifacts.TextEvaluationArtifact,
        ".html": artifacts.TextEvaluationArtifact,
        ".nc": PosteriorEvaluationArtifact,
    }
    return {name: _loading_to_save(kinds[Path(name).suffix])(uri) for name, uri in uris.items()}


class PosteriorEvaluationArtifact(EvaluationArtifact):
    """What engine pymc sampled; its content is ArviZ's InferenceData, a DataTree from ArviZ 1 on."""

    def _save(self, output_artifact_path: str) -> None:
        self._content.to_netcdf(output_artifact_path, engine="h5netcdf")

    def _load_content_from_file(self, local_artifact_path: str) -> Any:
        import arviz

        opened = arviz.from_netcdf(local_artifact_path)
        self._content = opened.load()  # into memory, for the file is a temporary one
        opened.close()
        return self._content


def _loading_to_save(kind: type[EvaluationArtifact]) -> type[EvaluationArtifact]:
    """Make MLflow's kind of artifact load its content before it is saved.

    MLflow's own ``_save`` writes the content as it is, and that is nothing until somebody asks for it. Under
    MLflow's own name for the kind, a saved result is read back by MLflow alone.
    """

    def save(self: Any, path: str) -> None:
        _ = self.content
        kind._save(self, path)

    return type(kind.__name__, (kind,), {"_save": save, "__module__": kind.__module__})


def _warn(result: Result) -> None:
    import warnings

    from mlflow_sensie.result.result import MOST_TESTS_WITH_KEYS

    names_by_text: dict[str, list[str]] = {}  # what is said of several tests is said once
    for test in result.tests.values():
        for text in test.warnings:
            names_by_text.setdefault(text, []).append(test.name)
    texts = [*result.warnings, *(f"{_listed(names)}: {text}" for text, names in names_by_text.items())]
    if result.verdict is not None and not result.verdict.passed:
        texts.append(f"the gate says {result.verdict.outcome}: {'; '.join(result.verdict.reasons)}")
    if len(result.tests) > MOST_TESTS_WITH_KEYS:
        some = f"the first {MOST_TESTS_WITH_KEYS} of {len(result.tests)} tests"
        texts.append(f"only {some} have metrics on the run; all of them stand in sensie/report.json")
    for text in texts:
        warnings.warn(f"sensie: {text}", UserWarning, stacklevel=4)


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
