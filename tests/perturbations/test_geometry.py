"""Warps against SciPy's, and their directions."""

import numpy as np
import pytest
from scipy import ndimage

from mlflow_sensie.perturbations import geometry
from mlflow_sensie.perturbations.geometry import Rotate, Shear, Translate, Zoom
from perturbations.spots import centre, spot


@pytest.mark.parametrize("angle", [-170.0, -45.0, 0.3, 30.0, 90.0, 180.0])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_rotation_agrees_with_scipy(batch, angle, order, fill) -> None:
    perturbed = Rotate(order=order, fill=fill)(batch, angle)
    options = {"axes": (2, 1), "reshape": False, "mode": "grid-constant", "cval": fill}
    expected = ndimage.rotate(batch, angle, order=order, **options)
    differs = np.abs(perturbed - expected) > 1e-5
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
    before = geometry._small_operator.cache_info().hits
    for _ in range(3):
        Rotate()(np.zeros((2, 11, 13), dtype=np.float32), 12.5)
    assert geometry._small_operator.cache_info().hits >= before + 2
