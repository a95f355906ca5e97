"""The built-in perturbations by name; nothing is imported until one is asked for."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {
    name: f"{__name__}.{target}"
    for name, target in {
        "image.rotate": "geometry:Rotate",
        "image.translate": "geometry:Translate",
        "image.zoom": "geometry:Zoom",
        "image.shear": "geometry:Shear",
        "image.gaussian_blur": "blur:GaussianBlur",
        "image.defocus_blur": "blur:DefocusBlur",
        "image.motion_blur": "blur:MotionBlur",
        "image.gaussian_noise": "noise:GaussianNoise",
        "image.shot_noise": "noise:ShotNoise",
        "image.impulse_noise": "noise:ImpulseNoise",
        "image.brightness": "light:Brightness",
        "image.contrast": "light:Contrast",
        "image.gamma": "light:Gamma",
        "image.saturation": "light:Saturation",
        "image.hue": "light:Hue",
        "image.jpeg": "compression:Jpeg",
        "image.pixelate": "compression:Pixelate",
        "image.occlude": "layers:Occlude",
        "image.fog": "layers:Fog",
        "tabular.noise": "tabular:Noise",
        "tabular.shift": "tabular:Shift",
        "tabular.scale": "tabular:Scale",
        "tabular.missing": "cell_replacement:Missing",
        "tabular.swap": "cell_replacement:Swap",
        "tabular.permute": "cell_replacement:Permute",
        "tabular.outliers": "tabular:Outliers",
        "tabular.round": "tabular:Round",
        "text.typos": "text:TYPOS",
        "text.ocr": "text:OCR",
        "text.case": "text:CASE",
        "text.whitespace": "text:WHITESPACE",
        "text.punctuation": "text:PUNCTUATION",
        "text.drop_words": "text:DROP_WORDS",
        "text.synonyms": "text:Synonyms",
        "series.noise": "series:Noise",
        "series.scale": "series:Scale",
        "series.dropout": "series:Dropout",
        "series.shift": "series:Shift",
    }.items()
}
