"""Coverage study: how often the intervals of mlflow-sensie hold the truth, on ordinary and on nasty data.

Run `python benchmarks/coverage.py [--quick] [--only WORD] [--data-sets N]`; prints Markdown tables. Seeds are
fixed; two processes. Every scenario simulates many data sets from a known truth. "Sensie's model" is the
pooled Bayesian regression of Jacobs (2020) under its own priors, on z and made exact by quadrature; "exact" is the
engine of that name, which has the same likelihood, but for sweeps on the examples' own slopes; "plain HC2" has no
guard and takes no larger variance.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import paired
import shapes
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import expit, ndtr
from scipy.stats import rankdata
from scipy.stats import t as student
from study import LOSS, PROBABILITY, UNBOUNDED, Array, Rng, Row, U

from mlflow_sensie.dataset import make_examples
from mlflow_sensie.findings import sweep_scores
from mlflow_sensie.inference import (
    CategoryFit,
    Design,
    PerturbationFit,
    PropertyFit,
    Ranks,
    ScoreScale,
    bin_edges,
    category_test,
    exact,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.inference.pooling import pooled
from mlflow_sensie.models import Model
from mlflow_sensie.perturbations.base import FunctionPerturbation
from mlflow_sensie.scores import Scores
from mlflow_sensie.scoring import Scorer, Targets
from mlflow_sensie.stopping import Stopping, stratified_order
from mlflow_sensie.sweep import Sweep, SweepTest

SIZE_OF_TRUTH = 400_000


@dataclass(frozen=True)
class Scenario:
    """A way to simulate data sets: `draw(rng, n)` gives one, `truth` (or a very large one) the answer."""

    name: str
    n: int
    draw: Callable[[Rng, int], tuple[Array, ...]]
    scale: ScoreScale = PROBABILITY
    truth: float | None = None
    options: dict[str, object] = field(default_factory=dict)


# ---------------------------------------------------------------- property


def _beta(rng: Rng, mean: Array, size: float = 8.0) -> Array:
    m = np.clip(mean, 0.01, 0.99)
    return rng.beta(size * m, size * (1 - m))


def _flip(rng: Rng, mean: Array) -> Array:
    return (rng.random(len(mean)) < mean).astype(float)


def normal(rng: Rng, n: int) -> tuple[Array, ...]:
    """A normal property and normal noise."""
    p = rng.normal(size=n)
    return p, 0.5 - 0.1 * p + 0.2 * rng.normal(size=n)


def beta_scores(rng: Rng, n: int) -> tuple[Array, ...]:
    """Probabilities that fall with p."""
    p = rng.random(n)
    return p, _beta(rng, 0.8 - 0.2 * p)


def zero_one(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correctness that falls with p."""
    p = rng.random(n)
    return p, _flip(rng, 0.85 - 0.2 * p)


def zero_one_skewed(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correctness, a skewed property."""
    p = rng.gamma(2.0, size=n)
    return p, _flip(rng, expit(2.0 - 0.3 * p))


def noise_grows(rng: Rng, n: int) -> tuple[Array, ...]:
    """Noise that grows with p."""
    p = rng.random(n)
    return p, 0.5 - 0.2 * p + (0.02 + 0.3 * p) * rng.normal(size=n)


def noise_middle(rng: Rng, n: int) -> tuple[Array, ...]:
    """Noise in the middle of p only."""
    p = rng.random(n)
    return p, 0.5 - 0.2 * p + 0.3 * (np.abs(p - 0.5) < 0.2) * rng.normal(size=n)


def t3_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A heavy-tailed property whose noise grows outwards."""
    p = rng.standard_t(3, size=n)
    return p, 0.5 - 0.05 * p + 0.1 * (0.5 + np.abs(p)) * rng.normal(size=n)


def failures(share: float) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw in which this share fails whatever p is."""
    return lambda rng, n: (rng.random(n), _flip(rng, np.full(n, 1 - share)))


def flagged(count: int, scores: str = "zero_one") -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw with a flag without effect on `count` rows."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        p = np.zeros(n)
        p[: min(count, n - 1)] = 1
        return p, _flip(rng, np.full(n, 0.9)) if scores == "zero_one" else rng.normal(size=n)

    return draw


def ranks(rng: Rng, n: int) -> tuple[Array, ...]:
    """Discrete scores: 1, 1/2, 1/3, 0."""
    p = rng.random(n)
    return p, np.array([1, 0.5, 1 / 3, 0])[np.digitize(rng.random(n), [0.7, 0.85, 0.95])]


def ties(rng: Rng, n: int) -> tuple[Array, ...]:
    """Seven in ten property values are 0."""
    p = np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n))
    return p, _flip(rng, expit(2.2 - 0.4 * p))


def u_shape(rng: Rng, n: int) -> tuple[Array, ...]:
    """A U-shape, about which the best line still has a slope."""
    p = rng.random(n)
    return p, _beta(rng, 0.9 - 1.6 * (p - 0.4) ** 2)


def saturated(rng: Rng, n: int) -> tuple[Array, ...]:
    """A confident model: nearly all probabilities are 1, a few are close to 0."""
    p = rng.random(n)
    return p, expit(6 - p + 3 * rng.normal(size=n))


def lognormal_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A lognormal property with a few far values and no effect."""
    return np.exp(rng.normal(size=n)), _flip(rng, np.full(n, 0.8))


def squared_error(rng: Rng, n: int) -> tuple[Array, ...]:
    """Negative squared errors, whose tail is long."""
    p = rng.random(n)
    return p, -(((0.3 + 0.4 * p) * rng.normal(size=n)) ** 2)


def cliff(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correct up to the last tenth of p, then half of the time."""
    p = rng.random(n)
    return p, _flip(rng, np.where(p > 0.9, 0.5, 0.99))


def constant(rng: Rng, n: int) -> tuple[Array, ...]:
    """Every score is 1."""
    return rng.random(n), np.ones(n)


def calibrated(rng: Rng, n: int) -> tuple[Array, ...]:
    """A calibrated binary model: it is less sure where p is high and says so."""
    p = rng.random(n)
    q = expit((3 - 2.5 * p) * rng.normal(size=n))
    right = rng.random(n) < q
    return p, np.where(right, q, 1 - q), q * q + (1 - q) ** 2


PROPERTY = [
    Scenario("normal", 500, normal, UNBOUNDED, -0.1),
    Scenario("Beta", 500, beta_scores, truth=-0.2),
    Scenario("0/1", 500, zero_one, truth=-0.2),
    Scenario("0/1, skewed p", 500, zero_one_skewed),
    Scenario("noise grows with p", 500, noise_grows, UNBOUNDED, -0.2),
    Scenario("noise in the middle", 500, noise_middle, UNBOUNDED, -0.2),
    Scenario("t3 property, heteroscedastic", 500, t3_property, UNBOUNDED, -0.05),
    *(Scenario("1.5 % failures", n, failures(0.015), truth=0.0) for n in (60, 200, 500, 2000)),
    *(
        Scenario(f"flag on {k}, no effect", n, flagged(k), truth=0.0)
        for k, n in ((5, 500), (25, 500), (20, 2000), (60, 2000))
    ),
    Scenario("one flagged row, normal", 500, flagged(1, "normal"), UNBOUNDED, 0.0),
    Scenario("5 % failures", 60, failures(0.05), truth=0.0),
    Scenario("5 % failures", 200, failures(0.05), truth=0.0),
    Scenario("10 % failures", 60, failures(0.1), truth=0.0),
    Scenario("20 % failures", 60, failures(0.2), truth=0.0),
    Scenario("discrete ranks", 100, ranks, truth=0.0),
    Scenario("Beta, N = 30", 30, beta_scores, truth=-0.2),
    Scenario("all scores equal", 100, constant, truth=0.0),
    Scenario("heavy ties", 200, ties),
    Scenario("U-shape", 200, u_shape),
    Scenario("saturated", 100, saturated),
    Scenario("saturated", 500, saturated),
    Scenario("lognormal p, 0/1", 200, lognormal_property, truth=0.0),
    Scenario("squared error", 200, squared_error, LOSS),
    Scenario("cliff in the last tenth", 200, cliff),
    Scenario("cliff in the last tenth", 60, cliff),
]


def steep(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep effect with hardly any noise, of a skewed property: what is uncertain are the ranks."""
    u = rng.random(n)
    return u**5, 0.2 + 0.6 * u + 0.03 * rng.normal(size=n)


def counted(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep effect of a count, whose values are shared by many."""
    p = rng.poisson(2, n).astype(float)
    return p, 0.9 - 0.1 * p + 0.02 * rng.normal(size=n)


def t2_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A very heavy-tailed property, whose effect levels off."""
    p = rng.standard_t(2, size=n)
    return p, _beta(rng, 0.6 - 0.25 * np.tanh(p))


RANK = [
    *(Scenario("t2 property", n, t2_property) for n in (60, 200, 2000)),
    Scenario("t3 property, heteroscedastic", 500, t3_property, UNBOUNDED),
    Scenario("lognormal p, no effect, 0/1", 200, lognormal_property),
    Scenario("heavy ties, 0/1", 200, ties),
    Scenario("U-shape", 200, u_shape),
    *(Scenario("steep, little noise", n, steep, UNBOUNDED) for n in (60, 500)),
    *(Scenario("a count, little noise", n, counted, UNBOUNDED) for n in (60, 500)),
    Scenario("1.5 % failures", 200, failures(0.015)),
]
UNEXPECTED = [Scenario("calibrated model", n, calibrated, truth=0.0) for n in (60, 500, 4000)]


# ---------------------------------------------------------------- perturbation: draws give (N, 11) scores at
# U


def slope_dominated(rng: Rng, n: int) -> tuple[Array, ...]:
    """Examples differ in their slope."""
    fall = np.clip(0.3 + 0.15 * rng.normal(size=(n, 1)), 0, 0.8)
    return (np.clip(0.9 - fall * U + 0.02 * rng.normal(size=(n, 11)), 0, 1),)


def intercept_dominated(rng: Rng, n: int) -> tuple[Array, ...]:
    """Examples differ in their level, and each point has noise."""
    return (0.6 + 0.2 * rng.normal(size=(n, 1)) - 0.1 * U + 0.05 * rng.normal(size=(n, 11)),)


def _thresholds(share: float, low: float, high: float) -> Callable[[Rng, int], tuple[Array, ...]]:
    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        at = np.where(rng.random((n, 1)) < share, rng.random((n, 1)), 2.0)
        return (np.where(at > U, high, low).astype(float),)

    return draw


def smooth_thresholds(rng: Rng, n: int) -> tuple[Array, ...]:
    """Each example falls at a distance of its own, within a short way."""
    at, level = 0.2 + 1.2 * rng.random((n, 1)), rng.beta(9, 1, size=(n, 1))
    return (level * expit((at - U) / 0.05),)


def some_change(count: float) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw in which this share of 100 examples falls from 1 to 0, steadily."""
    return lambda rng, n: (1 - (rng.random((n, 1)) < count / 100) * U,)


def some_break(share: float) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw in which this share of examples breaks at the first step."""
    return lambda rng, n: (np.where((rng.random((n, 1)) < share) & (U > 0), 0.0, 1.0).astype(float),)


def last_only(rng: Rng, n: int) -> tuple[Array, ...]:
    """Nothing happens until the last magnitude, where a third fails."""
    return (np.where(U > 0.95, (rng.random((n, 1)) > 0.33) * 0.95, 0.95 * np.ones((n, 11))),)


def dip(rng: Rng, n: int) -> tuple[Array, ...]:
    """A dip in the middle of the sweep, after which the score recovers."""
    depth = rng.beta(2, 3, size=(n, 1))
    return (np.clip(0.9 - depth * np.exp(-(((U - 0.5) / 0.15) ** 2)) + 0.03 * rng.normal(size=(n, 11)), 0, 1),)


def flat_noise(rng: Rng, n: int) -> tuple[Array, ...]:
    """No change at all, only noise: the largest drop is a selected one."""
    clean = rng.beta(8, 2, size=(n, 1))
    return (clean + 0.1 * rng.normal(size=(n, 11)),)


def still(rng: Rng, n: int) -> tuple[Array, ...]:
    """Every score is the same."""
    return (np.full((n, 11), 0.9),)


def long_tail(rng: Rng, n: int) -> tuple[Array, ...]:
    """Losses whose growth is lognormal between examples."""
    return (-0.2 * rng.exponential(size=(n, 1)) - 0.1 * np.exp(rng.normal(size=(n, 1))) * U,)


PERTURBATION = [
    Scenario("slope-dominated", 200, slope_dominated),
    Scenario("intercept-dominated", 200, intercept_dominated, UNBOUNDED),
    Scenario("thresholds", 200, smooth_thresholds),
    Scenario("0/1 thresholds", 200, _thresholds(0.6, 0.0, 1.0)),
    *(Scenario(f"{k} of 100 change", 100, some_change(k)) for k in (1, 3, 5, 10)),
    *(Scenario(f"{k} % change", 400, some_change(k)) for k in (1, 3)),
    Scenario("5 % break at once", 100, some_break(0.05)),
    Scenario("20 % break at once", 60, some_break(0.2)),
    Scenario("10 % change", 60, some_change(10)),
    Scenario("15 % change", 60, some_change(15)),
    Scenario("7 % change", 200, some_change(7)),
    Scenario("slope-dominated", 30, slope_dominated),
    Scenario("0/1 thresholds", 30, _thresholds(0.6, 0.0, 1.0)),
    Scenario("0/1 thresholds", 60, _thresholds(0.6, 0.0, 1.0)),
    Scenario("discrete, 15 % thresholds", 100, _thresholds(0.15, 0.5, 1.0)),
    Scenario("drop at the last magnitude", 100, last_only),
    Scenario("dip in the middle", 200, dip),
    Scenario("no change, noise", 100, flat_noise, UNBOUNDED),
    Scenario("all scores equal", 100, still),
    Scenario("long-tailed losses", 200, long_tail, LOSS),
]


def two_sided_null(rng: Rng, n: int) -> tuple[Array, ...]:
    """Noise on both sides of the neutral."""
    clean = 0.8 + 0.1 * rng.normal(size=(n, 1))
    return (np.concatenate([clean, clean + 0.1 * rng.normal(size=(n, 10))], axis=1),)


def two_sided_equal(rng: Rng, n: int) -> tuple[Array, ...]:
    """Both sides fall alike, so that a line across them would cancel."""
    fall = rng.beta(2, 3, size=(n, 2))
    u = np.linspace(0.2, 1, 5)
    below, above = 0.9 - fall[:, :1] * u[::-1], 0.9 - fall[:, 1:] * u
    return (np.concatenate([np.full((n, 1), 0.9), below, above], axis=1),)


def two_sided_uneven(rng: Rng, n: int) -> tuple[Array, ...]:
    """One side falls a little more than the other."""
    (scores,) = two_sided_equal(rng, n)
    scores[:, 6:] += 0.1 * (0.9 - scores[:, 6:])
    return (scores,)


TWO_SIDED = [
    Scenario("two-sided, no effect", 200, two_sided_null, UNBOUNDED),
    Scenario("two-sided, equal", 200, two_sided_equal),
    Scenario("two-sided, uneven", 200, two_sided_uneven),
]
TWO_SIDED_MAGNITUDES = [-1, -0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8, 1]


def holds(
    draw: Callable[[Rng, int], tuple[Array, ...]],
    name: str,
    n: int,
    drop: float,
    scale: ScoreScale = PROBABILITY,
) -> Scenario:
    """Name a holds-until scenario after its allowed drop."""
    options: dict[str, object] = {"allowed_drop": drop}
    return Scenario(f"{name}, δ = {drop:g}", n, draw, scale, options=options)


HOLDS = [
    holds(smooth_thresholds, "thresholds", 200, 0.1),
    holds(smooth_thresholds, "thresholds", 50, 0.1),
    holds(_thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 200, 0.1),
    holds(_thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 50, 0.1),
    holds(_thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 100, 0.02),
    holds(_thresholds(0.12, 0.0, 1.0), "12 % thresholds", 200, 0.1),
    holds(_thresholds(0.12, 0.0, 1.0), "12 % thresholds", 1000, 0.05),
    holds(some_change(6), "6 % change", 100, 0.05),
    holds(some_break(0.06), "6 % break at once", 60, 0.05),
    holds(some_break(0.06), "6 % break at once", 200, 0.05),
    holds(some_break(0.055), "5.5 % break at once", 400, 0.05),
    holds(some_break(0.105), "10.5 % break at once", 200, 0.1),
    holds(some_break(0.055), "5.5 % break at once", 2000, 0.05),
    holds(some_break(0.11), "11 % break at once", 1000, 0.1),
    holds(last_only, "drop at the last magnitude", 100, 0.1),
    holds(dip, "dip in the middle", 200, 0.1),
    holds(slope_dominated, "slope-dominated", 200, 0.1),
    holds(slope_dominated, "slope-dominated", 30, 0.1),
    holds(long_tail, "long-tailed losses", 200, 0.1, scale=LOSS),
    holds(long_tail, "long-tailed losses", 60, 0.05, scale=LOSS),
]


# ---------------------------------------------------------------- spread


def levels(sizes: Sequence[int], score: Callable[[Rng, Array], Array], mean: float, sd: float) -> Scenario:
    """Give a scenario of levels with these sizes, whose true means have this mean and SD."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        truth = np.clip(mean + sd * rng.normal(size=len(sizes)), 0.001, 0.999)
        level = np.repeat(np.arange(len(sizes)), sizes)
        return level.astype(float), score(rng, truth[level])

    return Scenario("", sum(sizes), draw, options={"levels": len(sizes)})


def named(name: str, scenario: Scenario, scale: ScoreScale = PROBABILITY) -> Scenario:
    """Name a scenario."""
    return Scenario(name, scenario.n, scenario.draw, scale, scenario.truth, scenario.options)


def _steady(rng: Rng, mean: Array) -> Array:
    return mean + 0.1 * rng.normal(size=len(mean))


def _confident(rng: Rng, mean: Array) -> Array:
    return _beta(rng, mean, 3.0)


GEOMETRIC = [400, 280, 200, 140, 100, 70, 50, 35, 25, 18, 12, 8, 6, 4, 3, 2, 1]
SPREAD_NULL = [
    named("0/1, 10 % fail, 10 × 100", levels([100] * 10, _flip, 0.9, 0)),
    named("0/1, 1 % fail, 10 × 100", levels([100] * 10, _flip, 0.99, 0)),
    named("0/1, 10 % fail, 50 × 10", levels([10] * 50, _flip, 0.9, 0)),
    named("0/1, 3 % fail, uneven sizes", levels(GEOMETRIC, _flip, 0.97, 0)),
    named("Beta, 10 × 50", levels([50] * 10, _confident, 0.8, 0)),
    named("saturated Beta, uneven sizes", levels(GEOMETRIC, _confident, 0.97, 0)),
    named("0/1, 20 % fail, 1000 × 5", levels([5] * 1000, _flip, 0.8, 0)),
    named("0/1, 10 % fail, 2 × 20", levels([20] * 2, _flip, 0.9, 0)),
    named("0/1, 10 % fail, 2 × 500", levels([500] * 2, _flip, 0.9, 0)),
    named("0/1, 10 % fail, 2 × 8", levels([8] * 2, _flip, 0.9, 0)),
    named("0/1, 30 % fail, 2 × 30", levels([30] * 2, _flip, 0.7, 0)),
    named("0/1, 10 % fail, 3 × 30", levels([30] * 3, _flip, 0.9, 0)),
    named("0/1, 2 % fail, 200 and 10", levels([200, 10], _flip, 0.98, 0)),
    named("normal, unbounded, 10 × 20", levels([20] * 10, _steady, 0.5, 0), UNBOUNDED),
    named("normal, unbounded, uneven", levels(GEOMETRIC, _steady, 0.5, 0), UNBOUNDED),
    named("normal, unbounded, 100 × 3", levels([3] * 100, _steady, 0.5, 0), UNBOUNDED),
]
SPREAD_POWER = [
    named("0/1, SD .1, 10 × 100", levels([100] * 10, _flip, 0.8, 0.1)),
    named("0/1, SD .05, 10 × 200", levels([200] * 10, _flip, 0.9, 0.05)),
    named("Beta, SD .06, 10 × 50", levels([50] * 10, _confident, 0.8, 0.06)),
    named("Beta, SD .1, 20 × 20", levels([20] * 20, _confident, 0.7, 0.1)),
    named("normal, SD .05, 10 × 50", levels([50] * 10, _steady, 0.5, 0.05), UNBOUNDED),
]


# ---------------------------------------------------------------- methods


def t_interval(loc: float, scale: float, df: float) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of a Student t."""
    return [loc + scale * float(student.ppf(q, df)) for q in (0.25, 0.75, 0.025, 0.975)]


def sensie_model(z: Array, y: Array) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of β under Sensie's model, by quadrature over log σ."""
    n, centred = len(z), z - z.mean()
    total = float(centred @ centred)
    slope, level = float(centred @ y) / total, float(y.mean())
    rest = max(float(((y - level - slope * centred) ** 2).sum()), 1e-12)
    u = 0.5 * np.log(rest / max(n - 2, 1)) + np.linspace(-1, 1, 121) * 9 / np.sqrt(2 * max(n - 2, 1))
    s2 = np.exp(2 * u)
    log = -(n - 2) * u - rest / (2 * s2) - 0.5 * np.log(4 + s2 / n) - level**2 / (2 * (4 + s2 / n))
    log += -0.5 * np.log(1 + s2 / total) - slope**2 / (2 * (1 + s2 / total)) + u - np.log1p(s2 / 9)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    precision = total / s2 + 1
    mean, sd = slope * (total / s2) / precision, 1 / np.sqrt(precision)
    reach = 8 * float(sd.max())
    grid = np.linspace(slope - reach, slope + reach, 601)
    cdf = ndtr((grid[:, None] - mean) / sd) @ weight
    return [float(np.interp(q, cdf, grid)) for q in (0.25, 0.75, 0.025, 0.975)]


def plain_hc2(p: Array, y: Array) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of the slope under HC2 alone."""
    c = p - p.mean()
    total = float(c @ c)
    rest = y - y.mean() - (c @ y / total) * c
    room = np.maximum(1 - 1 / len(p) - c * c / total, 1e-9)
    variance = float((c * c * rest * rest / room).sum()) / total**2
    df = max(2.0, total**2 / float((c**4).sum()))
    return t_interval(float(c @ y / total), float(np.sqrt(variance)), df)


def guarded(fit: PropertyFit | PerturbationFit) -> float:
    """Tell whether a guard acted: pseudo-scores, or for a property the larger of two variances below 100 df."""
    df = getattr(fit.posterior, "df", None) if isinstance(fit, PropertyFit) else None
    return float("few_informative" in fit.flags or (df is not None and df < 100))


def property_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give each method's intervals of the slope per unit of p, and whether the guard acted."""
    p, y = data[:2]
    span = property_span(p)
    width = span[1] - span[0]
    fit = property_test(lambda: [(p, y, None)], scenario.scale, span=span)
    s = fit.slope
    return {
        "robust": [s.lo50, s.hi50, s.lo95, s.hi95, guarded(fit)],
        "exact": by_exact(fit),
        "plain HC2": plain_hc2(p, y),
        "Sensie's model": [x / width for x in sensie_model((p - p.mean()) / width, y)],
    }


def by_exact(fit: PropertyFit | PerturbationFit) -> list[float]:
    """Give the intervals of the slope by engine `exact`."""
    s = fit.with_posteriors(exact(fit.regressions)).slope
    return [s.lo50, s.hi50, s.lo95, s.hi95]


def shares(p: Array) -> Array:
    """Give the mid-ranks of p as shares of the examples."""
    return (rankdata(p) - 0.5) / len(p)


def rank_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give the intervals of the slope on the rank, with and without its own noise, and of that on p."""
    p, y = data[:2]
    share, span, ranks = shares(p), property_span(p), Ranks.of(p)
    fits = {
        "rank": property_test(lambda: [(p, y, None)], scenario.scale, span=span, ranks=ranks),
        "rank, taken as known": property_test(lambda: [(share, y, None)], scenario.scale, span=ranks.span),
        "p itself": property_test(lambda: [(p, y, None)], scenario.scale, span=span),
    }
    found = {name: (fit.slope, float("few_informative" in fit.flags)) for name, fit in fits.items()}
    return {name: [s.lo50, s.hi50, s.lo95, s.hi95, few] for name, (s, few) in found.items()}


def unexpected_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give the intervals of the unexpected part."""
    p, y, expected = data
    fit = property_test(lambda: [(p, y, expected)], scenario.scale, span=property_span(p))
    found = fit.unexpected
    assert found is not None
    return {"robust, unexpected": [found.lo50, found.hi50, found.lo95, found.hi95]}


def _sweep(
    scenario: Scenario,
    scores: Array,
    magnitudes: Sequence[float] = tuple(U[1:].tolist()),
    allowed_drop: float = 0.1,
) -> PerturbationFit:
    return perturbation_test(
        lambda: [scores], scenario.scale, magnitudes=magnitudes, neutral=0.0, allowed_drop=allowed_drop
    )


def sweep_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give each method's intervals of the slope, of the mean drop and of the largest drop."""
    (scores,) = data
    fit = _sweep(scenario, scores)
    s, d, side = fit.slope, fit.mean_drop, fit.sides[0]
    plain = side.plain.summary()
    pooled = np.broadcast_to(U, scores.shape)
    return {
        "slope, robust": [s.lo50, s.hi50, s.lo95, s.hi95, float(side.few_informative)],
        "slope, exact": by_exact(fit),
        "slope, no guard": [plain.lo50, plain.hi50, plain.lo95, plain.hi95],
        "slope, Sensie's model": sensie_model(pooled.ravel() - 0.5, scores.ravel()),
        "mean drop": [d.lo50, d.hi50, d.lo95, d.hi95, float(fit.flags[:1] == ("few_informative",))],
        "max drop, hi95": [-np.inf, fit.max_drop, -np.inf, fit.max_drop_hi95],
    }


def sweep_truths(scores: Array) -> dict[str, float]:
    """Give the truths of `sweep_methods` from a mean curve (11,)."""
    u = U - U.mean()
    slope, drop = float(u @ scores / (u @ u)), float(scores[0] - trapezoid(scores, U))
    return {"slope": slope, "mean": drop, "max": float((scores[0] - scores[1:]).max())}


# ---------------------------------------------------------------- the study


def _rng(scenario: Scenario, k: int) -> Rng:
    return np.random.default_rng([zlib.crc32(f"{scenario.name} {scenario.n}".encode()), k])


def _large(scenario: Scenario) -> tuple[Array, ...]:
    return scenario.draw(np.random.default_rng(12345), SIZE_OF_TRUTH)


def _covered(found: Array, truth: float) -> list[float]:
    tiny = 1e-9
    inside50 = (found[:, 0] - tiny <= truth) & (truth <= found[:, 1] + tiny)
    inside95 = (found[:, 2] - tiny <= truth) & (truth <= found[:, 3] + tiny)
    guarded = float(found[:, 4].mean()) if found.shape[1] > 4 else float("nan")
    return [
        float(inside50.mean()),
        float(inside95.mean()),
        float((found[:, 3] - found[:, 2]).mean()),
        guarded,
    ]


def study_property(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the slope of a property."""
    truth = scenario.truth
    if truth is None:
        p, y = _large(scenario)[:2]
        truth = float(np.cov(p, y)[0, 1] / p.var(ddof=1))
    return _collect(scenario, sets, property_methods, lambda method: truth)


def study_rank(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the population's slope on the rank, and the one on p."""
    p, y = _large(scenario)[:2]
    slopes = {name: float(np.cov(x, y)[0, 1] / x.var(ddof=1)) for name, x in (("rank", shares(p)), ("p", p))}
    return _collect(scenario, sets, rank_methods, lambda method: slopes[method.split(",")[0].split()[0]])


def study_unexpected(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the unexpected part of a calibrated model, which is 0."""
    return _collect(scenario, sets, unexpected_methods, lambda method: 0.0)


def study_sweep(scenario: Scenario, sets: int) -> list[Row]:
    """Cover slope, mean drop and largest drop of a sweep."""
    truths = sweep_truths(_large(scenario)[0].mean(0))
    return _collect(scenario, sets, sweep_methods, lambda method: truths[method.split(",")[0].split()[0]])


def _collect(
    scenario: Scenario,
    sets: int,
    methods: Callable[[Scenario, tuple[Array, ...]], dict[str, list[float]]],
    truth: Callable[[str], float],
) -> list[Row]:
    found = [methods(scenario, scenario.draw(_rng(scenario, k), scenario.n)) for k in range(sets)]
    return [
        Row(scenario.name, scenario.n, name, _covered(np.array([one[name] for one in found]), truth(name)))
        for name in found[0]
    ]


def study_two_sided(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the true effect of the side that was found to be worse, and of the side that truly is."""
    mean = _large(scenario)[0].mean(0)
    u = np.linspace(0, 1, 6)
    c = (u - u.mean()) / ((u - u.mean()) ** 2).sum()
    truth = {"below": float(c @ mean[[0, 5, 4, 3, 2, 1]]), "above": float(c @ mean[[0, 6, 7, 8, 9, 10]])}
    chosen, worst = [], []
    for k in range(sets):
        (scores,) = scenario.draw(_rng(scenario, k), scenario.n)
        fit = _sweep(scenario, scores, TWO_SIDED_MAGNITUDES)
        e = fit.effect
        bounds = np.array([e.lo50, e.hi50, e.lo95, e.hi95])
        chosen.append(bounds - truth[fit.worse])
        worst.append(bounds - min(truth.values()))
    return [
        Row(scenario.name, scenario.n, "chosen side", _covered(np.array(chosen), 0.0)),
        Row(scenario.name, scenario.n, "truly worse side", _covered(np.array(worst), 0.0)),
    ]


def study_holds(scenario: Scenario, sets: int) -> list[Row]:
    """Cover holds-until from below."""
    drop = float(scenario.options["allowed_drop"])  # type: ignore[arg-type]
    mean = _large(scenario)[0].mean(0)
    floor = mean[0] * (1 - drop) if scenario.scale.fractional else mean[0] - drop
    below = np.flatnonzero(mean < floor)
    truth = 1.0
    if len(below):
        k = below[0]
        truth = float(U[k - 1] + (U[k] - U[k - 1]) * (mean[k - 1] - floor) / (mean[k - 1] - mean[k]))
    found = []
    for k in range(sets):
        (scores,) = scenario.draw(_rng(scenario, k), scenario.n)
        fit = _sweep(scenario, scores, allowed_drop=drop)
        side = fit.sides[0].holds
        found.append([side.lo95, side.value, side.few_informative])
    table = np.array(found, float)
    values = [truth, float((table[:, 0] <= truth + 1e-9).mean()), *table.mean(0).tolist()]
    return [Row(scenario.name, scenario.n, "holds until", values)]


def _category(scenario: Scenario, names: list[str], data: tuple[Array, ...]) -> CategoryFit:
    level, y = data
    return category_test(lambda: [(level, y)], scenario.scale, levels=names)


def study_spread(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a spread is called sensitive."""
    k = int(scenario.options["levels"])  # type: ignore[call-overload]
    names = [str(j) for j in range(k)]
    found = []
    for j in range(sets):
        fit = _category(scenario, names, scenario.draw(_rng(scenario, j), scenario.n))
        found.append([fit.decision == "sensitive", fit.spread.value, fit.spread.lo95, fit.spread.hi95])
    return [Row(scenario.name, scenario.n, "spread", np.array(found, float).mean(0).tolist())]


def no_slope(rng: Rng, n: int) -> tuple[Array, ...]:
    """Scores that do not depend on p, in units of their SD."""
    return rng.random(n), rng.normal(size=n)


DECISIONS = [
    *(Scenario("property, normal", n, no_slope, UNBOUNDED) for n in (8, 20, 60, 200, 2000)),
    *(Scenario("property, 5 % fail", n, failures(0.05)) for n in (8, 20, 60, 200, 2000)),
    *(Scenario("sweep, noise", n, flat_noise, UNBOUNDED) for n in (4, 8, 20, 200)),
    *(Scenario("sweep, all equal", n, still) for n in (2, 4, 8, 20)),
]


def _fit(scenario: Scenario, data: tuple[Array, ...]) -> PropertyFit | PerturbationFit:
    if len(data) == 1:
        return _sweep(scenario, data[0])
    p, y = data
    edges, unique = bin_edges(p)
    span = property_span(p)
    return property_test(lambda: [(p, y, None)], scenario.scale, span=span, edges=edges, unique=unique)


def study_decisions(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a test with no effect is called sensitive: by P alone, and in fact."""
    found = []
    for k in range(sets):
        fit = _fit(scenario, scenario.draw(_rng(scenario, k), scenario.n))
        found.append([fit.prob_sensitive >= 0.95, fit.decision == "sensitive", fit.decision == "negligible"])
    return [Row(scenario.name, scenario.n, "decision", np.array(found, float).mean(0).tolist())]


def bent(rng: Rng, n: int) -> tuple[Array, ...]:
    """A threshold in the middle of p."""
    p = rng.random(n)
    return p, _flip(rng, np.where(p > 0.6, 0.6, 0.9))


DEPARTURES = [
    Scenario("property, normal, a line", 500, normal, UNBOUNDED, 0),
    Scenario("property, 0/1, a line", 500, zero_one, truth=0),
    Scenario("property, 1.5 % fail, a line", 500, failures(0.015), truth=0),
    Scenario("property, noise grows, a line", 500, noise_grows, UNBOUNDED, 0),
    Scenario("property, t3, a line", 500, t3_property, UNBOUNDED, 0),
    Scenario("property, a step", 1000, bent),
    Scenario("property, a U", 500, u_shape),
    Scenario("sweep, a line", 200, intercept_dominated, UNBOUNDED, 0),
    Scenario("sweep, a line", 30, intercept_dominated, UNBOUNDED, 0),
    Scenario("sweep, 0/1, a line", 200, _thresholds(1.0, 0.0, 1.0), truth=0),
    Scenario("sweep, 0/1, 10 % thresholds, a line", 200, _thresholds(0.1, 0.0, 1.0), truth=0),
    Scenario("sweep, thresholds", 200, smooth_thresholds),
    Scenario("sweep, dip", 200, dip),
    Scenario("sweep, last magnitude", 100, last_only),
]


def study_departure(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a departure is found, and its mean size."""
    found = []
    for k in range(sets):
        fit = _fit(scenario, scenario.draw(_rng(scenario, k), scenario.n))
        assert fit.departure is not None
        p = 1.0 if fit.departure.p_value is None else fit.departure.p_value
        found.append([p < 0.05, fit.departure.size])
    return [Row(scenario.name, scenario.n, "departure", np.array(found, float).mean(0).tolist())]


# ---------------------------------------------------------------- weights and clusters


def _sizes(rng: Rng, n: int) -> NDArray[np.int64]:
    """Give cluster codes of n rows in clusters of 2 to 50."""
    sizes = rng.integers(2, 51, size=n)
    return np.repeat(np.arange(n), sizes)[:n]


def _weights(rng: Rng, n: int) -> Array:
    """Give weights of 1 to 100, evenly spread on a logarithmic scale."""
    return np.exp(rng.uniform(0, np.log(100), n))


def weighted_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """Weights of 1 to 100 that say nothing of the score."""
    p = rng.random(n)
    return p, _flip(rng, 0.85 - 0.2 * p), _weights(rng, n), np.full(n, -1.0)


def weights_with_p(rng: Rng, n: int) -> tuple[Array, ...]:
    """Weights that grow with the property, from 1 to 100."""
    p = rng.random(n)
    return p, _flip(rng, 0.85 - 0.2 * p), 1 + 99 * p**4, np.full(n, -1.0)


def clusters_within(rng: Rng, n: int) -> tuple[Array, ...]:
    """Clusters of 2 to 50 with a level each; the property differs within them."""
    c, p = _sizes(rng, n), rng.random(n)
    level = (0.25 * rng.normal(size=n))[c]
    return p, 0.5 - 0.2 * p + level + 0.1 * rng.normal(size=n), np.ones(n), c.astype(float)


def clusters_alike(rng: Rng, n: int) -> tuple[Array, ...]:
    """Clusters of 2 to 50 with a level and one value of the property each."""
    c = _sizes(rng, n)
    p, level = rng.random(n)[c], (0.25 * rng.normal(size=n))[c]
    return p, 0.5 - 0.2 * p + level + 0.1 * rng.normal(size=n), np.ones(n), c.astype(float)


def clusters_fail_whole(rng: Rng, n: int) -> tuple[Array, ...]:
    """Customers of 10 rows, right or wrong as a whole."""
    c = np.arange(n) // 10
    p = rng.random(n)[c]
    return p, (rng.random(n)[c] < 0.85 - 0.2 * p).astype(float), np.ones(n), c.astype(float)


def weighted_sweep(rng: Rng, n: int) -> tuple[Array, ...]:
    """Slopes that differ between examples, weights of 1 to 100."""
    return (*slope_dominated(rng, n), _weights(rng, n), np.full(n, -1.0))


def clustered_sweep(rng: Rng, n: int) -> tuple[Array, ...]:
    """Clusters of 2 to 50 whose examples fall alike."""
    c = _sizes(rng, n)
    fall = 0.3 + (0.1 * rng.normal(size=n))[c, None] + 0.05 * rng.normal(size=(n, 1))
    return 0.9 - fall * U, np.ones(n), c.astype(float)


def clusters_break_whole(rng: Rng, n: int) -> tuple[Array, ...]:
    """Clusters of 2 to 50, a fifth of which fall to 0 as a whole."""
    c = _sizes(rng, n)
    return 1 - (rng.random(n) < 0.2)[c, None] * U, np.ones(n), c.astype(float)


DESIGNS = [
    *(Scenario("property, weights of 1 to 100", n, weighted_property, truth=-0.2) for n in (60, 200, 1000)),
    *(Scenario("property, weights grow with p", n, weights_with_p, truth=-0.2) for n in (60, 200, 1000)),
    *(
        Scenario("property differs within clusters of 2 to 50", n, clusters_within, UNBOUNDED, -0.2)
        for n in (300, 1000, 3000)
    ),
    *(Scenario("property of clusters of 2 to 50", n, clusters_alike, UNBOUNDED, -0.2) for n in (300, 1000, 3000)),
    *(Scenario("customers × 10 rows, right as a whole", n, clusters_fail_whole, truth=-0.2) for n in (300, 2000)),
    *(Scenario("sweep, weights of 1 to 100", n, weighted_sweep, truth=-0.3) for n in (60, 200, 1000)),
    *(Scenario("sweep, clusters of 2 to 50 alike", n, clustered_sweep, UNBOUNDED, -0.3) for n in (300, 1000, 3000)),
    *(Scenario("sweep, clusters of 2 to 50 break", n, clusters_break_whole, truth=-0.2) for n in (300, 1000, 3000)),
]


def study_designs(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the effect with weights and clusters, and without knowing of the clusters."""
    truth = scenario.truth
    if truth is None:
        scores, w, _ = _large(scenario)
        truth = float(sweep_truths(w @ scores / w.sum())["slope"])

    def methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
        *rows, w, c = data
        known = Design(w, None if c[0] < 0 else c.astype(np.int64))
        found = {}
        for name, design in {"robust": known, "clusters unknown": Design(w)}.items():
            if len(rows) == 2:
                fit: PropertyFit | PerturbationFit = property_test(
                    lambda: [(*rows, None)], scenario.scale, span=(0, 1), design=lambda d=design: [d]
                )
            else:
                fit = perturbation_test(
                    lambda: [rows[0]], scenario.scale, magnitudes=U[1:], neutral=0.0, design=lambda d=design: [d]
                )
            e = fit.effect
            found[name] = [e.lo50, e.hi50, e.lo95, e.hi95, guarded(fit)]
        if c[0] < 0:
            del found["clusters unknown"]
        return found

    return _collect(scenario, sets, methods, lambda method: truth)


# ---------------------------------------------------------------- slices


def sliced(sizes: Sequence[int], sd: float, shape: str = "normal") -> Scenario:
    """Give slices of these sizes whose mean drops differ by this SD, drawn anew for every data set."""
    return Scenario(
        f"slices, SD {sd:g}, {shape}", sum(sizes), normal, truth=sd, options={"sizes": sizes, "shape": shape}
    )


SLICES = [
    *(sliced([60] * 8, sd) for sd in (0.0, 0.02, 0.1)),
    *(sliced([400, 200, 100, 50, 25, 12], sd) for sd in (0.0, 0.05)),
    sliced([60] * 8, 0.1, "one apart"),
    sliced([400, 200, 100, 50, 25, 12], 0.1, "one apart"),
]


def study_slices(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the slices' true mean drops, by each slice alone and partially pooled."""
    sizes, sd = scenario.options["sizes"], float(scenario.truth or 0)
    found: dict[str, list[list[float]]] = {"own": [], "pooled": []}
    for k in range(sets):
        rng = _rng(scenario, k)
        truth = 0.3 + sd * rng.normal(size=len(sizes))  # type: ignore[arg-type]
        if scenario.options["shape"] == "one apart":
            truth = 0.3 + 3 * sd * (np.arange(len(sizes)) == rng.integers(len(sizes)))  # type: ignore[arg-type]
        own = []
        for size, mean in zip(sizes, truth, strict=True):  # type: ignore[call-overload]
            b = mean + 0.15 * rng.normal(size=(size, 1))
            own.append(_sweep(scenario, 0.9 - b * 2 * U).mean_drop)
        for name, intervals in {"own": own, "pooled": pooled(own, 1.0)}.items():
            rows = [(e.lo50 - t, e.hi50 - t, e.lo95 - t, e.hi95 - t) for e, t in zip(intervals, truth, strict=True)]
            found[name] += [list(row) for row in rows]
    return [Row(scenario.name, scenario.n, name, _covered(np.array(rows), 0.0)) for name, rows in found.items()]


def null_family(properties: int, sweeps: int, fail: float | None = None) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw of tests on the same examples, none with an effect: properties (n, a), scores, sweeps (n, b, 6)."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        p = rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, properties))
        clean = 0.7 + 0.1 * rng.normal(size=n) if fail is None else _flip(rng, np.full(n, 1 - fail))
        # Sweeps of one model resemble each other: much of the noise is common to them.
        noise = 0.08 * rng.normal(size=(n, 1, 6)) + 0.05 * rng.normal(size=(n, sweeps, 6))
        return p, clean, clean[:, None, None] + noise

    return draw


FAMILIES = [
    Scenario("10 properties", 200, null_family(10, 0), UNBOUNDED),
    Scenario("10 sweeps", 200, null_family(0, 10), UNBOUNDED),
    Scenario("5 properties, 5 sweeps", 60, null_family(5, 5), UNBOUNDED),
    Scenario("10 properties, 3 % fail", 200, null_family(10, 0, 0.03)),
    Scenario("10 properties, 3 % fail", 2000, null_family(10, 0, 0.03)),
]


def _family(scenario: Scenario, data: tuple[Array, ...], family: int) -> list[PropertyFit | PerturbationFit]:
    p, clean, sweeps = data
    fits: list[PropertyFit | PerturbationFit] = []
    for x in p.T:
        rows = [(x, clean, None)]
        fits.append(property_test(partial(iter, rows), scenario.scale, span=property_span(x), family=family))
    for k in range(sweeps.shape[1]):
        blocks, at = partial(iter, [sweeps[:, k]]), [-2, -1, 1, 2, 3]
        fits.append(perturbation_test(blocks, scenario.scale, magnitudes=at, neutral=0, family=family))
    return fits


def study_family(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often the intervals of ten tests without an effect all hold, and the "sensitive" among them."""
    rows = []
    for name, family in (("each by itself", 1), ("family: true", 10)):
        found = []
        for k in range(sets):
            fits = _family(scenario, scenario.draw(_rng(scenario, k), scenario.n), family)
            drops = [fit.mean_drop for fit in fits if isinstance(fit, PerturbationFit)]
            hold = [all(i.lo95 <= 0 <= i.hi95 for i in of) for of in ([fit.effect for fit in fits], drops)]
            called = sum(fit.decision == "sensitive" for fit in fits)
            found.append([hold[0], hold[1] if drops else np.nan, called, sum(fit.chance for fit in fits)])
        rows.append(Row(scenario.name, scenario.n, name, np.array(found, float).mean(0).tolist()))
    return rows


def two_classes(rng: Rng, n: int) -> tuple[Array, ...]:
    """Sorted by class: a tenth falls steeply, the others hardly."""
    label = np.sort(rng.random(n) < 0.1)
    fall = np.where(label, 0.7, 0.05) + 0.05 * rng.normal(size=n)
    return np.clip(0.9 - fall[:, None] * U, 0, 1), label.astype(float)


def early(
    draw: Callable[[Rng, int], tuple[Array, ...]], name: str, precision: float, scale: ScoreScale = PROBABILITY
) -> Scenario:
    """Name a scenario of stopping early after its precision."""
    return Scenario(f"{name}, precision {precision:g}", 4096, draw, scale, options={"precision": precision})


EARLY = [
    early(slope_dominated, "slope-dominated", 0.05),
    early(smooth_thresholds, "thresholds", 0.1),
    early(_thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 0.1),
    early(_thresholds(0.15, 0.5, 1.0), "15 % thresholds", 0.05),
    early(_thresholds(0.15, 0.5, 1.0), "15 % thresholds", 0.03),
    early(two_classes, "two classes, sorted", 0.05),
    *(early(some_change(k), f"{k:g} % change", w) for k in (0.3, 1, 3) for w in (0.05, 0.02)),
    early(some_change(10), "10 % change", 0.1),
    *(early(some_break(k / 100), f"{k} % break at once", w) for k, w in ((1, 0.02), (5, 0.05), (20, 0.03))),
    early(last_only, "drop at the last magnitude", 0.05),
    early(dip, "dip in the middle", 0.05),
    early(flat_noise, "no change, noise", 0.02, UNBOUNDED),
    early(still, "all scores equal", 0.02),
    *(early(long_tail, "long-tailed losses", w, LOSS) for w in (0.2, 0.1, 0.05)),
]
RULES: dict[str, Callable[[PerturbationFit, float], bool]] = {
    "precision": lambda fit, width: fit.precise(width),
    "width, no guard": lambda fit, width: fit.plain_effect.hi95 - fit.plain_effect.lo95 < width,
    "width, and 20 informative": lambda fit, width: fit.precise(width) and fit.sides[0].informative >= 20,
    "until 0 is excluded": lambda fit, width: not fit.effect.lo95 <= 0 <= fit.effect.hi95,
}


def _stopped(scenario: Scenario, data: tuple[Array, ...], seed: int, rule: str) -> tuple[PerturbationFit, int]:
    """Run the package's own sweep with a model that looks recorded scores up; count its predictions."""
    scores, n = data[0], scenario.n
    width = float(scenario.options["precision"])  # type: ignore[arg-type]
    labels = data[1].astype(int) if len(data) > 1 else np.zeros(n, int)
    examples = make_examples(np.column_stack([np.arange(n), np.zeros(n)]), labels, kind="series")
    model = Model(lambda x: scores[x[:, 0].astype(int), x[:, 1].astype(int)], "function")
    scorer = Scorer("custom", scenario.scale, lambda predictions, truth: predictions.values)
    turn = FunctionPerturbation(lambda x, p: np.column_stack([x[:, 0], np.full(len(x), 10 * p)]).round(), neutral=0.0)
    sweep_test = SweepTest("sweep", "sweep", turn, tuple(U[1:].tolist()))

    def fit(table: Scores) -> PerturbationFit:
        blocks = partial(sweep_scores, sweep_test, table.asked(sweep_test.columns))
        return perturbation_test(blocks, scenario.scale, magnitudes=sweep_test.magnitudes, neutral=0.0)

    stopping = Stopping(stratified_order(labels, seed), lambda _, table: RULES[rule](fit(table), width))
    sweep = Sweep(model, scorer, Targets(labels), examples, [sweep_test], stopping=stopping)
    table = sweep.run()
    return fit(table), sweep.n_predictions


def study_early(scenario: Scenario, sets: int) -> list[Row]:
    """Cover effect and mean drop where the sweep stops at a look; count examples, and claims that 0 is no effect."""
    truth, rows = sweep_truths(_large(scenario)[0].mean(0)), []
    for rule in RULES:
        found = []
        for k in range(sets):
            fit, predictions = _stopped(scenario, scenario.draw(_rng(scenario, k), scenario.n), k, rule)
            pairs = ((fit.effect, truth["slope"]), (fit.mean_drop, truth["mean"]))
            inside = [of.lo95 - 1e-9 <= value <= of.hi95 + 1e-9 for of, value in pairs]
            e, share = fit.effect, (predictions / scenario.n - 1) / (len(U) - 1)
            found.append([*inside, e.hi95 - e.lo95, share, not e.lo95 <= 0 <= e.hi95, "few_informative" in fit.flags])
        rows.append(Row(scenario.name, scenario.n, rule, np.array(found, float).mean(0).tolist()))
    return rows


COVERAGE = ("coverage 50", "coverage 95", "mean width", "guarded")
TABLES: list[tuple[str, list[Any], Callable[[Any, int], list[Any]], tuple[str, ...]]] = [
    ("Property test: slope", PROPERTY, study_property, COVERAGE),
    ("Slope on the rank", RANK, study_rank, COVERAGE),
    ("Unexpected, of a calibrated model", UNEXPECTED, study_unexpected, COVERAGE),
    ("Perturbation test", PERTURBATION, study_sweep, COVERAGE),
    ("Weights and clusters: effect", DESIGNS, study_designs, COVERAGE),
    ("Slices: mean drop", SLICES, study_slices, COVERAGE),
    ("Two-sided sweeps: effect of the worse side", TWO_SIDED, study_two_sided, COVERAGE),
    ("Holds until", HOLDS, study_holds, ("truth", "coverage of lo95", "mean lo95", "mean value", "guarded")),
    (
        "Spread, no difference: false alarms",
        SPREAD_NULL,
        study_spread,
        ("sensitive", "median", "lo95", "hi95"),
    ),
    ("Decision, no effect: false alarms", DECISIONS, study_decisions, ("P alone", "sensitive", "negligible")),
    ("Departure from a line", DEPARTURES, study_departure, ("p < .05", "mean size")),
    (
        "Ten tests at once, none with an effect",
        FAMILIES,
        study_family,
        ("all effects hold", "all mean drops hold", "called sensitive", "expected by chance"),
    ),
    (
        "Stopping early",
        EARLY,
        study_early,
        ("effect 95", "mean drop 95", "mean width", "share of examples", "0 excluded", "guarded"),
    ),
    ("Spread: power", SPREAD_POWER, study_spread, ("sensitive", "median", "lo95", "hi95")),
    *paired.TABLES,
    *shapes.TABLES,
]


def _work(job: tuple[int, int, int]) -> list[Row]:
    table, scenario, sets = job
    _, scenarios, study, _ = TABLES[table]
    return study(scenarios[scenario], sets)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="150 data sets instead of 1000")
    parser.add_argument("--data-sets", type=int, help="data sets per scenario")
    parser.add_argument("--only", default="", help="only the tables whose title has this word")
    options = parser.parse_args()
    sets = options.data_sets or (150 if options.quick else 1000)
    start = time.perf_counter()
    chosen = [k for k, table in enumerate(TABLES) if options.only.lower() in table[0].lower()]
    jobs = [(k, j, sets) for k in chosen for j in range(len(TABLES[k][1]))]
    with ProcessPoolExecutor(2) as pool:
        found = pool.map(_work, jobs)  # in the order of the jobs, each as soon as it is there
        for k in chosen:
            title, scenarios, _, columns = TABLES[k]
            print(f"\n### {title}\n")
            print("| scenario | N | method | " + " | ".join(columns) + " |")
            print("|---" * (3 + len(columns)) + "|")
            for _ in scenarios:
                for row in next(found):
                    cells = ["" if np.isnan(x) else f"{x:.3f}" for x in row.values]
                    print(f"| {row.scenario} | {row.n} | {row.method} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{sets} data sets per row, {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
