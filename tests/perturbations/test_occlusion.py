"""How much of an image is covered, and where."""

import numpy as np

from mlflow_sensie.perturbations.layers import Occlude


def test_occlusion_covers_its_share_and_nests() -> None:
    white = np.ones((30, 23, 31, 2))
    covered = [1 - x for x in Occlude(fill=0.0).along(white, [0.1, 0.33, 1.0], np.random.default_rng(0))]
    np.testing.assert_allclose([x.mean(axis=(1, 2, 3)) for x in covered], [[0.01] * 30, [0.33**2] * 30, [1.0] * 30])
    assert (covered[0] <= covered[1] + 1e-12).all()
    assert np.ptp(covered[0].argmax(axis=1), axis=0).max() > 5  # not always in the same place
