"""What a model returned: the outputs of many libraries as arrays with a row per example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.types import as_objects, as_vectors
from mlflow_sensie.errors import ModelError, did_you_mean


@dataclass(frozen=True)
class Predictions:
    """What a model returned: ``values`` (n,) or (n, K); ``columns`` names the K where the model does.

    ``picked`` is the name of the output that the values are, where the user named one of several. As a user's score
    takes them, values are anything with n rows: arrays (n, ...) or (n,) objects, which were ``listed`` if in a list.
    """

    values: NDArray[Any]
    columns: tuple[Any, ...] | None = None
    picked: str | None = None
    listed: bool = False


def read_output(
    raw: Any, n: int, *, pick: str | int | None = None, usual: str | None = None, names: Sequence[Any] | None = None
) -> Predictions:
    """Return what the model returned for ``n`` examples as ``Predictions``.

    ``raw``: an array, tensor, list, frame, dict or list of dicts, or a list of 2-D arrays, one per output.
    ``pick`` names the output that is meant, a column or an entry; of outputs without names it is the number.
    ``usual`` is taken where the user names none and the model has it; ``names`` are those of unnamed columns.

    Raises:
        ModelError: there is no output of that name, there are several that no score can be made of together, or
            an output has no row per example.
    """
    if isinstance(raw, list) and raw and isinstance(raw[0], dict):
        raw = pd.DataFrame(raw)
    parts = _parts(raw, n)
    if parts is None:
        return _unnamed(_to_rows(raw, n), pick, names)
    pick = usual if pick is None and usual in parts else pick
    if pick is not None:
        return replace(read_output(_choose(parts, pick), n), picked=str(pick))
    if len(parts) == 1:
        return read_output(next(iter(parts.values())), n, names=names)
    if any(_is_wide(part) for part in parts.values()):
        raise ModelError(
            f"the model returns several outputs ({', '.join(map(str, parts))}); name the one to score, "
            f"predictions: {next(iter(parts))} (a multi-label model is scored on one label at a time)"
        )
    frame = raw if isinstance(raw, pd.DataFrame) else pd.DataFrame(parts)
    return Predictions(_to_rows(frame.to_numpy(), n), tuple(frame.columns))


def _parts(raw: Any, n: int) -> Mapping[Any, Any] | None:
    """The outputs by name, of a frame, a mapping, or a list of 2-D arrays; ``None`` for a single one."""
    if isinstance(raw, pd.DataFrame):
        return {name: raw.iloc[:, position] for position, name in enumerate(raw.columns)}
    if isinstance(raw, list | tuple) and raw and all(np.ndim(part) == 2 and len(part) == n for part in raw):
        return {str(number): part for number, part in enumerate(raw)}
    return raw if isinstance(raw, Mapping) else None


def _choose(parts: Mapping[Any, Any], pick: str | int) -> Any:
    by_name = {str(name): part for name, part in parts.items()}
    if str(pick) not in by_name:
        hint = did_you_mean(pick, by_name)
        raise ModelError(f"predictions: the model has no output {str(pick)!r}{hint}; it returns {', '.join(by_name)}")
    return by_name[str(pick)]


def _unnamed(values: NDArray[Any], pick: str | int | None, names: Sequence[Any] | None) -> Predictions:
    """Values whose columns the signature may name, else their numbers do."""
    columns = tuple(names) if names and values.ndim == 2 and len(names) == values.shape[1] else None
    if pick is None:
        return Predictions(values, columns)
    if values.ndim == 1:
        raise ModelError(f"predictions: {str(pick)!r} came, but the model returns a single output without a name")
    by_name = dict(zip(columns or range(values.shape[1]), values.T, strict=True))
    return Predictions(_choose(by_name, pick), picked=str(pick))


def _is_wide(part: Any) -> bool:
    """Whether an output has more than one value per example."""
    if np.ndim(part) != 1 or not len(part):
        return np.ndim(part) > 1
    first = part.iloc[0] if isinstance(part, pd.Series) else part[0]
    return isinstance(first, dict) or np.ndim(first) > 0


def as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Return cells that are vectors, of probabilities say, as rows."""
    vectors = values.dtype == object and values.ndim == 1 and len(values) > 0 and np.ndim(values[0]) == 1
    return np.stack(list(values)) if vectors else values


def _to_rows(raw: Any, n: int) -> NDArray[Any]:
    """Return an output as (n,) or (n, K)."""
    values = as_rows(np.asarray(raw.detach().cpu().numpy() if hasattr(raw, "detach") else raw))
    if values.ndim == 0 or len(values) != n:
        raise ModelError(
            f"the model returned an output of shape {values.shape} for {n} examples; one row each is needed"
        )
    if values.ndim > 2:
        raise ModelError(f"the model returned an output of shape {values.shape}; (n,) or (n, classes) is needed")
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


# --- as they are, for a user's score ---------------------------------------------------------------------------


def read_returned(
    raw: Any, n: int, *, pick: str | int | None = None, names: Sequence[Any] | None = None
) -> Predictions:
    """Return what the model returned for ``n`` examples, in the form in which it came.

    A list of n is an example's answer each: a list of dicts or of arrays of any shapes stays one, of numbers or equal
    rows of them it is an array. Tensors are arrays; several outputs by name are a frame. ``pick`` and ``names`` as for
    ``read_output``.

    Raises:
        ModelError: there is no output of that name, or an output has no row per example.
    """
    each = isinstance(raw, list) and len(raw) == n > 0
    if each and isinstance(raw[0], dict) and all(np.isscalar(value) for value in raw[0].values()):
        raw, each = pd.DataFrame(raw), False  # how a server returns a frame
    parts = None if each else _parts(raw, n)
    if parts is None:
        values, listed = _rows_as_returned(raw, n)
        return Predictions(values, listed=listed) if pick is None and not names else _unnamed(values, pick, names)
    if pick is not None:
        values, listed = _rows_as_returned(_choose(parts, pick), n)
        return Predictions(values, picked=str(pick), listed=listed)
    if len(parts) == 1:
        values, listed = _rows_as_returned(next(iter(parts.values())), n)
        return Predictions(values, listed=listed)
    if not isinstance(raw, pd.DataFrame):
        columns = [_rows_as_returned(part, n)[0] for part in parts.values()]
        raw = pd.DataFrame({name: list(column) for name, column in zip(parts, columns, strict=True)})
    return Predictions(_to_rows(raw.to_numpy(), n), tuple(raw.columns))


def _rows_as_returned(raw: Any, n: int) -> tuple[NDArray[Any], bool]:
    """An output with n rows as an array, or as (n,) objects; and whether those were in a list."""
    values = raw.detach().cpu().numpy() if hasattr(raw, "detach") else raw
    plain = isinstance(values, list | tuple) or getattr(getattr(values, "dtype", None), "kind", "") == "O"
    vectors = as_vectors(values) if plain else np.asarray(values)
    listed = vectors is None and isinstance(values, list | tuple)
    values = as_objects(values) if vectors is None else vectors
    if values.ndim == 0 or len(values) != n:
        raise ModelError(
            f"the model returned an output of shape {values.shape} for {n} examples; one row each is needed"
        )
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values, listed


def join_rows(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays of rows as one; where rows differ in shape, as an array (n,) of objects."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    return as_objects([row for part in parts for row in part])
