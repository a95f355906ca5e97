"""The frozen result of a comparison: all that figures, the gate and the command line read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import TypeAdapter

from mlflow_sensie.comparison.difference import Conclusion, CurveDifference, Difference
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.recipe.model import slug
from mlflow_sensie.result import HEADLINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TestComparison:
    """The differences of one test by metric, those that its kind has.

    Perturbations: mean_drop, effect, slope (where the sweep has one side), holds_until, and unexpected (where both
    followed their own confidence), and of each metric <metric>_mean_drop and <metric>_holds_until. Properties: effect,
    slope, unexpected, spread. Categories and classes: spread. `leads` names the one that stands for the test.
    `curve` compares the models magnitude by magnitude, bin by bin or level by level; None for a property without
    bins. `n` examples have every score of it in both.
    """

    __test__ = False

    name: str
    slug: str
    kind: str
    unit: str
    n: int
    differences: dict[str, Difference]
    curve: CurveDifference | None = None
    warnings: tuple[str, ...] = ()
    leads: str = ""

    @property
    def headline(self) -> Difference:
        """The difference that stands for the test: of the mean drops, effects or spreads, by its kind."""
        return self.differences[self.leads] if self.leads else self.of_score

    @property
    def of_score(self) -> Difference:
        """The difference of the score that stands for the test, whichever metric leads."""
        return self.differences[HEADLINES[self.kind]]

    def as_identical(self) -> TestComparison:
        """Give the comparison of a model with itself: every difference exactly 0."""
        differences = {metric: difference.as_identical() for metric, difference in self.differences.items()}
        return replace(self, differences=differences, curve=self.curve and self.curve.as_identical())


@dataclass(frozen=True)
class Compared:
    """One of the two: its model, where it was read from, and what it was measured on, by which recipe and version."""

    model: str
    n: int
    data_sha256: str
    recipe_sha256: str
    version: str
    source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Comparison:
    """How model B differs from model A; ``sides`` tells both.

    `paired`: on the same `n` examples, joined by their ids; else the two were measured on different data, and
    `n` is the smaller number of examples. `identical`: every score of the two is the same, to the last digit, and
    they are the `same_model`, or the scores differ so much among themselves, as probabilities do, that two models do
    not agree on all by chance; every difference is then exactly 0.
    `correlation` is that of the clean scores: an unpaired comparison would need about 1 / (1 - correlation) times
    the examples. `metrics` are the differences of the clean inputs by ``skill`` and ``clean_<metric>``, and `headline`
    is what leads, ``score`` or a metric. `not_compared` says of each other test or metric why it could not be.
    """

    a: str
    b: str
    score: str
    score_unit: str
    n: int
    paired: bool
    identical: bool
    correlation: float | None
    clean: Difference
    tests: dict[str, TestComparison]
    not_compared: dict[str, str]
    warnings: tuple[str, ...] = ()
    sides: tuple[Compared, ...] = ()
    same_model: bool = False
    metrics: dict[str, Difference] = field(default_factory=dict)
    headline: str = "score"
    schema_version: int = SCHEMA_VERSION

    @property
    def whole(self) -> dict[str, Difference]:
        """The differences of the clean inputs by name: ``clean_score``, and those of metrics."""
        return {"clean_score": self.clean, **self.metrics}

    @property
    def leading(self) -> Difference:
        """The difference of the clean inputs that stands for the two: of the headline."""
        return next(
            (self.metrics[name] for name in (self.headline, f"clean_{self.headline}") if name in self.metrics),
            self.clean,
        )

    @property
    def conclusions(self) -> list[Conclusion]:
        """Of each test, which model the difference that stands for it speaks for."""
        return [test.headline.conclusion for test in self.tests.values()]

    def difference(self, test: str | None, metric: str) -> Difference:
        """Give a difference, of a test by its name or slug, or of all: ``clean_score``, ``skill``, ``clean_<metric>``.

        Raises:
            ComparisonError: there is no such difference; the message says why.
        """
        differences = self.whole if test is None else self._test(test).differences
        if metric not in differences:
            where = "the two models as a whole" if test is None else f"test {test!r}"
            raise ComparisonError(f"{where}: no difference of {metric!r}; there are: {', '.join(differences)}")
        return differences[metric]

    def _test(self, name: str) -> TestComparison:
        for test in self.tests.values():
            if name in (test.name, test.slug):
                return test
        reasons = {slug(test): reason for test, reason in self.not_compared.items()} | self.not_compared
        raise ComparisonError(f"test {name!r} was not compared: {reasons.get(name, 'neither result has such a test')}")

    def summary(self) -> pd.DataFrame:
        """A row per test and metric: a, b, difference, lo50, hi50, lo95, hi95, prob_more_robust, n, informative."""
        rows = [("", difference) for difference in self.whole.values()]
        rows += [(name, difference) for name, test in self.tests.items() for difference in test.differences.values()]
        return pd.DataFrame([_summary_row(name, difference) for name, difference in rows])

    def plot(self, test: str | None = None) -> Figure:
        """Draw all differences, or one test's curves and their difference by its name or slug.

        Raises:
            ComparisonError: there is no such test.
            ValueError: the test has no curve.
        """
        from mlflow_sensie.plots import draw_differences, draw_pair

        return draw_differences(self) if test is None else draw_pair(self, self._test(test))

    def html(self) -> str:
        """Return all of it as one self-contained page of HTML."""
        from mlflow_sensie.report.comparison_page import render

        return render(self)

    def _repr_html_(self) -> str:
        """The findings and the summary, for notebooks."""
        from mlflow_sensie.report.page import render_piece

        return render_piece(self)

    def to_json(self) -> str:
        """Return the comparison as JSON (a versioned schema)."""
        return _ADAPTER.dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Read back what ``to_json`` wrote.

        Raises:
            pydantic.ValidationError: the text is no such comparison.
        """
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Comparison)


def _summary_row(test: str, difference: Difference) -> dict[str, object]:
    interval = asdict(difference.difference)
    row = {"test": test, "metric": difference.metric, "a": difference.a, "b": difference.b}
    row |= {"difference": interval.pop("value"), **interval, "prob_more_robust": difference.prob_more_robust}
    return {**row, "n": difference.n, "informative": difference.informative}
