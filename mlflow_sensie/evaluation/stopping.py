"""When a sweep may stop asking: the order of the examples, the looks at what was found, and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import are_labels
from mlflow_sensie.evaluation.chunks import FIRST_CHUNK, SweepTest
from mlflow_sensie.result import Reason
from mlflow_sensie.scores.scorer import Targets
from mlflow_sensie.scores.table import ScoreTable

GROUPS = 10  # of a regressor's targets, by quantile
MOST_VALUES = 100  # numbers of more different values than this are no classes


@dataclass(frozen=True)
class Stop:
    """A test saw the first ``n`` examples of the order, and why no more."""

    n: int
    reason: Reason


@dataclass(frozen=True)
class Stopping:
    """In which order the examples are asked, and when a test, or all of them, need no more.

    ``order`` (n,) holds positions of the examples; without it they come as they are, all of them. ``precise`` tells
    of a test and the scores so far whether they are enough. ``seconds`` is the time budget, by ``clock``.
    """

    order: NDArray[np.intp] | None = None
    precise: Callable[[SweepTest, ScoreTable], bool] | None = None
    seconds: float | None = None
    clock: Callable[[], float] = lambda: monotonic()

    def looks(self, n: int) -> bool:
        """Whether the scores are looked at after ``n`` examples: 64, 128, 256, 512, ..."""
        times = n // FIRST_CHUNK
        return self.precise is not None and n == times * FIRST_CHUNK and n > 0 and times & (times - 1) == 0


def stratified_order(strata: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Return all positions in a seeded random order in which every stratum is spread evenly.

    ``strata`` (n,) are codes from 0. Any example is as likely as any other to be among the first m, and each
    stratum has its share of them, to within about one example.
    """
    rng = np.random.default_rng([seed, 0x0D])
    sizes = np.bincount(strata)
    shuffled = rng.permutation(len(strata))
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    codes = strata[by_stratum]
    ranks = np.arange(len(strata)) - (np.cumsum(sizes) - sizes)[codes]
    places = (ranks + rng.random(len(sizes))[codes]) / sizes[codes]
    return by_stratum[np.argsort(places, kind="stable")]


def stratified_sample(targets: NDArray[Any], size: int, seed: int) -> NDArray[np.intp]:
    """Return ``size`` of ``n`` positions, ascending: a seeded systematic sample of the examples ordered by target.

    Each class (or range of a regressor's targets) gets its share to within one example.
    """
    n = len(targets)
    rng = np.random.default_rng([seed, 0x5A])
    texts = targets.dtype.kind in "OUS"  # of whatever dtype, so that the sample does not depend on that
    codes = pd.factorize(targets, sort=False)[0] if texts else np.unique(targets, return_inverse=True)[1]
    order = np.lexsort((rng.random(n), codes))
    steps = np.floor((np.arange(size) + rng.random()) * n / size).astype(np.intp)
    return np.sort(order[np.minimum(steps, n - 1)])


def strata_of(targets: Targets) -> NDArray[np.intp]:
    """Return what an order is stratified by, codes (n,): the classes, or ten quantile groups of numbers."""
    values: NDArray[Any] = targets.values
    if not are_labels(values):
        return np.zeros(len(values), dtype=np.intp)
    if values.dtype == object:
        return np.unique(values.astype(str), return_inverse=True)[1]
    unique, codes = np.unique(values, return_inverse=True)
    if targets.classes is not None or values.dtype.kind not in "iuf" or len(unique) <= MOST_VALUES:
        return codes
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(ranks * GROUPS // len(values), dtype=np.intp)
