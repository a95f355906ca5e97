"""Properties of time series, (N, T) or (N, T, C), in stored values; missing steps are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.series import check_series
from mlflow_sensie.properties import Measure


@dataclass(frozen=True, kw_only=True)
class SeriesProperty(Measure):
    """A function of series (N, T, C), float64, to (N,) as a property.

    Examples:
        >>> VOLATILITY(np.array([[1.0, 2.0, 1.0, 2.0], [3.0, 3.0, 3.0, np.nan]]))
        array([1., 0.])
    """

    kind = "series"

    def __call__(self, inputs: Array) -> Array:
        """The property of each series."""
        check_series(inputs)
        series = inputs.astype(np.float64)
        return np.asarray(self.function(series[..., None] if series.ndim == 2 else series), dtype=np.float64)


def length(series: Array) -> Array:
    """The number of time steps up to the last that is not NaN: the length before padding with NaN."""
    present = ~np.isnan(series).all(axis=2)
    return np.asarray((present * np.arange(1, series.shape[1] + 1)).max(axis=1, initial=0))


def mean(series: Array) -> Array:
    """The mean over time steps and channels."""
    count = (~np.isnan(series)).sum(axis=(1, 2))
    return np.asarray(np.nansum(series, axis=(1, 2)) / np.where(count > 0, count, np.nan))


def volatility(series: Array) -> Array:
    """The root mean square of the steps from one time to the next, over all channels.

    NaN for fewer than two steps.
    """
    return np.sqrt(mean(np.diff(series, axis=1) ** 2))


LENGTH = SeriesProperty(length, unit="steps")
MEAN = SeriesProperty(mean)
VOLATILITY = SeriesProperty(volatility)
