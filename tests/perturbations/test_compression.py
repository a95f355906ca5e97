"""Codecs against each other, and blocks of pixels."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from mlflow_sensie.errors import MissingDependencyError
from mlflow_sensie.perturbations.compression import Jpeg, Pixelate, jpeg_codec


def test_jpeg_agrees_with_pillow() -> None:
    image_module = pytest.importorskip("PIL.Image")
    import io

    image = (np.random.default_rng(0).random((1, 16, 24, 3)) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    image_module.fromarray(image[0]).save(buffer, format="JPEG", quality=40)
    np.testing.assert_array_equal(Jpeg()(image, 60)[0], np.asarray(image_module.open(buffer)))


def test_the_codecs_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2"), pytest.importorskip("PIL")
    rng = np.random.default_rng(0)
    for shape in ((16, 24), (16, 24, 3)):
        image = (ndimage.zoom(rng.random(shape), 1) * 255).astype(np.uint8)
        with_cv2 = jpeg_codec()(image, 70)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "cv2", None)
            np.testing.assert_array_equal(jpeg_codec()(image, 70), with_cv2)


def test_jpeg_without_a_codec_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"pip install mlflow-sensie\[image\]"):
        Jpeg()(np.zeros((1, 8, 8)), 50)
    np.testing.assert_array_equal(Jpeg()(np.ones((1, 8, 8)), 0), np.ones((1, 8, 8)))


def test_pixelate_makes_blocks_of_means() -> None:
    image = np.random.default_rng(0).random((2, 7, 10))
    perturbed = Pixelate()(image, 4)
    np.testing.assert_allclose(
        perturbed[:, :4, 4:8], np.broadcast_to(image[:, :4, 4:8].mean((1, 2))[:, None, None], (2, 4, 4))
    )
    np.testing.assert_allclose(
        perturbed[:, 4:, 8:], np.broadcast_to(image[:, 4:, 8:].mean((1, 2))[:, None, None], (2, 3, 2))
    )
    np.testing.assert_allclose(Pixelate()(image, 50)[0], image[0].mean())
