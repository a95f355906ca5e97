"""The comparison of one test: from two results and their joined score tables to the test's differences."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.differences import Difference
from mlflow_sensie.inference import Posterior, ScoreScale, bin_edges, property_test
from mlflow_sensie.inference.binning import inner_edges
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.sides import Sweep
from mlflow_sensie.moments import FloatArray, GroupedMoments
from mlflow_sensie.paired_spread import spread_difference
from mlflow_sensie.paired_sweep import CurveDifference, perturbation_differences
from mlflow_sensie.paired_tests import Rng, property_difference, reach_of
from mlflow_sensie.pairing import Pairing
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores import CLEAN, EXPECTED, Block, property_column, score_column


@dataclass(frozen=True)
class TestComparison:
    """The differences of one test by metric: mean_drop, effect, slope, holds_until, unexpected, spread.

    Those that the test's kind has; ``slope`` only where a sweep has one side. ``curve`` is that of perturbation
    tests.
    """

    __test__ = False

    name: str
    slug: str
    kind: str
    differences: dict[str, Difference]
    curve: CurveDifference | None = None

    def as_identical(self) -> TestComparison:
        """Give the comparison of a model with itself: every difference exactly 0."""
        found = {metric: known.as_identical() for metric, known in self.differences.items()}
        return replace(self, differences=found, curve=self.curve.as_identical() if self.curve else None)


@dataclass(frozen=True)
class Context:
    """What is compared: two results, their examples joined, and the scale of their scores."""

    pairing: Pairing
    scale: ScoreScale
    candidate: Result
    baseline: Result

    def spec(self, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What both recipes say of a test."""
        return spec_of(self.candidate.recipe, name), spec_of(self.baseline.recipe, name)


def spec_of(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what a recipe says of a test; empty for the class test."""
    specs = [*recipe.get("properties", ()), *recipe.get("perturbations", ())]
    return next((spec for spec in specs if spec["name"] == name), {})


def compare_test(context: Context, name: str) -> TestComparison:
    """Compare one test, its draws seeded by the candidate's recipe and the test's name.

    Raises:
        ValueError: too few examples have a score in both.
    """
    test = context.candidate.tests[name]
    rng = np.random.default_rng([context.candidate.recipe.get("seed", 0), zlib.crc32(test.slug.encode())])
    if test.kind == "perturbation":
        found, curve = _compare_sweep(context, test, rng)
        return TestComparison(name, test.slug, test.kind, found, curve)
    if test.kind == "property":
        return TestComparison(name, test.slug, test.kind, _compare_property(context, test, rng))
    spread = _compare_spread(context, test, None, len(test.fit.levels), rng)
    return TestComparison(name, test.slug, test.kind, {"spread": spread})


def scores_of(pairing: Pairing, columns: list[str]) -> Iterator[FloatArray]:
    """Rows (n, 2k): the baseline's columns, then candidate less baseline; rows with a missing score left out."""
    for ours, theirs in pairing.blocks(columns):
        baseline = np.column_stack([theirs[name] for name in columns])
        rows = np.hstack([baseline, np.column_stack([ours[name] for name in columns]) - baseline])
        yield rows[np.isfinite(rows).all(1)]


def _compare_sweep(context: Context, test: TestResult, rng: Rng) -> tuple[dict[str, Difference], CurveDifference]:
    sweep = Sweep.of(test.fit.magnitudes, test.fit.neutral, test.fit.log_distance)
    columns = [CLEAN, *(score_column(test.slug, index) for index in range(len(sweep.magnitudes)))]
    drop = context.spec(test.name)[0].get("allowed_drop") or context.candidate.recipe.get("allowed_drop", 0.1)
    allowed = ("absolute", drop["absolute"]) if isinstance(drop, Mapping) else drop
    floor = Floor.of(allowed, context.scale.fractional)
    return perturbation_differences(lambda: scores_of(context.pairing, columns), sweep, floor, context.scale, rng)


def _compare_property(context: Context, test: TestResult, rng: Rng) -> dict[str, Difference]:
    paired = _paired_property(context, test)
    ours, theirs = test.fit, context.baseline.tests[test.name].fit
    few = any("few_informative" in fit.flags for fit in (ours, theirs, paired))
    known: dict[str, tuple[Posterior | None, ...]] = {
        "effect": (ours.posterior, theirs.posterior, paired.posterior),
        "unexpected": (ours.unexpected_posterior, theirs.unexpected_posterior, paired.unexpected_posterior),
    }
    found = {}
    for metric, (candidate, baseline, both) in known.items():
        if candidate is not None and baseline is not None and both is not None:
            found[metric] = property_difference(metric, paired.n, candidate, baseline, both, rng, few)
    found["slope"] = found["effect"].scaled("slope", 1 / (ours.span[1] - ours.span[0]))
    if ours.spread is not None and theirs.spread is not None:
        cuts = _cuts(context, test)
        found["spread"] = _compare_spread(context, test, cuts, len(cuts) + 1, rng)
    return found


def _paired_property(context: Context, test: TestResult) -> Any:
    """The property test of D, whose range is twice as wide; the expected score's difference is D's own."""
    column, scale = property_column(test.slug), context.scale
    tables = context.pairing.candidate, context.pairing.baseline
    columns = [column, CLEAN, *([EXPECTED] if all(EXPECTED in table.columns for table in tables) else [])]
    width = scale.upper - scale.lower if scale.lower is not None and scale.upper is not None else None
    wider = ScoreScale(None if width is None else -width, width, scale.unit)

    def blocks() -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]:
        for ours, theirs in context.pairing.blocks(columns):
            announced = ours[EXPECTED] - theirs[EXPECTED] if EXPECTED in columns else None
            yield ours[column], ours[CLEAN] - theirs[CLEAN], announced

    return property_test(blocks, wider, span=test.fit.span)


def _cuts(context: Context, test: TestResult) -> FloatArray:
    """The edges between the bins of a property, as the plan chose them."""
    values = context.pairing.candidate.column(property_column(test.slug))
    bins = context.spec(test.name)[0].get("bins", 20)
    return inner_edges(*bin_edges(values, ("uniform", bins["uniform"]) if isinstance(bins, Mapping) else bins))


def _compare_spread(context: Context, test: TestResult, cuts: FloatArray | None, groups: int, rng: Rng) -> Difference:
    """Compare the spreads between levels, or between the bins that ``cuts`` make of a property."""
    column, scale = property_column(test.slug), context.scale
    sums = [GroupedMoments.empty(groups) for _ in range(3)]
    for ours, theirs in context.pairing.blocks([column, CLEAN]):
        index, rows = _grouped(ours, theirs, column, cuts)
        for which, values in enumerate((rows[:, 0], rows.sum(1), rows[:, 1])):
            sums[which] += GroupedMoments.of(index, values, groups)
    reach = reach_of(lambda: scores_of(context.pairing, [CLEAN]), 1, scale)
    return spread_difference(sums[0], sums[1], sums[2], scale, reach, rng)


def _grouped(ours: Block, theirs: Block, column: str, cuts: FloatArray | None) -> tuple[NDArray[np.int64], FloatArray]:
    """Group numbers and rows (baseline's clean score, D) of the examples that have both."""
    values = np.asarray(ours[column])
    rows = np.column_stack([theirs[CLEAN], ours[CLEAN] - theirs[CLEAN]])
    known = np.isfinite(rows).all(1) & (np.isfinite(values) if cuts is not None else values >= 0)
    index = values if cuts is None else np.searchsorted(cuts, values, side="right")
    return np.asarray(index[known], np.int64), rows[known]
