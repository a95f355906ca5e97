"""Data as it comes: arrays, frames, files and folders, with what belongs to them; not yet fitted to a model."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.images import decode_images, find_images
from mlflow_sensie.data.lazy_rows import BLOCK_ROWS, LazyRows, MappedRows, ParquetRows
from mlflow_sensie.data.types import Inputs
from mlflow_sensie.errors import DataError, did_you_mean

# Since pandas 3.1 numbers are read to the last digit without being asked for.
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if pd.__version__.startswith(("2.", "3.0.")) else {}
INPUTS, TARGETS, IDS = "inputs", "targets", "ids"  # names of arrays in a .npz file or a folder of .npy files
UNLABELLED = ""  # in place of a column of targets: there is none
ZONE = r"\d(?:Z|[+-]\d{2}:?\d{2})$"
DATES = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"


@dataclass(frozen=True)
class Data:
    """Inputs, targets and what belongs to them: n rows each.

    ``inputs``: array, nested list, frame, or rows stored elsewhere. ``targets``: (n,) or one-hot (n, K).
    ``target``: what the targets are called, "" where nobody says.
    ``properties``: frame of columns that are no model input. ``ids``: (n,) identify the examples.
    ``predictions``: what was predicted where no model is asked, (n,) or (n, K). ``files``: where all of it lies, if
    it was read from files.
    """

    inputs: Any
    targets: Any = None
    properties: pd.DataFrame | None = None
    ids: Any = None
    predictions: Any = None
    name: str = "data"
    files: tuple[Path, ...] = ()
    target: str = ""


def as_table(inputs: Any) -> Any:
    """Return several inputs by name, each (n, ...), as the columns of a frame; what is no dict as it is."""
    if not isinstance(inputs, Mapping):
        return inputs
    arrays = {name: np.asarray(values) for name, values in inputs.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"inputs by name need one length; {lengths} came")
    return pd.DataFrame({name: array if array.ndim == 1 else list(array) for name, array in arrays.items()})


def as_source(inputs: Any) -> Inputs | LazyRows:
    """Return inputs by rows: nested lists as an array."""
    return inputs if isinstance(inputs, LazyRows | pd.DataFrame | np.ndarray) else np.asarray(inputs)


def as_data(X: Any, y: Any = None, metadata: pd.DataFrame | None = None) -> Data:
    """Return what was given as data: arrays and frames as they are, or an MLflow Dataset's content.

    Raises:
        DataError: targets came twice, in the dataset and beside it; or a frame of Spark came.
    """
    data = getattr(X, "sensie_data", X)
    if any(type(frame).__module__.startswith("pyspark.") for frame in (X, getattr(X, "df", None))):
        raise DataError(
            "a frame of Spark came, of which MLflow would take the first 10,000 rows; write it to a folder, "
            "frame.write.parquet(path), and pass mlflow_sensie.from_parquet(path, targets)"
        )
    if not isinstance(data, Data) and hasattr(X, "to_evaluation_dataset"):
        data = _of_dataset(X)
    if not isinstance(data, Data):
        return Data(as_table(X), y, metadata, target=name_of(y))
    if y is not None:
        raise DataError("targets came twice: in the dataset, and as y")
    frames = [frame.reset_index(drop=True) for frame in (data.properties, metadata) if frame is not None]
    return replace(data, properties=pd.concat(frames, axis=1) if frames else None)


def _of_dataset(dataset: Any) -> Data:
    """The content of one of MLflow's own Datasets; its arrays may have any number of axes."""
    name, features, targets = str(dataset.name), getattr(dataset, "features", None), getattr(dataset, "targets", None)
    if isinstance(features, np.ndarray):
        return Data(features, targets, name=name)
    table = dataset.to_evaluation_dataset()
    called = str(table.targets_name or "")
    return Data(table.features_data, table.labels_data, predictions=table.predictions_data, name=name, target=called)


def name_of(targets: Any) -> str:
    """Return what a series of targets is called; "" where it is not, or by a number."""
    name = getattr(targets, "name", None)
    return name if isinstance(name, str) else ""


# --- files and folders -----------------------------------------------------------------------------------------


def read_data(path: str | Path, targets: str | None = None, *, version: int | None = None) -> Data:
    """Return the data in a file or folder; Parquet, .npy and images are left there, and read when asked for.

    ``targets`` names the column, or the array, that holds the right answers; ``UNLABELLED``: there are none. In a
    folder of images they are the names of its subfolders. ``version`` is that of a Delta table, by
    default the newest.

    Raises:
        DataError: there is no such file, it is of no kind that is read, or it has no such column.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    if path.is_dir():
        return replace(_read_folder(path, targets, version), name=path.name)
    if path.suffix not in READERS:
        known = f"{', '.join(READERS)}, {FOLDERS}"
        raise DataError(f"{path.name} is of no kind that is read; these are: {known}")
    return replace(READERS[path.suffix](path, targets), name=path.stem, files=(path,))


def _read_folder(path: Path, targets: str | None, version: int | None) -> Data:
    if is_delta(path):
        copy, folder = _copy_of_delta(path, version)
        return _of_parquet([copy], targets, folder)
    tables = sorted(path.glob("*.parquet"))
    arrays = {file.stem: file for file in sorted(path.glob("*.npy"))}
    if tables:
        return replace(_of_parquet(tables, targets), files=tuple(tables))
    if arrays:
        opened = {name: _open_npy(file) for name, file in arrays.items()}
        return replace(_of_arrays(opened, targets, path), files=tuple(arrays.values()))
    if targets not in (None, UNLABELLED):
        raise DataError(f"{path} is a folder of images, whose subfolders are the targets; leave targets out")
    return image_folder(path)


def image_folder(path: str | Path, size: tuple[int, int] | None = None, mode: str | None = None) -> Data:
    """Return the images in a folder's subfolders, which are their classes; decoded when they are asked for.

    ``size`` and ``mode`` as for ``decode_images``. The ids are the paths within the folder.
    """
    folder = Path(path)
    files, labels, _ = find_images(folder)
    images = pd.DataFrame({"image": list(map(str, files))})
    ids = [file.relative_to(folder).as_posix() for file in files]
    decoded = MappedRows(images, lambda frame: decode_images(frame["image"], size, mode))
    answers = np.array(labels, dtype=object)
    return Data(decoded, answers, ids=np.array(ids, dtype=object), name=folder.name, files=tuple(files))


def read_csv(path: str | Path) -> pd.DataFrame:
    """Return a CSV file as a frame: numbers to the last digit, columns of ISO dates as dates.

    Raises:
        DataError: it cannot be read.
    """
    try:
        frame: pd.DataFrame = pd.read_csv(path, **_EXACT)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    for name in frame.columns:
        present = frame[name].dropna()
        if not pd.api.types.is_numeric_dtype(frame[name].dtype) and len(present) and _are_dates(present):
            zoned = bool(present.str.contains(ZONE).any())
            frame[name] = pd.to_datetime(frame[name], format="ISO8601", utc=zoned)
    return frame


def _of_csv(path: Path, targets: str | None) -> Data:
    frame = read_csv(path)
    if targets == UNLABELLED:
        return Data(frame)
    answers = frame[choose_column(targets, list(frame.columns), path.name)].to_numpy()
    return Data(frame.drop(columns=targets), answers, target=targets or "")


def _are_dates(present: pd.Series[Any]) -> bool:
    return all(isinstance(cell, str) for cell in present) and bool(present.str.fullmatch(DATES).all())


def _of_parquet(paths: Sequence[Path], targets: str | None, owner: Any = None) -> Data:
    import pyarrow as pa

    try:
        rows = ParquetRows(paths)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{paths[0]} cannot be read as Parquet: {error}") from error
    if targets == UNLABELLED:
        return Data(ParquetRows(paths, owner=owner))
    wanted = choose_column(targets, list(rows.names), paths[0].name)
    column = rows.column(wanted)
    assert column is not None
    rest = [name for name in rows.names if name != wanted]
    return Data(ParquetRows(paths, rest, owner=owner), shared(column), target=wanted)


def shared(column: pd.Series[Any]) -> NDArray[Any]:
    """Return a column as (n,), texts as references to one text per value: eight bytes an example."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy()
    codes, values = pd.factorize(column)
    known: NDArray[Any] = np.array([*values.tolist(), None], dtype=object)
    return known[codes]


def choose_column(name: str | None, columns: list[Any], where: str) -> str:
    """Return the name of the column of targets.

    Raises:
        DataError: none was named, or there is no such column.
    """
    known = ", ".join(map(str, columns[:20])) + (", …" if len(columns) > 20 else "")
    if name is None:
        raise DataError(f"say which column of {where} holds the targets; its columns are {known}")
    if name not in columns:
        hint = did_you_mean(name, columns)
        raise DataError(f"{where} has no column {name!r} of targets{hint}; its columns are {known}")
    return name


# --- Delta tables, one version of each as it was, by the package ``deltalake`` and without Spark -----------------


def is_delta(path: str | Path) -> bool:
    """Whether a folder here is a Delta table."""
    return (Path(path) / "_delta_log").is_dir()


def latest_delta_version(path: str | Path) -> int:
    """Return the number of a table's newest version.

    Raises:
        DataError: it cannot be read, or ``deltalake`` is not installed.
    """
    with _open_delta(path, None) as table:
        return int(table.version())


def delta_ways(path: str | Path, version: int | None) -> list[Callable[[], pd.DataFrame]]:
    """What a source that MLflow logged may stand for, each to be read; MLflow does not write down version 0."""
    return [functools.partial(_read_delta, path, number) for number in ((None, 0) if version is None else (version,))]


def _read_delta(path: str | Path, version: int | None) -> pd.DataFrame:
    with _open_delta(path, version) as table:
        frame: pd.DataFrame = _delta_rows(table, path).to_table().to_pandas()
    return frame


def _copy_of_delta(path: Path, version: int | None) -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """Copy a version of a table (the newest by default) to a temporary Parquet file, a batch of rows at a time.

    Returns the file and its folder, which is deleted with the object that stands for it. The table's own
    files cannot be read instead: they may hold rows of other versions, and lack the columns that it is partitioned by.
    """
    import pyarrow.parquet as pq

    folder = tempfile.TemporaryDirectory(prefix="sensie-", ignore_cleanup_errors=True)
    copy = Path(folder.name) / f"{path.name}.parquet"
    with _open_delta(path, version) as table:
        rows = _delta_rows(table, path)
        with pq.ParquetWriter(copy, rows.schema) as file:
            for batch in rows.to_batches(batch_size=BLOCK_ROWS, batch_readahead=1, fragment_readahead=1):
                file.write_batch(batch)
    return copy, folder


@contextlib.contextmanager
def _open_delta(path: str | Path, version: int | None) -> Iterator[Any]:
    """Say what fails in one way: a log that is no log, a version that is not there, files that were vacuumed away."""
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise DataError(f"{path} is a Delta table; install deltalake to read it: pip install deltalake") from error
    import pyarrow as pa

    try:
        yield DeltaTable(path, version=version)
    except (DeltaError, OSError, pa.lib.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a Delta table: {error}") from error


def _delta_rows(table: Any, path: str | Path) -> Any:
    from deltalake.exceptions import DeltaError

    try:
        return table.to_pyarrow_dataset()
    except DeltaError as error:  # deletion vectors, mapped columns
        raise DataError(f"{path} needs what deltalake cannot read: {error}; write it anew as Parquet") from error


# --- arrays ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say why arrays cannot be read; Python objects among them never are, for reading those runs code."""
    try:
        yield
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        why = str(error)
        if "pickle" in why.lower() or "Python objects" in why:
            remedy = "save texts as np.array(…, dtype=str)"
            why = f"it holds Python objects, which are never read, for that runs code; {remedy}"
        raise DataError(f"{path} cannot be read: {why}") from error


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with _readable(path), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _open_npy(path: Path) -> NDArray[Any]:
    """An array that stays in its file, mapped into memory."""
    with _readable(path):
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _of_arrays(arrays: Mapping[str, NDArray[Any]], targets: str | None, path: Path) -> Data:
    """Inputs, targets, ids and properties from arrays by name.

    The inputs are the array called ``inputs``, else the only one of two axes or more beside the targets, which are
    called ``targets`` unless said otherwise; arrays of one axis are ids (if they are called so) and properties.
    """
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    targets = TARGETS if targets is None and TARGETS in arrays else targets
    if targets != UNLABELLED and (targets is None or targets not in arrays):
        missing = f"there is no array {targets!r} of targets{did_you_mean(targets, arrays)}"
        came = "say which array holds the targets" if targets is None else missing
        raise DataError(f"{path.name}: {came}; it holds {shapes}")
    rest = {name: array for name, array in arrays.items() if name != targets}
    wide = [name for name, array in rest.items() if array.ndim > 1]
    chosen = [INPUTS] if INPUTS in rest else wide
    if len(chosen) != 1:
        raise DataError(
            f"{path.name}: one array of the inputs is needed, called {INPUTS!r} or the only wide one; {shapes}"
        )
    beside = {name: array for name, array in rest.items() if name not in chosen}
    n = len(rest[chosen[0]])
    odd = [name for name, array in beside.items() if array.shape != (n,)]
    if odd:
        raise DataError(
            f"{path.name}: {odd[0]!r} is no property of the {n} examples: its shape is {beside[odd[0]].shape}"
        )
    ids = beside.pop(IDS, None)
    properties = pd.DataFrame({name: np.asarray(array) for name, array in beside.items()}) if beside else None
    answers = None if targets == UNLABELLED else np.asarray(arrays[targets])
    return Data(rest[chosen[0]], answers, properties, ids)


# How each kind of file is read: path and name of the targets → data. A further kind is one line here.
READERS: Mapping[str, Callable[[Path, str | None], Data]] = MappingProxyType(
    {
        ".parquet": lambda path, targets: _of_parquet([path], targets),
        ".csv": _of_csv,
        ".npz": lambda path, targets: _of_arrays(_read_npz(path), targets, path),
    }
)
FOLDERS = "a folder of .parquet or .npy files, a Delta table, or a folder of images in subfolders"
