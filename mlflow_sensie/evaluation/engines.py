"""The engine that a recipe asks for: checked before anything is predicted, applied to all tests at once."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow_sensie.errors import MissingDependencyError, RecipeError
from mlflow_sensie.evaluation.columns import AUTO
from mlflow_sensie.evaluation.fitting import FLAGS
from mlflow_sensie.inference import AnyPosterior, Prior, Priors, Regression, exact
from mlflow_sensie.inference.pymc_engine import Sampling, sample
from mlflow_sensie.recipe.engine import PRIORS, PriorSpec
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import TestResult

Tests = dict[str, TestResult]


def check_engine(recipe: Recipe) -> None:
    """Refuse an engine that cannot do what the recipe asks, or that is not installed.

    Raises:
        RecipeError: weights or clusters, and an engine whose likelihood has neither.
        MissingDependencyError: PyMC, ArviZ or what writes their files cannot be imported.
    """
    engine = recipe.inference.engine
    for key in ("weights", "cluster"):
        if engine != "robust" and getattr(recipe, key) not in (None, AUTO):
            what = "equal" if key == "weights" else "independent"
            raise RecipeError(
                f"{key}: the likelihood of engine {engine!r} takes all examples as {what}, so its intervals would be "
                "wrong; use engine 'robust'"
            )
    if engine == "pymc":
        _import_pymc()


def _import_pymc() -> None:
    """Import what takes seconds now, rather than find it missing after the model has predicted for hours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # ArviZ announces its next version at each import
            for name in ("pymc", "arviz", "h5netcdf", "h5py"):
                importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"inference.engine: 'pymc' needs PyMC, ArviZ and h5netcdf ({error}): pip install mlflow-sensie[pymc]"
        ) from error


def apply_engine(recipe: Recipe, tests: Tests) -> tuple[Tests, tuple[Sampling, Any] | None]:
    """Put the posteriors of the recipe's engine in place of those of `robust`, in all tests with an effect.

    Gives the tests, and with `pymc` how it sampled and its InferenceData. Sampling that fails fails these tests, not
    the others.
    """
    spec, sums = recipe.inference, regressions_of(tests)
    if spec.engine == "robust" or not sums:
        return tests, None
    priors = _priors(recipe)
    if spec.engine == "exact":
        return _replaced(tests, exact(list(sums.values()), priors)), None
    settings = {name: getattr(spec, name) for name in ("draws", "tune", "chains", "target_accept")}
    try:
        effects, sampling, data = sample(sums, priors, **settings, seed=recipe.seed)
    except Exception as error:
        return _failed(tests, f"engine 'pymc' failed: {type(error).__name__}: {error}"), None
    return _replaced(tests, effects), (sampling, data)


def regressions_of(tests: Mapping[str, TestResult]) -> dict[str, Regression]:
    """Give the regressions of all tests with an effect: by the test's name, and the side where there are two."""
    regressions: dict[str, Regression] = {}
    for name, test in tests.items():
        sides = [f" ({side.side})" for side in getattr(test.fit, "sides", ())]
        for regression, side in zip(test.fit.regressions if _has_effect(test) else (), sides or [""], strict=False):
            label = name + side if len(sides) > 1 else name
            while label in regressions:
                label += "'"
            regressions[label] = regression
    return regressions


def _has_effect(test: TestResult) -> bool:
    return test.ok and test.kind in ("property", "perturbation")


def _replaced(tests: Tests, effects: Sequence[AnyPosterior]) -> Tests:
    replaced, left = dict(tests), iter(effects)
    for name, test in tests.items():
        if _has_effect(test):
            replaced[name] = _with_effects(test, [next(left) for _ in test.fit.regressions])
    return replaced


def _with_effects(test: TestResult, effects: Sequence[AnyPosterior]) -> TestResult:
    fit = test.fit.with_posteriors(effects)
    gone = {FLAGS.get(flag) for flag in test.fit.flags if flag not in fit.flags}
    more = [FLAGS[flag] for flag in fit.flags if flag not in test.fit.flags]
    others = [text for text in test.warnings if text not in gone]
    return test.model_copy(update={"fit": fit, "warnings": (*others, *more)})


def _failed(tests: Tests, why: str) -> Tests:
    return {
        name: test.model_copy(update={"fit": None, "error": f"test {name!r}: {why}"}) if _has_effect(test) else test
        for name, test in tests.items()
    }


def _priors(recipe: Recipe) -> Priors:
    spec = recipe.inference.priors
    assert spec is not None, "the recipe writes them out for these engines"
    return Priors(_prior(spec.intercept), _prior(spec.slope), _prior(spec.noise))


def _prior(spec: PriorSpec) -> Prior:
    ((family, values),) = spec.items()
    return Prior(family, **dict(zip(PRIORS[family], values, strict=True)))
