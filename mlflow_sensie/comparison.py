"""Two models on the same examples: every difference, with the examples paired."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pydantic import TypeAdapter

from mlflow_sensie.comparison_tests import Context, TestComparison, compare_test, scores_of, spec_of
from mlflow_sensie.differences import Difference
from mlflow_sensie.errors import DataError
from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.paired_tests import clean_difference
from mlflow_sensie.pairing import Pairing
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores import CLEAN, ScoreTable, property_column


@dataclass(frozen=True)
class Comparison:
    """How a candidate differs from a baseline on ``n`` common examples of the same data.

    ``missing`` says why a test could not be compared. ``correlation`` is that of the clean scores; an unpaired
    comparison would need about 1 / (1 - correlation) times the examples. ``identical``: all scores are equal, so
    every difference is exactly 0.
    """

    n: int
    candidate: str
    baseline: str
    score: str
    data_sha256: str
    identical: bool
    correlation: float | None
    clean: Difference
    tests: dict[str, TestComparison]
    missing: dict[str, str]
    warnings: tuple[str, ...] = ()

    def summary(self) -> pd.DataFrame:
        """A row per test and metric: value (candidate less baseline), lo95, hi95, worse_by, prob_more_robust."""
        rows = [("clean", self.clean)]
        rows += [(name, found) for name, test in self.tests.items() for found in test.differences.values()]
        columns = ["candidate", "baseline", "value", "lo95", "hi95", "worse_by", "prob_more_robust", "correlation", "n"]
        table = [[name, found.metric, *(getattr(found, column) for column in columns)] for name, found in rows]
        return pd.DataFrame(table, columns=["test", "metric", *columns])

    def to_json(self) -> str:
        """Return the comparison as JSON."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Read back what ``to_json`` wrote.

        Raises:
            pydantic.ValidationError: the text is no such comparison.
        """
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Comparison)


def compare(
    candidate: Result,
    baseline: Result,
    *,
    candidate_scores: ScoreTable | None = None,
    baseline_scores: ScoreTable | None = None,
) -> Comparison:
    """Compare two results of the same recipe on the same data, example by example.

    ``candidate_scores`` and ``baseline_scores`` are needed for a result that was read back from JSON: it comes
    without its score table (``ScoreTable.read_parquet``). Draws are seeded by the candidate's recipe and the
    test's name.

    Raises:
        DataError: the score kinds, data, magnitudes or settings of a test differ, a score table is missing or
            belongs to other data, or fewer than two examples are common.
    """
    ours, theirs = _table(candidate, candidate_scores, "candidate"), _table(baseline, baseline_scores, "baseline")
    _refuse_others(candidate, baseline)
    pairing = Pairing.of(ours, theirs)
    scale = ScoreScale(candidate.score.lower, candidate.score.upper, candidate.score.unit)
    context = Context(pairing, scale, candidate, baseline)
    missing = {name: reason for name in candidate.tests if (reason := _not_comparable(context, name)) is not None}
    tests = {}
    for name in candidate.tests:
        if name not in missing:
            try:
                tests[name] = compare_test(context, name)
            except ValueError as error:  # e.g. too few examples with a score in both
                missing[name] = f"test {name!r}: {error}"
    clean = clean_difference(lambda: scores_of(pairing, [CLEAN]), scale)
    identical = pairing.identical()
    if identical:
        tests, clean = {name: test.as_identical() for name, test in tests.items()}, clean.as_identical()
    return Comparison(
        n=pairing.n,
        candidate=candidate.model_name,
        baseline=baseline.model_name,
        score=candidate.score.kind,
        data_sha256=candidate.data_sha256,
        identical=identical,
        correlation=clean.correlation,
        clean=clean,
        tests=tests,
        missing=missing,
        warnings=_warnings(context, identical),
    )


# --- what is refused ---------------------------------------------------------------------------------------


def _table(result: Result, given: ScoreTable | None, side: str) -> ScoreTable:
    table = result.score_table if given is None else given
    if table is None:
        raise DataError(
            f"the {side} has no score table: it was read back from JSON; "
            f"give {side}_scores=ScoreTable.read_parquet('…/sensie/scores.parquet')"
        )
    for key, wanted in (("data_sha256", result.data_sha256), ("score", result.score.kind)):
        if (found := table.metadata.get(key, wanted)) != wanted:
            raise DataError(f"the {side}'s score table does not belong to its result: {key} {found!r}, not {wanted!r}")
    return table


def _refuse_others(candidate: Result, baseline: Result) -> None:
    ours, theirs = candidate.score, baseline.score
    if (ours.kind, ours.lower, ours.upper) != (theirs.kind, theirs.lower, theirs.upper):
        raise DataError(
            f"the candidate is scored by {ours.kind!r}, the baseline by {theirs.kind!r}; such scores are not "
            "compared: let the recipe's 'score' name one that both models can have"
        )
    if candidate.data_sha256 != baseline.data_sha256:
        raise DataError(
            f"the candidate was evaluated on the data {candidate.data_sha256[:12]}…, the baseline on "
            f"{baseline.data_sha256[:12]}…; evaluate both with the same recipe on the same examples"
        )
    for name in candidate.tests.keys() & baseline.tests.keys():
        _refuse_other_test(candidate.tests[name], baseline.tests[name])
    recipes = candidate.recipe, baseline.recipe
    for name in candidate.tests.keys() & baseline.tests.keys():
        for key in ("apply", "params", "of", "bins", "rank", "allowed_drop"):
            said = [spec_of(recipe, name).get(key, recipe.get(key)) for recipe in recipes]
            if said[0] != said[1]:
                raise DataError(
                    f"test {name!r}: {key} is {said[0]!r} for the candidate and {said[1]!r} for the baseline"
                )


def _refuse_other_test(ours: TestResult, theirs: TestResult) -> None:
    where = f"test {ours.name!r}"
    if ours.kind != theirs.kind and "perturbation" in (ours.kind, theirs.kind):
        raise DataError(f"{where} is a {ours.kind} test of the candidate and a {theirs.kind} test of the baseline")
    for key in ("magnitudes", "neutral", "log_distance"):
        said = [getattr(test.fit, key, None) for test in (ours, theirs)]
        if ours.ok and theirs.ok and said[0] != said[1]:
            raise DataError(f"{where}: {key} is {said[0]} for the candidate and {said[1]} for the baseline")


def _not_comparable(context: Context, name: str) -> str | None:
    """Why a test cannot be compared, if it cannot."""
    ours, theirs = context.candidate.tests[name], context.baseline.tests.get(name)
    if theirs is None:
        return f"the baseline has no test {name!r}"
    for side, test in (("candidate", ours), ("baseline", theirs)):
        if not test.ok:
            return f"test {name!r} failed on the {side}: {test.error}"
    if ours.kind != "perturbation" and not context.pairing.same(property_column(ours.slug)):
        return f"property {name!r} is one of the predictions: it differs between the two models"
    return None


def _warnings(context: Context, identical: bool) -> tuple[str, ...]:
    found = []
    pairing = context.pairing
    lost = max(len(pairing.candidate), len(pairing.baseline)) - pairing.n
    if lost:
        found.append(f"{lost} examples are in one score table only; the comparison is of the {pairing.n} common ones")
    if context.candidate.recipe_sha256 != context.baseline.recipe_sha256:
        found.append("the two recipes are not the same; only what agrees between them is compared")
    if identical:
        found.append(
            f"all scores agree on {pairing.n} examples; a difference that shows in fewer than about one example "
            f"of {pairing.n / 3:.0f} could have been missed"
        )
    return tuple(found)
