"""The base of the perturbations of frames: which columns they change, and how dtypes are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.survey import ColumnSummary, Survey
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array, Perturbation, column_names
from mlflow_sensie.perturbations.pixels import to_dtype

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self


def is_number(dtype: Any) -> bool:
    """Whether a column of this dtype holds real numbers, booleans apart."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) and not types.is_complex_dtype(dtype))


def numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype of a numeric column's values, of a nullable one too."""
    own: np.dtype[Any] = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", np.dtype(np.float64))
    return own


def to_floats(frame: pd.DataFrame) -> Array:
    """Numeric columns as one block of float64 (rows, columns), missing values as NaN."""
    return np.asfortranarray(frame.to_numpy(dtype=np.float64, na_value=np.nan))  # a column at a time, as pandas has it


@dataclass(frozen=True, kw_only=True)
class TabularPerturbation(Perturbation):
    """Base of the perturbations of a DataFrame; ``columns`` limits them to some of those they apply to."""

    kind = "tabular"
    needs_survey: ClassVar[bool] = False

    columns: tuple[str, ...] | None = None
    summaries: Mapping[str, ColumnSummary] | None = field(default=None, repr=False, metadata=BOUND)

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        object.__setattr__(self, "columns", column_names(self.name, self.columns))

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the summaries of the columns."""
        return replace(self, summaries=dict(survey.columns))

    def applies(self, column: Any, dtype: Any) -> bool:
        """Whether the perturbation can change a column of this name and dtype, and keep the dtype."""
        return is_number(dtype)

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no frame, lacks a column, or has none that can be perturbed."""
        self.chosen(inputs)

    def chosen(self, inputs: pd.DataFrame) -> list[Any]:
        """The columns to perturb, in the frame's order."""
        import pandas as pd

        if not isinstance(inputs, pd.DataFrame):
            raise DataError(f"{self.name} works on a pandas DataFrame; got {type(inputs).__name__}.")
        if not inputs.columns.is_unique:
            repeated = list(inputs.columns[inputs.columns.duplicated()])
            raise DataError(f"{self.name} needs unique column names; repeated: {repeated}.")
        if self.needs_survey and self.summaries is None:
            raise ValueError(f"{self.name} must know the whole data: call bind(survey) first.")
        dtypes = dict(zip(inputs.columns, inputs.dtypes, strict=True))
        fit = [column for column, dtype in dtypes.items() if self.applies(column, dtype)]
        if self.columns is not None:
            missing = [column for column in self.columns if column not in dtypes]
            if missing:
                raise DataError(f"{self.name}: no column {missing} in the inputs, which have {list(dtypes)}.")
            unfit = {column: str(dtypes[column]) for column in self.columns if column not in fit}
            if unfit:
                raise DataError(f"{self.name} cannot perturb {unfit} and keep the dtype; it can {fit}.")
            fit = [column for column in fit if column in self.columns]
        if not fit:
            names = {str(column): str(dtype) for column, dtype in dtypes.items()}
            raise DataError(f"{self.name}: none of the columns can be perturbed by it: {names}.")
        return fit

    def summary(self, column: Any) -> ColumnSummary:
        """What the survey says of a column; raises DataError if nothing."""
        summary = (self.summaries or {}).get(column)
        if summary is None:
            raise DataError(f"{self.name}: the survey knows no column {column!r}.")
        return summary


@dataclass(frozen=True)
class Numbers:
    """The numeric columns to perturb: their values as one block of float64 (rows, columns), and what they are in.

    ``stored`` has positions of columns of one dtype, and these columns as they are stored: (rows, columns) of a
    NumPy dtype, or a single nullable column as an extension array.
    """

    frame: pd.DataFrame
    names: list[Any]
    values: Array
    stored: list[tuple[list[int], Any]]

    @classmethod
    def of(cls, frame: pd.DataFrame, names: list[Any]) -> Numbers:
        """The block of these columns of a frame."""
        columns = frame[names]
        blocks: dict[Any, list[int]] = {}
        stored: list[tuple[list[int], Any]] = []
        for position, dtype in enumerate(columns.dtypes):
            if isinstance(dtype, np.dtype):
                blocks.setdefault(dtype, []).append(position)
            else:
                stored.append(([position], columns.iloc[:, position].array))
        stored += [(at, columns.iloc[:, at].to_numpy()) for at in blocks.values()]
        return cls(frame, names, to_floats(columns), stored)

    def with_values(self, values: Array) -> pd.DataFrame:
        """A frame with other numbers, each column in its own dtype.

        Integers are rounded, and clipped to what they hold. Cells whose value did not change are kept to the bit,
        and missing ones stay missing.
        """
        import pandas as pd

        changed = (values != self.values) & ~np.isnan(self.values)
        columns: dict[Any, Any] = {}
        for at, before in self.stored:
            if isinstance(before, np.ndarray):
                cells = np.where(changed[:, at], to_dtype(values[:, at], before.dtype), before)
                if len(at) == self.frame.shape[1]:  # a block of its own, as fast to read as to make
                    return pd.DataFrame(cells, index=self.frame.index, columns=self.frame.columns, copy=False)
                columns |= {self.names[position]: cells[:, i] for i, position in enumerate(at)}
            else:
                hit, cells = changed[:, at[0]], before.copy()
                cells[hit] = to_dtype(values[hit, at[0]], numpy_dtype(before.dtype))
                columns[self.names[at[0]]] = cells
        return with_columns(self.frame, columns)


def with_columns(frame: pd.DataFrame, columns: Mapping[Any, Any]) -> pd.DataFrame:
    """A new frame: the given columns (arrays of their dtype), and copies of all others."""
    import pandas as pd

    data = {name: columns[name] if name in columns else fresh_copy(frame[name]) for name in frame.columns}
    result = pd.DataFrame(data, index=frame.index, copy=False)
    result.columns = frame.columns
    return result


@dataclass(frozen=True, kw_only=True)
class NumericPerturbation(TabularPerturbation):
    """Base of those that change numbers: `change` turns the block of all of them into another."""

    def change(self, values: Array, magnitude: float, draws: Any) -> Array:
        """The perturbed block (rows, columns), new memory; missing numbers may become anything."""
        raise NotImplementedError

    def prepare(self, inputs: pd.DataFrame) -> Numbers:
        """The numbers of the chosen columns."""
        return Numbers.of(inputs, self.chosen(inputs))

    def apply(self, prepared: Numbers, magnitude: float, draws: Any) -> pd.DataFrame:
        """The frame with the perturbed numbers."""
        return prepared.with_values(self.change(prepared.values, magnitude, draws))

    def sds(self, names: list[Any]) -> Array:
        """The SD of each column in the whole data, 0 where the survey has none."""
        return np.array([self.summary(name).sd or 0.0 for name in names])
