"""From a score table to the metrics of its examples: of what it keeps of predictions, and what its metadata says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference.metric_intervals import MetricSample
from mlflow_sensie.scores.kinds import KINDS, Floats, ScoreKind, most_probable
from mlflow_sensie.scores.metric_functions import Truth, squared_distance
from mlflow_sensie.scores.metric_samples import resolve_metrics, sample_of
from mlflow_sensie.scores.metrics import Metric, Needs
from mlflow_sensie.scores.no_skill import CONSTANTS
from mlflow_sensie.scores.outputs import DISTANCE, Outputs
from mlflow_sensie.scores.scorer import Scorer, Targets
from mlflow_sensie.scores.table import CLEAN, CLUSTER, TARGET, WEIGHT, ScoreTable, output_column

METADATA = "predictions"  # the key under which a table's metadata says how its predictions are read
NO_FUNCTIONS: Mapping[str, Callable[..., float]] = MappingProxyType({})


@dataclass(frozen=True)
class Baseline:
    """What the best constant predicts, of all examples that were evaluated, whichever are looked at.

    ``constant`` holds the classes' shares (K,), a regressor's number (1,), or where only scores are known the score
    of no skill (1,); ``None`` where that is undefined. ``upper`` is the score of a perfect prediction.
    """

    constant: tuple[float, ...] | None
    upper: float | None

    def of(
        self, outputs: Outputs, kind: ScoreKind | None, settings: Mapping[str, Any], targets: NDArray[Any]
    ) -> Floats | None:
        """Return what ``Truth.constant`` is for these targets (n,): shares, or scores (n,)."""
        if self.constant is None:
            return None
        if outputs.classes:
            shares = np.array(self.constant)
            return -_distances(shares, targets) if DISTANCE in outputs.parts else shares
        everywhere = np.full(len(targets), self.constant[0])
        return kind.score(everywhere, targets, settings) if outputs.needs == "numbers" and kind else everywhere


@dataclass(frozen=True)
class MetricReader:
    """Computes metrics from a score table.

    ``outputs`` says what the table keeps of predictions, ``classes`` what their numbers are called; ``kind`` and
    ``settings`` are those of the score, ``None`` of a user's own that was read back. Metrics are of the examples as
    they are: a column of weights counts, where the table is ``weighted`` by one, ``balanced`` weights do not.
    """

    metrics: tuple[Metric, ...]
    outputs: Outputs
    classes: tuple[Any, ...]
    kind: ScoreKind | None
    settings: Mapping[str, Any]
    baseline: Baseline
    weighted: bool
    seed: int

    @classmethod
    def of(
        cls, specs: Sequence[Any] | None, scorer: Scorer, targets: Targets, weights: Floats | None, seed: int
    ) -> MetricReader:
        """Make that of an evaluation from its recipe's metrics; ``weights`` (n,) are those of a column.

        Raises:
            RecipeError: a metric that there is not, or that this model gives no predictions for.
        """
        classes, baseline = tuple(targets.classes or ()), _baseline(scorer, targets.values, weights)
        return cls._with(
            specs, scorer.outputs, classes, scorer.kind, scorer.settings, baseline, weights is not None, seed
        )

    @classmethod
    def from_table(
        cls, table: ScoreTable, recipe: Mapping[str, Any], functions: Mapping[str, Callable[..., float]] = NO_FUNCTIONS
    ) -> MetricReader | None:
        """Make it again from a table's metadata and the plain ``recipe`` of its result.

        Users' metrics are there as far as ``functions`` has theirs by their name; none is loaded. ``None`` where the
        metadata do not say how predictions are read.
        """
        stored = table.metadata.get(METADATA)
        if stored is None:
            return None
        kind, settings = KINDS.get(table.metadata["score"]), dict(stored["settings"])

        def decide(probabilities: Floats) -> NDArray[np.intp]:
            return most_probable(probabilities) if kind is None else kind.decide(probabilities, settings)

        classes, constant = tuple(stored["classes"]), stored["constant"]
        outputs = Outputs(
            stored["needs"], tuple(stored["parts"]), classes=len(classes), positive=stored["positive"], decide=decide
        )
        specs = recipe.get("metrics")
        if specs is not None:
            specs = [_with_function(spec, functions) for spec in specs if _computable(spec, functions)]
        baseline = Baseline(None if constant is None else tuple(constant), stored["upper"])
        return cls._with(
            specs, outputs, classes, kind, settings, baseline, stored["weighted"], int(recipe.get("seed", 0))
        )

    @classmethod
    def _with(
        cls, specs: Sequence[Any] | None, outputs: Outputs, classes: tuple[Any, ...], kind: ScoreKind | None,
        settings: Mapping[str, Any], baseline: Baseline, weighted: bool, seed: int,
    ) -> MetricReader:  # fmt: skip
        metrics = resolve_metrics(specs, needs=outputs.needs, classes=classes, skill=_skill_needs(outputs, baseline))
        return cls(metrics, outputs, classes, kind, settings, baseline, weighted, seed)

    @property
    def metadata(self) -> dict[str, Any]:
        """What a table has to say of its predictions, as JSON-like values."""
        return {
            "needs": self.outputs.needs,
            "parts": list(self.outputs.parts),
            "classes": [_plain(name) for name in self.classes if self.outputs.classes],
            "positive": int(self.outputs.positive),
            "settings": {name: _plain(value) for name, value in self.settings.items()},
            "constant": None if self.baseline.constant is None else list(self.baseline.constant),
            "upper": self.baseline.upper,
            "weighted": self.weighted,
        }

    @property
    def functions(self) -> dict[str, Callable[..., float]]:
        """The functions of users' metrics by name."""
        users = (metric for metric in self.metrics if metric.method == "jackknife")
        return {metric.name: metric.function.keywords["function"] for metric in users}  # type: ignore[attr-defined]

    # --- reading -------------------------------------------------------------------------------------------

    def reads_scores(self, metric: Metric) -> bool:
        """Whether a metric is computed of the scores themselves."""
        return metric.needs == "scores" and DISTANCE not in self.outputs.parts

    def columns(self, columns: Sequence[str]) -> list[str]:
        """Return the names of the columns that hold the predictions which these W columns of scores were made of."""
        return [output_column(column, part) for column in columns for part in self.outputs.parts]

    def predictions(self, metric: Metric, parts: Floats, scores: Floats) -> list[NDArray[Any]]:
        """Return what a metric takes (W arrays) of parts of predictions (n, W · parts) and scores (n, W)."""
        if self.reads_scores(metric):
            return list(scores.T)
        return list(self.outputs.columns_of(parts, metric.needs))

    def samples(
        self, table: ScoreTable, columns: Sequence[str], rows: NDArray[np.bool_] | None = None
    ) -> dict[str, MetricSample]:
        """Return each metric's sample at W columns of scores, of some ``rows`` (n,); without what is undefined."""
        if not self.metrics:
            return {}
        parts = table.array(self.columns(columns))
        some = np.isfinite(table.column(CLEAN)) & np.isfinite(parts).all(axis=1)
        scores = np.empty((len(table), 0))
        if any(map(self.reads_scores, self.metrics)):
            scores = table.array(columns)
            some &= np.isfinite(scores).all(axis=1)
        some &= True if rows is None else rows
        if some.sum() < 2:
            return {}
        truth, clusters = self.truth(table, some)
        arrays = ((metric, self.predictions(metric, parts[some], scores[some])) for metric in self.metrics)
        samples = {metric.name: sample_of(metric, own, truth, clusters, seed=self.seed) for metric, own in arrays}
        return {name: sample for name, sample in samples.items() if sample is not None}

    def truth(self, table: ScoreTable, rows: NDArray[Any]) -> tuple[Truth, NDArray[np.int64] | None]:
        """Return the right answers to some rows, by a mask or their numbers, and their clusters where there are."""
        outputs, targets = self.outputs, table.column(TARGET)[rows]
        weights = table.column(WEIGHT)[rows] if self.weighted else None
        clusters = table.column(CLUSTER)[rows] if CLUSTER in table.columns else None
        baseline = self.baseline.of(outputs, self.kind, self.settings, targets)
        quantile = float(self.settings.get("quantile", 0.5))
        truth = Truth(targets, outputs.classes, outputs.positive, weights, baseline, self.baseline.upper, quantile)
        return truth, clusters


def _baseline(scorer: Scorer, targets: NDArray[Any], weights: Floats | None) -> Baseline:
    outputs, kind = scorer.outputs, scorer.kind
    if outputs.classes:
        return Baseline(tuple(Truth(targets, outputs.classes, weights=weights).class_shares.tolist()), 0.0)
    if outputs.needs == "numbers":
        return Baseline((float(CONSTANTS[kind.name](targets, weights, scorer.settings)),), 0.0)
    no_skill = scorer.no_skill_score(targets, weights)
    return Baseline(None if no_skill is None or scorer.scale.upper is None else (no_skill,), scorer.scale.upper)


def _skill_needs(outputs: Outputs, baseline: Baseline) -> Needs | None:
    """What skill is measured by, ``None`` where it is undefined."""
    if baseline.constant is None:
        return None
    return outputs.needs if outputs.classes and DISTANCE not in outputs.parts else "scores"


def _distances(shares: Floats, targets: NDArray[Any]) -> Floats:
    return squared_distance(np.broadcast_to(shares, (len(targets), len(shares))), Truth(targets, len(shares)))


def _computable(spec: Any, functions: Mapping[str, Any]) -> bool:
    return isinstance(spec, str) or "function" not in spec or spec["name"] in functions


def _with_function(spec: Any, functions: Mapping[str, Any]) -> Any:
    own = not isinstance(spec, str) and "function" in spec
    return {**spec, "function": functions[spec["name"]]} if own else spec


def _plain(value: Any) -> Any:
    """Return a label or setting as JSON has it."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
