"""Perturbation tests: slope, drops, the worse side, and how far the score holds; draws give (N, 11) scores at U."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.integrate import trapezoid
from scipy.special import expit

from mlflow_sensie.inference import MagnitudeGrid, PerturbationFit, ScoreScale, perturbation_test
from study import (
    COVERAGE,
    LOSS,
    PROBABILITY,
    UNBOUNDED,
    Array,
    Rng,
    Row,
    Scenario,
    Table,
    U,
    collect,
    covered,
    large,
    rng_of,
)
from study.methods import by_exact, sensie_model


def slope_dominated(rng: Rng, n: int) -> tuple[Array, ...]:
    """Examples differ in their slope."""
    fall = np.clip(0.3 + 0.15 * rng.normal(size=(n, 1)), 0, 0.8)
    return (np.clip(0.9 - fall * U + 0.02 * rng.normal(size=(n, 11)), 0, 1),)


def intercept_dominated(rng: Rng, n: int) -> tuple[Array, ...]:
    """Examples differ in their level, and each point has noise."""
    return (0.6 + 0.2 * rng.normal(size=(n, 1)) - 0.1 * U + 0.05 * rng.normal(size=(n, 11)),)


def thresholds(share: float, low: float, high: float) -> Callable[[Rng, int], tuple[Array, ...]]:
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


def loud_noise(rng: Rng, n: int) -> tuple[Array, ...]:
    """No change at all, and scores of SD 1, far beyond the rope: whatever is seen by chance seems to matter."""
    return (0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, 11)),)


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
    Scenario("0/1 thresholds", 200, thresholds(0.6, 0.0, 1.0)),
    *(Scenario(f"{k} of 100 change", 100, some_change(k)) for k in (1, 3, 5, 10)),
    *(Scenario(f"{k} % change", 400, some_change(k)) for k in (1, 3)),
    Scenario("5 % break at once", 100, some_break(0.05)),
    Scenario("20 % break at once", 60, some_break(0.2)),
    Scenario("10 % change", 60, some_change(10)),
    Scenario("15 % change", 60, some_change(15)),
    Scenario("7 % change", 200, some_change(7)),
    Scenario("slope-dominated", 30, slope_dominated),
    Scenario("0/1 thresholds", 30, thresholds(0.6, 0.0, 1.0)),
    Scenario("0/1 thresholds", 60, thresholds(0.6, 0.0, 1.0)),
    Scenario("discrete, 15 % thresholds", 100, thresholds(0.15, 0.5, 1.0)),
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
    holds(thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 200, 0.1),
    holds(thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 50, 0.1),
    holds(thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 100, 0.02),
    holds(thresholds(0.12, 0.0, 1.0), "12 % thresholds", 200, 0.1),
    holds(thresholds(0.12, 0.0, 1.0), "12 % thresholds", 1000, 0.05),
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


def sweep_fit(
    scenario: Scenario,
    scores: Array,
    magnitudes: Sequence[float] = tuple(U[1:].tolist()),
    allowed_drop: float = 0.1,
) -> PerturbationFit:
    return perturbation_test(scores, MagnitudeGrid.of(magnitudes, 0.0), scenario.scale, allowed_drop=allowed_drop)


def sweep_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give each method's intervals of the slope, of the mean drop and of the largest drop."""
    (scores,) = data
    fit = sweep_fit(scenario, scores)
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


def study_sweep(scenario: Scenario, sets: int) -> list[Row]:
    """Cover slope, mean drop and largest drop of a sweep."""
    truths = sweep_truths(large(scenario)[0].mean(0))
    return collect(scenario, sets, sweep_methods, lambda method: truths[method.split(",")[0].split()[0]])


def study_two_sided(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the true effect of the side that was found to be worse, and of the side that truly is."""
    mean = large(scenario)[0].mean(0)
    u = np.linspace(0, 1, 6)
    c = (u - u.mean()) / ((u - u.mean()) ** 2).sum()
    truth = {"below": float(c @ mean[[0, 5, 4, 3, 2, 1]]), "above": float(c @ mean[[0, 6, 7, 8, 9, 10]])}
    chosen, worst = [], []
    for k in range(sets):
        (scores,) = scenario.draw(rng_of(scenario, k), scenario.n)
        fit = sweep_fit(scenario, scores, TWO_SIDED_MAGNITUDES)
        e = fit.effect
        bounds = np.array([e.lo50, e.hi50, e.lo95, e.hi95])
        chosen.append(bounds - truth[fit.worse])
        worst.append(bounds - min(truth.values()))
    return [
        Row(scenario.name, scenario.n, "chosen side", covered(np.array(chosen), 0.0)),
        Row(scenario.name, scenario.n, "truly worse side", covered(np.array(worst), 0.0)),
    ]


def study_holds(scenario: Scenario, sets: int) -> list[Row]:
    """Cover holds-until from below."""
    drop = float(scenario.options["allowed_drop"])  # type: ignore[arg-type]
    mean = large(scenario)[0].mean(0)
    floor = mean[0] * (1 - drop) if scenario.scale.fractional else mean[0] - drop
    below = np.flatnonzero(mean < floor)
    truth = 1.0
    if len(below):
        k = below[0]
        truth = float(U[k - 1] + (U[k] - U[k - 1]) * (mean[k - 1] - floor) / (mean[k - 1] - mean[k]))
    found = []
    for k in range(sets):
        (scores,) = scenario.draw(rng_of(scenario, k), scenario.n)
        fit = sweep_fit(scenario, scores, allowed_drop=drop)
        side = fit.sides[0].holds
        found.append([side.lo95, side.value, side.few_informative])
    table = np.array(found, float)
    values = [truth, float((table[:, 0] <= truth + 1e-9).mean()), *table.mean(0).tolist()]
    return [Row(scenario.name, scenario.n, "holds until", values)]


TABLES: list[Table] = [("Perturbation test", PERTURBATION, study_sweep, COVERAGE)]
SIDES: list[Table] = [
    ("Two-sided sweeps: effect of the worse side", TWO_SIDED, study_two_sided, COVERAGE),
    ("Holds until", HOLDS, study_holds, ("truth", "coverage of lo95", "mean lo95", "mean value", "guarded")),
]
