"""The test of a category: how unequal its levels are. The class test is this, over the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.curve import Curve, curve_of
from mlflow_sensie.inference.decision import Decision, ScoreScale, Significance, decide, significance
from mlflow_sensie.inference.posterior import Interval
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import AS_THEY_ARE, GroupedMoments, IntArray, SamplingDesign

RARE_SHARE = 0.01
SMALL_LEVEL = 5
MOST_CHANCE = 0.025


@dataclass(frozen=True)
class CategoryFit:
    """What a category test found.

    `curve` has a point per level, p being the level's index; `missing` one point for missing values.
    `range` is the best less the worst shrunken mean (`levels_spread.means`).
    """

    n: int
    n_missing: int
    n_dropped: int
    levels: tuple[str, ...]
    rope: float
    spread: Interval
    range: float
    prob_sensitive: float
    decision: Decision
    significance: Significance
    levels_spread: Spread
    curve: Curve
    missing: Curve | None
    flags: tuple[str, ...]
    family: int = 1

    @property
    def chance(self) -> float:
        """Bound the probability of "sensitive" where the levels do not differ."""
        return MOST_CHANCE / self.family


def category_test(
    level: ArrayLike,
    scores: ArrayLike,
    scale: ScoreScale,
    *,
    levels: Sequence[str],
    rope: float = 0.02,
    design: SamplingDesign = AS_THEY_ARE,
    family: int = 1,
) -> CategoryFit:
    """Estimate the spread of the mean score between the levels of a category.

    ``level`` (n,) is the index of each example's level, -1 where it is missing; ``scores`` (n,) that are not finite
    are dropped and counted. The intervals of ``family`` tests hold together. The model is that of ``spread_of``.
    Raises ValueError where fewer than two levels have a score.

    >>> scores = np.repeat([0.9, 0.5, 0.9], 40) + 0.1 * np.tile([-1, 1], 60)
    >>> fit = category_test(np.repeat([0, 1, 2], 40), scores, ScoreScale(0, 1, "probability"), levels=["a", "b", "c"])
    >>> fit.decision, round(fit.range, 2)
    ('sensitive', 0.4)
    """
    k, y = len(levels), np.asarray(scores, np.float64)
    scored = np.isfinite(y)
    index = np.asarray(level, np.int64)[scored]
    group, y, design = np.where(index < 0, k, index), y[scored], design.take(scored)
    examples = GroupedMoments.of(group, y, k + 1, scale.lower, scale.upper)
    units = examples if design.alike else GroupedMoments.effective(group, y, k + 1, design)
    having = [name for name, count in zip(levels, examples.n[:k], strict=True) if count > 0]
    if len(having) < 2:
        raise ValueError(f"a category test needs at least two levels with a score, not {having!r} of {list(levels)!r}")
    inside, last = np.arange(k), np.array([k])
    named, known, missing = units.select(inside), examples.select(inside), examples.select(last)
    spread = spread_of(named, scale, scale.range_of(y), rope, family)
    few = named.n[named.n > 0].min() < SMALL_LEVEL
    # With few levels the prior alone puts P(spread >= rope) near .95, and at p < .05 two levels of 30 zeros and
    # ones, whose tails are coarse, are called different in 6 % of data sets with no difference.
    chance = spread.p_value is None or spread.p_value > MOST_CHANCE / family
    return CategoryFit(
        n=int(known.n.sum()), n_missing=int(missing.n[0]), n_dropped=int((~scored).sum()), levels=tuple(levels),
        rope=rope, spread=spread.spread, range=spread.range, prob_sensitive=spread.prob_sensitive,
        decision=decide(spread.prob_sensitive, chance=chance),
        significance=significance(spread.spread, rope, spread=True), levels_spread=spread,
        curve=curve_of(named, list(range(k)), levels, scale, known),
        missing=curve_of(units.select(last), [None], ["missing"], scale, missing) if missing.n[0] else None,
        flags=("small_levels",) if few else (), family=family,
    )  # fmt: skip


def merge_rare(levels: Sequence[str], counts: ArrayLike, share: float = RARE_SHARE) -> tuple[tuple[str, ...], IntArray]:
    """Merge levels below a share of the examples into "other", or "other (rare)" beside a real "other".

    `counts` (K,) examples per level. Gives the new levels, "other" last, and the new index (K,) of every old
    level. One rare level keeps its name; where merging would leave fewer than two levels nothing is merged.

    >>> merge_rare(["a", "b", "c"], [997, 2, 1])[0]
    ('a', 'other')
    """
    n = np.asarray(counts, np.float64)
    rare = n < share * n.sum()
    frequent = [level for level, few in zip(levels, rare, strict=True) if not few]
    if rare.sum() < 2 or not frequent:
        return tuple(levels), np.arange(len(levels), dtype=np.int64)
    other = "other"
    while other in frequent:
        other += " (rare)"
    index = np.where(rare, len(frequent), np.cumsum(~rare) - 1).astype(np.int64)
    return (*frequent, other), index
