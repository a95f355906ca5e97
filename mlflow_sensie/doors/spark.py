"""The door of Apache Spark: partitions run the same sweep, and fill the checkpoint that an evaluation then reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd

from mlflow_sensie.data.sources import as_data
from mlflow_sensie.doors.probe import complete, evaluate_and_judge, prepare_both
from mlflow_sensie.errors import DataError, MissingDependencyError, ModelError, RecipeError, SensieError
from mlflow_sensie.evaluation.checkpoint import Checkpoint
from mlflow_sensie.evaluation.conductor import Prepared, evaluate, sweep_of
from mlflow_sensie.evaluation.inputs import EvaluationRequest
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.models.model import Model
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASKS_PER_CORE = 2  # so that a slow partition does not keep all others waiting


def probe_on_spark(
    model: Any,
    X: Any,
    y: Any = None,
    recipe: Any = "auto",
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    allow_code: bool = False,
    spark: SparkSession | None = None,
) -> Result:
    """Do as ``probe`` does, with the same result, but let the executors of Spark ask the model.

    The recipe needs a ``checkpoint``: a folder that the driver and all executors see under one path. ``model`` is best
    a URI, which each executor opens for itself, and ``X`` data in files that all of them see (``from_parquet``,
    ``from_image_folder``); other models and data are sent to them. ``spark``: the session, by default the active one.

    Raises:
        RecipeError: no ``checkpoint``, or the recipe stops early.
        MissingDependencyError: pyspark is not installed.
        DataError: what the executors kept is not in the folder that the driver sees.
        EvaluationIncomplete: as for ``probe``.
    """
    request = EvaluationRequest(model, as_data(X, y, metadata), load_recipe(recipe, allow_code=allow_code), task)
    return complete(evaluate_and_judge(*prepare_both(request), partial(evaluate_on_spark, spark=spark)))


def evaluate_on_spark(prepared: Prepared, spark: SparkSession | None = None) -> Result:
    """Fill the checkpoint of an evaluation on Spark, and infer here what the score table tells."""
    _check(prepared)
    sweep = sweep_of(prepared)
    assert sweep.checkpoint is not None
    missing = [number for number in range(len(sweep.chunks)) if number not in sweep.checkpoint]
    if missing:
        _fill(sweep, prepared.inputs.reopen, missing, _session(spark))
        _check_shared(Checkpoint(sweep.checkpoint.folder), missing)
    return evaluate(prepared)


def _check(prepared: Prepared) -> None:
    recipe = prepared.recipe
    if recipe.checkpoint is None:
        raise RecipeError("on Spark the recipe needs 'checkpoint': a folder that the driver and all executors see")
    early = [key for key in ("precision", "time_budget") if getattr(recipe, key) is not None]
    if early:
        raise RecipeError(f"{early[0]} stops a sweep early, and on Spark all parts of it run at once; leave it out")
    if prepared.inputs.recorded:
        raise RecipeError("predictions are recorded, so there is nothing to ask on Spark; use probe")


def _session(spark: SparkSession | None) -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingDependencyError("pyspark is not installed; pip install 'mlflow-sensie[spark]'") from error
    return spark or SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()


def _check_shared(checkpoint: Checkpoint, numbers: list[int]) -> None:
    lost = [number for number in numbers if number not in checkpoint]
    if lost:
        raise DataError(
            f"checkpoint: of {len(numbers)} chunks that the executors kept, {len(lost)} are not in {checkpoint.folder} "
            "here; name a folder that the driver and all executors see under one path"
        )


def _ask(sweep: Sweep, reopen: Callable[[], Model], uris: tuple[str, str], numbers: Iterable[int]) -> None:
    """Ask for these chunks of a sweep that came without its model; ``uris`` are where MLflow looks names up."""
    mlflow.set_tracking_uri(uris[0])
    mlflow.set_registry_uri(uris[1])
    assert sweep.checkpoint is not None
    sweep = replace(sweep, model=reopen(), checkpoint=Checkpoint(sweep.checkpoint.folder))
    sweep.fill(set(numbers))


def _unopened(inputs: Any) -> Any:
    raise ModelError("an executor opens the model for itself")


def _shares(sweep: Sweep, numbers: list[int], count: int) -> list[list[int]]:
    """Cut chunks into at most ``count`` runs of about as many examples each: the first chunks are small."""
    sizes = np.array([sweep.chunks[number].stop - sweep.chunks[number].start for number in numbers])
    middles = np.cumsum(sizes) - sizes / 2
    shares = np.floor(middles / sizes.sum() * count)
    edges = np.flatnonzero(np.diff(shares)) + 1
    return [share.tolist() for share in np.split(np.array(numbers), edges)]


def _fill(sweep: Sweep, reopen: Callable[[], Model], numbers: list[int], spark: SparkSession) -> None:
    import cloudpickle

    context = spark.sparkContext
    uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    work = partial(_ask, replace(sweep, model=Model(_unopened, "unopened")), reopen, uris)
    sent = context.broadcast(cloudpickle.dumps(work))
    parts = _shares(sweep, numbers, TASKS_PER_CORE * context.defaultParallelism)
    tasks = context.parallelize(parts, len(parts))

    def ask(partition: Iterable[list[int]]) -> Iterator[SensieError]:
        job: Callable[[list[int]], None] = cloudpickle.loads(sent.value)
        for part in partition:
            try:
                job(part)
            except SensieError as error:  # it would be the same once more; what Spark may mend by a retry is raised
                yield error

    try:
        errors = tasks.mapPartitions(ask).collect()
    finally:
        sent.destroy()
    if errors:
        raise errors[0]
