"""The base of the perturbations of text: places that can be hit, each with the rate from which on it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Perturbation

if TYPE_CHECKING:
    import pandas as pd


class TextEdit(NamedTuple):
    """A place in a text that can be hit: the characters ``start`` to ``stop`` turn into ``becomes``."""

    start: int
    stop: int
    becomes: str
    turn: float  # the rate from which on it is hit


def struck(text: str, strikes: list[TextEdit], rate: float) -> str:
    """``text`` with every strike whose turn has come, given in order; of overlapping ones the first."""
    pieces, position = [], 0
    for strike in strikes:
        if strike.turn < rate and strike.start >= position:
            pieces += [text[position : strike.start], strike.becomes]
            position = strike.stop
    return "".join([*pieces, text[position:]])


@dataclass(frozen=True, kw_only=True)
class TextPerturbation(Perturbation):
    """Base of the perturbations of text at a rate.

    Inputs are a 1-D array of strings, a pandas Series, or a DataFrame, of which ``columns`` names the text
    columns (default: all of strings). Missing values pass. Outputs have the type that came in.
    """

    kind: ClassVar[str] = "text"
    unit: ClassVar[str] = "rate"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.2)
    random: ClassVar[bool] = True

    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        if isinstance(self.columns, str):
            raise ValueError(
                f"{type(self).__name__}: columns must be a list of names; got the string {self.columns!r}."
            )
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    def strikes(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """The places of a text that can be hit, in order, each with its turn and what it turns into."""
        raise NotImplementedError

    def check(self, inputs: Any) -> None:
        """Raise DataError for what holds no text, or cells that are neither strings nor missing."""
        for texts in text_columns(inputs, self.columns).values():
            for text in texts:
                if not isinstance(text, str) and not is_missing(text):
                    raise DataError(
                        f"{type(self).__name__} works on strings; got a {type(text).__name__}: {text!r:.80}."
                    )

    def prepare(self, inputs: Any) -> tuple[Any, dict[Any, list[Any]]]:
        """The inputs, and the cells of each text column."""
        return inputs, text_columns(inputs, self.columns)

    def draw(self, prepared: tuple[Any, dict[Any, list[Any]]], rng: np.random.Generator | None) -> dict[Any, list[Any]]:
        """The strikes of every text; None for missing ones."""
        assert rng is not None
        return {
            name: [self.strikes(text, rng) if isinstance(text, str) else None for text in texts]
            for name, texts in prepared[1].items()
        }

    def apply(self, prepared: tuple[Any, dict[Any, list[Any]]], magnitude: float, draws: dict[Any, list[Any]]) -> Any:
        """The texts with every strike whose turn has come."""
        inputs, columns = prepared
        texts = {
            name: [
                text if strikes is None else struck(str(text), strikes, magnitude)
                for text, strikes in zip(columns[name], draws[name], strict=True)
            ]
            for name in columns
        }
        return with_texts(inputs, texts)


def is_missing(cell: object) -> bool:
    """Whether a cell is None, NaN or NA."""
    import pandas as pd

    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and cell != cell)


def text_columns(inputs: Any, columns: tuple[str, ...] | None) -> dict[Any, list[Any]]:
    """The cells of each text column; a single one without a name is called None.

    Raises DataError for what is no array, Series or DataFrame of text, or lacks a column.
    """
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        missing = [column for column in columns or () if column not in inputs.columns]
        if missing:
            raise DataError(f"No column {missing} in the inputs, which have {list(inputs.columns)}.")
        names = [c for c in inputs.columns if c in columns] if columns is not None else strings_of(inputs)
        if not names:
            raise DataError(f"None of the columns {list(inputs.columns)} holds text; name them in `columns`.")
        return {name: list(inputs[name]) for name in names}
    if isinstance(inputs, pd.Series) or (
        isinstance(inputs, np.ndarray) and inputs.ndim == 1 and inputs.dtype.kind in "OUT"
    ):
        return {None: list(inputs)}
    came = f"{inputs.dtype} array {inputs.shape}" if isinstance(inputs, np.ndarray) else type(inputs).__name__
    raise DataError(f"Text must be a 1-D array of strings, a Series, or a DataFrame; got {came}.")


def strings_of(frame: pd.DataFrame) -> list[Any]:
    """The columns that hold strings and nothing else; categories are none."""
    import pandas as pd

    def is_text(column: pd.Series[Any]) -> bool:
        if column.dtype == object:
            return all(isinstance(cell, str) or is_missing(cell) for cell in column)
        return not isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.is_string_dtype(column.dtype)

    return [name for name in frame.columns if is_text(frame[name])]


def with_texts(inputs: Any, texts: Mapping[Any, list[Any]]) -> Any:
    """A copy of ``inputs`` with other texts, in the same type; fixed-width arrays are widened for them."""
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        result = fresh_copy(inputs)
        for name, cells in texts.items():
            position = inputs.columns.get_loc(name)
            result.isetitem(position, pd.Series(cells, index=inputs.index, dtype=inputs[name].dtype))
        return result
    if isinstance(inputs, pd.Series):
        return pd.Series(texts[None], index=inputs.index, name=inputs.name, dtype=inputs.dtype)
    if inputs.dtype.kind == "U":
        return np.array(texts[None], dtype=np.str_).reshape(inputs.shape)
    result = np.empty(inputs.shape, dtype=inputs.dtype)
    result[:] = texts[None]
    return result
