"""Properties of images, against values worked out by hand or by SciPy."""

from functools import partial

import numpy as np
import pytest
from scipy import ndimage

from mlflow_sensie.errors import DataError
from mlflow_sensie.properties.image import (
    COLOURFULNESS,
    CONTRAST,
    ENTROPY,
    FOREGROUND_FRACTION,
    MEAN,
    SHARPNESS,
    ImageProperty,
    edge_density,
)


def test_image_mean_contrast_and_entropy() -> None:
    images = np.zeros((3, 4, 4))
    images[1, :2] = 1
    images[2] = np.linspace(0, 1, 16).reshape(4, 4)
    np.testing.assert_allclose(MEAN(images), [0, 0.5, 0.5])
    np.testing.assert_allclose(CONTRAST(images), [0, 0.5, images[2].std()])
    np.testing.assert_allclose(ENTROPY(images), [0, 1, 4])


def test_sharpness_and_edges_agree_with_scipy() -> None:
    image = np.random.default_rng(0).random((1, 12, 9))
    laplacian = ndimage.laplace(image[0], mode="nearest")
    np.testing.assert_allclose(SHARPNESS(image), laplacian.std())
    gradient = np.hypot(*(ndimage.sobel(image[0], axis, mode="nearest") / 8 for axis in (0, 1)))
    np.testing.assert_allclose(ImageProperty(partial(edge_density, threshold=0.2))(image), (gradient > 0.2).mean())
    step = np.repeat([[0.0, 0.0, 1.0, 1.0]], 5, axis=0)[None]
    assert ImageProperty(partial(edge_density, threshold=0.4))(step) == 0.5


def test_blur_lowers_sharpness() -> None:
    image = np.random.default_rng(0).random((1, 20, 20))
    soft = ndimage.gaussian_filter(image, (0, 1, 1))
    assert SHARPNESS(soft) < 0.5 * SHARPNESS(image)


def test_colourfulness() -> None:
    grey, red = np.full((1, 3, 3, 3), 0.4), np.zeros((1, 3, 3, 3))
    red[..., 0] = 1
    assert COLOURFULNESS(grey) == pytest.approx(0, abs=1e-12)
    assert COLOURFULNESS(red) == pytest.approx(0.3 * np.hypot(1, 0.5))
    with pytest.raises(DataError, match="3 channels"):
        COLOURFULNESS(np.zeros((1, 3, 3)))


def test_foreground_is_the_brighter_part() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(0.2, 0.03, (2, 20, 20))
    images[0, :5] += 0.6
    images[1] = 0.7
    np.testing.assert_allclose(FOREGROUND_FRACTION(np.clip(images, 0, 1)), [0.25, 0])
