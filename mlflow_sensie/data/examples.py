"""Examples: inputs as the model takes them, targets, columns; in memory, or read when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.images import decode_images, image_column
from mlflow_sensie.data.input_format import (
    InputFormat,
    as_cell,
    check_row_length,
    find_input_format,
    holds_arrays,
    is_cells,
    numbered,
    stack,
)
from mlflow_sensie.data.lazy_rows import LazyRows, MappedRows, RowSubset
from mlflow_sensie.data.sources import Data
from mlflow_sensie.data.types import Inputs, Positions, as_objects, as_vectors, named_column
from mlflow_sensie.errors import DataError

CHUNK = 256  # examples that are looked at to tell what the others are like
SMALL = 256 * 2**20  # bytes: a sample of what is stored elsewhere is read at once up to here
Takes = Literal["frame", "array", "rows"]
TargetsAs = Literal["labels", "any", "labels or none"]


@dataclass(frozen=True)
class Examples:
    """The examples of an evaluation: ``n`` rows of inputs, targets and metadata that belong together.

    ``source``: array (n, ...) or frame with n rows, as the model takes them, or where such rows are read from.
    ``targets``: (n,) labels or values, or n rows of whatever a user's score takes; (n,) times ``None``: none.
    ``metadata``: frame with n rows of columns that are no model inputs.
    ``ids``: (n,) identifies an example between runs, the row's position unless the data says otherwise.
    ``target``: what the targets are called, "" where nobody says.
    """

    source: Inputs | LazyRows
    targets: NDArray[Any]
    metadata: pd.DataFrame
    input_format: InputFormat
    ids: NDArray[Any]
    target: str = ""

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def labels(self) -> NDArray[Any] | None:
        """The targets where they are labels or values (n,), else ``None``."""
        return self.targets if are_labels(self.targets) else None

    @property
    def inputs(self) -> Inputs:
        """All inputs, in memory: (n, ...) or a frame with n rows. For chunks and heads use ``take``."""
        return rows(self.source, slice(None))

    def take(self, positions: Positions) -> Examples:
        """Return the examples at these positions, in this order, in memory."""
        return self._part(rows(self.source, positions), positions)

    def select(self, positions: NDArray[np.intp]) -> Examples:
        """Return the examples at these positions like ``take``, but leave many that are stored elsewhere there."""
        if not isinstance(self.source, LazyRows):
            return self.take(positions)
        source = RowSubset(self.source, positions)
        if row_bytes(self.source) * len(positions) > SMALL:
            return self._part(source, positions)
        columns = [source.column(name) for name in source.others]
        part = self._part(source.take(slice(None)), positions)
        others = [column.set_axis(part.metadata.index) for column in columns if column is not None]
        return replace(part, metadata=pd.concat([*others, part.metadata], axis=1))

    def _part(self, source: Inputs | LazyRows, positions: Positions) -> Examples:
        return replace(
            self,
            source=source,
            targets=self.targets[positions],
            metadata=self.metadata.iloc[positions],
            ids=self.ids[positions],
        )

    def with_metadata(self, more: pd.DataFrame) -> Examples:
        """Return the examples with further columns (n rows) beside their metadata.

        Raises:
            DataError: a column is there already, or there are more or fewer rows.
        """
        if len(more) != len(self):
            raise DataError(f"the property table has {len(more)} rows, the data {len(self)}; they must agree")
        examples = replace(self, metadata=pd.concat([self.metadata, more.reset_index(drop=True)], axis=1))
        _refuse_repeated(examples.extra_names())
        return examples

    def column(self, name: str) -> pd.Series[Any] | None:
        """Return a metadata or feature column by name, or ``None`` where there is none."""
        features = self.input_format.kind in ("tabular", "text")
        source = self.source
        for frame in (self.metadata, source if features else None):
            if (column := named_column(frame, name)) is not None:
                return column
        if isinstance(source, LazyRows):
            return source.column(name) if features or name in source.others else None
        if name in self.input_format.names and self.input_format.kind == "tabular":
            return pd.Series(source[:, self.input_format.names.index(name)], name=name)
        return None

    def column_names(self) -> list[str]:
        """Names that a property may use, metadata first."""
        return [*self.extra_names(), *map(str, self.input_format.names)]

    def extra_names(self) -> list[str]:
        """Names of the columns that are no model inputs."""
        others = self.source.others if isinstance(self.source, LazyRows) else ()
        return [str(name) for name in (*others, *self.metadata.columns)]


def rows(inputs: Inputs | LazyRows, positions: Positions) -> Inputs:
    """Return rows of an array or a frame by position, read where they lie elsewhere."""
    if isinstance(inputs, LazyRows):
        return inputs.take(positions)
    # A frame of its own: pandas 2 warns those who write into a slice of another.
    return inputs.iloc[positions].copy(deep=False) if isinstance(inputs, pd.DataFrame) else inputs[positions]


def row_bytes(inputs: Inputs | LazyRows) -> int:
    """Bytes of one row in memory, on average over the first chunk."""
    head = _head(inputs)
    if isinstance(head, np.ndarray):
        return max(1, head.nbytes // len(head))
    arrays = [name for name in range(head.shape[1]) if holds_arrays(head.iloc[:, name])]
    # pandas does not count what a cell is a view of.
    views = sum(as_cell(cell).nbytes for name in arrays for cell in head.iloc[:, name])
    return max(1, int(head.memory_usage(deep=True).sum() + views) // len(head))


def concat(parts: Sequence[Inputs]) -> Inputs:
    """Stack parts of one container into one, for a packed predict call."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(cast("list[pd.DataFrame]", parts), ignore_index=True)
    return np.concatenate(cast("list[NDArray[Any]]", parts))


def make_examples(
    data: Data,
    *,
    kind: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    takes: Takes = "frame",
    features: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    targets: TargetsAs = "labels",
) -> Examples:
    """Return the examples that data as it comes describes.

    ``kind``, ``input_shape`` (of one example, in flat rows) and ``layout`` are what the recipe says of the inputs.
    ``takes``: a model that takes an ``array``, of ``input_shape``, or flat ``rows`` of one has frames turned into it
    and images decoded. ``features`` are its own input names; other columns of a frame become metadata. ``names``
    name the columns of a 2-D array. ``targets``: what is wanted of them, as for ``clean_targets``.

    Raises:
        DataError: lengths differ, targets are missing, rows do not fit the shape, the layout is ambiguous,
            two columns have one name, there are fewer than two examples.
    """
    arrays = takes != "frame"
    inputs, metadata = _split_metadata(data.inputs, features, arrays=arrays or kind == "tensor")
    n, columns = len(inputs), _names_of(inputs)
    answers = clean_targets(data.targets, n, targets)
    _refuse_repeated(columns)
    if n < 2:
        raise DataError(f"at least two examples are needed; {n} came")
    if (
        len(columns) == 1
        and (arrays or (kind == "tensor" and not features))
        and image_column(_head(inputs)) is not None
    ):
        inputs = MappedRows(cast("LazyRows | pd.DataFrame", inputs), lambda frame: decode_images(frame.iloc[:, 0]))
    decoded = isinstance(inputs, LazyRows) and not inputs.names
    shape = input_shape if decoded or takes == "array" else None

    def convert(part: Inputs) -> Inputs:
        return _as_model_wants(part, arrays, shape, decoded)

    source = MappedRows(inputs, convert) if isinstance(inputs, LazyRows) else convert(inputs)
    head = _head(source) if isinstance(source, LazyRows) else source
    known = _column_names(head, (columns if arrays else None) or names, features)
    input_format = find_input_format(head, kind, input_shape, layout, known)
    ids, metadata = _clean_ids(data.ids, n), metadata.reset_index(drop=True)
    examples = Examples(source, answers, metadata, input_format, ids, data.target)
    return examples.with_metadata(pd.DataFrame(index=range(n)) if data.properties is None else data.properties)


def _head(inputs: Inputs | LazyRows) -> Any:
    return rows(inputs, slice(0, CHUNK))


def _column_names(head: Inputs, names: Sequence[str] | None, features: Sequence[str] | None) -> Sequence[str] | None:
    """Names for the columns of an array: as said, else the model's own, if it has as many."""
    width = head.shape[1] if isinstance(head, np.ndarray) and head.ndim == 2 else 0
    unsaid = names is None or list(names) == list(numbered(width))
    return features if unsaid and features and len(features) == width else names


def _as_model_wants(inputs: Inputs, array: bool, shape: tuple[int, ...] | None, decoded: bool) -> Inputs:
    """Turn a frame into an array for a model that wants one, and flat rows into examples of their ``shape``.

    An axis of one channel is put in; the channels of a ``decoded`` image, which are last, go where they are wanted.
    """
    if array and isinstance(inputs, pd.DataFrame):
        columns = ", ".join(map(str, inputs.columns[:8]))
        inputs = stack(inputs.iloc[:, 0]) if is_cells(inputs) else inputs.to_numpy()
        if inputs.dtype == object:
            raise DataError(f"the model takes an array of numbers, but the data has the columns {columns}")
    if shape is None or not isinstance(inputs, np.ndarray):
        return inputs
    own = inputs.shape[1:]
    if inputs.ndim == 2:
        check_row_length(inputs, shape)
    elif decoded and len(own) == len(shape) == 3 and shape == (own[2], *own[:2]) != own:
        return inputs.transpose(0, 3, 1, 2)
    elif len(own) != 2 or shape not in ((*own, 1), (1, *own)):  # no axis of one channel to put in
        return inputs
    return inputs.reshape(len(inputs), *shape)


def _names_of(inputs: Inputs | LazyRows) -> list[str]:
    if isinstance(inputs, LazyRows):
        return list(inputs.names)
    return list(map(str, inputs.columns)) if isinstance(inputs, pd.DataFrame) else []


def _clean_ids(ids: Any, n: int) -> NDArray[Any]:
    """Return the ids as (n,), the positions where none came."""
    if ids is None:
        return np.arange(n)
    array = np.asarray(ids)
    if array.shape != (n,):
        raise DataError(f"ids: one for each of the {n} examples is needed; an array of shape {array.shape} came")
    repeated = pd.Series(array)[pd.Series(array).duplicated()]
    if len(repeated) or pd.isna(array).any():
        what = f"{repeated.iloc[0]!r} came more than once" if len(repeated) else "some are missing"
        raise DataError(f"ids: each example needs an id of its own; {what}")
    return array


def _refuse_repeated(columns: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise DataError(f"each column needs a name of its own; {repeated[0]!r} came more than once")


def clean_targets(targets: Any, n: int, wanted: TargetsAs = "labels") -> NDArray[Any]:
    """Return targets as (n,): one-hot rows as class numbers, whole floats left to the scorer.

    ``any`` targets are left as they are, with n rows, for a user's score: arrays (n, ...), structured ones and frames,
    which become such, or (n,) objects. Where there are to be ``labels or none``, none are (n,) times ``None``.

    Raises:
        DataError: none came, their number differs from ``n``, some are missing, or rows are not one-hot.
    """
    if targets is None and wanted == "labels or none":
        return np.full(n, None, dtype=object)
    if targets is None:
        raise DataError(
            "no targets came; sensitivity is measured on the correct answer, so targets are needed "
            "(score: agreement needs none: it is with the model's own clean answer)"
        )
    labels = _as_rows(targets) if wanted == "any" else np.asarray(targets)
    if labels.dtype == object and len(labels) and isinstance(labels[0], list | tuple | np.ndarray) and wanted != "any":
        labels = stack(labels)
    if labels.ndim == 0 or len(labels) != n:
        came = len(labels) if labels.ndim else "no"
        raise DataError(f"{n} examples but {came} targets came; they must agree")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if wanted == "any" and not are_labels(labels):
        return labels
    if labels.ndim == 2:
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError(
                f"targets of shape {labels.shape} are not one-hot (each row one 1, else 0); multi-label and "
                "multi-output targets are for a score function (predictions, targets) → (n,) of your own"
            )
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "V" or labels.ndim > 1:
        raise DataError(
            f"targets of shape {labels.shape} and type {labels.dtype} are no labels or values (n,); what they are is "
            "known to a score function (predictions, targets) → (n,) of your own alone"
        )
    if missing := int(pd.isna(labels).sum()):
        raise DataError(f"{missing} of {n} targets are missing; drop those rows or fill them in")
    # Nullable numbers come as objects.
    return pd.Series(labels).infer_objects().to_numpy() if labels.dtype == object else labels


def _as_rows(targets: Any) -> NDArray[Any]:
    """Targets of any form as an array of rows; a frame's rows have its columns as fields."""
    if isinstance(targets, pd.DataFrame) and targets.shape[1] > 1:
        return np.asarray(targets.to_records(index=False))
    array = as_objects(targets) if isinstance(targets, list | tuple) else np.asarray(targets)
    if array.dtype != object or array.ndim != 1 or not len(array):
        return array
    if isinstance(array[0], np.ndarray):
        equal = len({np.shape(row) for row in array}) == 1
        return np.stack(list(array)) if equal else array
    vectors = as_vectors(array)
    return array if vectors is None else vectors


def are_labels(targets: NDArray[Any]) -> bool:
    """Whether targets are labels or values (n,), and not whatever else a user's score takes."""
    if targets.ndim != 1 or targets.dtype.kind == "V":
        return False
    return targets.dtype != object or not any(row is None or np.ndim(row) or isinstance(row, dict) for row in targets)


def _split_metadata(
    data: Any, features: Sequence[str] | None, *, arrays: bool
) -> tuple[Inputs | LazyRows, pd.DataFrame]:
    """Part the model's inputs from other columns: by ``features``; else by what can be an array, if that is wanted."""
    inputs = data if isinstance(data, pd.DataFrame | LazyRows) else np.asarray(data)
    if isinstance(inputs, np.ndarray) and inputs.dtype == object and inputs.ndim == 1:
        inputs = stack(inputs)
    columns, rest = _names_of(inputs), pd.DataFrame(index=range(len(inputs)))
    wanted = list(map(str, features or (_array_column(_head(inputs)) if arrays and len(columns) > 1 else ())))
    if isinstance(inputs, np.ndarray) or not wanted or not set(wanted) <= set(columns):
        return inputs, rest
    if isinstance(inputs, LazyRows):
        return inputs.only(wanted), rest
    by_name = dict(zip(columns, inputs.columns, strict=True))
    others = [name for name in inputs.columns if str(name) not in wanted]
    return inputs[[by_name[name] for name in wanted]], inputs[others]


def _array_column(head: pd.DataFrame) -> list[str]:
    """The only column of arrays, encoded images or their paths, if there is just one."""
    encoded = image_column(head)
    names = [str(name) for name in head.columns if holds_arrays(head[name]) or name == encoded]
    return names if len(names) == 1 else []
