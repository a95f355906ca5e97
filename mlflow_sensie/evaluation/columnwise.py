"""Columns of arrays, images and series among other inputs: their surveys, and perturbations of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, Examples, rows
from mlflow_sensie.data.input_format import InputFormat, as_cell, find_input_format, holds_arrays
from mlflow_sensie.data.lazy_rows import LazyRows, MappedRows
from mlflow_sensie.data.survey import Survey, find_value_range, summarise_tensor, take_survey
from mlflow_sensie.errors import DataError, did_you_mean
from mlflow_sensie.evaluation.chunks import check_perturbed
from mlflow_sensie.perturbations.base import Perturbation


@dataclass(frozen=True)
class Part:
    """A column of arrays that is perturbed: the form of its cells, their survey, and what is bound to that."""

    input_format: InputFormat
    survey: Survey
    perturbation: Perturbation


@dataclass(frozen=True, kw_only=True)
class ColumnwisePerturbation(Perturbation):
    """A perturbation of arrays, applied in columns of a frame; what else the frame holds stays as it is.

    ``parts`` by the column's name.
    """

    kind: ClassVar[str] = "tabular"

    parts: Mapping[Any, Part]
    unit: str = ""  # type: ignore[misc]  # these are those of the perturbation
    neutral: float | None = None  # type: ignore[misc]
    log_distance: bool = False  # type: ignore[misc]
    default_magnitudes: tuple[float, ...] = ()  # type: ignore[misc]
    limits: tuple[float, float] = (-np.inf, np.inf)  # type: ignore[misc]
    staircase: bool = False  # type: ignore[misc]
    random: bool = False  # type: ignore[misc]
    monotone: bool = False  # type: ignore[misc]

    @classmethod
    def of(cls, parts: Mapping[Any, Part]) -> ColumnwisePerturbation:
        """Take what the perturbation says of itself from the first part."""
        first = next(iter(parts.values())).perturbation
        names = ("unit", "neutral", "log_distance", "default_magnitudes", "limits", "staircase", "random", "monotone")
        return cls(parts=parts, **{name: getattr(first, name) for name in names})

    @property
    def makes_missing(self) -> bool:  # type: ignore[override]  # known per instance here
        """Whether that of a column does."""
        return any(part.perturbation.makes_missing for part in self.parts.values())

    def along(
        self, inputs: pd.DataFrame, magnitudes: Sequence[float] | NDArray[Any], rng: np.random.Generator | None = None
    ) -> Iterator[pd.DataFrame]:
        """Perturb every column, each with draws of its own; see `Perturbation.along`."""
        draws: Sequence[Any] = [None] * len(self.parts) if rng is None else rng.spawn(len(self.parts))
        walks = [
            self._in_column(column, inputs, magnitudes, draw) for column, draw in zip(self.parts, draws, strict=True)
        ]
        return (self._put(inputs, arrays) for arrays in zip(*walks, strict=True))

    def _in_column(self, column: Any, inputs: pd.DataFrame, magnitudes: Any, draw: Any) -> Iterator[NDArray[Any]]:
        """The arrays of one column at each magnitude, refused if they are no perturbed versions of what came."""
        part = self.parts[column]
        original, copy = (part.input_format.decode(inputs[[column]]) for _ in range(2))
        for values in part.perturbation.along(copy, magnitudes, draw):
            try:
                check_perturbed(values, original, part.perturbation)
            except ValueError as error:
                raise ValueError(f"column {column!r}: {error}") from error
            yield values

    def _put(self, inputs: pd.DataFrame, arrays: Sequence[NDArray[Any]]) -> pd.DataFrame:
        frame = inputs.copy(deep=False)
        for (column, part), values in zip(self.parts.items(), arrays, strict=True):
            encoded = part.input_format.encode(values, inputs[[column]])
            assert isinstance(encoded, pd.DataFrame)
            frame[column] = encoded[column]
        return frame


def array_columns(
    examples: Examples, kind: str, layout: str | None, names: Sequence[str] | None, where: str
) -> dict[Any, Examples]:
    """The columns of arrays of this ``kind``, those in ``names`` or all of them; each as examples of its own.

    ``layout`` is that of cells of three axes.

    Raises:
        DataError: one of ``names`` is no such column, ``names`` is empty, or cells are missing.
    """
    if names is not None and not names:
        raise DataError(f"{where}: columns is empty; name the columns of arrays, or leave it out for all of them")
    head = rows(examples.source, slice(0, CHUNK))
    if not isinstance(head, pd.DataFrame):
        return {}
    arrays = [name for name in head.columns if holds_arrays(head[name])]
    columns: dict[Any, Examples] = {}
    for name in arrays:
        if names is None or str(name) in names:
            input_format = find_input_format(head[[name]], layout=layout if _axes(head[name]) == 3 else None)
            if input_format.kind == kind:
                columns[name] = replace(examples, source=_only(examples.source, name), input_format=input_format)
    missing = [name for name in names or () if name not in map(str, columns)]
    if missing:
        hint, known = did_you_mean(missing[0], head.columns), ", ".join(map(str, arrays)) or "none"
        raise DataError(
            f"{where}: {missing[0]!r} is no column of arrays of kind {kind}{hint}; columns of arrays: {known}"
        )
    return columns


def _axes(column: pd.Series[Any]) -> int:
    return max(as_cell(cell).ndim for cell in column)


def _only(source: Any, name: Any) -> Any:
    return MappedRows(source, lambda frame: frame[[name]]) if isinstance(source, LazyRows) else source[[name]]


@dataclass(frozen=True)
class Surveyed:
    """Examples and their survey; ``unknown_range``: these are images whose pixel range nobody knows."""

    examples: Examples
    survey: Survey
    unknown_range: bool

    def refuse_unknown_range(self, where: str) -> None:
        """Say what to do where a perturbation or property needs the pixel range.

        Raises:
            DataError: it is not known.
        """
        tensor = self.survey.tensor
        if self.unknown_range and tensor is not None:
            raise DataError(
                f"{where}: the inputs run from {tensor.lo:.4g} to {tensor.hi:.4g}, which tells no pixel range; "
                "say value_range: [lo, hi], or {mean: …, std: …} of a normalised input"
            )


class Surveys:
    """The surveys of the examples; ``layout`` and ``value_range`` are what the recipe says of images."""

    def __init__(self, examples: Examples, layout: str | None, value_range: Any) -> None:
        self.examples, self._layout, self._value_range = examples, layout, value_range
        self._columns: dict[Any, Surveyed] = {}

    @cached_property
    def whole(self) -> Surveyed:
        """All of the examples."""
        return self._take(self.examples)

    def columns(self, kind: str, names: Sequence[str] | None, where: str) -> dict[Any, Surveyed]:
        """The columns of arrays of this ``kind``, those in ``names`` or all of them.

        Raises:
            DataError: one of ``names`` is no such column.
        """
        columns = array_columns(self.examples, kind, self._layout, names, where)
        for name in columns.keys() - self._columns.keys():
            self._columns[name] = self._take(columns[name])
        return {name: self._columns[name] for name in columns}

    def only_column(self, kind: str, where: str) -> Surveyed:
        """The column of arrays of this ``kind``, if there is just one; where there is none, all of the examples.

        Raises:
            DataError: there are several.
        """
        columns = self.columns(kind, None, where)
        if len(columns) > 1:
            names = ", ".join(map(str, columns))
            raise DataError(f"{where}: the columns {names} fit; measure one of them by a function of the frame")
        return next(iter(columns.values()), self.whole)

    def _take(self, examples: Examples) -> Surveyed:
        kind = examples.input_format.kind
        tensor = summarise_tensor(examples) if kind in ("tensor", "series") else None
        range_ = find_value_range(examples, self._value_range, tensor) if kind == "tensor" else None
        return Surveyed(examples, take_survey(examples, range_, tensor), kind == "tensor" and range_ is None)
