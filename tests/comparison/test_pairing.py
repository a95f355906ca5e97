"""Two score tables joined by example: as they are where they can be, by id else, and refused where they must be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_sensie.comparison.contrasts import paired, unpaired
from mlflow_sensie.comparison.pairing import Pairing
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.scores.table import ScoreTable

PROBABILITY = ScoreScale(0.0, 1.0, "probability")
LOSS = ScoreScale(None, 0.0, "target unit")


def table(ids: Sequence[Any], clean: Sequence[float], sizes: Sequence[int] = (), **more: Any) -> ScoreTable:
    """A score table in blocks of these sizes."""
    made, columns = ScoreTable(), {"id": np.array(ids), "clean": np.array(clean, float), **more}
    cuts = [0, *np.cumsum(sizes).tolist(), len(ids)] if sizes else [0, len(ids)]
    for start, stop in pairwise(cuts):
        made.append({name: values[start:stop] for name, values in columns.items()})
    return made


def pairs(pairing: Pairing) -> list[tuple[Any, float, float]]:
    """The examples, by their id in A, with both models' scores."""
    ids = pairing.a.column("id") if pairing.order is None else pairing.a.column("id")[pairing.order[0]]
    return list(zip(ids, *pairing.column("clean"), strict=True))


@pytest.mark.parametrize("sizes", [((), ()), ((3, 4), (5,)), ((1, 1, 1), (9,)), ((9, 1), (2, 2, 2))])
def test_blocks_of_any_size_are_read_together(sizes: tuple[Sequence[int], Sequence[int]]) -> None:
    ids, values = range(10), np.arange(10.0)
    found = Pairing.by_id(table(ids, values, sizes[0]), table(ids, -values, sizes[1]))
    assert found.order is None and found.n == 10
    assert pairs(found) == [(i, float(i), -float(i)) for i in range(10)]


def test_other_orders_are_joined_by_id() -> None:
    found = Pairing.by_id(table([3, 1, 2, 9], [3, 1, 2, 9]), table([2, 3, 1, 7], [-2, -3, -1, -7], [2]))
    assert found.n == 3
    assert sorted(pairs(found)) == [(1, 1, -1), (2, 2, -2), (3, 3, -3)]


def test_text_ids_join_too() -> None:
    found = Pairing.by_id(table(["b", "a"], [2, 1]), table(["a", "b"], [1, 2]))
    assert sorted(pairs(found)) == [("a", 1, 1), ("b", 2, 2)]


def test_a_spilled_table_is_read_from_its_file(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 1000)
    whole, spilled = table(range(1000), values), ScoreTable(spill_bytes=1000)
    for start in range(0, 1000, 100):
        spilled.append({"id": np.arange(start, start + 100), "clean": values[start : start + 100]})
    spilled.write_parquet(tmp_path / "scores.parquet")
    for other in (spilled, ScoreTable.read_parquet(tmp_path / "scores.parquet")):
        found = Pairing.by_id(whole, other)
        assert found.order is None and found.identical()


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([1, 1, 2], [1, 2, 3], "ids of A are not unique"),
        ([1, 2, 3], [3, 3, 1], "ids of B are not unique"),
        ([1, 2], [3, 4], "0 examples in common"),
        ([1, 2, 3], [3, 4, 5], "1 examples in common"),
        ([1, 2, 3], ["a", "b", "c"], "0 examples in common"),
    ],
)
def test_what_cannot_be_joined_is_refused(ours: list[Any], theirs: list[Any], message: str) -> None:
    with pytest.raises(ComparisonError, match=message):
        Pairing.by_id(table(ours, np.zeros(len(ours))), table(theirs, np.zeros(len(theirs))))


def test_examples_with_a_missing_score_in_either_are_left_out() -> None:
    one = {"score/t/0": np.array([0.1, np.nan, 0.3, 0.4])}
    two = {"score/t/0": np.array([0.5, 0.6, 0.7, np.nan])}
    found = Pairing.by_id(table(range(4), np.ones(4), **one), table(range(4), np.zeros(4), **two))
    columns = ["clean", "score/t/0"]
    joint = paired(found.steps(columns), np.eye(2), (0, 1))
    assert joint.n == 2 and joint.moments.mean == pytest.approx([1, 0.2, -1, 0.4])
    apart = unpaired(found.a.array(columns), found.b.array(columns), np.eye(2), (0, 1))
    assert apart.n == 3 and apart.moments.mean == pytest.approx([1, 0.8 / 3, -1, 0.6 - 0.8 / 3])


def test_the_reach_is_the_bounds_or_what_either_model_reached() -> None:
    found = Pairing.apart(table(range(3), [-1.0, -2, np.nan]), table(range(2), [-5.0, -3]))
    assert not found.paired and found.n == 2
    assert found.reach(["clean"], LOSS) == (-5, 0)
    assert found.reach(["clean"], PROBABILITY) == (0, 1)


def test_identical_means_every_score_they_share() -> None:
    same = {"score/t/0": np.array([0.5, np.nan])}
    one = table([1, 2], [1, 1], **same, **{"score/only_a/0": np.zeros(2)})
    assert Pairing.by_id(one, table([1, 2], [1, 1], **same)).identical()
    assert not Pairing.by_id(one, table([1, 2], [1, 1], **{"score/t/0": np.array([0.5, 0.5])})).identical()
    assert not Pairing.apart(one, one).identical()


@pytest.mark.parametrize(
    ("clean", "scale", "tells"),
    [
        (np.linspace(0, 1, 12), PROBABILITY, True),
        (np.linspace(0, 1, 9), PROBABILITY, False),
        (np.arange(100) % 2, PROBABILITY, False),
        (np.arange(100) % 5 / 4, PROBABILITY, False),  # shares of four neighbours
        (-np.arange(11.0), LOSS, True),
        ([*np.linspace(0, 1, 9), *[np.nan] * 5], PROBABILITY, False),
    ],
)
def test_scores_of_many_values_tell_two_models_apart(clean: Any, scale: ScoreScale, tells: bool) -> None:
    made = table(range(len(clean)), clean, sizes=(5, len(clean) - 5))
    assert Pairing.by_id(made, made).telling(scale) is tells


def test_few_examples_tell_by_the_values_that_they_take_over_the_magnitudes() -> None:
    sweep = {f"score/t/{j}": np.array([0.9, 0.8, 0.7]) - j / 10 for j in range(4)}
    made = table(range(3), [0.95, 0.85, 0.75], **sweep)
    assert Pairing.by_id(made, made).telling(PROBABILITY)


@pytest.mark.parametrize(("failing", "tells"), [(9, False), (10, True)])
def test_labels_tell_by_rows_that_differ(failing: int, tells: bool) -> None:
    """Example k fails from magnitude k on; those that never fail are one more row."""
    sweep = {f"score/t/{j}": (np.arange(40) >= min(j, failing - 1)).astype(float) for j in range(12)}
    made = table(range(40), np.ones(40), **sweep)
    assert Pairing.by_id(made, made).telling(PROBABILITY) is tells


def test_scores_may_tell_at_some_magnitude_alone() -> None:
    made = table(range(20), np.ones(20), **{"score/t/0": np.linspace(0, 1, 20)})
    assert Pairing.by_id(made, made).telling(PROBABILITY)
    assert not Pairing.by_id(made, table(range(20), np.ones(20))).telling(PROBABILITY)
