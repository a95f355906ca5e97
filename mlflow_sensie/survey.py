"""What must be known of the whole data before the sweep: one pass, settled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError

if TYPE_CHECKING:
    from mlflow_sensie.dataset import Examples


@dataclass(frozen=True)
class ColumnSummary:
    """One column of the examples: of a frame's features or of the metadata.

    ``kind`` is ``numeric``, ``integer``, ``boolean``, ``category`` (strings included), ``datetime`` or
    ``other``. ``mean``, ``sd`` (population of finite values), ``lo`` and ``hi`` are ``None`` where the
    kind has none. ``levels`` and ``frequencies`` (relative, summing to 1) are filled for ``boolean`` and
    ``category``. ``quantiles`` are evenly spaced from the least to the greatest value of numbers; empty
    where they were not computed.
    """

    name: str
    kind: str
    n: int
    n_missing: int
    n_unique: int
    mean: float | None = None
    sd: float | None = None
    lo: float | None = None
    hi: float | None = None
    levels: tuple[object, ...] = ()
    frequencies: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()


@dataclass(frozen=True)
class ValueRange:
    """How stored tensor values map to pixels in [0, 1]: ``pixel = value * scale + offset``.

    ``scale`` and ``offset`` hold one number, or one per channel (a normalised input).
    """

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class TensorSummary:
    """Range and per-channel moments of tensor or series inputs, in stored values.

    ``mean`` and ``sd`` hold one number per channel (the last axis in channel-last order); one in all
    where the examples have no channel axis.
    """

    lo: float
    hi: float
    mean: tuple[float, ...]
    sd: tuple[float, ...]


@dataclass(frozen=True)
class Covariance:
    """Mean and population covariance of the numeric columns, over the rows that miss none of them."""

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Survey:
    """The survey of the examples, which perturbations get by ``bind(survey)``."""

    n: int
    kind: str
    columns: Mapping[str, ColumnSummary] = field(default_factory=dict)
    tensor: TensorSummary | None = None
    layout: str | None = None
    value_range: ValueRange = ValueRange()
    covariance: Covariance | None = None


QUANTILES = 201  # of a column: every half per cent


# --- columns -----------------------------------------------------------------------------------------------


def column_kind(column: pd.Series[Any]) -> str:
    """Return ``numeric``, ``integer``, ``boolean``, ``category``, ``datetime`` or ``other``."""
    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_integer_dtype(column.dtype):
        return "integer"
    if types.is_float_dtype(column.dtype):
        return "numeric"
    if types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    if column.dtype != object and types.is_string_dtype(column.dtype):  # true of every object dtype as well
        return "category"
    present = column.dropna()
    for wanted, kind in (
        (str, "category"),
        (bool | np.bool_, "boolean"),
        (int | float | np.number, "numeric"),
        (date, "datetime"),
    ):
        if len(present) and all(isinstance(value, wanted) for value in present):
            return kind
    return "other"


def summarise_column(name: str, column: pd.Series[Any]) -> ColumnSummary:
    """Survey one column."""
    kind = column_kind(column)
    missing = int(column.isna().sum())
    if kind == "other":
        return ColumnSummary(name, kind, len(column), missing, 0)
    unique = int(column.nunique())
    if kind in ("category", "boolean"):
        counts = column.dropna().value_counts().sort_index()
        shares = (counts / max(1, counts.sum())).to_numpy(float)
        return ColumnSummary(
            name,
            kind,
            len(column),
            missing,
            unique,
            levels=tuple(counts.index),
            frequencies=tuple(shares.tolist()),
        )
    values = as_numbers(column)
    values = values[np.isfinite(values)]
    if not len(values):
        return ColumnSummary(name, kind, len(column), missing, unique)
    moments = (float(values.mean()), float(values.std()), float(values.min()), float(values.max()))
    quantiles = tuple(np.quantile(values, np.linspace(0, 1, QUANTILES)).tolist())
    return ColumnSummary(name, kind, len(column), missing, unique, *moments, quantiles=quantiles)


def as_numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Return a column as (n,) floats, NaN where missing; datetimes as days since 1970-01-01."""
    if column_kind(column) == "datetime":
        column = pd.to_datetime(column)
        naive = column.dt.tz_convert(None) if column.dt.tz is not None else column
        days = (naive - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return np.asarray(days.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan))


# --- the whole data ----------------------------------------------------------------------------------------


def take_survey(examples: Examples, value_range: ValueRange | None) -> Survey:
    """Go through the examples once and settle what perturbations may ask of the whole data."""
    kind = examples.form.kind
    if kind in ("tabular", "text"):
        frame = _as_frame(examples)
        # By the frame's own names, which need not be text: perturbations look their columns up by them.
        columns: dict[Any, ColumnSummary] = {n: summarise_column(str(n), frame[n]) for n in frame.columns}
        return Survey(len(examples), kind, columns, covariance=_covariance(frame, columns))
    return Survey(
        len(examples), kind, {}, _summarise_tensor(examples), examples.form.layout, value_range or ValueRange()
    )


def _as_frame(examples: Examples) -> pd.DataFrame:
    inputs, names = examples.inputs, examples.form.names
    if isinstance(inputs, pd.DataFrame):
        return inputs
    return pd.DataFrame(inputs, columns=list(names) if names else ["text"])


def _covariance(frame: pd.DataFrame, columns: Mapping[str, ColumnSummary]) -> Covariance | None:
    """Mean and covariance of the numeric columns that vary, over the rows that miss none of them."""
    numeric = pd.api.types.is_numeric_dtype
    names = [name for name in frame.columns if columns[name].sd and numeric(frame[name].dtype)]
    if not names:
        return None
    values = np.column_stack([as_numbers(frame[name]) for name in names])
    whole = values[np.isfinite(values).all(axis=1)]
    if len(whole) < 2:
        return None
    matrix = np.atleast_2d(np.cov(whole, rowvar=False, bias=True))
    return Covariance(tuple(names), tuple(whole.mean(axis=0).tolist()), tuple(map(tuple, matrix.tolist())))


def _summarise_tensor(examples: Examples) -> TensorSummary:
    """Range and channel moments of what is finite, chunk by chunk, by Chan's rule."""
    layout, shape = examples.form.layout, examples.form.shape or ()
    channel = 1 if layout == "NCHW" else None if layout == "NHW" or len(shape) < 2 else len(shape)
    lo, hi = np.inf, -np.inf
    count: NDArray[np.float64] = np.zeros(1)
    mean: NDArray[np.float64] = np.zeros(1)
    scatter: NDArray[np.float64] = np.zeros(1)
    for values in in_chunks(examples):
        axes = tuple(axis for axis in range(values.ndim) if axis != channel)
        wide = values.astype(np.float64)
        finite = np.isfinite(wide)
        block_n = finite.sum(axis=axes, keepdims=True)
        block_mean = np.where(finite, wide, 0).sum(axis=axes, keepdims=True) / np.maximum(block_n, 1)
        block_scatter = np.square(np.where(finite, wide - block_mean, 0)).sum(axis=axes)
        n = block_n.ravel()
        total = np.maximum(count + n, 1)
        shift = block_mean.ravel() - mean
        scatter = scatter + block_scatter + shift**2 * count * n / total
        mean = mean + shift * n / total
        count = count + n
        lo = float(wide.min(where=finite, initial=lo))
        hi = float(wide.max(where=finite, initial=hi))
    sd = np.sqrt(scatter / np.maximum(count, 1))
    return TensorSummary(lo, hi, tuple(mean.tolist()), tuple(sd.tolist()))


def in_chunks(examples: Examples, size: int = 4096) -> Any:
    """Yield the inputs as perturbations see them, ``size`` examples at a time."""
    from mlflow_sensie.dataset import rows

    for start in range(0, len(examples), size):
        yield examples.form.decode(rows(examples.inputs, slice(start, start + size)))


def find_value_range(examples: Examples, said: Any) -> ValueRange | None:
    """Settle how stored tensor values map to pixels in [0, 1]; ``None`` where the data does not tell.

    ``said`` is the recipe's ``value_range``: ``[lo, hi]``, ``{mean, std}``, or ``None``. Floats within [0, 1]
    are pixels; integers within 0..255 are 255ths.

    Raises:
        DataError: ``said`` makes no range.
    """
    if isinstance(said, Mapping):
        if set(said) != {"mean", "std"}:
            raise DataError(f"value_range: {{mean, std}} is allowed; {sorted(said)} came")
        mean, std = np.atleast_1d(said["mean"]).astype(float), np.atleast_1d(said["std"]).astype(float)
        if not (std > 0).all():
            raise DataError(f"value_range: every std must be above 0; {std.tolist()} came")
        return ValueRange(tuple(std.tolist()), tuple(mean.tolist()))
    if said is not None:
        lo, hi = said
        if not lo < hi:
            raise DataError(f"value_range: [lo, hi] with lo < hi; {list(said)} came")
        return ValueRange((1 / (hi - lo),), (-lo / (hi - lo),))
    inputs = examples.inputs
    sample = inputs.iloc[0, 0] if isinstance(inputs, pd.DataFrame) else inputs
    stored_integers = np.asarray(sample).dtype.kind in "iub"
    summary = _summarise_tensor(examples)
    if not stored_integers and -1e-6 <= summary.lo <= summary.hi <= 1 + 1e-6:
        return ValueRange()
    if stored_integers and 0 <= summary.lo <= summary.hi <= 255:
        return ValueRange((1 / 255,), (0.0,))
    return None
