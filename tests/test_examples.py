"""The examples run, and what each says is so; their scores are those of references, or worked out by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from mlflow_sensie.result import Result

FOLDER = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drop(result: Result, name: str) -> float:
    return float(result.tests[name].fit.mean_drop.lo95)


def test_segmentation() -> None:
    module = load("segmentation")
    rng = np.random.default_rng(0)
    one, other = (rng.random((20, 6, 6)) > 0.5 for _ in range(2))
    wanted = [jaccard_score(a.ravel(), b.ravel()) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(module.iou(one, other), wanted, rtol=1e-12)
    result = module.evaluate(n=150)
    assert result.score.kind == "custom: IoU" and result.clean.value > 0.8
    assert result.tests["pixels"].fit.effect.lo95 > 0, "small discs are harder"
    assert drop(result, "brightness") > drop(result, "noise") > 0


def test_detection() -> None:
    module = load("detection")
    truth = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    for boxes, scores, wanted in [
        (truth, [0.5, 0.9], 1.0),
        (truth[:1], [0.9], 0.5),
        ([[40, 40, 50, 50], *truth], [0.9, 0.8, 0.7], (1 / 2 + 2 / 3) / 2),  # the surest is wrong
        ([truth[0], truth[0], truth[1]], [0.9, 0.8, 0.7], (1 + 2 / 3) / 2),  # a box counts once
        ([truth[0] + [0, 0, 0, 9]], [0.9], 0.5),  # IoU 10/19
        ([truth[0] + [0, 0, 0, 11]], [0.9], 0.0),  # IoU 10/21
        (np.empty((0, 4)), [], 0.0),
    ]:
        found = {"boxes": np.array(boxes, dtype=float), "scores": np.array(scores)}
        assert module.average_precision(found, truth) == pytest.approx(wanted)
    result = module.evaluate(n=150)
    scores = dict(zip(*(result.tests["touching"].curve[key] for key in ("p", "score")), strict=True))
    assert scores["no"] > 0.8 > 0.4 > scores["yes"]
    assert drop(result, "contrast") > 0


def test_survival() -> None:
    module = load("survival")
    known = np.array([(True, 1.0), (True, 3.0), (False, 2.0)], dtype=module.SURVIVAL)
    concordance = module.Concordance(np.array([3.0, 1.0, 1.0]), known)
    mine = np.array([(True, 2.5), (False, 0.5), (False, 2.5), (True, 0.5)], dtype=module.SURVIVAL)
    # by hand: of (1, risk 3) and (3, risk 1) both, no pair at all, of (1, risk 3) alone, of all three
    np.testing.assert_allclose(concordance(np.array([2.0, 2.0, 3.0, 1.0]), mine), [1, np.nan, 0.5, 1 / 3])
    result = module.evaluate(n=400)
    assert 0.65 < result.clean.value < 0.8
    assert drop(result, "marker") > 0 and result.tests["marker"].fit.mean_drop.value == max(
        result.tests[name].fit.mean_drop.value for name in ("age noise", "marker", "dose")
    )


def test_forecasting() -> None:
    module = load("forecasting")
    past, targets = module.simulate(30, np.random.default_rng(0))
    again = past[:, -module.SEASON :]
    assert -1.6 < module.neg_mase(again, targets).mean() < -0.8, "repeating the last year errs as it did before"
    result = module.evaluate(n=150)
    assert -0.8 < result.clean.value < -0.5, "better than repeating the last year"
    assert drop(result, "dropout") > 1 > result.tests["noise"].fit.mean_drop.value > 0
