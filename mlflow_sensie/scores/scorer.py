"""Scores: predictions and targets → one float per example, greater is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax

from mlflow_sensie.errors import DataError, ModelError
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.models.labels import class_order, encode, key_of, listing, positive_class, sorted_labels
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.values import Threshold, TopK

Floats = NDArray[np.float64]
SUM_TOLERANCE = 1e-3  # float16 softmax outputs sum to 1 within this

SCALES: Mapping[str, ScoreScale] = {
    "probability": ScoreScale(0.0, 1.0, "probability"),
    "correct": ScoreScale(0.0, 1.0, "accuracy"),
    "top_k": ScoreScale(0.0, 1.0, "top-k accuracy"),
    "threshold": ScoreScale(0.0, 1.0, "accuracy at the threshold"),
    "neg_log_loss": ScoreScale(None, 0.0, "nats"),
    "neg_brier_score": ScoreScale(-2.0, 0.0, "Brier score"),
    "neg_absolute_error": ScoreScale(None, 0.0, "target SD"),
    "neg_squared_error": ScoreScale(None, 0.0, "target variance"),
    "custom": ScoreScale(None, None, "score"),
}
REGRESSION = ("neg_absolute_error", "neg_squared_error")


@dataclass(frozen=True)
class Scorer:
    """Turns predictions and encoded targets into scores.

    ``kind`` is the resolved kind of score (a tag on the run); ``probabilities`` reads predictions as (n, K)
    class probabilities where the model gives them; ``source`` says where the predictions come from;
    ``warnings`` what the user should know of them. ``answers`` names the model's answer to each example: the
    label of a class, a number of a regressor, "" where only a custom score knows; ``None`` for a missing one.
    """

    kind: str
    scale: ScoreScale
    score: Callable[[Predictions, NDArray[Any]], Floats]
    probabilities: Callable[[Predictions], Floats] | None = None
    source: str = "predict"
    warnings: tuple[str, ...] = ()
    answers: Callable[[Predictions], list[Any]] = lambda predictions: [""] * len(predictions.values)

    @property
    def announces(self) -> bool:
        """Whether the model's probabilities say what to expect of the score."""
        return self.probabilities is not None and self.kind == "probability"

    def expected(self, predictions: Predictions) -> Floats | None:
        """Return the score (n,) that the model's own probabilities announce, Σ_k p_k²; for probabilities only."""
        if self.probabilities is None or not self.announces:
            return None
        return np.asarray(np.square(self.probabilities(predictions)).sum(axis=1))

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


def settle_scorer(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Scorer, Targets]:
    """Decide, from the first clean predictions, how this model is scored; the ladder of DESIGN.md, "Scores".

    ``first``: predictions of some clean examples. ``targets``: (n,) labels or values of all examples.

    Raises:
        ModelError: the output is of a kind that no score can be made of; the message says what to change.
        DataError: the targets do not fit the model, e.g. a label that it does not know.
    """
    scorer, encoded = _settle(model, first, targets, recipe)
    return replace(scorer, warnings=(*model.warnings, *scorer.warnings)), encoded


def _settle(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Scorer, Targets]:
    if recipe.score is not None and (callable(recipe.score) or ":" in str(recipe.score)):
        function = recipe.score if callable(recipe.score) else load_target(recipe.score)
        scorer = Scorer("custom", SCALES["custom"], lambda p, t: function(_frame_or_array(p), t), source=model.source)
        return scorer, Targets(targets)
    if recipe.output == "score":
        return _given(model, first), Targets(targets)
    if (model.task or _guess_task(first, targets, recipe)) == "regressor":
        return _regression(model, first, targets, recipe)
    if recipe.score in REGRESSION:
        raise DataError(f"score: {recipe.score} is for regressors; this is a classifier")
    return _classification(model, first, targets, recipe)


def _given(model: Model, all_of_them: Predictions) -> Scorer:
    """The scorer of recorded predictions that are the scores themselves; of all of them the bounds are told."""
    values = all_of_them.values
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ModelError(f"output: score needs one column of numbers; {values.dtype} of shape {values.shape} came")
    lower, upper = (0.0, 1.0) if _in_unit(_present(values.astype(np.float64))) else (None, None)
    scale = ScoreScale(lower, upper, "score")
    return Scorer("custom", scale, lambda p, t: np.asarray(p.values, dtype=np.float64), source=model.source)


def _frame_or_array(predictions: Predictions) -> Any:
    if predictions.columns is None:
        return predictions.values
    return pd.DataFrame(predictions.values, columns=list(predictions.columns))


def _guess_task(first: Predictions, targets: NDArray[Any], recipe: Recipe) -> str:
    if recipe.score in REGRESSION:
        return "regressor"
    if recipe.score is not None or recipe.label_list is not None or first.values.ndim == 2:
        return "classifier"
    whole = targets.dtype.kind != "f" or bool((targets == np.round(targets)).all())
    continuous = first.values.dtype.kind == "f" and not _in_unit(_present(first.values))
    return "classifier" if whole and not (continuous and len(np.unique(targets)) > 20) else "regressor"


# --- regression --------------------------------------------------------------------------------------------


def _regression(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Scorer, Targets]:
    kind = recipe.score or "neg_absolute_error"
    if kind not in REGRESSION:
        raise DataError(f"score: {kind} is for classifiers; for a regressor use {' or '.join(REGRESSION)}")
    try:
        values = np.asarray(targets, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"the targets of a regressor must be numbers; {targets[0]!r} came") from None
    spread = float(values.std())
    if not np.isfinite(spread) or spread == 0:
        raise DataError(f"the targets of a regressor must be finite and vary; their SD is {spread}")
    if first.values.ndim == 2:
        names = list(first.columns or range(first.values.shape[1]))
        raise ModelError(
            f"the regressor returned {len(names)} columns ({listing(names)}); one is needed: "
            f"name it, predictions: {names[0]}, and give its targets"
        )
    power = 1 if kind == "neg_absolute_error" else 2

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        error = np.abs(np.asarray(predictions.values, dtype=np.float64) - truth) / spread
        return np.asarray(-(error**power))

    def answers(predictions: Predictions) -> list[Any]:
        return [None if pd.isna(value) else float(value) for value in predictions.values]

    return Scorer(kind, SCALES[kind], score, source=model.source, answers=answers), Targets(values)


# --- classification ----------------------------------------------------------------------------------------


def _classification(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Scorer, Targets]:
    output = _output_kind(model, first, recipe)
    if output == "labels":
        return _label_scorer(model, first, targets, recipe)
    classes = class_order(model, first, targets, recipe)
    encoded = encode(targets, classes)
    kind, extra = _score_kind(recipe)
    positive = positive_class(classes, recipe)

    def probabilities(predictions: Predictions) -> Floats:
        return _probabilities(predictions.values, output, len(classes))

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        p = probabilities(predictions)
        return np.where(np.isnan(p).any(axis=1), np.nan, _score_probabilities(p, truth, kind, extra, positive))

    def answers(predictions: Predictions) -> list[Any]:
        p = probabilities(predictions)
        decided = _decide(p, kind, extra, positive)
        return [None if np.isnan(row).any() else classes[k] for row, k in zip(p, decided, strict=True)]

    probabilities(first)  # a bad output is refused before the sweep
    scorer = Scorer(kind, SCALES[kind], score, probabilities, model.source, answers=answers)
    return scorer, Targets(encoded, classes)


def _score_kind(recipe: Recipe) -> tuple[str, float]:
    if isinstance(recipe.score, TopK):
        return "top_k", recipe.score.top_k
    if isinstance(recipe.score, Threshold):
        return "threshold", recipe.score.threshold
    return str(recipe.score or "probability"), 0.0


def _score_probabilities(p: Floats, truth: NDArray[Any], kind: str, extra: float, positive: int) -> Floats:
    correct: Floats = p[np.arange(len(p)), truth]
    if kind == "probability":
        return correct
    if kind == "correct":
        return np.asarray(p.argmax(axis=1) == truth, dtype=np.float64)
    if kind == "top_k":
        return np.asarray((p > correct[:, None]).sum(axis=1) < extra, dtype=np.float64)
    if kind == "threshold":
        decided = (p[:, positive] >= extra) == (truth == positive) if p.shape[1] == 2 else correct >= extra
        return np.asarray(decided, dtype=np.float64)
    if kind == "neg_log_loss":
        return np.asarray(np.log(np.maximum(correct, np.finfo(np.float64).eps)))
    hot = np.zeros_like(p)
    hot[np.arange(len(p)), truth] = 1.0
    return np.asarray(-np.square(p - hot).sum(axis=1))


def _decide(p: Floats, kind: str, extra: float, positive: int) -> NDArray[np.intp]:
    """The number of the class that the model decides for: the most probable, or what the threshold says."""
    if kind == "threshold" and p.shape[1] == 2:
        return np.where(p[:, positive] >= extra, positive, 1 - positive)
    return np.asarray(p.argmax(axis=1))


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
    """Return (n, K) probabilities; a NaN row stays NaN, so that the test can say where it was.

    Raises:
        ModelError: the rows are no probabilities.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 1:
        positive = expit(numbers) if output == "logits" else np.exp(numbers) if output == "log_proba" else numbers
        _refuse_outside_unit(positive)
        return np.column_stack([1 - positive, positive])
    if numbers.shape[1] != k:
        raise ModelError(f"the model returned {numbers.shape[1]} columns, but there are {k} classes")
    if output == "logits":
        return np.asarray(softmax(numbers, axis=1))
    if output == "log_proba":
        numbers = np.exp(numbers)
    _refuse_outside_unit(numbers)
    sums = numbers.sum(axis=1)
    bad = np.abs(sums - 1) > SUM_TOLERANCE  # False for NaN
    if bad.any():
        raise ModelError(
            f"{int(bad.sum())} of {len(sums)} rows of the model's output do not sum to 1 (first: {sums[bad][0]:.4g}), "
            "so they are no class probabilities; if they are logits, say output: logits; "
            "if each label has a probability of its own (multi-label), name the one to score: predictions and pos_label"
        )
    return numbers


def _refuse_outside_unit(numbers: Floats) -> None:
    outside = (numbers < -SUM_TOLERANCE) | (numbers > 1 + SUM_TOLERANCE)
    if outside.any():
        raise ModelError(
            f"the model's output runs from {np.nanmin(numbers):.3g} to {np.nanmax(numbers):.3g}, so it is no "
            "probability; if these are logits, say output: logits (log_proba for logarithms)"
        )


def _label_scorer(model: Model, first: Predictions, targets: NDArray[Any], recipe: Recipe) -> tuple[Scorer, Targets]:
    if recipe.score not in (None, "correct"):
        raise ModelError(
            f"score: {_score_kind(recipe)[0]} needs probabilities, but the model returns labels; "
            "use score: correct, or a model that returns probabilities"
        )
    if first.values.ndim == 2:
        raise ModelError(f"labels must be one column; the model returned {first.values.shape[1]}")
    seen = sorted_labels(targets)
    given = {key_of(label) for label in first.values.tolist()}
    if not given & {key_of(label) for label in (*seen, *(model.classes or ()))}:
        raise DataError(
            f"the model predicts {listing(sorted(given))}, the targets hold {listing(seen)}: none in common"
        )
    warning = (
        "the model returns labels, so the score is correctness (0 or 1) and small changes stay unseen; a model that "
        "returns probabilities tells more (scikit-learn: pyfunc_predict_fn='predict_proba'; transformers: "
        "model_config={'top_k': None})"
    )
    classes = tuple(recipe.label_list or model.classes or seen)
    keys = np.array([key_of(label) for label in classes], dtype=object)

    def score(predictions: Predictions, truth: NDArray[Any]) -> Floats:
        _refuse_other_output(predictions.values, recipe)
        labels = np.array([key_of(label) for label in predictions.values.tolist()], dtype=object)
        missing = pd.isna(predictions.values)
        return np.where(missing, np.nan, (labels == keys[truth]).astype(np.float64))

    by_key = dict(zip(keys, classes, strict=True))

    def answers(predictions: Predictions) -> list[Any]:
        return [None if pd.isna(label) else by_key.get(key_of(label), label) for label in predictions.values.tolist()]

    scorer = Scorer("correct", SCALES["correct"], score, source=model.source, warnings=(warning,), answers=answers)
    return scorer, Targets(encode(targets, classes), classes)


def _refuse_other_output(values: NDArray[Any], recipe: Recipe) -> None:
    """A saturated model may look as if it returned labels, until it does not."""
    if recipe.output == "auto" and values.dtype.kind == "f" and not _is_hard(_present(values)):
        odd = float(_present(values)[_present(values) != np.round(_present(values))][0])
        raise ModelError(
            f"the model returned whole numbers first, taken for labels, and now {odd:.4g}; say output: probability "
            "(or logits, log_proba, labels)"
        )
