"""Stopping early, by the package's own sweep over recorded scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.sources import Data
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.stopping import Stopping, stratified_order
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.inference import PerturbationFit, ScoreScale, perturbation_test
from mlflow_sensie.models.model import Model
from mlflow_sensie.perturbations.base import FunctionPerturbation
from mlflow_sensie.scores.kinds import custom_kind
from mlflow_sensie.scores.scorer import Scorer, Targets
from mlflow_sensie.scores.table import CLEAN, ScoreTable
from study import LOSS, PROBABILITY, UNBOUNDED, Array, Rng, Row, Scenario, Table, U, large, rng_of
from study.sweeps import (
    dip,
    flat_noise,
    last_only,
    long_tail,
    slope_dominated,
    smooth_thresholds,
    some_break,
    some_change,
    still,
    sweep_truths,
    thresholds,
)


def two_classes(rng: Rng, n: int) -> tuple[Array, ...]:
    """Sorted by class: a tenth falls steeply, the others hardly."""
    label = np.sort(rng.random(n) < 0.1)
    fall = np.where(label, 0.7, 0.05) + 0.05 * rng.normal(size=n)
    return np.clip(0.9 - fall[:, None] * U, 0, 1), label.astype(float)


def early(
    draw: Callable[[Rng, int], tuple[Array, ...]], name: str, precision: float, scale: ScoreScale = PROBABILITY
) -> Scenario:
    """Name a scenario of stopping early after its precision."""
    return Scenario(f"{name}, precision {precision:g}", 4096, draw, scale, options={"precision": precision})


EARLY = [
    early(slope_dominated, "slope-dominated", 0.05),
    early(smooth_thresholds, "thresholds", 0.1),
    early(thresholds(0.6, 0.0, 1.0), "0/1 thresholds", 0.1),
    early(thresholds(0.15, 0.5, 1.0), "15 % thresholds", 0.05),
    early(thresholds(0.15, 0.5, 1.0), "15 % thresholds", 0.03),
    early(two_classes, "two classes, sorted", 0.05),
    *(early(some_change(k), f"{k:g} % change", w) for k in (0.3, 1, 3) for w in (0.05, 0.02)),
    early(some_change(10), "10 % change", 0.1),
    *(early(some_break(k / 100), f"{k} % break at once", w) for k, w in ((1, 0.02), (5, 0.05), (20, 0.03))),
    early(last_only, "drop at the last magnitude", 0.05),
    early(dip, "dip in the middle", 0.05),
    early(flat_noise, "no change, noise", 0.02, UNBOUNDED),
    early(still, "all scores equal", 0.02),
    *(early(long_tail, "long-tailed losses", w, LOSS) for w in (0.2, 0.1, 0.05)),
]


RULES: dict[str, Callable[[PerturbationFit, float], bool]] = {
    "precision": lambda fit, width: fit.precise(width),
    "width, no guard": lambda fit, width: fit.plain_effect.hi95 - fit.plain_effect.lo95 < width,
    "width, and 20 informative": lambda fit, width: fit.precise(width) and fit.sides[0].informative >= 20,
    "until 0 is excluded": lambda fit, width: not fit.effect.lo95 <= 0 <= fit.effect.hi95,
}


def _stopped(scenario: Scenario, data: tuple[Array, ...], seed: int, rule: str) -> tuple[PerturbationFit, int]:
    """Run the package's own sweep with a model that looks recorded scores up; count its predictions."""
    scores, n = data[0], scenario.n
    width = float(scenario.options["precision"])  # type: ignore[arg-type]
    labels = data[1].astype(int) if len(data) > 1 else np.zeros(n, int)
    examples = make_examples(Data(np.column_stack([np.arange(n), np.zeros(n)]), labels), kind="series")
    model = Model(lambda x: scores[x[:, 0].astype(int), x[:, 1].astype(int)], "function")
    kind = replace(custom_kind(lambda predictions, truth: predictions), scale=scenario.scale)
    scorer = Scorer(kind, lambda predictions, truth: predictions.values)
    turn = FunctionPerturbation(lambda x, p: np.column_stack([x[:, 0], np.full(len(x), 10 * p)]).round(), neutral=0.0)
    sweep_test = SweepTest("sweep", "sweep", turn, tuple(U[1:].tolist()))

    def fit(table: ScoreTable) -> PerturbationFit:
        rows = table.asked(sweep_test.columns).array([CLEAN, *sweep_test.columns])
        return perturbation_test(rows, sweep_test.grid, scenario.scale)

    stopping = Stopping(stratified_order(labels, seed), lambda _, table: RULES[rule](fit(table), width))
    sweep = Sweep(model, scorer, Targets(labels), examples, [sweep_test], stopping=stopping)
    table = sweep.run()
    return fit(table), sweep.n_predictions


def study_early(scenario: Scenario, sets: int) -> list[Row]:
    """Cover effect and mean drop where the sweep stops at a look; count examples, and claims that 0 is no effect."""
    truth, rows = sweep_truths(large(scenario)[0].mean(0)), []
    for rule in RULES:
        found = []
        for k in range(sets):
            fit, predictions = _stopped(scenario, scenario.draw(rng_of(scenario, k), scenario.n), k, rule)
            pairs = ((fit.effect, truth["slope"]), (fit.mean_drop, truth["mean"]))
            inside = [of.lo95 - 1e-9 <= value <= of.hi95 + 1e-9 for of, value in pairs]
            e, share = fit.effect, (predictions / scenario.n - 1) / (len(U) - 1)
            found.append([*inside, e.hi95 - e.lo95, share, not e.lo95 <= 0 <= e.hi95, "few_informative" in fit.flags])
        rows.append(Row(scenario.name, scenario.n, rule, np.array(found, float).mean(0).tolist()))
    return rows


TABLES: list[Table] = [
    (
        "Stopping early",
        EARLY,
        study_early,
        ("effect 95", "mean drop 95", "mean width", "share of examples", "0 excluded", "guarded"),
    )
]
