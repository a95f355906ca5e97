"""What a score may be: its bounds and its unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlflow_sensie.moments import Extremes, FloatArray


@dataclass(frozen=True)
class ScoreScale:
    """Bounds (None: unbounded) and unit of a score, as (0, 1, "probability") or (None, 0, "target SD")."""

    lower: float | None
    upper: float | None
    unit: str

    @property
    def bounded(self) -> bool:
        """Tell whether the score has both bounds."""
        return self.lower is not None and self.upper is not None

    @property
    def fractional(self) -> bool:
        """Tell whether the score lies in [0, 1], where an allowed drop is a fraction of the clean score."""
        return self.lower == 0 and self.upper == 1

    def clip(self, values: ArrayLike) -> FloatArray:
        """Keep values within the bounds that there are."""
        low = -np.inf if self.lower is None else self.lower
        high = np.inf if self.upper is None else self.upper
        return np.clip(np.asarray(values, np.float64), low, high)

    def inside(self, values: FloatArray) -> NDArray[np.bool_]:
        """Tell which values lie strictly between the bounds that there are."""
        low = -np.inf if self.lower is None else self.lower
        high = np.inf if self.upper is None else self.upper
        return np.asarray((values > low) & (values < high))

    def range_of(self, *scores: FloatArray) -> tuple[float, float]:
        """Give the bounds, with the smallest and largest of these arrays of scores in place of those it does not have.

        Scores that are all equal say nothing about their range: then one unit of loss around them is assumed.
        """
        seen = Extremes.empty()
        for values in scores if not self.bounded else ():
            seen += Extremes.of(values)
        return self.reach(seen)

    def reach(self, seen: Extremes) -> tuple[float, float]:
        """Give the bounds, with what was seen in place of those the score does not have.

        Scores that are all equal say nothing about their range: then one unit of loss around them is assumed.
        """
        low = seen.lower if self.lower is None else self.lower
        high = seen.upper if self.upper is None else self.upper
        if high - low > 0:
            return low, high
        return (low - 0.5 if self.lower is None else low), (high + 0.5 if self.upper is None else high)
