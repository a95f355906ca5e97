"""The neutral of a user's function that does not say one: 0, where the function leaves the first chunk as it is."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.evaluation.chunks import FIRST_CHUNK, SweepTest, parts, perturbed
from mlflow_sensie.perturbations.base import FunctionPerturbation

COMPARABLE = "iufcbmM"  # types of arrays whose cells are compared at once
FOUND = "the function changes nothing at magnitude 0, so 0 is its neutral; neutral: none declines"
BOTH_SIDES = (
    "magnitudes on both sides of 0, and no neutral, for the function changes inputs at 0: the effect is that of a line "
    "from the first magnitude to the last, in which losses on both sides may cancel; name the neutral if there is one"
)


def with_neutral(test: SweepTest, examples: Examples, seed: int) -> SweepTest:
    """Return the test of a user's function with 0 as its neutral, where f(x, 0) equals x on the first chunk.

    Its note says so; one with magnitudes on both sides of 0 that has no neutral is warned of.
    """
    if _changes_nothing(replace(test, magnitudes=(0.0,)), examples, seed):
        assert isinstance(test.perturbation, FunctionPerturbation)
        known = replace(test.perturbation, neutral=0.0)
        return replace(test, perturbation=known, magnitudes=tuple(p for p in test.magnitudes if p), notes=(FOUND,))
    both = test.magnitudes[0] < 0 < test.magnitudes[-1]
    return replace(test, notes=(BOTH_SIDES,) if both else ())


def is_open(test: SweepTest, neutral: Any) -> bool:
    """Whether it is a user's function whose recipe does not say a ``neutral``, a number or none."""
    return isinstance(test.perturbation, FunctionPerturbation) and neutral is None


def _changes_nothing(at_0: SweepTest, examples: Examples, seed: int) -> bool:
    """Whether the function can be asked at 0 and returns what came; whatever it raises, it is not known to."""
    chunk = examples.take(slice(0, FIRST_CHUNK))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for part in parts(chunk):
                some = chunk.take(part)
                (values,) = perturbed(at_0, some, (0, part.start), seed)
                if not equal_inputs(values, some.input_format.decode(some.inputs)):
                    return False
    except Exception:  # of the function, or of values that cannot be compared
        return False
    return True


def equal_inputs(values: Any, inputs: Any) -> bool:
    """Whether two batches hold the same, missing values in the same places; types of numbers may differ.

    >>> equal_inputs([1, np.nan], np.array([1.0, np.nan])), equal_inputs(np.ones((2, 1)), np.ones(2))
    (True, False)
    """
    if isinstance(inputs, pd.DataFrame):
        if not isinstance(values, pd.DataFrame) or not values.columns.equals(inputs.columns):
            return False
        columns = range(inputs.shape[1])
        return len(values) == len(inputs) and all(_same(values.iloc[:, k], inputs.iloc[:, k]) for k in columns)
    return np.shape(values) == np.shape(inputs) and _same(values, inputs)


def _same(values: Any, inputs: Any) -> bool:
    one: NDArray[Any] = np.asarray(values)
    other: NDArray[Any] = np.asarray(inputs)
    if one.dtype.kind in COMPARABLE and other.dtype.kind in COMPARABLE:
        return bool(((one == other) | ((one != one) & (other != other))).all())
    return all(map(_same_cell, one.ravel().tolist(), other.ravel().tolist()))


def _same_cell(one: Any, other: Any) -> bool:
    if np.ndim(one) or np.ndim(other):  # a cell that is an array, an image say
        return np.shape(one) == np.shape(other) and _same(one, other)
    missing = pd.isna(one), pd.isna(other)
    return missing == (True, True) if any(missing) else bool(one == other)
