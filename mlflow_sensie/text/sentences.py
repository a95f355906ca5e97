"""Findings in plain words: one sentence per test and per slice that stands out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import CategoryFit, Interval, PerturbationFit, PropertyFit
from mlflow_sensie.inference.decision import excludes_zero
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import Finding, Tone

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_sensie.result import Result, TestResult


# What each tone is called, in the order in which they are told.
TONES: dict[Tone, str] = {"bad": "Sensitive", "failed": "Failed", "good": "Negligible or better", "open": "Undecided"}


def findings(result: Result) -> list[Finding]:
    """Return the findings: what the model is sensitive to, what failed, what does not matter, what is undecided.

    Within each the largest comes first; slices stand after tests.
    """
    failed, succeeded = ([test for test in result.tests.values() if test.ok is ok] for ok in (False, True))
    succeeded.sort(key=lambda test: abs(test.headline.value), reverse=True)
    found = [Finding(test.name, sentence(result, test), _tone(test)) for test in succeeded]
    found += _slice_findings(result)
    found += [Finding(test.name, f"the test failed: {test.error}", "failed") for test in failed]
    return sorted(found, key=lambda each: list(TONES).index(each.tone))


def sentence(result: Result, test: TestResult) -> str:
    """Say what a test that succeeded found."""
    fit = test.fit
    if isinstance(fit, PerturbationFit):
        return f"{_drop(test, fit)}, and {_holds(result, test, fit)}{_announced(fit)}."
    if isinstance(fit, PropertyFit):
        return f"{_change(test, fit)}{_claim(fit)}."
    return _levels(fit)


def _tone(test: TestResult) -> Tone:
    decision = test.fit.decision
    better = test.kind == "perturbation" and test.fit.mean_drop.value < 0
    if decision == "sensitive" and not better:
        return "bad"
    return "open" if decision == "undecided" else "good"


def _said(interval: Interval, sign: float = 1) -> str:
    """A size with its interval; ``sign`` −1 turns a fall into a loss."""
    value, low, high = words.between(interval.negated() if sign < 0 else interval)
    return f"{value} [{low}, {high}]"


def _quantity(test: TestResult, *values: float) -> str:
    return words.quantity(words.plain(test.unit), *values)


# --- perturbations -----------------------------------------------------------------------------------------


def _drop(test: TestResult, fit: PerturbationFit) -> str:
    ends = [p for p in fit.curve.p if p is not None]
    over = f"on average over {_quantity(test, min(ends), max(ends))}"
    if fit.decision == "negligible":
        return f"no change that matters: the score loses {_said(fit.mean_drop)} {over}"
    verb, sign = ("loses", 1) if fit.mean_drop.value >= 0 else ("gains", -1)
    said = f"the score {verb} {_said(fit.mean_drop, sign)} {over}"
    return said if fit.decision == "sensitive" else f"not clear yet: {said}"


def _holds(result: Result, test: TestResult, fit: PerturbationFit) -> str:
    """Up to where it keeps its allowed share, a bound in brackets."""
    kept = _kept(result, test)
    if all(side.holds.censored and side.holds.lo95 >= side.holds.value for side in fit.sides):
        return f"{kept} over the whole range"
    if fit.neutral is None and any(s.holds.value <= s.holds.distances[0] and not s.holds.censored for s in fit.sides):
        return f"{kept} at no magnitude"
    step = (max(fit.magnitudes) - min(fit.magnitudes)) / 150
    points, bounds = [], []
    for side in fit.sides:
        at, bound = (fit.magnitude(side.side, d) for d in (side.holds.value, side.holds.lo95))
        points.append(("at least " if side.holds.censored else "") + words.number(at, step))
        bounds.append(words.number(bound, step))
    unit = words.plain(test.unit)
    if len(points) == 1:
        return f"{kept} up to {words.with_unit(points[0], unit)} (95 % sure to {bounds[0]})"
    said = words.with_unit(f"{points[0]} to {points[1]}", unit)
    return f"{kept} from {said} (95 % sure from {bounds[0]} to {bounds[1]})"


def _announced(fit: PerturbationFit) -> str:
    """Whether the model's own confidence falls with the score; nothing where that was not followed."""
    found = fit.unexpected
    if found is None or not excludes_zero(found) or abs(found.value) < fit.rope:
        return "" if found is None else "; the model's own confidence follows"
    if found.value < 0:
        return f"; its confidence does not follow: a fall of {_said(found, -1)} is not announced"
    return f"; the model announces a larger fall, by {_said(found)}"


def _kept(result: Result, test: TestResult) -> str:
    own: dict[str, Any] = next((spec for spec in result.recipe["perturbations"] if spec["name"] == test.name), {})
    drop: Any = own.get("allowed_drop") or result.recipe["allowed_drop"]
    if isinstance(drop, dict) or (result.score.lower, result.score.upper) != (0, 1):
        size = drop["absolute"] if isinstance(drop, dict) else drop
        return f"stays within {words.number(float(size))} of the clean score"
    return f"keeps {words.number(100 * (1 - float(drop)))} % of its value"


# --- properties and categories -----------------------------------------------------------------------------


def _change(test: TestResult, fit: PropertyFit) -> str:
    over = "from the lowest to the highest rank" if fit.ranks else f"from {_quantity(test, *fit.span)}"
    if fit.decision == "negligible":
        return f"no change that matters: the score changes by {_said(fit.effect)} {over}"
    if fit.decision == "sensitive" and fit.spread is not None and not excludes_zero(fit.effect):
        bend = f"the score goes up and down: its bins differ by an SD of {_said(fit.spread.spread)}"
        return f"{bend}, while from end to end it changes by {_said(fit.effect)} {over}"
    verb, sign = ("rises", 1) if fit.effect.value >= 0 else ("falls", -1)
    said = f"the score {verb} by {_said(fit.effect, sign)} {over}"
    return said if fit.decision == "sensitive" else f"not clear yet: {said}"


def _claim(fit: PropertyFit) -> str:
    """Harder, or worse than the model claims; of a trend, which a score that goes up and down does not have."""
    if fit.unexpected is None or fit.decision != "sensitive" or not excludes_zero(fit.effect):
        return ""
    where = "low" if fit.effect.value >= 0 else "high"
    if excludes_zero(fit.unexpected) and abs(fit.unexpected.value) >= fit.rope:
        if fit.unexpected.value * fit.effect.value > 0:
            rest = f"; the model does not announce {_said(fit.unexpected)} of this"
            return f"{rest}: worse than it claims where it is {where}"
        return f"; the model announces even more, by {_said(fit.unexpected)}"
    return f"; harder where it is {where}, as the model itself says"


def _levels(fit: CategoryFit) -> str:
    known = [(mean, name) for mean, name in zip(fit.levels_spread.means, fit.levels, strict=True) if mean is not None]
    (low, worst), (high, best) = min(known), max(known)
    bottom, top = (
        f"{words.plain(name)} ({words.number(x, 0.01, zeros=True)})" for name, x in ((worst, low), (best, high))
    )
    size = f"the levels differ by an SD of {_said(fit.spread)}"
    if fit.decision == "negligible":
        return f"no difference that matters: {size}."
    return f"{size if fit.decision == 'sensitive' else f'not clear yet: {size}'}; lowest {bottom}, highest {top}."


# --- slices ------------------------------------------------------------------------------------------------


def _slice_findings(result: Result) -> Iterator[Finding]:
    if not result.slices:
        return
    frame, rope = result.slices_frame(), float(result.recipe["inference"]["rope"])
    for column in result.slices:
        rows = frame[(frame["column"] == column.column) & frame["worst"]]
        yield from _worst_of(column.column, rows, result.clean.value, rope)


def _worst_of(column: str, rows: pd.DataFrame, whole: float, rope: float) -> Iterator[Finding]:
    """A sentence where a column's worst slice surely stands out: lower, or worse than the model claims."""
    for row in rows[rows["test"] == ""].to_dict("records"):
        name = f"{words.plain(column)} = {words.plain(row['level'])}"
        value, low, high = (float(row[key]) for key in ("pooled", "pooled_lo95", "pooled_hi95"))
        said = _said(Interval(value, value, value, low, high))
        if row["quantity"] == "unannounced" and high < -rope:
            yield Finding(name, f"worse than the model claims: its score is {said} away from what it announces.", "bad")
        elif row["quantity"] == "clean_score" and high < whole - rope:
            yield Finding(
                name, f"the clean score is {said}, below the {words.number(whole, 0.01)} of the whole.", "bad"
            )
