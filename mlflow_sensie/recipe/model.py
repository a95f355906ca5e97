"""The recipe as pydantic models: its keys, their defaults, its digest and its YAML."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, StrictInt, field_validator, model_validator

from mlflow_sensie.errors import RecipeError, did_you_mean
from mlflow_sensie.plugins import source_of
from mlflow_sensie.recipe.engine import PriorsSpec, check_priors, with_engine_defaults
from mlflow_sensie.recipe.plain import IN_MEMORY, plain_fields, plain_table
from mlflow_sensie.recipe.rules import Gate
from mlflow_sensie.recipe.values import (
    AllowedDrop,
    Bins,
    Code,
    FitRange,
    Folder,
    Function,
    Magnitudes,
    MetricSpec,
    Precision,
    ScoreSpec,
    Seconds,
    Spec,
    score_function,
)

OVERVIEW = (
    "clean_score", "clean_score_lo95", "clean_score_hi95", "no_skill_score", "skill", "skill_lo95", "worst_mean_drop",
    "worst_effect_bound95", "worst_spread", "n_tests", "n_failed",
)  # fmt: skip
RESERVED = frozenset({"class", "posterior", *OVERVIEW})

# What changes no number: left out of the digest.
WITHOUT_EFFECT = frozenset(
    {
        "recipe",
        "batch_size",
        "on_error",
        "log_examples",
        "scores",
        "checkpoint",
        "prefix",
        "gate",
        "baseline",
        "keep",
        "keys",
    }
)

DEFAULT_METRICS = ("roc_auc", "balanced_accuracy", "r2")  # of some task where a recipe names none

LogExamples = Literal["none", "ids", "full"]  # from the least to the most


def slug(name: str) -> str:
    """Return ``name`` as it stands in metric keys and file names.

    ``[A-Za-z0-9_.-]``, at most 100 characters, no leading dot; six digits of the name's SHA-256 are
    appended whenever something was lost, so that two names never share a slug by accident.
    """
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")
    if cleaned == name and len(name) <= 100:
        return name
    return f"{cleaned[:93].rstrip('_') or 'test'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def metric_key(metric: str | Mapping[str, Any]) -> str:
    """Return what a metric of a recipe is called in keys: its name, with the class that it is of.

    >>> metric_key({"name": "recall", "of": 3})
    'recall-3'
    """
    if isinstance(metric, str):
        return metric
    return slug(f"{metric['name']}-{metric['of']}") if "of" in metric else str(metric["name"])


def _short_form(value: Any, key: str) -> Any:
    """Write out a test of which only the name, or only the function under ``key``, came."""
    if isinstance(value, str):
        return {"name": value, key: value}
    if not isinstance(value, Mapping):
        return {"name": _function_name(value), key: value} if callable(value) else value
    if key not in value and "name" in value:
        return {**value, key: value["name"]}
    if key in value and "name" not in value:
        return {**value, "name": _function_name(value[key])}
    return value


def _or_a_name(schema: dict[str, Any]) -> None:
    """Say in a JSON schema that a text alone is a short form, and that no key is needed."""
    whole = {key: value for key, value in schema.items() if key != "required"}
    schema.clear()
    schema["anyOf"] = [{"type": "string"}, whole]


class PropertySpec(Spec):
    """One property: a column, a built-in, ``module:function``, or a function inputs → (n,)."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    name: str = Field(min_length=1)
    of: Function
    bins: Bins = 20
    rank: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return _short_form(value, "of")


class PerturbationSpec(Spec):
    """One perturbation test: what to apply and at which magnitudes."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    name: str = Field(min_length=1)
    apply: Function
    magnitudes: Magnitudes | None = None
    neutral: float | Literal["none"] | None = None
    unit: str | None = None
    label: str | None = None
    params: Mapping[str, Any] = Field(default_factory=dict)
    allowed_drop: AllowedDrop | None = None
    fit_range: FitRange | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return _short_form(value, "apply")


class SliceSpec(Spec):
    """Subsets to report every test on: the levels or bins of a column, or the targets."""

    model_config = ConfigDict(json_schema_extra=_or_a_name)

    column: str | None = None
    bins: Bins | None = None
    target: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_both(self) -> SliceSpec:
        if (self.column is None) != self.target:
            raise ValueError("a column, {column: …, bins: …}, or {target: true}")
        if self.bins == "none":
            raise ValueError("bins: a number of bins, a list of edges or {uniform: k}")
        return self


def _or_false(schema: dict[str, Any]) -> None:
    """Say in the JSON schema of slices that false means none."""
    schema["anyOf"].append({"const": False})


class InferenceSpec(Spec):
    """How sums become posteriors."""

    engine: Literal["robust", "exact", "pymc"] = "robust"
    rope: float | None = Field(default=None, ge=0)
    fit_range: FitRange | None = None
    polynomial: int | None = Field(default=None, ge=2, le=8)
    family: bool = False
    draws: int | None = Field(default=None, ge=100)
    tune: int | None = Field(default=None, ge=100)
    chains: int | None = Field(default=None, ge=2)
    target_accept: float | None = Field(default=None, ge=0.5, lt=1)
    priors: PriorsSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_engine(cls, value: Any) -> Any:
        return with_engine_defaults(value) if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _priors_of_the_engine(self) -> InferenceSpec:
        check_priors(self.engine, self.priors)
        return self


class Recipe(Spec):
    """A whole recipe; the keys and their defaults are DESIGN.md's."""

    # model_json_schema() is what editors complete and check a recipe file by, so short forms are part of it
    model_config = ConfigDict(
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mlflow-sensie recipe"}
    )

    recipe: str | None = None
    kind: Literal["tensor", "tabular", "text", "series"] | None = None
    input_shape: tuple[int, ...] | None = None
    layout: Literal["NHWC", "NCHW", "NHW"] | None = None
    value_range: tuple[float, float] | Mapping[Literal["mean", "std"], Any] | None = None
    preprocess: Code | None = None
    score: ScoreSpec = None
    metrics: tuple[MetricSpec, ...] | None = None
    headline: str = Field(default="score", min_length=1)
    output: Literal["auto", "probability", "logits", "log_proba", "labels", "score"] = "auto"
    pos_label: Any = None
    label_list: tuple[Any, ...] | None = None
    predictions: str | StrictInt | tuple[str, ...] | None = None
    properties: tuple[PropertySpec, ...] = ()
    property_table: Any = None
    perturbations: tuple[PerturbationSpec, ...] = ()
    class_test: bool = False
    slices: tuple[SliceSpec, ...] | None = Field(default=None, json_schema_extra=_or_false)
    weights: str | None = None
    cluster: str | None = None
    interactions: bool | tuple[tuple[str, str], ...] = False
    calibration: bool = False
    adjust: Literal["target", "none"] = "target"
    inference: InferenceSpec = InferenceSpec()
    allowed_drop: AllowedDrop = 0.1
    max_examples: int | None = Field(default=None, ge=2)
    precision: Precision = None
    time_budget: Seconds = None
    batch_size: int | Literal["auto"] = "auto"
    seed: int = Field(default=0, ge=0)
    missing: Literal["fail", "drop"] = "fail"
    on_error: Literal["raise", "record"] = "raise"
    log_examples: LogExamples = "ids"
    scores: bool = True
    keep: Literal["scores", "predictions"] = "scores"
    keys: Literal["essential", "all"] = "essential"
    checkpoint: Folder | None = None
    prefix: str = ""
    gate: Gate | None = None
    baseline: str | None = Field(default=None, min_length=1)

    @field_validator("prefix")
    @classmethod
    def _prefix_is_a_key(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?", value):
            raise ValueError(f"a prefix is made of letters, digits, '_', '.', '-' and '/'; {value!r} came")
        return f"{value.strip('/')}/" if value else ""

    @field_validator("metrics")
    @classmethod
    def _metrics_are_unique(cls, value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        keys = [metric_key(metric) for metric in value or ()]
        if len(set(keys)) < len(keys):
            raise ValueError(f"each metric once; {', '.join(keys)} came")
        return value

    @field_validator("slices", mode="before")
    @classmethod
    def _slices_are_a_list(cls, value: Any) -> Any:
        if value is False:
            return ()
        return (value,) if isinstance(value, str | Mapping) else value

    @field_validator("slices")
    @classmethod
    def _slices_are_unique(cls, value: tuple[SliceSpec, ...] | None) -> tuple[SliceSpec, ...] | None:
        columns = ["target" if spec.target else spec.column for spec in value or ()]
        if len(set(columns)) < len(columns):
            raise ValueError(f"each column once ('target' stands for the targets); {columns} came")
        return value

    @field_validator("batch_size")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"batch_size is 'auto' or at least 1; {value} came")
        return value

    @model_validator(mode="after")
    def _names_are_unique(self) -> Recipe:
        names = [*(test.name for test in self.properties), *(test.name for test in self.perturbations)]
        reserved = [name for name in names if slug(name) in RESERVED]
        if reserved:
            raise ValueError(f"the name {reserved[0]!r} is reserved; reserved are: {', '.join(sorted(RESERVED))}")
        twice = [name for i, name in enumerate(names) if slug(name) in map(slug, names[:i])]
        if twice:
            raise ValueError(f"two tests are called {twice[0]!r}; give one of them another 'name'")
        self._check_interactions()
        self._check_headline()
        if self.baseline is not None and self.gate is None:
            raise ValueError("a baseline is there to be judged against: the recipe needs a gate")
        if reason := _why_no_baseline(self):
            raise ValueError(reason)
        return self

    def _check_headline(self) -> None:
        followed = DEFAULT_METRICS if self.metrics is None else [metric_key(metric) for metric in self.metrics]
        allowed = list(dict.fromkeys(["score", "skill", *followed]))
        if self.headline not in allowed:
            hint = did_you_mean(self.headline, allowed)
            raise ValueError(f"headline: 'score' or one of metrics, {', '.join(allowed)}; {self.headline!r} came{hint}")

    def _check_interactions(self) -> None:
        known = {
            "property": [test.name for test in self.properties],
            "perturbation": [test.name for test in self.perturbations],
        }
        for pair in self.interactions if isinstance(self.interactions, tuple) else ():
            for name, (kind, names) in zip(pair, known.items(), strict=True):
                if name not in names:
                    hint = did_you_mean(name, names)
                    raise ValueError(
                        f"interactions: [property, perturbation] by name; there is no {kind} {name!r}{hint}"
                    )

    def pairs(self) -> list[tuple[str, str]]:
        """The (property, perturbation) pairs whose interaction is asked for."""
        if isinstance(self.interactions, tuple):
            return list(self.interactions)
        named = [(prop.name, test.name) for test in self.perturbations for prop in self.properties]
        return named if self.interactions else []

    @property
    def n_tests(self) -> int:
        """How many tests the recipe asks for."""
        return len(self.properties) + len(self.perturbations) + int(self.class_test)

    @property
    def family(self) -> int:
        """How many tests have intervals that are to hold together: all, or each by itself."""
        return self.n_tests if self.inference.family else 1

    @property
    def rope(self) -> float:
        """How small an effect does not matter, in the score's unit; the evaluation writes it out where nobody said."""
        assert self.inference.rope is not None
        return self.inference.rope

    def digest(self) -> str:
        """SHA-256 (hex) over everything in the resolved recipe that changes numbers."""
        plain = {key: value for key, value in self.to_plain(sources=True).items() if key not in WITHOUT_EFFECT}
        return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()

    def to_plain(self, *, sources: bool = False) -> dict[str, Any]:
        """Return the recipe as JSON-like values; functions as ``module:name``, tables by their digest.

        With ``sources`` a function stands as the SHA-256 of its source instead.
        """
        return plain_fields(self, sources)

    def to_yaml(self) -> str:
        """Return the recipe as YAML, with a comment for each part that is not portable.

        It stands by itself: where it came from is a comment, for that file may change or be gone.
        """
        plain = self.to_plain()
        base = plain.pop("recipe", None)
        notes = [f"# from the recipe {base}"] if base else []
        notes += [f"# not portable: {text}" for text in _not_portable(self)]
        return "\n".join([*notes, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)])


def _why_no_baseline(recipe: Recipe) -> str:
    """Why a recipe's score is judged against no baseline; "" where it is."""
    against = recipe.baseline is not None or any(rule.versus is not None for rule in recipe.gate or ())
    if recipe.score != "agreement" or not against:
        return ""
    return (
        "score: agreement is with the model's own answers, and one that always answers the same agrees best; against a "
        "baseline another score is needed"
    )


def refuse_baseline(recipe: Recipe) -> None:
    """Raise RecipeError where a score that is judged against no baseline meets one, which a door may have put in."""
    if reason := _why_no_baseline(recipe):
        raise RecipeError(reason)


def _function_name(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)


def _not_portable(recipe: Recipe) -> list[str]:
    score = score_function(recipe.score)
    named: list[tuple[str, Any]] = [("preprocess", recipe.preprocess), ("score", score and score.function)]
    named += [(f"property {spec.name}", spec.of) for spec in recipe.properties]
    named += [(f"perturbation {spec.name}", spec.apply) for spec in recipe.perturbations]
    own = [metric for metric in recipe.metrics or () if isinstance(metric, Mapping)]
    named += [(f"metric {metric['name']}", metric.get("function")) for metric in own]
    functions = [(what, value) for what, value in named if callable(value)]
    notes = [f"{what} is the function {source_of(value)[0]}" for what, value in functions]
    if str(plain_table(recipe.property_table, False)).startswith(IN_MEMORY):
        notes.append("property_table was given in memory")
    return notes
