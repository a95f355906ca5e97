"""The rule that every gate begins with, skill of at least 0, for models that are worth exactly a constant.

Run `python benchmarks/no_skill.py [--data-sets 2000]`; prints a Markdown table in about a minute. At most 5 % of
the data sets should pass.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Callable
from types import SimpleNamespace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, softmax
from study import Array, Rng

from mlflow_sensie.gate.quantities import QUANTITIES
from mlflow_sensie.inference.metric_fits import metric_estimate
from mlflow_sensie.scores.metric_functions import Truth
from mlflow_sensie.scores.metric_samples import sample_of
from mlflow_sensie.scores.metrics import SKILLS

SIZES = (200, 1000)
LARGE = 2_000_000
Draw = Callable[[Rng, int], tuple[Array, Array, int]]  # targets, predictions, number of classes


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(excess, low, high, xtol=1e-6))


def overconfident(share: float, slope: float) -> Draw:
    """Probabilities that are as much too sure as makes their Brier loss that of the share."""
    x = np.random.default_rng(0).normal(size=LARGE)
    level = _root(lambda a: float(expit(a + slope * x).mean()) - share, -60, 60)
    q = expit(level + slope * x)

    def excess(times: float) -> float:
        p = expit(level + times * slope * x)
        return float((p * p - 2 * p * q + q).mean() - q.mean() * (1 - q.mean()))

    times = _root(excess, 1.3, 60)

    def draw(rng: Rng, n: int) -> tuple[Array, Array, int]:
        x = rng.normal(size=n)
        y, p = (rng.random(n) < expit(level + slope * x)).astype(int), expit(level + times * slope * x)
        return y, np.column_stack([1 - p, p]), 2

    return draw


def rarely_very_wrong(share: float, rate: float) -> Draw:
    """Calibrated probabilities, but for a share of the inputs where the model is sure of the wrong class."""
    x = np.random.default_rng(0).normal(size=LARGE)

    def level(slope: float) -> float:
        return _root(lambda a: float(expit(a + slope * x).mean()) - share, -60, 60)

    def excess(slope: float) -> float:
        q = expit(level(slope) + slope * x)
        return (1 - rate) * float((q * (1 - q)).mean()) + rate - share * (1 - share)

    slope = _root(excess, 0.05, 8)
    start = level(slope)

    def draw(rng: Rng, n: int) -> tuple[Array, Array, int]:
        q = expit(start + slope * rng.normal(size=n))
        y = (rng.random(n) < q).astype(int)
        p = np.where(rng.random(n) < rate, 1 - y, q)
        return y, np.column_stack([1 - p, p]), 2

    return draw


def three_classes(shares: tuple[float, ...]) -> Draw:
    """Overconfident probabilities of three classes."""
    prior, centres = np.array(shares), 1.2 * np.eye(3)

    def sample(rng: Rng, n: int) -> tuple[Array, Array]:
        y = rng.choice(3, n, p=prior)
        return y, centres[y] + rng.normal(size=(n, 3))

    y, x = sample(np.random.default_rng(0), LARGE)

    def excess(times: float) -> float:
        p = softmax(np.log(prior) + times * (x @ centres), axis=1)
        return float(((p - np.eye(3)[y]) ** 2).sum(axis=1).mean() - (1 - (prior**2).sum()))

    times = _root(excess, 1.2, 60)

    def draw(rng: Rng, n: int) -> tuple[Array, Array, int]:
        y, x = sample(rng, n)
        return y, softmax(np.log(prior) + times * (x @ centres), axis=1), 3

    return draw


def guessed_labels(shares: tuple[float, ...]) -> Draw:
    """Labels alone that have the classes' shares and know nothing of the targets."""

    def draw(rng: Rng, n: int) -> tuple[Array, Array, int]:
        return rng.choice(len(shares), n, p=shares), rng.choice(len(shares), n, p=shares), len(shares)

    return draw


def regressor(noise: Callable[[Rng, int], Array]) -> Draw:
    """Predictions that exaggerate until their mean absolute error is that of the median."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=LARGE)
    y = x + noise(rng, LARGE)
    median = float(np.median(y))
    times = _root(lambda k: float((np.abs(y - k * x - median) - np.abs(y - median)).mean()), 1.05, 20)

    def draw(rng: Rng, n: int) -> tuple[Array, Array, int]:
        x = rng.normal(size=n)
        return x + noise(rng, n), times * x + median, 0

    return draw


def passes(draw: Draw, rng: Rng, n: int) -> bool:
    """Tell whether the rule passes on n examples."""
    y, predictions, classes = draw(rng, n)
    if classes:
        metric = SKILLS["probabilities" if predictions.ndim == 2 else "labels"]
        truth = Truth(y, classes).with_constant()
    else:
        metric, predictions = SKILLS["scores"], -np.abs(predictions - y)
        truth = Truth(y, constant=-np.abs(y - np.median(y)), upper=0.0)
    sample = sample_of(metric, [predictions], truth)
    if sample is None:
        return False
    result = SimpleNamespace(metric_estimates={"skill": metric_estimate(sample)})
    return QUANTITIES["skill"].evidence(0.0, result).kept >= 0.95


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-sets", type=int, default=2000)
    sets = parser.parse_args().data_sets
    populations: dict[str, Callable[[], Draw]] = {
        "overconfident, 10 % positives": lambda: overconfident(0.1, 1.0),
        "very overconfident, 10 % positives": lambda: overconfident(0.1, 2.0),
        "overconfident, 50 % positives": lambda: overconfident(0.5, 1.0),
        "surely wrong in 2 %, 10 % positives": lambda: rarely_very_wrong(0.1, 0.02),
        "surely wrong in 2 %, 50 % positives": lambda: rarely_very_wrong(0.5, 0.02),
        "overconfident, three classes, 10 % the rarest": lambda: three_classes((0.6, 0.3, 0.1)),
        "guessed labels, 10 % positives": lambda: guessed_labels((0.9, 0.1)),
        "guessed labels, 50 % positives": lambda: guessed_labels((0.5, 0.5)),
        "guessed labels, three classes": lambda: guessed_labels((0.6, 0.3, 0.1)),
        "regressor, normal errors": lambda: regressor(lambda rng, n: rng.normal(size=n)),
        "regressor, t3 errors": lambda: regressor(lambda rng, n: rng.standard_t(3, n) / np.sqrt(3)),
    }
    print(f"| model | {' | '.join(f'n = {n:,}' for n in SIZES)} |\n|---|{'---|' * len(SIZES)}")
    for name, population in populations.items():
        draw = population()
        rngs = [np.random.default_rng([zlib.crc32(name.encode()), n]) for n in SIZES]
        rates = [np.mean([passes(draw, rng, n) for _ in range(sets)]) for rng, n in zip(rngs, SIZES, strict=True)]
        print(f"| {name} | {' | '.join(f'{rate:.3f}' for rate in rates)} |", flush=True)


if __name__ == "__main__":
    main()
