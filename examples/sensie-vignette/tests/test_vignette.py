"""The contract that every perturbation keeps, and what is particular to this one."""

import numpy as np
from sensie_vignette import Vignette, corner_darkness

from mlflow_sensie.testing import check_perturbation


def test_it_keeps_the_contract() -> None:
    check_perturbation(Vignette())
    check_perturbation(Vignette(power=4.0))


def test_the_corners_go_dark_and_the_centre_stays() -> None:
    images = np.ones((3, 9, 9, 1), dtype=np.float32)
    dark = Vignette()(images, 1.0)
    assert dark[:, 0, 0].max() == 0.0
    assert dark[:, 4, 4].min() == 1.0
    assert (corner_darkness(dark) > corner_darkness(images)).all()
