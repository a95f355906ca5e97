"""The score table: row blocks in, the same blocks out, from memory, from disk and from a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.scores.table import CLEAN, ID, TARGET, ScoreTable, property_column, score_column

COLUMNS = (ID, TARGET, property_column("ink"), property_column("site"), CLEAN, score_column("rotation", 0))


def block(n: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    values = [
        np.arange(n) + 1000 * seed,
        np.array(rng.choice(["cat", "dog", "größer"], n), dtype=object),
        np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        rng.integers(-1, 3, n),
        rng.random(n),
        np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
    ]
    return dict(zip(COLUMNS, values, strict=True))


BLOCKS = [block(n, seed) for seed, n in enumerate([5, 256, 1, 300])]
N = 562


def filled(spill_bytes: int = 2**30) -> ScoreTable:
    table = ScoreTable({"score": "probability", "tests": {"rotation": [1.5, 2.0]}}, spill_bytes=spill_bytes)
    for each in BLOCKS:
        table.append(each)
    return table


def assert_holds_everything(table: ScoreTable) -> None:
    assert (len(table), table.columns) == (N, COLUMNS)
    for name in COLUMNS:
        wanted = np.concatenate([each[name] for each in BLOCKS])
        found = table.column(name)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)  # NaN stays NaN, and is not taken for missing


def test_what_goes_in_comes_out() -> None:
    table = filled()
    assert_holds_everything(table)
    for found, wanted in zip(table.blocks(), BLOCKS, strict=True):
        assert tuple(found) == COLUMNS
        assert all(found[name] is wanted[name] for name in COLUMNS)


def test_blocks_can_be_asked_for_some_columns_and_asked_again() -> None:
    table = filled()
    for _ in range(2):
        assert [tuple(each) for each in table.blocks([CLEAN, ID])] == [(CLEAN, ID)] * 4


@pytest.mark.parametrize("spill_bytes", [0, 10_000, 15_000])
def test_a_table_spilled_to_disk_is_the_same_table(spill_bytes: int) -> None:
    table = filled(spill_bytes)
    assert table._spilled and table.nbytes == filled().nbytes
    assert_holds_everything(table)


def test_without_spilling_nothing_is_written() -> None:
    assert filled()._spilled == [] and filled()._folder is None


@pytest.mark.parametrize("spill_bytes", [0, 2**30], ids=["spilled", "in memory"])
def test_parquet_there_and_back(tmp_path: Path, spill_bytes: int) -> None:
    table, path = filled(spill_bytes), tmp_path / "scores.parquet"
    table.write_parquet(path)
    again = ScoreTable.read_parquet(path)
    assert again.metadata == {"score": "probability", "tests": {"rotation": [1.5, 2.0]}}
    assert_holds_everything(again)
    again.write_parquet(tmp_path / "twice.parquet")
    assert_holds_everything(ScoreTable.read_parquet(tmp_path / "twice.parquet"))


def test_others_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    filled().write_parquet(path)
    frame = pd.read_parquet(path)
    assert tuple(frame.columns) == COLUMNS and len(frame) == N
    assert list(frame["id"][:6]) == [0, 1, 2, 3, 4, 1000]


def test_small_blocks_share_a_row_group(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table, path = ScoreTable(), tmp_path / "many.parquet"
    for start in range(0, 140_000, 1000):
        table.append({ID: np.arange(start, start + 1000)})
    table.write_parquet(path)
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [66_000, 66_000, 8_000]
    np.testing.assert_array_equal(ScoreTable.read_parquet(path).column(ID), np.arange(140_000))


def test_metadata_may_be_set_after_the_rows(tmp_path: Path) -> None:
    table = ScoreTable(spill_bytes=0)
    table.append(BLOCKS[0])
    table.metadata = {"late": 1}
    table.write_parquet(tmp_path / "t.parquet")
    assert ScoreTable.read_parquet(tmp_path / "t.parquet").metadata == {"late": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {ID: np.arange(3)},
        {**BLOCKS[0], "more": np.zeros(5)},
        {name: BLOCKS[0][name] for name in reversed(COLUMNS)},
        {**BLOCKS[0], CLEAN: np.zeros(4)},
        {},
    ],
    ids=["fewer columns", "more columns", "another order", "another length", "nothing"],
)
def test_a_block_of_other_columns_is_refused_and_leaves_no_trace(wrong: dict[str, Any]) -> None:
    table = filled()
    with pytest.raises(ValueError, match="a block must have the columns"):
        table.append(wrong)
    assert_holds_everything(table)


def test_names_of_columns() -> None:
    assert property_column("ink") == "property/ink"
    assert [score_column("image.rotate", i) for i in (0, 12)] == ["score/image.rotate/0", "score/image.rotate/12"]
