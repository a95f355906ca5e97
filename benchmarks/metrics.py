"""What metrics cost beside the mean score: processor time of a sweep of 100,000 examples at ten magnitudes.

Run `python benchmarks/metrics.py [--examples N] [--classes K]`; prints Markdown. Each metric is computed from the
predictions at all magnitudes, with its influences, intervals, mean drop and holds-until; the mean score is a sweep of
the probabilities of the correct class. Times are medians of three rounds, in one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from mlflow_sensie.inference import MagnitudeGrid, ScoreScale, perturbation_test
from mlflow_sensie.inference.metric_fits import metric_estimate, metric_sweep
from mlflow_sensie.scores.metric_functions import Truth
from mlflow_sensie.scores.metric_samples import sample_of
from mlflow_sensie.scores.metrics import METRICS, SKILLS, Metric

MAGNITUDES, ROUNDS = 10, 3
MOST_SECONDS, MOST_TIMES = 1.0, 20.0  # asked of each metric, and of all together in units of the mean score's
GRID = MagnitudeGrid.of(range(1, MAGNITUDES + 1), neutral=0)
MEASURED = [SKILLS["probabilities"], *(metric for metric in METRICS.values() if metric.task == "classifier")]


def predictions(n: int, classes: int) -> tuple[NDArray[np.intp], list[NDArray[np.float32]]]:
    """Draw targets (n,), the first class the most frequent, and probabilities (n, K) clean and at each magnitude."""
    rng = np.random.default_rng(0)
    prior = np.append(0.9, np.full(classes - 1, 0.1 / (classes - 1)))
    targets = rng.choice(classes, n, p=prior)
    x, noise = 1.5 * np.eye(classes)[targets] + rng.normal(size=(n, classes)), rng.normal(size=(n, classes))
    columns = [softmax(x + 0.1 * j * noise, axis=1).astype(np.float32) for j in range(1 + MAGNITUDES)]
    return targets, columns


def fit(metric: Metric, columns: Sequence[NDArray[Any]], truth: Truth) -> None:
    """Make everything that a test says of a metric."""
    sample = sample_of(metric, columns, truth)
    assert sample is not None
    metric_estimate(sample)
    metric_sweep(sample, GRID)


def seconds(work: Callable[[], object]) -> float:
    """Give the processor's time, a median."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Print the time of each metric, of all of them, and of the mean score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=2)
    options = parser.parse_args()
    targets, columns = predictions(options.examples, options.classes)
    truth, labels = Truth(targets, options.classes).with_constant(), [column.argmax(axis=1) for column in columns]
    scores = np.column_stack([column[np.arange(len(targets)), targets] for column in columns]).astype(np.float64)
    of_score = seconds(lambda: perturbation_test(scores, GRID, ScoreScale(0, 1, "probability")))
    times = {
        metric.name: seconds(lambda m=metric: fit(m, labels if m.needs == "labels" else columns, truth))
        for metric in MEASURED
    }
    print(f"| {options.examples:,} examples, {MAGNITUDES} magnitudes, {options.classes} classes | s | × mean score |")
    print("|---|---|---|")
    print(f"| mean score | {of_score:.2f} | 1.0 |")
    for name, taken in times.items():
        print(f"| {name} | {taken:.2f} | {taken / of_score:.1f} |")
    ten = sum(sorted(times.values())[-10:])
    print(f"| the ten slowest together | {ten:.2f} | {ten / of_score:.1f} |")
    slow = [name for name, taken in times.items() if taken > MOST_SECONDS]
    print(f"\nOver {MOST_SECONDS:.0f} s: {', '.join(slow) or 'none'}; ten metrics ", end="")
    print(
        f"{'within' if ten <= MOST_TIMES * of_score else 'beyond'} {MOST_TIMES:.0f} times the mean score's inference."
    )


if __name__ == "__main__":
    main()
