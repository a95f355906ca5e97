"""Properties of the rows of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mlflow_sensie.data.survey import Covariance, Survey
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array
from mlflow_sensie.perturbations.tabular import is_number, to_floats
from mlflow_sensie.properties import Property

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self


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
        chosen = inputs if self.columns is None else inputs[list(self.columns)]
        return np.asarray(chosen.isna().to_numpy().sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class DistanceToCentre(Property):
    """Mahalanobis distance of a row's numbers from the mean of the whole data; NaN if one is missing.

    Directions in which the data does not vary are left out. Needs `bind`: ValueError without a covariance.
    After Mahalanobis (1936, Proc. Natl. Inst. Sci. India 2, 49).
    """

    kind = "tabular"

    unit: str = "SDs"
    covariance: Covariance | None = field(default=None, repr=False, metadata=BOUND)

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the mean and covariance."""
        return replace(self, covariance=survey.covariance)

    def __call__(self, inputs: pd.DataFrame) -> Array:
        """The distance of each row."""
        known = self.covariance
        if known is None or not known.columns:
            raise ValueError("DistanceToCentre needs a survey that has a covariance: call bind(survey) first.")
        lacking = [c for c in known.columns if c not in inputs.columns or not is_number(inputs[c].dtype)]
        if lacking:
            raise DataError(f"DistanceToCentre needs the numeric columns {lacking}, which the inputs lack.")
        matrix = np.asarray(known.matrix, dtype=np.float64)
        sd = np.sqrt(np.diag(matrix))
        sd = np.where(sd > 0, sd, np.inf)
        # in units of SD first: columns of very different size would spoil the pseudo-inverse
        inverse = np.linalg.pinv(matrix / np.outer(sd, sd), rcond=1e-10, hermitian=True)
        scaled = (to_floats(inputs[list(known.columns)]) - np.asarray(known.mean)) / sd
        squared = np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
        return np.asarray(np.sqrt(np.maximum(squared, 0)))
