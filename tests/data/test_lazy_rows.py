"""Rows that are read when asked for: the same as in memory, in any order, a block at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie.data import lazy_rows as stored
from mlflow_sensie.data.lazy_rows import MappedRows, ParquetRows, RowSubset
from mlflow_sensie.errors import DataError

N = 97


def columns(rng: np.random.Generator, n: int = N) -> dict[str, Any]:
    gap = rng.random(n) < 0.2
    word = rng.choice(["red", "green", "größer"], n)
    whole = rng.integers(0, 100, n)
    return {
        "float": rng.normal(size=n),
        "float32": rng.normal(size=n).astype("float32"),
        "int8": whole.astype("int8"),
        "int": whole,
        "int, early gaps": pd.array(np.where(np.arange(n) < 5, None, whole), dtype="Int64").to_numpy(object),
        "nullable": pd.array(np.where(gap, None, whole), dtype="Int64"),
        "bool": whole > 50,
        "bool, gaps": np.where(gap, None, whole > 50),
        "text": word,
        "text, gaps": np.where(gap, None, word),
        "category": pd.Categorical(word),
        "categories of numbers": pd.Categorical(whole),
        "day": pd.Timestamp("2020-02-03") + pd.to_timedelta(whole, unit="D"),
        "zoned": pd.Timestamp("2020-02-03", tz="Europe/Amsterdam") + pd.to_timedelta(whole, unit="h"),
        "cells": [list(rng.normal(size=3)) for _ in range(n)],
        "nested cells": [rng.normal(size=(2, 3)).tolist() for _ in range(n)],
        "a.b": whole,
        "a": -whole,
        "nothing": [None] * n,
    }


COLUMNS = list(columns(np.random.default_rng(0)))


def write(path: Path, frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Write a frame and return it as pandas reads it back."""
    table = pa.Table.from_pandas(frame)
    pq.write_table(table, path, **options)
    return pd.read_parquet(path).reset_index(drop=True)


POSITIONS = st.one_of(
    st.lists(st.integers(0, N - 1), max_size=40).map(lambda found: np.array(found, dtype=np.intp)),
    st.lists(st.integers(0, N - 1), max_size=40).map(lambda found: np.array(sorted(found), dtype=np.intp)),
    st.tuples(st.integers(0, N), st.integers(0, N)).map(lambda ends: slice(min(ends), max(ends))),
)


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5, unique=True),
    requests=st.lists(POSITIONS, min_size=1, max_size=5),
    group=st.integers(1, N + 3),
    block=st.integers(1, 50),
    statistics=st.booleans(),
)
def test_any_rows_of_any_columns_are_those_that_pandas_reads(
    tmp_path_factory: pytest.TempPathFactory, names: Any, requests: Any, group: int, block: int, statistics: bool
) -> None:
    path = tmp_path_factory.mktemp("stored") / "x.parquet"
    every = columns(np.random.default_rng(3))
    frame = pd.DataFrame({name: every[name] for name in ("a", *names, "a.b")})
    whole = write(path, frame, row_group_size=group, write_statistics=statistics)
    found = ParquetRows([path], names)
    found._batch_rows = block
    assert len(found) == N
    for positions in requests:
        wanted = whole[names].iloc[positions].reset_index(drop=True)
        taken = found.take(positions)
        if len(wanted):
            pd.testing.assert_frame_equal(taken, wanted)
        assert list(taken.columns) == names
    for name in names:
        column = found.column(name)
        assert column is not None
        pd.testing.assert_series_equal(column, whole[name])


def test_several_files_lie_below_each_other(tmp_path: Path) -> None:
    frame = pd.DataFrame(columns(np.random.default_rng(1)))
    parts = [frame.iloc[:40], frame.iloc[40:41], frame.iloc[41:]]
    paths = [tmp_path / f"part-{i}.parquet" for i in range(3)]
    for part, path in zip(parts, paths, strict=True):
        pq.write_table(pa.Table.from_pandas(part, schema=pa.Schema.from_pandas(frame), preserve_index=False), path)
    found = ParquetRows(paths, ["float", "text", "int"])
    pd.testing.assert_frame_equal(
        found.take(slice(38, 45)), frame[["float", "text", "int"]][38:45].reset_index(drop=True)
    )
    backwards = np.arange(N)[::-1]
    assert list(found.take(backwards)["int"]) == list(frame["int"][::-1])
    pd.DataFrame({"other": [1]}).to_parquet(paths[2])
    with pytest.raises(DataError, match="part-2.parquet has other columns than"):
        ParquetRows(paths)


def test_rows_in_ascending_order_are_streamed_and_each_block_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"a": np.arange(10_000.0)}).to_parquet(path, row_group_size=2_500)
    read: list[int] = []
    blocks = ParquetRows._read
    monkeypatch.setattr(
        ParquetRows, "_read", lambda self, group: (read.append(len(b)) or b for b in blocks(self, group))
    )
    found = ParquetRows([path])
    found._batch_rows = 500
    for start in range(0, 10_000, 256):
        found.take(slice(start, start + 256))
    assert sum(read) == 10_000 and max(read) == 500
    read.clear()
    found.take(np.array([9_999]))  # far ahead: only its row group is read
    assert sum(read) <= 2_500
    assert found._copy is None
    some = np.random.default_rng(0).permutation(10_000)[:300]
    assert list(found.take(some)["a"]) == list(map(float, some))
    read.clear()
    assert list(found.take(some[::-1])["a"]) == list(map(float, some[::-1])) and not read  # from the copy


def test_the_columns_beside_the_features(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pd.DataFrame({"a": [1.0, 2], "site": ["x", "y"], "y": [0, 1]}, index=pd.Index([7, 8], name="key"))
    frame.to_parquet(path)
    rows = ParquetRows([path], ["a", "site"])
    assert rows.names == ("a", "site") and rows.others == ()
    some = rows.only(["a"])
    assert some.names == ("a",) and some.others == ("site",)
    assert list(some.take(slice(None)).columns) == ["a"]
    site = some.column("site")
    assert site is not None and list(site) == ["x", "y"]
    assert some.column("y") is None and some.column("key") is None
    assert ParquetRows([path]).names == ("a", "site", "y")  # a frame's index is none of its columns


def test_views_pick_and_convert() -> None:
    held = pd.DataFrame({"a": np.arange(10)})
    doubled = MappedRows(held, lambda frame: frame.to_numpy() * 2)
    picked = RowSubset(doubled, np.array([7, 1, 3]))
    assert len(picked) == 3 and len(doubled) == len(held) == 10
    np.testing.assert_array_equal(picked.take(slice(0, 2)), [[14], [2]])
    np.testing.assert_array_equal(picked.take(np.array([2, 2])), [[6], [6]])
    assert picked.column("a") is None


def test_a_view_keeps_the_names(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2, 3], "s": list("xyz")}).to_parquet(tmp_path / "x.parquet")
    rows = ParquetRows([tmp_path / "x.parquet"]).only(["a"])
    picked = RowSubset(MappedRows(rows, lambda frame: frame.to_numpy()), np.array([2, 0]))
    assert picked.names == ("a",) and picked.others == ("s",)
    column = picked.column("s")
    assert column is not None and list(column) == ["z", "x"] and list(column.index) == [0, 1]
    assert isinstance(rows, stored.LazyRows)
