"""Metrics of an evaluation: of the clean inputs, over sweeps, in bins, levels and slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import PropertyData, groups_of
from mlflow_sensie.inference.holds_until import AllowedDrop
from mlflow_sensie.inference.metric_fits import (
    MetricEstimate,
    MetricGroups,
    MetricSample,
    MetricSweep,
    metric_estimate,
    metric_groups,
    metric_sweep,
)
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.scores.metric_functions import Truth, squared_distance
from mlflow_sensie.scores.metric_samples import resolve_metrics, sample_of
from mlflow_sensie.scores.metrics import Metric, Needs
from mlflow_sensie.scores.no_skill import CONSTANTS
from mlflow_sensie.scores.outputs import DISTANCE
from mlflow_sensie.scores.scorer import Scorer, Targets
from mlflow_sensie.scores.table import CLEAN, CLUSTER, TARGET, WEIGHT, ScoreTable, output_column, property_column

Baseline = Callable[[NDArray[Any]], NDArray[np.float64] | None]


@dataclass(frozen=True)
class Followed:
    """The metrics that an evaluation follows, and all that they need to be computed from its score table.

    They are of the examples as they are: a column of weights counts, ``balanced`` weights do not. ``baseline`` gives
    what the best constant predicts, or scores, on some targets (n,): that of all examples, whichever these are.
    """

    metrics: tuple[Metric, ...]
    scorer: Scorer
    weighted: bool
    baseline: Baseline
    seed: int

    def estimates(self, table: ScoreTable) -> dict[str, MetricEstimate]:
        """Return the metrics of the clean inputs by name; one that is undefined for these examples is left out."""
        samples = self._samples(table, [CLEAN])
        return {name: metric_estimate(sample) for name, sample in samples.items()}

    def sweeps(self, test: SweepTest, table: ScoreTable, drop: AllowedDrop, family: int) -> dict[str, MetricSweep]:
        """Return the metrics over a perturbation's magnitudes by name, of the examples that it was asked of."""
        samples = self._samples(table.asked(test.columns), [CLEAN, *test.columns])
        relative = drop if isinstance(drop, int | float) else 0.1  # an absolute drop is one of the score
        sweeps = {
            name: metric_sweep(sample, test.grid, allowed_drop=relative, family=family)
            for name, sample in samples.items()
        }
        return {name: sweep for name, sweep in sweeps.items() if sweep is not None}

    def groups(self, prop: PropertyData, table: ScoreTable) -> dict[str, MetricGroups]:
        """Return the metrics in the bins of a property, or the levels of a category, by name."""
        labels, numbers = groups_of(prop, table.column(property_column(prop.slug)))
        parts = [(label, numbers == k) for k, label in enumerate(labels)]
        samples = [(label, int(rows.sum()), self._samples(table, [CLEAN], rows)) for label, rows in parts]
        groups = {}
        for name in (metric.name for metric in self.metrics):
            of_metric = [(label, n, by_name.get(name)) for label, n, by_name in samples]
            if any(sample is not None for _, _, sample in of_metric):
                groups[name] = metric_groups(name, of_metric)
        return groups

    def _samples(
        self, table: ScoreTable, columns: list[str], rows: NDArray[np.bool_] | None = None
    ) -> dict[str, MetricSample]:
        """Return each metric's sample at the predictions that these columns of scores were made of."""
        outputs = self.scorer.outputs
        if not self.metrics:
            return {}
        by_scores = any(metric.needs == "scores" for metric in self.metrics) and DISTANCE not in outputs.parts
        names = [output_column(column, part) for column in columns for part in outputs.parts]
        parts = table.array(names) if names else np.empty((len(table), 0))
        scores = table.array(columns) if by_scores else None
        some = np.isfinite(table.column(CLEAN)) if rows is None else rows & np.isfinite(table.column(CLEAN))
        for array in (parts, scores):
            some &= True if array is None else np.isfinite(array).all(axis=1)
        if some.sum() < 2:
            return {}
        truth, clusters = self._truth(table, some)
        samples = {}
        for metric in self.metrics:
            if metric.needs == "scores" and scores is not None:
                arrays = list(scores[some].T)
            else:
                arrays = list(outputs.columns_of(parts[some], metric.needs))
            sample = sample_of(metric, arrays, truth, clusters, seed=self.seed)
            if sample is not None:
                samples[metric.name] = sample
        return samples

    def _truth(self, table: ScoreTable, rows: NDArray[np.bool_]) -> tuple[Truth, NDArray[np.int64] | None]:
        outputs, targets = self.scorer.outputs, table.column(TARGET)[rows]
        weights = table.column(WEIGHT)[rows] if self.weighted else None
        clusters = table.column(CLUSTER)[rows] if CLUSTER in table.columns else None
        quantile = float(self.scorer.settings.get("quantile", 0.5))
        upper = 0.0 if outputs.classes or outputs.needs == "numbers" else self.scorer.scale.upper
        baseline = self.baseline(targets)
        truth = Truth(targets, outputs.classes, outputs.positive, weights, baseline, upper, quantile)
        return truth, clusters


def follow(recipe: Recipe, scorer: Scorer, targets: Targets, weights: NDArray[np.float64] | None) -> Followed:
    """Return what an evaluation follows: the recipe's metrics, by default those of the task, and skill.

    ``weights`` (n,) are those of a column, ``None`` where there is none.

    Raises:
        RecipeError: a metric that there is not, or that this model gives no predictions for.
    """
    outputs, values = scorer.outputs, targets.values
    skill, baseline = _baseline(scorer, values, weights)
    metrics = resolve_metrics(recipe.metrics, needs=outputs.needs, classes=targets.classes or (), skill=skill)
    return Followed(metrics, scorer, weights is not None, baseline, recipe.seed)


def _baseline(
    scorer: Scorer, targets: NDArray[Any], weights: NDArray[np.float64] | None
) -> tuple[Needs | None, Baseline]:
    """Return what skill is measured by, ``None`` where it is undefined, and what it is measured against."""
    outputs, kind = scorer.outputs, scorer.kind
    if outputs.classes:
        shares = Truth(targets, outputs.classes, weights=weights).class_shares
        if DISTANCE in outputs.parts:
            return "scores", lambda some: -_distances(shares, some)
        return outputs.needs, lambda some: shares
    if outputs.needs == "numbers":
        constant = CONSTANTS[kind.name](targets, weights, scorer.settings)
        return "scores", lambda some: kind.score(np.full(len(some), constant), some, scorer.settings)
    no_skill = scorer.no_skill_score(targets, weights)
    if no_skill is None or scorer.scale.upper is None:
        return None, lambda some: None
    return "scores", lambda some: np.full(len(some), no_skill)


def _distances(shares: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    return squared_distance(np.broadcast_to(shares, (len(targets), len(shares))), Truth(targets, len(shares)))
