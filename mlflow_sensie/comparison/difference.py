"""One difference between two models: what it is, how sure that is, and whether B is worse."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from mlflow_sensie.inference import Interval, MagnitudeGrid, OrderStatistics, SkewedT
from mlflow_sensie.inference.weights import FloatArray

DifferencePosterior = SkewedT | OrderStatistics
Better = Literal["lower", "higher", "smaller"]
Conclusion = Literal["B is more robust", "B is less robust", "not told apart"]
BETTER: Conclusion = "B is more robust"
WORSE: Conclusion = "B is less robust"
UNDECIDED: Conclusion = "not told apart"


def conclusion(worse_by: Interval) -> Conclusion:
    """Say which model the 95 % interval of by how much B is worse speaks for."""
    return WORSE if worse_by.lo95 > 0 else BETTER if worse_by.hi95 < 0 else UNDECIDED


@dataclass(frozen=True)
class Difference:
    """How a quantity of model B differs from that of model A, in the quantity's unit.

    `a` and `b` are the two models' values, `difference` is B - A with its intervals and `posterior` all that is
    known of it. `better` says which values are: lower ones for drops and spreads, higher ones for a clean score
    and for holds until, smaller |values| for effects, whose |b| - |a| `sizes` are the draws of. `bound` is a
    posterior that is never more hopeful than `loss`, by which a claim "worse by at most" is judged; None where
    `loss` serves. `informative` counts the examples that carry the difference, (Σd²)²/Σd⁴, None where that is not
    known; where they are few, `few_informative`, the interval is a guarded one. Of a metric a class may have fewer
    than ten examples, `few_of_a_class`: then no coverage is promised.
    """

    metric: str
    n: int
    a: float
    b: float
    difference: Interval
    posterior: DifferencePosterior
    better: Better
    sizes: DifferencePosterior | None = None
    bound: DifferencePosterior | None = None
    informative: float | None = None
    few_informative: bool = False
    few_of_a_class: bool = False

    @property
    def loss(self) -> DifferencePosterior:
        """The posterior of how much worse B is, negative where it is better."""
        if self.sizes is not None:
            return self.sizes
        return self.posterior.scaled(-1) if self.better == "higher" else self.posterior

    @property
    def worse_by(self) -> Interval:
        """By how much B is worse, negative where it is better, with the intervals of `loss`."""
        sign = {"lower": 1.0, "higher": -1.0}.get(self.better)
        value = self.loss.quantile(0.5) if sign is None else sign * self.difference.value
        return self.loss.summary(value=value)

    @property
    def conclusion(self) -> Conclusion:
        """Which model the 95 % interval speaks for."""
        return conclusion(self.worse_by)

    @property
    def prob_more_robust(self) -> float:
        """P(B is more robust than A), half of what is exactly equal counted in."""
        return (1 - self.loss.prob_above(0) + self.loss.prob_below(0)) / 2

    def prob_worse_by_at_most(self, margin: float) -> float:
        """Give P(B is worse by at most the margin), judged by `bound` where there is one.

        A claim of at least .95 is wrong at most about 5 % of the time, also where A's effect is 0: there plain
        draws of |b| - |a| flatter B, and let 20 % pass whose loss is exactly the margin.
        """
        return min(posterior.prob_below(margin) for posterior in (self.loss, self.bound or self.loss))

    def worse_by_at_most(self, probability: float) -> float:
        """Give the margin (quantile) of which `prob_worse_by_at_most` is this probability."""
        return max(posterior.quantile(probability) for posterior in (self.loss, self.bound or self.loss))

    def prob_worse_by_more(self, margin: float) -> float:
        """Give P(B is worse by more than the margin)."""
        return 1 - self.loss.prob_below(margin)

    def as_identical(self) -> Difference:
        """Give the difference of a model from itself: exactly 0."""
        point, nothing = SkewedT(0.0, 0.0), Interval(0.0, 0.0, 0.0, 0.0, 0.0)
        return replace(
            self, b=self.a, difference=nothing, posterior=point, sizes=None, bound=None, informative=0.0,
            few_informative=False, few_of_a_class=False,
        )  # fmt: skip

    def scaled(self, metric: str, factor: float) -> Difference:
        """Give the same difference in another unit, under another name; the factor is above 0."""
        posterior = self.posterior.scaled(factor)
        return replace(
            self, metric=metric, a=self.a * factor, b=self.b * factor, posterior=posterior,
            difference=posterior.summary(value=self.difference.value * factor),
            sizes=self.sizes and self.sizes.scaled(factor), bound=self.bound and self.bound.scaled(factor),
        )  # fmt: skip


@dataclass(frozen=True)
class CurveDifference:
    """Both models' curves and B's less A's, as parallel tuples, with a simultaneous 95 % band of the difference.

    `p` in the perturbation's or property's unit, the number of the level for categories; `label` names the point;
    the rest in the score's unit. All of the difference lies in the band with a probability of .95. `log`: the
    distance between magnitudes is that of their logarithms. `neutral` is the magnitude that changes nothing, None
    where there is none, or none is known.
    """

    p: tuple[float, ...]
    label: tuple[str, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    difference: tuple[float, ...]
    lo95: tuple[float, ...]
    hi95: tuple[float, ...]
    log: bool = False
    neutral: float | None = None

    @classmethod
    def of(
        cls, p: Iterable[float], label: Iterable[str], curves: Iterable[FloatArray],
        lo95: Iterable[float], hi95: Iterable[float], log: bool = False, neutral: float | None = None,
    ) -> CurveDifference:  # fmt: skip
        """Put together points, both curves with their difference, and its band, (K,) each."""
        a, b, difference, low, high = (tuple(map(float, values)) for values in (*curves, lo95, hi95))
        return cls(tuple(p), tuple(label), a, b, difference, low, high, log, neutral)

    @cached_property
    def grid(self) -> MagnitudeGrid:
        """The geometry of a sweep."""
        return MagnitudeGrid.of([p for p in self.p if p != self.neutral], self.neutral, self.log)

    @property
    def two_sided(self) -> bool:
        """Whether the sweep goes both ways from its neutral."""
        return len(self.grid.sides) > 1

    def reached(self, distance: float) -> float:
        """Turn a distance from the neutral back into a magnitude.

        Of two sides it is not told on which: there the distance is given, as a factor where it is logarithmic.
        """
        if self.two_sided:
            return math.exp(distance) if self.log else distance
        return self.grid.magnitude_at(distance, below=self.grid.sides[0].name == "below")

    @property
    def farthest(self) -> float:
        """How far from the neutral every side was tested, as `reached` gives it."""
        return self.reached(min(float(side.distances[-1]) for side in self.grid.sides))

    def as_identical(self) -> CurveDifference:
        """Give the curve difference of a model from itself."""
        zeros = (0.0,) * len(self.p)
        return replace(self, b=self.a, difference=zeros, lo95=zeros, hi95=zeros)
