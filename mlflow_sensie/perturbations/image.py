"""The shop window of the image perturbations."""

from mlflow_sensie.perturbations.blur import DefocusBlur, GaussianBlur, MotionBlur
from mlflow_sensie.perturbations.degrade import Fog, Jpeg, Occlude, Pixelate
from mlflow_sensie.perturbations.geometry import Rotate, Shear, Translate, Zoom
from mlflow_sensie.perturbations.light import Brightness, Contrast, Gamma, Hue, Saturation
from mlflow_sensie.perturbations.noise import GaussianNoise, ImpulseNoise, ShotNoise
from mlflow_sensie.perturbations.pixels import ImagePerturbation

__all__ = [
    "Brightness",
    "Contrast",
    "DefocusBlur",
    "Fog",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Hue",
    "ImagePerturbation",
    "ImpulseNoise",
    "Jpeg",
    "MotionBlur",
    "Occlude",
    "Pixelate",
    "Rotate",
    "Saturation",
    "Shear",
    "ShotNoise",
    "Translate",
    "Zoom",
]
