"""Noise of images: its size, and that its draws are shared; standard normal numbers: distribution and independence."""

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.perturbations.noise import PAIRS, GaussianNoise, ImpulseNoise, ShotNoise, standard_normal


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


def draw(*shape: int, dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    return standard_normal(shape, dtype, np.random.default_rng(seed))


def test_they_are_normal_far_into_the_tails() -> None:
    n = 1 << 22
    z = draw(n).astype(np.float64)
    assert stats.kstest(z, "norm").pvalue > 0.001
    for moment, (value, sd) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert (z**moment).mean() == pytest.approx(value, abs=4 * np.sqrt(sd / n))
    for far in (3, 4, 5):
        for tail in (z > far, z < -far):
            expected = n * stats.norm.sf(far)
            assert abs(tail.sum() - expected) < 4 * np.sqrt(expected) + 1


@pytest.mark.parametrize("lag", [1, PAIRS, 2 * PAIRS])  # neighbours; a pair's two; the next pairs drawn
def test_they_are_independent(lag: int) -> None:
    z = draw(1 << 20).astype(np.float64)
    one, other = z[:-lag], z[lag:]
    for f in (lambda x: x, np.abs, np.sign, lambda x: x**2):
        assert abs(np.corrcoef(f(one), f(other))[0, 1]) < 4 / np.sqrt(len(one))


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 0, 3), (2 * PAIRS + 3,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_shape_again_and_again(shape: tuple[int, ...], dtype: type) -> None:
    z = draw(*shape, dtype=dtype)
    assert z.shape == shape and z.dtype == dtype and np.isfinite(z).all()
    np.testing.assert_array_equal(z, draw(*shape, dtype=dtype))
    assert z.size == 0 or (z != draw(*shape, dtype=dtype, seed=1)).any()


class _Bits:
    """A source that gives the same 64 bits again and again."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def random_raw(self, size: int) -> np.ndarray:
        return np.full(size, self.bits, dtype=np.uint64)


@pytest.mark.parametrize("bits", [0, 2**64 - 1, 2**31, 2**63, 2**63 + 2**31])
def test_the_extreme_bits_are_finite(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.random, "SFC64", lambda _: _Bits(bits))
    z = draw(4)
    assert np.isfinite(z).all() and np.abs(z).max() < 6.7
