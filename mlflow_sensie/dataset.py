"""Examples: inputs as the model takes them, targets, columns; and the form in which they are perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import fresh_copy

Inputs = np.ndarray[Any, Any] | pd.DataFrame
Kind = Literal["tensor", "tabular", "text", "series"]
Container = Literal["array", "rows", "columns", "cells", "frame"]
CHUNK = 256  # fixed positions: the unit of perturbation and of randomness


@dataclass(frozen=True)
class Form:
    """How the model's inputs are turned into what a perturbation sees, and back.

    ``container`` says how the model takes its inputs: ``array`` (N-D, or 2-D and tabular), ``rows`` (flat
    rows of an array), ``columns`` (flat rows of a frame), ``cells`` (one frame column of arrays) or
    ``frame``. ``shape`` is that of one example for tensors and series, without the batch axis.
    """

    kind: Kind
    container: Container
    shape: tuple[int, ...] | None = None
    layout: str | None = None
    names: tuple[str, ...] = ()

    def decode(self, inputs: Inputs) -> Inputs:
        """Return a copy of ``inputs`` as perturbations see them: (n, *shape), or a frame of the features."""
        if self.kind in ("tabular", "text"):
            if isinstance(inputs, pd.DataFrame) or inputs.ndim == 1:
                copied: Inputs = fresh_copy(inputs)
                return copied
            return pd.DataFrame(np.array(inputs), columns=list(self.names))
        return self._as_array(inputs).astype(self._working_dtype(inputs), copy=True)

    def encode(self, values: Inputs, like: Inputs) -> Inputs:
        """Return ``values`` (what a perturbation gave back) in the container that the model takes."""
        if isinstance(like, np.ndarray):
            array = values.to_numpy(copy=True) if isinstance(values, pd.DataFrame) else values  # writable
            return array.reshape(len(array), *like.shape[1:])
        if self.kind in ("tabular", "text"):
            return values
        if self.container == "columns":
            flat = np.asarray(values).reshape(len(values), -1)
            return pd.DataFrame(flat, columns=like.columns, index=like.index)
        cells = pd.Series(list(np.asarray(values)), index=like.index, dtype=object)
        return pd.DataFrame({like.columns[0]: cells})

    def _as_array(self, inputs: Inputs) -> NDArray[Any]:
        if self.container == "cells":
            assert isinstance(inputs, pd.DataFrame)
            return np.stack([np.asarray(cell) for cell in inputs.iloc[:, 0]])
        array = inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs
        return array.reshape(len(array), *(self.shape or ()))

    def _working_dtype(self, inputs: Inputs) -> np.dtype[Any]:
        """Integers are perturbed as float32; the model's signature decides whether they are rounded back."""
        dtype = self._as_array(inputs[:1]).dtype
        return dtype if dtype.kind == "f" else np.dtype(np.float32)


@dataclass(frozen=True)
class Examples:
    """The examples of an evaluation: ``n`` rows of inputs, targets and metadata that belong together.

    ``inputs``: array (n, ...) or frame with n rows, as the model takes them. ``targets``: (n,) labels or
    values. ``metadata``: frame with n rows of columns that are no model inputs. ``ids``: (n,) identifies an
    example between runs, the row's position unless a key says otherwise.
    """

    inputs: Inputs
    targets: NDArray[Any]
    metadata: pd.DataFrame
    form: Form
    ids: NDArray[Any]

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, positions: NDArray[np.intp] | slice) -> Examples:
        """Return the examples at these positions, in this order."""
        return replace(
            self,
            inputs=rows(self.inputs, positions),
            targets=self.targets[positions],
            metadata=self.metadata.iloc[positions],
            ids=self.ids[positions],
        )

    def with_metadata(self, more: pd.DataFrame) -> Examples:
        """Return the examples with further columns (n rows) beside their metadata.

        Raises:
            DataError: a column is there already.
        """
        both = pd.concat([self.metadata, more], axis=1)
        _refuse_repeated(both)
        return replace(self, metadata=both)

    def column(self, name: str) -> pd.Series[Any] | None:
        """Return a metadata or feature column by name, or ``None`` where there is none."""
        features = self.inputs if self.form.kind in ("tabular", "text") else None
        for frame in (self.metadata, features):
            if isinstance(frame, pd.DataFrame):
                by_name = {str(key): key for key in frame.columns}  # names need not be text
                if name in by_name:
                    return frame[by_name[name]]
        if name in self.form.names and self.form.kind == "tabular":
            return pd.Series(self.inputs[:, self.form.names.index(name)], name=name)
        return None

    def column_names(self) -> list[str]:
        """Names that a property may use, metadata first."""
        return [str(name) for name in (*self.metadata.columns, *self.form.names)]


def rows(inputs: Inputs, positions: NDArray[np.intp] | slice) -> Inputs:
    """Return rows of an array or a frame by position."""
    # A frame of its own: pandas 2 warns those who write into a slice of another.
    return inputs.iloc[positions].copy(deep=False) if isinstance(inputs, pd.DataFrame) else inputs[positions]


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
    kind: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    features: Sequence[str] | None = None,
    wants_array: bool = False,
    flat: bool = False,
    names: Sequence[str] | None = None,
) -> Examples:
    """Return the examples that loose input describes.

    ``data``: array (n, ...), nested list, or DataFrame. ``targets``: (n,) labels or values, or one-hot
    (n, K). ``metadata``: frames of n rows with further columns. ``features`` are the model's own input names;
    other columns of a frame become metadata.
    ``input_shape`` is the shape of one example in flat rows. ``wants_array``: the model takes an array, so
    frames are turned into one; of ``input_shape``, or of rows where it takes them ``flat``. ``names`` name the
    columns of a 2-D array.

    Raises:
        DataError: lengths differ, targets are missing, rows do not fit the shape, the layout is ambiguous,
            two columns have one name, there are fewer than two examples.
    """
    inputs, extra = _split_metadata(data, features)
    labels = clean_targets(targets, len(inputs))
    for table in metadata:
        if len(table) != len(inputs):
            raise DataError(f"the property table has {len(table)} rows, the data {len(inputs)}; they must agree")
        extra = pd.concat([extra.reset_index(drop=True), table.reset_index(drop=True)], axis=1)
    _refuse_repeated(extra, inputs)
    if len(inputs) < 2:
        raise DataError(f"at least two examples are needed; {len(inputs)} came")
    if wants_array and isinstance(inputs, pd.DataFrame):
        names, inputs = list(map(str, inputs.columns)), _to_array(inputs)
    if input_shape is not None and not flat and wants_array and isinstance(inputs, np.ndarray) and inputs.ndim == 2:
        _check_row_length(inputs, input_shape)
        inputs = inputs.reshape(len(inputs), *input_shape)
    form = _find_form(inputs, kind, input_shape, layout, names)
    return Examples(inputs, labels, extra.reset_index(drop=True), form, np.arange(len(inputs)))


def _refuse_repeated(*frames: Any) -> None:
    for frame in frames:
        names = pd.Series(list(map(str, frame.columns)) if isinstance(frame, pd.DataFrame) else [], dtype=object)
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


def _split_metadata(data: Any, features: Sequence[str] | None) -> tuple[Inputs, pd.DataFrame]:
    if not isinstance(data, pd.DataFrame):
        array = np.asarray(data)
        if array.dtype == object and array.ndim == 1:
            array = np.stack([np.asarray(row) for row in array])
        return array, pd.DataFrame(index=range(len(array)))
    if not features or not set(map(str, features)) <= set(map(str, data.columns)):
        return data, pd.DataFrame(index=range(len(data)))
    wanted = set(map(str, features))
    by_name = {str(name): name for name in data.columns}
    rest = [name for name in data.columns if str(name) not in wanted]
    return data[[by_name[str(name)] for name in features]], data[rest]


def _find_form(
    inputs: Inputs,
    kind: str | None,
    shape: tuple[int, ...] | None,
    layout: str | None,
    names: Sequence[str] | None,
) -> Form:
    cells = isinstance(inputs, pd.DataFrame) and _is_cells(inputs)
    if isinstance(inputs, pd.DataFrame):
        found = _cell_shape(inputs) if cells else None
    else:
        found = inputs.shape[1:] if inputs.ndim > 2 else None
    if found is not None and shape not in (None, found):
        raise DataError(f"input_shape {shape} came, but the examples have the shape {found}")
    if found is None and shape is None:
        return _form_of_rows(inputs, kind, names)
    if found is None and shape is not None:
        _check_row_length(inputs, shape)
    shape = found or shape or ()
    if isinstance(inputs, np.ndarray):
        container: Container = "array" if inputs.ndim > 2 else "rows"
    else:
        container = "cells" if cells else "columns"
    if kind == "series" or (kind is None and len(shape) == 1):
        return Form("series", container, shape)
    return Form("tensor", container, shape, _find_layout(shape, layout))


def _form_of_rows(inputs: Inputs, kind: str | None, names: Sequence[str] | None) -> Form:
    if kind == "tensor":
        raise DataError("kind: tensor needs the shape of one example: input_shape, or a model with a tensor signature")
    if isinstance(inputs, pd.DataFrame):
        text = kind == "text" or (kind is None and _is_text(inputs))
        if kind == "text" and not any(_holds_strings(inputs[name]) for name in inputs.columns):
            names = ", ".join(map(str, inputs.columns[:8]))
            raise DataError(f"kind: text needs a column of strings; the columns are {names}")
        return Form("text" if text else "tabular", "frame", names=tuple(map(str, inputs.columns)))
    if inputs.ndim == 1 and inputs.dtype.kind in "OUT" and kind in (None, "text"):
        return Form("text", "array")
    if inputs.ndim == 1:
        raise DataError(f"inputs must have one row per example and at least one column; shape {inputs.shape} came")
    if kind == "series":
        return Form("series", "array", inputs.shape[1:])
    width = len(str(inputs.shape[1]))
    numbered = tuple(f"feature_{i + 1:0{width}d}" for i in range(inputs.shape[1]))
    return Form("tabular", "array", names=tuple(names) if names else numbered)


def _holds_strings(column: pd.Series[Any]) -> bool:
    present = column.dropna()
    return len(present) > 0 and all(isinstance(cell, str) for cell in present)


def _is_text(frame: pd.DataFrame) -> bool:
    """Whether the only column holds texts rather than categories: strings of three words or more on average."""
    if frame.shape[1] != 1:
        return False
    column = frame.iloc[:, 0]
    return _holds_strings(column) and float(np.mean([len(cell.split()) for cell in column.dropna()])) >= 3


def _to_array(frame: pd.DataFrame) -> NDArray[Any]:
    if _is_cells(frame):
        _cell_shape(frame)
        return np.stack([np.asarray(cell) for cell in frame.iloc[:, 0]])
    array = frame.to_numpy()
    if array.dtype == object:
        names = ", ".join(map(str, frame.columns[:8]))
        raise DataError(f"the model takes an array of numbers, but the data has the columns {names}")
    return array


def _is_cells(frame: pd.DataFrame) -> bool:
    return frame.shape[1] == 1 and len(frame) > 0 and isinstance(frame.iloc[0, 0], np.ndarray | list)


def _cell_shape(frame: pd.DataFrame) -> tuple[int, ...]:
    shapes = {np.shape(cell) for cell in frame.iloc[:, 0]}
    if len(shapes) > 1:
        came = ", ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"the arrays in column {frame.columns[0]!r} must have one shape; {came} came")
    found: tuple[int, ...] = shapes.pop()
    return found


def _check_row_length(inputs: Inputs, shape: tuple[int, ...]) -> None:
    width = int(np.prod(inputs.shape[1:]))
    if width != int(np.prod(shape)):
        raise DataError(
            f"input_shape {tuple(shape)} needs {int(np.prod(shape))} values per row; rows of {width} came"
            + (f" (columns {', '.join(map(str, inputs.columns[:3]))}, …)" if isinstance(inputs, pd.DataFrame) else "")
        )


def _find_layout(shape: tuple[int, ...], layout: str | None) -> str | None:
    """Settle the layout of (H, W) or three-axis examples; 1, 3 or 4 channels on one side decide.

    Examples of more axes have none: they are no images, and only a user's functions apply to them.
    """
    if len(shape) == 2:
        if layout not in (None, "NHW"):
            raise DataError(f"layout {layout} needs three axes; examples of shape {shape} came (NHW)")
        return "NHW"
    if layout in ("NHWC", "NCHW") and len(shape) == 3:
        return layout
    if layout is not None:
        raise DataError(f"layout {layout} does not fit examples of shape {shape}; NHW has 2 axes, NHWC and NCHW 3")
    if len(shape) != 3:
        return None
    first, last = shape[0] in (1, 3, 4), shape[-1] in (1, 3, 4)
    if first == last:
        raise DataError(f"the layout of examples of shape {shape} is ambiguous; say layout: NHWC or layout: NCHW")
    return "NHWC" if last else "NCHW"
