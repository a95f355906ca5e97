"""What a result consists of: tests with their fits, slices, interactions, and what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter
from pydantic_core.core_schema import ValidationInfo

from mlflow_sensie.inference import CategoryFit, Curve, GuardedEstimate, Interval, PerturbationFit, PropertyFit
from mlflow_sensie.inference.metric_fits import MetricEstimate, MetricGroups, MetricSweep
from mlflow_sensie.result.keys import HEADLINES, Kind, metrics_of

CURVE = ["p", "score", "sd", "n", "lo95", "hi95"]
METRIC_CURVES = ["metric", "bin", "p", "value", "lo95", "hi95"]

Reason = Literal["all", "precision", "time_budget"]  # why a test saw no more examples than it did
_FITS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {
        "property": TypeAdapter(PropertyFit),
        "perturbation": TypeAdapter(PerturbationFit),
        "category": TypeAdapter(CategoryFit),
        "class": TypeAdapter(CategoryFit),
    }
)


def _of_its_kind(fit: Any, info: ValidationInfo) -> Any:
    return fit if fit is None else _FITS[info.data["kind"]].validate_python(fit)


Fit = Annotated[Any, BeforeValidator(_of_its_kind)]  # what JSON has becomes the fit of the kind that stands before it


class Frozen(BaseModel):
    """A part of a result: immutable, with no field but its own; numbers that are not finite are null in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, ser_json_inf_nan="null")


class ScoreInfo(Frozen):
    """What was scored: the kind (runs of different kinds are not compared), bounds, unit, and where it came from."""

    kind: str
    lower: float | None
    upper: float | None
    unit: str
    source: str


class Confidence(Frozen):
    """How sure the model is of its answers, the mean of its largest probabilities, beside how often it is right.

    ``gap`` is the accuracy less that confidence, below 0 for an overconfident model; ``ece`` is the expected
    calibration error, which is biased upwards and so has no interval.
    """

    mean: float
    accuracy: float
    gap: Interval
    ece: float


class FirstFailure(Frozen):
    """An example whose own score falls below its own floor: where first, and its score before and there."""

    example: str
    target: str | None
    magnitude: float
    clean: float
    score: float


class TestResult(Frozen):
    """What one test found, or why it failed.

    ``fit`` holds the whole posterior and the curve, in the scores' and the property's own units; ``None`` and
    an ``error`` where the test failed. ``unit`` is that of the property or magnitude, ``label`` what
    a magnitude is called where that is not the test's name. ``stopped`` says why the
    test used no more examples: because these are ``all``, or for the recipe's ``precision`` or ``time_budget``.
    ``metric_fits`` hold the metrics by name, over the magnitudes or in the bins or levels; without what is undefined.
    ``flips`` are the examples that a perturbation upsets first; none under ``log_examples: none``.
    """

    __test__ = False

    name: str
    slug: str
    kind: Kind
    unit: str = ""
    label: str = ""
    error: str | None = None
    stopped: Reason = "all"
    fit: Fit = None
    metric_fits: dict[str, MetricSweep | MetricGroups] = {}
    warnings: tuple[str, ...] = ()
    flips: tuple[FirstFailure, ...] = ()

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
        return metrics_of(self.kind, self.fit, self.metric_fits) if self.ok else {"ok": 0.0}

    @property
    def curve(self) -> pd.DataFrame:
        """The curve as a frame: p (or level), score, sd, n, lo95, hi95; empty where the test has none.

        Examples whose property is missing make a last row with no ``p``.
        """
        curves = [] if self.fit is None else [self.fit.curve, getattr(self.fit, "missing", None)]
        parts = [_points(curve) for curve in curves if curve is not None]
        frame = pd.concat(parts) if parts else pd.DataFrame(columns=CURVE)
        if parts and self.kind in ("category", "class"):
            frame = frame.assign(p=frame["label"])
        return frame.reindex(columns=CURVE).reset_index(drop=True)

    @property
    def metric_curves(self) -> pd.DataFrame:
        """The metrics along the curve: metric, bin (the row of ``curve``), p (or level), value, lo95, hi95.

        A bin where a metric is undefined has no row.
        """
        curve, rows = self.curve, []
        places = curve["p"].tolist() if self.kind in ("perturbation", "category", "class") else self._labels
        bins = {place: k for k, place in enumerate(places)}
        for name, fit in self.metric_fits.items():
            own = fit.p if isinstance(fit, MetricSweep) else fit.labels
            points = dict(zip(own, zip(fit.values, fit.lo95, fit.hi95, strict=True), strict=True))
            defined = [place for place in places if place in points and points[place][0] is not None]
            rows += [(name, bins[place], curve["p"].iloc[bins[place]], *points[place]) for place in defined]
        return pd.DataFrame(rows, columns=METRIC_CURVES)

    @property
    def _labels(self) -> tuple[str, ...]:
        curve = getattr(self.fit, "curve", None)
        return () if curve is None else tuple(curve.label)

    @property
    def own_holds_until(self) -> pd.DataFrame:
        """How far the examples hold by themselves: side, p, distance, and the share that has not fallen by then.

        An example has fallen once its own score lies more than the allowed drop below its own clean score. Empty
        but for perturbation tests.
        """
        rows = []
        if isinstance(self.fit, PerturbationFit):
            points = [(side.side, point) for side in self.fit.sides for point in side.own_holds()]
            rows = [(side, self.fit.magnitude(side, distance), distance, share) for side, (distance, share) in points]
        return pd.DataFrame(rows, columns=["side", "p", "distance", "holds"])


def _points(curve: Curve) -> pd.DataFrame:
    frame = pd.DataFrame({name: getattr(curve, name) for name in (*CURVE, "label")})
    return frame.astype({name: float for name in CURVE if name != "n"})


class Slice(Frozen):
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
    metric_estimates: dict[str, MetricEstimate] = {}
    tests: dict[str, TestResult]


class SliceColumn(Frozen):
    """The slices that one column makes; those with fewer than two examples are left out."""

    column: str
    slices: tuple[Slice, ...]


class Interaction(Frozen):
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
    fit: Fit = None
