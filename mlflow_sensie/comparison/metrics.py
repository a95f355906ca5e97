"""Two models' metrics compared: of the clean inputs, their drops over a sweep, and up to where they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mlflow_sensie.comparison.contrasts import Rng, independent, moments_apart
from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.pairing import Pairing
from mlflow_sensie.comparison.sweeps import Holding, with_pseudo_curves
from mlflow_sensie.inference import MagnitudeGrid, Posterior, SkewedT
from mlflow_sensie.inference.holds_until import FEW_FAILURES, Floor
from mlflow_sensie.inference.metric_fits import FEW, MetricSweep, metric_difference
from mlflow_sensie.inference.metric_intervals import MetricSample, contrast_interval, contrast_posteriors
from mlflow_sensie.inference.posterior import Interval
from mlflow_sensie.inference.weights import FloatArray, Moments, Units
from mlflow_sensie.models.labels import key_of
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores.metric_reader import MetricReader
from mlflow_sensie.scores.metric_samples import sample_of
from mlflow_sensie.scores.metrics import LOSS, SKILL, Metric
from mlflow_sensie.scores.table import CLEAN


def clean_name(metric: str) -> str:
    """Return what the difference of a metric of the clean inputs is called.

    >>> clean_name("roc_auc"), clean_name("skill")
    ('clean_roc_auc', 'skill')
    """
    return metric if metric == SKILL else f"clean_{metric}"


@dataclass(frozen=True)
class MetricSamples:
    """A metric of two models at W columns each: on the same examples ``paired`` (2W), A's before B's, else apart."""

    metric: Metric
    n: int
    paired: MetricSample | None = None
    apart: tuple[MetricSample, ...] = ()

    @property
    def values(self) -> tuple[FloatArray, FloatArray]:
        """The metric's values (W,) of A and of B."""
        if self.paired is None:
            return self.apart[0].values, self.apart[1].values
        width = len(self.paired.values) // 2
        return self.paired.values[:width], self.paired.values[width:]

    @property
    def samples(self) -> tuple[MetricSample, ...]:
        """All samples there are."""
        return self.apart if self.paired is None else (self.paired,)

    def difference(self, name: str, contrast: FloatArray, *, rising: bool) -> Difference:
        """Compare a contrast (W,) under a name; ``rising``: more of it is better.

        The posterior is widened until its 95 % interval is that of the metric, which some methods make longer than
        that of their t; claims that B is worse by at most so much heed the skewness of the influences as well.
        """
        a, b = (float(values @ contrast) for values in self.values)
        posterior = self._posterior(contrast)
        unskewed, bound = replace(posterior, skew=0.0), posterior.scaled(-1) if rising else posterior
        return Difference(
            name, self.n, a, b, unskewed.summary(value=b - a), unskewed, "higher" if rising else "lower",
            bound=bound, few_of_a_class=any(_few_of_a_class(sample) for sample in self.samples),
        )  # fmt: skip

    def _posterior(self, contrast: FloatArray) -> SkewedT:
        if self.paired is not None:
            difference = metric_difference(self.paired, contrast)
            return _widened(difference.posterior, difference.difference)
        posteriors = [(sample, contrast_posteriors(sample, contrast[:, None])[0]) for sample in self.apart]
        a, b = (_widened(known, contrast_interval(sample, contrast, known)) for sample, known in posteriors)
        step = self.apart[1].values - self.apart[0].values
        return replace(independent(a, b), loc=float(step @ contrast))

    def holding(self, grid: MagnitudeGrid, fits: tuple[MetricSweep, MetricSweep], drop: float) -> Holding:
        """Say up to where both keep all but the allowed ``drop`` of what lies above no skill; ``fits`` are theirs."""
        sign, moments, both = self.samples[0].sign, self._moments(), (self.samples[0], self.samples[-1])
        ends = [sign * end for sample in self.samples for end in sample.reach]
        above = [sign * float(sample.no_skill) for sample in both if sample.no_skill is not None]
        a, b = (Floor(1 - drop, -drop * value, drop) for value in above)
        lost = [_lost(fit, sign, value) for fit, value in zip(fits, above, strict=True)]
        return Holding(
            grid, self.n, with_pseudo_curves(moments, min(ends), max(ends)), (a, b),
            (sign * self.values[0][None], sign * self.values[1][None]), (lost[0], lost[1]),
            bool(moments.n * drop < FEW_FAILURES),
        )  # fmt: skip

    def _moments(self) -> Moments:
        """Give those of A's columns and of B - A's, greater being better."""
        if self.paired is None:
            ours, theirs = (replace(one.units.moments, mean=one.sign * one.units.moments.mean) for one in self.apart)
            return moments_apart(ours, theirs)
        rows = self.paired.sign * self.paired.rows
        a, b = np.split(rows, 2, axis=1)
        return Units.of(np.hstack([a, b - a]), self.paired.design).moments


@dataclass(frozen=True)
class MetricPair:
    """The metrics that two results both follow, and what they are computed with.

    ``reasons`` say of those which cannot be compared why, by name.
    """

    pairing: Pairing
    readers: tuple[MetricReader, MetricReader] | None = None
    metrics: tuple[Metric, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, a: Result, b: Result, pairing: Pairing) -> MetricPair:
        """Find what the two have in common; users' functions serve both where one of them was just evaluated."""
        functions = {**b.metric_functions, **a.metric_functions}
        ours = MetricReader.from_table(pairing.a, a.recipe, functions)
        theirs = MetricReader.from_table(pairing.b, b.recipe, functions)
        if ours is None or theirs is None:
            return cls(pairing)
        common = [name for name in _followed(a) if name in _followed(b)]
        reasons = {name: why for name in common if (why := _why_not(name, (a, b), (ours, theirs), pairing.paired))}
        metrics = tuple(metric for metric in ours.metrics if metric.name in common and metric.name not in reasons)
        return cls(pairing, (ours, theirs), metrics, reasons)

    def clean(self) -> dict[str, Difference]:
        """Compare the metrics of the clean inputs, by the names ``skill`` and ``clean_<metric>``."""
        ones, names = np.ones(1), clean_name
        return {
            names(metric): samples.difference(names(metric), ones, rising=samples.metric.greater_is_better)
            for metric, samples in self._samples([CLEAN]).items()
        }

    def sweep(
        self, tests: tuple[TestResult, TestResult], columns: Sequence[str], drop: float
    ) -> tuple[dict[str, Difference], dict[str, Holding]]:
        """Compare mean drops over both sweeps, ``<metric>_mean_drop``, and say by metric up to where it holds."""
        grid = tests[0].fit.grid
        contrast = grid.contrasts()[:, len(grid.sides)]
        drops, holdings = {}, {}
        for name, samples in self._samples(columns).items():
            key, fits = f"{name}_mean_drop", [test.metric_fits.get(name) for test in tests]
            drops[key] = samples.difference(key, samples.samples[0].sign * contrast, rising=False)
            known = [fit for fit in fits if isinstance(fit, MetricSweep) and fit.holds_until is not None]
            if len(known) == len(tests):
                holdings[name] = samples.holding(grid, (known[0], known[1]), drop)
        return drops, holdings

    def _samples(self, columns: Sequence[str]) -> dict[str, MetricSamples]:
        """Return both models' samples of each metric at these columns of scores, but for undefined and biased ones."""
        if self.readers is None:
            return {}
        samples = self._paired(columns) if self.pairing.paired else self._apart(columns)
        return {one.metric.name: one for one in samples if one.samples[0].method != "none"}

    def _paired(self, columns: Sequence[str]) -> Iterator[MetricSamples]:
        assert self.readers is not None
        pairing, width = self.pairing, len(columns)
        parts = pairing.arrays(*(reader.columns(columns) for reader in self.readers))
        scores = pairing.arrays(columns, columns)
        some = np.logical_and.reduce([np.isfinite(array).all(axis=1) for array in (*parts, *scores)])
        if some.sum() < 2:
            return
        rows = np.flatnonzero(some) if pairing.order is None else pairing.order[0][some]
        truth, clusters = self.readers[0].truth(pairing.a, rows)
        groups = [0, *[1] * (width - 1)]
        groups += [1 + max(groups) + group for group in groups]
        for metric in self.metrics:
            sides = zip(self.readers, parts, scores, strict=True)
            arrays = [one for reader, p, s in sides for one in reader.predictions(metric, p[some], s[some])]
            sample = sample_of(metric, arrays, truth, clusters, groups=groups, seed=self.readers[0].seed)
            if sample is not None:
                yield MetricSamples(metric, sample.n, paired=sample)

    def _apart(self, columns: Sequence[str]) -> Iterator[MetricSamples]:
        assert self.readers is not None
        tables = self.pairing.a, self.pairing.b
        ours, theirs = (reader.samples(table, columns) for reader, table in zip(self.readers, tables, strict=True))
        for metric in self.metrics:
            if metric.name in ours and metric.name in theirs:
                a, b = ours[metric.name], theirs[metric.name]
                yield MetricSamples(metric, min(a.n, b.n), apart=(a, b))


def holdings_of(holdings: Mapping[str, Holding], rng: Rng) -> dict[str, Difference]:
    """Compare up to where metrics hold, ``<metric>_holds_until``."""
    names = {metric: f"{metric}_holds_until" for metric in holdings}
    return {name: holdings[metric].difference(name, rng) for metric, name in names.items()}


# --- what two results have in common -------------------------------------------------------------------------


def _followed(result: Result) -> list[str]:
    """Return the metrics that a result follows, wherever they are defined."""
    fits = (test.metric_fits for test in result.tests.values())
    return list(dict.fromkeys([*result.metric_estimates, *(name for named in fits for name in named)]))


def _why_not(
    name: str, results: tuple[Result, Result], readers: tuple[MetricReader, MetricReader], paired: bool
) -> str | None:
    """Say why a metric that both follow cannot be compared, if it cannot."""
    specs = [_function_of(result, name) for result in results]
    if specs[0] != specs[1]:
        return "it is another function in A than in B"
    a, b = (next((metric for metric in reader.metrics if metric.name == name), None) for reader in readers)
    if a is None or b is None:
        return "its function does not come with a result that was read back: compare results that were just evaluated"
    if a.needs != b.needs:
        return f"it is computed of {a.needs} in A and of {b.needs} in B"
    of_a, of_b = ([*map(key_of, reader.classes), reader.outputs.positive] for reader in readers)
    if of_a != of_b:
        return "the classes, their order or the positive one are not the same in A and B"
    if not paired and a.scale == LOSS:
        return "it is in the target's unit, and the two were measured on different data"
    return None


def _function_of(result: Result, name: str) -> Any:
    """Return how the recipe names the function of a user's metric, None for one of the package."""
    specs = (spec for spec in result.recipe.get("metrics") or () if isinstance(spec, Mapping))
    return next((spec["function"] for spec in specs if spec["name"] == name and "function" in spec), None)


# --- the parts of a difference -------------------------------------------------------------------------------


def _widened(posterior: Posterior, interval: Interval) -> SkewedT:
    """Widen a t until its 95 % interval holds another."""
    low, high = posterior.interval()
    wanted = max(interval.hi95 - posterior.loc, posterior.loc - interval.lo95)
    factor = max(1.0, 2 * wanted / (high - low)) if high > low else 1.0
    return SkewedT.of(replace(posterior, scale=posterior.scale * factor))


def _few_of_a_class(sample: MetricSample) -> bool:
    return sample.smallest_class is not None and sample.smallest_class < FEW


def _lost(fit: MetricSweep, sign: int, above: float) -> bool:
    """Tell whether the clean value is not surely above no skill, so that there is nothing to lose."""
    return not min(sign * fit.lo95[0], sign * fit.hi95[0]) > above
