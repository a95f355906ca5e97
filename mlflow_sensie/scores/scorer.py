"""Scores: predictions and targets → one float per example, greater is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax

from mlflow_sensie.data.examples import are_labels
from mlflow_sensie.errors import DataError, ModelError
from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.models.labels import class_order, encode, key_of, listing, positive_class, sorted_labels
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.values import ScoreFunction, score_function
from mlflow_sensie.scores.kinds import AGREEMENT, Floats, ScoreKind, custom_kind, default_kind, kind_of, kinds_of
from mlflow_sensie.scores.outputs import NOTHING, Outputs, of_labels, of_numbers, of_probabilities

NO_CLASS = -1  # the number of a label that is none of the classes
ROUNDING = 1e-6  # by which a user's scores may be beyond the bounds that he declares
SUM_TOLERANCE = 1e-3  # float16 softmax outputs sum to 1 within this
LABELS_ALONE = (
    "the model returns labels, so the score is correctness (0 or 1) and small changes stay unseen; a model that "
    "returns probabilities tells more (scikit-learn: pyfunc_predict_fn='predict_proba'; transformers: "
    "model_config={'top_k': None})"
)


@dataclass(frozen=True)
class Scorer:
    """Turns predictions and encoded targets into scores.

    ``kind`` is the resolved kind of score, whose name is a tag on the run; ``probabilities`` reads predictions as
    (n, K) class probabilities where the model gives them; ``source`` says where the predictions come from;
    ``warnings`` what the user should know of them. ``answers`` names the model's answer to each example: the
    label of a class, a number of a regressor, "" where only a custom score knows; ``None`` for a missing one.
    ``settings`` are what the kind needs to know besides, among it ``classes``, the number of a classifier's classes.
    ``encode``, where it is there, turns clean predictions into what others of the same examples are scored against,
    in place of targets.
    ``outputs`` is what the score table keeps of predictions for metrics.
    """

    kind: ScoreKind
    score: Callable[[Predictions, NDArray[Any]], Floats]
    probabilities: Callable[[Predictions], Floats] | None = None
    source: str = "predict"
    warnings: tuple[str, ...] = ()
    answers: Callable[[Predictions], list[Any]] = lambda predictions: [""] * len(predictions.values)
    settings: Mapping[str, Any] = field(default_factory=dict)
    encode: Callable[[Predictions], NDArray[Any]] | None = None
    outputs: Outputs = NOTHING

    @property
    def scale(self) -> ScoreScale:
        """Bounds and unit of the score."""
        return self.kind.scale

    @property
    def announces(self) -> bool:
        """Whether the model's probabilities say what to expect of the score."""
        return self.probabilities is not None and self.kind.expected is not None

    def expected(self, predictions: Predictions) -> Floats | None:
        """Return the score (n,) that the model's own probabilities announce; ``None`` where they announce none."""
        if self.probabilities is None or self.kind.expected is None:
            return None
        return self.kind.expected(self.probabilities(predictions))

    def no_skill_score(self, targets: NDArray[Any], weights: Floats | None = None) -> float | None:
        """Return the mean score of the best constant prediction for encoded ``targets`` (n,), weighted by (n,) weights.

        In the score's unit; ``None`` where the kind of score does not tell, as a user's function.
        """
        return self.kind.no_skill(targets, weights, self.settings)

    def __call__(self, predictions: Predictions, targets: NDArray[Any]) -> Floats:
        """Return the scores (n,) of ``predictions`` (n rows) for encoded ``targets`` (n,)."""
        scores = np.asarray(self.score(predictions, targets), dtype=np.float64)
        if scores.shape != (len(targets),):
            raise ModelError(f"the score function returned shape {scores.shape}; ({len(targets)},) is needed")
        return scores


@dataclass(frozen=True)
class Targets:
    """Targets as the scorer wants them, (n,): class numbers, or values; ``classes`` names the numbers."""

    values: NDArray[Any]
    classes: tuple[Any, ...] | None = None

    @cached_property
    def are_labels(self) -> bool:
        """Whether they are labels or values (n,), and not whatever else a user's score takes, or none."""
        return are_labels(self.values)


def resolve_scorer(
    model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe, target_name: str = ""
) -> tuple[Scorer, Targets]:
    """Decide, from the first clean predictions, how this model is scored; the ladder of DESIGN.md, "Scores".

    ``first``: predictions of some clean examples. ``targets``: (n,) labels or values of all examples,
    ``target_name`` what they are called, which is a regressor's unit.

    Raises:
        ModelError: the output is of a kind that no score can be made of; the message says what to change.
        DataError: the targets do not fit the model, e.g. a label that it does not know.

    >>> from mlflow_sensie.models.model import open_model
    >>> model = open_model(lambda inputs: np.array([[0.9, 0.1], [0.4, 0.6]]))
    >>> first = model.predict(np.zeros((2, 3)))
    >>> scorer, targets = resolve_scorer(model, first, np.array(["cat", "dog"]), Recipe(label_list=["cat", "dog"]))
    >>> scorer.kind.name, scorer(first, targets.values), scorer.answers(first)
    ('probability', array([0.9, 0.6]), ['cat', 'dog'])
    """
    scorer, encoded = _resolve(model, first, targets, recipe, target_name)
    return replace(scorer, source=model.source, warnings=(*model.warnings, *scorer.warnings)), encoded


def _resolve(
    model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe, target_name: str
) -> tuple[Scorer, Targets]:
    if (function := score_function(recipe.score)) is not None:
        return _custom(function), Targets(targets)
    if recipe.score == AGREEMENT:
        return _agreement(model, first, recipe), Targets(targets)
    if recipe.output == "score":
        return _recorded(first.values), Targets(targets)
    kind, parameters = kind_of(recipe.score)
    if (model.task or _guess_task(first, targets, kind, recipe)) == "regressor":
        return _regression(first, targets, kind or default_kind("numbers"), parameters, target_name)
    if kind is not None and kind.task == "regressor":
        raise DataError(f"score: {kind.name} is for regressors; this is a classifier")
    output = _output_kind(model, first, recipe)
    if output == "labels":
        return _label_scorer(model, first, targets, kind or default_kind("labels"), recipe)
    kind = kind or default_kind("probabilities")
    return _classification(model, first, targets, kind, parameters, output, recipe)


def _custom(spec: ScoreFunction) -> Scorer:
    """The scorer of a user's function (predictions, targets) → (n,): predictions in the form the model returned."""
    kind = custom_kind(spec)

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        values, columns = predictions.values, predictions.columns
        answers: Any = list(values) if predictions.listed else values
        answers = answers if columns is None else pd.DataFrame(values, columns=list(columns))
        return _within(kind, np.asarray(kind.function(answers, truth), dtype=np.float64))

    return Scorer(kind, score)


def _within(kind: ScoreKind, scores: Floats) -> Floats:
    """Scores of a user's function, within the bounds that it declares; refused where they are beyond rounding."""
    inside = kind.scale.clip(scores)
    if (np.abs(inside - scores) > ROUNDING).any():  # NaN is missing
        ends = (("at least", kind.scale.lower), ("at most", kind.scale.upper))
        declared = " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
        came = f"{np.nanmin(scores):.6g} to {np.nanmax(scores):.6g}"
        raise ModelError(f"the score is declared to be {declared}; its function returned {came}")
    return inside


def _recorded(values: NDArray[Any]) -> Scorer:
    """The scorer of recorded predictions (n,) that are the scores themselves; all of them tell the bounds."""
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ModelError(f"output: score needs one column of numbers; {values.dtype} of shape {values.shape} came")
    lower, upper = (0.0, 1.0) if _in_unit(_present(values.astype(np.float64))) else (None, None)
    kind = custom_kind(ScoreFunction(function=lambda values, truth: values, lower=lower, upper=upper))
    return Scorer(kind, lambda predictions, truth: predictions.values)


def _agreement(model: Model, first: Predictions, recipe: Recipe) -> Scorer:
    """The scorer of a classifier's labels against its own clean ones; without targets nobody knows which is right."""
    kind, _ = kind_of(AGREEMENT)
    assert kind is not None
    if model.task == "regressor":
        raise DataError(f"score: {AGREEMENT} is for classifiers, whose labels agree or do not; this is a regressor")
    output = _output_kind(model, first, recipe)
    k = first.values.shape[1] if first.values.ndim == 2 else 2
    names = (recipe.label_list, model.classes, first.columns if first.values.ndim == 2 else None)
    classes = next((tuple(known) for known in names if known is not None and len(known) == k), tuple(range(k)))
    numbers: dict[Any, int] = {}  # of labels, as they are met

    def encode(predictions: Predictions) -> NDArray[Any]:
        values = predictions.values
        if output != "labels":
            p = _probabilities(values, output, k)
            return np.where(np.isnan(p).any(axis=1), np.nan, kind.decide(p, {}))
        _refuse_other_output(values, recipe)
        codes = [numbers.setdefault(key_of(label), len(numbers)) for label in values.tolist()]
        return np.where(pd.isna(values), np.nan, np.array(codes, dtype=np.float64))

    def score(predictions: Predictions, clean: NDArray[Any]) -> Floats:
        answers = encode(predictions)
        return np.where(np.isnan(clean), np.nan, kind.score(answers, clean, {}))

    def answers(predictions: Predictions) -> list[Any]:
        if output == "labels":
            return [None if pd.isna(label) else label for label in predictions.values.tolist()]
        return [None if np.isnan(code) else classes[int(code)] for code in encode(predictions)]

    encode(first)  # a bad output is refused before the sweep
    return Scorer(kind, score, answers=answers, encode=encode)


def refuse_unfit(kind: ScoreKind, targets: NDArray[Any]) -> None:
    """Raise DataError where a kind of score is undefined for some targets (n,)."""
    if kind.unfit is not None and (unfit := kind.unfit[1](targets)).any():
        raise DataError(
            f"score: {kind.name} is undefined where the target is {kind.unfit[0]}, as {int(unfit.sum())} of "
            f"{len(targets)} are; use {default_kind('numbers').name}, or leave those examples out"
        )


def _guess_task(first: Predictions, targets: NDArray[Any], kind: ScoreKind | None, recipe: Recipe) -> str:
    if kind is not None:
        return str(kind.task)
    if recipe.label_list is not None or first.values.ndim == 2:
        return "classifier"
    whole = targets.dtype.kind != "f" or bool((targets == np.round(targets)).all())
    continuous = first.values.dtype.kind == "f" and not _in_unit(_present(first.values))
    return "classifier" if whole and not (continuous and len(np.unique(targets)) > 20) else "regressor"


def _regression(
    first: Predictions, targets: NDArray[Any], kind: ScoreKind, parameters: Mapping[str, Any], target_name: str
) -> tuple[Scorer, Targets]:
    if kind.needs != "numbers":
        raise DataError(f"score: {kind.name} is for classifiers; for a regressor use {kinds_of('numbers')}")
    try:
        values = np.asarray(targets, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"the targets of a regressor must be numbers; {targets[0]!r} came") from None
    sd = float(values.std())
    if not np.isfinite(sd) or sd == 0:
        raise DataError(f"the targets of a regressor must be finite and vary; their SD is {sd}")
    refuse_unfit(kind, values)
    if first.values.ndim == 2:
        names = list(first.columns or range(first.values.shape[1]))
        raise ModelError(
            f"the regressor returned {len(names)} columns ({listing(names)}); one is needed: "
            f"name it, predictions: {names[0]}, and give its targets"
        )

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        return kind.score(np.asarray(predictions.values, dtype=np.float64), truth, parameters)

    def answers(predictions: Predictions) -> list[Any]:
        return [None if pd.isna(value) else float(value) for value in predictions.values]

    kind, outputs = kind.named_after(target_name), of_numbers(first.values)
    return Scorer(kind, score, answers=answers, settings=parameters, outputs=outputs), Targets(values)


def _classification(
    model: Model, first: Predictions, targets: NDArray[Any], kind: ScoreKind,
    parameters: Mapping[str, Any], output: str, recipe: Recipe,
) -> tuple[Scorer, Targets]:  # fmt: skip
    classes = class_order(model, first, targets, recipe)
    encoded = encode(targets, classes)
    settings = {**parameters, "positive": positive_class(classes, recipe), "classes": len(classes)}

    def probabilities(predictions: Predictions) -> Floats:
        return _probabilities(predictions.values, output, len(classes))

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        return kind.score(probabilities(predictions), truth, settings)

    def answers(predictions: Predictions) -> list[Any]:
        p = probabilities(predictions)
        decisions = kind.decide(p, settings)
        return [None if np.isnan(row).any() else classes[k] for row, k in zip(p, decisions, strict=True)]

    probabilities(first)  # a bad output is refused before the sweep
    outputs = of_probabilities(probabilities, kind, settings, first.values, whole=recipe.keep == "predictions")
    scorer = Scorer(kind, score, probabilities, answers=answers, settings=settings, outputs=outputs)
    return scorer, Targets(encoded, classes)


def _output_kind(model: Model, first: Predictions, recipe: Recipe) -> str:
    """What the classifier returns: ``probability``, ``logits``, ``log_proba`` or ``labels``."""
    if recipe.output != "auto":
        return recipe.output
    values = first.values
    if values.dtype.kind not in "fiub":
        if values.ndim == 2:
            raise ModelError(
                f"the model returned columns {list(first.columns or [])} that are not all numbers; name one with "
                "'predictions', or give 'score', a function (predictions, targets) → (n,), to say how they are scored"
            )
        return "labels"
    if values.ndim == 2:
        return "probability"  # checked when they are read
    values = _present(values)
    if not len(values):
        raise ModelError("the model returns nothing but NaN for the first unperturbed examples")
    if _is_hard(values):
        return "labels"
    if _in_unit(values):
        if model.served:
            raise ModelError(
                "a served model passes on only the first column of its predictions, so the probability of the "
                "correct class is not known; use env_manager='local', or a score function"
            )
        return "probability"
    raise ModelError(
        f"the classifier returned one column with values from {values.min():.3g} to {values.max():.3g}: neither "
        "probabilities nor labels; if these are logits, say output: logits; if the model is a regressor, say so "
        "(task='regressor', or model_type='regressor')"
    )


def _present(values: NDArray[Any]) -> NDArray[Any]:
    return values[~np.isnan(values)] if values.dtype.kind == "f" else values


def _is_hard(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iub" or bool((values == np.round(values)).all())


def _in_unit(values: NDArray[Any]) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())


def _probabilities(values: NDArray[Any], output: str, k: int) -> Floats:
    """Return (n, K) probabilities; a NaN row stays NaN, so that the test can say where it was."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 2 and numbers.shape[1] != k:
        raise ModelError(f"the model returned {numbers.shape[1]} columns, but there are {k} classes")
    if output == "logits":
        numbers = expit(numbers) if numbers.ndim == 1 else softmax(numbers, axis=1)
    elif output == "log_proba":
        numbers = np.exp(numbers)
    if ((numbers < -SUM_TOLERANCE) | (numbers > 1 + SUM_TOLERANCE)).any():
        raise ModelError(
            f"the model's output runs from {np.nanmin(numbers):.3g} to {np.nanmax(numbers):.3g}, so it is no "
            "probability; if these are logits, say output: logits (log_proba for logarithms)"
        )
    if numbers.ndim == 1:
        return np.column_stack([1 - numbers, numbers])
    sums = numbers.sum(axis=1)
    bad = np.abs(sums - 1) > SUM_TOLERANCE  # False for NaN
    if bad.any():
        raise ModelError(
            f"{int(bad.sum())} of {len(sums)} rows of the model's output do not sum to 1 (first: {sums[bad][0]:.4g}), "
            "so they are no class probabilities; if they are logits, say output: logits; "
            "if each label has a probability of its own (multi-label), name the one to score: predictions and pos_label"
        )
    return numbers


def _label_scorer(
    model: Model, first: Predictions, targets: NDArray[Any], kind: ScoreKind, recipe: Recipe
) -> tuple[Scorer, Targets]:
    if kind.needs != "labels":
        raise ModelError(
            f"score: {kind.name} needs probabilities, but the model returns labels; "
            f"use score: {kinds_of('labels')}, or a model that returns probabilities"
        )
    if first.values.ndim == 2:
        raise ModelError(f"labels must be one column; the model returned {first.values.shape[1]}")
    seen = sorted_labels(targets)
    predicted = {key_of(label) for label in first.values.tolist()}
    if not predicted & {key_of(label) for label in (*seen, *(model.classes or ()))}:
        raise DataError(
            f"the model predicts {listing(sorted(predicted))}, the targets hold {listing(seen)}: none in common"
        )
    classes = tuple(recipe.label_list or model.classes or seen)
    numbers = {key_of(label): number for number, label in enumerate(classes)}

    def label_numbers(predictions: Predictions) -> Floats:
        keys = map(key_of, predictions.values.tolist())
        labels = np.array([numbers.get(key, NO_CLASS) for key in keys], dtype=np.float64)
        return np.where(pd.isna(predictions.values), np.nan, labels)

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        _refuse_other_output(predictions.values, recipe)
        return kind.score(label_numbers(predictions), truth, {})

    def answers(predictions: Predictions) -> list[Any]:
        labels = [(label, numbers.get(key_of(label))) for label in predictions.values.tolist()]
        return [None if pd.isna(label) else label if k is None else classes[k] for label, k in labels]

    outputs = of_labels(label_numbers, len(classes), positive_class(classes, recipe))
    scorer = Scorer(kind, score, warnings=(LABELS_ALONE,), answers=answers, outputs=outputs)
    return scorer, Targets(encode(targets, classes), classes)


def _refuse_other_output(values: NDArray[Any], recipe: Recipe) -> None:
    """A saturated model may look as if it returned labels, until it does not."""
    present = _present(values)
    if recipe.output == "auto" and values.dtype.kind == "f" and not _is_hard(present):
        raise ModelError(
            "the model returned whole numbers first, taken for labels, and now "
            f"{present[present != np.round(present)][0]:.4g}; say output: probability (or logits, log_proba, labels)"
        )
