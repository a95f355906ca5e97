"""Noise of images: its size, and that its draws are shared."""

import numpy as np
import pytest

from mlflow_sensie.perturbations.noise import GaussianNoise, ImpulseNoise, ShotNoise


def test_gaussian_noise_has_its_sd_and_scales_its_draws() -> None:
    grey = np.full((50, 20, 20), 0.5, dtype=np.float32)
    low, high = GaussianNoise().along(grey, [0.02, 0.1], np.random.default_rng(0))
    assert (low - 0.5).std() == pytest.approx(0.02, rel=0.02)
    np.testing.assert_allclose(high - 0.5, 5 * (low - 0.5), atol=1e-5)


def test_shot_noise_grows_with_the_light() -> None:
    grey = np.linspace(0, 0.8, 5, dtype=np.float32)[:, None, None] * np.ones((1, 60, 60), dtype=np.float32)
    sd = (ShotNoise()(grey, 0.05, np.random.default_rng(0)) - grey).std(axis=(1, 2))
    np.testing.assert_allclose(sd, 0.05 * np.sqrt(grey[:, 0, 0]), rtol=0.05, atol=1e-6)


def test_impulse_noise_hits_its_rate_of_pixels_and_nests() -> None:
    grey = np.full((40, 20, 20, 3), 0.5, dtype=np.float32)
    few, many = (x != 0.5 for x in ImpulseNoise().along(grey, [0.05, 0.2], np.random.default_rng(0)))
    assert few.mean() == pytest.approx(0.05, abs=0.01) and many.mean() == pytest.approx(0.2, abs=0.02)
    assert not (few & ~many).any()
    assert (few.all(axis=-1) == few.any(axis=-1)).all()
