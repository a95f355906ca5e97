"""What is fitted beside the line: part of the range, and a polynomial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference.auto_range import FitRange, FitWindow, stretches
from mlflow_sensie.inference.contrast import GuardedEstimate
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.polynomial import Polynomial, polynomial_of_property, polynomials_of
from mlflow_sensie.inference.property_range import BinnedCurve, Rows, part_of, range_of_property
from mlflow_sensie.inference.ranks import Ranks
from mlflow_sensie.inference.slope import RowBlocks
from mlflow_sensie.inference.sweep_sums import ScoreSums
from mlflow_sensie.inference.weights import SamplingDesign
from mlflow_sensie.moments import FloatArray


@dataclass(frozen=True)
class Shape:
    """What to fit beside the line: a range (lo, hi) in the unit of p or "auto", and the order of a polynomial."""

    fit_range: FitRange = None
    polynomial: int | None = None


NOTHING = Shape()


@dataclass(frozen=True)
class BesideSweep:
    """What a shape asks of a sweep, settled from the first pass over its scores."""

    shape: Shape
    sweep: MagnitudeGrid
    sums: ScoreSums
    parts: Sequence[FitWindow]

    @classmethod
    def of(cls, sweep: MagnitudeGrid, sums: ScoreSums, shape: Shape) -> BesideSweep:
        """Find the parts of the sides that lines are fitted to."""
        return cls(shape, sweep, sums, stretches(sweep, sums, shape.fit_range))

    @property
    def contrasts(self) -> FloatArray:
        """Give the contrasts (width, q) whose posteriors are needed: the slopes of the parts."""
        slopes = [part.side.slope_contrast()[:, None] for part in self.parts]
        return np.hstack([np.zeros((self.sweep.width, 0)), *slopes])

    def fits(
        self, found: Sequence[GuardedEstimate], reach: tuple[float, float], few: Mapping[str, bool]
    ) -> dict[str, Any]:
        """Give the fields of a `PerturbationFit`.

        `found` are the posteriors of `contrasts`; `few` says of each side whether few examples carry its slope.
        """
        ranges = [part.fit(self.sweep, slope, self.sums) for part, slope in zip(self.parts, found, strict=True)]
        curved: list[Polynomial] = []
        if self.shape.polynomial is not None:
            curved = polynomials_of(self.sweep, self.sums, reach, few, self.shape.polynomial)
        return {"fit_range": tuple(ranges), "polynomials": tuple(curved)}


def beside_property(
    shape: Shape,
    rows: Rows,
    curve: BinnedCurve | None,
    span: tuple[float, float],
    reach: tuple[float, float],
    ranks: Ranks | None,
    pseudo: RowBlocks,
) -> dict[str, Any]:
    """Give the fields of a `PropertyFit`.

    `rows()` yields (z, score, …), z being shares of `span` from its middle; `pseudo` are the scores that guard
    the line where few examples carry it.
    """
    given = shape.fit_range
    if ranks is not None and given is not None and given != "auto":
        low, high = ranks.share(given)
        given = (float(low), float(high))
    part = part_of(given, curve, span)
    found = None if part is None else range_of_property(part, rows, span, reach, ranks)

    def pairs() -> Iterator[tuple[FloatArray, SamplingDesign]]:
        for block, _, design in rows():
            known: NDArray[np.bool_] = np.isfinite(block[:, 0])
            yield block[known, :2], design.take(known)

    order = shape.polynomial
    fitted = None if order is None else polynomial_of_property(pairs, span, order, pseudo)
    return {
        "fit_range": () if found is None else (found,),
        "polynomials": () if fitted is None else (fitted,),
    }


def lacking(shape: Shape, fields: Mapping[str, Any], sides: int = 1) -> tuple[str, ...]:
    """Give flags for what was asked for and the points do not bear."""
    flags = {
        "no_fit_range": shape.fit_range is not None and not fields["fit_range"],
        "no_polynomial": shape.polynomial is not None and len(fields["polynomials"]) < sides,
    }
    return tuple(name for name, true in flags.items() if true)
