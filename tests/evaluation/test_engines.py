"""Engines `exact` and `pymc` as options of the main job: what they replace, log, warn of and refuse."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import Evaluated, artifact_paths, draw_nothing, evaluate
from jsonschema import Draft202012Validator
from mlflow.models import EvaluationResult
from mlflow.tracking import fluent
from scipy.special import expit

from mlflow_sensie import Result, probe
from mlflow_sensie.errors import EvaluationIncomplete, MissingDependencyError, RecipeError
from mlflow_sensie.evaluation import engines
from mlflow_sensie.evaluation.engines import apply_engine, regressions_of
from mlflow_sensie.inference import Draws, Mixture
from mlflow_sensie.inference.pymc_engine import Convergence, Sampling
from mlflow_sensie.plots import draw_posterior, to_png
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.tracking import artifacts
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.runs import Destination

N = 240
TESTS: dict[str, Any] = {
    "properties": ["a", "word", {"name": "by rank", "of": "b", "rank": True}],
    "class_test": True,
    "perturbations": [
        {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]},
        {"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, -0.5, 0.5, 1]},
    ],
}
# What an engine may change of a test's metrics.
OF_EFFECT = {"sensitive", "effect", "effect_lo95", "effect_hi95", "effect_bound95", "below_effect", "above_effect"}
OF_EFFECT |= {"slope", "slope_lo50", "slope_hi50", "slope_lo95", "slope_hi95"}
EFFECTS = ("a", "by rank", "noise", "shift")


def data() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=N), "b": rng.gamma(2, size=N), "word": rng.choice(["x", "y"], N)})
    return X, (rng.random(N) < expit(X["a"].to_numpy())).astype(int)


def model(X: pd.DataFrame) -> Any:
    return expit(X["a"].to_numpy())


def found(engine: str, **more: Any) -> Result:
    return probe(model, *data(), {**TESTS, "inference": {"engine": engine, **more}})


@pytest.fixture(scope="module")
def robust() -> Result:
    return found("robust")


def changed(one: Result, other: Result) -> set[str]:
    """The metrics that differ, without the tests' names."""
    assert list(one.metrics) == list(other.metrics), "the same names, whatever the engine"
    return {key.split("/")[-1] for key, value in one.metrics.items() if other.metrics[key] != value}


def check_replaced(result: Result, robust: Result) -> None:
    """The effects are another engine's, all else is as it was, and robust's posteriors stay beside them."""
    assert "effect_lo95" in changed(result, robust) <= OF_EFFECT | {"worst_effect_bound95"}
    for name, test in result.tests.items():
        before, after = robust.tests[name].fit, test.fit
        if name not in EFFECTS:
            assert after == before
        elif test.kind == "property":
            assert after.robust == before.posterior
            assert after.line != before.line and after.curve == before.curve
        else:
            assert [side.robust for side in after.sides] == [side.posterior for side in before.sides]
            assert after.mean_drop == before.mean_drop and after.holds_until == before.holds_until
        pd.testing.assert_frame_equal(test.curve, robust.tests[name].curve)


# --- exact -------------------------------------------------------------------------------------------------


def test_exact_replaces_the_effects_and_nothing_else(robust: Result) -> None:
    result = found("exact")
    check_replaced(result, robust)
    assert isinstance(result.tests["a"].fit.posterior, Mixture)
    again = Result.from_json(result.to_json())
    assert again.to_json() == result.to_json() and again.tests == result.tests
    assert result.sampling is None and result.inference_data is None
    assert "ranks_as_known" in result.tests["by rank"].fit.flags
    assert any("takes ranks for known values" in text for text in result.tests["by rank"].warnings)


def test_exact_takes_priors(robust: Result) -> None:
    """A prior as strong as the data pulls the effect halfway."""
    side = robust.tests["noise"].fit.sides[0]
    prior = {"slope": {"normal": [0.0, side.posterior.scale]}}
    pulled = found("exact", priors=prior).tests["noise"].fit
    assert pulled.effect.value == pytest.approx(side.posterior.loc / 2, rel=0.03)
    assert "narrower_than_robust" in pulled.flags


def test_an_effect_that_few_examples_carry_is_said_to_be_unguarded() -> None:
    """One of 200 examples changes: robust guards the interval, exact is far surer than that allows."""
    X, y = pd.DataFrame({"a": np.linspace(0, 1, 200)}), np.ones(200, int)

    def last_fails(X: Any) -> Any:
        return np.where(X["a"] >= 1, 0.2, 0.9)

    def raised(X: Any, p: float) -> Any:
        return X + (X["a"] > 0.99).to_numpy()[:, None] * p

    tests = {"properties": ["a"], "perturbations": [{"name": "raised", "apply": raised, "magnitudes": [0.001, 0.002]}]}
    robust, exact = (probe(last_fails, X, y, {**tests, "inference": {"engine": e}}) for e in ("robust", "exact"))
    for name in ("a", "raised"):
        assert "few_informative" in robust.tests[name].fit.flags
        assert "unguarded" in exact.tests[name].fit.flags and "few_informative" not in exact.tests[name].fit.flags
        assert not any("pseudo-scores" in text for text in exact.tests[name].warnings)
        assert any("may be far too narrow" in text for text in exact.tests[name].warnings)
        one, other = exact.tests[name].fit.effect, robust.tests[name].fit.effect
        assert one.hi95 - one.lo95 < 0.9 * (other.hi95 - other.lo95)
        assert "narrower_than_robust" in exact.tests[name].fit.flags
        assert any("more than a tenth narrower" in text for text in exact.tests[name].warnings)
        assert "interval may be too narrow" in " ".join(text.get_text() for text in exact.plot(name).texts)


def test_exact_in_an_evaluation(experiment_id: str, monkeypatch: pytest.MonkeyPatch, robust: Result) -> None:
    draw_nothing(monkeypatch)
    X, y = data()
    done = evaluate(model, X.assign(y=y), {**TESTS, "inference": {"engine": "exact"}}, targets="y")
    check_replaced(done.result(), robust)
    assert done.ours == done.result().metrics
    assert {key: done.run.data.metrics[key] for key in done.ours} == done.ours
    assert done.result().recipe["inference"]["priors"] == {
        "intercept": {"normal": [0.0, 2.0]}, "slope": {"normal": [0.0, 1.0]}, "noise": {"half_cauchy": [3.0]},
    }  # fmt: skip
    assert not {"sensie/posterior.nc", "sensie/posterior.png"} & artifact_paths(done.run_id)


# --- pymc --------------------------------------------------------------------------------------------------

QUICK = {"draws": 400, "tune": 400, "chains": 2}


@pytest.fixture(scope="module")
def evaluated(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluated]:
    """One evaluation with engine pymc, for all tests of what it leaves on a run."""
    pytest.importorskip("pymc")
    folder = tmp_path_factory.mktemp("artifacts")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    X, y = data()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fluent, "_active_experiment_id", None)
        patch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.create_experiment(f"pymc {folder}", folder.as_uri()))
        draw_nothing(patch)
        yield evaluate(model, X.assign(y=y), {**TESTS, "inference": {"engine": "pymc", **QUICK}}, targets="y")
    mlflow.set_tracking_uri(before)


def test_pymc_in_an_evaluation(evaluated: Evaluated, robust: Result) -> None:
    result = evaluated.result()
    check_replaced(result, robust)
    assert evaluated.ours == result.metrics
    exact = found("exact")
    for name in EFFECTS:
        one, other = result.tests[name].fit.effect, exact.tests[name].fit.effect
        width = other.hi95 - other.lo95
        assert one.value == pytest.approx(other.value, abs=0.04 * width)
        assert (one.lo95, one.hi95) == pytest.approx((other.lo95, other.hi95), abs=0.12 * width)
    assert isinstance(result.tests["a"].fit.posterior, Draws)


def test_pymc_says_how_it_sampled(evaluated: Evaluated) -> None:
    sampling = evaluated.result().sampling
    assert sampling is not None
    assert [each.name for each in sampling.tests] == ["a", "by rank", "noise", "shift (below)", "shift (above)"]
    assert all(0.99 < each.r_hat < 1.05 and each.ess_bulk > 100 and each.ess_tail > 100 for each in sampling.tests)
    assert (sampling.draws, sampling.chains) == (400, 2)
    told = evaluated.result().recipe["inference"]
    assert {key: told[key] for key in QUICK} == QUICK and told["target_accept"] == 0.9


def test_pymc_logs_the_draws_and_a_forest_plot(evaluated: Evaluated, tmp_path: Any) -> None:
    assert {"sensie/posterior.nc", "sensie/posterior.png"} <= artifact_paths(evaluated.run_id)
    assert evaluated.returned.artifacts["sensie/posterior.png"].content.size[0] > 300
    data = evaluated.returned.artifacts["sensie/posterior.nc"].content
    effect = data["posterior"]["effect"]
    assert effect.shape == (2, 400, 5) and data["posterior"]["intercept"].shape == (2, 400, 2)
    fit = evaluated.result().tests["a"].fit
    assert float(effect.sel(test="a").median()) == fit.effect.value
    assert {"diverging", "tree_depth"} <= set(data["sample_stats"].data_vars)
    evaluated.returned.save(tmp_path / "saved")
    again = EvaluationResult.load(str(tmp_path / "saved")).artifacts["sensie/posterior.nc"].content
    assert float(again["posterior"]["effect"].sel(test="a").median()) == fit.effect.value


def test_a_failed_upload_keeps_the_draws(
    evaluated: Evaluated, experiment_id: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that such a failure leaves holds them, and ``log_folder`` logs them with the rest."""
    draw_nothing(monkeypatch)
    result = evaluated.result()
    result._inference_data = evaluated.returned.artifacts["sensie/posterior.nc"].content
    artifacts.write_files(result, tmp_path)
    with mlflow.start_run() as run:
        tracking.log_folder(tmp_path, run.info.run_id)
    assert {"sensie/posterior.nc", "sensie/posterior.png"} <= artifact_paths(run.info.run_id)
    with mlflow.start_run() as run:
        tracking.log_result(evaluated.result(), Destination(run.info.run_id))
    assert "sensie/posterior.nc" not in artifact_paths(run.info.run_id), "a result read back has no draws to log"


def test_the_forest_plot_leaves_pyplot_as_it_was(evaluated: Evaluated) -> None:
    from matplotlib import pyplot

    open_before = pyplot.get_fignums()
    result = evaluated.result()
    with pytest.raises(ValueError, match="there are no draws: engine pymc makes them"):
        draw_posterior(result)
    result._inference_data = evaluated.returned.artifacts["sensie/posterior.nc"].content
    figure = draw_posterior(result)
    texts = {text.get_text() for ax in figure.axes for text in [*ax.texts, *ax.get_yticklabels()]}
    assert any("shift (below)" in text for text in texts)
    assert to_png(figure).startswith(b"\x89PNG") and pyplot.get_fignums() == open_before


def test_sampling_that_fails_fails_its_tests_alone(monkeypatch: pytest.MonkeyPatch, robust: Result) -> None:
    def broken(*args: Any, **settings: Any) -> Any:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(engines, "sample", broken)
    monkeypatch.setattr(engines, "_import_pymc", lambda: None)
    with pytest.raises(
        EvaluationIncomplete, match=r"test 'a': engine 'pymc' failed: RuntimeError: no compiler"
    ) as caught:
        found("pymc")
    assert set(caught.value.result.failed) == set(EFFECTS)
    assert caught.value.result.tests["class"].fit == robust.tests["class"].fit


def test_bad_sampling_is_warned_of(monkeypatch: pytest.MonkeyPatch, robust: Result) -> None:
    sums = regressions_of(robust.tests)
    draws = tuple(Draws.of(np.linspace(-1, 1, 50)) for _ in sums)
    sampling = Sampling(1000, 4, 7, tuple(Convergence(name, 1.3, 50, 50) for name in sums))
    monkeypatch.setattr(engines, "sample", lambda *args, **settings: (draws, sampling, None))
    monkeypatch.setattr(engines, "_import_pymc", lambda: None)
    texts = " ".join(found("pymc").warnings)
    assert "diverged in 7 of 4000 draws" in texts and "R-hat above 1.01) for a, by rank, noise, shift (below)" in texts


def test_names_that_would_be_one_stay_apart(robust: Result) -> None:
    test = robust.tests["shift"]
    both = {"shift": test, "shift (above)": robust.tests["a"]}
    assert list(regressions_of(both)) == ["shift (below)", "shift (above)", "shift (above)'"]
    recipe = load_recipe({"class_test": True, "inference": {"engine": "exact"}})
    tests, _ = apply_engine(recipe, both)
    assert tests["shift (above)"].fit.robust == robust.tests["a"].fit.posterior


# --- what is refused, before anything is predicted ----------------------------------------------------------


@pytest.mark.parametrize("missing", ["pymc", "arviz", "h5netcdf"])
def test_without_the_extra_pymc_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for name in {"pymc", "arviz", "h5netcdf", "h5py"} - {missing}:
        monkeypatch.setitem(sys.modules, name, object())
    X, y = data()
    with pytest.raises(MissingDependencyError, match=rf"{missing}.*pip install mlflow-sensie\[pymc\]"):
        probe(lambda X: pytest.fail("it predicted"), X, y, {**TESTS, "inference": {"engine": "pymc"}})


@pytest.mark.parametrize("engine", ["exact", "pymc"])
@pytest.mark.parametrize(("key", "value", "word"), [("weights", "balanced", "equal"), ("cluster", "a", "independent")])
def test_weights_and_clusters_are_refused(engine: str, key: str, value: str, word: str) -> None:
    X, y = data()
    with pytest.raises(RecipeError, match=f"{key}: the likelihood of engine '{engine}' takes all examples as {word}"):
        probe(lambda X: pytest.fail("it predicted"), X, y, {**TESTS, key: value, "inference": {"engine": engine}})


@pytest.mark.parametrize(
    ("inference", "phrases"),
    [
        ({"draws": 1000}, ["draws is a key of engine 'pymc', not of 'robust'"]),
        ({"engine": "exact", "chains": 2}, ["chains is a key of engine 'pymc', not of 'exact'"]),
        ({"priors": {}}, ["priors is a key of engines 'exact' and 'pymc', not of 'robust'"]),
        ({"engine": "pymc", "draws": 10}, ["inference.draws", "greater than or equal to 100", "10 came"]),
        ({"engine": "pymc", "tune": "many"}, ["inference.tune", "'many' came"]),
        ({"engine": "pymc", "chains": 1}, ["inference.chains", "greater than or equal to 2"]),
        ({"engine": "pymc", "target_accept": 1}, ["inference.target_accept", "less than 1"]),
        (
            {"engine": "exact", "priors": {"slop": {}}},
            ["'slop' in inference.priors", "intercept, slope, noise"],
        ),
        (
            {"engine": "exact", "priors": {"slope": {"cauchy": 1}}},
            ["priors.slope", "{normal: [loc, scale]}"],
        ),
        ({"engine": "exact", "priors": {"slope": {"normal": [0, -1]}}}, ["priors.slope", "scale and df above 0"]),
        ({"engine": "exact", "priors": {"slope": {"normal": 1}}}, ["priors.slope", "{'normal': 1} came"]),
        ({"engine": "exact", "priors": {"slope": 1}}, ["priors.slope", "1 came"]),
        ({"engine": "exact", "priors": {"noise": {"normal": [0, 1]}}}, ["priors.noise", "{half_cauchy: [scale]}"]),
        (
            {"engine": "exact", "priors": {"slope": {"laplace": [0, 1]}}},
            ["needs a normal prior of slope", "laplace"],
        ),
    ],
    ids=str,
)
def test_settings_that_are_not_understood(inference: dict[str, Any], phrases: list[str]) -> None:
    recipe = {"class_test": True, "inference": inference}
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe)
    assert [phrase for phrase in phrases if phrase not in str(caught.value)] == [], str(caught.value)


GOOD = [
    {"engine": "exact"},
    {"engine": "exact", "priors": {"slope": {"normal": [0, 0.5]}, "noise": {"half_normal": 1}}},
    {"engine": "pymc", "draws": 500, "tune": 500, "chains": 4, "target_accept": 0.95},
    {"engine": "pymc", "priors": {"slope": {"student_t": [4, 0, 1]}, "noise": {"half_student_t": [3, 1]}}},
    {"engine": "pymc", "priors": {"intercept": {"laplace": [0.5, 0.5]}, "noise": {"half_cauchy": [3]}}},
]


@pytest.mark.parametrize("inference", GOOD, ids=str)
def test_a_resolved_recipe_reads_back_as_it_is(inference: dict[str, Any]) -> None:
    recipe = load_recipe({"class_test": True, "inference": inference})
    plain = recipe.to_plain()
    assert set(plain["inference"]["priors"]) == {"intercept", "slope", "noise"}
    assert load_recipe(plain).digest() == recipe.digest()
    for given in (inference, {**inference, "priors": plain["inference"]["priors"]}):
        assert (
            list(Draft202012Validator(Recipe.model_json_schema()).iter_errors({"class_test": True, "inference": given}))
            == []
        )
    other = load_recipe({"class_test": True})
    assert other.digest() != recipe.digest() and "priors" not in other.to_plain()["inference"]


@pytest.mark.parametrize("priors", [{"slope": {"normal": 1}}, {"slope": {"cauchy": [0, 1]}}, {"slop": {}}], ids=str)
def test_the_schema_marks_mistakes_in_priors(priors: dict[str, Any]) -> None:
    recipe = {"class_test": True, "inference": {"engine": "exact", "priors": priors}}
    assert list(Draft202012Validator(Recipe.model_json_schema()).iter_errors(recipe))
