"""Properties of the rows of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from mlflow_sensie.data.survey import Covariance
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.tabular import is_number, to_floats
from mlflow_sensie.properties import Property

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class MissingCount(Property):
    """The number of missing cells of a row, over all columns or over ``columns``.

    Examples:
        >>> import pandas as pd
        >>> MissingCount()(pd.DataFrame({"a": [1.0, None], "b": ["x", None]}))
        array([0., 2.])
    """

    kind = "tabular"

    unit: str = "cells"
    columns: tuple[str, ...] | None = None

    def __call__(self, inputs: pd.DataFrame) -> Array:
        """The count of each row."""
        columns = inputs if self.columns is None else inputs[list(self.columns)]
        return np.asarray(columns.isna().to_numpy().sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class DistanceToCentre(Property):
    """Mahalanobis distance of a row's numbers from the mean of the whole data; NaN if one is missing.

    Directions in which the data does not vary are left out. Needs `bind`: ValueError without a covariance.
    After Mahalanobis (1936, Proc. Natl. Inst. Sci. India 2, 49).
    """

    kind = "tabular"

    unit: str = "SDs"
    covariance: Covariance | None = field(default=None, repr=False, metadata={"bound": attrgetter("covariance")})

    def __call__(self, inputs: pd.DataFrame) -> Array:
        """The distance of each row."""
        if self.covariance is None or not self.covariance.columns:
            raise ValueError("DistanceToCentre needs a survey that has a covariance: call bind(survey) first.")
        columns, matrix = list(self.covariance.columns), np.asarray(self.covariance.matrix, dtype=np.float64)
        if lacking := [c for c in columns if c not in inputs.columns or not is_number(inputs[c].dtype)]:
            raise DataError(f"DistanceToCentre needs the numeric columns {lacking}, which the inputs lack.")
        variance = np.diag(matrix)
        sd = np.sqrt(np.where(variance > 0, variance, np.inf))
        # in units of SD first: columns of very different size would spoil the pseudo-inverse
        inverse = np.linalg.pinv(matrix / np.outer(sd, sd), rcond=1e-10, hermitian=True)
        scaled = (to_floats(inputs[columns]) - np.asarray(self.covariance.mean)) / sd
        return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", scaled, inverse, scaled), 0)))
