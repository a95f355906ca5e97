"""The surveys that a plan rests on, of the examples and of their columns of arrays: each taken once, when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.data.survey import Survey, find_value_range, summarise_tensor, take_survey
from mlflow_sensie.errors import DataError
from mlflow_sensie.evaluation.columnwise import array_columns


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
        found = array_columns(self.examples, kind, self._layout, names, where)
        for name, part in found.items():
            if name not in self._columns:
                self._columns[name] = self._take(part)
        return {name: self._columns[name] for name in found}

    def only_column(self, kind: str, where: str) -> Surveyed:
        """The column of arrays of this ``kind``, if there is just one; where there is none, all of the examples.

        Raises:
            DataError: there are several.
        """
        found = array_columns(self.examples, kind, self._layout, None, where)
        if len(found) > 1:
            names = ", ".join(map(str, found))
            raise DataError(f"{where}: the columns {names} fit; measure one of them by a function of the frame")
        return next(iter(self.columns(kind, None, where).values()), self.whole)

    def _take(self, examples: Examples) -> Surveyed:
        kind = examples.input_format.kind
        tensor = summarise_tensor(examples) if kind in ("tensor", "series") else None
        range_ = find_value_range(examples, self._value_range, tensor) if kind == "tensor" else None
        return Surveyed(examples, take_survey(examples, range_, tensor), kind == "tensor" and range_ is None)
