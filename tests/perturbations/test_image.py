"""What each image perturbation does, against independent references."""

import colorsys
import sys

import numpy as np
import pytest
from scipy import ndimage

from mlflow_sensie.errors import MissingDependencyError
from mlflow_sensie.perturbations import geometry as affine
from mlflow_sensie.perturbations.degrade import jpeg_codec
from mlflow_sensie.perturbations.image import (
    Brightness,
    Contrast,
    DefocusBlur,
    Fog,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    Hue,
    ImpulseNoise,
    Jpeg,
    MotionBlur,
    Occlude,
    Pixelate,
    Rotate,
    Saturation,
    Shear,
    ShotNoise,
    Translate,
    Zoom,
)

SHAPES = [(3, 28, 28), (2, 28, 28, 1), (2, 17, 30, 3), (1, 80, 101, 13)]


@pytest.fixture(params=SHAPES, ids=str)
def batch(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.default_rng(1).random(request.param, dtype=np.float32)


def spot(row: int, column: int) -> np.ndarray:
    """A black image with one white pixel, (1, 21, 21)."""
    image = np.zeros((1, 21, 21), dtype=np.float32)
    image[0, row, column] = 1
    return image


def centre(image: np.ndarray) -> tuple[float, float]:
    """Where the light is: row and column."""
    return tuple(ndimage.center_of_mass(image[0]))


# --- warps ---


@pytest.mark.parametrize("angle", [-170.0, -45.0, 0.3, 30.0, 90.0, 180.0])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_rotation_agrees_with_scipy(batch, angle, order, fill) -> None:
    found = Rotate(order=order, fill=fill)(batch, angle)
    options = {"axes": (2, 1), "reshape": False, "mode": "grid-constant", "cval": fill}
    expected = ndimage.rotate(batch, angle, order=order, **options)
    differs = np.abs(found - expected) > 1e-5
    assert differs.mean() <= (0 if order == 1 else 0.01)  # which pixel is nearest may be a tie


def test_rotation_is_counter_clockwise() -> None:
    row, column = centre(Rotate()(spot(10, 18), 90))  # from the right to the top
    assert (row, column) == pytest.approx((2, 10))


def test_a_full_turn_and_right_angles_are_exact() -> None:
    image = np.random.default_rng(0).random((2, 9, 9))
    np.testing.assert_array_equal(Rotate()(image, 360), image)
    np.testing.assert_array_equal(Rotate()(image, 90), np.rot90(image, axes=(1, 2)))


@pytest.mark.parametrize("fraction", [-0.15, 0.1])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_translation_agrees_with_scipy(batch, fraction, axis) -> None:
    moved = [0.0] * batch.ndim
    moved[2 if axis == "x" else 1] = fraction * batch.shape[2 if axis == "x" else 1]
    expected = ndimage.shift(batch, moved, order=1, mode="grid-constant", cval=0.2)
    np.testing.assert_allclose(Translate(axis=axis, fill=0.2)(batch, fraction), expected, atol=1e-5)


def test_translation_goes_right_and_down() -> None:
    assert centre(Translate()(spot(10, 10), 2 / 21)) == pytest.approx((10, 12), abs=1e-4)
    assert centre(Translate(axis="y")(spot(10, 10), 2 / 21)) == pytest.approx((12, 10), abs=1e-4)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_zoom_agrees_with_scipy(batch, factor) -> None:
    diagonal = np.ones(batch.ndim)
    diagonal[1:3] = 1 / factor
    middle = np.zeros(batch.ndim)
    middle[1:3] = (np.array(batch.shape[1:3]) - 1) / 2
    offset = middle - diagonal * middle
    expected = ndimage.affine_transform(batch, np.diag(diagonal), offset, order=1, mode="grid-constant")
    np.testing.assert_allclose(Zoom()(batch, factor), expected, atol=1e-5)


def test_zoom_above_one_enlarges() -> None:
    image = np.zeros((1, 21, 21), dtype=np.float32)
    image[0, 7:14, 7:14] = 1
    assert Zoom()(image, 2).sum() == pytest.approx(4 * image.sum(), rel=0.1)
    assert Zoom()(image, 0.5).sum() == pytest.approx(image.sum() / 4, rel=0.3)


def test_shear_leans_the_top_to_the_right() -> None:
    assert centre(Shear()(spot(2, 10), 45)) == pytest.approx((2, 18), abs=1e-3)
    assert centre(Shear()(spot(18, 10), 45)) == pytest.approx((18, 2), abs=1e-3)
    assert centre(Shear(axis="y")(spot(10, 18), 45)) == pytest.approx((2, 18), abs=1e-3)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="order must be 0"):
        Rotate(order=3)
    with pytest.raises(ValueError, match="axis must be"):
        Translate(axis="z")


def test_operators_are_shared_between_batches() -> None:
    before = affine._small_operator.cache_info().hits
    for _ in range(3):
        Rotate()(np.zeros((2, 11, 13), dtype=np.float32), 12.5)
    assert affine._small_operator.cache_info().hits >= before + 2


# --- blurs ---


@pytest.mark.parametrize("sigma", [1e-9, 0.3, 1.0, 2.5, 9.0])
def test_gaussian_blur_agrees_with_scipy(batch, sigma) -> None:
    widths = [0, sigma, sigma] + [0] * (batch.ndim - 3)
    expected = ndimage.gaussian_filter(batch, widths, mode="nearest")
    np.testing.assert_allclose(GaussianBlur()(batch, sigma), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 64, 70), (2, 80, 101, 1), (1, 70, 64, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_images_are_blurred_alike_with_and_without_opencv(monkeypatch, shape, dtype) -> None:
    pytest.importorskip("cv2")
    large = np.random.default_rng(0).random(shape).astype(dtype)
    found = list(GaussianBlur().along(large, [0.01, 1.3, 30.0]))
    monkeypatch.setattr("mlflow_sensie.perturbations.blur.opencv", lambda: None)
    for with_it, without in zip(found, GaussianBlur().along(large, [0.01, 1.3, 30.0]), strict=True):
        assert with_it.shape == large.shape and with_it.dtype == dtype
        np.testing.assert_allclose(with_it, without, atol=1e-6)


@pytest.mark.parametrize("blur", [DefocusBlur(), MotionBlur(), MotionBlur(angle=90.0), GaussianBlur()])
@pytest.mark.parametrize("size", [0.01, 0.7, 3.0, 15.0])
def test_blurs_keep_flat_images_and_do_not_move(blur, size) -> None:
    flat = np.full((1, 21, 21), 0.3, dtype=np.float32)
    np.testing.assert_allclose(blur(flat, size), flat, atol=1e-6)
    blurred = blur(spot(10, 10), min(size, 3.0))
    assert blurred.sum() == pytest.approx(1, abs=0.01)
    assert centre(blurred) == pytest.approx((10, 10), abs=1e-2)


def test_defocus_is_a_disc_of_that_radius() -> None:
    blurred = DefocusBlur()(spot(10, 10), 5.0)[0]
    y, x = np.mgrid[-10:11, -10:11]
    assert (blurred[np.hypot(y, x) < 4] > 0.9 / (np.pi * 25)).all()
    assert (blurred[np.hypot(y, x) > 6.5] < 1e-6).all()


def test_motion_goes_along_its_angle() -> None:
    across = MotionBlur()(spot(10, 10), 9.0)[0]
    np.testing.assert_allclose(across[10, 7:14], 1 / 9, atol=1e-3)
    assert across[10, :5].max() < 1e-6 and across.sum() == pytest.approx(1)
    assert across[9].max() < 1e-6
    rising = MotionBlur(angle=45.0)(spot(10, 10), 9.0)[0]
    assert rising[8, 12] > 0.05 > rising[12, 12]  # up on the right: counter-clockwise


@pytest.mark.parametrize("blur", [DefocusBlur(), MotionBlur(angle=20.0)])
def test_kernels_agree_with_a_convolution(blur) -> None:
    image = np.random.default_rng(0).random((1, 30, 26))
    kernel = blur(np.eye(1, 41 * 41, 20 * 41 + 20).reshape(1, 41, 41), 3.3)[0, 15:26, 15:26]
    expected = ndimage.convolve(image[0], kernel, mode="nearest")
    np.testing.assert_allclose(blur(image, 3.3)[0], expected, atol=1e-6)


# --- noise ---


def test_gaussian_noise_has_its_sd_and_scales_its_draws() -> None:
    grey = np.full((50, 20, 20), 0.5, dtype=np.float32)
    low, high = GaussianNoise().along(grey, [0.02, 0.1], np.random.default_rng(0))
    assert (low - 0.5).std() == pytest.approx(0.02, rel=0.02)
    np.testing.assert_allclose(high - 0.5, 5 * (low - 0.5), atol=1e-5)


def test_shot_noise_grows_with_the_light() -> None:
    grey = np.linspace(0, 0.8, 5, dtype=np.float32)[:, None, None] * np.ones((1, 60, 60), dtype=np.float32)
    sd = (ShotNoise()(grey, 0.05, np.random.default_rng(0)) - grey).std(axis=(1, 2))
    np.testing.assert_allclose(sd, 0.05 * np.sqrt(grey[:, 0, 0]), rtol=0.05, atol=1e-6)


def test_impulse_noise_hits_its_rate_of_pixels_and_nests() -> None:
    grey = np.full((40, 20, 20, 3), 0.5, dtype=np.float32)
    few, many = (x != 0.5 for x in ImpulseNoise().along(grey, [0.05, 0.2], np.random.default_rng(0)))
    assert few.mean() == pytest.approx(0.05, abs=0.01) and many.mean() == pytest.approx(0.2, abs=0.02)
    assert not (few & ~many).any()
    assert (few.all(axis=-1) == few.any(axis=-1)).all()


# --- colour ---


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


# --- cameras, codecs, weather ---


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
    found = Pixelate()(image, 4)
    np.testing.assert_allclose(
        found[:, :4, 4:8], np.broadcast_to(image[:, :4, 4:8].mean((1, 2))[:, None, None], (2, 4, 4))
    )
    np.testing.assert_allclose(
        found[:, 4:, 8:], np.broadcast_to(image[:, 4:, 8:].mean((1, 2))[:, None, None], (2, 3, 2))
    )
    np.testing.assert_allclose(Pixelate()(image, 50)[0], image[0].mean())


def test_occlusion_covers_its_share_and_nests() -> None:
    white = np.ones((30, 23, 31, 2))
    covered = [1 - x for x in Occlude(fill=0.0).along(white, [0.1, 0.33, 1.0], np.random.default_rng(0))]
    np.testing.assert_allclose([x.mean(axis=(1, 2, 3)) for x in covered], [[0.01] * 30, [0.33**2] * 30, [1.0] * 30])
    assert (covered[0] <= covered[1] + 1e-12).all()
    assert np.ptp(covered[0].argmax(axis=1), axis=0).max() > 5  # not always in the same place


def test_fog_whitens_everywhere_and_unevenly() -> None:
    black = np.zeros((3, 24, 24), dtype=np.float32)
    fog = Fog()(black, 0.6, np.random.default_rng(0))
    assert fog.min() == pytest.approx(0.3, abs=1e-3) and fog.max() == pytest.approx(0.6, abs=1e-3)
    assert np.abs(np.diff(fog, axis=1)).max() < 0.15  # smooth
    np.testing.assert_allclose(Fog()(black + 1, 0.6, np.random.default_rng(0)), 1, atol=1e-6)
