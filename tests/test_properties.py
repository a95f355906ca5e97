"""The built-in properties, against values worked out by hand or by other libraries."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.spatial.distance import mahalanobis

from mlflow_sensie.data.survey import Covariance, Survey, ValueRange
from mlflow_sensie.errors import DataError
from mlflow_sensie.plugins import load_target
from mlflow_sensie.properties import BUILT_IN
from mlflow_sensie.testing import sample, sample_images

IMAGE = [name for name in BUILT_IN if name.startswith("image.")]


def make(name: str, **params: object):
    return load_target(BUILT_IN[name])(**params)


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_one_float_per_example_that_depends_on_no_other(name) -> None:
    prop = make(name)
    if prop.kind == "any":
        inputs, survey = np.random.default_rng(0).dirichlet(np.ones(4), 9), Survey(n=9, kind="tensor")
        assert prop.needs == "probabilities"
    else:
        inputs, survey = sample(prop.kind)
        assert prop.needs == "inputs"
    prop = prop.bind(survey)
    found = prop(inputs)
    assert found.shape == (len(inputs),) and found.dtype == np.float64
    assert np.nanstd(found) > 0 or name in ("series.length",)
    np.testing.assert_allclose(prop(inputs[2:5]), found[2:5])
    assert prop(inputs[:0]).shape == (0,)


@pytest.mark.parametrize("name", IMAGE)
def test_images_are_measured_in_pixels_whatever_is_stored(name) -> None:
    images, _ = sample_images()
    stored = (images * 255).round().astype(np.uint8)
    expected = make(name)(stored / 255)
    np.testing.assert_allclose(make(name)(stored), expected, atol=1e-5 if name != "image.entropy" else 0.02)
    normalised = Survey(
        n=8,
        kind="tensor",
        layout="NCHW",
        value_range=ValueRange(scale=(0.2, 0.3, 0.4), offset=(0.1, 0.2, 0.3)),
    )
    turned = ((stored / 255 - [0.1, 0.2, 0.3]) / [0.2, 0.3, 0.4]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(make(name).bind(normalised)(turned), expected, atol=0.02)


@pytest.mark.parametrize("name", IMAGE)
def test_an_image_with_a_missing_pixel_is_missing(name) -> None:
    images, _ = sample_images()
    images[3, 2, 2, 0] = np.nan
    assert np.isnan(make(name)(images)).tolist() == [i == 3 for i in range(8)]


def test_image_mean_contrast_and_entropy() -> None:
    images = np.zeros((3, 4, 4))
    images[1, :2] = 1
    images[2] = np.linspace(0, 1, 16).reshape(4, 4)
    np.testing.assert_allclose(make("image.mean")(images), [0, 0.5, 0.5])
    np.testing.assert_allclose(make("image.contrast")(images), [0, 0.5, images[2].std()])
    np.testing.assert_allclose(make("image.entropy")(images), [0, 1, 4])


def test_sharpness_and_edges_agree_with_scipy() -> None:
    image = np.random.default_rng(0).random((1, 12, 9))
    laplacian = ndimage.laplace(image[0], mode="nearest")
    np.testing.assert_allclose(make("image.sharpness")(image), laplacian.std())
    gradient = np.hypot(*(ndimage.sobel(image[0], axis, mode="nearest") / 8 for axis in (0, 1)))
    np.testing.assert_allclose(make("image.edge_density", threshold=0.2)(image), (gradient > 0.2).mean())
    step = np.repeat([[0.0, 0.0, 1.0, 1.0]], 5, axis=0)[None]
    assert make("image.edge_density", threshold=0.4)(step) == 0.5


def test_blur_lowers_sharpness() -> None:
    image = np.random.default_rng(0).random((1, 20, 20))
    soft = ndimage.gaussian_filter(image, (0, 1, 1))
    assert make("image.sharpness")(soft) < 0.5 * make("image.sharpness")(image)


def test_colourfulness() -> None:
    grey, red = np.full((1, 3, 3, 3), 0.4), np.zeros((1, 3, 3, 3))
    red[..., 0] = 1
    assert make("image.colourfulness")(grey) == pytest.approx(0, abs=1e-12)
    assert make("image.colourfulness")(red) == pytest.approx(0.3 * np.hypot(1, 0.5))
    with pytest.raises(DataError, match="3 channels"):
        make("image.colourfulness")(np.zeros((1, 3, 3)))


def test_foreground_is_the_brighter_part() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(0.2, 0.03, (2, 20, 20))
    images[0, :5] += 0.6
    images[1] = 0.7
    np.testing.assert_allclose(make("image.foreground_fraction")(np.clip(images, 0, 1)), [0.25, 0])


def test_missing_count() -> None:
    frame = pd.DataFrame({"a": [1.0, None], "b": ["x", None], "c": pd.array([None, 1], dtype="Int64")})
    assert make("tabular.missing_count")(frame).tolist() == [1, 2]
    assert make("tabular.missing_count", columns=("a",))(frame).tolist() == [0, 1]


def test_mahalanobis_distance() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(500, 3)) @ np.array([[1, 0, 0], [0.5, 1e-4, 0], [3, 0, 1e5]])
    frame = pd.DataFrame(data, columns=list("abc")).assign(constant=7)
    columns = (*"abc", "constant")
    values = frame[list(columns)].to_numpy()
    matrix = np.cov(values, rowvar=False, bias=True)
    covariance = Covariance(columns, tuple(values.mean(axis=0)), tuple(map(tuple, matrix)))
    prop = make("tabular.distance_to_centre").bind(Survey(n=500, kind="tabular", covariance=covariance))
    scales = data.std(axis=0)
    inverse = np.linalg.inv(np.cov((data / scales).T, bias=True))
    expected = [mahalanobis(row / scales, data.mean(axis=0) / scales, inverse) for row in data[:20]]
    np.testing.assert_allclose(prop(frame[:20]), expected, rtol=1e-5)
    frame.loc[3, "b"] = np.nan
    assert np.isnan(prop(frame[:5])).tolist() == [False, False, False, True, False]
    with pytest.raises(DataError, match=r"\['b'\]"):
        prop(frame.drop(columns="b"))
    with pytest.raises(ValueError, match="call bind"):
        make("tabular.distance_to_centre")(frame)


def test_text_properties() -> None:
    texts = np.array(["Hello WORLD", "", None, "naïve 中文", "123 456"], dtype=object)
    expected = {
        "text.length": [11, 0, np.nan, 8, 7],
        "text.words": [2, 0, np.nan, 2, 2],
        "text.mean_word_length": [5, np.nan, np.nan, 3.5, 3],
        "text.uppercase_fraction": [0.6, np.nan, np.nan, 0, np.nan],
        "text.non_ascii_fraction": [0, np.nan, np.nan, 3 / 8, 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(make(name)(texts), values)
        np.testing.assert_allclose(make(name)(pd.DataFrame({"t": texts, "n": 1})), values)
    two = pd.DataFrame({"a": ["ab", None], "b": ["c", "d"]})
    assert make("text.length")(two).tolist() == [4, 1]
    assert make("text.length", columns=("b",))(two).tolist() == [1, 1]


def test_series_properties() -> None:
    series = np.array([[1.0, 3, 2, np.nan, np.nan], [np.nan, 1, 1, 1, 1], [np.nan] * 5])
    np.testing.assert_allclose(make("series.length")(series), [3, 5, 0])
    np.testing.assert_allclose(make("series.mean")(series), [2, 1, np.nan])
    np.testing.assert_allclose(make("series.volatility")(series), [np.sqrt(2.5), 0, np.nan])
    assert make("series.mean")(np.ones((2, 3, 4), dtype=np.int16)).tolist() == [1, 1]


def test_confidence_and_margin() -> None:
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [np.nan] * 3])
    np.testing.assert_allclose(make("model.confidence")(probabilities), [0.7, 0.5, np.nan])
    np.testing.assert_allclose(make("model.margin")(probabilities), [0.5, 0, np.nan])
    for binary in (np.array([0.2, 0.5]), np.array([[0.2], [0.5]])):
        np.testing.assert_allclose(make("model.confidence")(binary), [0.8, 0.5])
        np.testing.assert_allclose(make("model.margin")(binary), [0.6, 0])
