"""Properties of series, against values worked out by hand."""

import numpy as np

from mlflow_sensie.properties.series import LENGTH, MEAN, VOLATILITY


def test_series_properties() -> None:
    series = np.array([[1.0, 3, 2, np.nan, np.nan], [np.nan, 1, 1, 1, 1], [np.nan] * 5])
    np.testing.assert_allclose(LENGTH(series), [3, 5, 0])
    np.testing.assert_allclose(MEAN(series), [2, 1, np.nan])
    np.testing.assert_allclose(VOLATILITY(series), [np.sqrt(2.5), 0, np.nan])
    assert MEAN(np.ones((2, 3, 4), dtype=np.int16)).tolist() == [1, 1]
