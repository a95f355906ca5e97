"""Deciding words: false alarms of one test and of ten at once, and departures from a line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlflow_sensie.inference import (
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    bin_edges,
    perturbation_test,
    property_span,
    property_test,
)
from study import UNBOUNDED, Array, Rng, Row, Scenario, Table, flip, rng_of
from study.properties import failures, noise_grows, normal, t3_property, u_shape, zero_one
from study.sweeps import (
    dip,
    flat_noise,
    intercept_dominated,
    last_only,
    loud_noise,
    smooth_thresholds,
    still,
    sweep_fit,
    thresholds,
)


def no_slope(rng: Rng, n: int) -> tuple[Array, ...]:
    """Scores that do not depend on p, in units of their SD."""
    return rng.random(n), rng.normal(size=n)


DECISIONS = [
    *(Scenario("property, normal", n, no_slope, UNBOUNDED) for n in (8, 20, 60, 200, 2000)),
    *(Scenario("property, 5 % fail", n, failures(0.05)) for n in (8, 20, 60, 200, 2000)),
    *(Scenario("sweep, noise", n, flat_noise, UNBOUNDED) for n in (4, 8, 20, 200)),
    *(Scenario("sweep, noise of SD 1", n, loud_noise, UNBOUNDED) for n in (20, 60, 200, 2000)),
    *(Scenario("sweep, all equal", n, still) for n in (2, 4, 8, 20)),
]


def _fit(scenario: Scenario, data: tuple[Array, ...]) -> PropertyFit | PerturbationFit:
    if len(data) == 1:
        return sweep_fit(scenario, data[0])
    p, y = data
    edges, unique = bin_edges(p)
    span = property_span(p)
    return property_test(p, y, scenario.scale, span=span, edges=edges, unique=unique)


def study_decisions(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a test with no effect is called sensitive: by P alone, and in fact."""
    found = []
    for k in range(sets):
        fit = _fit(scenario, scenario.draw(rng_of(scenario, k), scenario.n))
        found.append([fit.prob_sensitive >= 0.95, fit.decision == "sensitive", fit.decision == "negligible"])
    return [Row(scenario.name, scenario.n, "decision", np.array(found, float).mean(0).tolist())]


def bent(rng: Rng, n: int) -> tuple[Array, ...]:
    """A threshold in the middle of p."""
    p = rng.random(n)
    return p, flip(rng, np.where(p > 0.6, 0.6, 0.9))


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
    Scenario("sweep, 0/1, a line", 200, thresholds(1.0, 0.0, 1.0), truth=0),
    Scenario("sweep, 0/1, 10 % thresholds, a line", 200, thresholds(0.1, 0.0, 1.0), truth=0),
    Scenario("sweep, thresholds", 200, smooth_thresholds),
    Scenario("sweep, dip", 200, dip),
    Scenario("sweep, last magnitude", 100, last_only),
]


def study_departure(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a departure is found, and its mean size."""
    found = []
    for k in range(sets):
        fit = _fit(scenario, scenario.draw(rng_of(scenario, k), scenario.n))
        assert fit.departure is not None
        p = 1.0 if fit.departure.p_value is None else fit.departure.p_value
        found.append([p < 0.05, fit.departure.size])
    return [Row(scenario.name, scenario.n, "departure", np.array(found, float).mean(0).tolist())]


def null_family(properties: int, sweeps: int, fail: float | None = None) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw of tests on the same examples, none with an effect: properties (n, a), scores, sweeps (n, b, 6)."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        p = rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, properties))
        clean = 0.7 + 0.1 * rng.normal(size=n) if fail is None else flip(rng, np.full(n, 1 - fail))
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
        fits.append(property_test(x, clean, scenario.scale, span=property_span(x), family=family))
    for k in range(sweeps.shape[1]):
        grid = MagnitudeGrid.of([-2, -1, 1, 2, 3], 0)
        fits.append(perturbation_test(sweeps[:, k], grid, scenario.scale, family=family))
    return fits


def study_family(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often the intervals of ten tests without an effect all hold, and the "sensitive" among them."""
    rows = []
    for name, family in (("each by itself", 1), ("family: true", 10)):
        found = []
        for k in range(sets):
            fits = _family(scenario, scenario.draw(rng_of(scenario, k), scenario.n), family)
            drops = [fit.mean_drop for fit in fits if isinstance(fit, PerturbationFit)]
            hold = [all(i.lo95 <= 0 <= i.hi95 for i in of) for of in ([fit.effect for fit in fits], drops)]
            called = sum(fit.decision == "sensitive" for fit in fits)
            found.append([hold[0], hold[1] if drops else np.nan, called, sum(fit.chance for fit in fits)])
        rows.append(Row(scenario.name, scenario.n, name, np.array(found, float).mean(0).tolist()))
    return rows


TABLES: list[Table] = [
    ("Decision, no effect: false alarms", DECISIONS, study_decisions, ("P alone", "sensitive", "negligible")),
    ("Departure from a line", DEPARTURES, study_departure, ("p < .05", "mean size")),
    (
        "Ten tests at once, none with an effect",
        FAMILIES,
        study_family,
        ("all effects hold", "all mean drops hold", "called sensitive", "expected by chance"),
    ),
]
