"""The base of the perturbations of frames: which columns they change, and how dtypes are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.survey import ColumnSummary, Survey
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array, Perturbation
from mlflow_sensie.perturbations.pixels import to_dtype

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self


def is_number(dtype: Any) -> bool:
    """Whether a column of this dtype holds real numbers, booleans apart."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype))


def to_floats(series: pd.Series[Any]) -> Array:
    """A numeric column as float64, missing values as NaN."""
    return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))


def with_floats(series: pd.Series[Any], before: Array, values: Array) -> Any:
    """The cells of a numeric column with ``values`` in place of ``before``, in the column's own dtype.

    Integers are rounded, and clipped to what they hold. Cells whose value did not change are kept to the bit.
    """
    changed = (values != before) & ~np.isnan(before)
    if isinstance(series.dtype, np.dtype):
        return np.where(changed, to_dtype(np.where(changed, values, 0), series.dtype), series.to_numpy())
    cells = series.array.copy()
    storage = getattr(series.dtype, "numpy_dtype", np.dtype(np.float64))
    cells[changed] = to_dtype(values[changed], storage)
    return cells


@dataclass(frozen=True, kw_only=True)
class TabularPerturbation(Perturbation):
    """Base of the perturbations of a DataFrame; ``columns`` limits them to some of those they apply to."""

    kind: ClassVar[str] = "tabular"
    needs_survey: ClassVar[bool] = False

    columns: tuple[str, ...] | None = None
    summaries: Mapping[str, ColumnSummary] | None = field(default=None, repr=False, metadata=BOUND)

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        if isinstance(self.columns, str):
            raise ValueError(
                f"{type(self).__name__}: columns must be a list of names; got the string {self.columns!r}."
            )
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the summaries of the columns."""
        return replace(self, summaries=dict(survey.columns))

    def applies(self, series: pd.Series[Any]) -> bool:
        """Whether the perturbation can change a column of this dtype and keep the dtype."""
        return is_number(series.dtype)

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no frame, lacks a column, or has none that can be perturbed."""
        self.chosen(inputs)

    def chosen(self, inputs: pd.DataFrame) -> tuple[Any, ...]:
        """The columns to perturb, in the frame's order."""
        import pandas as pd

        name = type(self).__name__
        if not isinstance(inputs, pd.DataFrame):
            raise DataError(f"{name} works on a pandas DataFrame; got {type(inputs).__name__}.")
        if not inputs.columns.is_unique:
            repeated = list(inputs.columns[inputs.columns.duplicated()])
            raise DataError(f"{name} needs unique column names; repeated: {repeated}.")
        if self.needs_survey and self.summaries is None:
            raise ValueError(f"{name} must know the whole data: call bind(survey) first.")
        fit = tuple(column for column in inputs.columns if self.applies(inputs[column]))
        if self.columns is not None:
            missing = [column for column in self.columns if column not in inputs.columns]
            if missing:
                raise DataError(f"{name}: no column {missing} in the inputs, which have {list(inputs.columns)}.")
            unfit = {column: str(inputs[column].dtype) for column in self.columns if column not in fit}
            if unfit:
                raise DataError(f"{name} cannot perturb {unfit} and keep the dtype; it can {list(fit)}.")
            fit = tuple(column for column in fit if column in self.columns)
        if not fit:
            dtypes = {str(column): str(dtype) for column, dtype in inputs.dtypes.items()}
            raise DataError(f"{name}: none of the columns can be perturbed by it: {dtypes}.")
        return fit

    def summary(self, column: Any) -> ColumnSummary:
        """What the survey says of a column; raises DataError if nothing."""
        found = (self.summaries or {}).get(column)
        if found is None:
            raise DataError(f"{type(self).__name__}: the survey knows no column {column!r}.")
        return found

    def with_columns(self, inputs: pd.DataFrame, columns: Mapping[Any, Any]) -> pd.DataFrame:
        """A new frame: the given columns (arrays of their dtype), and copies of all others."""
        import pandas as pd

        data = {name: columns[name] if name in columns else fresh_copy(inputs[name]) for name in inputs.columns}
        result = pd.DataFrame(data, index=inputs.index, copy=False)
        result.columns = inputs.columns
        return result


@dataclass(frozen=True)
class Numbers:
    """The numeric columns to perturb, and their values, before and now, as float64 (rows, columns)."""

    columns: tuple[pd.Series[Any], ...]
    before: Array
    values: Array

    @property
    def names(self) -> tuple[Any, ...]:
        """The labels of the columns."""
        return tuple(column.name for column in self.columns)

    def to(self, values: Array) -> Numbers:
        """The same columns with other values."""
        return replace(self, values=values)


@dataclass(frozen=True, kw_only=True)
class Numeric(TabularPerturbation):
    """Base of those that change numbers: `apply` gives the columns other values."""

    def prepare(self, inputs: pd.DataFrame) -> Numbers:
        """The numbers of the chosen columns."""
        columns = tuple(inputs[name] for name in self.chosen(inputs))
        values = np.stack([to_floats(column) for column in columns], axis=1)
        return Numbers(columns, values, values)

    def restore(self, perturbed: Numbers, inputs: pd.DataFrame) -> pd.DataFrame:
        """A frame with the new numbers, each column in its own dtype."""
        cells = {
            column.name: with_floats(column, perturbed.before[:, i], perturbed.values[:, i])
            for i, column in enumerate(perturbed.columns)
        }
        return self.with_columns(inputs, cells)

    def sds(self, names: tuple[Any, ...]) -> Array:
        """The SD of each column in the whole data, 0 where the survey has none."""
        return np.array([self.summary(name).sd or 0.0 for name in names])

    def means(self, names: tuple[Any, ...]) -> Array:
        """The mean of each column in the whole data, 0 where the survey has none."""
        return np.array([self.summary(name).mean or 0.0 for name in names])
