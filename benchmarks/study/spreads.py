"""Category tests: the spread of the levels, where there is none and where there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlflow_sensie.inference import CategoryFit, ScoreScale, category_test
from study import PROBABILITY, UNBOUNDED, Array, Rng, Row, Scenario, Table, beta, flip, rng_of


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
    return beta(rng, mean, 3.0)


GEOMETRIC = [400, 280, 200, 140, 100, 70, 50, 35, 25, 18, 12, 8, 6, 4, 3, 2, 1]


SPREAD_NULL = [
    named("0/1, 10 % fail, 10 × 100", levels([100] * 10, flip, 0.9, 0)),
    named("0/1, 1 % fail, 10 × 100", levels([100] * 10, flip, 0.99, 0)),
    named("0/1, 10 % fail, 50 × 10", levels([10] * 50, flip, 0.9, 0)),
    named("0/1, 3 % fail, uneven sizes", levels(GEOMETRIC, flip, 0.97, 0)),
    named("Beta, 10 × 50", levels([50] * 10, _confident, 0.8, 0)),
    named("saturated Beta, uneven sizes", levels(GEOMETRIC, _confident, 0.97, 0)),
    named("0/1, 20 % fail, 1000 × 5", levels([5] * 1000, flip, 0.8, 0)),
    named("0/1, 10 % fail, 2 × 20", levels([20] * 2, flip, 0.9, 0)),
    named("0/1, 10 % fail, 2 × 500", levels([500] * 2, flip, 0.9, 0)),
    named("0/1, 10 % fail, 2 × 8", levels([8] * 2, flip, 0.9, 0)),
    named("0/1, 30 % fail, 2 × 30", levels([30] * 2, flip, 0.7, 0)),
    named("0/1, 10 % fail, 3 × 30", levels([30] * 3, flip, 0.9, 0)),
    named("0/1, 2 % fail, 200 and 10", levels([200, 10], flip, 0.98, 0)),
    named("normal, unbounded, 10 × 20", levels([20] * 10, _steady, 0.5, 0), UNBOUNDED),
    named("normal, unbounded, uneven", levels(GEOMETRIC, _steady, 0.5, 0), UNBOUNDED),
    named("normal, unbounded, 100 × 3", levels([3] * 100, _steady, 0.5, 0), UNBOUNDED),
]


SPREAD_POWER = [
    named("0/1, SD .1, 10 × 100", levels([100] * 10, flip, 0.8, 0.1)),
    named("0/1, SD .05, 10 × 200", levels([200] * 10, flip, 0.9, 0.05)),
    named("Beta, SD .06, 10 × 50", levels([50] * 10, _confident, 0.8, 0.06)),
    named("Beta, SD .1, 20 × 20", levels([20] * 20, _confident, 0.7, 0.1)),
    named("normal, SD .05, 10 × 50", levels([50] * 10, _steady, 0.5, 0.05), UNBOUNDED),
]


def _category(scenario: Scenario, names: list[str], data: tuple[Array, ...]) -> CategoryFit:
    level, y = data
    return category_test(level, y, scenario.scale, levels=names)


def study_spread(scenario: Scenario, sets: int) -> list[Row]:
    """Count how often a spread is called sensitive."""
    k = int(scenario.options["levels"])  # type: ignore[call-overload]
    names = [str(j) for j in range(k)]
    found = []
    for j in range(sets):
        fit = _category(scenario, names, scenario.draw(rng_of(scenario, j), scenario.n))
        found.append([fit.decision == "sensitive", fit.spread.value, fit.spread.lo95, fit.spread.hi95])
    return [Row(scenario.name, scenario.n, "spread", np.array(found, float).mean(0).tolist())]


COLUMNS = ("sensitive", "median", "lo95", "hi95")
TABLES: list[Table] = [("Spread, no difference: false alarms", SPREAD_NULL, study_spread, COLUMNS)]
POWER: list[Table] = [("Spread: power", SPREAD_POWER, study_spread, COLUMNS)]
