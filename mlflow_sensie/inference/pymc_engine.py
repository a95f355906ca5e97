"""The engine `pymc`: the regressions of all tests as one model, sampled by NUTS."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_sensie.inference.exact_engine import Prior, Priors, Regression
from mlflow_sensie.inference.posterior import Draws
from mlflow_sensie.inference.weights import FloatArray

PARAMETERS = ("effect", "slope", "noise", "intercept")
# Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021): rank-normalised R-hat, and 100 effective draws per chain.
MOST_R_HAT, LEAST_ESS_PER_CHAIN = 1.01, 100


@dataclass(frozen=True)
class Convergence:
    """Diagnostics of one regression: the largest R-hat and the smallest effective sample sizes of its parameters."""

    name: str
    r_hat: float
    ess_bulk: float
    ess_tail: float


@dataclass(frozen=True)
class Sampling:
    """How the sampling went: divergences of all draws after tuning, and every regression's diagnostics."""

    draws: int
    chains: int
    divergences: int
    tests: tuple[Convergence, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what went wrong, and the remedy."""
        warnings = []
        if self.divergences:
            warnings.append(
                f"NUTS diverged in {self.divergences} of {self.draws * self.chains} draws, so a part of the posterior "
                "may be missing; raise inference.target_accept (0.95, 0.99), or take engine 'exact'"
            )
        unmixed = [test.name for test in self.tests if not test.r_hat <= MOST_R_HAT]
        if unmixed:
            warnings.append(
                f"the chains disagree (R-hat above {MOST_R_HAT}) for {', '.join(unmixed)}: the intervals are not to be "
                "trusted; raise inference.tune and inference.draws, or take engine 'exact'"
            )
        least = LEAST_ESS_PER_CHAIN * self.chains
        few = [test.name for test in self.tests if not min(test.ess_bulk, test.ess_tail) >= least]
        if few:
            warnings.append(
                f"fewer than {least} effective draws for {', '.join(few)}: the ends of the intervals are rough; "
                "raise inference.draws"
            )
        return tuple(warnings)


def sample(
    regressions: Mapping[str, Regression],
    priors: Priors,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.9,
    seed: int = 0,
) -> tuple[list[Draws], Sampling, Any]:
    """Sample the posteriors of regressions, by name, in one model, by NUTS.

    ``draws`` and tuning steps are those of each chain, ``target_accept`` is the acceptance rate that NUTS tunes for.
    Gives the effects, how the sampling went, and ArviZ's InferenceData (a DataTree from ArviZ 1 on). The likelihood
    needs no more than the sums, so the cost does not grow with the examples, and little with the regressions.
    """
    import pymc as pm

    with _model(regressions, priors), _quiet():
        data = pm.sample(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=1,  # worker processes need an importable main module, and longer to start than to sample
            target_accept=target_accept,
            random_seed=seed,
            nuts_sampler="pymc",
            var_names=[name for name in PARAMETERS if name != "intercept" or _lines(regressions)],
            progressbar=False,
            compute_convergence_checks=False,
        )
    effects = posterior_of(data)["effect"]
    posteriors = [Draws.of(effects.sel(test=name).to_numpy().ravel()) for name in regressions]
    divergences = int(data["sample_stats"]["diverging"].sum())
    return posteriors, Sampling(draws, chains, divergences, _convergence(data, regressions)), data


def posterior_of(data: Any) -> Any:
    """Give the posterior draws as an xarray Dataset, from ArviZ's InferenceData or DataTree."""
    group = data["posterior"]
    return group.to_dataset() if hasattr(group, "to_dataset") else group


def _lines(regressions: Mapping[str, Regression]) -> list[str]:
    """Name the regressions that have a level."""
    return [name for name, regression in regressions.items() if regression.level is not None]


def _model(regressions: Mapping[str, Regression], priors: Priors) -> Any:
    """Give the model whose variables are `PARAMETERS`, in the score's unit."""
    import pymc as pm

    sums, lines = list(regressions.values()), _lines(regressions)
    own = [regression.priors(priors) for regression in sums]
    n, rest, length = (_column(sums, name) for name in ("n", "rest", "length"))
    with pm.Model(coords={"test": list(regressions), "line": lines}) as model:
        log_noise = 0.5 * np.log(rest / np.maximum(n - 1, 1)) + pm.Flat("noise_", dims="test") / np.sqrt(2 * n)
        noise = pm.Deterministic("noise", pm.math.exp(log_noise), dims="test")
        _prior("noise", [prior.noise for prior in own], noise, log_noise)
        pm.Potential("likelihood", -n * log_noise - rest / (2 * noise**2))
        estimate, information = _column(sums, "effect"), _column(sums, "information")
        effect = _coefficient("effect", "test", estimate, information, [prior.slope for prior in own], noise)
        pm.Deterministic("slope", effect / length, dims="test")
        if lines:
            at = [k for k, regression in enumerate(sums) if regression.level is not None]
            level = np.array([regressions[name].level for name in lines])
            _coefficient("intercept", "line", level, n[at], [own[k].intercept for k in at], noise[at])
    return model


def _coefficient(
    name: str, dims: str, estimate: FloatArray, information: FloatArray, priors: Sequence[Prior], noise: Any
) -> Any:
    """Add a coefficient to the model, with its prior and its part of the likelihood.

    It is sampled as its distance from where a normal prior and the data would have it for this noise, in
    SDs: so a million examples and three are equally easy, and noise that is hardly known makes no funnel.
    """
    import pymc as pm

    data, prior = information / noise**2, 1 / _column(priors, "scale") ** 2
    precision = data + prior
    centre = (data * estimate + prior * _column(priors, "loc")) / precision
    value = pm.Deterministic(name, centre + pm.Flat(f"{name}_", dims=dims) / pm.math.sqrt(precision), dims=dims)
    _prior(name, priors, value, -0.5 * pm.math.log(precision))
    pm.Potential(f"likelihood of {name}", -0.5 * data * (value - estimate) ** 2)
    return value


def _prior(name: str, priors: Sequence[Prior], value: Any, log_jacobian: Any) -> None:
    """Add the priors of a vector to the model; `log_jacobian` is that of the vector by what is sampled."""
    import pymc as pm

    scale, loc = _column(priors, "scale"), _column(priors, "loc")
    df = priors[0].df
    distributions = {
        "normal": lambda: pm.Normal.dist(mu=loc, sigma=scale),
        "student_t": lambda: pm.StudentT.dist(nu=df, mu=loc, sigma=scale),
        "laplace": lambda: pm.Laplace.dist(mu=loc, b=scale),
        "half_normal": lambda: pm.HalfNormal.dist(sigma=scale),
        "half_cauchy": lambda: pm.HalfCauchy.dist(beta=scale),
        "half_student_t": lambda: pm.HalfStudentT.dist(nu=df, sigma=scale),
    }
    pm.Potential(f"prior of {name}", pm.logp(distributions[priors[0].family](), value) + log_jacobian)


def _column(items: Sequence[Any], name: str) -> FloatArray:
    return np.array([getattr(item, name) for item in items], np.float64)


def _convergence(data: Any, regressions: Mapping[str, Regression]) -> tuple[Convergence, ...]:
    import arviz as az

    draws, lines = posterior_of(data), _lines(regressions)
    measured = [az.rhat(draws), az.ess(draws, method="bulk"), az.ess(draws, method="tail")]

    def all_of(measures: Any, name: str) -> list[float]:
        intercept = [float(measures["intercept"].sel(line=name))] if name in lines else []
        return [float(measures["effect"].sel(test=name)), float(measures["noise"].sel(test=name)), *intercept]

    return tuple(
        Convergence(
            name, *(pick(all_of(measures, name)) for pick, measures in zip((max, min, min), measured, strict=True))
        )
        for name in regressions
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyMC from telling of its progress: that is ours to tell, in words."""
    logger = logging.getLogger("pymc")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
