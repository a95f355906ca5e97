"""Properties of rows, against values worked out by hand or by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import mahalanobis

from mlflow_sensie.data.survey import Covariance, Survey
from mlflow_sensie.errors import DataError
from mlflow_sensie.properties.tabular import DistanceToCentre, MissingCount


def test_missing_count() -> None:
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", None], "c": pd.array([None, 1], dtype="Int64")})
    assert MissingCount()(frame).tolist() == [1, 2]
    assert MissingCount(columns=("a",))(frame).tolist() == [0, 1]


def test_mahalanobis_distance() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(500, 3)) @ np.array([[1, 0, 0], [0.5, 1e-4, 0], [3, 0, 1e5]])
    frame = pd.DataFrame(data, columns=list("abc")).assign(constant=7)
    columns = (*"abc", "constant")
    values = frame[list(columns)].to_numpy()
    matrix = np.cov(values, rowvar=False, bias=True)
    covariance = Covariance(columns, tuple(values.mean(axis=0)), tuple(map(tuple, matrix)))
    prop = DistanceToCentre().bind(Survey(n=500, kind="tabular", covariance=covariance))
    scales = data.std(axis=0)
    inverse = np.linalg.inv(np.cov((data / scales).T, bias=True))
    expected = [mahalanobis(row / scales, data.mean(axis=0) / scales, inverse) for row in data[:20]]
    np.testing.assert_allclose(prop(frame[:20]), expected, rtol=1e-5)
    frame.loc[3, "b"] = np.nan
    assert np.isnan(prop(frame[:5])).tolist() == [False, False, False, True, False]
    with pytest.raises(DataError, match=r"\['b'\]"):
        prop(frame.drop(columns="b"))
    with pytest.raises(ValueError, match="call bind"):
        DistanceToCentre()(frame)
