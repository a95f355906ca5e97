"""Every built-in perturbation keeps the contract: on its samples, and on images of every dtype and form."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_sensie.data.survey import Survey, ValueRange
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.base import Perturbation
from mlflow_sensie.perturbations.blur import MotionBlur
from mlflow_sensie.perturbations.compression import Jpeg
from mlflow_sensie.perturbations.geometry import Rotate, Shear, Translate
from mlflow_sensie.plugins import load_target
from mlflow_sensie.testing import check_perturbation, sample_images

SYNONYMS = {"mapping": {"good": ["fine", "decent"], "the": "this", "rude": "impolite"}}
PARAMETERS = {"text.synonyms": SYNONYMS}  # of those that need some


def built_in(name: str) -> Perturbation:
    """A built-in, as a plan makes it: a class is called, an instance is one."""
    target = load_target(BUILT_IN[name])
    return target if isinstance(target, Perturbation) else target(**PARAMETERS.get(name, {}))


CASES = [pytest.param(built_in(name), id=name) for name in BUILT_IN]
VARIANTS = [
    pytest.param(Rotate(fill=0.5, order=0), id="rotate-nearest"),
    pytest.param(Translate(axis="y", fill=1.0), id="translate-y"),
    pytest.param(Shear(axis="y"), id="shear-y"),
    pytest.param(MotionBlur(angle=30.0), id="motion-diagonal"),
]
IMAGES = [case for case in CASES if case.values[0].kind == "tensor"]
DTYPES = [np.float32, np.float64, np.uint8]
NORMALISED = ValueRange(scale=(0.2, 0.25, 0.3), offset=(0.5, 0.4, 0.3))


def images(dtype: type, channels: int | None) -> np.ndarray:
    """The sample images in the range of a dtype, with another number of channels (None: no such axis)."""
    base, _ = sample_images()
    pixels = base[..., 0] if channels is None else base[..., np.arange(channels) % 3]
    return (pixels * 255).round().astype(dtype) if dtype == np.uint8 else pixels.astype(dtype)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def needs_codec(perturbation: Perturbation) -> None:
    if isinstance(perturbation, Jpeg):
        pytest.importorskip("PIL" if "cv2" not in sys.modules and not has_cv2() else "cv2")


def has_cv2() -> bool:
    import importlib.util

    return importlib.util.find_spec("cv2") is not None


@pytest.mark.parametrize("perturbation", CASES + VARIANTS)
def test_keeps_the_contract(perturbation: Perturbation) -> None:
    needs_codec(perturbation)
    check_perturbation(perturbation)


@pytest.mark.parametrize("channels", [None, 1, 3, 4, 13])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("perturbation", IMAGES)
def test_images_of_every_form(perturbation: Perturbation, dtype: type, channels: int | None) -> None:
    needs_codec(perturbation)
    batch = images(dtype, channels)
    if perturbation.channels and (channels or 1) not in perturbation.channels:
        with pytest.raises(ValueError, match="channels"):
            perturbation(batch, perturbation.default_magnitudes[-1], rng())
        return
    some = perturbation.default_magnitudes[::3]
    check_perturbation(perturbation, batch, magnitudes=some)


@pytest.mark.parametrize("perturbation", IMAGES)
def test_nchw_and_uint8_agree_with_nhwc(perturbation: Perturbation) -> None:
    needs_codec(perturbation)
    batch, magnitude = images(np.float32, 3), perturbation.default_magnitudes[-2]
    expected = perturbation(batch, magnitude, rng())
    turned = perturbation.bind(Survey(n=8, kind="tensor", layout="NCHW"))
    perturbed = turned(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)), magnitude, rng())
    np.testing.assert_allclose(perturbed.transpose(0, 2, 3, 1), expected, atol=1e-5)
    stored = images(np.uint8, 3)
    stored_range = Survey(n=8, kind="tensor", layout="NHWC", value_range=ValueRange(scale=(1 / 255,)))
    perturbed = perturbation.bind(stored_range)(stored, magnitude, rng())
    assert perturbed.dtype == np.uint8
    expected = perturbation(stored.astype(np.float32) / 255, magnitude, rng())
    np.testing.assert_allclose(perturbed / 255, expected, atol=0.51 / 255)


@pytest.mark.parametrize("perturbation", IMAGES)
def test_a_normalised_input_is_perturbed_in_its_pixel_range(perturbation: Perturbation) -> None:
    needs_codec(perturbation)
    batch, magnitude = images(np.float64, 3), perturbation.default_magnitudes[-2]
    expected = perturbation(batch, magnitude, rng())
    survey = Survey(n=8, kind="tensor", layout="NCHW", value_range=NORMALISED)
    scale, offset = np.array(NORMALISED.scale), np.array(NORMALISED.offset)
    stored = np.ascontiguousarray(((batch - offset) / scale).transpose(0, 3, 1, 2))
    perturbed = perturbation.bind(survey)(stored, magnitude, rng()).transpose(0, 2, 3, 1) * scale + offset
    np.testing.assert_allclose(perturbed, expected, atol=1e-5)


@pytest.mark.parametrize("perturbation", [case for case in IMAGES if not case.values[0].staircase])
def test_values_outside_the_range_are_kept_next_to_the_neutral(perturbation: Perturbation) -> None:
    batch = images(np.float64, 3) * 3 - 1
    assert perturbation.neutral is not None
    near = perturbation(batch, perturbation.neutral + 1e-6, rng())
    assert np.abs(near - batch).max() < 1e-4


@pytest.mark.parametrize("perturbation", IMAGES)
def test_pixels_stay_in_the_range(perturbation: Perturbation) -> None:
    needs_codec(perturbation)
    for output in perturbation.along(images(np.float32, 3), perturbation.default_magnitudes, rng()):
        assert output.min() >= -1e-6 and output.max() <= 1 + 1e-6


@pytest.mark.parametrize("perturbation", [case for case in CASES if case.values[0].log_distance])
def test_factors_must_be_above_zero(perturbation: Perturbation) -> None:
    with pytest.raises(ValueError, match="above 0"):
        perturbation(np.zeros((2, 4, 4)), 0.0)


@pytest.mark.parametrize("perturbation", CASES)
def test_declares_what_the_sweep_needs(perturbation: Perturbation) -> None:
    magnitudes, (low, high) = perturbation.default_magnitudes, perturbation.limits
    assert len(magnitudes) >= 8 and list(magnitudes) == sorted(set(magnitudes))
    assert perturbation.neutral in magnitudes
    assert low <= magnitudes[0] and magnitudes[-1] <= high
    assert perturbation.unit
    for beyond in (low - 1, high + 1, float("nan")):
        if not np.isinf(beyond):
            with pytest.raises(ValueError, match="magnitude"):
                perturbation.along(None, [beyond], rng())


@pytest.mark.parametrize("perturbation", CASES)
def test_binding_changes_no_user_parameter(perturbation: Perturbation) -> None:
    survey = Survey(n=1, kind=perturbation.kind, layout="NCHW")
    parameters = [field.name for field in fields(perturbation) if not field.metadata.get("bound")]
    bound = perturbation.bind(survey)
    assert [getattr(bound, name) for name in parameters] == [getattr(perturbation, name) for name in parameters]
    assert not {"layout", "value_range", "summaries", "sds"} & set(parameters)
    assert replace(perturbation) == perturbation


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from([name for name in BUILT_IN if name.startswith("image.") and name != "image.jpeg"]),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    channels=st.sampled_from([None, 1, 2, 3, 5]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64, np.uint8, np.uint16, np.int16, np.int64]),
    layout=st.sampled_from(["NHWC", "NCHW"]),
    position=st.integers(0, 20),
)
def test_any_shape_and_dtype(name, shape, channels, dtype, layout, position) -> None:
    perturbation = built_in(name)
    if perturbation.channels:
        channels = perturbation.channels[0]
    form = shape if channels is None else (*shape, channels) if layout == "NHWC" else (shape[0], channels, *shape[1:])
    batch = np.random.default_rng(0).random(form)
    batch = (batch * 255 if np.dtype(dtype).kind in "iu" else batch).astype(dtype)
    bound = perturbation.bind(Survey(n=1, kind="tensor", layout="NHW" if channels is None else layout))
    if np.dtype(dtype).kind in "iu":
        bound = replace(bound, value_range=None)
    magnitude = perturbation.default_magnitudes[position % len(perturbation.default_magnitudes)]
    perturbed = bound(batch, magnitude, np.random.default_rng(1))
    assert perturbed.shape == batch.shape and perturbed.dtype == dtype and np.isfinite(perturbed.astype(float)).all()


@pytest.mark.parametrize(
    "inputs",
    [np.zeros((2, 3)), np.zeros((2, 3, 4, 4), dtype=complex), np.array(["a"], dtype=object), [[1.0]]],
)
def test_what_is_no_image_is_refused(inputs: object) -> None:
    with pytest.raises(ValueError, match=r"Images|Layout"):
        Rotate()(inputs, 10)


def test_names_are_known_without_importing_anything() -> None:
    modules = {target.split(":")[0] for name, target in BUILT_IN.items() if name.startswith("image.")}
    code = (
        "import sys, mlflow_sensie.perturbations as p; assert p.BUILT_IN; "
        "assert not [m for m in sys.modules if m.startswith('mlflow_sensie.perturbations.')]; "
        f"import mlflow_sensie.properties, {', '.join(sorted(modules))}; "
        "assert not {'scipy', 'cv2', 'PIL', 'mlflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
