"""Batches of images that the tests of several families share."""

import numpy as np
import pytest

SHAPES = [(3, 28, 28), (2, 28, 28, 1), (2, 17, 30, 3), (1, 80, 101, 13)]


@pytest.fixture(params=SHAPES, ids=str)
def batch(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.default_rng(1).random(request.param, dtype=np.float32)
