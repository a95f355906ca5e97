"""The window of a curve in which most of its drop happens, and what choosing it after seeing the curve costs."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from mlflow_sensie.inference.weights import BoolArray, FloatArray, IntArray

START, STOP = 0.1, 0.9
DRAWS, SEED = 2000, 0
Levels = tuple[float, float]


def region_of(
    x: FloatArray, mean: FloatArray, covariance: FloatArray, weights: FloatArray | None = None, *, from_start: bool
) -> tuple[IntArray, Levels] | None:
    """Find the points (m,) between 10 % and 90 % of a curve's drop, and the levels that the choice costs.

    `mean` (J,) is the curve at ascending `x` (J,) and `covariance` (J, J) that of its means. With `from_start`
    the drop is that from the first point to the lowest; without, the largest fall in the direction of the line
    through the curve with these `weights`. Where fewer than two points lie inside, the points that enclose
    10 % and 90 % are taken; None where the curve never falls. At the levels intervals hold 50 % and 95 % in spite of
    the choice. They come from a parametric bootstrap of it: curves drawn about the one seen, shrunk towards its mean
    by as much as noise alone explains, choose for themselves; the error of a line's slope over the window it was
    chosen for is held by that share of intervals.
    """
    w = np.ones(len(x)) if weights is None else weights
    first, last, falls = _windows(mean[None], x, w, from_start)
    if not falls[0]:
        return None
    return np.arange(first[0], last[0] + 1), _levels(x, mean, covariance, w, from_start)


def _windows(
    curves: FloatArray, x: FloatArray, w: FloatArray, from_start: bool
) -> tuple[IntArray, IntArray, BoolArray]:
    """Give the first and the last point of each curve's window, and whether it has one; curves are (B, J)."""
    if from_start:
        return _falls(curves, from_start)
    centred = w * (x - w @ x / w.sum())
    rises = curves @ centred > 0
    first, last, falls = _falls(np.where(rises[:, None], curves[:, ::-1], curves), from_start)
    most = curves.shape[1] - 1
    return np.where(rises, most - last, first), np.where(rises, most - first, last), falls


def _falls(curves: FloatArray, from_start: bool) -> tuple[IntArray, IntArray, BoolArray]:
    rows, places = np.arange(len(curves)), np.arange(curves.shape[1])
    top = np.repeat(curves[:, :1], len(places), 1) if from_start else np.maximum.accumulate(curves, 1)
    end = np.argmax(top - curves, 1)
    highest = top[rows, end]
    total = highest - curves[rows, end]
    begin = np.zeros(len(rows), np.int64) if from_start else np.argmax(curves == highest[:, None], 1)
    fallen = np.where(places >= begin[:, None], highest[:, None] - curves, -np.inf)
    first = np.argmax(fallen >= (START - 1e-9) * total[:, None], 1)
    beyond = np.argmax(fallen >= (STOP - 1e-9) * total[:, None], 1)
    last = np.where(fallen[rows, beyond] <= (STOP + 1e-9) * total, beyond, beyond - 1)
    few = last - first < 1
    return np.where(few, first - 1, first), np.where(few, beyond, last), total > 0


def _levels(x: FloatArray, mean: FloatArray, covariance: FloatArray, w: FloatArray, from_start: bool) -> Levels:
    values, vectors = np.linalg.eigh(covariance)
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, len(x)))
    errors = noise @ (vectors * np.sqrt(np.maximum(values, 0))).T
    first, last, usable = _windows(_shrunk(mean, covariance) + errors, x, w, from_start)
    contrasts = _contrasts(x, w)[first, last]
    sd = np.sqrt(np.maximum(np.einsum("bi,ij,bj->b", contrasts, covariance, contrasts), 0))
    usable &= sd > 1e-12 * max(float(sd.max()), 1e-300)
    if not usable.any():
        return 0.5, 0.95
    size = np.abs(np.einsum("bi,bi->b", contrasts[usable], errors[usable])) / sd[usable]
    needed = [float(2 * ndtr(np.quantile(size, level)) - 1) for level in (0.5, 0.95)]
    return max(needed[0], 0.5), max(needed[1], 0.95)


def _shrunk(mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Shrink a curve towards its mean by the share of its variation that noise explains."""
    about = np.eye(len(mean)) - 1 / len(mean)
    values, vectors = np.linalg.eigh(about @ covariance @ about)
    real = values > 1e-10 * max(float(values[-1]), 1e-300)
    away = mean - mean.mean()
    seen = float((((away @ vectors)[real]) ** 2 / values[real]).sum())
    share = max(0.0, 1 - real.sum() / seen) if seen > 0 else 1.0
    return np.asarray(mean.mean() + share * away)


def _contrasts(x: FloatArray, w: FloatArray) -> FloatArray:
    """Give c (J, J, J): c[first, last] @ curve is the slope of the line through those points."""
    out = np.zeros((len(x),) * 3)
    for first in range(len(x)):
        for last in range(first + 1, len(x)):
            inside = slice(first, last + 1)
            u = x[inside] - w[inside] @ x[inside] / w[inside].sum()
            out[first, last, inside] = w[inside] * u / (w[inside] @ (u * u))
    return out
