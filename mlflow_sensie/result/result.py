"""The frozen result of an evaluation: all that plots, report, comparison, gate and tracking read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field, PrivateAttr, field_validator

from mlflow_sensie.inference import GuardedEstimate, Interval
from mlflow_sensie.inference.metric_fits import MetricEstimate
from mlflow_sensie.inference.multiplicity import Multiplicity
from mlflow_sensie.inference.pymc_engine import Sampling
from mlflow_sensie.result import frames
from mlflow_sensie.result.keys import WORST, essential_of, metrics_before, overview_of, size_of
from mlflow_sensie.result.tests import Confidence, Frozen, Interaction, ScoreInfo, SliceColumn, TestResult
from mlflow_sensie.result.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result.gallery import Gallery
    from mlflow_sensie.scores.table import ScoreTable

SCHEMA_VERSION = 2  # 1 is what 0.1.0 wrote: it is read and shown, and put beside nothing newer
MOST_TESTS_WITH_KEYS = 50

PlotKind = Literal["auto", "overview", "curve", "categories", "slices", "gallery"]


class Result(Frozen):
    """What an evaluation found: every test by name, and what it was measured on.

    ``n`` examples have a clean score, of which ``clean_known`` is all that is known; the best constant prediction has
    ``no_skill_score``. ``metric_estimates`` are the metrics of the clean inputs by name, skill first; ``confidence``
    is how sure it is of its answers, where it gives probabilities.
    ``n_predictions`` were made for scores, of the ``n_planned`` of all examples at all magnitudes. ``sampling`` tells
    how engine ``pymc`` sampled. ``verdict`` is the answer of the recipe's gate. ``model_uuid`` is the identity of a
    logged model, which an alias or a version of a registry may stand for; ``label`` the name of its run, where its own
    name is an id. ``examples_sha256`` is of inputs, targets, weights and clusters, ``data_sha256`` of the properties
    as well.
    """

    schema_version: int = SCHEMA_VERSION
    version: str
    score: ScoreInfo
    n: int
    clean: Interval
    clean_known: GuardedEstimate | None = None
    no_skill_score: float | None = None
    metric_estimates: dict[str, MetricEstimate] = Field(default_factory=dict)
    confidence: Confidence | None = None
    tests: dict[str, TestResult]
    several: Multiplicity | None = None
    slices: tuple[SliceColumn, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    sampling: Sampling | None = None
    recipe: dict[str, Any]
    recipe_yaml: str
    recipe_sha256: str
    data_sha256: str
    examples_sha256: str | None = None
    model_name: str
    label: str = ""
    model_uuid: str | None = None
    choices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    n_predictions: int
    n_planned: int | None = None
    seconds: float
    prefix: str = ""
    verdict: Verdict | None = None
    _score_table: Any = PrivateAttr(default=None)
    _metric_functions: dict[str, Any] = PrivateAttr(default_factory=dict)
    _galleries: dict[str, Any] = PrivateAttr(default_factory=dict)
    _inference_data: Any = PrivateAttr(default=None)

    @field_validator("schema_version")
    @classmethod
    def _readable(cls, version: int) -> int:
        if not 1 <= version <= SCHEMA_VERSION:
            raise ValueError(f"this version of mlflow-sensie reads the schemas 1 to {SCHEMA_VERSION}; {version} came")
        return version

    @property
    def read_only(self) -> bool:
        """Whether an earlier version wrote it: it is shown in that version's words, and not judged or refitted."""
        return self.schema_version < SCHEMA_VERSION

    @property
    def title(self) -> str:
        """What people call the model."""
        return self.label or self.model_name

    @property
    def score_table(self) -> ScoreTable | None:
        """The scores of all examples; ``None`` on a result that was read back from JSON."""
        table: ScoreTable | None = self._score_table
        return table

    @property
    def metric_functions(self) -> Mapping[str, Callable[..., float]]:
        """The functions of users' metrics by name; none on a result that was read back."""
        return MappingProxyType(self._metric_functions)

    @property
    def galleries(self) -> Mapping[str, Gallery]:
        """A gallery per perturbation test by name, made under ``log_examples: full`` alone; never in the JSON."""
        return MappingProxyType(self._galleries)

    @property
    def inference_data(self) -> Any:
        """What engine ``pymc`` sampled, as ArviZ has it: InferenceData, a DataTree from ArviZ 1 on.

        ``None`` with another engine, and on a result that was read back from JSON.
        """
        return self._inference_data

    @property
    def failed(self) -> dict[str, str]:
        """Failed tests by name, with their errors."""
        return {name: test.error or "" for name, test in self.tests.items() if not test.ok}

    @property
    def status(self) -> str:
        """``done``, ``partial`` (some tests failed) or ``error`` (all did)."""
        if not self.failed:
            return "done"
        return "partial" if len(self.failed) < len(self.tests) else "error"

    @property
    def metrics(self) -> dict[str, float]:
        """The scalars, under exactly the names that land on a run; finite floats all.

        Of a test they are the essential ones, or all of ``tests[name].metrics`` with the recipe's ``keys: all``.
        """
        root = f"{self.prefix}sensie"
        metrics = {f"{root}/{name}": value for name, value in overview_of(self).items()}
        for test in list(self.tests.values())[:MOST_TESTS_WITH_KEYS]:
            metrics |= {f"{root}/{test.slug}/{name}": value for name, value in self._on_run(test).items()}
        return metrics

    def _on_run(self, test: TestResult) -> dict[str, float]:
        """The scalars of a test that land on the run."""
        if self.read_only:
            return metrics_before(test.metrics, test.fit)
        every, essential = self.recipe.get("keys") == "all", essential_of(test.kind, test.metric_fits)
        return {name: value for name, value in test.metrics.items() if every or name in essential}

    @property
    def worst_test(self) -> str | None:
        """The test whose mean drop (of the headline), |effect| or spread is largest, in this order of kinds."""
        headline = self.recipe.get("headline", "score")
        for name, kinds in WORST.items():
            tests = [test for test in self.tests.values() if test.kind in kinds and test.ok]
            sizes = {test.name: size for test in tests if (size := size_of(name, test, headline)) is not None}
            if sizes:
                return max(sizes, key=sizes.__getitem__)
        return None

    def summary(self) -> pd.DataFrame:
        """A row per test: kind, effect, lo95, hi95, mean_drop, holds_until, spread, decision, significance.

        ``lo95`` and ``hi95`` belong to the effect, or to the spread where the test has no effect. A failed
        test's decision is ``failed``. Where something was fitted to part of a range, ``fit_from``, ``fit_to``,
        ``fit_effect``, ``fit_lo95`` and ``fit_hi95`` are of the side that falls more. ``attrs["several"]`` says what
        the number of tests does to their claims.
        """
        return frames.summary_frame(self.tests, self.several)

    def slices_frame(self) -> pd.DataFrame:
        """A row per slice, test and quantity: value with its 95 % interval, and the same partially pooled.

        ``worst`` marks the slice of the column that the pooled value is worst in.
        """
        return frames.slices_frame(self.slices, self.score)

    def metrics_frame(self) -> pd.DataFrame:
        """A row per metric, first of all examples, then of every slice: value, 95 % interval, and that of a constant.

        ``lo95`` and ``hi95`` are missing for a metric that is biased, as ``ece``. A slice in which a metric is
        undefined has no row for it.
        """
        return frames.metrics_frame(self.metric_estimates, self.slices)

    def interactions_frame(self) -> pd.DataFrame:
        """A row per property and perturbation: effect (or spread) of the examples' own effects, and its interval."""
        return frames.interactions_frame(self.interactions)

    def refit(
        self, changes: Mapping[str, Any] | None = None, *, score: Any = None, metrics: Sequence[Any] | None = None
    ) -> Result:
        """Ask other questions to the same predictions: no model is asked again.

        ``changes`` are recipe keys; each replaces its whole value, but a test or slice given by its name stays what it
        was. ``score`` and ``metrics`` are those of a recipe. Everything that the score table keeps can be asked: rope,
        fit range, polynomial and engine under ``inference``, ``allowed_drop``, bins and ranks of properties, fewer
        tests or slices, interactions; another score or metric as far as it can be made of what was kept. Where a
        time budget ended the sweep, bins and the best constant are those of the examples that were reached. The new
        result has no verdict: ``judge`` gives it one.

        Raises:
            DataError: there is no score table, as after ``from_json``, or an earlier version wrote it.
            RecipeError: a change needs what was not kept; the message says what to set in the next evaluation.

        >>> import mlflow_sensie, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 2))
        >>> recipe = {"perturbations": [{"name": "shift", "apply": "tabular.shift", "magnitudes": [0, 1, 2]}]}
        >>> model = lambda X: 1 / (1 + np.exp(-X[:, 0]))
        >>> result = mlflow_sensie.probe(model, X, (X[:, 0] > 0).astype(int), recipe)
        >>> again = result.refit({"inference": {"rope": 0.5}}, score="correct")
        >>> again.score.kind, again.recipe["inference"]["rope"], again.tests["shift"].fit.decision
        ('correct', 0.5, 'negligible')
        """
        from mlflow_sensie.evaluation.refit import refit

        return refit(self, changes, score=score, metrics=metrics)

    def plot(self, name: str | None = None, *, kind: PlotKind = "auto") -> Figure:
        """Draw a figure.

        ``auto``: the test called ``name``, or all of them in one figure. ``overview``: all tests. ``curve`` and
        ``categories``: one test of that sort. ``slices``: the heat map of the slices by the column ``name``.
        ``gallery``: the examples of one perturbation test.

        Raises:
            ValueError: another kind came, or there is nothing of that kind and name.
        """
        from mlflow_sensie.plots import KINDS

        if kind not in KINDS:
            raise ValueError(f"kind: {', '.join(KINDS)} are allowed; {kind!r} came")
        return KINDS[kind](self, name)

    def html(self) -> str:
        """Return the report, all of it as one self-contained page of HTML."""
        from mlflow_sensie.report.result_page import render

        return render(self)

    def _repr_html_(self) -> str:
        """The findings and the summary, for notebooks."""
        from mlflow_sensie.report.page import render_piece

        return render_piece(self)

    def to_json(self) -> str:
        """Return the whole result as JSON (a versioned schema), without the score table."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read back what ``to_json`` wrote, of version 0.1.0 as well: such a result is ``read_only``.

        Raises:
            pydantic.ValidationError: the text is no such result, or one of a later version.
        """
        return cls.model_validate_json(text)


def evaluate_again(result: Result) -> str:
    """Say why a result of an earlier version cannot be put beside a new one, and what to do."""
    return (
        f"{result.title!r} was evaluated by mlflow-sensie {result.version} (schema {result.schema_version} of "
        f"report.json; this version writes {SCHEMA_VERSION}), where holds_until, spread and the scores of regressors "
        "mean something else: evaluate it again"
    )
