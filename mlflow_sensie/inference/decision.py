"""Words for what a test found."""

from __future__ import annotations

from typing import Literal

from mlflow_sensie.inference.posterior import Interval

Decision = Literal["sensitive", "negligible", "undecided"]
Significance = Literal["high", "medium", "low"]


def decide(prob_sensitive: float, *, chance: bool = False) -> Decision:
    """Say "sensitive" if P(|effect| >= rope) is .95 or more, "negligible" at .05 or less; else "undecided".

    `chance` tells that what was seen may well be chance (`excludes_zero` is false): then "sensitive" becomes
    "undecided". A posterior far wider than the rope has nearly all of its mass outside the rope whatever was
    seen; that is ignorance, not sensitivity.
    """
    if prob_sensitive <= 0.05:
        return "negligible"
    return "sensitive" if prob_sensitive >= 0.95 and not chance else "undecided"


# What may call a test sensitive beside its effect gets a fifth of the room for chance: with half of it 8 % of
# sweeps of 60 scores without any change were called sensitive.
BESIDE = 5


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
    """
    if spread:
        return "high" if value.lo95 >= rope else "medium" if value.lo50 >= rope else "low"
    if abs(value.value) < rope:
        return "low"
    if excludes_zero(value):
        return "high"
    return "medium" if value.lo50 > 0 or value.hi50 < 0 else "low"
