"""The metrics of a recipe, and what their intervals are made of: influences, pseudo-examples, bootstrap draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.errors import RecipeError, did_you_mean
from mlflow_sensie.inference import SamplingDesign, ScoreScale
from mlflow_sensie.inference.metric_intervals import MetricSample
from mlflow_sensie.models.labels import key_of, listing
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import metric_key
from mlflow_sensie.scores.metric_functions import Floats, Truth, Undefined
from mlflow_sensie.scores.metrics import METRICS, SKILL, SKILLS, Metric, Needs

DRAWS, MOST_DRAWN = 400, 10**8  # of the bootstrap; where more numbers would be drawn, influences serve as well
PSEUDO = 2.0  # weight of the pseudo-examples of a class; with 1, paired differences of rare classes hold in .84
GROUPS = 50  # of examples that are left out, one group at a time, for a user's metric
DEFAULTS = {"probabilities": ["balanced_accuracy"], "labels": ["balanced_accuracy"], "numbers": ["r2"]}
OF_TWO = ["roc_auc", "balanced_accuracy"]


# --- which metrics -----------------------------------------------------------------------------------------


def resolve_metrics(
    specs: Sequence[Any] | None, *, needs: Needs, classes: Sequence[Any] = (), skill: Needs | None
) -> tuple[Metric, ...]:
    """Return the metrics that a recipe asks for, by default those of the task; skill first, where it is defined.

    ``needs`` says what the model gives: "probabilities", "labels", "numbers", or "scores" where only a score function
    knows; ``classes`` are their names in the order of their numbers. ``skill`` is what skill is measured by, ``None``
    where it is undefined.

    Raises:
        RecipeError: a metric that there is not, or that needs what the model does not give.

    >>> asked = ["recall", {"name": "f1", "of": "cat"}]
    >>> [metric.name for metric in resolve_metrics(asked, needs="labels", classes=["cat", "dog"], skill="labels")]
    ['skill', 'recall', 'f1-cat']
    """
    if specs is None:
        specs = OF_TWO if needs == "probabilities" and len(classes) == 2 else DEFAULTS.get(needs, ())
    metrics = [] if skill is None else [SKILLS[skill]]
    metrics += [_metric(spec, needs, classes) for spec in specs if spec != SKILL]
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        raise RecipeError(f"metrics: each once; {', '.join(names)} came")
    return tuple(metrics)


def _metric(spec: Any, needs: Needs, classes: Sequence[Any]) -> Metric:
    options: dict[str, Any] = {"name": spec} if isinstance(spec, str) else dict(spec)
    name, function = str(options["name"]), options.get("function")
    if function is not None:
        function = load_target(function) if isinstance(function, str) else function
        call = partial(_users_value, function=function, classes=_array_of(classes))
        better = bool(options.get("greater_is_better", True))
        return Metric(name, name, needs, ScoreScale(None, None, ""), call, "jackknife", better)
    if name not in METRICS:
        raise RecipeError(f"metrics: {name!r} is none{did_you_mean(name, METRICS)}; {listing(METRICS)} are allowed")
    metric, also = METRICS[name], ("labels",) if needs == "probabilities" else ()
    if metric.needs not in (needs, *also):
        fit = [other.name for other in METRICS.values() if other.needs in (needs, *also)]
        raise RecipeError(
            f"metrics: {name!r} needs {metric.needs}, and this model gives {needs}; "
            f"{listing(fit) or 'none'} can be followed"
        )
    return metric if "of" not in options else _of_class(metric, options["of"], classes)


def _of_class(metric: Metric, of: Any, classes: Sequence[Any]) -> Metric:
    keys = [key_of(name) for name in classes]
    if not isinstance(metric.function, partial):
        raise RecipeError(f"metrics: {metric.name!r} is not of a single class; recall, precision and f1 are")
    if key_of(of) not in keys:
        raise RecipeError(f"metrics: {metric.name} of {of!r}: no such class; there are {listing(classes)}")
    function = partial(metric.function, of=keys.index(key_of(of)))
    return replace(
        metric, name=metric_key({"name": metric.name, "of": of}), label=f"{metric.label} of {of}", function=function
    )


def _array_of(labels: Sequence[Any]) -> NDArray[Any]:
    """Return labels as scikit-learn takes them: those of one type as an array of that type."""
    return np.asarray(labels, None if len({type(label) for label in labels}) == 1 else object)


def _users_value(
    predictions: NDArray[Any], truth: Truth, *, function: Callable[..., float], classes: NDArray[Any]
) -> tuple[float, Floats]:
    """Call a user's metric: targets by name; of two classes the probability of the positive one, labels by name."""
    labels = len(classes) > 0
    targets = classes[truth.targets] if labels else truth.targets
    if labels and predictions.ndim == 1:
        predictions = classes[predictions]
    elif labels and predictions.shape[1] == 2:
        predictions = predictions[:, truth.positive]
    weights = np.ones(len(targets)) if truth.weights is None else truth.weights
    return float(function(targets, predictions, weights)), np.zeros(len(targets))


# --- samples -----------------------------------------------------------------------------------------------


def sample_of(
    metric: Metric,
    columns: Sequence[NDArray[Any]],
    truth: Truth,
    clusters: NDArray[np.int64] | None = None,
    *,
    groups: Sequence[int] | None = None,
    seed: int = 0,
) -> MetricSample | None:
    """Return a metric at W columns of predictions, as intervals need it; ``None`` if undefined, or of one cluster.

    ``columns`` are W arrays of what the metric needs, (n, K) or (n,); ``groups`` (W,) numbers the columns that have
    pseudo-examples in common, by default the first one and all others.

    >>> from mlflow_sensie.scores.metrics import METRICS
    >>> truth = Truth(np.array([0, 0, 1, 1]), 2)
    >>> sample_of(METRICS["recall"], [np.array([0, 0, 1, 0]), np.array([0, 1, 0, 0])], truth).values
    array([0.5, 0. ])
    """
    if len(truth.targets) < 2 or (clusters is not None and len(np.unique(clusters)) < 2):
        return None  # of one independent example nobody knows how sure it is
    design = SamplingDesign(truth.weights, clusters)
    groups = [min(k, 1) for k in range(len(columns))] if groups is None else groups
    try:
        if metric.method == "jackknife":
            values, rows = _left_out(metric, columns, truth, clusters, seed)
            return _sample(metric, truth, values, rows, SamplingDesign(), method="mean", classes=None)
        estimates = [metric.function(column, truth) for column in columns]
    except Undefined:
        return None
    values = np.array([value for value, _ in estimates])
    if metric.method == "classes":
        rows, design, targets = _with_pseudo(metric, columns, truth, design, groups)
        return _sample(metric, truth, values, rows, design, classes=targets)
    rows = np.column_stack([value + influence for value, influence in estimates])
    draws = None
    if metric.draws is not None and len(rows) * len(columns) * DRAWS <= MOST_DRAWN:
        draws = _bootstrap(metric, columns, truth, clusters, seed)
    method = "mean" if metric.method == "bootstrap" and draws is None else metric.method
    return _sample(metric, truth, values, rows, design, method=method, draws=draws)


def _sample(
    metric: Metric, truth: Truth, values: Floats, rows: Floats, design: SamplingDesign, **more: Any
) -> MetricSample:
    classes = truth.targets if truth.classes else None
    fields = {"method": metric.method, "classes": classes, **more}
    return MetricSample(
        name=metric.name,
        values=values,
        rows=rows,
        design=design,
        lower=metric.scale.lower,
        upper=metric.scale.upper,
        no_skill=metric.no_skill(truth),
        sign=1 if metric.greater_is_better else -1,
        n=len(truth.targets),
        **fields,
    )


def _with_pseudo(
    metric: Metric, columns: Sequence[NDArray[Any]], truth: Truth, design: SamplingDesign, groups: Sequence[int]
) -> tuple[Floats, SamplingDesign, NDArray[Any]]:
    """Add examples of each class, of a weight of 2 together, whose labels are right or wrong in all combinations.

    All columns of a group are right together or wrong together; what is wrong is the class that comes next.
    """
    present = np.flatnonzero(truth.class_shares > 0)
    states = np.array(list(itertools.product([True, False], repeat=max(groups) + 1)))
    targets = np.repeat(present, len(states))
    other = present[(np.arange(len(present)) + 1) % len(present)] if len(present) > 1 else np.full(len(present), -1)
    wrong, right = np.repeat(other, len(states)), np.tile(states, (len(present), 1))
    w = design.weight(len(truth.targets))
    weights = np.concatenate([w, np.full(len(targets), PSEUDO * float(w.mean()) / len(states))])
    joined = replace(truth, targets=np.concatenate([truth.targets, targets]), weights=weights)
    estimates = [
        metric.function(np.concatenate([column, np.where(right[:, group], targets, wrong)]), joined)
        for column, group in zip(columns, groups, strict=True)
    ]
    clusters = design.clusters
    if clusters is not None:
        clusters = np.concatenate([clusters, -1 - np.arange(len(targets))])
    rows = np.column_stack([value + influence for value, influence in estimates])
    return rows, SamplingDesign(weights, clusters), joined.targets


def _bootstrap(
    metric: Metric, columns: Sequence[NDArray[Any]], truth: Truth, clusters: NDArray[np.int64] | None, seed: int
) -> Floats:
    """Draw the metric (B, W) under exponential weights, shared by columns and within clusters (Rubin 1981)."""
    rng = np.random.default_rng(seed)
    codes = np.arange(len(truth.targets)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    weights = rng.exponential(size=(DRAWS, codes.max() + 1))[:, codes]
    if truth.weights is not None:
        weights *= truth.weights
    assert metric.draws is not None
    return np.column_stack([metric.draws(column, truth, weights) for column in columns])


def _left_out(
    metric: Metric, columns: Sequence[NDArray[Any]], truth: Truth, clusters: NDArray[np.int64] | None, seed: int
) -> tuple[Floats, Floats]:
    """Return values (W,) and the pseudo-values (G, W) of a delete-a-group jackknife (Kott 2001)."""
    codes = np.arange(len(truth.targets)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = min(GROUPS, int(codes.max()) + 1)
    order = np.random.default_rng(seed).permutation(int(codes.max()) + 1)
    if clusters is None and truth.classes:  # so that each group has its share of the rare class
        order = order[np.argsort(truth.targets[order], kind="stable")]
    group = np.empty(len(order), np.intp)
    group[order] = np.arange(len(order)) % count
    member = group[codes]
    values = np.array([metric.function(column, truth)[0] for column in columns])
    without = [
        [metric.function(column[member != g], truth.take(member != g))[0] for column in columns] for g in range(count)
    ]
    return values, count * values - (count - 1) * np.array(without, np.float64)
