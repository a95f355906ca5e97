"""Series: what each perturbation does, and every form of input."""

import numpy as np
import pytest

from mlflow_sensie.data.survey import Survey, TensorSummary
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.series import Dropout, Noise, Scale, Shift
from mlflow_sensie.testing import check_perturbation, sample_series


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint8])
@pytest.mark.parametrize("channels", [None, 1, 5])
@pytest.mark.parametrize("make", [Noise, Scale, Dropout, Shift])
def test_series_of_every_form(make, channels, dtype) -> None:
    base, _ = sample_series()
    batch = (np.abs(base[..., 0]) if channels is None else np.abs(base[..., np.arange(channels) % 2])).astype(dtype)
    sd = (2.0,) * (channels or 1)
    survey = Survey(n=6, kind="series", tensor=TensorSummary(0, 1, sd, sd))
    check_perturbation(make(), batch, survey=survey, magnitudes=make.default_magnitudes[::2])


def test_series_noise_is_in_units_of_each_channels_sd() -> None:
    flat = np.zeros((20, 200, 2))
    survey = Survey(n=20, kind="series", tensor=TensorSummary(0, 1, (0.0, 0.0), (1.0, 10.0)))
    perturbed = Noise().bind(survey)(flat, 0.5, rng())
    np.testing.assert_allclose(perturbed.std(axis=(0, 1)), [0.5, 5.0], rtol=0.05)
    with pytest.raises(ValueError, match="call bind"):
        Noise()(flat, 0.5, rng())
    with pytest.raises(DataError, match="2 channels; the series have 3"):
        Noise().bind(survey)(np.zeros((1, 5, 3)), 0.5, rng())


def test_series_scale_dropout_and_shift() -> None:
    ramp = np.arange(20.0)[None] + 1
    np.testing.assert_array_equal(Scale()(ramp, 1.5), ramp * 1.5)
    lost = Dropout(fill=-1.0)(np.ones((50, 100, 3)), 0.2, rng()) == -1
    assert lost.mean() == pytest.approx(0.2, abs=0.02) and (lost.all(axis=2) == lost.any(axis=2)).all()
    np.testing.assert_allclose(Shift()(ramp, 0.1)[0], np.maximum(ramp[0] - 2, 1))  # later
    np.testing.assert_allclose(Shift()(ramp, -0.025)[0, :-1], ramp[0, :-1] + 0.5)
    assert Dropout(fill=float("nan")).makes_missing and not Dropout().makes_missing
    with pytest.raises(DataError, match="Series must be"):
        Scale()(np.zeros(3), 2)
