"""What a score may be, and the words for what a test finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.posterior import Interval
from mlflow_sensie.inference.weights import BoolArray, FloatArray

Decision = Literal["sensitive", "negligible", "undecided"]
Significance = Literal["high", "medium", "low"]

# What may call a test sensitive beside its effect gets a fifth of the room for chance: with half of it 8 % of
# sweeps of 60 scores without any change were called sensitive.
BESIDE = 5


@dataclass(frozen=True)
class ScoreScale:
    """Bounds (None: unbounded) and unit of a score, as (0, 1, "probability") or (None, 0, "target unit")."""

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

    @property
    def _ends(self) -> tuple[float, float]:
        return -np.inf if self.lower is None else self.lower, np.inf if self.upper is None else self.upper

    def clip(self, values: ArrayLike) -> FloatArray:
        """Keep values within the bounds that there are."""
        return np.clip(np.asarray(values, np.float64), *self._ends)

    def inside(self, values: FloatArray) -> BoolArray:
        """Tell which values lie strictly between the bounds that there are."""
        low, high = self._ends
        return np.asarray((values > low) & (values < high))

    def range_of(self, *scores: FloatArray) -> tuple[float, float]:
        """Give the bounds, with the smallest and largest of these arrays of scores in place of those it does not have.

        Scores that are all equal say nothing about their range: then one unit of loss around them is assumed.
        """
        low, high = self.lower, self.upper
        if low is None:
            low = min((float(values.min()) for values in scores if values.size), default=np.inf)
        if high is None:
            high = max((float(values.max()) for values in scores if values.size), default=-np.inf)
        if high - low > 0:
            return low, high
        return (low - 0.5 if self.lower is None else low), (high + 0.5 if self.upper is None else high)


def decide(prob_sensitive: float, *, chance: bool = False) -> Decision:
    """Say "sensitive" if P(|effect| >= rope) is .95 or more, "negligible" at .05 or less; else "undecided".

    `chance` tells that what was seen may well be chance (`excludes_zero` is false): then "sensitive" becomes
    "undecided". A posterior far wider than the rope has nearly all of its mass outside the rope whatever was
    seen; that is ignorance, not sensitivity. The rope is that of Kruschke (2018, doi:10.1177/2515245918771304).

    >>> decide(0.97), decide(0.97, chance=True), decide(0.01)
    ('sensitive', 'undecided', 'negligible')
    """
    if prob_sensitive <= 0.05:
        return "negligible"
    return "sensitive" if prob_sensitive >= 0.95 and not chance else "undecided"


def together(*words: Decision) -> Decision:
    """The word for several quantities of one test: "sensitive" if one of them is, "negligible" if all are."""
    return "sensitive" if "sensitive" in words else "undecided" if "undecided" in words else "negligible"


def excludes_zero(value: Interval) -> bool:
    """Tell whether the 95 % interval excludes 0."""
    return value.lo95 > 0 or value.hi95 < 0


def significance(value: Interval, rope: float, *, spread: bool = False) -> Significance:
    """Give Sensie's word (Jacobs 2020): "high", "medium" or "low".

    High: the 95 % interval excludes 0 and |value| is at least the rope; medium: the 50 % interval does, as it
    will in half of all tests with no effect but for the rope. A spread is never negative, so its interval
    must lie above the rope instead of excluding 0.

    >>> significance(Interval(-0.1, -0.12, -0.08, -0.16, -0.04), rope=0.02)
    'high'
    """
    if spread:
        return "high" if value.lo95 >= rope else "medium" if value.lo50 >= rope else "low"
    if abs(value.value) < rope:
        return "low"
    if excludes_zero(value):
        return "high"
    return "medium" if value.lo50 > 0 or value.hi50 < 0 else "low"
