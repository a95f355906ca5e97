"""What a model takes: the columns or tensors of its signature, and inputs cast to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.input_format import stack
from mlflow_sensie.data.types import Inputs

INTEGERS = {"integer": np.int32, "long": np.int64}


@dataclass(frozen=True)
class Tensor:
    """One input tensor: ``shape`` of one example where it is fixed, and ``dtype``."""

    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return ``array`` (n, ...) in this shape and dtype; integers are rounded."""
        shaped = array if self.shape is None else array.reshape(len(array), *self.shape)
        return shaped if self.dtype is None else cast_array(shaped, self.dtype)


@dataclass(frozen=True)
class InputSchema:
    """What the model's signature says of its inputs; all empty where there is no signature.

    ``names`` and ``types`` (MLflow's names, e.g. ``long``) for columns; ``shape`` (without the batch axis)
    and ``dtype`` for a tensor. ``tensors`` are input tensors that have names: the model takes them as a dict.
    ``texts``: it takes one column of texts, whatever its name.
    """

    names: tuple[str, ...] | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    texts: bool = False

    def cast(self, inputs: Inputs) -> Inputs | dict[str, NDArray[Any]]:
        """Return ``inputs`` in the types that the signature enforces; integers are rounded."""
        if self.tensors:
            return self._by_name(inputs)
        if isinstance(inputs, np.ndarray):
            return inputs if self.dtype is None else cast_array(inputs, self.dtype)
        cast = inputs.copy(deep=False)
        for name, column in inputs.items():
            kind = self.types.get(str(name), "")
            if kind in INTEGERS and pd.api.types.is_float_dtype(column.dtype) and not column.isna().any():
                cast[name] = column.round().astype(INTEGERS[kind])
            elif kind == "float" and column.dtype == np.float64:
                cast[name] = column.astype(np.float32)
        return cast

    def _by_name(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        """The input tensors by name: an array is the only one, of a frame each is a column (of array cells)."""
        if isinstance(inputs, np.ndarray):
            ((name, tensor),) = self.tensors.items()
            return {name: tensor.of(inputs)}
        columns = {str(name): column for name, column in inputs.items()}
        arrays = {}
        for name, tensor in self.tensors.items():
            cells = columns[name]
            arrays[name] = tensor.of(stack(cells) if cells.dtype == object else cells.to_numpy())
        return arrays


def read_schema(schema: Any, raw: Any) -> InputSchema:
    """Return what a signature says; without one, the names that the raw model itself was fitted on."""
    if schema is None or not schema.inputs:
        return fitted_names(raw)
    if schema.is_tensor_spec():
        tensors = [_tensor(spec) for spec in schema.inputs]
        if not schema.has_input_names():
            return InputSchema(shape=tensors[0].shape, dtype=tensors[0].dtype)
        named = dict(zip(map(str, schema.input_names()), tensors, strict=True))
        alone = tensors[0] if len(tensors) == 1 else Tensor()
        return InputSchema(tuple(named), shape=alone.shape, dtype=alone.dtype, tensors=named)
    if not schema.has_input_names():
        first = [getattr(column.type, "name", "") for column in schema.inputs]
        return InputSchema(texts=True) if first == ["string"] else fitted_names(raw)
    types = {str(column.name): getattr(column.type, "name", str(column.type)) for column in schema.inputs}
    return InputSchema(tuple(types), types)


def fitted_names(raw: Any) -> InputSchema:
    """Return the names of the columns that a raw model was fitted on, as its library keeps them.

    ``feature_names_in_`` (scikit-learn), ``feature_names_`` (CatBoost), ``feature_names`` or ``feature_name()``
    (a native Booster of XGBoost or LightGBM), ``exog_names`` (statsmodels, but for formulas, which name terms).
    """
    if hasattr(raw, "build_analyzer") or hasattr(next(iter(getattr(raw, "steps", [])), (0, 0))[1], "build_analyzer"):
        return InputSchema(texts=True)
    for source in ("feature_names_in_", "feature_names_", "feature_names", "feature_name"):
        names = getattr(raw, source, None)
        names = names() if callable(names) else names
        if names is not None:
            return InputSchema(tuple(map(str, names)))
    exog = getattr(getattr(raw, "model", None), "exog_names", None)
    if exog is not None and not hasattr(raw.model, "formula"):
        return InputSchema(tuple(map(str, exog)))
    return InputSchema()


def cast_array(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return ``array`` in ``dtype``; floats are rounded and clipped into integers."""
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu" and array.dtype.kind == "f":
        info = np.iinfo(dtype)
        return np.asarray(np.clip(np.rint(array), info.min, info.max), dtype=dtype)
    return array.astype(dtype)


def _tensor(spec: Any) -> Tensor:
    shape = tuple(spec.shape[1:])
    fixed = bool(shape) and all(side > 0 for side in shape)
    return Tensor(shape if fixed else None, np.dtype(spec.type))
