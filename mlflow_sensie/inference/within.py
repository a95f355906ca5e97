"""The effect of a property at the same mix of classes, and what the mix adds to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.decision import ScoreScale
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.weights import AS_THEY_ARE, FloatArray, IntArray, SamplingDesign, unit_sums

FEW = 10  # examples of a class, below which it has no slope of its own
LEAST_WITHIN = 0.01  # of the property's variance that must lie within classes


@dataclass(frozen=True)
class EffectSplit:
    """A property's effect in two parts, which add up to it: ``within`` classes, and from their ``mix``.

    ``within`` is what remains of the effect where every value of the property has the same share of each class;
    ``mix`` comes from classes being more frequent at some values, and easier or harder. ``n_shared`` classes have fewer
    than ten examples (or a property that does not differ) and share one slope. ``few_informative``: pseudo-scores at
    the score's bounds widen both intervals.
    """

    within: Interval
    mix: Interval
    within_posterior: Posterior
    mix_posterior: Posterior
    n_classes: int
    n_shared: int
    few_informative: bool


def split_effect(
    p: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    scale: ScoreScale,
    *,
    span: tuple[float, float],
    design: SamplingDesign = AS_THEY_ARE,
    family: int = 1,
) -> EffectSplit | None:
    """Split the effect of a property p (n,) on scores (n,) by the mix of ``classes`` (n,), class numbers from 0 on.

    The part within classes is L Σ_k π_k β_k: L the width of ``span``, π_k the class's share of the weights and β_k its
    own least-squares slope; the mix is the whole effect less that. Both have the posterior t of their influences, those
    of the shares π_k among them, with HC2 residuals and Satterthwaite's degrees of freedom (as ``sandwich``). Rows with
    a p or a score that is not finite are left out. ``None`` where there are fewer than two classes, or where less than
    1 % of the property's variance lies within them: there is no slope to see then.

    >>> rng = np.random.default_rng(0)
    >>> classes = rng.integers(0, 2, 2000)  # the second class has larger p, and lower scores at any p
    >>> p = classes + rng.normal(size=2000)
    >>> split = split_effect(p, 0.8 - 0.3 * classes, classes, ScoreScale(0, 1, "probability"), span=(-2, 3))
    >>> abs(round(split.within.value, 2)), round(split.mix.value, 1)
    (0.0, -0.3)
    """
    x, y, k = np.asarray(p, np.float64), np.asarray(scores, np.float64), np.asarray(classes, np.int64)
    rows = np.isfinite(x) & np.isfinite(y)
    z, y, k, design = (x[rows] - span[0]) / (span[1] - span[0]), y[rows], k[rows], design.take(rows)
    levels, k = np.unique(k, return_inverse=True)
    if len(levels) < 2:
        return None
    w = design.weight(len(z))
    counts, total = np.bincount(k), w.sum()
    z_within, y_within = _centred(z, w, k), _centred(y, w, k)
    z_whole, y_whole = z - w @ z / total, y - w @ y / total
    squares = np.bincount(k, w * z_within**2)
    information = float(w @ z_whole**2)
    if not squares.sum() >= LEAST_WITHIN * information > 0:
        return None
    shared = (counts < FEW) | (squares < LEAST_WITHIN * information * np.bincount(k, w) / total)
    group = np.where(shared, len(levels), np.arange(len(levels)))[k]
    effect = float(w @ (z_whole * y_whole)) / information
    whole = _influences(y_whole - effect * z_whole, w * z_whole / information, w / total + w * z_whole**2 / information)
    within, of_slopes, of_shares = _within(z_within, y_within, w, group, w / np.bincount(k, w)[k])
    parts = [unit_sums(columns, design) for columns in (of_slopes, whole)]
    inner, outer = (_grown(columns) for columns in parts)
    inner += unit_sums(of_shares[:, None], design)[:, 0]
    pulls = [parts[0][:, 1], parts[1][:, 1] - parts[0][:, 1]]
    reach = scale.range_of(y)
    (inside, few), (mix, few_mix) = (
        _posterior(value, influence, pull, (reach[1] - reach[0]) / information)
        for value, influence, pull in zip((within, effect - within), (inner, outer - inner), pulls, strict=True)
    )
    return EffectSplit(
        within=inside.summary(family), mix=mix.summary(family), within_posterior=inside, mix_posterior=mix,
        n_classes=len(levels), n_shared=int(shared.sum()), few_informative=few or few_mix,
    )  # fmt: skip


def _centred(values: FloatArray, w: FloatArray, k: IntArray) -> FloatArray:
    """Take each class's weighted mean off its values."""
    return values - (np.bincount(k, w * values) / np.bincount(k, w))[k]


def _influences(residuals: FloatArray, pull: FloatArray, leverage: FloatArray) -> FloatArray:
    """Give what is summed within a unit (n, 3): influences on a slope, the weights they give to scores, leverages."""
    return np.column_stack([pull * residuals, pull, leverage])


def _grown(units: FloatArray) -> FloatArray:
    """Undo that a line is drawn towards each of its points (HC2); a unit that decides alone tells no noise."""
    room = 1 - units[:, 2]
    return np.where(room > 1e-9, units[:, 0] / np.sqrt(np.maximum(room, 1e-9)), 0.0)


def _within(
    z: FloatArray, y: FloatArray, w: FloatArray, group: IntArray, of_class: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Give Σ_g π_g β_g over groups of one slope each, with the influences of the slopes (n, 3) and of the shares (n,).

    ``of_class`` (n,) is an example's weight as a share of its class's.
    """
    squares, sums = np.bincount(group, w * z**2), np.bincount(group, w)
    sloped = squares > 0  # classes without a slope say nothing, and count for nothing
    inverse = np.where(sloped, 1 / np.where(sloped, squares, 1.0), 0.0)
    slopes, shares = inverse * np.bincount(group, w * z * y), sums * sloped / sums[sloped].sum()
    within = float(shares @ slopes)
    leverage = of_class + inverse[group] * w * z**2
    of_shares = w * (slopes[group] - within) * sloped[group] / sums[sloped].sum()
    return within, _influences(y - slopes[group] * z, (shares * inverse)[group] * w * z, leverage), of_shares


def _posterior(value: float, influence: FloatArray, pull: FloatArray, reach: float) -> tuple[Posterior, bool]:
    """Give the posterior of an estimate with these units' influences, and whether pseudo-scores widen it.

    ``reach`` is the score's range over the property's information.
    """
    second, fourth = float((influence**2).sum()), float((influence**4).sum())
    informative = second**2 / fourth if fourth > 0 else 0.0
    df = max(2.0, float((pull**2).sum() ** 2 / (pull**4).sum()) - 1)
    few = not enough(informative, len(influence))
    if few:  # the score's two bounds at each end of the range, as four examples
        second += 4 * (reach / 4 * len(influence) / (len(influence) + 4)) ** 2
    return Posterior(value, float(np.sqrt(second)), df), few
