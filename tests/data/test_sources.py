"""Files and folders: what is read, how it is told apart, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from click.testing import CliRunner

from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.identity import digests_of
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.data.sources import READERS, Data, as_data, read_csv, read_data, shared
from mlflow_sensie.doors.cli import main
from mlflow_sensie.doors.loading import load
from mlflow_sensie.errors import DataError

N = 30
PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    labels = rng.choice(["no", "yes"], N)
    return pd.DataFrame({"a": rng.normal(size=N), "site": rng.choice(["x", "y"], N), "y": labels})


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.integers(0, 255, (N, 6, 5, 3)).astype(np.uint8)


def everything(data: Data) -> tuple[Any, list[Any]]:
    inputs = data.inputs.take(slice(None)) if isinstance(data.inputs, LazyRows) else data.inputs
    return inputs, list(data.targets)


# How numbers in two columns, and targets called y, are written as each kind of file.
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    ".parquet": lambda frame, path: frame.to_parquet(path),
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".npz": lambda frame, path: np.savez(path, inputs=frame[["a", "b"]].to_numpy(), y=frame["y"].to_numpy()),
}


def test_every_kind_of_file_is_written_here_and_named_where_users_read_of_it() -> None:
    assert list(WRITERS) == list(READERS)
    help_text = CliRunner().invoke(main, ["run", "--help"]).output
    for suffix in READERS:
        assert f"`{suffix}`" in PAGE.read_text(encoding="utf-8") and suffix in help_text
        assert suffix in str(load.__doc__)


@pytest.mark.parametrize("suffix", READERS)
def test_every_kind_of_file_holds_the_same_data(suffix: str, tmp_path: Path, rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N), "y": np.arange(N) % 2})
    path = tmp_path / f"numbers{suffix}"
    WRITERS[suffix](frame, path)
    data = read_data(path, "y")
    inputs, targets = everything(data)
    np.testing.assert_array_equal(np.asarray(inputs), frame[["a", "b"]])
    assert targets == list(frame["y"]) and (data.name, data.files) == ("numbers", (path,))
    with pytest.raises(DataError, match=f"these are: .*{suffix}"):
        read_data(write_other(tmp_path), "y")


def write_other(folder: Path) -> Path:
    path = folder / "numbers.other"
    path.write_text("a", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "folder"])
def test_tables(frame: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    if kind == "csv":
        path = tmp_path / "test.csv"
        frame.to_csv(path, index=False)
    else:
        path = tmp_path / "test.parquet"
        frame[:20].to_parquet(path) if kind == "folder" else frame.to_parquet(path)
        frame[20:].to_parquet(tmp_path / "test2.parquet")
    data = read_data(tmp_path if kind == "folder" else path, "y")
    inputs, targets = everything(data)
    pd.testing.assert_frame_equal(inputs.reset_index(drop=True), frame.drop(columns="y"))
    assert targets == list(frame["y"])
    assert data.name == (tmp_path.name if kind == "folder" else "test")
    assert isinstance(data.inputs, LazyRows) == (kind != "csv")


@pytest.mark.parametrize("kind", ["npz", "npy", "only one wide"])
def test_arrays(images: Any, tmp_path: Path, kind: str) -> None:
    age, labels, ids = np.arange(N), np.array(["a", "b"])[np.arange(N) % 2], np.array([f"id{i}" for i in range(N)])
    arrays = {"photos" if kind == "only one wide" else "inputs": images, "label": labels, "age": age, "ids": ids}
    if kind == "npy":
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        data = read_data(tmp_path, "label")
        assert isinstance(data.inputs, np.memmap)
    else:
        np.savez(tmp_path / "test.npz", **arrays)
        data = read_data(tmp_path / "test.npz", "label")
    np.testing.assert_array_equal(data.inputs, images)
    assert list(data.targets) == list(labels) and list(data.ids) == list(ids)
    assert data.properties is not None and list(data.properties["age"]) == list(age)


def test_wide_targets_are_told_from_the_inputs(images: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", x=images, y=np.eye(3)[np.arange(N) % 3])
    data = read_data(tmp_path / "test.npz", "y")
    assert data.inputs.shape == images.shape and data.targets.shape == (N, 3) and data.properties is None


def write_images(folder: Path, images: Any, labels: list[str], mode: str = "RGB") -> None:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image).convert(mode).save(folder / label / f"{index:03d}.png")


def test_a_folder_of_images(images: Any, tmp_path: Path) -> None:
    labels = ["cat", "dog", "ant"] * 10
    write_images(tmp_path, images, labels)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "empty").mkdir()
    data = read_data(tmp_path)
    order = np.argsort(labels, kind="stable")
    inputs, targets = everything(data)
    np.testing.assert_array_equal(inputs, images[order])
    assert targets == sorted(labels)
    assert list(data.ids) == [f"{labels[i]}/{i:03d}.png" for i in order]
    with pytest.raises(DataError, match="leave targets out"):
        read_data(tmp_path, "label")


def test_images_are_decoded_only_where_they_are_asked_for(images: Any, tmp_path: Path) -> None:
    write_images(tmp_path, np.tile(images, (9, 1, 1, 1)), ["a", "b", "b"] * 90)
    broken = sorted((tmp_path / "b").iterdir())[-1]
    broken.write_bytes(b"no image at all")
    data = read_data(tmp_path)
    examples = make_examples(Data(data.inputs, data.targets, ids=data.ids))
    assert len(examples) == 9 * N and examples.input_format.kind == "tensor"
    assert len(examples.take(slice(0, 256))) == 256
    with pytest.raises(DataError, match=f"{broken.name} cannot be read as an image"):
        examples.take(slice(256, 9 * N))


@pytest.mark.parametrize(
    ("write", "targets", "said"),
    [
        (lambda p: p / "nope.parquet", "y", "there is no file or folder"),
        (lambda p: touch(p / "x.xlsx"), "y", "x.xlsx is of no kind that is read; these are: .parquet, .csv, .npz"),
        (lambda p: touch(p / "x.parquet"), "y", "cannot be read as Parquet"),
        (lambda p: touch(p / "x.csv"), "y", "cannot be read as CSV"),
        (lambda p: touch(p / "x.npz", "text"), "y", "cannot be read"),
        (lambda p: table(p / "x.csv"), None, "say which column of x.csv holds the targets; its columns are a, b"),
        (lambda p: table(p / "x.csv"), "z", "x.csv has no column 'z' of targets; its columns are a, b"),
        (lambda p: table(p / "x.parquet"), "z", "x.parquet has no column 'z' of targets; its columns are a, b"),
        (lambda p: npz(p, x=np.zeros((3, 2))), None, "say which array holds the targets; it holds x \\(3, 2\\)"),
        (lambda p: npz(p, x=np.zeros((3, 2))), "y", "there is no array 'y' of targets; it holds x \\(3, 2\\)"),
        (lambda p: npz(p, x=np.zeros((3, 2)), z=np.zeros((3, 2)), y=np.zeros(3)), "y", "one array of the inputs"),
        (lambda p: npz(p, y=np.zeros(3)), "y", "one array of the inputs is needed"),
        (lambda p: npz(p, x=np.zeros((3, 2)), y=np.zeros(3), age=np.zeros(4)), "y", "'age' is no property of the 3"),
        (lambda p: npz(p, x=np.array([["a", 1]], dtype=object), y=np.zeros(1)), "y", "holds Python objects, which are"),
        (lambda p: npy(p, np.array(["a"], dtype=object)), "y", "holds Python objects, which are never read"),
        (lambda p: p, None, "holds no images in subfolders"),
        (lambda p: (p / "_delta_log").mkdir() or p, "y", "a Delta table"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, write: Callable[[Path], Path], targets: str | None, said: str) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match=said):
        read_data(path, targets)


def touch(path: Path, text: str = "") -> Path:
    path.write_text(text)
    return path


def table(path: Path) -> Path:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


def npy(folder: Path, array: Any) -> Path:
    np.save(folder / "x.npy", array)
    return folder


def test_unpickling_never_runs(tmp_path: Path) -> None:
    """A file that would run code when unpickled does not get to."""

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "x.npz", x=np.array([Evil()], dtype=object), y=np.zeros(1))
    with pytest.raises(DataError):
        read_data(tmp_path / "x.npz", "y")
    assert not (tmp_path / "ran").exists()


# --- CSV -------------------------------------------------------------------------------------------------------


def test_numbers_of_a_csv_file_keep_their_last_digit(tmp_path: Path, rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"a": rng.normal(size=1000) / 3})
    frame.to_csv(tmp_path / "x.csv", index=False)
    assert (read_csv(tmp_path / "x.csv")["a"] == frame["a"]).all()


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["2024-01-31", "2023-12-01", ""], "M"),
        (["2024-01-31 10:00", "2023-12-01T11:30:15.25"], "M"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+02:00"], "M"),
        (["2024-01-31", "soon"], "O"),
        (["20240131", "20231201"], "i"),
        (["red", "green"], "O"),
        (["1-2-3", "2024-1-1"], "O"),
    ],
)
def test_dates_of_a_csv_file(tmp_path: Path, cells: list[str], kind: str) -> None:
    (tmp_path / "x.csv").write_text("d,n\n" + "".join(f"{cell},1\n" for cell in cells))
    found = read_csv(tmp_path / "x.csv")["d"]
    assert found.dtype.kind == kind or (kind == "O" and pd.api.types.is_string_dtype(found.dtype))
    if "Z" in cells[0]:
        assert (found.iloc[0] - found.iloc[1]) == pd.Timedelta(hours=2)


# --- data that was given --------------------------------------------------------------------------------------


def test_texts_are_shared() -> None:
    found = shared(pd.Series(["red", "green", None, "red"]))
    assert list(found) == ["red", "green", None, "red"] and found[0] is found[3]
    assert shared(pd.Series([1.5, 2])).dtype == np.float64


def test_what_is_given_twice_is_refused() -> None:
    data = Data(np.zeros((3, 2)), np.arange(3), pd.DataFrame({"p": [1, 2, 3]}))
    assert as_data(data) is not None and as_data(np.zeros((3, 2)), [1, 2, 3]).targets == [1, 2, 3]
    both = as_data(data, metadata=pd.DataFrame({"q": [4, 5, 6]}, index=[7, 8, 9])).properties
    assert both is not None and both.to_dict("list") == {"p": [1, 2, 3], "q": [4, 5, 6]}
    with pytest.raises(DataError, match="targets came twice"):
        as_data(data, [1, 2, 3])


def test_the_same_images_in_every_container_have_one_digest(images: Any, tmp_path: Path) -> None:
    y = np.arange(N) % 3
    write_images(tmp_path / "folder", images, ["all"] * N)
    pd.DataFrame({"image": [image.tolist() for image in images], "y": y}).to_parquet(tmp_path / "cells.parquet")
    pd.DataFrame({"image": list(images.reshape(N, -1)), "y": y}).to_parquet(tmp_path / "flat.parquet")
    files = sorted((tmp_path / "folder" / "all").iterdir())
    encoded = pd.DataFrame({"image": [file.read_bytes() for file in files], "y": y})
    encoded.to_parquet(tmp_path / "encoded.parquet")
    np.save(tmp_path / "inputs.npy", images)
    flat = images.reshape(N, -1)
    shape = {"input_shape": images.shape[1:]}
    given: dict[str, tuple[Any, dict[str, Any]]] = {
        "array": (images, {}),
        "floats": (images.astype("float64"), {}),
        "mapped": (np.load(tmp_path / "inputs.npy", mmap_mode="r"), {}),
        "rows": (flat, shape),
        "columns": (pd.DataFrame(flat), shape),
        "cells": (pd.DataFrame({"image": list(images)}), {}),
        "flat cells": (pd.DataFrame({"image": list(flat)}), shape),
        "a model of arrays": (pd.DataFrame({"image": list(flat)}), {**shape, "takes": "array"}),
        "folder": (read_data(tmp_path / "folder").inputs, {}),
        "paths": (pd.DataFrame({"image": list(map(str, files)), "age": y}), {"kind": "tensor"}),
        "bytes": (encoded[["image"]], {}),
        "decoded": (encoded[["image"]], {"kind": "tensor"}),
        "Parquet of cells": (read_data(tmp_path / "cells.parquet", "y").inputs, {}),
        "Parquet of flat cells": (read_data(tmp_path / "flat.parquet", "y").inputs, shape),
        "Parquet of bytes": (read_data(tmp_path / "encoded.parquet", "y").inputs, {"takes": "array"}),
    }
    digests = {name: digests_of(make_examples(Data(X, y), **keys), {}, {})[1] for name, (X, keys) in given.items()}
    assert set(digests.values()) == {digests["array"]}, digests
    other = images.copy()
    other[-1, -1, -1, -1] ^= 1
    assert digests_of(make_examples(Data(other, y)), {}, {})[1] != digests["array"]


# --- the options of a command line ---------------------------------------------------------------------------


def test_load_reads_files(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "test.parquet")
    assert load(tmp_path / "test.parquet", targets="y").name == "test"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--data .* or --dataset-run .* is needed; neither came"),
        ({"data": "x.csv", "dataset_run": "abc"}, "both came"),
        ({"data": "x.csv", "dataset": "wine"}, "--dataset names an input of --dataset-run"),
    ],
)
def test_load_says_what_is_missing(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(**options)
