"""Perturbations of frames: which columns they change and how dtypes are kept, and those that change numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.survey import ColumnSummary
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Array, Perturbation, column_names
from mlflow_sensie.perturbations.noise import RATES, add_noise, replace_hit, standard_normal
from mlflow_sensie.perturbations.pixels import to_dtype

if TYPE_CHECKING:
    import pandas as pd


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


def number_block(frame: pd.DataFrame, names: list[Any]) -> tuple[Array, Callable[[Array], pd.DataFrame]]:
    """These numeric columns of a frame as one block of float64 (rows, columns), and what makes a frame of another.

    In that frame, which may hold the memory of the other block, each column has its own dtype: integers are rounded,
    and clipped to what they hold. Those whose value did not change are kept to the bit, and missing values stay
    missing.
    """
    import pandas as pd

    columns = frame[names]
    values = to_floats(columns)
    absent = np.isnan(values)
    complete = not absent.any()
    positions: dict[Any, list[int]] = {}  # of the columns of a NumPy dtype together, of every nullable one by itself
    for position, dtype in enumerate(columns.dtypes):
        positions.setdefault(dtype if isinstance(dtype, np.dtype) else position, []).append(position)
    stored: list[tuple[list[Any], slice | list[int], Any]] = []  # names, places in the block, what the frame has
    for key, at in positions.items():
        dense = at[-1] - at[0] < len(at)  # of which a view will do
        before = columns.iloc[:, at].to_numpy() if isinstance(key, np.dtype) else columns.iloc[:, key].array
        stored.append(([names[place] for place in at], slice(at[0], at[-1] + 1) if dense else at, before))

    def with_values(others: Array) -> pd.DataFrame:
        data: dict[Any, Any] = {}
        for own, at, before in stored:
            cells = as_stored(others[:, at], values[:, at], None if complete else absent[:, at], before)
            if cells.shape == frame.shape:  # a block of its own, as fast to read as to make
                return pd.DataFrame(cells, index=frame.index, columns=frame.columns, copy=False)
            data |= zip(own, cells.T if cells.ndim == 2 else [cells], strict=True)
        return with_columns(frame, data)

    return values, with_values


def as_stored(others: Array, values: Array, absent: Array | None, before: Any) -> Any:
    """Other numbers than ``values`` in the dtype of ``before``, what a frame has of them."""
    if not isinstance(before, np.ndarray):
        changed, cells = (others != values)[:, 0] & ~np.asarray(before.isna()), before.copy()
        cells[changed] = to_dtype(others[changed, 0], numpy_dtype(before.dtype))
        return cells
    cells = to_dtype(others, before.dtype)
    if before.dtype.kind == "f":
        return cells if absent is None else np.where(absent, before, cells)
    return np.where(others != values, cells, before)


def with_columns(frame: pd.DataFrame, columns: Mapping[Any, Any]) -> pd.DataFrame:
    """A new frame: the given columns (arrays of their dtype), and copies of all others."""
    import pandas as pd

    data = {name: columns[name] if name in columns else fresh_copy(frame[name]) for name in frame.columns}
    result = pd.DataFrame(data, index=frame.index, copy=False)
    result.columns = frame.columns
    return result


@dataclass(frozen=True, kw_only=True)
class TabularPerturbation(Perturbation):
    """Base of the perturbations of a DataFrame; ``columns`` limits them to some of those they apply to.

    Here it is that numbers change: `change` turns the block of all of them into another.
    """

    kind = "tabular"
    needs_survey: ClassVar[bool] = False

    columns: tuple[str, ...] | None = None
    summaries: Mapping[str, ColumnSummary] | None = field(
        default=None, repr=False, metadata={"bound": lambda survey: dict(survey.columns)}
    )

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        object.__setattr__(self, "columns", column_names(self.name, self.columns))

    def applies(self, column: Any, dtype: Any) -> bool:
        """Whether the perturbation can change a column of this name and dtype, and keep the dtype."""
        return is_number(dtype)

    def change(self, values: Array, magnitude: float, draws: Any) -> Array:
        """The perturbed block of float64 (rows, columns), new memory; missing numbers may become anything."""
        raise NotImplementedError

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no frame, lacks a column, or has none that can be perturbed."""
        self.chosen(inputs)

    def prepare(self, inputs: pd.DataFrame) -> Any:
        """The chosen columns: their names, and of those of numbers what `number_block` returns."""
        names = self.chosen(inputs)
        return names, *number_block(inputs, names)

    def draw(self, prepared: Any, rng: Any) -> Any:
        """The SD of each column, where it is needed."""
        return self.moments(prepared[0])[1] if self.needs_survey else None

    def apply(self, prepared: Any, magnitude: float, draws: Any) -> pd.DataFrame:
        """The frame with the perturbed numbers."""
        _, values, with_values = prepared
        frame: pd.DataFrame = with_values(self.change(values, magnitude, draws))
        return frame

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
            if missing := [column for column in self.columns if column not in dtypes]:
                raise DataError(f"{self.name}: no column {missing} in the inputs, which have {list(dtypes)}.")
            if unfit := {column: str(dtypes[column]) for column in self.columns if column not in fit}:
                raise DataError(f"{self.name} cannot perturb {unfit} and keep the dtype; it can {fit}.")
            fit = [column for column in fit if column in self.columns]
        if not fit:
            names = {str(column): str(dtype) for column, dtype in dtypes.items()}
            raise DataError(f"{self.name}: none of the columns can be perturbed by it: {names}.")
        return fit

    def moments(self, names: list[Any]) -> tuple[Array, Array]:
        """Mean and SD of each column in the whole data, 0 where the survey has none; DataError for other columns."""
        summaries = self.summaries or {}
        if unknown := [name for name in names if name not in summaries]:
            raise DataError(f"{self.name}: the survey knows no column {unknown[0]!r}.")
        own = [summaries[name] for name in names]
        return np.array([column.mean or 0.0 for column in own]), np.array([column.sd or 0.0 for column in own])


@dataclass(frozen=True, kw_only=True)
class Noise(TabularPerturbation):
    """Adds Gaussian noise with SD p times the column's own SD to every number."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    random = True
    needs_survey = True

    def draw(self, prepared: Any, rng: np.random.Generator) -> Array:
        """Standard normal noise times each column's SD."""
        names, values, _ = prepared
        return np.multiply(standard_normal(values.shape, np.float64, rng), self.moments(names)[1], order="F")

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` times the draws."""
        return add_noise(values, magnitude, draws)


@dataclass(frozen=True, kw_only=True)
class Shift(TabularPerturbation):
    """Adds p times the column's own SD to every number: a drift of all features at once."""

    unit = "feature SDs"
    default_magnitudes = (-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1)
    needs_survey = True

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` SDs."""
        return np.asarray(values + magnitude * draws)


@dataclass(frozen=True, kw_only=True)
class Scale(TabularPerturbation):
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
class Round(TabularPerturbation):
    """Rounds every number to a multiple of p times the column's own SD: a coarser instrument."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
    needs_survey = True
    monotone = False  # a value may lie on a coarse grid and between the points of a finer one

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers on the grid; constant columns are kept."""
        step = magnitude * draws
        safe = np.where(step > 0, step, 1)
        return np.where(step > 0, np.rint(values / safe) * safe + 0.0, values)


@dataclass(frozen=True, kw_only=True)
class Outliers(TabularPerturbation):
    """Replaces a fraction p of the numbers by outliers, ``size`` (5) SDs above or below the column's mean."""

    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = RATES
    random = True
    needs_survey = True

    size: float = 5.0

    def draw(self, prepared: Any, rng: np.random.Generator) -> tuple[Array, Array]:
        """The rate from which on a cell is hit, and its outlier."""
        names, values, _ = prepared
        turns, sides = rng.random(values.shape), rng.integers(0, 2, values.shape) * 2 - 1
        means, sds = self.moments(names)
        return np.asfortranarray(turns), np.asfortranarray(means + sides * self.size * sds)

    def change(self, values: Array, magnitude: float, draws: tuple[Array, Array]) -> Array:
        """The numbers with those replaced whose turn has come."""
        return replace_hit(values, magnitude, *draws)
