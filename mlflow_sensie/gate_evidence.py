"""What a rule is judged by: the value, its interval, and the probabilities that the rule is kept or broken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from mlflow_sensie.comparison import Comparison
from mlflow_sensie.differences import ContrastSums, Difference, Skewed
from mlflow_sensie.errors import DataError
from mlflow_sensie.gate_rules import Rule
from mlflow_sensie.inference import Curve, PerturbationFit, Posterior, PropertyFit, ScoreScale, spread_of
from mlflow_sensie.inference.posterior import t_quantile
from mlflow_sensie.moments import Extremes, FloatArray, GroupedMoments
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores import CLEAN

FEW = "few examples are informative, so it is judged by the interval that pseudo-scores widen"
MOST_MORE = 10**9


@dataclass(frozen=True)
class Evidence:
    """What is known of what a rule limits.

    ``kept`` and ``broken`` are the probabilities that the rule is, which may leave room between them. ``more(c)``
    tells how many times the examples would bring one of them to the confidence c, None where no number would.
    """

    value: float
    lo95: float | None
    hi95: float | None
    kept: float
    broken: float
    n: int
    warnings: tuple[str, ...] = ()
    more: Callable[[float], float | None] | None = None
    note: str = ""

    def n_more(self, confidence: float) -> int | None:
        """How many more examples would about settle the rule, were the estimate to stay where it is."""
        factor = self.more(confidence) if self.more else _by_width(self.kept, self.broken, confidence)
        wanted = math.inf if factor is None else self.n * (factor - 1)
        return max(1, math.ceil(wanted)) if wanted < MOST_MORE else None


def _by_width(kept: float, broken: float, confidence: float) -> float | None:
    """Times the examples until P reaches the confidence: the distance to the limit grows with √n standard errors."""
    surest = max(kept, broken)
    if surest <= 0.5:
        surest = 1 - min(kept, broken)
    distance = float(ndtri(surest))
    return (float(ndtri(confidence)) / distance) ** 2 if distance > 1e-6 else None


def gather(rule: Rule, result: Result, test: TestResult | None, comparison: Comparison | None) -> Evidence:
    """Find what a rule is judged by, for one test that has the metric, or for the whole evaluation.

    Raises:
        DataError: the evidence is not there; the message says why.
    """
    if rule.versus is None:
        return _clean(rule, result) if test is None else _absolute(rule, result, test)
    assert comparison is not None
    evidence = _paired(rule, _difference(rule, test, comparison))
    return replace(evidence, warnings=comparison.warnings) if comparison.identical else evidence


def _difference(rule: Rule, test: TestResult | None, comparison: Comparison) -> Difference:
    if test is None:
        return comparison.clean
    if test.name not in comparison.tests:
        raise DataError(comparison.missing.get(test.name, f"test {test.name!r} was not compared with the baseline"))
    found = comparison.tests[test.name].differences.get(rule.metric)
    if found is None:
        raise DataError(f"the {rule.metric} of test {test.name!r} was not compared with the baseline")
    return found


def _paired(rule: Rule, found: Difference) -> Evidence:
    low, high = found.loss.interval()
    return Evidence(
        value=found.worse_by,
        lo95=low,
        hi95=high,
        kept=found.prob_worse_by_at_most(rule.limit),
        broken=found.prob_worse_by_more(rule.limit),
        n=found.n,
        warnings=(FEW,) if found.few_informative else (),
    )


def clean_posterior(result: Result) -> tuple[Skewed, bool]:
    """Give the posterior of the mean clean score, and whether few examples carry it.

    From the score table where there is one; else from the interval, which knows no guard, so that pseudo-scores
    at the bounds are added where the scores hardly vary.
    """
    scale = ScoreScale(result.score.lower, result.score.upper, result.score.unit)
    table = result.score_table
    if table is None:
        return _clean_from_interval(result, scale)

    def rows() -> list[FloatArray]:
        return [block[CLEAN][np.isfinite(block[CLEAN])][:, None] for block in table.blocks([CLEAN])]

    seen = Extremes.empty()
    for block in rows():
        seen += Extremes.of(block)
    low, high = scale.reach(seen)
    middle = low + (high - low) / 2
    found, few = ContrastSums.of(lambda: [block - middle for block in rows()], np.eye(1)).posterior(0, (high - low) / 2)
    return found.shifted(middle), few


def _clean_from_interval(result: Result, scale: ScoreScale) -> tuple[Skewed, bool]:
    n, value = result.n, result.clean.value
    spread = (result.clean.hi95 - result.clean.lo95) / 2 / t_quantile(n - 1, 0.975)
    low, high = scale.reach(Extremes(value, value))
    few = n * (spread / (high - low)) ** 2 * n < 20  # 0/1 scores with fewer than 20 of the rarer kind
    if few:
        middle, most, total = low + (high - low) / 2, (high - low) / 2, n + 4
        second = spread**2 * n * (n - 1) + 4 * most**2 + (value - middle) ** 2 * 4 * n / total
        value, spread, n = middle + (value - middle) * n / total, math.sqrt(second / (total - 1) / total), total
    return Skewed(value, spread, float(n - 1)), few


def _clean(rule: Rule, result: Result) -> Evidence:
    found, few = clean_posterior(result)
    low, high = found.interval()
    kept = found.prob_above(rule.limit)
    return Evidence(result.clean.value, low, high, kept, 1 - kept, result.n, (FEW,) if few else ())


def _absolute(rule: Rule, result: Result, test: TestResult) -> Evidence:
    found: dict[str, Callable[[Rule, Any], Evidence]] = {
        "mean_drop": _mean_drop,
        "effect": _effect,
        "unexpected": _unexpected,
        "holds_until": _holds_until,
    }
    evidence = _spread(rule, result, test) if rule.metric == "spread" else found[rule.metric](rule, test.fit)
    flag = "few_for_holds_until" if rule.metric == "holds_until" else "few_informative"
    few = rule.metric != "spread" and flag in test.fit.flags
    return replace(evidence, warnings=(FEW,)) if few else evidence


def _mean_drop(rule: Rule, fit: PerturbationFit) -> Evidence:
    found, kept = fit.mean_drop, fit.mean_drop_posterior.prob_below(rule.limit)
    return Evidence(found.value, found.lo95, found.hi95, kept, 1 - kept, fit.n)


def _size(rule: Rule, n: int, parts: list[Posterior]) -> Evidence:
    """The size of an effect, of all sides: as sure as its least sure side (intersection-union)."""
    kept = [
        1 - part.prob_abs_at_least(rule.limit) if part.scale else float(abs(part.loc) <= rule.limit) for part in parts
    ]
    least = int(np.argmin(kept))
    low, high = parts[least].interval()
    return Evidence(parts[least].loc, low, high, kept[least], 1 - kept[least], n)


def _effect(rule: Rule, fit: PerturbationFit | PropertyFit) -> Evidence:
    parts = [fit.posterior] if isinstance(fit, PropertyFit) else [side.posterior for side in fit.sides]
    return _size(rule, fit.n, parts)


def _unexpected(rule: Rule, fit: PropertyFit) -> Evidence:
    assert fit.unexpected_posterior is not None
    return _size(rule, fit.n, [fit.unexpected_posterior])


def _holds_until(rule: Rule, fit: PerturbationFit) -> Evidence:
    probabilities = [side.holds.prob_at_least(rule.limit) for side in fit.sides]
    kept = min(probabilities)
    tested = min(side.holds.distances[-1] for side in fit.sides)
    note = f"; only distances up to {tested:g} were tested" if rule.limit > tested else ""
    return Evidence(fit.holds_until, fit.holds_until_lo95, None, kept, 1 - kept, fit.n, note=note)


def _spread(rule: Rule, result: Result, test: TestResult) -> Evidence:
    scale = ScoreScale(result.score.lower, result.score.upper, result.score.unit)
    spread = test.fit.spread if test.kind == "property" else test.fit.levels_spread
    seen = _seen(result, scale, test.name)
    groups = _groups(test.fit.curve, None)

    def kept(sums: GroupedMoments) -> float:
        return 1 - spread_of(sums, scale, seen, rule.limit).prob_sensitive

    def more(confidence: float) -> float | None:
        shrunk = _groups(test.fit.curve, spread.means)

        def settled(factor: float) -> bool:
            p = kept(replace(shrunk, n=shrunk.n * factor, m2=shrunk.m2 * factor))
            return max(p, 1 - p) >= confidence

        factors = [1.1**step for step in range(1, 145)]
        return next((factor for factor in factors if settled(factor)), None) if settled(factors[-1]) else None

    p, found = kept(groups), spread.spread
    return Evidence(found.value, found.lo95, found.hi95, p, 1 - p, test.fit.n, more=more)


def _groups(curve: Curve, means: tuple[float | None, ...] | None) -> GroupedMoments:
    """The sums of a curve's groups, about other means if given; a group without examples stays empty."""
    n = np.array(curve.n, np.float64)
    centre, sd = (np.array([0.0 if x is None else x for x in values]) for values in (means or curve.score, curve.sd))
    return GroupedMoments(n, centre, sd**2 * np.maximum(n - 1, 0), np.zeros(len(n)), np.zeros(len(n)))


def _seen(result: Result, scale: ScoreScale, name: str) -> Extremes:
    """Smallest and largest score, which an unbounded score's spread is measured by."""
    seen = Extremes.empty()
    if scale.bounded:
        return seen
    if result.score_table is None:
        raise DataError(f"the spread of test {name!r} needs the score table, which a result from JSON does not have")
    for block in result.score_table.blocks([CLEAN]):
        seen += Extremes.of(block[CLEAN][np.isfinite(block[CLEAN])])
    return seen
