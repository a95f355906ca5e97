"""What the best constant prediction scores on the same targets, for each kind of score: what a score is read beside.

Each function takes targets (n,), class numbers or values, weights (n,) or ``None``, and the settings of a score's kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = Floats | None
Settings = Mapping[str, Any]


def class_shares(targets: NDArray[Any], weights: Weights) -> Floats:
    """Return the shares of the classes that ``targets`` have, the largest first.

    >>> class_shares(np.array([2, 0, 2, 2]), None)
    array([0.75, 0.25])
    """
    _, numbers = np.unique(targets, return_inverse=True)
    counts = np.bincount(numbers, weights)
    return np.sort(counts / counts.sum())[::-1]


def largest_share(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the largest class's share: of the constants, being sure of it has the best mean probability of the target.

    >>> largest_share(np.array([2, 0, 2, 2]), None, {})
    0.75
    """
    return float(class_shares(targets, weights)[0])


def largest_shares(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the sum of the ``top_k`` largest classes' shares.

    >>> largest_shares(np.array([2, 0, 2, 1]), None, {"top_k": 2})
    0.75
    """
    return float(class_shares(targets, weights)[: settings["top_k"]].sum())


def shares_at_threshold(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the share of targets that constant probabilities decide rightly at a threshold.

    Between two classes the decision is one class: the largest share. Of more, as many classes as the threshold leaves
    room for can reach it at once, the largest ones: at .3 three of them.

    >>> shares_at_threshold(np.array([0, 0, 0, 1]), None, {"threshold": 0.3, "classes": 2})
    0.75
    >>> shares_at_threshold(np.array([0, 1, 2, 3]), None, {"threshold": 0.3, "classes": 4})
    0.75
    """
    room = 1 if settings["classes"] == 2 else int(1 / settings["threshold"] + 1e-9)
    return float(class_shares(targets, weights)[:room].sum())


def neg_entropy(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return Σ π log π (nats), π the classes' shares: minus the log loss of predicting the shares (Shannon 1948).

    >>> round(neg_entropy(np.array([0, 1]), None, {}), 4)
    -0.6931
    """
    shares = class_shares(targets, weights)
    shares = shares[shares > 0]  # a class may have no weight
    return float(shares @ np.log(shares))


def neg_gini(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return −(1 − Σ π²), π the classes' shares: minus the Brier score, over all classes, of predicting the shares.

    >>> neg_gini(np.array([0, 1]), None, {})
    -0.5
    """
    return float(np.square(class_shares(targets, weights)).sum() - 1)


def quantile(values: Floats, weights: Weights, q: float) -> float:
    """Return the smallest value with a share ``q`` of the weight up to it: it minimises the pinball loss.

    >>> quantile(np.array([3.0, 1.0, 2.0]), None, 0.5), quantile(np.array([3.0, 1.0]), np.array([3.0, 1.0]), 0.5)
    (2.0, 3.0)
    """
    order = np.argsort(values)
    reached = np.cumsum(np.ones(len(values)) if weights is None else np.asarray(weights)[order])
    return float(values[order][np.searchsorted(reached, q * reached[-1] * (1 - 1e-12))])


def absolute_error_of_median(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return minus the mean absolute error of the targets' median.

    >>> absolute_error_of_median(np.array([1.0, 2.0, 6.0]), None, {})
    -1.6666666666666667
    """
    return -float(np.average(np.abs(targets - quantile(targets, weights, 0.5)), weights=weights))


def squared_error_of_mean(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return minus the mean squared error of the targets' mean.

    >>> squared_error_of_mean(np.array([1.0, 2.0, 3.0]), None, {})
    -0.6666666666666666
    """
    return -float(np.average(np.square(targets - np.average(targets, weights=weights)), weights=weights))


def relative_error(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return minus the mean relative error of the best constant, the targets' median weighted by 1/|target|.

    >>> relative_error(np.array([1.0, 2.0, 4.0]), None, {})
    -0.4166666666666667
    """
    per_unit = (1.0 if weights is None else weights) / np.abs(targets)
    return -float(np.average(np.abs(quantile(targets, per_unit, 0.5) / targets - 1), weights=weights))


def log_error_of_median(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return minus the mean error of the logarithm, of the targets' median.

    >>> round(log_error_of_median(np.array([1.0, 2.0, 4.0]), None, {}), 4)
    -0.4621
    """
    return absolute_error_of_median(np.log(targets), weights, settings)


def pinball_loss(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return minus the mean pinball loss of the targets' own quantile.

    >>> pinball_loss(np.array([1.0, 2.0, 6.0]), None, {"quantile": 0.5})
    -0.8333333333333334
    """
    errors = targets - quantile(targets, weights, q := settings["quantile"])
    return -float(np.average(np.maximum(q * errors, (q - 1) * errors), weights=weights))


# The best constant prediction of the scores of numbers, by the kind's name.
CONSTANTS: Mapping[str, Callable[[NDArray[Any], Weights, Settings], float]] = MappingProxyType(
    {
        "neg_absolute_error": lambda targets, weights, settings: quantile(targets, weights, 0.5),
        "neg_squared_error": lambda targets, weights, settings: float(np.average(targets, weights=weights)),
        "neg_relative_error": lambda targets, weights, settings: quantile(
            targets, (1.0 if weights is None else weights) / np.abs(targets), 0.5
        ),
        "neg_log_error": lambda targets, weights, settings: quantile(targets, weights, 0.5),
        "quantile": lambda targets, weights, settings: quantile(targets, weights, settings["quantile"]),
    }
)
