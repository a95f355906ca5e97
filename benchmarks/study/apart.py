"""Two models on different examples: the difference of their clean scores, and how often a worse one passes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.comparison.contrasts import unpaired
from study import COVERAGE, Array, Rng, Row, Table, beta, covered, flip


@dataclass(frozen=True)
class Apart:
    """Models A and B, wrong on these shares of `n` and `n_b` examples; scores of 0 and 1, or probabilities."""

    n: int
    n_b: int
    wrong_a: float
    wrong_b: float
    flipped: bool = True

    @property
    def name(self) -> str:
        """What it is called."""
        scores = "0/1" if self.flipped else "Beta"
        return f"{scores}, {self.wrong_a:.0%} and {self.wrong_b:.0%} wrong, B on {self.n_b}"

    def draw(self, rng: Rng) -> tuple[Array, Array]:
        """Draw both models' scores."""
        score = flip if self.flipped else beta
        return score(rng, np.full(self.n, 1 - self.wrong_a)), score(rng, np.full(self.n_b, 1 - self.wrong_b))


SCENARIOS = [
    Apart(89, 89, 0.05, 0.25),
    Apart(89, 89, 0.05, 0.05),
    Apart(60, 60, 0.3, 0.5),
    Apart(60, 200, 0.02, 0.05),
    Apart(200, 200, 0.02, 0.1),
    Apart(500, 500, 0.05, 0.08),
    Apart(60, 60, 0.05, 0.2, flipped=False),
    Apart(200, 60, 0.05, 0.3, flipped=False),
]


def study_apart(scenario: Apart, sets: int) -> list[Row]:
    """Cover the difference of the clean scores; count how often B passes at a margin of exactly its loss."""
    found, passed, truth = [], [], scenario.wrong_a - scenario.wrong_b
    for k in range(sets):
        a, b = scenario.draw(np.random.default_rng([zlib.crc32(scenario.name.encode()), k]))
        (one,) = unpaired(a[:, None], b[:, None], np.eye(1), (0, 1)).d
        found.append([*(one.posterior.quantile(q) for q in (0.25, 0.75, 0.025, 0.975)), float(one.few)])
        passed.append(one.posterior.prob_above(truth) >= 0.95)
    values = [*covered(np.array(found), truth), float(np.mean(passed))]
    return [Row(scenario.name, scenario.n, "clean score", values)]


COLUMNS = (*COVERAGE, "passes at margin")
TABLES: list[Table] = [("Two models on different examples", SCENARIOS, study_apart, COLUMNS)]
