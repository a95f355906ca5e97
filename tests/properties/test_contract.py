"""What all built-in properties keep."""

import importlib
import pickle
import pkgutil

import numpy as np
import pytest

import mlflow_sensie.properties
from mlflow_sensie.data.survey import Survey, ValueRange
from mlflow_sensie.plugins import load_target
from mlflow_sensie.properties import BUILT_IN, Measure, Property
from mlflow_sensie.testing import sample, sample_images

IMAGE = [name for name in BUILT_IN if name.startswith("image.")]


def make(name: str) -> Property:
    """A built-in, as a plan makes it: a class is called, an instance is one."""
    target = load_target(BUILT_IN[name])
    return target if isinstance(target, Property) else target()


def test_every_property_is_a_built_in() -> None:
    written = set()
    for module in pkgutil.iter_modules(mlflow_sensie.properties.__path__, "mlflow_sensie.properties."):
        for name, value in vars(importlib.import_module(module.name)).items():
            made = isinstance(value, type) and issubclass(value, Property) and value.__module__ == module.name
            if isinstance(value, Property) or (made and not issubclass(value, Measure)):
                written.add(f"{module.name}:{name}")
    assert written == set(BUILT_IN.values())


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_it_can_be_pickled(name) -> None:
    assert pickle.loads(pickle.dumps(make(name))) == make(name)


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
    measured = prop(inputs)
    assert measured.shape == (len(inputs),) and measured.dtype == np.float64
    assert np.nanstd(measured) > 0 or name in ("series.length",)
    np.testing.assert_allclose(prop(inputs[2:5]), measured[2:5])
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
