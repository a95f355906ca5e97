"""The base of the perturbations of text: places that can be edited, each with the rate from which on it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Perturbation, column_names, is_missing

if TYPE_CHECKING:
    import pandas as pd


class TextEdit(NamedTuple):
    """A place in a text that can be edited: the characters ``start`` to ``stop`` turn into ``becomes``."""

    start: int
    stop: int
    becomes: str
    turn: float  # the rate from which on it is


def edited(text: str, edits: list[TextEdit], rate: float) -> str:
    """``text`` with every edit whose turn has come, given in order; of overlapping ones the first.

    Examples:
        >>> edited("good film", [TextEdit(0, 4, "bad", 0.1), TextEdit(5, 9, "book", 0.7)], 0.2)
        'bad film'
    """
    pieces, position = [], 0
    for edit in edits:
        if edit.turn < rate and edit.start >= position:
            pieces += [text[position : edit.start], edit.becomes]
            position = edit.stop
    return "".join([*pieces, text[position:]])


@dataclass(frozen=True, kw_only=True)
class TextPerturbation(Perturbation):
    """Base of the perturbations of text at a rate.

    Inputs are a 1-D array of strings, a pandas Series, or a DataFrame, of which ``columns`` names the text
    columns (default: all of strings). Missing values pass. Outputs have the type that came in.
    """

    kind = "text"
    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.2)
    random = True

    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Take a list of columns as it stands in a recipe, but no single string."""
        object.__setattr__(self, "columns", column_names(self.name, self.columns))

    def edits(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """The places of a text that can be edited, in order, each with its turn and what it turns into."""
        raise NotImplementedError

    def check(self, inputs: Any) -> None:
        """Raise DataError for what holds no text, or cells that are neither strings nor missing."""
        for texts in text_columns(inputs, self.columns).values():
            for text in texts:
                if not isinstance(text, str) and not is_missing(text):
                    raise DataError(f"{self.name} works on strings; got a {type(text).__name__}: {text!r:.80}.")

    def prepare(self, inputs: Any) -> tuple[Any, dict[Any, list[Any]]]:
        """The inputs, and the cells of each text column."""
        return inputs, text_columns(inputs, self.columns)

    def draw(self, prepared: tuple[Any, dict[Any, list[Any]]], rng: np.random.Generator | None) -> dict[Any, list[Any]]:
        """The edits of every text; none for missing ones."""
        assert rng is not None
        return {
            name: [self.edits(text, rng) if isinstance(text, str) else [] for text in texts]
            for name, texts in prepared[1].items()
        }

    def apply(self, prepared: tuple[Any, dict[Any, list[Any]]], magnitude: float, draws: dict[Any, list[Any]]) -> Any:
        """The texts with every edit whose turn has come."""
        inputs, columns = prepared
        texts = {
            name: [
                edited(str(text), edits, magnitude) if edits else text
                for text, edits in zip(columns[name], draws[name], strict=True)
            ]
            for name in columns
        }
        return with_texts(inputs, texts)


@dataclass(frozen=True, kw_only=True)
class EditFunction(TextPerturbation):
    """A function (text, rng) → edits, as `TextPerturbation.edits` describes it, as a perturbation of text.

    Examples:
        >>> def shout(text, rng):
        ...     return [TextEdit(i, i + 1, "!", rng.random()) for i, mark in enumerate(text) if mark == "."]
        >>> EditFunction(shout)(np.array(["No. Never."]), 1.0, np.random.default_rng(0)).tolist()
        ['No! Never!']
    """

    function: Callable[[str, np.random.Generator], list[TextEdit]] = field(kw_only=False, metadata=BOUND)

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__

    def edits(self, text: str, rng: np.random.Generator) -> list[TextEdit]:
        """What the function says."""
        return self.function(text, rng)


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
