"""Properties of predictions, against values worked out by hand."""

import numpy as np

from mlflow_sensie.properties.prediction import CONFIDENCE, MARGIN


def test_confidence_and_margin() -> None:
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [np.nan] * 3])
    np.testing.assert_allclose(CONFIDENCE(probabilities), [0.7, 0.5, np.nan])
    np.testing.assert_allclose(MARGIN(probabilities), [0.5, 0, np.nan])
    for binary in (np.array([0.2, 0.5]), np.array([[0.2], [0.5]])):
        np.testing.assert_allclose(CONFIDENCE(binary), [0.8, 0.5])
        np.testing.assert_allclose(MARGIN(binary), [0.6, 0])
