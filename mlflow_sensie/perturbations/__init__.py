"""The built-in perturbations by name; nothing is imported until one is asked for."""

from __future__ import annotations

_IMAGE = "mlflow_sensie.perturbations.image:"
_TABULAR = "mlflow_sensie.perturbations.tabular:"
_TEXT = "mlflow_sensie.perturbations.text:"
_SERIES = "mlflow_sensie.perturbations.series:"

BUILT_IN: dict[str, str] = {
    "image.rotate": _IMAGE + "Rotate",
    "image.translate": _IMAGE + "Translate",
    "image.zoom": _IMAGE + "Zoom",
    "image.shear": _IMAGE + "Shear",
    "image.gaussian_blur": _IMAGE + "GaussianBlur",
    "image.defocus_blur": _IMAGE + "DefocusBlur",
    "image.motion_blur": _IMAGE + "MotionBlur",
    "image.gaussian_noise": _IMAGE + "GaussianNoise",
    "image.shot_noise": _IMAGE + "ShotNoise",
    "image.impulse_noise": _IMAGE + "ImpulseNoise",
    "image.brightness": _IMAGE + "Brightness",
    "image.contrast": _IMAGE + "Contrast",
    "image.gamma": _IMAGE + "Gamma",
    "image.saturation": _IMAGE + "Saturation",
    "image.hue": _IMAGE + "Hue",
    "image.jpeg": _IMAGE + "Jpeg",
    "image.pixelate": _IMAGE + "Pixelate",
    "image.occlude": _IMAGE + "Occlude",
    "image.fog": _IMAGE + "Fog",
    "tabular.noise": _TABULAR + "Noise",
    "tabular.shift": _TABULAR + "Shift",
    "tabular.scale": _TABULAR + "Scale",
    "tabular.missing": _TABULAR + "Missing",
    "tabular.swap": _TABULAR + "Swap",
    "tabular.permute": _TABULAR + "Permute",
    "tabular.outliers": _TABULAR + "Outliers",
    "tabular.round": _TABULAR + "Round",
    "text.typos": _TEXT + "Typos",
    "text.ocr": _TEXT + "Ocr",
    "text.case": _TEXT + "Case",
    "text.whitespace": _TEXT + "Whitespace",
    "text.punctuation": _TEXT + "Punctuation",
    "text.drop_words": _TEXT + "DropWords",
    "text.synonyms": _TEXT + "Synonyms",
    "series.noise": _SERIES + "Noise",
    "series.scale": _SERIES + "Scale",
    "series.dropout": _SERIES + "Dropout",
    "series.shift": _SERIES + "Shift",
}
