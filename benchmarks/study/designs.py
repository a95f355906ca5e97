"""Rows that count unequally, hang together, or fall into slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference import (
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    SamplingDesign,
    perturbation_test,
    property_test,
)
from mlflow_sensie.inference.spread import pooled
from study import COVERAGE, UNBOUNDED, Array, Rng, Row, Scenario, Table, U, collect, covered, flip, large, rng_of
from study.methods import guarded
from study.properties import normal
from study.sweeps import slope_dominated, sweep_fit, sweep_truths


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
    return p, flip(rng, 0.85 - 0.2 * p), _weights(rng, n), np.full(n, -1.0)


def weights_with_p(rng: Rng, n: int) -> tuple[Array, ...]:
    """Weights that grow with the property, from 1 to 100."""
    p = rng.random(n)
    return p, flip(rng, 0.85 - 0.2 * p), 1 + 99 * p**4, np.full(n, -1.0)


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
        scores, w, _ = large(scenario)
        truth = float(sweep_truths(w @ scores / w.sum())["slope"])

    def methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
        *rows, w, c = data
        known = SamplingDesign(w, None if c[0] < 0 else c.astype(np.int64))
        found = {}
        for name, design in {"robust": known, "clusters unknown": SamplingDesign(w)}.items():
            if len(rows) == 2:
                fit: PropertyFit | PerturbationFit = property_test(*rows, scenario.scale, span=(0, 1), design=design)
            else:
                fit = perturbation_test(rows[0], MagnitudeGrid.of(U[1:], 0.0), scenario.scale, design=design)
            e = fit.effect
            found[name] = [e.lo50, e.hi50, e.lo95, e.hi95, guarded(fit)]
        if c[0] < 0:
            del found["clusters unknown"]
        return found

    return collect(scenario, sets, methods, lambda method: truth)


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
        rng = rng_of(scenario, k)
        truth = 0.3 + sd * rng.normal(size=len(sizes))  # type: ignore[arg-type]
        if scenario.options["shape"] == "one apart":
            truth = 0.3 + 3 * sd * (np.arange(len(sizes)) == rng.integers(len(sizes)))  # type: ignore[arg-type]
        own = []
        for size, mean in zip(sizes, truth, strict=True):  # type: ignore[call-overload]
            b = mean + 0.15 * rng.normal(size=(size, 1))
            own.append(sweep_fit(scenario, 0.9 - b * 2 * U).mean_drop)
        for name, intervals in {"own": own, "pooled": pooled(own, 1.0)}.items():
            rows = [(e.lo50 - t, e.hi50 - t, e.lo95 - t, e.hi95 - t) for e, t in zip(intervals, truth, strict=True)]
            found[name] += [list(row) for row in rows]
    return [Row(scenario.name, scenario.n, name, covered(np.array(rows), 0.0)) for name, rows in found.items()]


TABLES: list[Table] = [
    ("Weights and clusters: effect", DESIGNS, study_designs, COVERAGE),
    ("Slices: mean drop", SLICES, study_slices, COVERAGE),
]
