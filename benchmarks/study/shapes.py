"""What is fitted beside the line, and what a model's confidence does not announce: coverage.

Truths come from one very large draw. A range that `auto` chose is
judged by the slope of the true curve over the range it chose, "as if given" by the interval without allowance
for the choice.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import expit

from mlflow_sensie.inference import (
    ExtraFits,
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    RangeFit,
    ScoreScale,
    bin_edges,
    perturbation_test,
    property_span,
    property_test,
)
from study import PROBABILITY, UNBOUNDED, Array, Rng, Row, U

LARGE = 400_000
TINY = 1e-9


@dataclass(frozen=True)
class Scenario:
    """A way to simulate data sets: sweeps (N, 11) over U, or a property and its scores, each (N,)."""

    name: str
    n: int
    draw: Callable[[Rng, int], tuple[Array, ...]]
    scale: ScoreScale = PROBABILITY


def _rng(scenario: Scenario, k: int) -> Rng:
    return np.random.default_rng([zlib.crc32(f"{scenario.name} {scenario.n}".encode()), k])


# ---------------------------------------------------------------- sweeps


def flat(rng: Rng, n: int) -> tuple[Array, ...]:
    """No change at all: whatever range is chosen, it was chosen for its noise."""
    return (0.8 + 0.1 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 11)),)


def slight(rng: Rng, n: int) -> tuple[Array, ...]:
    """A drop that is small beside the noise."""
    return (0.8 - 0.03 * U + 0.1 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 11)),)


def sigmoid(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep fall in the middle of the sweep."""
    at = 0.5 + 0.1 * rng.normal(size=(n, 1))
    return (np.clip(0.9 - 0.7 * expit((U - at) / 0.07) + 0.05 * rng.normal(size=(n, 11)), 0, 1),)


def thresholds(rng: Rng, n: int) -> tuple[Array, ...]:
    """Each example fails from a distance of its own on."""
    return ((np.where(rng.random((n, 1)) < 0.6, rng.random((n, 1)), 2.0) > U).astype(float),)


def few_change(rng: Rng, n: int) -> tuple[Array, ...]:
    """Five of a hundred examples fall, steadily."""
    return (1 - (rng.random((n, 1)) < 0.05) * U,)


SWEEPS = [
    *(Scenario("no change, noise", n, flat, UNBOUNDED) for n in (60, 200)),
    *(Scenario("a slight drop", n, slight, UNBOUNDED) for n in (60, 200)),
    *(Scenario("a steep fall", n, sigmoid) for n in (60, 200)),
    Scenario("0/1 thresholds", 200, thresholds),
    Scenario("5 of 100 change", 100, few_change),
]


# ---------------------------------------------------------------- properties


def _beta(rng: Rng, mean: Array) -> Array:
    m = np.clip(mean, 0.01, 0.99)
    return rng.beta(8 * m, 8 * (1 - m))


def nothing(rng: Rng, n: int) -> tuple[Array, ...]:
    """Scores that do not depend on p."""
    return rng.random(n), _beta(rng, np.full(n, 0.8))


def line(rng: Rng, n: int) -> tuple[Array, ...]:
    """Probabilities that fall with p."""
    p = rng.random(n)
    return p, _beta(rng, 0.8 - 0.2 * p)


def step(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep rise of correctness at one value of p."""
    p = rng.normal(size=n)
    return p, (rng.random(n) < 0.3 + 0.6 * expit(6 * (p - 0.3))).astype(float)


def u_shape(rng: Rng, n: int) -> tuple[Array, ...]:
    """A U-shape, with noise that grows."""
    p = rng.random(n)
    return p, 0.9 - 1.6 * (p - 0.4) ** 2 + (0.02 + 0.2 * p) * rng.normal(size=n)


def failures(rng: Rng, n: int) -> tuple[Array, ...]:
    """1.5 % failures, whatever p is."""
    return rng.random(n), (rng.random(n) > 0.015).astype(float)


PROPERTIES = [
    *(Scenario("nothing, Beta", n, nothing) for n in (200, 1000)),
    *(Scenario("a line, Beta", n, line) for n in (200, 1000)),
    Scenario("a step, 0/1", 1000, step),
    Scenario("U-shape", 500, u_shape, UNBOUNDED),
    Scenario("1.5 % failures", 500, failures),
]


# ---------------------------------------------------------------- studies


def _both(name: str, n: int, found: list[list[float]], sets: int) -> list[Row]:
    """Give a row as if the range had been given and one of `auto`; `found` is what `_judge` gives, per range."""
    table = np.array(found, float)
    guarded, share = float(table[:, 6].mean()), len(table) / sets
    return [
        Row(name, n, method, [*table[:, chosen].mean(0).tolist(), guarded, share])
        for method, chosen in (("as if given", [0, 1, 2]), ("auto", [3, 4, 5]))
    ]


def _judge(part: RangeFit, truth: float, length: float) -> list[float]:
    """Give whether 50 % and 95 % intervals hold a true slope and how wide the latter is, twice, and the guard.

    First as if the range had been given, then as `auto` has it.
    """
    effect, aim = part.effect, truth * length
    pairs = [
        (part.posterior.interval(0.5), part.posterior.interval()),
        ((effect.lo50, effect.hi50), (effect.lo95, effect.hi95)),
    ]
    out: list[float] = []
    for inner, outer in pairs:
        out += [low - TINY <= aim <= high + TINY for low, high in (inner, outer)]
        out.append(outer[1] - outer[0])
    return [*out, part.few_informative]


def study_sweep_ranges(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the slope of the true curve over the range that `auto` chose of a sweep."""
    truth = scenario.draw(np.random.default_rng(12345), LARGE)[0].mean(0)
    found = []
    for k in range(sets):
        (scores,) = scenario.draw(_rng(scenario, k), scenario.n)
        fit = _sweep(scenario, scores, ExtraFits("auto"))
        for part in fit.fit_range:
            inside = (part.start - TINY <= U) & (part.stop + TINY >= U)
            slope = float(np.polyfit(U[inside], truth[inside], 1)[0])
            found.append(_judge(part, slope, part.line.stop - part.line.start))
    return _both(scenario.name, scenario.n, found, sets)


def study_property_ranges(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the slope of the population over the range that `auto` chose of a property."""
    p, y = scenario.draw(np.random.default_rng(12345), LARGE)
    order = np.argsort(p)
    p, y = p[order], y[order]
    found = []
    for k in range(sets):
        fit = _property(scenario, scenario.draw(_rng(scenario, k), scenario.n), ExtraFits("auto"))
        for part in fit.fit_range:
            inside = slice(*np.searchsorted(p, [part.start, part.stop]))
            slope = float(np.cov(p[inside], y[inside])[0, 1] / p[inside].var(ddof=1))
            found.append(_judge(part, slope, part.stop - part.start))
    return _both(scenario.name, scenario.n, found, sets)


def study_polynomials(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the population's own polynomial of order 3, point by point."""
    data = scenario.draw(np.random.default_rng(12345), LARGE)
    sweep = len(data) == 1
    x, y = (U, data[0].mean(0)) if sweep else data
    at = U if sweep else np.quantile(x, np.linspace(0.02, 0.98, 11))
    truth = Polynomial.fit(x, y, 3)(at)
    held, widths = [], []
    for k in range(sets):
        drawn = scenario.draw(_rng(scenario, k), scenario.n)
        shape = ExtraFits(polynomial=3)
        fit = _sweep(scenario, drawn[0], shape) if sweep else _property(scenario, drawn, shape)
        _, low, high = fit.polynomials[0].at(at)
        held.append((low - TINY <= truth) & (truth <= high + TINY))
        widths.append(high - low)
    points = np.array(held, float).mean(0)
    values = [float(points.mean()), float(points.min()), float(np.mean(widths))]
    return [Row(scenario.name, scenario.n, "sweep" if sweep else "property", values)]


def _sweep(scenario: Scenario, scores: Array, shape: ExtraFits) -> PerturbationFit:
    magnitudes = U[1:].tolist()
    return perturbation_test(scores, MagnitudeGrid.of(magnitudes, 0.0), scenario.scale, extra=shape)


def _property(scenario: Scenario, data: tuple[Array, ...], shape: ExtraFits) -> PropertyFit:
    p, y = data
    edges, unique = bin_edges(p)
    span = property_span(p)
    return property_test(p, y, scenario.scale, edges=edges, unique=unique, span=span, extra=shape)


# ---------------------------------------------------------------- calibration


def noisy(separation: float, *, knows: bool) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw of scores and expected scores (N, 11): a model that knows how much noise came, or does not."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        y = rng.choice([-1.0, 1.0], (n, 1))
        own, added = rng.normal(size=(2, n, 1))
        seen = separation * y + own + 3 * U * added
        q = expit(2 * separation * seen / (1 + 9 * U**2 if knows else 1.0))
        return np.where(y > 0, q, 1 - q), q * q + (1 - q) ** 2

    return draw


CALIBRATION = [
    *(Scenario("calibrated", n, noisy(1.5, knows=True)) for n in (60, 200, 1000)),
    *(Scenario("overconfident", n, noisy(1.5, knows=False)) for n in (60, 200, 1000)),
    *(Scenario("calibrated, hardly ever wrong", n, noisy(4.0, knows=True)) for n in (60, 200)),
]


def study_calibration(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the effect of score less expected, 0 for a calibrated model; how often it is said to be below 0."""
    u = U - U.mean()
    truth = 0.0
    if not scenario.name.startswith("calibrated"):
        scores, expected = scenario.draw(np.random.default_rng(12345), LARGE)
        truth = float((scores - expected).mean(0) @ u / (u @ u))
    found = []
    for k in range(sets):
        scores, expected = scenario.draw(_rng(scenario, k), scenario.n)
        fit = perturbation_test(scores, MagnitudeGrid.of(U[1:].tolist(), 0.0), scenario.scale, excess=scores - expected)
        one = fit.unexpected
        assert one is not None and fit.calibration is not None
        hold = [one.lo50 <= truth <= one.hi50, one.lo95 <= truth <= one.hi95]
        found.append(
            [*hold, one.hi95 - one.lo95, fit.calibration.sides[0].few_informative, one.hi95 < 0, fit.effect.value]
        )
    return [Row(scenario.name, scenario.n, "unexpected", [truth, *np.array(found, float).mean(0).tolist()])]


RANGES = ("coverage 50", "coverage 95", "mean width", "guarded", "has a range")
TABLES: list[tuple[str, list[Scenario], Callable[[Scenario, int], list[Row]], tuple[str, ...]]] = [
    ("Fit range of a sweep, chosen by auto: effect over it", SWEEPS, study_sweep_ranges, RANGES),
    ("Fit range of a property, chosen by auto: effect over it", PROPERTIES, study_property_ranges, RANGES),
    (
        "Polynomial of order 3: band, point by point",
        [*SWEEPS, *PROPERTIES],
        study_polynomials,
        ("coverage 95", "lowest of 11 points", "mean width"),
    ),
    (
        "Unexpected over a sweep, with calibration: true",
        CALIBRATION,
        study_calibration,
        ("truth", "coverage 50", "coverage 95", "mean width", "guarded", "said to be below 0", "effect of the score"),
    ),
]
