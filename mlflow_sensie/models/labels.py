"""Labels: which column is which class, and targets as class numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.recipe.model import Recipe


def class_order(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Any, ...]:
    """Return the classes in the order of the probability columns.

    From ``label_list``, the model's ``classes_``, the names of its output columns, ``pos_label``, or class
    numbers 0..K-1. One column is the probability of ``pos_label``, or of the label that the picked output is
    named; else of the second class.

    Raises:
        DataError: nothing tells the order, what does contradicts itself, or it names another number of classes.
    """
    k = 2 if first.values.ndim == 1 else first.values.shape[1]
    names = None if list(first.columns or range(k)) == list(range(k)) else first.columns
    known = recipe.label_list or model.classes or names
    _refuse_other_order(recipe, "output columns", names)
    if model.source == "predict_proba":
        _refuse_other_order(recipe, "predict_proba", model.classes)
    seen = sorted_labels(targets)
    positive = _positive_label(first, seen, recipe)
    if known is None and k == 2 and positive is not None:
        others = [label for label in seen if not _same(label, positive)]
        if len(others) != 1:
            raise DataError(f"pos_label {positive!r} leaves the labels {others}; exactly one other is needed")
        known = (others[0], positive)
    if known is None and all(_is_whole(label) for label in seen):
        known = tuple(range(k))
    if known is None:
        raise DataError(
            f"the model gives {k} probabilities but not which class is which, and the targets are {listing(seen)}; "
            "say label_list: [...] in the order of the columns"
        )
    if len(known) != k:
        raise DataError(f"the model gives {k} probabilities, but {len(known)} classes are named: {listing(known)}")
    backwards = first.values.ndim == 1 and positive is not None and _same(known[0], positive)
    return tuple(reversed(known)) if backwards else tuple(known)


def _positive_label(first: Predictions, seen: list[Any], recipe: Recipe) -> Any:
    """The label whose probability a single column is: ``pos_label``, or the label that the picked output is named."""
    if recipe.pos_label is not None or first.picked is None:
        return recipe.pos_label
    named = next((label for label in seen if _same(label, first.picked)), None)
    if named is not None and first.picked.isdigit() and first.values.ndim == 1:
        raise DataError(
            f"predictions: {first.picked} may be the number of a column, or the label {named}; "
            "say pos_label, the label whose probability it is"
        )
    return named


def _refuse_other_order(recipe: Recipe, what: str, classes: Sequence[Any] | None) -> None:
    listed, actual = [[key_of(label) for label in labels or ()] for labels in (recipe.label_list, classes)]
    if sorted(listed) == sorted(actual) and listed != actual:
        raise DataError(
            f"label_list says that the columns are {listing(recipe.label_list)}, but those of the model's "
            f"{what} are {listing(classes)}; leave label_list out"
        )


def positive_class(classes: tuple[Any, ...], recipe: Recipe) -> int:
    """Return the number of the positive class: that of ``pos_label``, else the last."""
    if recipe.pos_label is None:
        return len(classes) - 1
    keys = list(map(key_of, classes))
    if key_of(recipe.pos_label) not in keys:
        raise DataError(f"pos_label {recipe.pos_label!r} is not among the classes {listing(classes)}")
    return keys.index(key_of(recipe.pos_label))


def encode(targets: NDArray[Any], classes: tuple[Any, ...]) -> NDArray[np.int64]:
    """Return targets as class numbers (n,); labels match by value, or by text where types differ (7, 7.0 and "7").

    Raises:
        DataError: a label is none of the classes.
    """
    by_key = {key_of(label): number for number, label in enumerate(classes)}
    codes, unique = pd.factorize(targets)  # eight bytes per example, however long its label
    unknown = [label for label in sorted_labels(unique) if key_of(label) not in by_key]
    if unknown:
        raise DataError(
            f"the targets hold {listing(unknown)}, which the model does not know; its classes are {listing(classes)}"
        )
    numbers = np.array([by_key[key_of(label)] for label in unique.tolist()], dtype=np.int64)
    return numbers[codes]


def key_of(label: Any) -> str:
    """Return one text for labels that mean the same: 7, 7.0, True/1 stay numbers; else the text itself.

    LABEL_7 is 7: so transformers call a class that nobody named.
    """
    whole = isinstance(label, float | np.floating) and float(label).is_integer()
    text = str(int(label)) if whole or isinstance(label, bool | np.bool_) else str(label)
    return text.removeprefix("LABEL_") if re.fullmatch(r"LABEL_\d+", text) else text


def _same(a: Any, b: Any) -> bool:
    return key_of(a) == key_of(b)


def _is_whole(label: Any) -> bool:
    return isinstance(label, int | np.integer | bool | np.bool_) or (isinstance(label, float) and label.is_integer())


def sorted_labels(labels: NDArray[Any]) -> list[Any]:
    """Return each label once, in order where they can be ordered."""
    unique = pd.factorize(labels)[1].tolist()
    try:
        return sorted(unique)
    except TypeError:
        return sorted(unique, key=str)


def listing(labels: Any, most: int = 12) -> str:
    """Return labels as they stand in a message, the first ``most`` of them."""
    names = [repr(label) if isinstance(label, str) else str(label) for label in labels]
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
