"""Every perturbation is in the table of the built-ins and does to the samples what it always did."""

import importlib
import pkgutil

import numpy as np
import pytest

import mlflow_sensie.perturbations
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.base import Perturbation
from mlflow_sensie.perturbations.cell_replacement import CellReplacement
from mlflow_sensie.perturbations.compression import Jpeg
from mlflow_sensie.perturbations.text import EditFunction
from mlflow_sensie.plugins import load_target
from mlflow_sensie.testing import distance, same, sample

# the mean change of the samples at the first and at the last default magnitude
CHANGES = {
    "image.rotate": (0.0870903, 0.0879977),
    "image.translate": (0.0757615, 0.0707235),
    "image.zoom": (0.102794, 0.0979117),
    "image.shear": (0.0442809, 0.0434112),
    "image.gaussian_blur": (0, 0.047405),
    "image.defocus_blur": (0, 0.0645684),
    "image.motion_blur": (0, 0.0378854),
    "image.gaussian_noise": (0, 0.175274),
    "image.shot_noise": (0, 0.0882806),
    "image.impulse_noise": (0, 0.10262),
    "image.brightness": (0.168479, 0.390838),
    "image.contrast": (0.102188, 0.096297),
    "image.gamma": (0.27545, 0.140869),
    "image.saturation": (0.0324997, 0.0312737),
    "image.hue": (0.026051, 0.026051),
    "image.jpeg": (0, 0.0341392),
    "image.pixelate": (0, 0.0792227),
    "image.occlude": (0, 0.0755111),
    "image.fog": (0, 0.420369),
    "tabular.noise": (0, 3.14474),
    "tabular.shift": (3.91751, 3.91751),
    "tabular.scale": (13.9322, 27.8541),
    "tabular.missing": (0, 0.19375),
    "tabular.swap": (0, 0.0895833),
    "tabular.permute": (0, 1.22601),
    "tabular.outliers": (0, 5.19349),
    "tabular.round": (0, 0.853162),
    "text.typos": (0, 0.7),
    "text.ocr": (0, 0.6),
    "text.case": (0, 0.6),
    "text.whitespace": (0, 0.7),
    "text.punctuation": (0, 0.5),
    "text.drop_words": (0, 0.4),
    "text.synonyms": (0, 0.2),
    "series.noise": (0, 2.63598),
    "series.scale": (3.72466, 7.44933),
    "series.dropout": (0, 1.83288),
    "series.shift": (3.71556, 3.66656),
}
BASES = {CellReplacement, EditFunction}  # with magnitudes of their own, for those built on them
PARAMETERS = {"text.synonyms": {"mapping": {"good": ["fine", "decent"], "the": "this", "rude": "impolite"}}}
UNLIMITED = {"image.rotate", "image.hue", "tabular.shift"}  # the others make no sense beyond some magnitude


def test_every_built_in_has_a_row() -> None:
    assert list(CHANGES) == list(BUILT_IN)


def test_every_perturbation_is_a_built_in() -> None:
    written = set()
    for module in pkgutil.iter_modules(mlflow_sensie.perturbations.__path__, "mlflow_sensie.perturbations."):
        for name, value in vars(importlib.import_module(module.name)).items():
            made = isinstance(value, type) and issubclass(value, Perturbation) and value.__module__ == module.name
            if isinstance(value, Perturbation) or (made and value.default_magnitudes and value not in BASES):
                written.add(f"{module.name}:{name}")
    assert written == set(BUILT_IN.values())


def built_in(name: str) -> Perturbation:
    target = load_target(BUILT_IN[name])
    return target if isinstance(target, Perturbation) else target(**PARAMETERS.get(name, {}))


def test_every_built_in_says_within_which_limits_it_makes_sense() -> None:
    assert {name for name in BUILT_IN if built_in(name).limits == Perturbation.limits} == UNLIMITED


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_is_random_if_another_seed_gives_something_else(name: str) -> None:
    perturbation = built_in(name)
    if isinstance(perturbation, Jpeg):
        pytest.importorskip("cv2")
    batch, survey = sample(perturbation.kind)
    bound, magnitude = perturbation.bind(survey), perturbation.default_magnitudes[-1]
    one, other = (bound(batch, magnitude, np.random.default_rng(seed)) for seed in (0, 1))
    assert perturbation.random is not same(one, other)


@pytest.mark.parametrize("name", BUILT_IN)
def test_it_does_what_it_always_did(name: str) -> None:
    perturbation = built_in(name)
    if isinstance(perturbation, Jpeg):
        pytest.importorskip("cv2")
    batch, survey = sample(perturbation.kind)
    ends = perturbation.default_magnitudes[0], perturbation.default_magnitudes[-1]
    outputs = perturbation.bind(survey).along(batch, ends, np.random.default_rng(0))
    assert [distance(output, batch) for output in outputs] == pytest.approx(CHANGES[name], rel=1e-4)
