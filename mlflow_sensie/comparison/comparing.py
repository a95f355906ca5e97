"""From two results to their comparison, and from several to a table that ranks them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.comparison.contrasts import Joint, Rng, paired, property_differences, unpaired
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.groups import compare_groups
from mlflow_sensie.comparison.metrics import MetricPair, clean_name, holdings_of
from mlflow_sensie.comparison.pairing import (
    Pairing,
    refuse_other_scores,
    same_examples,
    score_table_of,
    spec_of,
    why_not,
)
from mlflow_sensie.comparison.result import Compared, Comparison, TestComparison
from mlflow_sensie.comparison.sweeps import Holding, SweepPair, contrasts_of
from mlflow_sensie.inference import Interval, PropertyFit, Ranks, ScoreScale, bin_edges, property_test
from mlflow_sensie.inference.binning import inner_edges
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor
from mlflow_sensie.inference.metric_fits import MetricSweep
from mlflow_sensie.inference.weights import FloatArray
from mlflow_sensie.result import HEADLINES, Result, TestResult
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.scores.table import CLEAN, EXPECTED, expected_column, property_column, score_column

FEW = "few examples carry a difference, so pseudo-examples at the score's bounds widen its interval"
FEW_OF_A_CLASS = "a class has fewer than ten examples, so that no coverage is promised for metrics"
SCORE = "score"


def compare(a: Result, b: Result, source_a: str = "", source_b: str = "") -> Comparison:
    """Compare two results of the same recipe: every difference is that of ``b`` less ``a``.

    ``a`` and ``b`` have their score tables with them; the sources are the runs or folders they were read from. On the
    same data examples are paired by their ids; else the two are taken for independent, and a warning says so. Draws
    are seeded by A's recipe and the test's name.

    Raises:
        ComparisonError: the kinds of score differ, a score table is missing, or too few examples are common.
    """
    refuse_other_scores(a, b)
    join = Pairing.by_id if same_examples(a, b) else Pairing.apart
    scale = ScoreScale(a.score.lower, a.score.upper, a.score.unit)
    sides = (
        Compared(result.model_name, result.n, result.data_sha256, result.recipe_sha256, result.version, source)
        for result, source in ((a, source_a), (b, source_b))
    )
    pairing = join(score_table_of(a), score_table_of(b))
    return _ResultPair(a, b, pairing, scale, MetricPair.of(a, b, pairing)).comparison(tuple(sides))


@dataclass(frozen=True)
class _ResultPair:
    """Two results, their examples joined, the scale of their scores, and the metrics that both follow."""

    a: Result
    b: Result
    pairing: Pairing
    scale: ScoreScale
    metrics: MetricPair

    def comparison(self, sides: tuple[Compared, ...]) -> Comparison:
        tests, not_compared = self._tests()
        joint = self._joint([CLEAN], np.eye(1), self._reach([CLEAN]))
        clean, metrics = joint.difference("clean_score", 0, rising=True), self.metrics.clean()
        agree = self.pairing.identical()
        same_model = agree and self.a.model_uuid is not None and self.a.model_uuid == self.b.model_uuid
        same = agree and self.pairing.same_predictions()
        identical = same_model or (same and self.pairing.telling(self.scale))
        if identical:
            tests, clean = {name: test.as_identical() for name, test in tests.items()}, clean.as_identical()
            metrics = {name: difference.as_identical() for name, difference in metrics.items()}
        a, b = self.a.title, self.b.title
        return Comparison(
            a=a if a != b else f"{a} (A)",
            b=b if a != b else f"{b} (B)",
            score=self.a.score.kind,
            score_unit=self.a.score.unit,
            n=self.pairing.n,
            paired=self.pairing.paired,
            identical=identical,
            same_model=same_model,
            correlation=_correlation(joint) if self.pairing.paired else None,
            clean=clean,
            tests=tests,
            not_compared=not_compared,
            warnings=(*self._warnings(clean.n), *([self._agreement(identical, same_model, same)] if agree else [])),
            sides=sides,
            metrics=metrics,
            headline=headline
            if clean_name(headline := str(self.a.recipe.get("headline", SCORE))) in metrics
            else SCORE,
        )

    def _tests(self) -> tuple[dict[str, TestComparison], dict[str, str]]:
        """Compare every test of either; of those that cannot be, say why."""
        tests, not_compared = {}, {f"metric {name}": why for name, why in self.metrics.reasons.items()}
        names = {test.slug: test.name for result in (self.b, self.a) for test in result.tests.values()}
        order = [*(test.slug for test in self.a.tests.values()), *(test.slug for test in self.b.tests.values())]
        for slug in dict.fromkeys(order):
            name, reason = names[slug], why_not(self.a, self.b, slug) or self._why_not_paired(slug)
            try:
                if reason is None:
                    tests[name] = self._test(self.a.tests[name])
            except ValueError as error:  # e.g. too few examples with a score in both
                reason = str(error)
            if reason is not None:
                not_compared[name] = reason
        return tests, not_compared

    def _why_not_paired(self, slug: str) -> str | None:
        column = property_column(slug)
        if self.pairing.paired and column in self.pairing.a.columns and not self.pairing.same(column):
            return "its property is not the same in both: it is one of the predictions, or its values have changed"
        return None

    def _warnings(self, scored: int) -> list[str]:
        pairing, warnings = self.pairing, []
        if not pairing.paired:
            warnings.append(
                f"not paired: A was evaluated on the data {self.a.data_sha256[:12]}…, B on {self.b.data_sha256[:12]}…; "
                "the two are taken for independent, and their differences are the less sure for it"
            )
        elif lost := max(len(pairing.a), len(pairing.b)) - scored:
            warnings.append(f"{lost} examples have a clean score in one model only; the other {scored} are compared")
        if self.a.recipe_sha256 != self.b.recipe_sha256:
            warnings.append("the two recipes are not the same; what agrees between them is compared")
        return warnings

    def _agreement(self, identical: bool, same_model: bool, same_predictions: bool) -> str:
        """Say what it means that all scores agree."""
        if same_model:
            return "A and B are the same model"
        if not same_predictions:
            return f"all scores are the same on {self.pairing.n} examples, but the predictions are not"
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
            differences, curve = self._perturbation(test, rng)
        elif test.kind == "property":
            differences, curve = self._property(test, rng)
        else:
            spread, curve = self._groups(test, None, rng)
            differences = {"spread": spread}
        n = next(iter(differences.values())).n
        flags = {
            FEW: any(difference.few_informative for difference in differences.values()),
            FEW_OF_A_CLASS: any(difference.few_of_a_class for difference in differences.values()),
        }
        few = tuple(text for text, raised in flags.items() if raised)
        leads = f"{self.a.recipe.get('headline')}_mean_drop"
        leads = leads if leads in differences else ""
        return TestComparison(test.name, test.slug, test.kind, test.unit, n, differences, curve, few, leads)

    def _perturbation(self, test: TestResult, rng: Rng) -> tuple[dict[str, Difference], CurveDifference]:
        grid, magnitudes = test.fit.grid, range(len(test.fit.grid.magnitudes))
        scores = [CLEAN, *(score_column(test.slug, index) for index in magnitudes)]
        expected = [EXPECTED, *(expected_column(test.slug, index) for index in magnitudes)]
        reach, contrasts = self._reach(scores), contrasts_of(grid)
        pair = SweepPair(grid, self._joint(scores, contrasts, reach), reach)
        drops, holdings = self._metrics(test, scores)
        holding = holdings.get(SKILL) if self._by_skill(test) else pair.holding(self._floor(test.name))
        differences, curve = pair.differences(holding, rng), pair.curve(rng)
        if self._in_both(expected):
            reach = reach[0] - reach[1], reach[1] - reach[0]
            excess = self._joint(scores, contrasts, reach, expected)
            differences["unexpected"] = SweepPair(grid, excess, reach).effect(rng, "unexpected")
        return {**differences, **drops, **holdings_of(holdings, rng)}, curve

    def _metrics(self, test: TestResult, scores: Sequence[str]) -> tuple[dict[str, Difference], dict[str, Holding]]:
        drop = self._allowed_drop(test.name)
        relative = drop if isinstance(drop, int | float) else 0.1  # an absolute drop is one of the score
        return self.metrics.sweep((test, self.b.tests[test.name]), scores, relative)

    def _by_skill(self, test: TestResult) -> bool:
        """Whether up to where it holds is said of skill, as in the two results themselves."""
        fits = test.metric_fits, self.b.tests[test.name].metric_fits
        return not isinstance(self._allowed_drop(test.name), tuple) and any(SKILL in named for named in fits)

    def _joint(
        self, columns: Sequence[str], contrasts: FloatArray, reach: tuple[float, float], less: Sequence[str] = ()
    ) -> Joint:
        pairing = self.pairing
        if pairing.paired:
            return paired(pairing.steps(columns, less), contrasts, reach, pairing.designs[0])
        a, b = (table.array(columns) for table in (pairing.a, pairing.b))
        for k, name in enumerate(less):
            for rows, own in zip((a, b), pairing.column(name), strict=True):
                rows[:, k] -= own
        return unpaired(a, b, contrasts, reach, pairing.designs)

    def _reach(self, columns: Sequence[str]) -> tuple[float, float]:
        return self.pairing.reach(columns, self.scale)

    def _in_both(self, columns: Sequence[str]) -> bool:
        return all({*columns} <= {*table.columns} for table in (self.pairing.a, self.pairing.b))

    def _allowed_drop(self, name: str) -> AllowedDrop:
        drop = spec_of(self.a, name).get("allowed_drop") or self.a.recipe.get("allowed_drop", 0.1)
        return ("absolute", drop["absolute"]) if isinstance(drop, Mapping) else float(drop)

    def _floor(self, name: str) -> Floor:
        return Floor.of(self._allowed_drop(name), self.scale.fractional)

    def _property(self, test: TestResult, rng: Rng) -> tuple[dict[str, Difference], CurveDifference | None]:
        ours, theirs = test.fit, self.b.tests[test.name].fit
        step = self._step(test) if self.pairing.paired else None
        differences = property_differences(ours, theirs, step, rng)
        if ours.spread is None or theirs.spread is None:
            return differences, None
        cuts = self._cuts(test)
        if len(cuts) >= len(ours.curve.n):  # a slice has the bins of all examples, which its own do not tell
            return differences, None
        differences["spread"], curve = self._groups(test, cuts, rng)
        return differences, curve

    def _step(self, test: TestResult) -> PropertyFit:
        """Run the property test on the examples' own differences, whose range is twice that of the score."""
        column = property_column(test.slug)
        low, high = self._reach([CLEAN])
        return property_test(
            self.pairing.column(column)[0],
            self.pairing.steps([CLEAN])[:, 1],
            ScoreScale(low - high, high - low, self.scale.unit),
            expected=self.pairing.steps([EXPECTED])[:, 1] if self._in_both([EXPECTED]) else None,
            span=test.fit.span,
            design=self.pairing.designs[0],
            ranks=Ranks.of(self.pairing.a.column(column)) if test.fit.ranks else None,
        )

    def _groups(self, test: TestResult, cuts: FloatArray | None, rng: Rng) -> tuple[Difference, CurveDifference]:
        low, high = self._reach([CLEAN])
        return compare_groups(self.pairing, property_column(test.slug), cuts, test.fit.curve, high - low, rng)

    def _cuts(self, test: TestResult) -> FloatArray:
        """Give the edges between the bins of a property, as A's plan chose them."""
        bins = spec_of(self.a, test.name).get("bins", 20)
        values = self.pairing.a.column(property_column(test.slug))
        return inner_edges(*bin_edges(values, ("uniform", bins["uniform"]) if isinstance(bins, Mapping) else bins))


def _correlation(joint: Joint) -> float | None:
    """Give the correlation of two models' scores; None where one of them does not vary."""
    (var_a, with_d), (_, var_d) = joint.moments.covariance()
    var_b = var_a + var_d + 2 * with_d
    if not (var_a > 0 and var_b > 0):
        return None
    return float(np.clip((var_a + with_d) / np.sqrt(var_a * var_b), -1, 1))


# --- several results -------------------------------------------------------------------------------------


def leaderboard(results: Mapping[str, Result]) -> tuple[pd.DataFrame, dict[str, Comparison]]:
    """Rank results by name, the most robust first; each is compared with the first one given.

    Gives the table, a row per result, and the comparisons by the name of B. ``worst`` is the test with the largest
    mean drop, size of effect or spread, whichever kind of these the first result has, and ``worst_loss`` that
    value; results are in its order. Where the first result's headline is a metric, mean drops are its. ``skill`` and
    ``clean_<metric>`` are those that all results follow. ``clean_difference`` is that of the headline to the first
    result; ``more_robust`` and ``less_robust`` count the tests whose 95 % interval speaks for or against the result.

    Raises:
        ComparisonError: two of them cannot be compared.
    """
    first, *others = results
    comparisons = {name: compare(results[first], results[name], first, name) for name in others}
    kind = next((kind for kind in HEADLINES if any(test.kind == kind for test in results[first].tests.values())), "")
    ranked = _Ranked.of(list(results.values()), kind)
    rows = [_row(name, result, comparisons.get(name), ranked) for name, result in results.items()]
    return pd.DataFrame(rows).sort_values("worst_loss", kind="stable").reset_index(drop=True), comparisons


@dataclass(frozen=True)
class _Ranked:
    """What results are ranked by: a ``kind`` of tests, of the ``headline``; ``metrics`` are shown."""

    kind: str
    headline: str
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[Result], kind: str) -> _Ranked:
        headline = str(results[0].recipe.get("headline", SCORE))
        names = [name for name in results[0].metric_estimates if all(name in one.metric_estimates for one in results)]
        return cls(kind, headline if headline in names else SCORE, tuple(names))

    def loss(self, test: TestResult) -> Interval:
        """Give what stands for a test, turned so that more of it is worse."""
        fit = test.metric_fits.get(self.headline)
        return fit.mean_drop if isinstance(fit, MetricSweep) else _loss(test)


def _row(name: str, result: Result, comparison: Comparison | None, ranked: _Ranked) -> dict[str, Any]:
    tests = [test for test in result.tests.values() if test.kind == ranked.kind and test.ok]
    worst = max(tests, key=lambda test: ranked.loss(test).value, default=None)
    row = {"run": name, "model": result.title, **_interval("clean_score", result.clean)}
    for metric in ranked.metrics:
        estimate = result.metric_estimates[metric]
        interval = estimate.interval or Interval(estimate.value, *(float("nan"),) * 4)
        row |= _interval(clean_name(metric), interval)
    row |= {"worst": worst.name if worst else "", **_interval("worst_loss", ranked.loss(worst) if worst else None)}
    row |= _interval("clean_difference", comparison.leading.difference if comparison else None)
    losses = [test.headline.worse_by for test in comparison.tests.values()] if comparison else []
    counts = sum(loss.hi95 < 0 for loss in losses), sum(loss.lo95 > 0 for loss in losses)
    return {**row, "more_robust": counts[0], "less_robust": counts[1], "compared": len(losses)}


def _interval(name: str, interval: Interval | None) -> dict[str, float]:
    ends = (float("nan"),) * 3 if interval is None else (interval.value, interval.lo95, interval.hi95)
    return dict(zip((name, f"{name}_lo95", f"{name}_hi95"), ends, strict=True))


def _loss(test: TestResult) -> Interval:
    """Give a test's headline, turned so that more of it is worse."""
    headline = test.headline
    return headline.negated() if test.kind == "property" and headline.value < 0 else headline
