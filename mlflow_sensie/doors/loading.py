"""The door for data by name: files and folders, and what an earlier run logged as its input."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.numpy_dataset import from_numpy
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset as DatasetEntity
from mlflow.exceptions import MlflowException

from mlflow_sensie.data.sources import UNLABELLED, Data, choose_column, delta_ways, is_delta, read_csv, read_data
from mlflow_sensie.doors.datasets import READER, SensieDataset, fetch, from_source, read_source
from mlflow_sensie.errors import DataError
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.scores.kinds import AGREEMENT

LOG_NEXT_TIME = (
    "log the data from a file next time: mlflow.data.from_pandas(frame, source=PATH_OR_URI, targets=…, name=…), or "
    "mlflow_sensie.from_tensors, from_image_folder or from_parquet with a path; under another name than before, for "
    "MLflow keeps the first source that a name and digest had"
)
SEPARATORS = (",", ";", "\t")


def load(
    data: str | Path | None = None,
    *,
    targets: str | None = None,
    dataset_run: str | None = None,
    dataset: str | None = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    recipe: Recipe | None = None,
) -> SensieDataset:
    """Return the data that a command line's options name: one of a file or folder, and an earlier run.

    ``data``: a .parquet, .csv or .npz file, a folder, or the URI of one. ``targets``: the column or array of right
    answers. ``dataset_run``: a run whose logged input is read again, ``dataset`` by name if there are several.
    ``size`` and ``mode`` of a folder of images, as for ``from_image_folder``. ``recipe``: whose score may need no
    targets, so that none need be named.

    Raises:
        DataError: nothing or both were named, or the data cannot be read; the message says what to do.
    """
    if (data is None) == (dataset_run is None):
        came = "both came" if data is not None else "neither came"
        raise DataError(f"--data (a file or folder) or --dataset-run (a run's logged input) is needed; {came}")
    resized = size is not None or mode is not None
    if resized and (dataset_run is not None or targets is not None):
        raise DataError("--size and --mode are for a folder of images (--data DIR), whose subfolders are the targets")
    if targets is None and not resized and recipe is not None and recipe.score == AGREEMENT:
        targets = UNLABELLED
    if dataset_run is not None:
        return load_dataset(dataset_run, dataset, targets=targets)
    if dataset is not None:
        raise DataError("--dataset names an input of --dataset-run; leave it out with --data")
    return from_source(str(data), targets=targets, images=resized or None, size=size, mode=mode)


def load_dataset(run_id: str, name: str | None = None, *, targets: str | None = None) -> SensieDataset:
    """Read what a run logged as its input from its source again, and check that it is the same.

    ``name`` (or digest) says which, if the run has several inputs. ``targets`` names the column of right answers,
    where the run did not log that: in MLflow's own Datasets of frames. What is returned goes into
    ``mlflow.models.evaluate`` and ``mlflow_sensie.probe``.

    Raises:
        DataError: there is no such run or input, its source cannot be read, or holds other data than it did.
    """
    logged = _find(run_id, name)
    where = f"dataset {logged.name!r} of run {run_id}"
    try:
        return _read(logged, targets)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _read(logged: DatasetEntity, targets: str | None) -> SensieDataset:
    source = _source(logged)
    reader = _described(logged.profile).get(READER)
    if reader is None:
        data = _read_others(logged, source, targets)
        return SensieDataset(replace(data, name=logged.name), source, digest=logged.digest)
    sha256, of_files = reader.pop("sha256"), reader.pop("of_files")
    data = replace(read_source(source, **reader), name=logged.name)
    dataset = SensieDataset(data if of_files else replace(data, files=()), source, reader)
    if dataset.sha256 != sha256:
        raise DataError(_changed(source, sha256[:8], dataset.sha256[:8]))
    return SensieDataset(dataset.sensie_data, source, reader, logged.digest)


def _find(run_id: str, name: str | None) -> DatasetEntity:
    try:
        run = mlflow.MlflowClient().get_run(run_id)
    except MlflowException as error:
        raise DataError(f"run {run_id} cannot be read: {error}") from error
    logged = [entry.dataset for entry in run.inputs.dataset_inputs] if run.inputs else []
    if not logged:
        raise DataError(f"run {run_id} has no dataset among its inputs; {LOG_NEXT_TIME}")
    fits = [dataset for dataset in logged if name in (None, dataset.name, dataset.digest)]
    if len(fits) != 1:
        known = ", ".join(f"{dataset.name} ({dataset.digest})" for dataset in logged)
        problem = "say which" if name is None else f"{name!r} is not one of them"
        raise DataError(f"run {run_id} has the datasets {known}; {problem}, by name or digest (--dataset)")
    return fits[0]


def _source(logged: DatasetEntity) -> DatasetSource:
    if logged.source_type == "code":
        raise DataError(f"it was in memory, and only the code that made it was logged; {LOG_NEXT_TIME}")
    try:
        return mlflow.data.get_source(logged)
    except MlflowException as error:
        raise DataError(f"this MLflow cannot open a source of type {logged.source_type!r}: {error}") from error


def _changed(source: DatasetSource, then: str, now: str) -> str:
    by_spark = isinstance(source, DeltaDatasetSource)
    return (
        f"it is not what its source holds now ({source.to_json()}): its digest was {then}, and is {now}. The source "
        "has changed since, or only a part of it was logged. To evaluate what is there now, give it as --data; else "
        f"{LOG_NEXT_TIME}"
        + (". If Spark logged it, only Spark with the jars of Delta can tell its digest" if by_spark else "")
    )


# --- MLflow's own datasets ---------------------------------------------------------------------------------------


def _read_others(logged: DatasetEntity, source: DatasetSource, targets: str | None) -> Data:
    """Read a Dataset of MLflow's own: of its ways to read a source, the one that gives the digest that was logged."""
    digests = []
    for loaded in _loads(source):
        if str(loaded).endswith(".npy") and _has_targets(logged):
            raise DataError(f"its targets are not in {Path(loaded).name}; {LOG_NEXT_TIME}")
        for data, digest in _readings(loaded, source, targets):
            if digest == logged.digest:
                return data if isinstance(data, Data) else _of_frame(data, targets)
            digests.append(digest)
    raise DataError(_changed(source, logged.digest, digests[0]))


def _loads(source: DatasetSource) -> Iterator[Any]:
    """What a source gives: the path of a file, or a table; a Delta table by deltalake, and by Spark if that can."""
    ways: list[Callable[[], Any]] = [functools.partial(fetch, source)]
    if isinstance(source, DeltaDatasetSource) and is_delta(source.path or "") and find_spec("deltalake"):
        ways = [*delta_ways(str(source.path), source.delta_table_version), *ways]
    yield from _readable(ways)


def _readable(ways: Sequence[Callable[[], Any]]) -> Iterator[Any]:
    """Yield what can be read, one way after the other.

    Raises:
        DataError: nothing can, and why the first way cannot.
    """
    errors: list[DataError] = []
    for way in ways:
        try:
            loaded = way()
        except DataError as error:
            errors.append(error)
        else:
            yield loaded
    if len(errors) == len(ways):
        raise errors[0]


def _has_targets(logged: DatasetEntity) -> bool:
    return _described(logged.schema).get("mlflow_tensorspec", {}).get("targets") is not None


def _described(text: str | None) -> dict[str, Any]:
    """A schema or profile as MLflow logs it; "null" where it could not be told."""
    return json.loads(text or "null") or {}


def _readings(loaded: Any, source: DatasetSource, targets: str | None) -> Iterator[tuple[Any, str]]:
    """The ways to read what a source gave, each with the digest that MLflow gives it."""
    if not isinstance(loaded, str | Path):
        yield _to_frame(loaded), _digest(loaded, source)
        return
    path = Path(loaded)
    if path.suffix in (".npz", ".npy"):
        data = read_data(path, targets) if path.suffix == ".npz" else Data(np.load(path, allow_pickle=False))
        yield data, str(from_numpy(data.inputs, source=source, targets=data.targets).digest)
        return
    for frame in _frames(path):
        yield frame, _digest(frame, source)


def _frames(path: Path) -> Iterator[pd.DataFrame]:
    if is_delta(path):
        yield from _readable(delta_ways(path, None))
    elif path.is_dir() or path.suffix == ".parquet":
        yield pd.read_parquet(path)
    elif path.suffix == ".csv":
        yield from (pd.read_csv(path, sep=separator) for separator in SEPARATORS)
        yield read_csv(path)
    else:
        raise DataError(f"its source {path.name} is of no kind that is read; .parquet, .csv, .npz and .npy are")


def _to_frame(loaded: Any) -> pd.DataFrame:
    for convert in ("toPandas", "to_pandas"):  # of Spark, and of Hugging Face
        if hasattr(loaded, convert):
            frame: pd.DataFrame = getattr(loaded, convert)()
            return frame
    if isinstance(loaded, pd.DataFrame):
        return loaded
    raise DataError(f"its source gave a {type(loaded).__name__}, which is no table")


def _digest(loaded: Any, source: DatasetSource) -> str:
    if isinstance(loaded, pd.DataFrame):
        return str(from_pandas(loaded, source=source).digest)
    dataset = mlflow.data.__dict__["from_spark" if hasattr(loaded, "toPandas") else "from_huggingface"](loaded)
    return str(dataset.digest)


def _of_frame(frame: pd.DataFrame, targets: str | None) -> Data:
    if targets == UNLABELLED:
        return Data(frame)
    column = choose_column(targets, list(frame.columns), "its data")
    return Data(frame.drop(columns=column), frame[column].to_numpy())
