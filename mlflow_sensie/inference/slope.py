"""A straight line whose uncertainty does not rest on equal, normal noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.inference.weights import SamplingDesign
from mlflow_sensie.moments import ClusterSums, FloatArray, Moments, PowerSums

RowBlocks = Iterable[tuple[FloatArray, SamplingDesign]]


@dataclass(frozen=True)
class Sandwich:
    """A line through (z, y): level at `centre`, slope, variances, covariance, df.

    `residual_var` is the classical noise variance. `informative` counts the units that carry the slope, (Σd²)² /
    Σd⁴, `skew` is their Σd³ / (Σd²)^1.5, and `units` how many equal ones there are.
    """

    centre: float
    level: float
    slope: float
    level_var: float
    slope_var: float
    covariance: float
    df: float
    residual_var: float
    informative: float
    units: float
    skew: float

    @property
    def posterior(self) -> Posterior:
        """Give the posterior of the slope."""
        return Posterior(self.slope, float(np.sqrt(self.slope_var)), self.df, skew=self.skew)


def sandwich(rows: RowBlocks, moments: Moments) -> Sandwich:
    """Fit y on z with a heteroscedasticity-robust posterior of the slope.

    `rows` are blocks (n, 2) of z and y with their designs, `moments` their weighted sums. Model-robust Bayes
    (Szpiro, Rice & Lumley 2010) with HC2 variance and effective degrees of freedom (Bell & McCaffrey 2002): S =
    Σw(z - z̄)², a = w(z - z̄), h = w/Σw + w(z - z̄)²/S, HC2 = Σa²e²/(1 - h)/S², df = max(2, (Σa²)²/Σa⁴). Within
    a cluster ae, a and h are summed first. The larger of HC2 and the classical variance is taken where the
    degrees of freedom are below 100 or fewer than 20 units carry the slope. Raises ValueError where z is constant.
    """
    n, (centre, level), scatter = moments.n, moments.mean, moments.scatter
    if n < 2 or not scatter[0, 0] > 0:
        raise ValueError(f"the property is constant over the {n:g} examples with a score: there is no slope")
    total, weight, slope = float(scatter[0, 0]), moments.weight, float(scatter[0, 1]) / float(scatter[0, 0])
    parts = (
        (_parts(block[:, 0] - centre, block[:, 1] - level, slope, of.weight(len(block)), weight, total), of)
        for block, of in rows
    )
    sums = _Columns.of(parts)
    noise = float(sums.first.squares) / weight * n / max(n - 2, 1)
    hc2, level2 = sums.second.effect_grown / total**2, sums.second.level_grown / weight**2
    cross = (sums.second.both - sums.second.effect_grown - sums.second.level_grown) / (2 * weight * total)
    df = max(2.0, min(sums.units - 2.0, sums.free(noise, moments.weight2)))
    classical = noise * sums.second.root_a2 / total**2
    if (df < 100 or sums.informative < 20) and classical > hc2:
        hc2, level2, cross = classical, noise * moments.weight2 / weight**2, 0.0
    return Sandwich(
        float(centre), float(level), slope, level2, hc2, cross, df, noise, sums.informative, sums.equal_units,
        sums.skew,
    )  # fmt: skip


def guarded_sandwich(
    rows: Callable[[], RowBlocks], moments: Moments, reach: tuple[float, float]
) -> tuple[Sandwich, Sandwich, bool]:
    """Give (plain, guarded, few): the fit, and the one to use, which differs where few units carry it.

    Where fewer than min(20, n/10) units carry the slope, or nothing varies, four pseudo-scores are added, units
    of average weight: the score's two bounds (`reach`) at each end of the range, z = -1/2 and 1/2.
    """
    plain = sandwich(rows(), moments)
    still = plain.residual_var <= (1e-12 * (reach[1] - reach[0])) ** 2
    if enough(plain.informative, plain.units) and not still:
        return plain, plain, False
    pseudo, each = pseudo_scores(reach, moments.weight / plain.units)
    return plain, sandwich(chain(rows(), [(pseudo, each)]), moments + Moments.of(pseudo, each.weights)), True


def pseudo_scores(reach: tuple[float, float], weight: float) -> tuple[FloatArray, SamplingDesign]:
    """Give the score's bounds at each end of the range, z = -1/2 and 1/2, as four units of this weight."""
    pseudo = np.array([[z, bound] for z in (-0.5, 0.5) for bound in reach])
    return pseudo, SamplingDesign(np.full(4, weight), np.array([-1, -2, -3, -4]))


def _parts(z: FloatArray, y: FloatArray, slope: float, w: FloatArray, weight: float, total: float) -> FloatArray:
    """Give what is summed within a unit, (n, 7): ae, a, a², h, we, w, we²; z and y are central."""
    rest, a = y - slope * z, w * z
    return np.column_stack([a * rest, a, a * a, w / weight + a * z / total, w * rest, w, w * rest * rest])


def per_unit(parts: RowBlocks) -> Iterator[FloatArray]:
    """Give the units' sums: of each row by itself, or of each cluster, these all at the end."""
    gathered: list[ClusterSums] = []
    for block, of in parts:
        if of.clusters is None:
            yield block
        else:
            gathered.append(ClusterSums.of(of.clusters, block))
    if gathered:
        yield ClusterSums.joined(gathered).totals


class _Column(NamedTuple):
    """One number for each column of a unit's influences."""

    effect: float
    level: float
    a: float
    root_a2: float
    mixed: float
    effect_grown: float
    level_grown: float
    both: float
    w: float
    squares: float


@dataclass(frozen=True)
class _Columns:
    """Sums over the units of their influences' first four powers."""

    units: int
    first: _Column
    second: _Column
    third: _Column
    fourth: _Column

    @classmethod
    def of(cls, parts: RowBlocks) -> _Columns:
        sums = PowerSums.empty(len(_Column._fields))
        for unit in per_unit(parts):
            sums += PowerSums.of(_influences(unit))
        powers = (_Column(*map(float, power)) for power in (sums.first, sums.second, sums.third, sums.fourth))
        return cls(sums.n, *powers)

    @property
    def informative(self) -> float:
        """Count the units that carry the slope."""
        return self.second.effect**2 / self.fourth.effect if self.fourth.effect > 0 else 0.0

    @property
    def skew(self) -> float:
        """Give the skewness of the units' influences on the slope, over √n."""
        return self.third.effect / self.second.effect**1.5 if self.second.effect > 0 else 0.0

    @property
    def equal_units(self) -> float:
        """Count the equal units that these are worth."""
        return self.second.w**2 / self.fourth.w

    def free(self, noise: float, weight2: float) -> float:
        """Give the degrees of freedom of HC2, (ΣV)²/ΣV², V being the variances of the units' Σae.

        V = (1 - ρ)Σa² + ρ(Σa)² for noise of which the share ρ is common to a cluster; ρ is read off (Σwe)².
        """
        room = self.second.w - weight2
        rho = 0.0
        if noise > 0 and room > 1e-9 * weight2:
            rho = min(max((self.second.level / noise - weight2) / room, 0.0), 1.0)
        variance = (1 - rho) * self.second.root_a2 + rho * self.second.a
        square = (1 - rho) ** 2 * self.fourth.root_a2 + rho**2 * self.fourth.a
        square += 2 * rho * (1 - rho) * self.second.mixed
        return variance**2 / square


def _influences(unit: FloatArray) -> FloatArray:
    """Give a unit's influences in the order of `_Column`, (m, 10)."""
    effect, a, a2, h, level, w, squares = unit.T
    room, root = 1 - h, np.sqrt(a2)
    # A unit that alone decides the slope has no residual and no room: it says nothing about the noise.
    grown = np.where(room > 1e-9, 1 / np.sqrt(np.maximum(room, 1e-9)), 0.0)
    out = (effect, level, a, root, a * root, effect * grown, level * grown, (effect + level) * grown, w, squares)
    return np.column_stack(out)
