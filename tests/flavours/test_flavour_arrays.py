"""Images through ``evaluate``: flat rows with a shape, a column of array cells, and what MLflow refuses."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from flavours.logged import evaluate
from mlflow_sensie.errors import DataError

RECIPE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.mean"}],
    "perturbations": [{"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 45, 90]}],
}
N, SIDE = 60, 6


@pytest.fixture(scope="module")
def images() -> Any:
    """Bars, lying (0) or standing (1), of different brightness."""
    rng = np.random.default_rng(0)
    made = rng.random((N, SIDE, SIDE)) * 0.2
    light = rng.uniform(0.4, 0.8, N)
    for k in range(N):
        made[k][(slice(2, 4), slice(None)) if k % 2 == 0 else (slice(None), slice(2, 4))] += light[k]
    return made


LABELS = np.arange(N) % 2


def standing(stack: Any) -> Any:
    """P(standing), from how the columns and the rows differ."""
    stack = np.asarray(stack, dtype=float).reshape(-1, SIDE, SIDE)
    across, down = stack.mean(axis=1).std(axis=1), stack.mean(axis=2).std(axis=1)
    return 1 / (1 + np.exp(-20 * (across - down)))


def from_rows(rows: Any) -> Any:
    return standing(rows)


def from_cells(frame: pd.DataFrame) -> Any:
    return standing(np.stack(frame["image"].to_numpy()))


def hard_from_cells(frame: pd.DataFrame) -> Any:
    return (from_cells(frame) > 0.5).astype(int)


@pytest.fixture(scope="module")
def cells(images: Any) -> pd.DataFrame:
    return pd.DataFrame({"image": list(images), "y": LABELS})


def test_cells_and_flat_rows_give_the_same(images: Any, cells: pd.DataFrame, experiment_id: str) -> None:
    flat = images.reshape(N, -1)
    by_rows = evaluate(from_rows, flat, {**RECIPE, "input_shape": [SIDE, SIDE]}, targets=LABELS)
    by_cells = evaluate(from_cells, cells, RECIPE, targets="y")
    assert by_rows.ours == pytest.approx(by_cells.ours, rel=1e-6, abs=1e-9)
    p = standing(images)
    assert by_rows.ours["sensie/clean_score"] == pytest.approx(np.where(LABELS == 1, p, 1 - p).mean())
    curve = by_rows.result().tests["rotation"].curve["score"].tolist()
    assert curve[0] > 0.8 > 0.2 > curve[2]  # turned by 90 degrees, a standing bar lies


def test_a_column_of_array_cells_beside_the_default_evaluator(cells: pd.DataFrame, experiment_id: str) -> None:
    config = {"sensie": RECIPE, "default": {"log_model_explainability": False}}
    with pytest.warns(UserWarning, match="labels"):
        done = evaluate(hard_from_cells, cells, targets="y", evaluators=["sensie", "default"], evaluator_config=config)
    assert done.returned.metrics["accuracy_score"] == pytest.approx(done.ours["sensie/clean_score"])
    assert done.ours["sensie/rotation/ok"] == 1


def test_auto_knows_a_column_of_images(cells: pd.DataFrame, experiment_id: str) -> None:
    done = evaluate(from_cells, cells, targets="y")
    assert {"image.rotate", "image.gaussian_blur", "image.gaussian_noise", "ink"} <= set(done.result().tests)


def test_rows_that_do_not_fit_the_shape(images: Any, experiment_id: str) -> None:
    with pytest.raises(DataError, match=r"input_shape \(5, 5\) needs 25 values per row; rows of 36 came"):
        evaluate(from_rows, images.reshape(N, -1), {**RECIPE, "input_shape": [5, 5]}, targets=LABELS)


@pytest.mark.parametrize("shape", [(N, SIDE, SIDE), (N, SIDE, SIDE, 1)], ids=["3-D", "4-D"])
def test_mlflow_refuses_arrays_of_more_dimensions(shape: Any, images: Any, experiment_id: str) -> None:
    """Before we run; so the README says to pass flat rows with ``input_shape``, or a column of array cells."""
    called: list[int] = []

    def model(array: Any) -> Any:
        called.append(len(array))
        return standing(array)

    with mlflow.start_run() as run, pytest.raises(MlflowException, match="2-dimensional|2D|dimension"):
        mlflow.models.evaluate(
            model, images.reshape(shape), targets=LABELS, model_type="classifier", evaluators=["sensie"],
            evaluator_config={"sensie": RECIPE},
        )  # fmt: skip
    assert not called
    assert not [tag for tag in mlflow.MlflowClient().get_run(run.info.run_id).data.tags if "sensie" in tag]


def test_a_function_sees_the_layout_that_came(images: Any, experiment_id: str) -> None:
    """Perturbations see (n, H, W); the model gets rows as they came."""
    shapes: set[Any] = set()

    def model(rows: Any) -> Any:
        shapes.add(np.shape(rows)[1:])
        return standing(rows)

    def seen(stack: Any, p: float) -> Any:
        shapes.add(stack.shape[1:])
        return stack * (1 - p)

    recipe = {"input_shape": [SIDE, SIDE], "perturbations": [{"name": "fade", "apply": seen, "magnitudes": [0.1, 0.2]}]}
    evaluate(model, images.reshape(N, -1), recipe, targets=LABELS)
    assert shapes == {(SIDE * SIDE,), (SIDE, SIDE)}
