"""The frozen result of an evaluation: all that plots, report, comparison, gate and tracking read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, PrivateAttr, TypeAdapter, field_validator
from pydantic_core.core_schema import ValidationInfo

from mlflow_sensie.inference import CategoryFit, Curve, GuardedEstimate, Interval, PerturbationFit, PropertyFit
from mlflow_sensie.inference.multiplicity import Multiplicity
from mlflow_sensie.inference.pymc_engine import Sampling
from mlflow_sensie.result.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.evaluation.gallery import Gallery
    from mlflow_sensie.scores.table import ScoreTable

SCHEMA_VERSION = 1
MOST_TESTS_WITH_KEYS = 50

PlotKind = Literal["auto", "overview", "curve", "categories", "slices", "gallery"]
T = TypeVar("T")

Kind = Literal["property", "perturbation", "category", "class"]
Reason = Literal["all", "precision", "time_budget"]  # why a test saw no more examples than it did
Fit = PropertyFit | PerturbationFit | CategoryFit
# The quantity that stands for a test, by its kind, in the order of kinds.
HEADLINES: Mapping[str, str] = MappingProxyType(
    {"perturbation": "mean_drop", "property": "effect", "category": "spread", "class": "spread"}
)
_FITS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {
        "property": TypeAdapter(PropertyFit),
        "perturbation": TypeAdapter(PerturbationFit),
        "category": TypeAdapter(CategoryFit),
        "class": TypeAdapter(CategoryFit),
    }
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, ser_json_inf_nan="null")


class ScoreInfo(_Frozen):
    """What was scored: the kind (runs of different kinds are not compared), bounds, unit, and where it came from."""

    kind: str
    lower: float | None
    upper: float | None
    unit: str
    source: str


class FirstFailure(_Frozen):
    """An example whose own score falls below its own floor: where first, and its score before and there."""

    example: str
    target: str | None
    magnitude: float
    clean: float
    score: float


class TestResult(_Frozen):
    """What one test found, or why it failed.

    ``fit`` holds the whole posterior and the curve, in the scores' and the property's own units; ``None`` and
    an ``error`` where the test failed. ``unit`` is that of the property or magnitude. ``stopped`` says why the
    test used no more examples: because these are ``all``, or for the recipe's ``precision`` or ``time_budget``.
    ``flips`` are the examples that a perturbation upsets first; none under ``log_examples: none``.
    """

    __test__ = False

    name: str
    slug: str
    kind: Kind
    unit: str = ""
    error: str | None = None
    stopped: Reason = "all"
    fit: Any = None
    warnings: tuple[str, ...] = ()
    flips: tuple[FirstFailure, ...] = ()

    @field_validator("fit", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        return value if value is None else _FITS[info.data["kind"]].validate_python(value)

    @property
    def ok(self) -> bool:
        """Whether the test gave a result."""
        return self.fit is not None

    @property
    def headline(self) -> Interval:
        """The one quantity that stands for a test that succeeded: mean drop, effect or spread, by its kind."""
        interval: Interval = getattr(self.fit, HEADLINES[self.kind])
        return interval

    @property
    def metrics(self) -> dict[str, float]:
        """The scalars under the last part of their contract names; a failed test has ``ok`` = 0 and no other."""
        return {"ok": 1.0, **self.fit.metrics()} if self.ok else {"ok": 0.0}

    @property
    def curve(self) -> pd.DataFrame:
        """The curve as a frame: p (or level), score, sd, n, lo95, hi95; empty where the test has none.

        Examples whose property is missing make a last row with no ``p``.
        """
        columns = ["p", "score", "sd", "n", "lo95", "hi95"]
        parts = [curve for curve in self._curves() if curve is not None]
        frame = pd.concat([_curve_frame(curve) for curve in parts]) if parts else pd.DataFrame(columns=columns)
        if self.kind in ("category", "class"):
            return frame.assign(p=frame["label"])[columns].reset_index(drop=True)
        return frame.reindex(columns=columns).reset_index(drop=True)

    @property
    def own_holds_until(self) -> pd.DataFrame:
        """How far the examples hold by themselves: side, p, distance, and the share that has not fallen by then.

        An example has fallen once its own score lies more than the allowed drop below its own clean score. Empty
        but for perturbation tests.
        """
        rows = []
        if isinstance(self.fit, PerturbationFit):
            points = [(each.side, point) for each in self.fit.sides for point in each.own_holds()]
            rows = [(side, self.fit.magnitude(side, u), u, share) for side, (u, share) in points]
        return pd.DataFrame(rows, columns=["side", "p", "distance", "holds"])

    def _curves(self) -> list[Curve | None]:
        return [] if self.fit is None else [self.fit.curve, getattr(self.fit, "missing", None)]


def _curve_frame(curve: Curve) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(curve, name) for name in ("p", "score", "sd", "n", "lo95", "hi95", "label")})
    return frame.astype({name: float for name in ("p", "score", "sd", "lo95", "hi95")})


class Slice(_Frozen):
    """What was found in one subset of the examples: its clean score, and the tests that could be run in it.

    ``code`` is how the score table's column of slices tells the subset. ``unannounced`` is the clean score less
    what the model's own probabilities announce (Σ p_k²), below 0 where it is worse than it claims; for
    probabilities alone.
    """

    level: str
    code: int
    n: int
    clean: Interval
    clean_known: GuardedEstimate
    unannounced: Interval | None = None
    tests: dict[str, TestResult]


class SliceColumn(_Frozen):
    """The slices that one column makes; those with fewer than two examples are left out."""

    column: str
    slices: tuple[Slice, ...]


class Interaction(_Frozen):
    """Whether a perturbation hurts more where a property is high, or at some levels of it.

    ``fit`` is a property or category test of the examples' own effects: their slopes on the perturbation's worse
    ``side``, times its range. Its ``effect`` is the change of the perturbation's effect over the property's range.
    ``None`` and an ``error`` where it could not be found.
    """

    property: str
    perturbation: str
    side: str
    kind: Kind
    unit: str = ""
    error: str | None = None
    fit: Any = None

    @field_validator("fit", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        return value if value is None else _FITS[info.data["kind"]].validate_python(value)


def _named(items: Mapping[str, T], name: str | None, kind: str) -> T:
    if name is None or name not in items:
        there = f"there are: {', '.join(items)}" if items else "there are none"
        raise ValueError(f"kind={kind!r} needs a name; {there}; {name!r} came")
    return items[name]


class Result(_Frozen):
    """What an evaluation found: every test by name, and what it was measured on.

    ``n`` examples have a clean score, of which ``clean_known`` is all that is known. ``n_predictions`` were made for
    scores, of the ``n_planned`` of all examples at all magnitudes. ``sampling`` tells how engine ``pymc`` sampled.
    ``verdict`` is the answer of the recipe's gate. ``model_uuid`` is the identity of a logged model, which an alias or
    a version of a registry may stand for; ``label`` the name of its run, where its own name is an id.
    ``examples_sha256`` is of inputs, targets, weights and clusters, ``data_sha256`` of the properties as well.
    """

    schema_version: int = SCHEMA_VERSION
    version: str
    score: ScoreInfo
    n: int
    clean: Interval
    clean_known: GuardedEstimate | None = None
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
    _galleries: dict[str, Any] = PrivateAttr(default_factory=dict)
    _inference_data: Any = PrivateAttr(default=None)

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
        """The scalars, under exactly the names that land on a run; finite floats all."""
        root = f"{self.prefix}sensie"
        found = {f"{root}/{name}": value for name, value in self._overview().items()}
        for test in list(self.tests.values())[:MOST_TESTS_WITH_KEYS]:
            found |= {f"{root}/{test.slug}/{name}": value for name, value in test.metrics.items()}
        return found

    def _overview(self) -> dict[str, float]:
        worst = {
            "worst_mean_drop": self._worst(("perturbation",), "mean_drop"),
            "worst_effect_bound95": self._worst(("property",), "effect_bound95"),
            "worst_spread": self._worst(("category", "class"), "spread"),
        }
        return {
            "clean_score": self.clean.value,
            **{name: value for name, value in worst.items() if value is not None},
            "n_tests": float(len(self.tests)),
            "n_failed": float(len(self.failed)),
        }

    def _worst(self, kinds: tuple[str, ...], metric: str) -> float | None:
        """The largest value among the tests of these kinds; none where one of them failed."""
        tests = [test for test in self.tests.values() if test.kind in kinds]
        if not tests or not all(test.ok for test in tests):
            return None
        return max(test.metrics[metric] for test in tests)

    @property
    def worst_test(self) -> str | None:
        """The test whose mean drop, |effect| or spread is largest, in this order of kinds."""
        for kinds, metric in (
            (("perturbation",), "mean_drop"),
            (("property",), "effect_bound95"),
            (("category", "class"), "spread"),
        ):
            tests = [test for test in self.tests.values() if test.kind in kinds and test.ok]
            if tests:
                return max(tests, key=lambda test: test.metrics[metric]).name
        return None

    def summary(self) -> pd.DataFrame:
        """A row per test: kind, effect, lo95, hi95, mean_drop, holds_until, spread, decision, significance.

        ``lo95`` and ``hi95`` belong to the effect, or to the spread where the test has no effect. A failed
        test's decision is ``failed``. Where something was fitted to part of a range, ``fit_from``, ``fit_to``,
        ``fit_effect``, ``fit_lo95`` and ``fit_hi95`` are of the side that falls more. ``attrs["several"]`` says what
        the number of tests does to their claims.
        """
        from mlflow_sensie.report.summary import summary_frame

        return summary_frame(self)

    def slices_frame(self) -> pd.DataFrame:
        """A row per slice, test and quantity: value with its 95 % interval, and the same partially pooled.

        ``worst`` marks the slice of the column that the pooled value is worst in.
        """
        from mlflow_sensie.evaluation.slices import slices_frame

        return slices_frame(self)

    def interactions_frame(self) -> pd.DataFrame:
        """A row per property and perturbation: effect (or spread) of the examples' own effects, and its interval."""
        from mlflow_sensie.evaluation.slices import interactions_frame

        return interactions_frame(self)

    def plot(self, name: str | None = None, *, kind: PlotKind = "auto") -> Figure:
        """Draw a figure.

        ``auto``: the test called ``name``, or all of them in one figure. ``overview``: all tests. ``curve`` and
        ``categories``: one test of that sort. ``slices``: the heat map of the slices by the column ``name``.
        ``gallery``: the examples of one perturbation test.

        Raises:
            ValueError: another kind came, or there is nothing of that kind and name.
        """
        from mlflow_sensie import plots

        if kind not in get_args(PlotKind):
            raise ValueError(f"kind: {', '.join(get_args(PlotKind))} are allowed; {kind!r} came")
        if kind == "gallery":
            from mlflow_sensie.plots.gallery import draw_gallery

            return draw_gallery(self, self._gallery_of(name))
        if kind == "slices":
            return plots.draw_slices(self, _named({each.column: each for each in self.slices}, name, "slices"))
        if kind == "overview" or (kind == "auto" and name is None):
            return plots.overview(self)
        sorts = {"curve": ("property", "perturbation"), "categories": ("category", "class")}
        fitting = {key: test for key, test in self.tests.items() if test.kind in sorts.get(kind, (test.kind,))}
        return plots.draw(self, _named(fitting, name, kind))

    def html(self) -> str:
        """Return the report, all of it as one self-contained page of HTML."""
        from mlflow_sensie.report.page import render

        return render(self)

    def _repr_html_(self) -> str:
        """The findings and the summary, for notebooks."""
        from mlflow_sensie.report.page import render_summary

        return render_summary(self)

    def _gallery_of(self, test: str | None) -> Gallery:
        """The gallery of a test, or why there is none."""
        if not self._galleries:
            raise ValueError("there are no galleries: they hold examples, and are made under log_examples: full alone")
        if test not in self._galleries:
            named = "kind='gallery' needs the name of a test" if test is None else f"there is no gallery of {test!r}"
            raise ValueError(f"{named}; there are galleries of: {', '.join(self._galleries)}")
        found: Gallery = self._galleries[test]
        return found

    def to_json(self) -> str:
        """Return the whole result as JSON (a versioned schema), without the score table."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read back what ``to_json`` wrote.

        Raises:
            pydantic.ValidationError: the text is no such result.
        """
        return cls.model_validate_json(text)
