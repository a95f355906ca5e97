"""The door for data that MLflow has no Dataset for: tensors, folders of images, tables larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.evaluation_dataset import EvaluationDataset
from mlflow.data.pyfunc_dataset_mixin import PyFuncConvertibleDatasetMixin, PyFuncInputsOutputs
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, are_labels, clean_targets, rows
from mlflow_sensie.data.identity import content_digest
from mlflow_sensie.data.input_format import numbered
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.data.sources import (
    Data,
    as_source,
    as_table,
    image_folder,
    is_delta,
    latest_delta_version,
    name_of,
    read_data,
)
from mlflow_sensie.errors import DataError

INPUTS, TARGETS, IDS = "inputs", "targets", "ids"  # what MLflow's evaluators see the columns called
READER = "sensie"  # the part of a dataset's profile that says how its source is read


class SensieDataset(Dataset, PyFuncConvertibleDatasetMixin):
    """Data as an MLflow Dataset: shown among a run's inputs, evaluated, and read from its source again.

    ``source`` is where ``data`` can be read from; ``reader`` says how, as keywords of ``read_source``. Its digest is
    the start of a SHA-256 over all of the data, or over the files it was read from.
    """

    def __init__(
        self, data: Data, source: DatasetSource, reader: Mapping[str, Any] | None = None, digest: str | None = None
    ) -> None:
        self.sensie_data = data
        self.reader = dict(reader or {})
        super().__init__(source, data.name, digest or "not computed yet")
        self._said = digest

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) over the files, and how they are read, where the data lies in files; else over the data."""
        data = self.sensie_data
        if data.files:
            return files_digest(data.files, json.dumps(self.reader, sort_keys=True))
        beside: dict[str, Any] = {}
        if data.properties is not None:
            beside = {str(name): data.properties[name] for name in data.properties}
        beside |= {} if data.ids is None else {IDS: data.ids}
        beside |= {} if data.targets is None else {TARGETS: _cells(data)}
        return content_digest(data.inputs, beside)

    def _compute_digest(self) -> str:
        return self.sha256[:8]

    @property
    def digest(self) -> str:
        """The digest that was given, else the start of ``sha256``; computed when it is asked for."""
        return self._said or self._compute_digest()

    @property
    def targets(self) -> Any:
        """The right answers (n,) or one-hot (n, K)."""
        return self.sensie_data.targets

    @property
    def profile(self) -> dict[str, Any]:
        """Number and shape of the examples, and how they are read from the source again."""
        head = self._head
        shape = {} if isinstance(head, pd.DataFrame) else {"shape": list(head.shape[1:]), "dtype": str(head.dtype)}
        identity = {"sha256": self.sha256, "of_files": bool(self.sensie_data.files)}
        return {"num_rows": len(self.sensie_data.inputs), **shape, READER: {**self.reader, **identity}}

    @property
    def schema(self) -> Any:
        """MLflow's schema of the inputs, or ``None`` where it has no word for them."""
        from mlflow.types.utils import _infer_schema

        try:
            with warnings.catch_warnings():  # MLflow's advice on integer columns is for models
                warnings.simplefilter("ignore")
                return _infer_schema(self._head)
        except MlflowException:
            return None

    @property
    def _head(self) -> Any:
        return rows(as_source(self.sensie_data.inputs), slice(0, CHUNK))

    def to_dict(self) -> dict[str, Any]:
        """Return what MLflow logs: name, digest, source, schema and profile."""
        schema = self.schema
        return {
            **super().to_dict(),
            "schema": None if schema is None else json.dumps(_described(schema)),
            "profile": json.dumps(self.profile),
        }

    def to_pyfunc(self) -> PyFuncInputsOutputs:
        """Return all inputs and targets, in memory."""
        data = self.to_evaluation_dataset()
        return PyFuncInputsOutputs(data.features_data, data.labels_data)

    def to_evaluation_dataset(self, path: str | None = None, feature_names: Any = None) -> EvaluationDataset:
        """Return what MLflow hands to evaluators; ours reads the data from it as it is."""
        return _EvaluationDataset(self, path, feature_names)


def _described(schema: Any) -> dict[str, Any]:
    from mlflow.data.schema import TensorDatasetSchema

    if schema.is_tensor_spec():
        described: dict[str, Any] = TensorDatasetSchema(features=schema).to_dict()
        return described
    return {"mlflow_colspec": schema.to_dict()}


class _EvaluationDataset(EvaluationDataset):
    """What evaluators get: for those of MLflow a frame, made when it is asked for, with tensors in its cells."""

    def __init__(self, dataset: SensieDataset, path: str | None, feature_names: Any) -> None:
        data = dataset.sensie_data
        self.sensie_data = data if feature_names is None else _only(data, list(feature_names))
        super().__init__(self._frame(slice(0, 2)), name=dataset.name, path=path)  # type: ignore[no-untyped-call]
        self._digest = dataset.digest
        self._hash = dataset.sha256[:32]
        self._has_targets = data.targets is not None
        self._labels_data = _clean(data) if self._has_targets else None

    @property
    def digest(self) -> str:
        """The dataset's digest."""
        return str(self._digest)

    @cached_property
    def _features_frame(self) -> pd.DataFrame:
        return self._frame(slice(None))

    @property
    def features_data(self) -> pd.DataFrame:
        """All inputs as a frame, in memory, with the other columns of a table beside them."""
        return self._features_frame

    def _frame(self, positions: slice) -> pd.DataFrame:
        some = rows(as_source(self.sensie_data.inputs), positions)
        if isinstance(some, np.ndarray) and some.ndim > 2:
            return pd.DataFrame({INPUTS: pd.Series(list(some), dtype=object)})
        frame = pd.DataFrame(some, columns=list(numbered(some.shape[1]))) if isinstance(some, np.ndarray) else some
        beside = self.sensie_data.properties
        extra = [] if beside is None else [beside.iloc[positions].reset_index(drop=True)]
        return pd.concat([frame.reset_index(drop=True), *extra], axis=1)


def _only(data: Data, names: list[Any]) -> Data:
    """The data with these columns as inputs, as MLflow's ``feature_names`` asks for."""
    inputs = as_source(data.inputs)
    known = list(inputs.names) if isinstance(inputs, LazyRows) else list(getattr(inputs, "columns", ()))
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(f"feature_names: the dataset has no column {missing[0]!r}; it has {known[:20] or 'tensors'}")
    return replace(data, inputs=inputs.only(names) if isinstance(inputs, LazyRows) else inputs[names])


# --- making them -------------------------------------------------------------------------------------------------


def from_tensors(
    images: Any,
    targets: Any = None,
    *,
    properties: Any = None,
    ids: Any = None,
    source: Any = None,
    name: str | None = None,
    digest: str | None = None,
) -> SensieDataset:
    """Return arrays of any number of axes as an MLflow Dataset.

    ``images``: (n, ...) array, also mapped into memory; a dict of several such inputs by name; or the path or URI of
    a ``.npz`` file or of a folder of ``.npy`` files, which holds arrays called ``inputs``, ``ids`` and as the
    properties are; ``targets`` is then the name of that of the right answers, by default ``targets``.
    ``targets``: (n,) or one-hot (n, K).
    ``properties``: frame or dict of columns (n,) that are no inputs. ``ids``: (n,) different values.
    ``source``: path or URI of such a file, from which the same data can be read again.

    Raises:
        DataError: the lengths differ, targets are missing, or the file cannot be read.
    """
    if isinstance(images, str | Path):
        if source is not None or properties is not None or ids is not None:
            raise DataError("source, properties and ids are those of the file; leave them out with a path")
        return from_source(images, name=name, digest=digest, targets=targets)
    inputs = as_source(as_table(images))
    beside = None if properties is None else pd.DataFrame(properties).reset_index(drop=True)
    known = None if ids is None else np.asarray(ids)
    data = Data(inputs, targets, beside, known, name=name or "tensors", target=name_of(targets))
    _check(data)
    return SensieDataset(data, resolve(source), digest=digest)


def from_image_folder(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    mode: str | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> SensieDataset:
    """Return a folder of images as an MLflow Dataset; its subfolders are the classes.

    ``path``: folder, or URI of one. ``size``: (height, width) to resize them to; without it all must have one.
    ``mode``: ``"RGB"`` or ``"L"`` (grey); without it grey images stay grey, and all must be of one kind. Images are
    decoded when they are asked for, a chunk at a time, as integers 0 to 255. The ids are the paths in the folder.

    Raises:
        DataError: there is no such folder, or it holds no images in subfolders.
    """
    return from_source(path, name=name, digest=digest, images=True, size=size, mode=mode)


def from_parquet(
    path: str | Path, targets: str, *, name: str | None = None, digest: str | None = None
) -> SensieDataset:
    """Return a Parquet file of any size, a folder of them or a Delta table as an MLflow Dataset, read in blocks.

    ``path``: file or folder, or URI of one; of a Delta table on this machine the version that is the newest now is
    meant from then on. ``targets``: the column of right answers. Columns that are no inputs of the model's signature
    can be properties.

    Raises:
        DataError: there is no such file, or no such column.
    """
    return from_source(path, name=name, digest=digest, targets=targets)


def from_source(
    path: str | Path, *, name: str | None = None, digest: str | None = None, **reader: Any
) -> SensieDataset:
    """Return what lies in a file or folder, or at a URI, as an MLflow Dataset; ``reader`` as for ``read_source``."""
    if (here := _local(path)) is not None and not here.exists():
        raise DataError(f"there is no file or folder {path}")
    source, version = _source(path)
    options = {key: value for key, value in {**reader, "version": version}.items() if value is not None}
    data = read_source(source, **options)
    _check(data)
    return SensieDataset(data if name is None else replace(data, name=name), source, options, digest)


def _source(path: str | Path) -> tuple[DatasetSource, int | None]:
    """MLflow's source for a path or URI, and the version of a Delta table (MLflow does not write down number 0)."""
    here = _local(path)
    if here is None or not is_delta(here):
        return resolve(path if here is None or str(path).startswith("file:") else here), None
    version = latest_delta_version(here)
    return DeltaDatasetSource(path=str(here), delta_table_version=version), version


def _local(path: str | Path) -> Path | None:
    """The path of what lies here, also where it is given as a file URI; ``None`` of what lies elsewhere."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    if str(path).startswith("file:"):
        return Path(local_file_uri_to_path(str(path))).resolve()
    return None if "://" in str(path) else Path(path).resolve()


def read_source(source: DatasetSource, **reader: Any) -> Data:
    """Read the data at a source, downloaded where it is not local.

    ``reader`` has ``targets``, the name of the right answers, and the ``version`` of a Delta table; or ``images``,
    with their ``size`` and ``mode``.

    Raises:
        DataError: it cannot be fetched, or is of no kind that is read.
    """
    path = Path(source.path if isinstance(source, DeltaDatasetSource) and source.path else fetch(source))
    if reader.get("images"):
        size = reader.get("size")
        return image_folder(path, None if size is None else (int(size[0]), int(size[1])), reader.get("mode"))
    return read_data(path, reader.get("targets"), version=reader.get("version"))


def fetch(source: DatasetSource) -> Any:
    """Return what a source gives: the path of a local file, downloaded if it must be; or a table.

    Raises:
        DataError: whatever the libraries of many kinds of storage raise.
    """
    try:
        return source.load()
    except ImportError as error:
        other = "; deltalake reads it as well" if isinstance(source, DeltaDatasetSource) else ""
        raise DataError(f"a package is missing to read {source.to_json()}: {error}{other}") from error
    except Exception as error:
        text = str(error).split("\n\tat ")[0]  # without the stack of Java
        raise DataError(f"{source.to_json()} cannot be read: {type(error).__name__}: {text}") from error


def _clean(data: Data) -> NDArray[Any]:
    """Targets as labels (n,) where they are one-hot, else as they are: whether they fit is for the recipe to say."""
    targets, n = clean_targets(data.targets, len(data.inputs), "any"), len(data.inputs)
    one_hot = targets.ndim == 2 and bool(np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all())
    return clean_targets(targets, n) if one_hot else targets


def _cells(data: Data) -> Any:
    """Targets as a column that a digest is made of, one cell each."""
    targets = _clean(data)
    return targets if are_labels(targets) else list(targets)


def _check(data: Data) -> None:
    """Refuse what does not belong together while the user is still there to mend it."""
    n = len(data.inputs)
    if data.targets is not None:
        _clean(data)
    for what, values in (("properties", data.properties), ("ids", data.ids)):
        if values is not None and len(values) != n:
            raise DataError(f"{what}: {len(values)} came for {n} examples; they must agree")


def resolve(source: Any) -> DatasetSource:
    """Return MLflow's source for a path or URI; without one, the code that runs, which cannot be read again.

    Raises:
        DataError: MLflow knows no such kind of URI.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.tracking.context import registry

    if source is None:
        return CodeDatasetSource(registry.resolve_tags())
    try:
        with warnings.catch_warnings():  # MLflow knows two classes of local files, both called the same
            warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
            return source if isinstance(source, DatasetSource) else resolve_dataset_source(str(source))
    except MlflowException as error:
        raise DataError(f"{source} is no path or URI that MLflow can read data from: {error}") from error


def files_digest(files: Iterable[Path], reader: str) -> str:
    """SHA-256 (hex) over files and ``reader``; of several files also their names in the folder that they share."""
    paths = list(files)
    root = os.path.commonpath(paths)
    digest = hashlib.sha256(f"sensie-files-1 {reader}\n".encode())
    for path in paths:
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(2**20):
                content.update(block)
        digest.update(f"{Path(os.path.relpath(path, root)).as_posix()}\n{content.hexdigest()}\n".encode())
    return digest.hexdigest()
