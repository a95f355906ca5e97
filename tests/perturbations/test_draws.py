"""Standard normal numbers: their distribution, and that pairs made of the same bits are independent."""

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.perturbations.draws import PAIRS, standard_normal


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
