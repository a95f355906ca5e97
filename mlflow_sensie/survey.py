"""What must be known of the whole data before the sweep: one pass, settled once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError

if TYPE_CHECKING:
    from mlflow_sensie.dataset import Examples, Inputs


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


# --- properties --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PropertyData:
    """One property of all examples.

    ``values`` (n,): floats with NaN for missing, or level numbers with −1 for missing where ``levels`` names
    them. ``span`` is the range that the effect is measured over; ``edges`` or ``unique`` say the bins.
    """

    name: str
    slug: str
    unit: str
    values: NDArray[Any]
    levels: tuple[str, ...] | None = None
    span: tuple[float, float] | None = None
    edges: tuple[float, ...] | None = None
    unique: tuple[float, ...] | None = None
    merged: int = 0


@dataclass(frozen=True)
class PredictedProperty:
    """A property of the unperturbed predictions: known only after the sweep.

    ``measure`` turns class probabilities (n, K) into values (n,); ``settle`` turns the values of all
    examples into the property.
    """

    name: str
    slug: str
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    settle: Callable[[pd.Series[Any]], PropertyData]


Bins = Callable[[NDArray[np.float64]], dict[str, Any]]
Merge = Callable[[tuple[str, ...], NDArray[np.int64]], tuple[tuple[str, ...], NDArray[np.int64]]]


def to_property(name: str, slug: str, column: pd.Series[Any], unit: str, bins: Bins, merge: Merge) -> PropertyData:
    """Turn a column into a property: numbers and dates as they are, everything else into levels.

    ``bins`` maps the present numbers to ``span``, ``edges`` and ``unique``; ``merge`` maps levels and their
    counts to fewer levels and the new number of each.

    Raises:
        DataError: the property is constant, all missing, infinite somewhere, or of cells that are no values.
    """
    kind = column_kind(column)
    if kind == "other":
        raise DataError(
            f"property {name!r}: its cells are neither numbers, dates nor text; the first is {column.iloc[0]!r}"
        )
    present = column.dropna()
    distinct = present.nunique()
    if distinct < 2:
        found = f"is always {present.tolist()[0]!r}" if distinct else "has no value at all"
        raise DataError(f"property {name!r} {found}; a property must vary to be tested")
    if kind in ("category", "boolean"):
        return _to_levels(name, slug, column, merge)
    values = as_numbers(column)
    if np.isinf(values).any():
        raise DataError(
            f"property {name!r} is infinite for {int(np.isinf(values).sum())} examples; make them missing (NaN)"
        )
    unit = unit or ("days since 1970-01-01" if kind == "datetime" else "")
    return PropertyData(name, slug, unit, values, **bins(values[~np.isnan(values)]))


def _to_levels(name: str, slug: str, column: pd.Series[Any], merge: Merge) -> PropertyData:
    present = column.dropna()
    counts = present.astype(str).value_counts().sort_index()
    levels, numbers = merge(tuple(counts.index), np.asarray(counts, dtype=np.int64))
    by_name = dict(zip(counts.index, numbers, strict=True))
    codes = np.full(len(column), -1, dtype=np.int64)
    codes[column.notna().to_numpy()] = [by_name[str(value)] for value in present]
    return PropertyData(name, slug, "", codes, levels, merged=len(counts) - len(levels))


# --- identity of the data ----------------------------------------------------------------------------------


def data_digest(examples: Examples, properties: list[PropertyData]) -> str:
    """SHA-256 (hex) over inputs, targets and properties used; columns in the order of their names.

    Numbers count as float64, everything else as text, so that the same data from another file format or of
    another integer width agrees.
    """
    digest = hashlib.sha256(f"sensie-data-1 {len(examples)}".encode())
    for name, values in sorted(_digest_columns(examples.inputs), key=lambda pair: pair[0]):
        digest.update(name.encode() + values)
    digest.update(b"targets" + _canonical(pd.Series(examples.targets)))
    for prop in sorted(properties, key=lambda each: each.name):
        names = np.array(["", *(prop.levels or ())], dtype=object)
        values = pd.Series(names[prop.values + 1] if prop.levels else prop.values)
        digest.update(prop.name.encode() + _canonical(values))
    return digest.hexdigest()


def _digest_columns(inputs: Inputs) -> Any:
    if isinstance(inputs, pd.DataFrame):
        for name in inputs.columns:
            yield str(name), _canonical(inputs[name])
    elif inputs.dtype.kind not in "fiub":
        yield f"array {inputs.shape[1:]}", _canonical(pd.Series(inputs.ravel(), dtype=object))
    else:
        yield f"array {inputs.shape[1:]}", np.ascontiguousarray(inputs, dtype=np.float64).tobytes()


def _canonical(column: pd.Series[Any]) -> bytes:
    if column_kind(column) in ("numeric", "integer", "boolean", "datetime"):
        if column_kind(column) == "boolean":
            column = column.astype("Float64")
        return as_numbers(column).tobytes()
    if len(column) and isinstance(column.iloc[0], np.ndarray | list):
        return b"".join(map(_canonical_cell, column))
    return "\x1f".join(column.astype(object).where(column.notna(), "\x00").map(str)).encode()


def _canonical_cell(cell: Any) -> bytes:
    try:
        return np.asarray(cell, dtype=np.float64).tobytes()
    except (TypeError, ValueError):  # e.g. a list of words
        return repr(cell).encode()
