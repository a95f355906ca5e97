"""The examples whose own score falls first under a perturbation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.fitting import sweep_scores
from mlflow_sensie.inference import PerturbationFit
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor
from mlflow_sensie.result import FirstFailure
from mlflow_sensie.scores.table import ID, TARGET, Block, Scores

MOST = 10


def first_to_fall(
    test: SweepTest, fit: PerturbationFit, table: Scores, drop: AllowedDrop, *, fractional: bool, targets: bool
) -> tuple[FirstFailure, ...]:
    """Return the ten examples whose own score first falls below its own floor at the smallest distance.

    Of several at one distance those that lose most come first. ``targets`` tells whether the true answer may be
    shown beside the example's identifier.
    """
    sweep, floor = MagnitudeGrid.of(test.magnitudes, fit.neutral, fit.log_distance), Floor.of(drop, fractional)
    best = pd.DataFrame()
    for block, rows in zip(table.blocks([ID, TARGET]), sweep_scores(test, table), strict=True):
        for side in sweep.sides:
            best = _merged(best, _falls(block, rows, floor, side))
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


def _falls(block: Block, rows: NDArray[np.float64], floor: Floor, side: Side) -> pd.DataFrame:
    """Where examples first fall on one side, a row for each that does."""
    own = rows[:, list(side.columns)]
    below = own < (floor.keep * rows[:, 0] - floor.below)[:, None]
    fallen = np.flatnonzero(below.any(axis=1))
    at = below[fallen].argmax(axis=1)
    found = {
        "example": block[ID][fallen],
        "target": block[TARGET][fallen],
        "distance": side.distances[at],
        "magnitude": side.magnitudes[at],
        "clean": rows[fallen, 0],
        "score": own[fallen, at],
    }
    return pd.DataFrame(found)


def _merged(best: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """The first of both; an example that falls on two sides counts where it falls sooner."""
    both = pd.concat([best, more]) if len(best) else more
    both = both.assign(loss=both["score"] - both["clean"]).sort_values(["distance", "loss"], kind="stable")
    return both.drop_duplicates("example").head(MOST)
