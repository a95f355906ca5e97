"""Metrics: their values, mean drops and differences between two models, near bounds and on rare classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from mlflow_sensie.inference import MagnitudeGrid
from mlflow_sensie.inference.metric_fits import metric_difference, metric_estimate, metric_sweep
from mlflow_sensie.scores.metric_functions import Truth
from mlflow_sensie.scores.metric_samples import sample_of
from mlflow_sensie.scores.metrics import METRICS, SKILLS, Metric
from study import Array, Rng, Row, Table

GRID = MagnitudeGrid.of([1, 2, 3], neutral=0)
SIZE_OF_TRUTH = 200_000
CLASSIFIED = (
    SKILLS["probabilities"],
    *(METRICS[name] for name in ("roc_auc", "average_precision", "recall", "f1", "balanced_accuracy", "mcc")),
)
REGRESSED = (SKILLS["scores"], *(METRICS[name] for name in ("r2", "rmse", "mae")))
Draw = tuple[Array, list[Array], Array | None, Array | None]  # targets, columns of A and of B, weights, clusters


@dataclass(frozen=True)
class Population:
    """Two models at the clean inputs and three magnitudes, drawn together."""

    name: str
    n: int
    draw: Callable[[Rng, int], Draw]
    metrics: Sequence[Metric] = CLASSIFIED
    classes: int = 2


def classifiers(
    shares: Sequence[float], distance: float, *, weighted: bool = False, rows_per_cluster: int = 1
) -> Callable[[Rng, int], Draw]:
    """Classes at ``distance`` from each other with normal noise, asked with more and more of it; B is noisier."""
    prior = np.array(shares)
    centres = distance * np.eye(len(prior)) / np.sqrt(2)

    def draw(rng: Rng, n: int) -> Draw:
        clusters = None
        if rows_per_cluster > 1:
            clusters = np.repeat(np.arange(n // rows_per_cluster), rows_per_cluster)
            y = np.repeat(rng.choice(len(prior), n // rows_per_cluster, p=prior), rows_per_cluster)
            common = np.repeat(rng.normal(size=(n // rows_per_cluster, len(prior))), rows_per_cluster, axis=0)
            x = centres[y] + 0.7 * common + 0.7 * rng.normal(size=(n, len(prior)))
        else:
            y = rng.choice(len(prior), n, p=prior)
            x = centres[y] + rng.normal(size=(n, len(prior)))
        noise, worse = rng.normal(size=(2, n, len(prior)))
        inputs = [x + 0.4 * j * noise for j in range(4)] + [x + 0.4 * j * noise + 0.5 * worse for j in range(4)]
        columns = [softmax(np.log(prior) + one @ centres, axis=1) for one in inputs]
        return y, columns, rng.lognormal(0, 0.7, n) if weighted else None, clusters

    return draw


def regressors(noise: Callable[[Rng, int], Array]) -> Callable[[Rng, int], Draw]:
    """Values with noise of a kind, predicted from inputs that get noisier; B is noisier."""

    def draw(rng: Rng, n: int) -> Draw:
        x, other, worse = rng.normal(size=(3, n))
        columns = [x + 0.4 * j * other for j in range(4)] + [x + 0.4 * j * other + 0.5 * worse for j in range(4)]
        return x + noise(rng, n), columns, None, None

    return draw


def of_real_data(name: str) -> Callable[[Rng, int], Draw]:
    """Examples of a data set of scikit-learn, drawn with replacement, with two models and noisier inputs."""
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rng = np.random.default_rng(0)
    half = rng.permutation(len(y))[: len(y) // 3]
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300)).fit(X[half], y[half]) for c in (1, 0.03)
    ]
    noise = rng.normal(size=X.shape) * X.std(axis=0)
    columns = [model.predict_proba(X + 0.5 * j * noise) for model in models for j in range(4)]

    def draw(rng: Rng, n: int) -> Draw:
        rows = rng.integers(0, len(y), n) if n < SIZE_OF_TRUTH else np.arange(len(y))
        return y[rows], [column[rows] for column in columns], None, None

    return draw


def _t3(rng: Rng, n: int) -> Array:
    return rng.standard_t(3, n) / np.sqrt(3)


def _lognormal(rng: Rng, n: int) -> Array:
    return rng.lognormal(0, 1, n) / 2.16


POPULATIONS = [
    *(
        Population(f"two classes, {share:.0%}, AUC {auc}", n, classifiers([1 - share, share], distance))
        for share in (0.1, 0.5)
        for auc, distance in ((".86", 1.5), (".98", 3.0))
        for n in (200, 1000)
    ),
    Population("8 positives of 200", 200, classifiers([0.96, 0.04], 1.5)),
    Population("three classes, 10 % the rarest", 200, classifiers([0.6, 0.3, 0.1], 2.0), classes=3),
    Population("three classes, 10 % the rarest", 1000, classifiers([0.6, 0.3, 0.1], 2.0), classes=3),
    Population("lognormal weights, 20 %", 400, classifiers([0.8, 0.2], 1.5, weighted=True)),
    Population("clusters of 5, 20 %", 500, classifiers([0.8, 0.2], 1.5, rows_per_cluster=5)),
    Population("breast cancer", 200, of_real_data("breast_cancer")),
    Population("wine", 200, of_real_data("wine"), classes=3),
    *(
        Population(f"regressor, {name} errors", n, regressors(noise), REGRESSED, 0)
        for name, noise in (("normal", lambda rng, n: rng.normal(size=n)), ("t3", _t3), ("lognormal", _lognormal))
        for n in (200, 1000)
    ),
]


def _samples(metric: Metric, population: Population, data: Draw) -> list[object]:
    """The metric's samples of A alone, and of both models."""
    y, columns, weights, clusters = data
    truth = Truth(y, population.classes, 1, weights)
    if metric.needs == "labels":
        columns = [column.argmax(axis=1) for column in columns]
    elif metric.needs == "scores":  # minus the squared errors, whose best constant is the mean
        columns = [-np.square(column - y) for column in columns]
        truth = Truth(y, 0, 1, weights, -np.square(y - np.average(y, weights=weights)), 0.0)
    elif metric.needs == "probabilities":
        truth = truth.with_constant()
    codes = None if clusters is None else clusters.astype(np.int64)
    groups = [0, 1, 1, 1, 2, 3, 3, 3]
    return [sample_of(metric, columns[:4], truth, codes), sample_of(metric, columns, truth, codes, groups=groups)]


def _quantities(metric: Metric, population: Population, data: Draw) -> list[tuple[float, float, float]] | None:
    """Value and interval of the clean metric, its mean drop, and the paired differences of both; then a flag."""
    one, both = _samples(metric, population, data)
    if one is None or both is None:
        return None
    clean, sweep = metric_estimate(one), metric_sweep(one, GRID)
    assert clean.interval is not None and sweep is not None
    drop = one.sign * GRID.contrasts()[:, 1]
    intervals = [
        clean.interval,
        sweep.mean_drop,
        metric_difference(both, np.eye(4)[0]).difference,
        metric_difference(both, drop).difference,
    ]
    flag = float(any(name != "no_skill" for name in clean.flags))
    return [*((one.value, one.lo95, one.hi95) for one in intervals), (flag, 0.0, 0.0)]


def coverage(population: Population, sets: int) -> list[Row]:
    """Cover all four, a row per metric."""
    truths = _truths(population)
    return [
        _row(population, name, np.array(quantities), truths[name])
        for name, quantities in _simulated(population, range(sets)).items()
    ]


def _simulated(population: Population, sets: Sequence[int]) -> dict[str, list[list[tuple[float, float, float]]]]:
    """The quantities of each metric in the data sets of these numbers in which it is defined."""
    results = {metric.name: [] for metric in population.metrics}
    for k in sets:
        data = population.draw(np.random.default_rng([23, population.n, k]), population.n)
        for metric in population.metrics:
            if (quantities := _quantities(metric, population, data)) is not None:
                results[metric.name].append(quantities)
    return results


def _row(population: Population, name: str, quantities: Array, truth: Sequence[float]) -> Row:
    """The coverage of all four; the width, flags and misses without a flag are those of the clean value."""
    low, high, flagged = quantities[:, :4, 1], quantities[:, :4, 2], quantities[:, 4, 0] > 0
    inside = (low <= np.array(truth) + 1e-9) & (np.array(truth) <= high + 1e-9)
    width, missed = float((high - low)[:, 0].mean()), float((~inside[:, 0] & ~flagged).mean())
    return Row(population.name, population.n, name, [*inside.mean(axis=0), width, float(flagged.mean()), missed])


def _truths(population: Population) -> dict[str, list[float]]:
    data = population.draw(np.random.default_rng(12345), SIZE_OF_TRUTH)
    truths = {}
    for metric in population.metrics:
        y, columns, _, _ = data
        one, both = _samples(replace(metric, draws=None), population, (y, columns, None, None))
        drop = one.sign * GRID.contrasts()[:, 1]
        a, b = both.values[:4], both.values[4:]
        truths[metric.name] = [float(a[0]), float(a @ drop), float(b[0] - a[0]), float((b - a) @ drop)]
    return truths


COLUMNS = (
    "clean",
    "mean drop",
    "difference, clean",
    "difference, mean drop",
    "mean width",
    "flagged",
    "missed, not flagged",
)
TABLES: list[Table] = [("Metrics: coverage of 95 % intervals", POPULATIONS, coverage, COLUMNS)]
