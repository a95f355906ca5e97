"""A checkpoint: what was computed is found again, and the result is that of a run which nothing interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, probe
from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.evaluation import checkpoint
from mlflow_sensie.evaluation.checkpoint import Checkpoint, StoredChunk

N = 1_000  # chunks of 64, 64, 128, 256 and 488
X = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=["a", "b", "c"])
Y = np.asarray(X["a"] + 0.3 * X["b"] > 0).astype(int)
SITES = np.where(np.arange(N) % 3 == 0, "north", "south")
RECIPE: dict[str, Any] = {
    "properties": ["a", "model.confidence"],
    "perturbations": ["tabular.noise", {"name": "tabular.missing", "magnitudes": [0.1, 0.3]}],
    "class_test": True,
    "calibration": True,
    "slices": ["site"],
}


@dataclass
class Model:
    """A logistic model that counts what it predicts, and breaks off before the call that exceeds ``budget`` rows."""

    slope: float = 2.0
    budget: float = np.inf
    asked: int = 0
    breaks: Callable[[], BaseException] = field(default=lambda: KeyboardInterrupt())

    def __call__(self, inputs: pd.DataFrame) -> np.ndarray:
        if self.asked + len(inputs) > self.budget:
            raise self.breaks()
        self.asked += len(inputs)
        p = 1 / (1 + np.exp(-self.slope * (inputs["a"].fillna(0) + 0.3 * inputs["b"].fillna(0))))
        return np.column_stack([1 - p, p])


def evaluate(model: Any, folder: Path | None = None, **more: Any) -> Result:
    recipe = {**RECIPE, **({} if folder is None else {"checkpoint": folder}), **more}
    return probe(model, X, Y, recipe, metadata=pd.DataFrame({"site": SITES}))


def without_time(result: Result) -> Any:
    return result.model_copy(update={"seconds": 0.0, "recipe": {}, "recipe_yaml": ""}).to_json()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is written at once."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_an_interrupted_evaluation_goes_on_where_it_was(tmp_path: Path, chunks: int) -> None:
    whole = Model()
    expected = evaluate(whole)
    per_row = expected.n_planned // N
    done = sum([64, 64, 128][:chunks]) * per_row
    first = 256  # predicted once more each time, to see how the model is scored
    with pytest.raises(KeyboardInterrupt):
        evaluate(Model(budget=first + done + 32 * per_row), tmp_path, batch_size=64)
    rest = Model()
    found = evaluate(rest, tmp_path, batch_size=64)
    assert without_time(found) == without_time(expected)
    assert rest.asked == whole.asked - done
    again = Model()
    assert without_time(evaluate(again, tmp_path)) == without_time(expected)
    assert again.asked == first


def test_what_a_crash_leaves_half_written_is_no_part_of_it(tmp_path: Path, often: None) -> None:
    evaluate(Model(), tmp_path)
    (folder,) = tmp_path.iterdir()
    files = sorted(folder.glob("*.parquet"))
    assert [path.name for path in files] == [f"{k:08d}-{k:08d}.parquet" for k in range(5)]
    files[2].rename(folder / ".half-written")
    model = Model()
    assert without_time(evaluate(model, tmp_path)) == without_time(evaluate(Model()))
    assert model.asked == 256 + 128 * 11  # the first look, and the third chunk


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"properties": ["b"]}, {"calibration": False}, {"perturbations": ["tabular.scale"]}]
)
def test_another_recipe_starts_anew(tmp_path: Path, other: dict[str, Any]) -> None:
    evaluate(Model(), tmp_path)
    model, alone = Model(), Model()
    assert without_time(evaluate(model, tmp_path, **other)) == without_time(evaluate(alone, **other))
    assert model.asked == alone.asked


def test_what_changes_no_number_goes_on(tmp_path: Path) -> None:
    evaluate(Model(), tmp_path)
    model = Model()
    evaluate(model, tmp_path, batch_size=17, log_examples="none", prefix="again")
    assert model.asked == 256


def test_other_data_starts_anew(tmp_path: Path) -> None:
    evaluate(Model(), tmp_path)
    model = Model()
    probe(model, X[::-1].reset_index(drop=True), Y[::-1], {**RECIPE, "slices": None, "checkpoint": tmp_path})
    assert model.asked > 4 * 256


def test_a_model_without_identity_is_told_by_its_predictions(tmp_path: Path) -> None:
    evaluate(Model(), tmp_path)
    with pytest.raises(DataError, match="begun with a model that predicts otherwise .the score of its example number"):
        evaluate(Model(slope=1.0), tmp_path)


def test_a_test_that_had_failed_stays_failed(tmp_path: Path) -> None:
    """And no model is asked for it again: the rest of the evaluation is what is wanted."""
    calls: list[float] = []

    def breaks(x: pd.DataFrame, p: float) -> pd.DataFrame:
        calls.append(p)
        if len(calls) > 2:
            raise OSError("disk")
        return x * (1 + p)

    tests = [{"name": "mine", "apply": breaks, "magnitudes": [0.1, 0.2], "neutral": 0}, "tabular.noise"]
    first = evaluate(Model(), tmp_path, perturbations=tests, on_error="record")
    made = len(calls)
    again = evaluate(Model(), tmp_path, perturbations=tests, on_error="record")
    assert list(first.failed) == list(again.failed) == ["mine"] and len(calls) == made
    assert without_time(first) == without_time(again)


def test_early_stopping_stops_where_it_did(tmp_path: Path, often: None) -> None:
    expected = evaluate(Model(), precision=0.2)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Model(budget=1_500), tmp_path, precision=0.2)
    assert without_time(evaluate(Model(), tmp_path, precision=0.2)) == without_time(expected)


def test_a_time_budget_is_one_of_each_session(tmp_path: Path, often: None) -> None:
    """What it cut short is asked in full by the next session, which may have another budget."""

    @dataclass
    class Slow(Model):
        def __call__(self, inputs: pd.DataFrame) -> np.ndarray:
            import time

            time.sleep(0.02)
            return super().__call__(inputs)

    first = evaluate(Slow(), tmp_path, time_budget=0.3, batch_size=16)
    assert 0 < first.n < N
    second = evaluate(Model(), tmp_path, time_budget="1h")
    assert second.n == N
    assert without_time(second) == without_time(evaluate(Model(), time_budget="1h"))


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="checkpoint: the folder .* cannot be made"):
        evaluate(Model(), tmp_path / "file")


def test_several_may_fill_one_folder(tmp_path: Path) -> None:
    blocks = {k: {"id": np.arange(2) + 2 * k, "target": np.array(["x", "y"], dtype=object)} for k in range(4)}
    one, other = Checkpoint(tmp_path), Checkpoint(tmp_path)
    for keeper, numbers in ((one, (0, 1)), (other, (3, 2))):
        for number in numbers:
            keeper.store(number, StoredChunk(blocks[number], 10 * number, {"t": "it broke"} if number == 3 else {}))
        keeper.close()
    both = Checkpoint(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000000-00000001.parquet", "00000002-00000002.parquet", "00000003-00000003.parquet",
    ]  # fmt: skip
    for number, block in blocks.items():
        found = both.find(number)
        assert found is not None and found.n_predictions == 10 * number
        assert all(np.array_equal(found.block[name], block[name]) for name in block)
    assert both.find(4) is None
    assert both.find(3) is not None and both.find(3).failures == {"t": "it broke"}  # type: ignore[union-attr]
