"""Examples: inputs as the model takes them, targets, columns; in memory, or read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

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
from mlflow_sensie.data.lazy_rows import InMemoryRows, LazyRows, MappedRows, RowSubset
from mlflow_sensie.data.types import Inputs, Positions, named_column
from mlflow_sensie.errors import DataError

CHUNK = 256  # fixed positions: the unit of perturbation and of randomness
SMALL = 256 * 2**20  # bytes: a sample of what is stored elsewhere is read at once up to here


@dataclass(frozen=True)
class Examples:
    """The examples of an evaluation: ``n`` rows of inputs, targets and metadata that belong together.

    ``source``: array (n, ...) or frame with n rows, as the model takes them, or where such rows are read from.
    ``targets``: (n,) labels or values. ``metadata``: frame with n rows of columns that are no model inputs.
    ``ids``: (n,) identifies an example between runs, the row's position unless the data says otherwise.
    """

    source: Inputs | LazyRows
    targets: NDArray[Any]
    metadata: pd.DataFrame
    input_format: InputFormat
    ids: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)

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
            DataError: a column is there already.
        """
        examples = replace(self, metadata=pd.concat([self.metadata, more], axis=1))
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
    head = rows(inputs, slice(0, CHUNK))
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


# --- from loose input to Examples --------------------------------------------------------------------------


def make_examples(
    data: Any,
    targets: Any,
    *,
    metadata: Sequence[pd.DataFrame] = (),
    ids: Any = None,
    kind: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    features: Sequence[str] | None = None,
    wants_array: bool = False,
    flat: bool = False,
    names: Sequence[str] | None = None,
) -> Examples:
    """Return the examples that loose input describes.

    ``data``: array (n, ...), nested list, DataFrame, or rows stored elsewhere. ``targets``: (n,) labels or values,
    or one-hot (n, K). ``metadata``: frames of n rows with further columns. ``ids``: (n,) different values.
    ``features`` are the model's own input names; other columns of a frame become metadata.
    ``input_shape`` is the shape of one example in flat rows. ``wants_array``: the model takes an array, so
    frames are turned into one, images are decoded; of ``input_shape``, or of rows where it takes them ``flat``.
    ``names`` name the columns of a 2-D array.

    Raises:
        DataError: lengths differ, targets are missing, rows do not fit the shape, the layout is ambiguous,
            two columns have one name, there are fewer than two examples.
    """
    inputs, extra = _split_metadata(data, features, arrays=wants_array or kind == "tensor")
    n = len(inputs)
    labels = clean_targets(targets, n)
    for table in metadata:
        if len(table) != n:
            raise DataError(f"the property table has {len(table)} rows, the data {n}; they must agree")
        extra = pd.concat([extra.reset_index(drop=True), table.reset_index(drop=True)], axis=1)
    others = inputs.others if isinstance(inputs, LazyRows) else ()
    _refuse_repeated([*others, *_names_of(extra)], _names_of(inputs))
    if n < 2:
        raise DataError(f"at least two examples are needed; {n} came")
    if wants_array and not isinstance(inputs, np.ndarray) and _names_of(inputs):
        names = _names_of(inputs)
    if _is_encoded(inputs, arrays=wants_array or (kind == "tensor" and not features)):
        inputs = MappedRows(
            inputs if isinstance(inputs, LazyRows) else InMemoryRows(cast(pd.DataFrame, inputs)), _decode
        )
    decoded = isinstance(inputs, LazyRows) and not inputs.names
    shape = input_shape if decoded or (wants_array and not flat) else None
    source = _convert(inputs, lambda part: _as_model_wants(part, wants_array, shape, decoded))
    head = rows(source, slice(0, CHUNK)) if isinstance(source, LazyRows) else source
    input_format = find_input_format(head, kind, input_shape, layout, _column_names(head, names, features))
    return Examples(source, labels, extra.reset_index(drop=True), input_format, _clean_ids(ids, n))


def _column_names(head: Inputs, names: Sequence[str] | None, features: Sequence[str] | None) -> Sequence[str] | None:
    """Names for the columns of an array: as said, else the model's own, if it has as many."""
    width = head.shape[1] if isinstance(head, np.ndarray) and head.ndim == 2 else 0
    unsaid = names is None or list(names) == list(numbered(width))
    return features if unsaid and features and len(features) == width else names


def _convert(inputs: Inputs | LazyRows, convert: Callable[[Inputs], Inputs]) -> Inputs | LazyRows:
    """Convert inputs: those in memory now, others when they are read."""
    return MappedRows(inputs, convert) if isinstance(inputs, LazyRows) else convert(inputs)


def _as_model_wants(inputs: Inputs, wants_array: bool, shape: tuple[int, ...] | None, decoded: bool) -> Inputs:
    """Turn a frame into an array for a model that wants one, and flat rows into examples of their ``shape``.

    An axis of one channel is put in; the channels of a ``decoded`` image, which are last, go where they are wanted.
    """
    if wants_array and isinstance(inputs, pd.DataFrame):
        inputs = _to_array(inputs)
    if shape is None or not isinstance(inputs, np.ndarray):
        return inputs
    if inputs.ndim == 2:
        check_row_length(inputs, shape)
        return inputs.reshape(len(inputs), *shape)
    own = inputs.shape[1:]
    if decoded and len(own) == len(shape) == 3 and shape == (own[2], *own[:2]) != own:
        return inputs.transpose(0, 3, 1, 2)
    one_channel = len(own) == 2 and shape in ((*own, 1), (1, *own))
    return inputs.reshape(len(inputs), *shape) if one_channel else inputs


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


def _refuse_repeated(*tables: Sequence[str]) -> None:
    for table in tables:
        names = pd.Series(list(table), dtype=object)
        repeated = names[names.duplicated()]
        if len(repeated):
            raise DataError(f"each column needs a name of its own; {repeated.iloc[0]!r} came more than once")


def clean_targets(targets: Any, n: int) -> NDArray[Any]:
    """Return targets as (n,): one-hot rows as class numbers, whole floats left to the scorer.

    Raises:
        DataError: none came, their number differs from ``n``, some are missing, or rows are not one-hot.
    """
    if targets is None:
        raise DataError("no targets came; sensitivity is measured on the correct answer, so targets are needed")
    labels = np.asarray(targets)
    if labels.dtype == object and len(labels) and isinstance(labels[0], list | tuple | np.ndarray):
        labels = np.stack([np.asarray(row) for row in labels])
    if len(labels) != n:
        raise DataError(f"{n} examples but {len(labels)} targets came; they must agree")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError(
                f"targets of shape {labels.shape} are not one-hot (each row one 1, else 0); multi-label and "
                "multi-output targets are not supported"
            )
        labels = labels.argmax(axis=1)
    missing = int(pd.isna(labels).sum())
    if missing:
        raise DataError(f"{missing} of {n} targets are missing; drop those rows or fill them in")
    # Nullable numbers come as objects.
    return pd.Series(labels).infer_objects().to_numpy() if labels.dtype == object else labels


def _split_metadata(
    data: Any, features: Sequence[str] | None, *, arrays: bool
) -> tuple[Inputs | LazyRows, pd.DataFrame]:
    """Part the model's inputs from other columns: by ``features``; else by what can be an array, if that is wanted."""
    if not isinstance(data, pd.DataFrame | LazyRows):
        array = np.asarray(data)
        if array.dtype == object and array.ndim == 1:
            array = stack(array)
        return array, pd.DataFrame(index=range(len(array)))
    columns = _names_of(data)
    wanted = list(map(str, features or ()))
    if not wanted and arrays and len(columns) > 1:
        wanted = _array_column(data)
    if not wanted or not set(wanted) <= set(columns):
        return data, pd.DataFrame(index=range(len(data)))
    if isinstance(data, LazyRows):
        return data.only(wanted), pd.DataFrame(index=range(len(data)))
    by_name = {str(name): name for name in data.columns}
    rest = [name for name in data.columns if str(name) not in set(wanted)]
    return data[[by_name[name] for name in wanted]], data[rest]


def _array_column(data: pd.DataFrame | LazyRows) -> list[str]:
    """The only column of arrays, encoded images or their paths, if there is just one."""
    head = rows(data, slice(0, CHUNK))
    assert isinstance(head, pd.DataFrame)
    encoded = image_column(head)
    names = [str(name) for name in head.columns if holds_arrays(head[name]) or name == encoded]
    return names if len(names) == 1 else []


def _is_encoded(inputs: Inputs | LazyRows, *, arrays: bool) -> bool:
    """Whether the inputs are one column of encoded images or their paths, and arrays are wanted."""
    head = rows(inputs, slice(0, CHUNK)) if arrays and len(_names_of(inputs)) == 1 else None
    return isinstance(head, pd.DataFrame) and image_column(head) is not None


def _decode(frame: pd.DataFrame) -> NDArray[Any]:
    return decode_images(frame.iloc[:, 0])


def _to_array(frame: pd.DataFrame) -> NDArray[Any]:
    if is_cells(frame):
        return stack(frame.iloc[:, 0])
    array = frame.to_numpy()
    if array.dtype == object:
        names = ", ".join(map(str, frame.columns[:8]))
        raise DataError(f"the model takes an array of numbers, but the data has the columns {names}")
    return array
