"""The examples whose own score falls first under a perturbation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.inference import PerturbationFit
from mlflow_sensie.inference.grid import Side
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor
from mlflow_sensie.result import FirstFailure
from mlflow_sensie.scores.table import CLEAN, ID, TARGET, Block, Scores

MOST = 10


def first_to_fall(
    test: SweepTest, fit: PerturbationFit, table: Scores, drop: AllowedDrop, *, fractional: bool, targets: bool
) -> tuple[FirstFailure, ...]:
    """Return the ten examples whose own score first falls below its own floor at the smallest distance.

    Of several at one distance those that lose most come first. ``targets`` tells whether the true answer may be
    shown beside the example's identifier.
    """
    floor, columns = Floor.of(drop, fractional), [CLEAN, *test.columns]
    best = pd.DataFrame()
    for block in table.blocks([ID, TARGET, *columns]):
        rows = np.column_stack([block[name] for name in columns])
        fallen = floor.fallen(rows)
        for side in fit.grid.sides:
            best = _merged(best, _falls(block, rows, fallen, side))
    return tuple(
        FirstFailure(
            example=str(row["example"]),
            target=str(row["target"]) if targets else None,
            magnitude=float(row["magnitude"]),
            clean=float(row["clean"]),
            score=float(row["score"]),
        )
        for row in best.to_dict("records")
    )


def _falls(block: Block, rows: NDArray[np.float64], fallen: NDArray[np.bool_], side: Side) -> pd.DataFrame:
    """Where examples first fall on one side, a row for each that does."""
    own, below = rows[:, list(side.columns)], fallen[:, list(side.columns)]
    examples = np.flatnonzero(below.any(axis=1))
    at = below[examples].argmax(axis=1)
    columns = {
        "example": block[ID][examples],
        "target": block[TARGET][examples],
        "distance": side.distances[at],
        "magnitude": side.magnitudes[at],
        "clean": rows[examples, 0],
        "score": own[examples, at],
    }
    return pd.DataFrame(columns)


def _merged(best: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """The first of both; an example that falls on two sides counts where it falls sooner."""
    both = pd.concat([best, more]) if len(best) else more
    both = both.assign(loss=both["score"] - both["clean"]).sort_values(["distance", "loss"], kind="stable")
    return both.drop_duplicates("example").head(MOST)
