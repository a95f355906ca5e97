"""A property's effect at the same mix of classes, and what the mix adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_sensie.inference import SamplingDesign
from mlflow_sensie.inference.within import split_effect
from study import COVERAGE, PROBABILITY, SIZE_OF_TRUTH, Array, Rng, Row, Table, covered, flip

SPAN = (-2.0, 2.0)


@dataclass(frozen=True)
class Mixture:
    """Classes of these shares, whose property is shifted and whose scores have a level and a slope of their own."""

    name: str
    n: int
    shares: Array
    slopes: Array
    shift: Array
    level: Array
    binary: bool = False
    weighted: bool = False
    rows_per_cluster: int = 1

    def draw(self, rng: Rng, n: int) -> tuple[Array, Array, Array, SamplingDesign]:
        """Draw property, scores, classes and design of n examples."""
        size = self.rows_per_cluster
        cluster = np.repeat(np.arange(n // size), size)
        k = rng.choice(len(self.shares), n // size, p=self.shares).repeat(size)
        common = rng.normal(size=(2, n // size)).repeat(size, axis=1) if size > 1 else np.zeros((2, n))
        z = self.shift[k] + (rng.normal(size=n) if size == 1 else 0.7 * (common[0] + rng.normal(size=n)))
        mean = self.level[k] + self.slopes[k] * z
        noisy = mean + 0.1 * (1 + 0.5 * np.abs(z)) * rng.normal(size=n) + 0.1 * common[1]
        y = flip(rng, np.clip(mean, 0, 1)) if self.binary else noisy
        weights = rng.lognormal(0, 0.7, n) if self.weighted else None
        return z, y, k, SamplingDesign(weights, cluster if size > 1 else None)

    def truth(self) -> tuple[float, float]:
        """Give both parts: the slopes by the classes' shares, and the rest of the slope of a very large sample."""
        within = float(self.shares @ self.slopes) * (SPAN[1] - SPAN[0])
        p, y, *_ = self.draw(np.random.default_rng(12345), SIZE_OF_TRUTH)
        centred = p - p.mean()
        return within, float(centred @ y / (centred @ centred)) * (SPAN[1] - SPAN[0]) - within


def _array(*values: float) -> Array:
    return np.array(values)


TWO = _array(0.9, 0.1), _array(0.05, -0.1), _array(0.0, 1.0), _array(0.9, 0.4)
THREE = _array(0.6, 0.3, 0.1), _array(0.05, -0.1, 0.0), _array(0.0, 1.0, -1.0), _array(0.9, 0.4, 0.6)
FIFTY = np.full(50, 0.02), np.linspace(-0.1, 0.05, 50), np.linspace(-1, 1, 50), np.linspace(0.9, 0.4, 50)
ALIKE = FIFTY[0], np.full(50, -0.05), *FIFTY[2:]
RARE = _array(0.8, 0.2), _array(-0.005, -0.005), _array(0.0, 0.5), _array(0.97, 0.95)
FLIPS = _array(0.9, 0.1), _array(0.01, -0.1), _array(0.0, 1.0), _array(0.85, 0.5)

MIXTURES = [
    Mixture("two classes, 10 %, noise grows", 200, *TWO),
    Mixture("two classes, 0/1", 300, *FLIPS, binary=True),
    Mixture("0/1, 3 % fail", 300, *RARE, binary=True),
    Mixture("three classes", 1000, *THREE),
    Mixture("fifty classes of 14", 700, *FIFTY),
    Mixture("fifty classes of 5, one slope", 250, *ALIKE),
    Mixture("two classes, lognormal weights", 300, *TWO, weighted=True),
    Mixture("two classes, clusters of 5", 400, *TWO, rows_per_cluster=5),
]


def coverage(mixture: Mixture, sets: int) -> list[Row]:
    """Cover both parts of the effect."""
    intervals: dict[str, list[list[float]]] = {"within": [], "mix": []}
    for k in range(sets):
        p, y, classes, design = mixture.draw(np.random.default_rng([17, mixture.n, k]), mixture.n)
        split = split_effect(p, y, classes, PROBABILITY, span=SPAN, design=design)
        for name, ends in intervals.items():
            if split is not None:
                one = getattr(split, name)
                ends.append([one.lo50, one.hi50, one.lo95, one.hi95, float(split.few_informative)])
    truths = dict(zip(intervals, mixture.truth(), strict=True))
    return [
        Row(mixture.name, mixture.n, name, covered(np.array(ends), truths[name])) for name, ends in intervals.items()
    ]


TABLES: list[Table] = [("Effect of a property within classes, and of their mix", MIXTURES, coverage, COVERAGE)]
