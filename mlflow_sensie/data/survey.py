"""What must be known of the whole data before the sweep: one pass, settled once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples, row_bytes
from mlflow_sensie.errors import DataError


@dataclass(frozen=True)
class ColumnSummary:
    """One column of the examples: of a frame's features or of the metadata.

    ``kind`` is ``numeric``, ``integer``, ``boolean``, ``category`` (strings included), ``datetime`` or
    ``other``. ``mean``, ``sd`` (population of finite values), ``lo`` and ``hi`` are ``None`` where the
    kind has none. ``levels`` and ``frequencies`` (relative, summing to 1) are filled for ``boolean`` and
    ``category``. ``quantiles`` are values of the column, evenly spaced in rank from the least to the greatest;
    empty where they were not computed.
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
BLOCK_BYTES, BLOCK_ROWS = 32 * 2**20, 4096  # of inputs that are looked at together


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
    unique = count_unique(column)
    if kind in ("category", "boolean"):
        counts = column.dropna().value_counts().sort_index()
        shares = (counts / max(1, counts.sum())).to_numpy(float)
        return ColumnSummary(
            name, kind, len(column), missing, unique, levels=tuple(counts.index), frequencies=tuple(shares.tolist())
        )
    values = as_numbers(column)
    values = values[np.isfinite(values)]
    if not len(values):
        return ColumnSummary(name, kind, len(column), missing, unique)
    moments = (float(values.mean()), float(values.std()), float(values.min()), float(values.max()))
    # values that there are: between the 0 and 1 of a flag there is nothing
    quantiles = tuple(np.quantile(values, np.linspace(0, 1, QUANTILES), method="nearest").tolist())
    return ColumnSummary(name, kind, len(column), missing, unique, *moments, quantiles=quantiles)


def count_unique(column: pd.Series[Any]) -> int:
    """Return how many different values are present; sorted, for a hash table of numbers takes ten times their room."""
    values = column.dropna().to_numpy()
    if values.dtype.kind not in "iufmM":
        return int(column.nunique())
    ordered = np.sort(values)
    return int(len(ordered) > 0) + int((ordered[1:] != ordered[:-1]).sum())


def as_numbers(column: pd.Series[Any], kind: str | None = None) -> NDArray[np.float64]:
    """Return a column as (n,) floats, NaN where missing; datetimes as days since 1970-01-01.

    ``kind`` is that of the whole column, where this is a part of one.
    """
    if (kind or column_kind(column)) == "datetime":
        column = pd.to_datetime(column)
        naive = column.dt.tz_convert(None) if column.dt.tz is not None else column
        stamps: Any = naive.to_numpy()
        stamps = stamps if stamps.dtype.kind == "M" else naive.to_numpy(dtype="datetime64[us]")  # of Arrow
        # By NumPy: pandas 2 warns of its own Timedelta beside NumPy 2.5.
        return np.asarray((stamps - np.zeros(1, stamps.dtype)) / np.timedelta64(1, "D"))
    return np.asarray(pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan))


# --- the whole data ----------------------------------------------------------------------------------------


def take_survey(examples: Examples, value_range: ValueRange | None, tensor: TensorSummary | None = None) -> Survey:
    """Settle what perturbations may ask of the whole data: a column at a time, or in blocks of rows.

    ``tensor`` is what is known already. Columns of texts are not summarised: no two texts are alike.
    """
    kind, input_format = examples.input_format.kind, examples.input_format
    if kind in ("tabular", "text"):
        columns = {name: summarise_column(str(name), column) for name, column in _features(examples)}
        return Survey(len(examples), kind, columns, covariance=_covariance(examples, columns))
    tensor = summarise_tensor(examples) if tensor is None else tensor
    return Survey(len(examples), kind, {}, tensor, input_format.layout, value_range or ValueRange())


def _features(examples: Examples) -> Iterator[tuple[Any, pd.Series[Any]]]:
    """The features one by one, but for texts.

    By the frame's own names, which need not be text: perturbations look their columns up by them.
    """
    head = examples.take(slice(0, 1)).inputs
    names: list[Any] = list(head.columns) if isinstance(head, pd.DataFrame) else list(examples.input_format.names)
    for name in names:
        column = examples.column(str(name))
        assert column is not None
        if examples.input_format.kind == "tabular" or column_kind(column) != "category":
            yield name, column


def _covariance(examples: Examples, columns: Mapping[Any, ColumnSummary]) -> Covariance | None:
    """Mean and covariance of the numeric columns that vary, over the rows that miss none of them, by Chan's rule."""
    head = examples.input_format.decode(examples.take(slice(0, 1)).inputs)
    numeric = pd.api.types.is_numeric_dtype
    names = [name for name, summary in columns.items() if summary.sd and numeric(head[name].dtype)]
    if not names:
        return None
    n, mean, scatter = 0, np.zeros(len(names)), np.zeros((len(names), len(names)))
    for frame in in_chunks(examples):
        values = np.column_stack([as_numbers(frame[name]) for name in names])
        values = values[np.isfinite(values).all(axis=1)]
        block_n, total = len(values), max(1, n + len(values))
        block_mean = values.mean(axis=0) if block_n else mean
        centred, shift = values - block_mean, block_mean - mean
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * n * block_n / total
        mean, n = mean + shift * block_n / total, n + block_n
    if n < 2:
        return None
    return Covariance(tuple(names), tuple(mean.tolist()), tuple(map(tuple, (scatter / n).tolist())))


def summarise_tensor(examples: Examples) -> TensorSummary:
    """Range and channel moments of what is finite, chunk by chunk, by Chan's rule."""
    layout, shape = examples.input_format.layout, examples.input_format.shape or ()
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


def in_chunks(examples: Examples, size: int | None = None) -> Iterator[Any]:
    """Yield the inputs as perturbations see them, ``size`` examples (at most 4,096, or 32 MB) at a time."""
    size = size or int(np.clip(BLOCK_BYTES // row_bytes(examples.source), 16, BLOCK_ROWS))
    for start in range(0, len(examples), size):
        yield examples.input_format.decode(examples.take(slice(start, start + size)).inputs)


def find_value_range(examples: Examples, declared: Any, summary: TensorSummary | None = None) -> ValueRange | None:
    """Settle how stored tensor values map to pixels in [0, 1]; ``None`` where the data does not tell.

    ``declared`` is the recipe's ``value_range``: ``[lo, hi]``, ``{mean, std}``, or ``None``. Floats within [0, 1]
    are pixels; integers within 0..255 are 255ths. ``summary`` is that of the examples, where it is known.

    Raises:
        DataError: ``declared`` makes no range.
    """
    if isinstance(declared, Mapping):
        if set(declared) != {"mean", "std"}:
            raise DataError(f"value_range: {{mean, std}} is allowed; {sorted(declared)} came")
        mean, std = np.atleast_1d(declared["mean"]).astype(float), np.atleast_1d(declared["std"]).astype(float)
        if not (std > 0).all():
            raise DataError(f"value_range: every std must be above 0; {std.tolist()} came")
        return ValueRange(tuple(std.tolist()), tuple(mean.tolist()))
    if declared is not None:
        lo, hi = declared
        if not lo < hi:
            raise DataError(f"value_range: [lo, hi] with lo < hi; {list(declared)} came")
        return ValueRange((1 / (hi - lo),), (-lo / (hi - lo),))
    head = examples.take(slice(0, 1))
    stored_integers = head.input_format.as_array(head.inputs).dtype.kind in "iub"
    summary = summarise_tensor(examples) if summary is None else summary
    if not stored_integers and -1e-6 <= summary.lo <= summary.hi <= 1 + 1e-6:
        return ValueRange()
    if stored_integers and 0 <= summary.lo <= summary.hi <= 255:
        return ValueRange((1 / 255,), (0.0,))
    return None
