"""Blurs against SciPy's, and the shapes of their kernels."""

import numpy as np
import pytest
from scipy import ndimage

from mlflow_sensie.perturbations.blur import DefocusBlur, GaussianBlur, MotionBlur
from perturbations.spots import centre, spot


@pytest.mark.parametrize("sigma", [1e-9, 0.3, 1.0, 2.5, 9.0])
def test_gaussian_blur_agrees_with_scipy(batch, sigma) -> None:
    widths = [0, sigma, sigma] + [0] * (batch.ndim - 3)
    expected = ndimage.gaussian_filter(batch, widths, mode="nearest")
    np.testing.assert_allclose(GaussianBlur()(batch, sigma), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 64, 70), (2, 80, 101, 1), (1, 70, 64, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_images_are_blurred_alike_with_and_without_opencv(monkeypatch, shape, dtype) -> None:
    pytest.importorskip("cv2")
    large = np.random.default_rng(0).random(shape).astype(dtype)
    perturbed = list(GaussianBlur().along(large, [0.01, 1.3, 30.0]))
    monkeypatch.setattr("mlflow_sensie.perturbations.blur.opencv", lambda: None)
    for with_it, without in zip(perturbed, GaussianBlur().along(large, [0.01, 1.3, 30.0]), strict=True):
        assert with_it.shape == large.shape and with_it.dtype == dtype
        np.testing.assert_allclose(with_it, without, atol=1e-6)


@pytest.mark.parametrize("blur", [DefocusBlur(), MotionBlur(), MotionBlur(angle=90.0), GaussianBlur()])
@pytest.mark.parametrize("size", [0.01, 0.7, 3.0, 15.0])
def test_blurs_keep_flat_images_and_do_not_move(blur, size) -> None:
    flat = np.full((1, 21, 21), 0.3, dtype=np.float32)
    np.testing.assert_allclose(blur(flat, size), flat, atol=1e-6)
    blurred = blur(spot(10, 10), min(size, 3.0))
    assert blurred.sum() == pytest.approx(1, abs=0.01)
    assert centre(blurred) == pytest.approx((10, 10), abs=1e-2)


def test_defocus_is_a_disc_of_that_radius() -> None:
    blurred = DefocusBlur()(spot(10, 10), 5.0)[0]
    y, x = np.mgrid[-10:11, -10:11]
    assert (blurred[np.hypot(y, x) < 4] > 0.9 / (np.pi * 25)).all()
    assert (blurred[np.hypot(y, x) > 6.5] < 1e-6).all()


def test_motion_goes_along_its_angle() -> None:
    across = MotionBlur()(spot(10, 10), 9.0)[0]
    np.testing.assert_allclose(across[10, 7:14], 1 / 9, atol=1e-3)
    assert across[10, :5].max() < 1e-6 and across.sum() == pytest.approx(1)
    assert across[9].max() < 1e-6
    rising = MotionBlur(angle=45.0)(spot(10, 10), 9.0)[0]
    assert rising[8, 12] > 0.05 > rising[12, 12]  # up on the right: counter-clockwise


@pytest.mark.parametrize("blur", [DefocusBlur(), MotionBlur(angle=20.0)])
def test_kernels_agree_with_a_convolution(blur) -> None:
    image = np.random.default_rng(0).random((1, 30, 26))
    kernel = blur(np.eye(1, 41 * 41, 20 * 41 + 20).reshape(1, 41, 41), 3.3)[0, 15:26, 15:26]
    expected = ndimage.convolve(image[0], kernel, mode="nearest")
    np.testing.assert_allclose(blur(image, 3.3)[0], expected, atol=1e-6)
