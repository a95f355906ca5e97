"""Light and colour against their formulas and the standard library."""

import colorsys

import numpy as np
import pytest

from mlflow_sensie.perturbations.light import Brightness, Contrast, Gamma, Hue, Saturation


def test_brightness_up_is_brighter(batch) -> None:
    np.testing.assert_allclose(Brightness()(batch, 0.3), np.minimum(batch + 0.3, 1), atol=1e-6)
    np.testing.assert_allclose(Brightness()(batch, -0.3), np.maximum(batch - 0.3, 0), atol=1e-6)


def test_contrast_spreads_about_the_mean(batch) -> None:
    means = batch.mean(axis=(1, 2), keepdims=True)
    for factor in (0.5, 2.0):
        expected = np.clip(means + factor * (batch - means), 0, 1)
        np.testing.assert_allclose(Contrast()(batch, factor), expected, atol=1e-5)


def test_gamma_above_one_is_darker(batch) -> None:
    np.testing.assert_allclose(Gamma()(batch, 2.0), batch**2, atol=1e-6)
    np.testing.assert_allclose(Gamma()(batch, 0.5), np.sqrt(batch), atol=1e-6)


def test_saturation_goes_from_grey_to_vivid() -> None:
    image = np.random.default_rng(0).random((2, 5, 5, 3)) * 0.4 + 0.3
    grey = image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(Saturation()(image, 0), np.repeat(grey[..., None], 3, axis=-1), atol=1e-12)
    expected = np.clip(grey[..., None] + 1.5 * (image - grey[..., None]), 0, 1)
    np.testing.assert_allclose(Saturation()(image, 1.5), expected, atol=1e-12)


@pytest.mark.parametrize("degrees", [-60.0, 25.0, 200.0])
def test_hue_agrees_with_colorsys(degrees) -> None:
    image = np.random.default_rng(0).random((2, 6, 5, 3))
    image[0, 0, 0], image[0, 0, 1] = 0.4, (1, 0, 0)

    def turned(colour: np.ndarray) -> tuple[float, float, float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        return colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)

    expected = np.apply_along_axis(turned, -1, image)
    np.testing.assert_allclose(Hue()(image, degrees), expected, atol=1e-9)
