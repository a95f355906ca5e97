"""From two results to their comparison."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_sensie.comparison.contrasts import Joint, Rng, paired, unpaired
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.grouping import compare_groups
from mlflow_sensie.comparison.matching import refuse_other_scores, score_table_of, spec_of, why_not
from mlflow_sensie.comparison.pairing import SIDES, Pairing, design_columns, design_of
from mlflow_sensie.comparison.properties import paired_fit, property_differences
from mlflow_sensie.comparison.result import Compared, Comparison, TestComparison
from mlflow_sensie.comparison.sweeps import SweepPair, contrast_difference, contrasts_of
from mlflow_sensie.inference import Ranks, SamplingDesign, ScoreScale, bin_edges
from mlflow_sensie.inference.binning import inner_edges
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.moments import FloatArray
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores.table import CLEAN, EXPECTED, expected_column, property_column, score_column

FEW = "few examples carry a difference, so pseudo-examples at the score's bounds widen its interval"


def compare(a: Result | str | Path, b: Result | str | Path) -> Comparison:
    """Compare two results of the same recipe: every difference is that of ``b`` less ``a``.

    ``a`` and ``b``: results with their score tables, as ``probe`` gives them; runs by their id or
    ``runs:/…`` URI; or folders with a ``report.json`` and its ``scores.parquet``. On the same data examples are
    paired by their ids; else the two are taken for independent, and a warning says so. Draws are seeded by A's
    recipe and the test's name.

    Raises:
        ComparisonError: the kinds of score differ, a score table is missing, or too few examples are common.
    """
    ours, theirs = (each if isinstance(each, Result) else _read(each) for each in (a, b))
    return compare_results(ours, theirs, *("" if isinstance(each, Result) else str(each) for each in (a, b)))


def compare_results(a: Result, b: Result, source_a: str = "", source_b: str = "") -> Comparison:
    """Compare two results that were read from these sources, runs or folders."""
    found = _Pair.of(a, b).compare()
    return replace(found, sides=(Compared.of(a, source_a), Compared.of(b, source_b)))


def _read(source: str | Path) -> Result:
    from mlflow_sensie.tracking.runs import read_result

    return read_result(source)


@dataclass(frozen=True)
class _Pair:
    """Two results, their examples joined, and the scale of their scores."""

    a: Result
    b: Result
    pairing: Pairing
    scale: ScoreScale

    @classmethod
    def of(cls, a: Result, b: Result) -> _Pair:
        refuse_other_scores(a, b)
        join = Pairing.by_id if _same_examples(a, b) else Pairing.apart
        pairing = join(score_table_of(a), score_table_of(b))
        return cls(a, b, pairing, ScoreScale(a.score.lower, a.score.upper, a.score.unit))

    def compare(self) -> Comparison:
        tests, missing = self._tests()
        joint = self.joint([CLEAN], np.eye(1))
        clean = contrast_difference(joint, "clean_score", 0, rising=True)
        agree = self.pairing.identical()
        same_model = agree and self.a.model_uuid is not None and self.a.model_uuid == self.b.model_uuid
        identical = same_model or (agree and self.pairing.telling(self.scale))
        if identical:
            tests, clean = {name: test.as_identical() for name, test in tests.items()}, clean.as_identical()
        names = (self.a.title, self.b.title)
        return Comparison(
            a=names[0] if names[0] != names[1] else f"{names[0]} (A)",
            b=names[1] if names[0] != names[1] else f"{names[1]} (B)",
            score=self.a.score.kind,
            score_unit=self.a.score.unit,
            n=self.pairing.n,
            paired=self.pairing.paired,
            identical=identical,
            same_model=same_model,
            correlation=_correlation(joint) if self.pairing.paired else None,
            clean=clean,
            tests=tests,
            not_compared=missing,
            warnings=(*self._warnings(clean.n), *([self._agreement(identical, same_model)] if agree else [])),
        )

    def joint(self, columns: list[str], contrasts: FloatArray) -> Joint:
        """Sum contrasts of these columns over both models."""
        return self._joint(columns, (), contrasts, self.pairing.reach(columns, self.scale))

    def _joint(
        self, columns: list[str], less: Sequence[str], contrasts: FloatArray, reach: tuple[float, float]
    ) -> Joint:
        if self.pairing.paired:
            return paired(lambda: self.pairing.differences(columns, less), contrasts, reach)
        a, b = (partial(self.pairing.rows, side, columns, less) for side in SIDES)
        return unpaired(a, b, contrasts, reach)

    def _tests(self) -> tuple[dict[str, TestComparison], dict[str, str]]:
        tests, missing = {}, {}
        slugs = {test.slug: test.name for result in (self.b, self.a) for test in result.tests.values()}
        order = [*(test.slug for test in self.a.tests.values()), *(test.slug for test in self.b.tests.values())]
        for slug in dict.fromkeys(order):
            reason = why_not(self.a, self.b, slug) or self._why_not_paired(slug)
            try:
                if reason is None:
                    tests[slugs[slug]] = self._test(self.a.tests[slugs[slug]])
            except ValueError as error:  # e.g. too few examples with a score in both
                reason = str(error)
            if reason is not None:
                missing[slugs[slug]] = reason
        return tests, missing

    def _why_not_paired(self, slug: str) -> str | None:
        column = property_column(slug)
        if self.pairing.paired and column in self.pairing.a.columns and not self.pairing.same(column):
            return "its property is not the same in both: it is one of the predictions, or its values have changed"
        return None

    def _warnings(self, scored: int) -> tuple[str, ...]:
        pairing, found = self.pairing, []
        if not pairing.paired:
            found.append(
                f"not paired: A was evaluated on the data {self.a.data_sha256[:12]}…, B on {self.b.data_sha256[:12]}…; "
                "the two are taken for independent, and their differences are the less sure for it"
            )
        elif lost := max(len(pairing.a), len(pairing.b)) - scored:
            found.append(f"{lost} examples have a clean score in one model only; the other {scored} are compared")
        if self.a.recipe_sha256 != self.b.recipe_sha256:
            found.append("the two recipes are not the same; what agrees between them is compared")
        return tuple(found)

    def _agreement(self, identical: bool, same_model: bool) -> str:
        """Say what it means that all scores agree."""
        if same_model:
            return "A and B are the same model"
        agree = f"all scores are the same on {self.pairing.n} examples"
        if identical:
            missed = max(1, self.pairing.n // 3)
            return f"{agree}; a difference that shows in fewer than one example of {missed} could have been missed"
        return f"{agree}, but are so alike that two models can agree on them by chance: judged as any two models are"

    # --- one test ------------------------------------------------------------------------------------------

    def _test(self, test: TestResult) -> TestComparison:
        rng = np.random.default_rng([self.a.recipe.get("seed", 0), zlib.crc32(test.slug.encode())])
        curve: CurveDifference | None
        if test.kind == "perturbation":
            pair = self._sweep(test)
            found, curve = pair.differences(self._floor(test.name), rng), pair.curve(rng)
            if (excess := self._excess(test, pair)) is not None:
                found["unexpected"] = excess.effect(rng, "unexpected")
        elif test.kind == "property":
            found, curve = self._property(test, rng)
        else:
            spread, curve = self._groups(test, None, rng)
            found = {"spread": spread}
        n = next(iter(found.values())).n
        few = (FEW,) if any(each.few_informative for each in found.values()) else ()
        return TestComparison(test.name, test.slug, test.kind, test.unit, n, found, curve, few)

    def _sweep(self, test: TestResult) -> SweepPair:
        sweep = test.fit.grid
        columns = _scores_of(test)
        return SweepPair(sweep, self.joint(columns, contrasts_of(sweep)), self.pairing.reach(columns, self.scale))

    def _excess(self, test: TestResult, pair: SweepPair) -> SweepPair | None:
        """The sweep of what the models' own confidence does not announce; None where that was not followed."""
        announced = [EXPECTED, *(expected_column(test.slug, index) for index in range(len(test.fit.magnitudes)))]
        if not all({*announced} <= {*table.columns} for table in (self.pairing.a, self.pairing.b)):
            return None
        low, high = pair.reach
        reach = low - high, high - low
        return SweepPair(pair.sweep, self._joint(_scores_of(test), announced, contrasts_of(pair.sweep), reach), reach)

    def _floor(self, name: str) -> Floor:
        drop = spec_of(self.a, name).get("allowed_drop") or self.a.recipe.get("allowed_drop", 0.1)
        allowed = ("absolute", drop["absolute"]) if isinstance(drop, Mapping) else drop
        return Floor.of(allowed, self.scale.fractional)

    def _property(self, test: TestResult, rng: Rng) -> tuple[dict[str, Difference], CurveDifference | None]:
        ours, theirs = test.fit, self.b.tests[test.name].fit
        both = None
        if self.pairing.paired:
            reach = self.pairing.reach([CLEAN], self.scale)
            ranks = Ranks.of(self.pairing.a.column(property_column(test.slug))) if ours.ranks else None
            design = self._designs if design_columns(self.pairing.a) else None
            both = paired_fit(self._property_blocks(test), self.scale, reach, ours.span, design, ranks)
        found = property_differences(ours, theirs, both, rng)
        if ours.spread is None or theirs.spread is None:
            return found, None
        found["spread"], curve = self._groups(test, self._cuts(test), rng)
        return found, curve

    def _groups(self, test: TestResult, cuts: FloatArray | None, rng: Rng) -> tuple[Difference, CurveDifference]:
        return compare_groups(self.pairing, property_column(test.slug), cuts, test.fit.curve, self.scale, rng)

    def _property_blocks(self, test: TestResult) -> Callable[[], Iterator[tuple[Any, Any, Any]]]:
        column, tables = property_column(test.slug), (self.pairing.a, self.pairing.b)
        expected = [EXPECTED] if all(EXPECTED in table.columns for table in tables) else []

        def blocks() -> Iterator[tuple[Any, Any, Any]]:
            for ours, theirs in self.pairing.blocks([column, CLEAN, *expected]):
                announced = theirs[EXPECTED] - ours[EXPECTED] if expected else None
                yield ours[column], theirs[CLEAN] - ours[CLEAN], announced

        return blocks

    def _designs(self) -> Iterator[SamplingDesign]:
        for ours, _ in self.pairing.blocks(design_columns(self.pairing.a)):
            yield design_of(ours)

    def _cuts(self, test: TestResult) -> FloatArray:
        """The edges between the bins of a property, as A's plan chose them."""
        bins = spec_of(self.a, test.name).get("bins", 20)
        values = self.pairing.a.column(property_column(test.slug))
        return inner_edges(*bin_edges(values, ("uniform", bins["uniform"]) if isinstance(bins, Mapping) else bins))


def _same_examples(a: Result, b: Result) -> bool:
    """Whether both were measured on the same inputs and targets, whatever properties they asked for."""
    return a.data_sha256 == b.data_sha256 or (a.examples_sha256 is not None and a.examples_sha256 == b.examples_sha256)


def _scores_of(test: TestResult) -> list[str]:
    return [CLEAN, *(score_column(test.slug, index) for index in range(len(test.fit.magnitudes)))]


def _correlation(joint: Joint) -> float | None:
    """Give the correlation of two models' scores; None where one of them does not vary."""
    (var_a, with_d), (_, var_d) = joint.moments.covariance()
    var_b = var_a + var_d + 2 * with_d
    if not (var_a > 0 and var_b > 0):
        return None
    return float(np.clip((var_a + with_d) / np.sqrt(var_a * var_b), -1, 1))
