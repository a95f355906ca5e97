"""What metrics compute: values of n examples, with the influence of each on them.

A function takes the predictions of n examples and their ``Truth``, and returns its value with the influence of each
example on it, ψ (n,): how fast the value changes with the example's weight, so that the weighted mean of value + ψ is
the value (Hampel 1974). Values are scikit-learn's of the same name, with the weights as ``sample_weight``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Estimate = tuple[float, Floats]
ECE_BINS = 15
ROUNDING = 1e-12  # of sums of shares


class Undefined(ValueError):
    """The metric does not exist for these examples, as an AUC where all are of one class."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The right answers to n examples and what predictions are held against.

    ``targets`` (n,) are class numbers of 0..``classes`` - 1, or values; ``weights`` (n,), above 0, or ``None``;
    ``positive`` is the number of the positive class of two. ``constant`` is what the best constant predicts on all
    examples, of which these may be some: the classes' shares (K,), or for scores what it scores on each example (n,);
    ``upper`` is the score of a perfect prediction, and ``quantile`` the one that a regressor predicts.
    """

    targets: NDArray[Any]
    classes: int = 0
    positive: int = 1
    weights: Floats | None = None
    constant: Floats | None = None
    upper: float | None = None
    quantile: float = 0.5

    @cached_property
    def share(self) -> Floats:
        """Each example's share (n,) of the weights."""
        w = np.ones(len(self.targets)) if self.weights is None else np.asarray(self.weights, np.float64)
        return np.asarray(w / w.sum())

    @cached_property
    def class_shares(self) -> Floats:
        """The classes' shares (K,) of the weights."""
        return np.asarray(np.bincount(self.targets, self.share, self.classes), np.float64)

    def mean(self, values: Floats) -> float:
        """Return the weighted mean of values (n,)."""
        return float(self.share @ values)

    def take(self, rows: NDArray[Any]) -> Truth:
        """Return that of some rows, by a mask or their numbers; the constant stays that of all examples."""
        per_row = {
            name: values[rows]
            for name in ("targets", "weights", "constant")
            if (values := getattr(self, name)) is not None and len(values) == len(self.targets)
        }
        return replace(self, **per_row)

    def with_constant(self) -> Truth:
        """Return it with the classes' shares of these examples as the constant."""
        return replace(self, constant=self.class_shares)


# --- means of losses ---------------------------------------------------------------------------------------


def _mean(values: Floats, truth: Truth) -> Estimate:
    value = truth.mean(values)
    return value, values - value


def _one_hot(truth: Truth) -> Floats:
    return np.asarray(np.eye(truth.classes)[truth.targets])


def squared_distance(probabilities: Floats, truth: Truth) -> Floats:
    """Return Σ_k (p_k − y_k)² (n,), y the one-hot target.

    >>> squared_distance(np.array([[0.5, 0.5], [1.0, 0.0]]), Truth(np.array([0, 1]), 2))
    array([0.5, 2. ])
    """
    of_target = probabilities[np.arange(len(truth.targets)), truth.targets]
    return np.asarray(np.einsum("ij,ij->i", probabilities, probabilities) - 2 * of_target + 1)


def brier(probabilities: Floats, truth: Truth) -> Estimate:
    """Return scikit-learn's Brier loss: of two classes the squared error of one of them, of more the sum over all.

    >>> brier(np.array([[0.5, 0.5], [1.0, 0.0]]), Truth(np.array([0, 1]), 2))[0]
    0.625
    """
    return _mean(squared_distance(probabilities, truth) / (2 if truth.classes == 2 else 1), truth)


def log_loss(probabilities: Floats, truth: Truth) -> Estimate:
    """Return minus the mean log probability (nats) of the correct class, clipped where the number type ends.

    >>> round(log_loss(np.array([[0.5, 0.5], [0.2, 0.8]]), Truth(np.array([0, 1]), 2))[0], 3)
    0.458
    """
    eps = np.finfo(probabilities.dtype).eps
    of_target = probabilities[np.arange(len(truth.targets)), truth.targets]
    return _mean(-np.log(np.clip(of_target.astype(np.float64), eps, 1 - eps)), truth)


def accuracy(labels: Integers, truth: Truth) -> Estimate:
    """Return the share of examples whose label is the correct one.

    >>> accuracy(np.array([0, 1]), Truth(np.array([0, 0]), 2))[0]
    0.5
    """
    return _mean((labels == truth.targets).astype(np.float64), truth)


def expected_calibration_error(probabilities: Floats, truth: Truth) -> Estimate:
    """Return the mean distance of accuracy from confidence in 15 equal bins of confidence (Guo et al. 2017).

    It is biased upwards, most where the model is well calibrated, so that it has no interval.

    >>> expected_calibration_error(np.array([[0.9, 0.1], [0.9, 0.1]]), Truth(np.array([0, 1]), 2))[0]
    0.4
    """
    confidence, decision = probabilities.max(axis=1), probabilities.argmax(axis=1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(bins, truth.share * ((decision == truth.targets) - confidence))
    return round(float(np.abs(gap).sum()), 15), np.zeros(len(truth.targets))


def mean_absolute_error(numbers: Floats, truth: Truth) -> Estimate:
    """Return the mean absolute error, in the target's unit.

    >>> mean_absolute_error(np.array([1.0, 3.0]), Truth(np.array([2.0, 5.0])))[0]
    1.5
    """
    return _mean(np.abs(numbers - truth.targets), truth)


def root_mean_squared_error(numbers: Floats, truth: Truth) -> Estimate:
    """Return the root of the mean squared error, in the target's unit.

    >>> root_mean_squared_error(np.array([1.0, 3.0]), Truth(np.array([2.0, 4.0])))[0]
    1.0
    """
    value, influence = _mean(np.square(numbers - truth.targets), truth)
    root = float(np.sqrt(value))
    return root, influence / (2 * root) if root > 0 else influence


def mean_absolute_percentage_error(numbers: Floats, truth: Truth) -> Estimate:
    """Return the mean of |ŷ − y| / |y|, y at least 2.2e-16 in size.

    >>> mean_absolute_percentage_error(np.array([1.0, 3.0]), Truth(np.array([2.0, 4.0])))[0]
    0.375
    """
    least = np.finfo(np.float64).eps
    return _mean(np.abs(numbers - truth.targets) / np.maximum(np.abs(truth.targets), least), truth)


def mean_pinball_loss(numbers: Floats, truth: Truth) -> Estimate:
    """Return the mean of max(q(y − ŷ), (q − 1)(y − ŷ)), q the quantile that the regressor predicts, else the median.

    >>> mean_pinball_loss(np.array([1.0, 3.0]), Truth(np.array([2.0, 5.0]), quantile=0.9))[0]
    1.35
    """
    excess = truth.targets - numbers
    return _mean(np.maximum(truth.quantile * excess, (truth.quantile - 1) * excess), truth)


# --- against the best constant -----------------------------------------------------------------------------


def _one_less_ratio(losses: Floats, of_constant: Floats, truth: Truth) -> Estimate:
    """Return 1 − Σ losses / Σ losses of the constant, and its influences: those of the baseline among them."""
    loss, baseline = truth.mean(losses), truth.mean(of_constant)
    if not baseline > 0:
        raise Undefined("the best constant makes no error on these examples")
    ratio = loss / baseline
    return 1 - ratio, -(losses - loss) / baseline + ratio * (of_constant - baseline) / baseline


def brier_skill(probabilities: Floats, truth: Truth) -> Estimate:
    """Return the Brier skill score 1 − Σ(p − y)² / Σ(π − y)², π the classes' shares of all examples (Murphy 1973).

    >>> truth = Truth(np.array([0, 0, 1, 1]), 2).with_constant()
    >>> brier_skill(np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.0, 1.0]]), truth)[0]
    0.5
    """
    assert truth.constant is not None
    shares = np.broadcast_to(truth.constant, (len(truth.targets), truth.classes))
    return _one_less_ratio(squared_distance(probabilities, truth), squared_distance(shares, truth), truth)


def score_skill(scores: Floats, truth: Truth) -> Estimate:
    """Return (score − no-skill score) / (best score − no-skill score), of the means.

    >>> score_skill(np.array([-1.0, -1.0]), Truth(np.zeros(2), constant=np.array([-2.0, -2.0]), upper=0.0))[0]
    0.5
    """
    assert truth.constant is not None and truth.upper is not None
    return _one_less_ratio(truth.upper - scores, truth.upper - truth.constant, truth)


def label_skill(labels: Integers, truth: Truth) -> Estimate:
    """Return (balanced accuracy − 1/K) / (1 − 1/K), K the number of classes that all examples have.

    >>> label_skill(np.array([0, 1, 1]), Truth(np.array([0, 0, 1]), 2).with_constant())[0]
    0.5
    """
    assert truth.constant is not None
    chance = 1 / max(int((truth.constant > 0).sum()), 1)
    if chance == 1:
        raise Undefined("all examples are of one class")
    value, influence = balanced_accuracy(labels, truth)
    return (value - chance) / (1 - chance), influence / (1 - chance)


def r2(numbers: Floats, truth: Truth) -> Estimate:
    """Return the coefficient of determination, 1 − Σ(ŷ − y)² / Σ(ȳ − y)².

    >>> r2(np.array([1.0, 2.0, 3.0]), Truth(np.array([1.0, 2.0, 4.0])))[0].__round__(3)
    0.786
    """
    errors = np.square(numbers - truth.targets)
    return _one_less_ratio(errors, np.square(truth.targets - truth.mean(truth.targets)), truth)


# --- of labels: functions of the confusion matrix ----------------------------------------------------------


def _counts(labels: Integers, truth: Truth) -> tuple[Floats, Floats, Floats]:
    """Return the shares (K,) of right answers, of targets and of labels, by class; a label may be no class (−1)."""
    k = truth.classes
    cells = truth.targets * (k + 1) + np.where(labels < 0, k, labels)
    confusion: Floats = np.bincount(cells, truth.share, k * (k + 1)).astype(np.float64).reshape(k, k + 1)
    return np.diagonal(confusion).copy(), confusion.sum(axis=1), confusion.sum(axis=0)[:k]


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)


def _of_label(values: Floats, labels: Integers) -> Floats:
    """Look a value of each class up for each label, 0 for a label that is no class."""
    return np.append(values, 0.0)[labels]


def _per_class(name: str, labels: Integers, truth: Truth) -> tuple[Floats, Floats, Floats, Floats]:
    """Return recall, precision or F1 of each class (K,), and what makes their influences.

    The influence of an example on that of class k is (right·2^[F1] − value)·weight for its target and its label:
    ``by_target`` and ``by_label`` (K,) are those weights, 0 where they do not count; the labels' shares (K,) come last.
    """
    right, targets, predicted = _counts(labels, truth)
    if name == "recall":
        return _ratio(right, targets), _ratio(np.ones_like(targets), targets), np.zeros_like(targets), predicted
    if name == "precision":
        return _ratio(right, predicted), np.zeros_like(targets), _ratio(np.ones_like(targets), predicted), predicted
    inverse = _ratio(np.ones_like(targets), targets + predicted)
    return 2 * right * inverse, inverse, inverse, predicted


def confusion_metric(labels: Integers, truth: Truth, *, name: str, of: int | None = None) -> Estimate:
    """Return ``recall``, ``precision`` or ``f1``: of the class ``of``, of two classes of the positive one, else macro.

    As scikit-learn's: macro is the plain mean over the classes that targets or labels have, and what would be divided
    by 0 is 0. Undefined for a recall of a class that no example has.

    >>> truth = Truth(np.array([0, 1, 1, 1]), 2)
    >>> [round(confusion_metric(np.array([1, 1, 1, 0]), truth, name=name)[0], 3) for name in ("recall", "precision")]
    [0.667, 0.667]
    """
    values, by_target, by_label, predicted = _per_class(name, labels, truth)
    k = of if of is not None else truth.positive if truth.classes == 2 else None
    present = (truth.class_shares > 0) | (predicted > 0)
    if k is not None and not (truth.class_shares[k] > 0 if name != "precision" else present[k]):
        raise Undefined("no example is of the class")
    part = present / present.sum() if k is None else np.eye(truth.classes)[k]
    right = (labels == truth.targets).astype(np.float64)
    both = 2.0 if name == "f1" else 1.0
    per_target, per_label = part * by_target, part * by_label
    gain = both * right * (_of_label(per_label, labels) if name == "precision" else per_target[truth.targets])
    influence = gain - (per_target * values)[truth.targets] - _of_label(per_label * values, labels)
    return float(part @ values), influence


def balanced_accuracy(labels: Integers, truth: Truth) -> Estimate:
    """Return the mean recall of the classes that there are.

    >>> balanced_accuracy(np.array([0, 1, 1]), Truth(np.array([0, 0, 1]), 2))[0]
    0.75
    """
    recall, inverse, _, _ = _per_class("recall", labels, truth)
    present = truth.class_shares > 0
    weight = inverse * present / present.sum()
    influence = weight[truth.targets] * ((labels == truth.targets) - recall[truth.targets])
    return float(recall[present].mean()), influence


def matthews(labels: Integers, truth: Truth) -> Estimate:
    """Return Matthews' correlation coefficient, of more classes as Gorodkin (2004); 0 where all labels are the same.

    >>> round(matthews(np.array([0, 1, 1, 1]), Truth(np.array([0, 0, 1, 1]), 2))[0], 3)
    0.577
    """
    right, targets, predicted = _counts(labels, truth)
    together, of_targets, of_labels = float(targets @ predicted), float(targets @ targets), float(predicted @ predicted)
    covariance, spread = right.sum() - together, (1 - of_targets) * (1 - of_labels)
    if not spread > ROUNDING:
        if not 1 - of_targets > ROUNDING:
            raise Undefined("all examples are of one class")
        return 0.0, np.zeros(len(labels))
    value = float(covariance / np.sqrt(spread))
    of_example = targets[truth.targets], _of_label(predicted, labels)
    crossed = predicted[truth.targets] + _of_label(targets, labels) - 2 * together
    moved = (labels == truth.targets) - right.sum() - crossed
    shrunk = (of_example[0] - of_targets) / (1 - of_targets) + (of_example[1] - of_labels) / (1 - of_labels)
    return value, moved / np.sqrt(spread) + value * shrunk


# --- of the order of probabilities -------------------------------------------------------------------------


def _binary_auc(values: Floats, positive: NDArray[np.bool_], share: Floats) -> Estimate:
    """Return P(a positive has the larger value), ties by half, and its influences (DeLong et al. 1988)."""
    mass = [float(share[positive].sum()), float(share[~positive].sum())]
    if min(mass) == 0:
        raise Undefined("all examples are of one class")
    _, group = np.unique(values, return_inverse=True)
    below = []
    for members, total in ((positive, mass[0]), (~positive, mass[1])):
        sums = np.bincount(group, share * members)
        below.append((np.cumsum(sums) - sums / 2) / total)
    placement = np.where(positive, below[1][group], 1 - below[0][group])
    value = min(max(float(share[positive] @ placement[positive]) / mass[0], 0.0), 1.0)
    return value, (placement - value) / np.where(positive, *mass)


def _macro(
    estimate: Callable[[Floats, NDArray[np.bool_], Floats], Estimate], probabilities: Floats, truth: Truth
) -> Estimate:
    """Return the estimate for the positive class of two, of more the mean over each class against the rest."""
    of = [truth.positive] if truth.classes == 2 else range(truth.classes)
    parts = [estimate(probabilities[:, k], truth.targets == k, truth.share) for k in of]
    influence: Floats = np.mean([part[1] for part in parts], axis=0)
    return float(np.mean([part[0] for part in parts])), influence


def roc_auc(probabilities: Floats, truth: Truth) -> Estimate:
    """Return the area under the ROC curve, of more than two classes the mean of each against the rest.

    >>> p = np.array([0.1, 0.4, 0.35, 0.8])
    >>> roc_auc(np.column_stack([1 - p, p]), Truth(np.array([0, 0, 1, 1]), 2))[0]
    0.75
    """
    return _macro(_binary_auc, probabilities, truth)


def _binary_average_precision(values: Floats, positive: NDArray[np.bool_], share: Floats) -> Estimate:
    if not positive.any():
        raise Undefined("no example is of the class")
    _, group = np.unique(-values, return_inverse=True)  # the largest value first
    hits, all_ = (np.bincount(group, weights) for weights in (share * positive, share))
    above, total = np.cumsum(all_), float(hits.sum())
    precision = np.cumsum(hits) / above
    value = float(hits @ precision) / total
    # What an example adds to the precision at its own value and at every smaller one.
    from_here = [np.cumsum(part[::-1])[::-1] for part in (hits / above, hits * precision / above)]
    influence = (positive * from_here[0][group] - from_here[1][group]) / total
    return value, influence + np.where(positive, (precision[group] - value) / total, 0.0)


def drawn_average_precision(probabilities: Floats, truth: Truth, weights: Floats) -> Floats:
    """Return the average precision (B,) under each row of weights (B, n), which count as if they were the truth's.

    >>> p = np.array([0.1, 0.4, 0.35, 0.8])
    >>> truth = Truth(np.array([0, 0, 1, 1]), 2)
    >>> drawn_average_precision(np.column_stack([1 - p, p]), truth, np.ones((1, 4))).round(3)
    array([0.833])
    """
    of, parts = [truth.positive] if truth.classes == 2 else range(truth.classes), []
    for k in of:
        order = np.argsort(-probabilities[:, k], kind="stable")
        values, positive = probabilities[order, k], (truth.targets == k)[order]
        ends = np.flatnonzero(np.append(np.diff(values) != 0, True))  # of groups of equal values
        sorted_weights = weights[:, order]
        hits, above = np.cumsum(sorted_weights * positive, axis=1)[:, ends], np.cumsum(sorted_weights, axis=1)[:, ends]
        gained = np.diff(hits, axis=1, prepend=0.0)
        parts.append((gained * hits / above).sum(axis=1) / hits[:, -1])
    return np.asarray(np.mean(parts, axis=0))


def average_precision(probabilities: Floats, truth: Truth) -> Estimate:
    """Return the mean precision at the positives' values, of more than two classes the mean of each against the rest.

    >>> p = np.array([0.1, 0.4, 0.35, 0.8])
    >>> round(average_precision(np.column_stack([1 - p, p]), Truth(np.array([0, 0, 1, 1]), 2))[0], 3)
    0.833
    """
    return _macro(_binary_average_precision, probabilities, truth)
