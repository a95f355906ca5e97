"""Metrics of an evaluation: of the clean inputs, over sweeps, in bins, levels and slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import PropertyData, groups_of
from mlflow_sensie.inference import SamplingDesign, ScoreScale, mean_test
from mlflow_sensie.inference.holds_until import AllowedDrop
from mlflow_sensie.inference.metric_fits import (
    MetricEstimate,
    MetricGroups,
    MetricSweep,
    metric_estimate,
    metric_groups,
    metric_sweep,
)
from mlflow_sensie.result import Confidence
from mlflow_sensie.scores.metric_reader import MetricReader
from mlflow_sensie.scores.metrics import METRICS
from mlflow_sensie.scores.scorer import Scorer
from mlflow_sensie.scores.table import CLEAN, ScoreTable, property_column


@dataclass(frozen=True)
class Followed:
    """The metrics that an evaluation follows, and the scorer beside which it does."""

    reader: MetricReader
    scorer: Scorer

    def estimates(self, table: ScoreTable) -> dict[str, MetricEstimate]:
        """Return the metrics of the clean inputs by name; one that is undefined for these examples is left out."""
        samples = self.reader.samples(table, [CLEAN])
        return {name: metric_estimate(sample) for name, sample in samples.items()}

    def confidence(self, table: ScoreTable) -> Confidence | None:
        """Return how sure the model is of its answers beside how often it is right; None without probabilities."""
        reader = self.reader
        if reader.outputs.needs != "probabilities":
            return None
        parts = table.array(reader.columns([CLEAN]))
        rows = np.asarray(np.isfinite(parts).all(axis=1))
        (probabilities,) = reader.outputs.columns_of(parts[rows], "probabilities")
        truth, clusters = reader.truth(table, rows)
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth.targets
        design = SamplingDesign(truth.weights, clusters)
        try:
            gap = mean_test(right - sure, ScoreScale(-1.0, 1.0, "probability"), design).posterior.summary()
        except ValueError:  # fewer than two independent examples
            return None
        ece, _ = METRICS["ece"].function(probabilities, truth)
        return Confidence(mean=truth.mean(sure), accuracy=truth.mean(right.astype(float)), gap=gap, ece=ece)

    def sweeps(self, test: SweepTest, table: ScoreTable, drop: AllowedDrop, family: int) -> dict[str, MetricSweep]:
        """Return the metrics over a perturbation's magnitudes by name, of the examples that it was asked of."""
        samples = self.reader.samples(table.asked(test.columns), [CLEAN, *test.columns])
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
        samples = [(label, int(rows.sum()), self.reader.samples(table, [CLEAN], rows)) for label, rows in parts]
        groups = {}
        for name in (metric.name for metric in self.reader.metrics):
            of_metric = [(label, n, by_name.get(name)) for label, n, by_name in samples]
            if any(sample is not None for _, _, sample in of_metric):
                groups[name] = metric_groups(name, of_metric)
        return groups
