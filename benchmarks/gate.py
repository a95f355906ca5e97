"""The gate's operating characteristics: whom it lets pass, whom it stops, and how many examples it takes.

Run `python benchmarks/gate.py [--quick]`; prints Markdown tables. Seeds are fixed; two processes, under three
minutes. Every data set goes the way a user's does: two score tables, `compare`, `judge`, `power`. Scores are 0/1
or Beta-like with exactly known mean curves; the two models' examples go together through a Gaussian copula, as do
an example's scores at different magnitudes.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr

from mlflow_sensie.comparison import Comparison, compare
from mlflow_sensie.differences import Difference
from mlflow_sensie.gate import judge, parse_rules
from mlflow_sensie.gate_power import power
from mlflow_sensie.inference import Posterior, ScoreScale, perturbation_test
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.sides import Sweep
from mlflow_sensie.paired_sweep import SweepSums
from mlflow_sensie.paired_tests import clean_difference
from mlflow_sensie.result import Result, ScoreInfo, TestResult
from mlflow_sensie.scores import ScoreTable

Array = NDArray[np.float64]
Rng = np.random.Generator
MAGNITUDES = (1.0, 2.0, 3.0, 4.0)
TWO_SIDED = (-2.0, -1.0, 1.0, 2.0)
BASE = np.array([0.92, 0.90, 0.86, 0.80, 0.72])
SYMMETRIC = np.array([0.92, 0.72, 0.86, 0.86, 0.72])
SCALE = ScoreScale(0.0, 1.0, "probability")
SIZES = (150, 500, 1500)
CLEAN_RULE: dict[str, object] = {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.02}


# ---------------------------------------------------------------- models with known mean curves


@lru_cache(maxsize=256)
def _beta_quantiles(mean: float) -> tuple[Array, Array]:
    grid = np.linspace(0, 1, 4001)
    return grid, betaincinv(5 * mean, 5 * (1 - mean), grid)


def _scores(latent: Array, means: Array, kind: str) -> Array:
    """Turn uniforms (n, k) into scores of these means: 0/1, or Beta with a pile near 1."""
    if kind == "0/1":
        return (latent < means).astype(float)
    return np.column_stack([np.interp(latent[:, j], *_beta_quantiles(float(m))) for j, m in enumerate(means)])


def two_models(rng: Rng, n: int, ours: Array, theirs: Array, kind: str, rho: float) -> tuple[Array, Array]:
    """Scores (n, k) of a baseline with mean curve `ours` and a candidate with `theirs`, correlated by about rho."""
    shared = rng.normal(size=(n, 1)) * 0.8 + 0.6 * rng.normal(size=(n, len(ours)))
    own = rng.normal(size=(n, 1)) * 0.8 + 0.6 * rng.normal(size=(n, len(ours)))
    return _scores(ndtr(shared), ours, kind), _scores(ndtr(rho * shared + np.sqrt(1 - rho**2) * own), theirs, kind)


def only_losses(rng: Rng, n: int, ours: Array, theirs: Array, kind: str, rho: float) -> tuple[Array, Array]:
    """A candidate that loses some of what the baseline had and gains nothing: all differences are of one sign."""
    baseline = _scores(ndtr(rng.normal(size=(n, 1)) * 0.8 + 0.6 * rng.normal(size=(n, len(ours)))), ours, kind)
    lost = rng.random((n, 1)) < 1 - theirs / ours
    return baseline, np.where(lost, 0.0, baseline)


# ---------------------------------------------------------------- results without a model


def result_of(scores: Array, name: str, magnitudes: tuple[float, ...] = MAGNITUDES) -> Result:
    """The result that an evaluation with these scores has: clean, then one column per magnitude; or clean alone."""
    n, clean = len(scores), scores[:, 0]
    table = ScoreTable()
    columns = {f"score/sweep/{j}": scores[:, j + 1] for j in range(scores.shape[1] - 1)}
    table.append({"id": np.arange(n), "clean": clean, **columns})
    tests = {}
    if columns:
        fit = perturbation_test(lambda: [scores], SCALE, magnitudes=magnitudes, neutral=0.0)
        tests["sweep"] = TestResult(name="sweep", slug="sweep", kind="perturbation", fit=fit)
    result = Result(
        version="0", score=ScoreInfo(kind="probability", lower=0.0, upper=1.0, unit="probability", source="made"),
        n=n, clean=Posterior(float(clean.mean()), float(clean.std(ddof=1) / n**0.5), n - 1.0).summary(), tests=tests,
        recipe={"seed": 0, "allowed_drop": 0.1}, recipe_yaml="", recipe_sha256="", data_sha256="", model_name=name,
        n_predictions=0, seconds=0.0,
    )  # fmt: skip
    result._score_table = table
    return result


def compared(baseline: Array, candidate: Array, magnitudes: tuple[float, ...]) -> tuple[Result, Comparison]:
    """The candidate's result, and its comparison with the baseline."""
    ours = result_of(candidate, "candidate", magnitudes)
    return ours, compare(ours, result_of(baseline, "baseline", magnitudes))


# ---------------------------------------------------------------- 1: worse by exactly the margin


Draw = Callable[[Rng, int, Array, Array, str, float], tuple[Array, Array]]


@dataclass(frozen=True)
class Scenario:
    """A candidate whose true loss in `metric` is exactly the margin of its rule."""

    metric: str
    what: str
    kind: str
    margin: float
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    draw: Draw = two_models
    rho: float = 0.9
    magnitudes: tuple[float, ...] = MAGNITUDES

    @property
    def rule(self) -> dict[str, object]:
        """The rule, as a user writes it."""
        limits = {"versus": "baseline", "worse_by_at_most": self.margin}
        return {"metric": self.metric, **({} if self.metric == "clean_score" else {"test": "sweep"}), **limits}


def _shifted(base: Array, loss: float) -> tuple[float, ...]:
    return tuple((base - loss).tolist())


def _dropping(base: Array, loss: float) -> tuple[float, ...]:
    """The clean score as before; every other point lower, so that the mean drop grows by `loss`."""
    step = loss / 0.875  # the clean point has 1/8 of the trapezoid's weight
    return (float(base[0]), *(base[1:] - step).tolist())


def _holding(base: Array, shorter: float) -> tuple[float, ...]:
    """The same clean score, crossing its floor (0.9 of it) earlier by `shorter`: steeper in distance."""
    floor = 0.9 * base[0]
    x = np.arange(5.0)
    k = int(np.argmax(base < floor))
    crossing = k - 1 + (base[k - 1] - floor) / (base[k - 1] - base[k])
    stretched = np.interp(x * crossing / (crossing - shorter), x, base)
    # The new curve is straight between its own points: move one end of the crossing's segment onto the line.
    place = int(crossing - shorter)
    share = crossing - shorter - place
    stretched[place + 1] = (floor - (1 - share) * stretched[place]) / share
    return tuple(stretched.tolist())


def scenarios() -> list[Scenario]:
    """Ordinary ones, and ones that are built to break the check."""
    found = []
    for kind in ("0/1", "Beta"):
        found += [
            Scenario("clean_score", "retrain", kind, 0.02, (0.9,), (0.88,)),
            Scenario("clean_score", "only losses", kind, 0.02, (0.9,), (0.88,), only_losses),
            Scenario("mean_drop", "retrain", kind, 0.03, tuple(BASE), _dropping(BASE, 0.03)),
            Scenario("mean_drop", "only losses", kind, 0.03, tuple(BASE), _dropping(BASE, 0.03), only_losses),
        ]
    flat, falling = np.full(5, 0.9), np.array([0.92, 0.905, 0.89, 0.875, 0.86])
    symmetric = tuple(SYMMETRIC)
    one_side = (0.92, 0.66, 0.83, 0.86, 0.72)
    found += [
        Scenario("effect", "both fall", "Beta", 0.06, tuple(falling), (0.92, 0.89, 0.86, 0.83, 0.80)),
        Scenario("effect", "baseline has none", "Beta", 0.06, tuple(flat), (0.9, 0.885, 0.87, 0.855, 0.84)),
        Scenario("effect", "two sides equal, one worse", "Beta", 0.06, symmetric, one_side, magnitudes=TWO_SIDED),
        Scenario("holds_until", "steeper", "Beta", 0.5, tuple(BASE), _holding(BASE, 0.5)),
        Scenario("holds_until", "baseline just holds", "Beta", 0.5, (0.92, 0.905, 0.88, 0.855, 0.828),
                 (0.92, 0.895, 0.865, 0.838, 0.818)),
        Scenario("holds_until", "two sides equal, one worse", "Beta", 0.3, (0.92, 0.78, 0.87, 0.87, 0.78),
                 (0.92, 0.728, 0.848, 0.87, 0.78), magnitudes=TWO_SIDED),
    ]  # fmt: skip
    return found


def truth_of(scenario: Scenario) -> float:
    """How much worse the candidate truly is, by the code under test on data without noise."""
    rows = [np.tile(curve, (100_000, 1)) for curve in (scenario.ours, scenario.theirs)]
    if scenario.metric == "clean_score":
        return float(scenario.ours[0] - scenario.theirs[0])
    _, comparison = compared(rows[0], rows[1], scenario.magnitudes)
    return comparison.tests["sweep"].differences[scenario.metric].worse_by


def loss_of(scenario: Scenario, baseline: Array, candidate: Array, rng: Rng) -> Difference:
    """The scenario's difference, by the functions that `compare` calls, without the metrics not asked for."""
    rows = np.hstack([baseline, candidate - baseline])
    if scenario.metric == "clean_score":
        return clean_difference(lambda: [rows], SCALE)
    sums = SweepSums.of(lambda: [rows], Sweep.of(scenario.magnitudes, 0.0), SCALE)
    if scenario.metric == "mean_drop":
        return sums.mean_drop()
    return sums.effect(rng) if scenario.metric == "effect" else sums.holds_until(Floor.of(0.1, True), rng)


def margin_task(task: tuple[Scenario, int, int]) -> float:
    """How often the scenario's candidate passes."""
    scenario, n, repeats = task
    rng = np.random.default_rng([zlib.crc32(f"{scenario.metric} {scenario.what} {scenario.kind}".encode()), n])
    ours, theirs, passed = np.array(scenario.ours), np.array(scenario.theirs), 0
    for _ in range(repeats):
        baseline, candidate = scenario.draw(rng, n, ours, theirs, scenario.kind, scenario.rho)
        same = np.array_equal(baseline, candidate)
        passed += same or loss_of(scenario, baseline, candidate, rng).prob_worse_by_at_most(scenario.margin) >= 0.95
    return passed / repeats


def at_the_margin(pool: ProcessPoolExecutor, share: float) -> None:
    """Print how often a model passes that is worse by exactly the margin."""
    print("\n## Worse by exactly the margin: how often it passes (at most .05 wanted)\n")
    print("| quantity, margin | candidate | scores | n = 150 | n = 500 | n = 1,500 | all |")
    print("|---|---|---|---|---|---|---|")
    known, much = scenarios(), {"clean_score": 2000, "mean_drop": 1500, "effect": 800, "holds_until": 400}
    repeats = [max(20, int(share * much[each.metric])) for each in known]
    tasks = [(each, n, count) for each, count in zip(known, repeats, strict=True) for n in SIZES]
    results = list(pool.map(margin_task, tasks))
    for place, (each, count) in enumerate(zip(known, repeats, strict=True)):
        passed = results[place * len(SIZES) : (place + 1) * len(SIZES)]
        assert abs(truth_of(each) - each.margin) < 2e-3, (each, truth_of(each))
        mean = float(np.mean(passed))
        error = np.sqrt(max(mean * (1 - mean), 1e-4) / (count * len(SIZES)))
        cells = " | ".join(f"{share:.3f}" for share in passed)
        print(f"| {each.metric}, {each.margin:g} | {each.what} | {each.kind} | {cells} | {mean:.3f} ± {error:.3f} |")


# ---------------------------------------------------------------- 2: identical


def identical_task(n: int) -> tuple[int, int]:
    """How many of 20 models pass against themselves, on gates of all the metrics there are."""
    rng, passed = np.random.default_rng(n), 0
    rules = [{"metric": metric, "test": "*", "versus": "baseline", "worse_by_at_most": 0.0}
             for metric in ("mean_drop", "effect", "holds_until")]  # fmt: skip
    gate = parse_rules([{**CLEAN_RULE, "worse_by_at_most": 0.0}, *rules])
    for index in range(20):
        scores, _ = two_models(rng, n, BASE, BASE, "0/1" if index % 2 else "Beta", 0.9)
        result, comparison = compared(scores, scores, MAGNITUDES)
        passed += judge(result, gate, comparison).passed
    return passed, 20


def identical(pool: ProcessPoolExecutor) -> None:
    """Print how often a model passes against itself."""
    print("\n## Identical predictions, every margin 0\n\n| n | passes |\n|---|---|")
    for n, (passed, of) in zip((10, 100, 1000), pool.map(identical_task, (10, 100, 1000)), strict=True):
        print(f"| {n:,} | {passed} of {of} |")


# ---------------------------------------------------------------- 3: equally good retrains


GATES: dict[str, list[dict[str, object]]] = {
    "clean score .01": [{**CLEAN_RULE, "worse_by_at_most": 0.01}],
    "mean drop .02": [{"metric": "mean_drop", "test": "*", "versus": "baseline", "worse_by_at_most": 0.02}],
    "holds until .4": [{"metric": "holds_until", "test": "*", "versus": "baseline", "worse_by_at_most": 0.4}],
    "effect .03": [{"metric": "effect", "test": "*", "versus": "baseline", "worse_by_at_most": 0.03}],
}
GATES["all four"] = [rule for rules in GATES.values() for rule in rules]


def retrain_task(task: tuple[str, int, int]) -> tuple[Array, dict[str, list[float]]]:
    """Passes of every gate on equally good retrains; and what power says, from one model and from a pair."""
    kind, n, repeats = task
    rng = np.random.default_rng([n, len(kind)])
    gates = {name: parse_rules(rules) for name, rules in GATES.items()}
    passed, stated, correlations = [], {name: [] for name in GATES}, []
    for index in range(repeats):
        baseline, candidate = two_models(rng, n, BASE, BASE, kind, RETRAIN_RHO[kind])
        result, comparison = compared(baseline, candidate, MAGNITUDES)
        correlations.append(comparison.correlation)
        passed.append([judge(result, rules, comparison).passed for rules in gates.values()])
        for name, rules in gates.items() if index < 20 else ():
            two = power(result, rules, comparison)
            stated[name].append([power(result, rules).chance, two.chance, two.n_for_90 or np.nan])
    means = {name: np.median(rows, axis=0).tolist() for name, rows in stated.items()}
    return np.array(passed, float).mean(0), {**means, "correlation": [float(np.mean(np.array(correlations, float)))]}


RETRAIN_RHO = {"Beta": 0.9, "0/1": 0.99}
SETTINGS = (("Beta", 150), ("Beta", 300), ("0/1", 500), ("0/1", 1500))


def retrains(pool: ProcessPoolExecutor, share: float) -> None:
    """Print stated against measured power on equally good retrains."""
    print("\n## Equally good retrains: how often the gate passes them, and what `power` had said\n")
    print("| scores (correlation) | n | gate | passes | stated, from the pair | from one model | n for .9, stated |")
    print("|---|---|---|---|---|---|---|")
    tasks = [(kind, n, max(20, int(share * 200))) for kind, n in SETTINGS]
    for (kind, n, _), (passed, stated) in zip(tasks, pool.map(retrain_task, tasks), strict=True):
        for name, measured in zip(GATES, passed, strict=True):
            one, two, needed = stated[name]
            label = f"{kind} ({stated['correlation'][0]:.2f})"
            print(f"| {label} | {n:,} | {name} | {measured:.2f} | {two:.2f} | {one:.2f} | {needed:,.0f} |")


# ---------------------------------------------------------------- 4: unpaired


def unpaired_task(task: tuple[str, float, int]) -> tuple[float, float, float, float]:
    """Correlation, paired and unpaired passes of equally good models, and the factor of examples between them."""
    kind, rho, repeats = task
    scenario = Scenario("clean_score", "retrain", kind, 0.02, (0.9,), (0.9,))
    rng, found = np.random.default_rng(int(rho * 100)), []
    for _ in range(repeats):
        baseline, candidate = two_models(rng, 500, BASE[:1], BASE[:1], kind, rho)
        difference = loss_of(scenario, baseline, candidate, rng)
        step, apart2 = candidate - baseline, (baseline.var(ddof=1) + candidate.var(ddof=1)) / 500
        passes = difference.prob_worse_by_at_most(0.02) >= 0.95, 1.6449 * apart2**0.5 - step.mean() <= 0.02
        found.append([difference.correlation or 0.0, *passes, apart2, step.var(ddof=1) / 500])
    rho_found, paired, apart, *variances = np.array(found, float).mean(0).tolist()
    return rho_found, paired, apart, variances[0] / variances[1]


def unpaired(pool: ProcessPoolExecutor, share: float) -> None:
    """Print what pairing is worth."""
    print("\n## What pairing is worth: clean score, margin .02, n = 500, equally good models\n")
    print("| scores | correlation | paired passes | unpaired passes | unpaired needs … times the examples |")
    print("|---|---|---|---|---|")
    tasks = [(kind, rho, max(50, int(share * 500))) for kind in ("Beta", "0/1") for rho in (0.5, 0.9, 0.99)]
    for (kind, _, _), (rho, with_pairs, without, factor) in zip(tasks, pool.map(unpaired_task, tasks), strict=True):
        print(f"| {kind} | {rho:.2f} | {with_pairs:.2f} | {without:.2f} | {factor:.1f} |")


# ---------------------------------------------------------------- 5: more data


GROWING = (100, 200, 400, 800, 1600, 3200)


def growing_task(task: tuple[str, float, int]) -> Array:
    """Outcomes (repeats, sizes) on ever longer parts of the same examples: 1 right, 0 inconclusive, -1 wrong."""
    kind, loss, repeats = task
    rng, rules = np.random.default_rng([int(1000 * (1 + loss)), len(kind)]), parse_rules([CLEAN_RULE])
    right = "pass" if loss < 0.02 else "fail"
    out = []
    for _ in range(repeats):
        baseline, candidate = two_models(rng, GROWING[-1], np.array([0.9]), np.array([0.9 - loss]), kind, 0.9)
        pairs = [compared(baseline[:n], candidate[:n], MAGNITUDES) for n in GROWING]
        outcomes = [judge(result, rules, comparison).outcome for result, comparison in pairs]
        out.append([0 if outcome == "inconclusive" else 1 if outcome == right else -1 for outcome in outcomes])
    return np.array(out)


def more_data(pool: ProcessPoolExecutor, share: float) -> None:
    """Print how answers change with more data."""
    print("\n## More data: clean score, margin .02; right (wrong) answers, the rest inconclusive\n")
    print("| scores | truly worse by |", " | ".join(f"n = {n:,}" for n in GROWING), "| right, later wrong |")
    print("|---|---|" + "---|" * (len(GROWING) + 1))
    tasks = [(kind, loss, max(20, int(share * 100))) for kind in ("Beta", "0/1") for loss in (-0.01, 0.0, 0.04)]
    for (kind, loss, _), table in zip(tasks, pool.map(growing_task, tasks), strict=True):
        cells = " | ".join(f"{(column > 0).mean():.2f} ({(column < 0).mean():.2f})" for column in table.T)
        turned = np.mean([(-1 in row[list(row).index(1) :]) if 1 in row else False for row in table])
        print(f"| {kind} | {loss:g} | {cells} | {turned:.3f} |")


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data sets")
    share, started = (0.1 if parser.parse_args().quick else 1.0), time.monotonic()
    print("# The gate's operating characteristics")
    with ProcessPoolExecutor(2) as pool:
        at_the_margin(pool, share)
        identical(pool)
        retrains(pool, share)
        unpaired(pool, share)
        more_data(pool, share)
    print(f"\n{time.monotonic() - started:.0f} s, two processes.")


if __name__ == "__main__":
    main()
