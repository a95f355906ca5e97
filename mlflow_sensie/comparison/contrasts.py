"""Contrasts of two models' scores: one number per example for A, and one for its difference B - A.

On the same examples the difference is a contrast like any other. On different ones its posterior follows from the
two models' own. What is no contrast, as the size of an effect, is drawn from both at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag
from scipy.special import stdtrit

from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import OrderStatistics, Posterior, PropertyFit, SamplingDesign, SkewedT
from mlflow_sensie.inference.contrast import contrast_estimates
from mlflow_sensie.inference.weights import AS_THEY_ARE, FloatArray, Moments, Units, row_blocks

DRAWS = 4_000
# With the two of a single model's contrast 9 % of the models pass at their margin that lose 2 examples of 240.
PSEUDO = 4
SURE_SE, SURE_SHARE = 3.0, 0.999
Rng = np.random.Generator


@dataclass(frozen=True)
class Estimate:
    """A quantity's posterior, the number of examples that carry it if that is known, and whether they are few."""

    posterior: SkewedT
    informative: float | None
    few: bool


@dataclass(frozen=True)
class Joint:
    """Two models' k columns together, over n examples.

    `moments` are those of 2k columns, A's and then those of B - A, over equal, independent units; `a` and `d` are
    the estimates of q contrasts, (k, q), of A and of B - A, and `points` those of B - A's k columns, guarded for a
    band: where a tail of 1 in 100 is asked for, 6 examples of 60 do not carry it.
    """

    n: int
    moments: Moments
    contrasts: FloatArray
    a: tuple[Estimate, ...]
    d: tuple[Estimate, ...]
    points: tuple[Estimate, ...]

    def values(self, index: int) -> tuple[float, float]:
        """Give contrast `index` of A and of B."""
        k = len(self.contrasts)
        a, d = (float(part @ self.contrasts[:, index]) for part in (self.moments.mean[:k], self.moments.mean[k:]))
        return a, a + d

    def covariance(self, indices: list[int]) -> FloatArray:
        """Give the covariance (2m, 2m) of m estimated contrasts of A and then of B - A."""
        chosen = block_diag(*[self.contrasts[:, indices]] * 2)
        covariance = chosen.T @ self.moments.covariance() @ chosen / self.moments.n
        # The variances are those of the guarded estimates.
        variances = [side[index].posterior.scale ** 2 for side in (self.a, self.d) for index in indices]
        np.fill_diagonal(covariance, variances)
        return np.asarray(covariance)

    def difference(self, metric: str, index: int, *, rising: bool) -> Difference:
        """Compare contrast `index` under the name of a metric; `rising`: more of it is better."""
        (a, b), estimate = self.values(index), self.d[index]
        posterior = estimate.posterior
        return Difference(
            metric, self.n, a, b, posterior.summary(value=b - a), posterior, "higher" if rising else "lower",
            informative=estimate.informative, few_informative=estimate.few,
        )  # fmt: skip


def paired(
    rows: FloatArray, contrasts: FloatArray, reach: tuple[float, float], design: SamplingDesign = AS_THEY_ARE
) -> Joint:
    """Estimate contrasts (k, q) from rows (n, 2k): A's scores, and B's less A's on the same examples.

    Those with a missing score in either are left out, and the others close up in the same array. `reach` is the
    score's range. Raises ComparisonError for fewer than two examples.
    """
    k, width = len(contrasts), reach[1] - reach[0]
    n, units = _complete(rows, design)
    nothing = np.zeros_like(contrasts)
    of_a, of_d = np.vstack([contrasts, nothing]), np.vstack([nothing, contrasts])
    return Joint(
        n=n,
        moments=units.moments,
        contrasts=contrasts,
        a=_estimates(units, of_a, reach),
        d=_estimates(units, of_d, (-width, width)),
        points=_estimates(units, np.eye(2 * k)[:, k:], (-width, width), strict=True),
    )


def unpaired(
    a: FloatArray,
    b: FloatArray,
    contrasts: FloatArray,
    reach: tuple[float, float],
    designs: tuple[SamplingDesign, SamplingDesign] = (AS_THEY_ARE, AS_THEY_ARE),
) -> Joint:
    """Estimate the like of A's scores (n, k) and B's (m, k) on examples of its own, `designs` those of both."""
    (n_a, ours), (n_b, theirs) = (_complete(rows, design) for rows, design in zip((a, b), designs, strict=True))
    step = theirs.moments.mean - ours.moments.mean
    of_a, of_b = (_estimates(units, contrasts, reach) for units in (ours, theirs))
    points = (_estimates(units, np.eye(len(contrasts)), reach, strict=True) for units in (ours, theirs))
    return Joint(
        n=min(n_a, n_b),
        moments=moments_apart(ours.moments, theirs.moments),
        contrasts=contrasts,
        a=of_a,
        d=tuple(map(_apart, of_a, of_b, step @ contrasts)),
        points=tuple(map(_apart, *points, step)),
    )


def moments_apart(a: Moments, b: Moments) -> Moments:
    """Give the moments of A's k columns and of B - A's (2k) from those of independent units of each."""
    var_a, var_b = (moments.covariance() / moments.n for moments in (a, b))
    covariance = np.block([[var_a, -var_a], [-var_a, var_a + var_b]])
    n = min(a.n, b.n)
    return Moments(n, np.concatenate([a.mean, b.mean - a.mean]), covariance * n * (n - 1))


def independent(a: SkewedT, b: SkewedT) -> SkewedT:
    """Give the posterior of B - A from independent ones, with Welch's degrees of freedom."""
    variance = a.scale**2 + b.scale**2
    if variance == 0:
        return SkewedT(b.loc - a.loc, 0.0)
    shares = [(posterior.scale**2 / variance, posterior.df) for posterior in (a, b)]
    unsure = sum(share**2 / df for share, df in shares if df is not None)
    skew = (b.skew * b.scale**3 - a.skew * a.scale**3) / variance**1.5
    return SkewedT(b.loc - a.loc, variance**0.5, 1 / unsure if unsure else None, skew)


def joint_draws(mean: FloatArray, covariance: FloatArray, df: float, rng: Rng) -> FloatArray:
    """Draw (4000, k) from a multivariate t with this location and scale matrix (k, k), which may be singular.

    What has no variance comes out exactly at its mean.
    """
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    safe = np.where(sd > 0, sd, 1.0)
    weights, axes = np.linalg.eigh(covariance / np.outer(safe, safe))
    unit = rng.normal(size=(DRAWS, len(mean))) @ (axes * np.sqrt(np.maximum(weights, 0))).T
    return np.asarray(mean + unit * sd / np.sqrt(rng.chisquare(df, size=(DRAWS, 1)) / df))


def _apart(a: Estimate, b: Estimate, difference: float) -> Estimate:
    """Take the guarded widths of both, about the difference itself.

    Pseudo-scores draw either towards the middle of its range; where one model alone has them, the difference of the
    guarded means would be off by as much: 82 % of 95 % intervals held it for 5 and 25 % failures of 89 examples each.
    """
    posterior = replace(independent(a.posterior, b.posterior), loc=float(difference))
    return Estimate(posterior, _fewest((a, b)), a.few or b.few)


def _fewest(estimates: Iterable[Estimate]) -> float | None:
    """Give the smallest number of examples that carry one of these, of those that are known."""
    return min((one.informative for one in estimates if one.informative is not None), default=None)


def _complete(rows: FloatArray, design: SamplingDesign) -> tuple[int, Units]:
    """Count the rows (n, k) without a missing score, and give them as units; they close up in place."""
    complete, n = np.ones(len(rows), np.bool_), 0
    for block in row_blocks(len(rows)):
        complete[block] = np.isfinite(rows[block]).all(axis=1)
        if n < block.start or not complete[block].all():
            finite = rows[block][complete[block]]
            rows[n : n + len(finite)] = finite
        n += int(complete[block].sum())
    units = Units.of(rows[:n], design if n == len(rows) else design.take(complete))
    if not units.n > 1:
        needed = "at least two examples (or clusters) with all scores in both are needed"
        raise ComparisonError(f"{needed}; {n} came")
    return n, units


def _estimates(
    units: Units, contrasts: FloatArray, reach: tuple[float, float], *, strict: bool = False
) -> tuple[Estimate, ...]:
    estimates = contrast_estimates(units, contrasts, reach, pseudo=PSEUDO, strict=strict)
    return tuple(Estimate(SkewedT.of(one.posterior), one.informative, one.few_informative) for one in estimates)


# --- sizes, which are no contrasts -----------------------------------------------------------------------


def size_difference(
    metric: str, n: int, a: float, b: float, estimates: Sequence[Estimate], covariance: FloatArray, rng: Rng
) -> Difference:  # fmt: skip
    """Compare signed quantities whose sizes are what may be worse; of several sides the worst counts.

    `estimates` are those of A's S sides and then of their differences, `covariance` (2S, 2S) theirs.
    """
    count, loc = len(estimates) // 2, np.array([one.posterior.loc for one in estimates])
    df = min(float(one.posterior.df or 1e9) for one in estimates)
    draws = joint_draws(loc, covariance, df, rng)
    ours, shifts = draws[:, :count], estimates[count:]
    step = np.column_stack([shifts[k].posterior.corrected(draws[:, count + k]) for k in range(count)])
    theirs = ours + step
    posterior = shifts[0].posterior if count == 1 else _of_worse_sides(loc, covariance, df)
    sure = np.abs(loc[:count]) >= SURE_SE * np.sqrt(np.diag(covariance)[:count])
    return Difference(
        metric, n, a, b, posterior.summary(value=b - a), posterior, "smaller",
        sizes=OrderStatistics.of(np.abs(theirs).max(1) - np.abs(ours).max(1)),
        bound=_size_bound(np.abs(ours), np.abs(theirs), np.abs(step), sure),
        informative=_fewest(shifts), few_informative=any(one.few for one in shifts),
    )  # fmt: skip


def _of_worse_sides(loc: FloatArray, covariance: FloatArray, df: float) -> SkewedT:
    """Give the posterior of B's lowest side less A's, from those of A's two sides and of their differences.

    It is as much wider as a 97.5 % interval is than a 95 % one, for each model's side was chosen of two, as a single
    model's is.
    """
    ours, theirs = loc[:2], loc[:2] + loc[2:]
    contrast = np.zeros(4)
    contrast[np.argmin(ours)] -= 1
    contrast[[np.argmin(theirs), 2 + np.argmin(theirs)]] += 1
    wider = float(stdtrit(df, 0.9875) / stdtrit(df, 0.975))
    scale = float(np.sqrt(np.maximum(contrast @ covariance @ contrast, 0)))
    return SkewedT(float(theirs.min() - ours.min()), wider * scale, df)


def _size_bound(ours: FloatArray, theirs: FloatArray, step: FloatArray, sure: FloatArray) -> OrderStatistics:
    """Bound the largest |b| less the largest |a|, drawn (m, S), from above.

    |a| drawn about 0 is larger than it is: where a side's sign is not `sure`, |b| - |a| <= |b - a| is taken. A
    side is held against A's largest one where that is surely larger than its own, else against its own.
    """
    largest = int(np.argmax(ours.mean(0)))
    parts = []
    for side in range(ours.shape[1]):
        above = sure[largest] and np.mean(ours[:, largest] > ours[:, side]) >= SURE_SHARE
        against = largest if above else side
        parts.append(theirs[:, side] - ours[:, against] if sure[against] else step[:, side])
    return OrderStatistics.of(np.max(parts, axis=0))


# --- effects of a property -------------------------------------------------------------------------------


def property_differences(a: PropertyFit, b: PropertyFit, step: PropertyFit | None, rng: Rng) -> dict[str, Difference]:
    """Compare effects over A's span, slopes, and unexpected parts where both have one; engine `robust` throughout.

    `step` is the property test of the examples' own differences B - A; without it the two are taken for independent.
    """
    width, few = a.span[1] - a.span[0], "few_informative" in (step.flags if step else (*a.flags, *b.flags))
    rescaled, n = width / (b.span[1] - b.span[0]), step.n if step else min(a.n, b.n)

    def compare(metric: str, ours: Posterior, theirs: Posterior, both: Posterior | None) -> Difference:
        theirs = theirs.scaled(rescaled)
        of_a, of_b = SkewedT.of(ours), SkewedT.of(theirs)
        shift = independent(of_a, of_b) if both is None else SkewedT.of(both)
        # How far A and B - A go together follows from the three scales.
        together = (theirs.scale**2 - ours.scale**2 - shift.scale**2) / 2
        limit = 0.999 * ours.scale * shift.scale
        off = float(np.clip(together, -limit, limit))
        covariance = np.array([[ours.scale**2, off], [off, shift.scale**2]])
        estimates = [Estimate(posterior, None, few) for posterior in (of_a, shift)]
        return size_difference(metric, n, ours.loc, ours.loc + shift.loc, estimates, covariance, rng)

    effect = compare("effect", _robust(a), _robust(b), _robust(step) if step else None)
    differences = {"effect": effect, "slope": effect.scaled("slope", 1 / width)}
    if a.unexpected_posterior is not None and b.unexpected_posterior is not None:
        both = step.unexpected_posterior if step else None
        differences["unexpected"] = compare("unexpected", a.unexpected_posterior, b.unexpected_posterior, both)
    return differences


def _robust(fit: PropertyFit) -> Posterior:
    posterior = fit.robust or fit.posterior
    assert isinstance(posterior, Posterior)
    return posterior
