"""Perturbations of frames: which columns they change and how dtypes are kept, and those that change numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.survey import ColumnSummary, Survey
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array, Perturbation, column_names
from mlflow_sensie.perturbations.draws import RATES, add_noise, replace_hit, standard_normal
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

    ``stored`` has, for the columns of a NumPy dtype together and for every nullable one, their names, their place in
    the block, and how the frame has them: an array (rows, columns) or an extension array. ``absent`` says which
    values are missing, None if none is.
    """

    frame: pd.DataFrame
    names: list[Any]
    values: Array
    absent: Array | None
    stored: list[tuple[list[Any], slice | list[int], Any]]

    @classmethod
    def of(cls, frame: pd.DataFrame, names: list[Any]) -> Numbers:
        """The block of these columns of a frame."""
        columns = frame[names]
        values = to_floats(columns)
        absent = np.isnan(values)
        blocks: dict[Any, list[int]] = {}
        for position, dtype in enumerate(columns.dtypes):
            blocks.setdefault(dtype if isinstance(dtype, np.dtype) else position, []).append(position)
        stored: list[tuple[list[Any], slice | list[int], Any]] = []
        for at in blocks.values():
            dense = slice(at[0], at[-1] + 1)  # of which a view will do
            plain = isinstance(columns.dtypes.iloc[at[0]], np.dtype)
            before = columns.iloc[:, at].to_numpy() if plain else columns.iloc[:, at[0]].array
            stored.append(([names[i] for i in at], dense if at[-1] - at[0] < len(at) else at, before))
        return cls(frame, names, values, absent if absent.any() else None, stored)

    def with_values(self, values: Array) -> pd.DataFrame:
        """A frame with other numbers, each column in its own dtype; it may hold the memory of ``values``.

        Integers are rounded, and clipped to what they hold. Those whose value did not change are kept to the bit,
        and missing values stay missing.
        """
        import pandas as pd

        columns: dict[Any, Any] = {}
        for names, at, before in self.stored:
            cells = self._cells(values[:, at], at, before)
            if len(names) == self.frame.shape[1] and cells.ndim == 2:  # a block of its own, as fast to read as to make
                return pd.DataFrame(cells, index=self.frame.index, columns=self.frame.columns, copy=False)
            columns |= zip(names, cells.T if cells.ndim == 2 else [cells], strict=True)
        return with_columns(self.frame, columns)

    def _cells(self, values: Array, at: slice | list[int], before: Any) -> Any:
        if not isinstance(before, np.ndarray):
            changed = (values != self.values[:, at])[:, 0] & ~np.asarray(before.isna())
            cells = before.copy()
            cells[changed] = to_dtype(values[changed, 0], numpy_dtype(before.dtype))
            return cells
        if before.dtype.kind == "f":
            cells = to_dtype(values, before.dtype)
            return cells if self.absent is None else np.where(self.absent[:, at], before, cells)
        return np.where(values != self.values[:, at], to_dtype(values, before.dtype), before)


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


@dataclass(frozen=True, kw_only=True)
class Noise(NumericPerturbation):
    """Adds Gaussian noise with SD p times the column's own SD to every number."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    random = True
    needs_survey = True

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """Standard normal noise times each column's SD."""
        assert rng is not None
        noise = standard_normal(prepared.values.shape, np.float64, rng)
        return np.multiply(noise, self.sds(prepared.names), order="F")

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` times the draws."""
        return add_noise(values, magnitude, draws)


@dataclass(frozen=True, kw_only=True)
class Shift(NumericPerturbation):
    """Adds p times the column's own SD to every number: a drift of all features at once."""

    unit = "feature SDs"
    default_magnitudes = (-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1)
    needs_survey = True

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """The SD of each column."""
        return self.sds(prepared.names)

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` SDs."""
        return np.asarray(values + magnitude * draws)


@dataclass(frozen=True, kw_only=True)
class Scale(NumericPerturbation):
    """Multiplies every number by p: a wrong unit or gain.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"price": [1.5, np.nan], "count": [2, 3], "town": ["Ulm", "Bonn"]})
        >>> Scale()(frame, 1.2)
           price  count  town
        0    1.8      2   Ulm
        1    NaN      4  Bonn
    """

    unit = "factor"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)

    def change(self, values: Array, magnitude: float, draws: None) -> Array:
        """The numbers times ``magnitude``."""
        return values * magnitude


@dataclass(frozen=True, kw_only=True)
class Round(NumericPerturbation):
    """Rounds every number to a multiple of p times the column's own SD: a coarser instrument."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
    needs_survey = True
    monotone = False  # a value may lie on a coarse grid and between the points of a finer one

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """The SD of each column."""
        return self.sds(prepared.names)

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers on the grid; constant columns are kept."""
        step = magnitude * draws
        safe = np.where(step > 0, step, 1)
        return np.where(step > 0, np.rint(values / safe) * safe + 0.0, values)


@dataclass(frozen=True, kw_only=True)
class Outliers(NumericPerturbation):
    """Replaces a fraction p of the numbers by outliers, ``size`` (5) SDs above or below the column's mean."""

    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = RATES
    random = True
    needs_survey = True

    size: float = 5.0

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """The rate from which on a cell is hit, and its outlier."""
        assert rng is not None
        turns = rng.random(prepared.values.shape)
        sides = rng.integers(0, 2, prepared.values.shape) * 2 - 1
        means = np.array([self.summary(name).mean or 0.0 for name in prepared.names])
        outliers = means + sides * self.size * self.sds(prepared.names)
        return np.asfortranarray(turns), np.asfortranarray(outliers)

    def change(self, values: Array, magnitude: float, draws: tuple[Array, Array]) -> Array:
        """The numbers with those replaced whose turn has come."""
        return replace_hit(values, magnitude, *draws)
