"""The same data from wherever it comes gives the same digest and the same metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.data import examples as dataset
from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.lazy_rows import ParquetRows, RowSubset
from mlflow_sensie.data.sources import Data, read_data
from mlflow_sensie.result import Result
from mlflow_sensie.scores.table import ID

N = 1500
TABLE = {
    "properties": ["a", "site", {"name": "far", "of": "tabular.distance_to_centre"}],
    "perturbations": ["tabular.noise", "tabular.permute"],
    "class_test": True,
    "slices": ["site"],
    "weights": "b",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=N), rng.gamma(2, size=N), rng.normal(size=N)
    label = np.where(rng.random(N) < expit(a + c), "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "c": c, "site": rng.choice(["x", "y", "z"], N), "label": label})


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> Any:
    return LogisticRegression().fit(frame[["a", "b", "c"]], frame["label"])


@pytest.fixture(scope="module")
def given(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The data in every form: what ``probe`` takes as X, y and metadata."""
    folder: Path = tmp_path_factory.mktemp("given")
    features, site = frame[["a", "b", "c"]], frame[["site"]]
    frame.to_parquet(folder / "one.parquet")
    frame[frame.columns[::-1]].to_parquet(folder / "many.parquet", row_group_size=100)
    frame.to_csv(folder / "test.csv", index=False)
    parts = folder / "parts"
    parts.mkdir()
    for start in range(0, N, 400):
        frame[start : start + 400].to_parquet(parts / f"{start:04d}.parquet", index=False)
    arrays = {"inputs": features.to_numpy(), "label": frame["label"].to_numpy(str), "site": site["site"].to_numpy(str)}
    np.savez(folder / "test.npz", **arrays)
    mapped = folder / "mapped"
    mapped.mkdir()
    for name, array in arrays.items():
        np.save(mapped / f"{name}.npy", array)
    return {
        "frame": (frame.drop(columns="label"), frame["label"]),
        "array": (features.to_numpy(), frame["label"].tolist(), site),
        "Parquet": (read_data(folder / "one.parquet", "label"),),
        "Parquet, other groups and order": (read_data(folder / "many.parquet", "label"),),
        "Parquet parts": (read_data(parts, "label"),),
        "CSV": (read_data(folder / "test.csv", "label"),),
        "npz": (read_data(folder / "test.npz", "label"),),
        "npy": (read_data(mapped, "label"),),
        "Data": (Data(features, frame["label"], site),),
    }


def probed(model: Any, given: tuple[Any, ...], recipe: Any) -> Result:
    X, y, metadata = (*given, None, None)[:3]
    return mlflow_sensie.probe(model, X, y, recipe, metadata=metadata)


TABLES = ["Parquet", "Parquet, other groups and order", "Parquet parts", "CSV", "Data"]
FORMS = [*TABLES, "array", "npz", "npy"]


@pytest.fixture(scope="module")
def wanted(model: Any, given: dict[str, Any]) -> dict[str, Result]:
    return {
        "tests": probed(model, given["frame"], TABLE),
        "auto": probed(model, given["frame"], "auto"),
        "sample": probed(model, given["frame"], {**TABLE, "max_examples": 700}),
    }


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("what", ["tests", "auto", "sample"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_digest_and_metrics(
    model: Any, given: dict[str, Any], wanted: dict[str, Result], form: str, what: str
) -> None:
    recipe = {"tests": TABLE, "auto": "auto", "sample": {**TABLE, "max_examples": 700}}[what]
    found = probed(model, given[form], recipe)
    assert found.data_sha256 == wanted[what].data_sha256
    assert len(found.metrics) > 20
    if form in TABLES:
        assert found.metrics == wanted[what].metrics  # to the last digit
    else:  # the model's own sums may round differently where its rows lie differently in memory
        assert found.metrics == pytest.approx(wanted[what].metrics, rel=1e-9, abs=1e-12)
    if what == "auto":
        assert found.choices == wanted["auto"].choices or "other groups" in form  # told in the order of the columns


def test_a_large_sample_stays_where_it_is(
    model: Any, given: dict[str, Any], wanted: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "SMALL", 0)
    read: list[int] = []
    take = ParquetRows.take
    monkeypatch.setattr(
        ParquetRows, "take", lambda self, positions: (read.append(len(f := take(self, positions))), f)[1]
    )
    found = probed(model, given["Parquet, other groups and order"], {**TABLE, "max_examples": 700})
    assert found.metrics == wanted["sample"].metrics and found.data_sha256 == wanted["sample"].data_sha256
    assert max(read) < 700 or max(read) <= 4096  # never more than a block
    np.testing.assert_array_equal(found.score_table.column(ID), wanted["sample"].score_table.column(ID))


def test_a_selection_of_stored_rows_is_that_of_rows_in_memory(
    frame: pd.DataFrame, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = given["Parquet"][0]
    here = make_examples(Data(frame.drop(columns="label"), frame["label"]), features=["c", "a"])
    there = make_examples(Data(data.inputs, data.targets), features=["c", "a"])
    picked = np.sort(np.random.default_rng(1).choice(N, 300, replace=False))
    for small in (0, 2**30):
        monkeypatch.setattr(dataset, "SMALL", small)
        one, other = here.select(picked), there.select(picked)
        assert isinstance(other.source, RowSubset) is (small == 0)
        assert one.column_names() == other.column_names() == ["b", "site", "c", "a"]
        for name in one.column_names():
            ours, theirs = one.column(name), other.column(name)
            assert ours is not None and theirs is not None and list(ours) == list(theirs)
        pd.testing.assert_frame_equal(
            one.take(slice(5, 50)).inputs.reset_index(drop=True), other.take(slice(5, 50)).inputs.reset_index(drop=True)
        )
        assert list(one.ids) == list(other.ids) and list(one.targets) == list(other.targets)
    assert other.column("label") is None


def test_a_shuffled_order_reads_the_same_rows(frame: pd.DataFrame, given: dict[str, Any]) -> None:
    data = given["Parquet, other groups and order"][0]
    examples = make_examples(Data(data.inputs, data.targets), features=["a", "b", "c"])
    order = np.random.default_rng(2).permutation(N)
    for start in range(0, N, 256):
        taken = examples.take(order[start : start + 256])
        wanted = frame.iloc[order[start : start + 256]]
        pd.testing.assert_frame_equal(taken.inputs, wanted[["a", "b", "c"]].reset_index(drop=True))
        assert list(taken.targets) == list(wanted["label"])
