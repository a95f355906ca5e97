"""Polynomials through a curve, drawn beside its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from mlflow_sensie.inference.curve import distance
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.slope import RowBlocks, per_unit
from mlflow_sensie.inference.sweep_sums import ScoreSums
from mlflow_sensie.inference.weights import SamplingDesign
from mlflow_sensie.moments import Extremes, FloatArray, Moments


@dataclass(frozen=True)
class Polynomial:
    """A polynomial of some `order` and its 95 % band over [start, stop] in p.

    It is Σ coefficients[k] P_k(t), P_k being Legendre's polynomials and t = -1 to 1 over `domain`, which is in x: the
    distance from `neutral`, logarithmic where `log_distance`, or p itself where `neutral` is None. `covariance` is
    that of the coefficients and `df` the degrees of freedom of the band, which holds at each point by itself.
    """

    side: str
    order: int
    start: float
    stop: float
    neutral: float | None
    log_distance: bool
    domain: tuple[float, float]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    df: float

    def at(self, p: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give (mean, lo95, hi95) at p, of p's shape; not clipped to the score's bounds."""
        basis = _basis(distance(p, self.neutral, self.log_distance), self.domain, self.order)
        mean = basis @ np.array(self.coefficients)
        variance = np.einsum("...i,ij,...j->...", basis, np.array(self.covariance), basis)
        half = float(stdtrit(self.df, 0.975)) * np.sqrt(np.maximum(variance, 0))
        return mean, mean - half, mean + half


def polynomials_of(
    sweep: MagnitudeGrid, sums: ScoreSums, reach: tuple[float, float], few: Mapping[str, bool], order: int
) -> list[Polynomial]:
    """Fit a polynomial to each side with more points than its order.

    Where `few` examples carry a side's slope, the two pseudo-examples that guard it are added here too: between
    the score's bounds (`reach`) they fall, and rise, in the middle of the side.
    """
    return [
        _of_side(sweep, side, sums, reach, few[side.name], order) for side in sweep.sides if len(side.columns) > order
    ]


def _of_side(
    sweep: MagnitudeGrid, side: Side, sums: ScoreSums, reach: tuple[float, float], few: bool, order: int
) -> Polynomial:
    columns, moments, u = list(side.columns), sums.moments, side.distances
    if few:
        away = np.zeros(side.width)
        away[columns] = (reach[1] - reach[0]) / 2 * np.sign(u - u.mean())
        moments = moments + Moments.of(moments.mean + np.stack([away, -away]))
    domain = (float(u[0]), float(u[-1]))
    solution = _solution(u, np.ones(len(u)), domain, order)
    covariance = moments.covariance()[np.ix_(columns, columns)] / moments.n
    return Polynomial(
        side=side.name,
        order=order,
        start=float(side.magnitudes.min()),
        stop=float(side.magnitudes.max()),
        neutral=sweep.neutral,
        log_distance=sweep.log_distance,
        domain=domain,
        coefficients=tuple((solution @ moments.mean[columns]).tolist()),
        covariance=_rows(solution @ covariance @ solution.T),
        df=float(moments.n - 1),
    )


def polynomial_of_property(
    rows: Callable[[], RowBlocks],
    span: tuple[float, float],
    order: int,
    pseudo: RowBlocks,
) -> Polynomial | None:
    """Fit a polynomial to the examples of a property, each with an error variance of its own (HC2).

    `rows()` yields blocks of (z, score) with their designs, z being shares of `span` from its middle, and `pseudo`
    are the scores that guard the line where few examples carry it. Ranks count as known. None where there are no
    more values of the property than the order.
    """
    seen = Extremes.empty()
    for block, _ in rows():
        seen += Extremes.of(block[:, 0])
    domain = (seen.lower, seen.upper)

    def blocks() -> Iterator[tuple[FloatArray, FloatArray, SamplingDesign]]:
        for block, design in chain(rows(), pseudo):
            yield _basis(block[:, 0], domain, order), block[:, 1], design

    gram, pull, n = np.zeros((order + 1, order + 1)), np.zeros(order + 1), 0
    for basis, y, design in blocks():
        weighted = basis * design.weight(len(y))[:, None]
        gram, pull, n = gram + weighted.T @ basis, pull + weighted.T @ y, n + len(y)
    if np.linalg.matrix_rank(gram, hermitian=True) <= order:
        return None
    inverse = np.asarray(np.linalg.inv(gram), np.float64)
    coefficients = inverse @ pull
    meat, units = np.zeros_like(gram), 0
    for unit in per_unit(_influences(blocks(), coefficients, inverse)):
        meat, units = meat + unit.T @ unit, units + len(unit)
    low, width = span[0], span[1] - span[0]
    return Polynomial(
        side="all",
        order=order,
        start=span[0],
        stop=span[1],
        neutral=None,
        log_distance=False,
        domain=(low + width * (domain[0] + 0.5), low + width * (domain[1] + 0.5)),
        coefficients=tuple(coefficients.tolist()),
        covariance=_rows(inverse @ meat @ inverse),
        df=max(1.0, float(units - order - 1)),
    )


def _influences(
    blocks: Iterator[tuple[FloatArray, FloatArray, SamplingDesign]], coefficients: FloatArray, inverse: FloatArray
) -> RowBlocks:
    for basis, y, design in blocks:
        w = design.weight(len(y))
        room = 1 - w * np.einsum("ni,ij,nj->n", basis, inverse, basis)
        grown = np.where(room > 1e-9, 1 / np.sqrt(np.maximum(room, 1e-9)), 0.0)
        yield basis * (w * grown * (y - basis @ coefficients))[:, None], design


def _basis(x: FloatArray, domain: tuple[float, float], order: int) -> FloatArray:
    low, high = domain
    return np.asarray(legendre.legvander((x - low) / (high - low) * 2 - 1, order))


def _solution(x: FloatArray, weights: FloatArray, domain: tuple[float, float], order: int) -> FloatArray:
    """Give L (order + 1, J): L @ curve are the coefficients of weighted least squares."""
    root = np.sqrt(weights / weights.mean())
    return np.asarray(np.linalg.pinv(_basis(x, domain, order) * root[:, None]) * root)


def _rows(matrix: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
