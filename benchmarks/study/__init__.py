"""The coverage study that `coverage.py` runs, table by table, and what its parts share."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference import ScoreScale

Array = NDArray[np.float64]
Rng = np.random.Generator
PROBABILITY, UNBOUNDED = ScoreScale(0, 1, "probability"), ScoreScale(None, None, "target SD")
LOSS = ScoreScale(None, 0, "target SD")
U = np.linspace(0, 1, 11)
SIZE_OF_TRUTH = 400_000
COVERAGE = ("coverage 50", "coverage 95", "mean width", "guarded")
TINY = 1e-9


@dataclass
class Row:
    """One line of a table."""

    scenario: str
    n: int
    method: str
    values: list[float]


# Title, scenarios, what makes the rows of one with so many data sets, and the columns.
Table = tuple[str, list[Any], Callable[[Any, int], list[Row]], tuple[str, ...]]


@dataclass(frozen=True)
class Scenario:
    """A way to simulate data sets: `draw(rng, n)` gives one, `truth` (or a very large one) the answer."""

    name: str
    n: int
    draw: Callable[[Rng, int], tuple[Array, ...]]
    scale: ScoreScale = PROBABILITY
    truth: float | None = None
    options: dict[str, object] = field(default_factory=dict)


def beta(rng: Rng, mean: Array, size: float = 8.0) -> Array:
    """Scores of (0, 1) with these means, from Beta distributions."""
    m = np.clip(mean, 0.01, 0.99)
    return rng.beta(size * m, size * (1 - m))


def flip(rng: Rng, mean: Array) -> Array:
    """Scores of 0 and 1 with these means."""
    return (rng.random(len(mean)) < mean).astype(float)


def rng_of(scenario: Scenario, k: int) -> Rng:
    """The generator of the k-th data set."""
    return np.random.default_rng([zlib.crc32(f"{scenario.name} {scenario.n}".encode()), k])


def large(scenario: Scenario) -> tuple[Array, ...]:
    """One very large data set, for the truth."""
    return scenario.draw(np.random.default_rng(12345), SIZE_OF_TRUTH)


def covered(found: Array, truth: float) -> list[float]:
    """Coverage at 50 and 95 %, mean width and how often a guard acted, of rows lo50, hi50, lo95, hi95[, acted]."""
    inside50 = (found[:, 0] - TINY <= truth) & (truth <= found[:, 1] + TINY)
    inside95 = (found[:, 2] - TINY <= truth) & (truth <= found[:, 3] + TINY)
    guarded = float(found[:, 4].mean()) if found.shape[1] > 4 else float("nan")
    return [
        float(inside50.mean()),
        float(inside95.mean()),
        float((found[:, 3] - found[:, 2]).mean()),
        guarded,
    ]


def collect(
    scenario: Scenario,
    sets: int,
    methods: Callable[[Scenario, tuple[Array, ...]], dict[str, list[float]]],
    truth: Callable[[str], float],
) -> list[Row]:
    """Cover, by each method, the truth that `truth` tells of it."""
    found = [methods(scenario, scenario.draw(rng_of(scenario, k), scenario.n)) for k in range(sets)]
    return [
        Row(scenario.name, scenario.n, name, covered(np.array([one[name] for one in found]), truth(name)))
        for name in found[0]
    ]
