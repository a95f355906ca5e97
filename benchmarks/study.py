"""What the parts of the coverage study share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference import ScoreScale

Array = NDArray[np.float64]
Rng = np.random.Generator
PROBABILITY, UNBOUNDED = ScoreScale(0, 1, "probability"), ScoreScale(None, None, "target SD")
LOSS = ScoreScale(None, 0, "target SD")
U = np.linspace(0, 1, 11)


@dataclass
class Row:
    """One line of a table."""

    scenario: str
    n: int
    method: str
    values: list[float]
