"""What the weather does to images."""

import numpy as np
import pytest

from mlflow_sensie.perturbations.layers import Fog


def test_fog_whitens_everywhere_and_unevenly() -> None:
    black = np.zeros((3, 24, 24), dtype=np.float32)
    fog = Fog()(black, 0.6, np.random.default_rng(0))
    assert fog.min() == pytest.approx(0.3, abs=1e-3) and fog.max() == pytest.approx(0.6, abs=1e-3)
    assert np.abs(np.diff(fog, axis=1)).max() < 0.15  # smooth
    np.testing.assert_allclose(Fog()(black + 1, 0.6, np.random.default_rng(0)), 1, atol=1e-6)
