"""A straight line whose uncertainty does not rest on equal, normal noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.inference.weights import (
    AS_THEY_ARE,
    FloatArray,
    SamplingDesign,
    power_sums,
    row_blocks,
    unit_sums,
    weighted_mean,
)

FINE = 200  # bins of rank


@dataclass(frozen=True)
class Sandwich:
    """A line through n points (z, y): level at `centre`, slope, variances, covariance, df.

    `weight` is the sum of the points' weights w and `information` Σw(z - `centre`)²; `residual_var` is the classical
    noise variance. `informative` counts the units that carry the slope, (Σd²)² / Σd⁴, `skew` is their Σd³ /
    (Σd²)^1.5, and `units` how many equal ones there are.
    """

    n: int
    weight: float
    information: float
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


class _Influence(NamedTuple):
    """One number for each column of a unit's influences: see `_influences`."""

    effect: float
    level: float
    a: float
    root_a2: float
    mixed: float
    effect_grown: float
    level_grown: float
    both: float
    w: float


def sandwich(z: FloatArray, y: FloatArray, design: SamplingDesign = AS_THEY_ARE) -> Sandwich:
    """Fit y on z, each (n,), with a heteroscedasticity-robust posterior of the slope.

    Model-robust Bayes (Szpiro, Rice & Lumley 2010) with HC2 variance and effective degrees of freedom (Bell &
    McCaffrey 2002): S = Σw(z - z̄)², a = w(z - z̄), h = w/Σw + w(z - z̄)²/S, HC2 = Σa²e²/(1 - h)/S², df = max(2,
    (Σa²)²/Σa⁴). Within a cluster ae, a and h are summed first. The larger of HC2 and the classical variance is taken
    where the degrees of freedom are below 100 or fewer than 20 units carry the slope. Raises ValueError where z is
    constant.
    """
    n, w = len(z), design.weight(len(z))
    weight = float(w.sum())
    centre, level = (float(weighted_mean(x[:, None], w)[0]) if n else 0.0 for x in (z, y))
    z, y = z - centre, y - level
    information = float(w @ (z * z))
    if n < 2 or not information > 0:
        raise ValueError(f"the property is constant over the {n:g} examples with a score: there is no slope")
    slope = float(w @ (z * y)) / information
    rest = y - slope * z
    noise, weight2 = float(w @ (rest * rest)) / weight * n / max(n - 2, 1), float(w @ w)
    parts = _unit_parts(z, rest, w, design, weight, information)
    sums = power_sums(map(_influences, parts), len(_Influence._fields)).tolist()
    units, second, third, fourth = (_Influence(*powers) for powers in sums)
    informative = second.effect**2 / fourth.effect if fourth.effect > 0 else 0.0
    hc2, level_var = second.effect_grown / information**2, second.level_grown / weight**2
    covariance = (second.both - second.effect_grown - second.level_grown) / (2 * weight * information)
    df = max(2.0, min(units.w - 2.0, _degrees_of_freedom(second, fourth, noise, weight2)))
    classical = noise * second.root_a2 / information**2
    if (df < 100 or informative < 20) and classical > hc2:
        hc2, level_var, covariance = classical, noise * weight2 / weight**2, 0.0
    return Sandwich(
        n=n, weight=weight, information=information, centre=centre, level=level, slope=slope, level_var=level_var,
        slope_var=hc2, covariance=covariance, df=df, residual_var=noise, informative=informative,
        units=second.w**2 / fourth.w, skew=third.effect / second.effect**1.5 if second.effect > 0 else 0.0,
    )  # fmt: skip


def guarded_sandwich(
    z: FloatArray, y: FloatArray, design: SamplingDesign, reach: tuple[float, float]
) -> tuple[Sandwich, Sandwich, bool]:
    """Give (plain, guarded, few): the fit, and the one to use, which differs where few units carry it.

    Where fewer than min(20, n/10) units carry the slope, or nothing varies, four pseudo-scores are added.
    """
    plain = sandwich(z, y, design)
    still = plain.residual_var <= (1e-12 * (reach[1] - reach[0])) ** 2
    if enough(plain.informative, plain.units) and not still:
        return plain, plain, False
    return plain, sandwich(*with_pseudo_scores(z, y, design, reach, plain.weight / plain.units)), True


def with_pseudo_scores(
    z: FloatArray, y: FloatArray, design: SamplingDesign, reach: tuple[float, float], weight: float
) -> tuple[FloatArray, FloatArray, SamplingDesign]:
    """Add the score's two bounds (`reach`) at each end of the range, z = -1/2 and 1/2, as four units of this weight."""
    weights = np.concatenate([design.weight(len(z)), np.full(4, weight)])
    clusters = None if design.clusters is None else np.concatenate([design.clusters, [-1, -2, -3, -4]])
    ends, bounds = [-0.5, -0.5, 0.5, 0.5], [*reach, *reach]
    return np.concatenate([z, ends]), np.concatenate([y, bounds]), SamplingDesign(weights, clusters)


def _unit_parts(
    z: FloatArray, rest: FloatArray, w: FloatArray, design: SamplingDesign, weight: float, information: float
) -> Iterator[FloatArray]:
    """Yield what is summed within a unit, (m, 6): ae, a, a², h, we, w; z and the residuals are central."""

    def parts(rows: slice) -> FloatArray:
        a, e = w[rows] * z[rows], rest[rows]
        h = w[rows] / weight + a * z[rows] / information
        return np.column_stack([a * e, a, a * a, h, w[rows] * e, w[rows]])

    if design.clusters is None:
        yield from map(parts, row_blocks(len(z)))
    else:
        yield unit_sums(parts(slice(None)), design)


def _influences(unit: FloatArray) -> FloatArray:
    """Give a unit's influences in the order of `_Influence`, (m, 9)."""
    effect, a, a2, h, level, w = unit.T
    room, root = 1 - h, np.sqrt(a2)
    # A unit that alone decides the slope has no residual and no room: it says nothing about the noise.
    grown = np.where(room > 1e-9, 1 / np.sqrt(np.maximum(room, 1e-9)), 0.0)
    columns = (effect, level, a, root, a * root, effect * grown, level * grown, (effect + level) * grown, w)
    return np.column_stack(columns)


def _degrees_of_freedom(second: _Influence, fourth: _Influence, noise: float, weight2: float) -> float:
    """Give the degrees of freedom of HC2, (ΣV)²/ΣV², V being the variances of the units' Σae.

    V = (1 - ρ)Σa² + ρ(Σa)² for noise of which the share ρ is common to a cluster; ρ is read off (Σwe)².
    """
    room = second.w - weight2
    measurable = noise > 0 and room > 1e-9 * weight2
    rho = min(max((second.level / noise - weight2) / room, 0.0), 1.0) if measurable else 0.0
    variance = (1 - rho) * second.root_a2 + rho * second.a
    square = (1 - rho) ** 2 * fourth.root_a2 + rho**2 * fourth.a
    square += 2 * rho * (1 - rho) * second.mixed
    return variance**2 / square


def with_rank_noise(
    fit: Sandwich,
    z: FloatArray,
    y: FloatArray,
    design: SamplingDesign,
    width: float,
    ranked: float,
    *,
    part: bool = False,
) -> Sandwich:
    """Add to a slope's variance that the ranks are themselves estimated.

    z (n,) is a share less the middle of the range over its `width`, y (n,) the score. An example moves the ranks of
    all those above it, so beside its influence a = (z - z̄)e it has g(x) = E[1{X >= x}(e - β(z - z̄))] / width, ties
    by half: the Hájek projection of a U-statistic (Hoeffding 1948; for ranks Chetverikov & Wilhelm 2023).
    Σ(a + g)² - Σa² over the units is added where it widens the posterior; g is found on 200 bins of rank. Of the
    `ranked` examples those that are not among the rows have a g alone: they lie outside where the rows are a `part`
    of the range, else anywhere.
    """
    n, w = len(z), design.weight(len(z))
    weight = float(w.sum())
    centred = z - weighted_mean(z[:, None], w)[0]
    information = float(w @ (centred * centred))
    bins = np.clip(((z + 0.5) * FINE).astype(np.int64), 0, FINE - 1)
    away = z - fit.centre
    rest = y - fit.level - fit.slope * away
    own = np.bincount(bins, w * (rest - fit.slope * away), FINE) / weight / width
    pulls = np.cumsum(own[::-1])[::-1] - own / 2
    share = np.bincount(bins, minlength=FINE) / n
    mean, square = float(share @ pulls), float(share @ (pulls * pulls))
    # Outside of a part nothing is moved but its share of all examples.
    centre = mean * n / ranked if part else mean
    elsewhere = centre**2 if part else square - mean**2
    step = weight / ranked
    unit = unit_sums(np.column_stack([w * away * rest, step * (pulls - centre)[bins]]), design)
    together, alone = float((unit.sum(1) ** 2).sum()), float((unit[:, 0] ** 2).sum())
    together += max(0.0, ranked - n) * step**2 * elsewhere
    return replace(fit, slope_var=fit.slope_var + max(0.0, together - alone) / information**2)
