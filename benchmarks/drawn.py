"""Two models drawn at random, with known mean curves, and the results that an evaluation of them has.

What `gate.py` judges. Scores are 0/1 or Beta; a model's own examples go together over the magnitudes, and those of two
models with each other, through Gaussian copulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import betaincinv, ndtr
from study import PROBABILITY, Array, Rng

from mlflow_sensie.inference import (
    MagnitudeGrid,
    SamplingDesign,
    category_test,
    mean_test,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.result import Result, ScoreInfo, TestResult
from mlflow_sensie.scores.table import ScoreTable

MAGNITUDES, TWO_SIDED = (1.0, 2.0, 3.0, 4.0), (-2.0, -1.0, 1.0, 2.0)
LEVELS = 10


@dataclass(frozen=True)
class Drawn:
    """One model's scores (n, 1 + J), clean and at each magnitude, what it announces itself, and a property's values.

    `p` (n,) are those of a property; `level` (n,) those of a category.
    """

    scores: Array
    expected: Array | None = None
    p: Array | None = None
    level: Array | None = None
    magnitudes: tuple[float, ...] = MAGNITUDES

    def first(self, n: int) -> Drawn:
        """Give the same model on its first n examples; of sweeps only."""
        return Drawn(self.scores[:n], magnitudes=self.magnitudes)


Two = tuple[Drawn, Drawn]
Draw = Callable[[Rng, int], Two]


# ---------------------------------------------------------------- scores with known mean curves


@lru_cache(maxsize=256)
def _beta_quantiles(mean: float) -> tuple[Array, Array]:
    grid = np.linspace(0, 1, 4001)
    return grid, betaincinv(5 * mean, 5 * (1 - mean), grid)


def _with_means(uniform: Array, means: Array, kind: str) -> Array:
    """Turn uniforms (n, k) into scores of these means, (k,), or (n, k) for 0/1 and normal ones."""
    if kind == "0/1":
        return np.asarray((uniform < means).astype(float))
    if means.ndim == 2:  # a Beta would change its shape with every example
        return np.asarray(means + 0.2 * (uniform - 0.5))
    return np.column_stack([np.interp(uniform[:, j], *_beta_quantiles(float(m))) for j, m in enumerate(means)])


def _two_uniforms(rng: Rng, n: int, k: int, rho: float) -> tuple[Array, Array]:
    one, other = (0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, k)) for _ in range(2))
    return ndtr(one), ndtr(rho * one + np.sqrt(1 - rho**2) * other)


Curve = tuple[float, ...]


def retrain(kind: str, ours: Curve, theirs: Curve, rho: float = 0.9, magnitudes: Curve = MAGNITUDES) -> Draw:
    """Draw a baseline with mean curve `ours` and another training of it with `theirs`."""

    def draw(rng: Rng, n: int) -> Two:
        uniforms, means = _two_uniforms(rng, n, len(ours), rho), (np.array(ours), np.array(theirs))
        a, b = (_with_means(u, mean, kind) for u, mean in zip(uniforms, means, strict=True))
        return Drawn(a, magnitudes=magnitudes), Drawn(b, magnitudes=magnitudes)

    return draw


def only_losses(kind: str, ours: Curve, theirs: Curve) -> Draw:
    """Draw a candidate that is the baseline itself, but for a rare kind of input, where it scores 0."""

    def draw(rng: Rng, n: int) -> Two:
        baseline = _with_means(_two_uniforms(rng, n, len(ours), 0.0)[0], np.array(ours), kind)
        lost = rng.random((n, 1)) < 1 - np.array(theirs) / np.array(ours)
        return Drawn(baseline), Drawn(np.where(lost, 0.0, baseline))

    return draw


def along_property(kind: str, falls: tuple[float, float], rho: float = 0.9) -> Draw:
    """Draw two models whose mean score falls by so much over a property's range."""

    def draw(rng: Rng, n: int) -> Two:
        p = rng.permutation(np.linspace(0, 1, n))
        means = [0.95 - fall * p[:, None] / 0.98 for fall in falls]  # the span is .98 of the range
        a, b = (_with_means(u, m, kind) for u, m in zip(_two_uniforms(rng, n, 1, rho), means, strict=True))
        return Drawn(a, p=p), Drawn(b, p=p)

    return draw


def overconfident(beyond: tuple[float, float], *, of_property: bool, rho: float = 0.9) -> Draw:
    """Draw two models, 80 to 100 % sure and right less often: they do not announce `beyond` of their effects."""

    def draw(rng: Rng, n: int) -> Two:
        p = rng.permutation(np.linspace(0, 1, n))
        u = p[:, None] / 0.98 if of_property else np.linspace(0, 1, 5)
        sure = rng.uniform(0.8, 1.0, (n, 1))
        right = _two_uniforms(rng, n, 1 if of_property else 5, rho)
        a, b = (_sure(uniform, sure, by * u / (2 * sure - 1)) for uniform, by in zip(right, beyond, strict=True))
        beside = p if of_property else None
        return Drawn(*a, p=beside), Drawn(*b, p=beside)

    return draw


def _sure(uniform: Array, sure: Array, less: Array) -> tuple[Array, Array]:
    """Scores of a model that is `sure` (n, 1), and right with that probability less `less`; what it expects itself."""
    scores = np.where(uniform < sure - less, sure, 1 - sure)
    return scores, np.broadcast_to(sure**2 + (1 - sure) ** 2, scores.shape)


def between_levels(kind: str, spreads: tuple[float, float], rho: float = 0.9) -> Draw:
    """Draw two models whose levels' means have these standard deviations."""
    pattern = np.linspace(-1, 1, LEVELS) / np.linspace(-1, 1, LEVELS).std(ddof=1)

    def draw(rng: Rng, n: int) -> Two:
        level = np.arange(n) % LEVELS
        means = [0.85 + (spread * pattern)[level, None] for spread in spreads]
        a, b = (_with_means(u, m, kind) for u, m in zip(_two_uniforms(rng, n, 1, rho), means, strict=True))
        return Drawn(a, level=level), Drawn(b, level=level)

    return draw


# ---------------------------------------------------------------- results


def result_of(drawn: Drawn, name: str, data: str = "made", uuid: str | None = None) -> Result:
    """Give the result that an evaluation with these scores has."""
    clean, table = drawn.scores[:, 0], ScoreTable({"data_sha256": data, "score": "probability"})
    columns, tests = _tests(drawn)
    table.append({"id": np.arange(len(clean)), "clean": clean, **columns})
    known = mean_test(clean, PROBABILITY, SamplingDesign())
    result = Result(
        version="0", score=ScoreInfo(kind="probability", lower=0.0, upper=1.0, unit="probability", source="made"),
        n=len(clean), clean=known.plain.summary(), clean_known=known, tests={test.name: test for test in tests},
        recipe={"seed": 0, "allowed_drop": 0.1}, recipe_yaml="", recipe_sha256="", data_sha256=data,
        model_name=name, model_uuid=uuid, n_predictions=0, seconds=0.0,
    )  # fmt: skip
    result._score_table = table
    return result


def _tests(drawn: Drawn) -> tuple[dict[str, Array], list[TestResult]]:
    """The columns of a score table, and what is inferred from them."""
    scores, expected, columns, tests = drawn.scores, drawn.expected, {}, []
    if expected is not None:
        columns["expected"] = expected[:, 0]
    if scores.shape[1] > 1:
        columns |= {f"score/sweep/{j}": scores[:, j + 1] for j in range(scores.shape[1] - 1)}
        if expected is not None:
            columns |= {f"expected/sweep/{j}": expected[:, j + 1] for j in range(scores.shape[1] - 1)}
        excess = None if expected is None else scores - expected
        fit = perturbation_test(scores, MagnitudeGrid.of(drawn.magnitudes, 0.0), PROBABILITY, excess=excess)
        tests.append(TestResult(name="sweep", slug="sweep", kind="perturbation", fit=fit))
    if drawn.p is not None:
        p, announced, columns["property/p"] = drawn.p, None if expected is None else expected[:, 0], drawn.p
        slope = property_test(p, scores[:, 0], PROBABILITY, expected=announced, span=property_span(p))
        tests.append(TestResult(name="p", slug="p", kind="property", fit=slope))
    if drawn.level is not None:
        level, columns["property/level"] = drawn.level, drawn.level
        spread = category_test(level, scores[:, 0], PROBABILITY, levels=[str(k) for k in range(LEVELS)])
        tests.append(TestResult(name="level", slug="level", kind="category", fit=spread))
    return columns, tests
