"""The test of a category: how unequal its levels are. The class test is this, over the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.curve import Curve, curve_of
from mlflow_sensie.inference.decision import Decision, Significance, decide, significance
from mlflow_sensie.inference.posterior import Interval
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import SamplingDesign, SamplingDesignBlocks, designs, effective_groups
from mlflow_sensie.moments import Extremes, FloatArray, GroupedMoments, IntArray

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

    def metrics(self) -> dict[str, float]:
        """Give the scalars under their contract names; all finite."""
        return {
            "n": float(self.n),
            "prob_sensitive": self.prob_sensitive,
            "spread": self.spread.value,
            "spread_lo95": self.spread.lo95,
            "spread_hi95": self.spread.hi95,
            "range": self.range,
        }


def category_test(
    blocks: Callable[[], Iterable[tuple[ArrayLike, ArrayLike]]],
    scale: ScoreScale,
    *,
    levels: Sequence[str],
    rope: float = 0.02,
    design: SamplingDesignBlocks | None = None,
    family: int = 1,
) -> CategoryFit:
    """Estimate the spread of the mean score between the levels of a category.

    `blocks()` yields (level index (n,) with -1 for missing, score (n,)); scores that are not finite are
    dropped and counted. `design()` yields, for every block, the weights and clusters of its rows. The
    intervals of `family` tests hold together. Raises ValueError where fewer than two levels have a score.
    """
    k, seen, dropped = len(levels), Extremes.empty(), 0
    examples = GroupedMoments.empty(k + 1)
    for group, y, gone, _ in _rows(blocks, design, k):
        examples += GroupedMoments.of(group, y, k + 1, scale.lower, scale.upper)
        seen += Extremes.of(y)
        dropped += gone
    units = examples
    if design is not None:
        units = effective_groups(((group, y, of) for group, y, _, of in _rows(blocks, design, k)), k + 1)
    having = [level for level, count in zip(levels, examples.n[:k], strict=True) if count > 0]
    if len(having) < 2:
        raise ValueError(f"a category test needs at least two levels with a score, not {having!r} of {list(levels)!r}")
    named, found = units.select(np.arange(k)), examples.select(np.arange(k))
    missing = examples.select(np.array([k]))
    spread = spread_of(named, scale, seen, rope, family)
    few = named.n[named.n > 0].min() < SMALL_LEVEL
    # With few levels the prior alone puts P(spread >= rope) near .95, and at p < .05 two levels of 30 zeros and
    # ones, whose tails are coarse, are called different in 6 % of data sets with no difference.
    chance = spread.p_value is None or spread.p_value > MOST_CHANCE / family
    return CategoryFit(
        n=int(found.n.sum()),
        n_missing=int(missing.n[0]),
        n_dropped=dropped,
        levels=tuple(levels),
        rope=rope,
        spread=spread.spread,
        range=spread.range,
        prob_sensitive=spread.prob_sensitive,
        decision=decide(spread.prob_sensitive, chance=chance),
        significance=significance(spread.spread, rope, spread=True),
        levels_spread=spread,
        curve=curve_of(named, list(range(k)), levels, scale, found),
        missing=curve_of(units.select(np.array([k])), [None], ["missing"], scale, missing) if missing.n[0] else None,
        flags=("small_levels",) if few else (),
        family=family,
    )


def _rows(
    blocks: Callable[[], Iterable[tuple[ArrayLike, ArrayLike]]], design: SamplingDesignBlocks | None, missing: int
) -> Iterator[tuple[IntArray, FloatArray, int, SamplingDesign]]:
    """Give each block's groups, missing values being the last, scores, how many have none, and design."""
    for (index, score), of in zip(blocks(), designs(design), strict=False):
        y = np.asarray(score, np.float64)
        kept = np.isfinite(y)
        group = np.asarray(index, np.int64)[kept]
        yield np.where(group < 0, missing, group), y[kept], int((~kept).sum()), of.take(kept)


def merge_rare(levels: Sequence[str], counts: ArrayLike, share: float = RARE_SHARE) -> tuple[tuple[str, ...], IntArray]:
    """Merge levels below a share of the examples into "other", or "other (rare)" beside a real "other".

    `counts` (K,) examples per level. Gives the new levels, "other" last, and the new index (K,) of every old
    level. One rare level keeps its name; where merging would leave fewer than two levels nothing is merged.
    """
    n = np.asarray(counts, np.float64)
    rare = n < share * n.sum()
    kept = [level for level, few in zip(levels, rare, strict=True) if not few]
    if rare.sum() < 2 or not kept:
        return tuple(levels), np.arange(len(levels), dtype=np.int64)
    other = "other"
    while other in kept:
        other += " (rare)"
    index = np.where(rare, len(kept), np.cumsum(~rare) - 1).astype(np.int64)
    return (*kept, other), index
