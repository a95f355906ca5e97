"""The kinds of score, each one object, in one table: a score that stands in it is whole.

The recipe's names (``recipe.values``) are tested to be those of the table; words, figures and the sweep read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.values import SCORE_PARAMETERS, ScoreFunction
from mlflow_sensie.scores import no_skill

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
LEAST = 1e-6  # of a probability, or of a prediction beside its target, where a logarithm is taken
LOG_LEAST = math.log(LEAST)
TARGET_UNIT = "target unit"
AGREEMENT = "agreement"
NAMELESS = ("", "target", "targets", "y", "label")  # names of targets that say nothing of their unit
Needs = Literal["probabilities", "labels", "numbers", "predictions", "answers"]


@dataclass(frozen=True)
class ScoreKind:
    """A kind of score: its name in recipes and its label in words, its bounds and unit, and how it is computed.

    ``needs`` says what ``function`` (predictions, targets (n,)) → (n,) takes: class ``probabilities`` (n, K), class
    numbers, ``labels`` (n,), both with class numbers as targets; a regressor's ``numbers`` (n,); whatever the model
    returns, ``predictions``; or ``answers``, numbers of labels (n,) with those of the clean inputs in place of targets.
    ``settings`` are the keywords that it takes besides: a parameter of the recipe, called as the kind; ``positive``,
    the number of the positive class. ``label`` may hold ``{unit}``.
    ``decision`` (probabilities, the same settings) → (n,) says which class the model decides for, where that is not
    the most probable. ``expected`` maps probabilities to the score (n,) that they announce, where they do.
    ``binary``: scores are 0 or 1. ``no_skill`` maps targets (n,), weights (n,) or ``None``, and whatever settings there
    are to the mean score of the best constant prediction, beside which a score must be read; ``None``: unknown.
    ``unfit`` says in words, and as a mask, which targets (n,) have no such score.
    """

    name: str
    label: str
    scale: ScoreScale
    needs: Needs
    function: Callable[..., Floats]
    no_skill: Callable[[NDArray[Any], Floats | None, Mapping[str, Any]], float | None]
    settings: tuple[str, ...] = ()
    decision: Callable[..., Integers] | None = None
    expected: Callable[[Floats], Floats] | None = None
    binary: bool = False
    unfit: tuple[str, Callable[[Floats], NDArray[np.bool_]]] | None = None

    @property
    def in_target_unit(self) -> bool:
        """Whether the score is in the unit of the targets, so that its size hangs on how much they vary."""
        return "{unit}" in self.label

    def named_after(self, name: str) -> ScoreKind:
        """Return the kind with the target's name as the unit, where it has one that says something."""
        if not self.in_target_unit or name in NAMELESS:
            return self
        return replace(self, scale=replace(self.scale, unit=self.scale.unit.replace(TARGET_UNIT, name)))

    @property
    def task(self) -> str | None:
        """``classifier`` or ``regressor``; ``None`` where the kind does not tell."""
        return {"numbers": "regressor", "predictions": None}.get(self.needs, "classifier")

    def score(self, predictions: NDArray[Any], targets: NDArray[Any], available: Mapping[str, Any]) -> Floats:
        """Return the scores (n,), with the kind's settings among those ``available``; a row with NaN scores NaN.

        A kind of labels takes probabilities, too: their decision is the label.
        """
        missing = np.isnan(predictions)
        if self.needs == "labels" and predictions.ndim == 2:
            predictions = self.decide(predictions, available)
        scores = self.function(predictions, targets, **{name: available[name] for name in self.settings})
        return np.where(missing.any(axis=1) if missing.ndim == 2 else missing, np.nan, scores)

    def decide(self, probabilities: Floats, available: Mapping[str, Any]) -> Integers:
        """Return the number (n,) of the class that the model decides for."""
        if self.decision is None:
            return most_probable(probabilities)
        return self.decision(probabilities, **{name: available[name] for name in self.settings})


def most_probable(probabilities: Floats) -> Integers:
    """Return the number (n,) of the most probable class; the first of equals.

    >>> most_probable(np.array([[0.9, 0.1], [0.4, 0.6]]))
    array([0, 1])
    """
    return np.asarray(probabilities.argmax(axis=1))


def agreement(answers: Integers, clean: Integers) -> Floats:
    """Return 1 where the label is that of the model's own clean answer, else 0.

    >>> agreement(np.array([0, 1]), np.array([0, 0]))
    array([1., 0.])
    """
    return correctness(answers, clean)


def of_target(probabilities: Floats, targets: Integers) -> Floats:
    """Return the probability (n,) of the correct class.

    >>> of_target(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    array([0.9, 0.4])
    """
    return np.asarray(probabilities[np.arange(len(targets)), targets])


def sum_of_squares(probabilities: Floats) -> Floats:
    """Return Σ_k p_k² (n,), the probability of the correct class that a calibrated model announces.

    >>> sum_of_squares(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0.5, 1. ])
    """
    return np.asarray(np.square(probabilities).sum(axis=1))


def correctness(labels: Integers, targets: Integers) -> Floats:
    """Return 1 where the label is the correct one, else 0.

    >>> correctness(np.array([0, 1]), np.array([0, 0]))
    array([1., 0.])
    """
    return np.asarray(labels == targets, dtype=np.float64)


def within_top(probabilities: Floats, targets: Integers, *, top_k: int) -> Floats:
    """Return 1 where fewer than ``top_k`` classes are more probable than the correct one, else 0.

    >>> within_top(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]), np.array([1, 2]), top_k=2)
    array([1., 0.])
    """
    more_probable = (probabilities > of_target(probabilities, targets)[:, None]).sum(axis=1)
    return np.asarray(more_probable < top_k, dtype=np.float64)


def decision_at(probabilities: Floats, *, threshold: float, positive: int) -> Integers:
    """Return the positive class of two where its probability reaches the threshold; of more the most probable.

    >>> decision_at(np.array([[0.7, 0.3], [0.9, 0.1]]), threshold=0.3, positive=1)
    array([1, 0])
    """
    if probabilities.shape[1] != 2:
        return most_probable(probabilities)
    return np.where(probabilities[:, positive] >= threshold, positive, 1 - positive)


def correctness_at(probabilities: Floats, targets: Integers, *, threshold: float, positive: int) -> Floats:
    """Return 1 where the decision between two classes is right; of more, where the correct one reaches the threshold.

    >>> correctness_at(np.array([[0.7, 0.3], [0.9, 0.1]]), np.array([0, 0]), threshold=0.3, positive=1)
    array([0., 1.])
    """
    if probabilities.shape[1] != 2:
        return np.asarray(of_target(probabilities, targets) >= threshold, dtype=np.float64)
    return correctness(decision_at(probabilities, threshold=threshold, positive=positive), targets)


def neg_log_loss(probabilities: Floats, targets: Integers) -> Floats:
    """Return log p (nats) of the correct class, p at least 1e-6, so that a certain mistake costs a finite loss.

    >>> neg_log_loss(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1])).round(2)
    array([ -0.69, -13.82])
    """
    return np.asarray(np.maximum(np.log(np.maximum(of_target(probabilities, targets), LEAST)), LOG_LEAST))


def neg_brier_score(probabilities: Floats, targets: Integers) -> Floats:
    """Return −Σ_k (p_k − y_k)², y the one-hot target (Brier 1950): for two classes twice scikit-learn's.

    >>> neg_brier_score(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1]))
    array([-0.5, -2. ])
    """
    one_hot = np.zeros_like(probabilities)
    one_hot[np.arange(len(targets)), targets] = 1.0
    return np.asarray(-np.square(probabilities - one_hot).sum(axis=1))


def neg_absolute_error(numbers: Floats, targets: Floats) -> Floats:
    """Return minus the absolute error, in the target's unit.

    >>> neg_absolute_error(np.array([1.0, 5.0]), np.array([2.0, 1.0]))
    array([-1., -4.])
    """
    return -np.abs(numbers - targets)


def neg_squared_error(numbers: Floats, targets: Floats) -> Floats:
    """Return minus the squared error, in the target's unit squared.

    >>> neg_squared_error(np.array([1.0, 5.0]), np.array([2.0, 1.0]))
    array([ -1., -16.])
    """
    return -np.square(numbers - targets)


def neg_relative_error(numbers: Floats, targets: Floats) -> Floats:
    """Return minus the absolute error as a fraction of the target, which is not 0.

    >>> neg_relative_error(np.array([1.0, 5.0]), np.array([2.0, -4.0]))
    array([-0.5 , -2.25])
    """
    return -np.abs((numbers - targets) / targets)


def neg_log_error(numbers: Floats, targets: Floats) -> Floats:
    """Return −|log(prediction/target)| for targets above 0: twice too much costs as much as half of it.

    It is at least log 1e-6: a prediction of 0 or below counts as a millionth of its target, the farthest off there is.

    >>> neg_log_error(np.array([1.0, 4.0, -1.0]), np.array([2.0, 2.0, 2.0])).round(2)
    array([ -0.69,  -0.69, -13.82])
    """
    ratios = np.where(numbers > 0, numbers, targets * LEAST) / targets
    return np.maximum(-np.abs(np.log(ratios)), LOG_LEAST)


def neg_pinball_loss(numbers: Floats, targets: Floats, *, quantile: float) -> Floats:
    """Return minus the pinball loss of a predicted quantile (Koenker & Bassett 1978), in the target's unit.

    >>> neg_pinball_loss(np.array([1.0, 5.0]), np.array([2.0, 1.0]), quantile=0.9).round(2)
    array([-0.9, -0.4])
    """
    errors = targets - numbers
    return -np.maximum(quantile * errors, (quantile - 1) * errors)


# By what they need, the first is the default where the recipe names none.
KINDS: Mapping[str, ScoreKind] = MappingProxyType({
    kind.name: kind for kind in (
        ScoreKind("probability", "probability of the correct class", ScoreScale(0.0, 1.0, "probability"),
                  "probabilities", of_target, no_skill.largest_share, expected=sum_of_squares),
        ScoreKind("correct", "accuracy", ScoreScale(0.0, 1.0, "accuracy"), "labels", correctness,
                  no_skill.largest_share, binary=True),
        ScoreKind("top_k", "top-k accuracy", ScoreScale(0.0, 1.0, "top-k accuracy"), "probabilities", within_top,
                  no_skill.largest_shares, ("top_k",), binary=True),
        ScoreKind("threshold", "accuracy at the threshold", ScoreScale(0.0, 1.0, "accuracy at the threshold"),
                  "probabilities", correctness_at, no_skill.shares_at_threshold, ("threshold", "positive"),
                  decision_at, binary=True),
        ScoreKind("neg_log_loss", "−log loss (nats)", ScoreScale(LOG_LEAST, 0.0, "nats"), "probabilities", neg_log_loss,
                  no_skill.neg_entropy),
        ScoreKind("neg_brier_score", "−Brier score", ScoreScale(-2.0, 0.0, "Brier score"), "probabilities",
                  neg_brier_score, no_skill.neg_gini),
        ScoreKind("neg_absolute_error", "−absolute error ({unit})", ScoreScale(None, 0.0, TARGET_UNIT), "numbers",
                  neg_absolute_error, no_skill.of_best_constant("neg_absolute_error", neg_absolute_error)),
        ScoreKind("neg_squared_error", "−squared error ({unit})", ScoreScale(None, 0.0, f"{TARGET_UNIT}²"), "numbers",
                  neg_squared_error, no_skill.of_best_constant("neg_squared_error", neg_squared_error)),
        ScoreKind("neg_relative_error", "−relative error", ScoreScale(None, 0.0, "relative error"), "numbers",
                  neg_relative_error, no_skill.of_best_constant("neg_relative_error", neg_relative_error),
                  unfit=("0", lambda targets: targets == 0)),
        ScoreKind("neg_log_error", "−error of the logarithm", ScoreScale(LOG_LEAST, 0.0, "log ratio"), "numbers",
                  neg_log_error, no_skill.of_best_constant("neg_log_error", neg_log_error),
                  unfit=("0 or below", lambda targets: targets <= 0)),
        ScoreKind("quantile", "−pinball loss ({unit})", ScoreScale(None, 0.0, TARGET_UNIT), "numbers",
                  neg_pinball_loss, no_skill.of_best_constant("quantile", neg_pinball_loss), ("quantile",)),
        ScoreKind(AGREEMENT, "agreement with the clean answer", ScoreScale(0.0, 1.0, "agreement"), "answers", agreement,
                  lambda targets, weights, settings: None, binary=True),
    )
})  # fmt: skip
CUSTOM = "custom"


def custom_kind(spec: ScoreFunction) -> ScoreKind:
    """Return the kind of a user's own score: a function (predictions, targets) → (n,), with what it says of itself.

    With a name it is a kind of its own, which is compared with no other.

    >>> custom_kind(ScoreFunction(function=max, lower=0, upper=1, name="IoU")).name
    'custom: IoU'
    """
    name, scale = f"{CUSTOM}: {spec.name}".removesuffix(": "), ScoreScale(spec.lower, spec.upper, spec.unit or "score")
    function: Any = load_target(spec.function) if isinstance(spec.function, str) else spec.function
    return ScoreKind(name, spec.name or "score", scale, "predictions", function, lambda *_: spec.no_skill)


def kind_of(score: Any) -> tuple[ScoreKind | None, Mapping[str, Any]]:
    """Return the kind that a recipe's ``score`` names, and its parameter; none where that is ``None``.

    >>> kind_of("correct")[0].label, kind_of(None)
    ('accuracy', (None, {}))
    """
    if isinstance(score, Mapping):
        return KINDS[next(iter(score))], score
    return (None if score is None else KINDS[score]), {}


def default_kind(needs: Needs) -> ScoreKind:
    """Return the kind for what a model gives, where the recipe names none: the first that needs just that.

    >>> default_kind("numbers").name
    'neg_absolute_error'
    """
    return next(kind for kind in KINDS.values() if kind.needs == needs)


def kinds_of(needs: Needs) -> str:
    """Return the names of all kinds that need just that, as a message lists them.

    >>> kinds_of("numbers")
    'neg_absolute_error, neg_squared_error, neg_relative_error, neg_log_error or {quantile: q}'
    """
    forms = {name: f"{{{name}: {letter}}}" for name, (letter, _) in SCORE_PARAMETERS.items()}
    *others, last = [forms.get(kind.name, kind.name) for kind in KINDS.values() if kind.needs == needs]
    return " or ".join([", ".join(others), last] if others else [last])
