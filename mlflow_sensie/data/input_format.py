"""Input formats: how a model takes its inputs, what perturbations see of them, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.images import decode_images, encode_images, is_image
from mlflow_sensie.data.types import Inputs, fresh_copy
from mlflow_sensie.errors import DataError

Kind = Literal["tensor", "tabular", "text", "series"]
Container = Literal["array", "rows", "columns", "cells", "encoded", "frame"]
SOME = 256  # encoded images that are decoded to see their shape


@dataclass(frozen=True)
class InputFormat:
    """How the model's inputs are turned into what a perturbation sees, and back.

    ``container`` says how the model takes its inputs: ``array`` (N-D, or 2-D and tabular), ``rows`` (flat
    rows of an array), ``columns`` (flat rows of a frame), ``cells`` (one frame column of arrays), ``encoded``
    (one frame column of encoded images) or ``frame``. ``shape`` is that of one example for tensors and series,
    without the batch axis.
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
        values = self.as_array(inputs)
        # Integers are perturbed as float32; the model's signature decides whether they are rounded back.
        return values.astype(values.dtype if values.dtype.kind == "f" else np.float32, copy=True)

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
        array = np.asarray(values)
        if self.container == "encoded":
            cells: list[Any] = encode_images(array)
        else:
            cells = list(array.reshape(len(array), *as_cell(like.iloc[0, 0]).shape))
        return pd.DataFrame({like.columns[0]: pd.Series(cells, index=like.index, dtype=object)})

    def as_array(self, inputs: Inputs) -> NDArray[Any]:
        """Return tensors or series as they are stored, (n, *shape)."""
        if self.container in ("cells", "encoded"):
            assert isinstance(inputs, pd.DataFrame)
            array = (stack if self.container == "cells" else decode_images)(inputs.iloc[:, 0])
        else:
            array = inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs
        return array.reshape(len(array), *(self.shape or ()))


def stack(cells: Any) -> NDArray[Any]:
    """Return cells that hold arrays or nested lists of one shape as one array (n, ...).

    Raises:
        DataError: the shapes differ, or cells are missing.
    """
    arrays = [as_cell(cell) for cell in cells]
    _one_shape(arrays, getattr(cells, "name", None))
    return np.stack(arrays)


def _one_shape(cells: Sequence[NDArray[Any]], name: Any) -> tuple[int, ...]:
    without = sum(cell.ndim == 0 for cell in cells)
    if without not in (0, len(cells)):
        raise DataError(f"{without} of {len(cells)} cells in column {name!r} hold no array; drop those rows")
    shapes = sorted({cell.shape for cell in cells})
    if len(shapes) > 1:
        came = ", ".join(map(str, shapes[:3]))
        raise DataError(f"the arrays in column {name!r} must have one shape; {came} came")
    return shapes[0]


def as_cell(cell: Any) -> NDArray[Any]:
    """Return a cell as one array; Parquet files give nested lists as arrays of arrays."""
    array = np.asarray(cell)
    if array.dtype == object and array.ndim == 1 and len(array) and isinstance(array[0], np.ndarray | list):
        return stack(array)
    return array


def is_cells(frame: pd.DataFrame) -> bool:
    """Whether a frame is one column of arrays or lists."""
    return frame.shape[1] == 1 and len(frame) > 0 and holds_arrays(frame.iloc[:, 0])


def holds_arrays(column: pd.Series[Any]) -> bool:
    """Whether the first cell that is not missing is an array or a list."""
    if column.dtype != object:
        return False
    for cell in column:
        if isinstance(cell, np.ndarray | list):
            return True
        if cell is not None and cell is not pd.NA and cell == cell:
            return False
    return False


# --- which format inputs have --------------------------------------------------------------------------------


def find_input_format(
    inputs: Inputs,
    kind: str | None = None,
    shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    names: Sequence[str] | None = None,
) -> InputFormat:
    """Return the format of some inputs, of which ``kind``, ``shape`` and ``layout`` are what is known of them.

    Raises:
        DataError: rows do not fit the shape, or the layout is ambiguous.
    """
    container = _container(inputs, kind)
    own = _own_shape(inputs, container)
    flat = container == "cells" and shape is not None and own == (int(np.prod(shape)),)
    if shape not in (None, own) and own is not None and not flat:
        raise DataError(f"input_shape {shape} came, but the examples have the shape {own}")
    if own is None and shape is None:
        return _format_of_rows(inputs, kind, names)
    if own is None and shape is not None:
        check_row_length(inputs, shape)
    shape = shape or own or ()
    if kind == "series" or (kind is None and len(shape) == 1):
        return InputFormat("series", container, shape)
    return InputFormat("tensor", container, shape, _find_layout(shape, layout))


def _container(inputs: Inputs, kind: str | None) -> Container:
    if isinstance(inputs, np.ndarray):
        return "array" if inputs.ndim > 2 else "rows"
    if is_cells(inputs):
        return "cells"
    encoded = inputs.shape[1] == 1 and len(inputs) > 0 and kind in (None, "tensor") and is_image(inputs.iloc[0, 0])
    if encoded and kind == "tensor" and isinstance(inputs.iloc[0, 0], str):
        raise DataError(
            f"the model opens the paths in column {inputs.columns[0]!r} itself, so its images cannot be perturbed; "
            "evaluate a model or a function that takes arrays"
        )
    return "encoded" if encoded and not isinstance(inputs.iloc[0, 0], str) else "columns"


def _own_shape(inputs: Inputs, container: Container) -> tuple[int, ...] | None:
    """The shape of one example where the inputs tell it themselves."""
    if isinstance(inputs, np.ndarray):
        return inputs.shape[1:] if inputs.ndim > 2 else None
    if container == "cells":
        column = inputs.iloc[:, 0]
        return _one_shape([as_cell(cell) for cell in column], column.name)
    return decode_images(inputs.iloc[:SOME, 0]).shape[1:] if container == "encoded" else None


def _format_of_rows(inputs: Inputs, kind: str | None, names: Sequence[str] | None) -> InputFormat:
    if kind == "tensor":
        raise DataError("kind: tensor needs the shape of one example: input_shape, or a model with a tensor signature")
    if isinstance(inputs, pd.DataFrame):
        text = kind == "text" or (kind is None and _is_text(inputs))
        if kind == "text" and not any(_holds_strings(inputs[name]) for name in inputs.columns):
            names = ", ".join(map(str, inputs.columns[:8]))
            raise DataError(f"kind: text needs a column of strings; the columns are {names}")
        return InputFormat("text" if text else "tabular", "frame", names=tuple(map(str, inputs.columns)))
    if inputs.ndim == 1 and inputs.dtype.kind in "OUT" and kind in (None, "text"):
        return InputFormat("text", "array")
    if inputs.ndim == 1:
        raise DataError(f"inputs must have one row per example and at least one column; shape {inputs.shape} came")
    if kind == "series":
        return InputFormat("series", "array", inputs.shape[1:])
    return InputFormat("tabular", "array", names=tuple(names) if names else numbered(inputs.shape[1]))


def numbered(width: int) -> tuple[str, ...]:
    """Name the columns of an array as MLflow does: ``feature_1``, or ``feature_01`` where there are ten."""
    return tuple(f"feature_{index + 1:0{len(str(width))}d}" for index in range(width))


def _holds_strings(column: pd.Series[Any]) -> bool:
    present = column.dropna()
    return len(present) > 0 and all(isinstance(cell, str) for cell in present)


def _is_text(frame: pd.DataFrame) -> bool:
    """Whether the only column holds texts rather than categories: strings of three words or more on average."""
    if frame.shape[1] != 1:
        return False
    column = frame.iloc[:, 0]
    return _holds_strings(column) and float(np.mean([len(cell.split()) for cell in column.dropna()])) >= 3


def check_row_length(inputs: Inputs, shape: tuple[int, ...]) -> None:
    """Refuse flat rows that do not hold one example of this shape each."""
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
