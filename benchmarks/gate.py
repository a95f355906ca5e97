"""The gate's operating characteristics: whom it lets pass, whom it stops, and how many examples it takes.

Run `python benchmarks/gate.py [--quick]`; prints Markdown tables. Seeds are fixed; two processes, about ten
minutes. Every data set goes the way a user's does: two score tables, `judge` and `power`.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from drawn import (
    TWO_SIDED,
    Draw,
    Drawn,
    along_property,
    between_levels,
    only_losses,
    overconfident,
    result_of,
    retrain,
)
from scipy.integrate import trapezoid
from study import Array, Rng

from mlflow_sensie.comparison import compare
from mlflow_sensie.gate import judge, power
from mlflow_sensie.result import Result

Rule = dict[str, Any]
BASE = (0.92, 0.90, 0.86, 0.80, 0.72)
FLAT, FALLING = (0.9,) * 5, (0.9, 0.885, 0.87, 0.855, 0.84)
DROP = float(BASE[0] - trapezoid(BASE, dx=0.25))
SIZES = (50, 200, 1000)
SETS, SETS_CLEAN, SETS_LONG = 600, 2000, 2000


def versus(metric: str, margin: float, test: str | None = "sweep") -> Rule:
    """A rule against the baseline, as a user writes it."""
    about = {"test": test} if test and metric != "clean_score" else {}
    return {"metric": metric, **about, "versus": "baseline", "worse_by_at_most": margin}


def row(cells: Iterable[object]) -> None:
    """Print one line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def header(title: str, cells: Sequence[str]) -> None:
    """Print what stands above a table."""
    print(f"\n## {title}\n")
    row(cells)
    print("|" + "---|" * len(cells))


# ---------------------------------------------------------------- 1: exactly at the limit


@dataclass(frozen=True)
class Scenario:
    """A candidate that is exactly at the limit of its rule."""

    rule: Rule
    what: str
    kind: str
    draw: Draw
    sets: int = SETS
    sizes: tuple[int, ...] = SIZES

    def passes(self, rng: Rng, n: int) -> bool:
        """Tell whether the rule passes on n examples."""
        baseline, candidate = (result_of(drawn, "m") for drawn in self.draw(rng, n))
        return judge(candidate, [self.rule], baseline if "versus" in self.rule else None).passed


def _dropping(loss: float) -> tuple[float, ...]:
    """The clean score as before; every other point lower, so that the mean drop grows by `loss`."""
    return (BASE[0], *(mean - loss / 0.875 for mean in BASE[1:]))  # the clean point has 1/8 of the trapezoid's weight


def scenarios() -> list[Scenario]:
    """Every quantity, of 0/1 scores and of probabilities, and ones that are built to break the gate."""
    return [each for kind in ("0/1", "Beta") for each in _of_kind(kind)] + _of_probabilities()


def _of_kind(kind: str) -> list[Scenario]:
    clean, drop = versus("clean_score", 0.02), versus("mean_drop", 0.03)
    both = (0.92, 0.905, 0.89, 0.875, 0.86), (0.92, 0.89, 0.86, 0.83, 0.80)
    none = (0.92, 0.92, 0.874, 0.782, 0.69), (0.92, 0.874, 0.828, 0.782, 0.69)
    sets = SETS_LONG if kind == "0/1" else SETS
    return [
        Scenario(clean, "retrain", kind, retrain(kind, (0.9,), (0.88,)), SETS_CLEAN),
        Scenario(clean, "close retrain", kind, retrain(kind, (0.9,), (0.88,), 0.99), SETS_CLEAN),
        Scenario(clean, "the same, but for 2 % of inputs", kind, only_losses(kind, (0.9,), (0.88,)), SETS_CLEAN),
        Scenario(drop, "retrain", kind, retrain(kind, BASE, _dropping(0.03)), sets),
        Scenario(drop, "close retrain", kind, retrain(kind, BASE, _dropping(0.03), 0.99)),
        Scenario(drop, "the same, but for 3 % of inputs", kind, only_losses(kind, BASE, _dropping(0.03))),
        Scenario(versus("effect", 0.06), "both fall", kind, retrain(kind, *both)),
        Scenario(versus("effect", 0.06), "baseline has none", kind, retrain(kind, FLAT, FALLING)),
        Scenario(versus("effect", 0.06), "two sides, one worse", kind,
                 retrain(kind, (0.92, 0.72, 0.86, 0.86, 0.72), (0.92, 0.66, 0.83, 0.86, 0.72), magnitudes=TWO_SIDED)),
        Scenario(versus("effect", 0.06, "p"), "property, both fall", kind, along_property(kind, (0.1, 0.16))),
        Scenario(versus("holds_until", 0.5), "steeper", kind, retrain(kind, *none)),
        Scenario(versus("spread", 0.03, "level"), "10 levels, .03 and .06", kind, between_levels(kind, (0.03, 0.06))),
        Scenario(versus("spread", 0.05, "level"), "10 levels, 0 and .05", kind, between_levels(kind, (0.0, 0.05))),
        Scenario({"metric": "clean_score", "at_least": 0.9}, "absolute", kind, retrain(kind, (0.9,), (0.9,))),
        Scenario({"metric": "clean_score", "at_least": 0.98}, "absolute, hardly ever wrong", kind,
                 retrain(kind, (0.98,), (0.98,))),
        Scenario({"metric": "mean_drop", "test": "sweep", "at_most": DROP}, "absolute", kind,
                 retrain(kind, BASE, BASE)),
        Scenario({"metric": "effect", "test": "sweep", "at_most": 0.06}, "absolute", kind,
                 retrain(kind, FLAT, FALLING)),
        Scenario({"metric": "holds_until", "test": "sweep", "at_least": 2.0}, "absolute", kind,
                 retrain(kind, BASE, (0.92, 0.90, 0.828, 0.78, 0.72))),
    ]  # fmt: skip


def _of_probabilities() -> list[Scenario]:
    found = []
    for test, of_property in (("sweep", False), ("p", True)):
        for beyond, what in (((0.0, 0.06), "baseline calibrated"), ((0.05, 0.11), "both overconfident")):
            draw = overconfident(beyond, of_property=of_property)
            about = "property" if of_property else "sweep"
            found.append(Scenario(versus("unexpected", 0.06, test), f"{about}, {what}", "sure", draw))
    return found


def truth_of(scenario: Scenario) -> float:
    """Estimate the limited quantity from very many examples."""
    baseline, candidate = (result_of(d, "m") for d in scenario.draw(np.random.default_rng(1), 200_000))
    value = judge(candidate, [scenario.rule], baseline if "versus" in scenario.rule else None).judgements[0].value
    assert value is not None
    return value


def check_truths() -> None:
    """Assert that every scenario is at its limit."""
    for each in scenarios():
        limit = next(each.rule[key] for key in ("at_least", "at_most", "worse_by_at_most") if key in each.rule)
        found = truth_of(each)
        assert abs(found - limit) < (0.03 if each.rule["metric"] == "holds_until" else 4e-3), (each, found)


def limit_task(task: tuple[int, int, int]) -> float:
    """How often the candidate of a scenario, by its number, passes."""
    index, n, repeats = task
    scenario = scenarios()[index]
    seed = zlib.crc32(f"{scenario.rule} {scenario.what} {scenario.kind}".encode())
    rng = np.random.default_rng([seed, n])
    return float(np.mean([scenario.passes(rng, n) for _ in range(repeats)]))


def at_the_limit(pool: ProcessPoolExecutor, share: float) -> None:
    """Print how often a model passes that is exactly at the limit."""
    known = scenarios()
    header(
        "Exactly at the limit: how often it passes (at most .05 wanted)",
        ["rule", "candidate", "scores", *(f"n = {n:,}" for n in SIZES), "all"],
    )
    repeats = [max(20, int(share * each.sets)) for each in known]
    rates = pool.map(limit_task, [(k, n, repeats[k]) for k, each in enumerate(known) for n in each.sizes])
    for each, count in zip(known, repeats, strict=True):
        passed = [next(rates) for _ in each.sizes]
        error = np.sqrt(max(np.mean(passed) * (1 - np.mean(passed)), 1e-4) / (count * len(each.sizes)))
        limit = next(
            f"{key.replace('_', ' ')} {each.rule[key]:.3g}" for key in each.rule if key.endswith(("least", "most"))
        )
        rule = f"{each.rule['metric'].replace('_', ' ')} {limit}"
        row([rule, each.what, each.kind, *(f"{rate:.3f}" for rate in passed), f"{np.mean(passed):.3f} ± {error:.3f}"])


# ---------------------------------------------------------------- 2: identical predictions


def identical(share: float) -> None:
    """Print how often a model passes against itself."""
    sizes = (5, 10, 18, 50, 200, 400, 800)
    rules = [versus("clean_score", 0.01), versus("mean_drop", 0.02), versus("effect", 0.03), versus("holds_until", 0.4)]
    header("Identical predictions: share that passes all four", ["scores", *(f"n = {n:,}" for n in sizes)])
    for kind, uuid in (("Beta", None), ("0/1", None), ("0/1", "the same model")):
        cells = []
        for n in sizes:
            rng, found = np.random.default_rng(n), []
            for _ in range(max(20, int(share * 100))):
                drawn = retrain(kind, BASE, BASE)(rng, n)[0]
                found.append(judge(result_of(drawn, "b", uuid=uuid), rules, result_of(drawn, "a", uuid=uuid)).passed)
            cells.append(f"{np.mean(found):.2f}")
        row([f"{kind}, {uuid}" if uuid else kind, *cells])


# ---------------------------------------------------------------- 3: equally good retrains


GATES: dict[str, list[Rule]] = {
    "clean score .01": [versus("clean_score", 0.01)],
    "mean drop .02": [versus("mean_drop", 0.02)],
    "effect .03": [versus("effect", 0.03)],
    "holds until .4": [versus("holds_until", 0.4)],
    "clean score .01, mean drop .02": [versus("clean_score", 0.01), versus("mean_drop", 0.02)],
}
GATES["all four"] = [GATES[name][0] for name in list(GATES)[:4]]
RETRAINS = [(kind, rho, n) for kind, rho, sizes in (("Beta", 0.9, (150, 300, 600)), ("0/1", 0.99, (500, 1500, 3000)))
            for n in sizes]  # fmt: skip


def retrain_task(task: tuple[str, float, int, int]) -> Array:
    """(gates, 4): passes, stated from the pair and from one model, and the examples for .9 stated from the pair."""
    kind, rho, n, repeats = task
    rng, rows = np.random.default_rng([n, len(kind)]), []
    for _ in range(repeats):
        old, new = (result_of(each, "m") for each in retrain(kind, BASE, BASE, rho)(rng, n))
        told = [(power(new, rules, old), power(new, rules)) for rules in GATES.values()]
        passes = [judge(new, rules, old).passed for rules in GATES.values()]
        rows.append([[p, a.chance, b.chance, a.n_for_90 or np.nan] for p, (a, b) in zip(passes, told, strict=True)])
    found = np.array(rows, float)
    return np.column_stack([found[:, :, :3].mean(0), np.nanmedian(found[:, :, 3], axis=0)])


def retrains(pool: ProcessPoolExecutor, share: float) -> None:
    """Print stated against measured power on equally good retrains."""
    header(
        "Equally good retrains: how often the gate passes them, and what the dry run had said",
        ["scores", "n", "gate", "passes", "stated, from the pair", "stated, from one model", "n for .9"],
    )
    tasks = [(*setting, max(10, int(share * 120))) for setting in RETRAINS]
    for (kind, _, n, _), found in zip(tasks, pool.map(retrain_task, tasks), strict=True):
        for name, (passed, two, one, needed) in zip(GATES, found, strict=True):
            row([kind, f"{n:,}", name, f"{passed:.2f}", f"{two:.2f}", f"{one:.2f}", f"{needed:,.0f}"])


# ---------------------------------------------------------------- 4: unpaired


def unpaired(share: float) -> None:
    """Print what pairing is worth."""
    header(
        "What pairing is worth: clean score, margin .02, n = 500, equally good models",
        ["scores", "correlation", "paired passes", "unpaired passes", "unpaired needs … times the examples"],
    )
    for kind, rho in ((kind, rho) for kind in ("Beta", "0/1") for rho in (0.5, 0.9, 0.99)):
        rng, found = np.random.default_rng(int(rho * 100)), []
        for _ in range(max(50, int(share * 400))):
            old, new = retrain(kind, BASE[:1], BASE[:1], rho)(rng, 500)
            together = compare(result_of(old, "a"), result_of(new, "b"))
            aside = compare(result_of(old, "a"), result_of(new, "b", data="other"))
            apart, step = float(old.scores.var() + new.scores.var()), float((new.scores - old.scores).var())
            passes = [each.clean.prob_worse_by_at_most(0.02) >= 0.95 for each in (together, aside)]
            found.append([together.correlation or 0.0, *passes, apart, step])
        correlation, with_pairs, without, apart, step = np.mean(found, axis=0)
        row([kind, f"{correlation:.2f}", f"{with_pairs:.2f}", f"{without:.2f}", f"{apart / step:.1f}"])


# ---------------------------------------------------------------- 5: more data


GROWING = (100, 200, 400, 800, 1600, 3200)
LOSSES = (-0.01, 0.0, 0.01, 0.03, 0.04)


def growing_task(task: tuple[str, str, float, int]) -> Array:
    """Outcomes (repeats, sizes) on ever longer parts of the same examples: 1 right, 0 inconclusive, -1 wrong."""
    metric, kind, loss, repeats = task
    rng, rules = np.random.default_rng([int(1000 * (1 + loss)), len(kind), len(metric)]), [versus(metric, 0.02)]
    curves = ((0.9,), (0.9 - loss,)) if metric == "clean_score" else (BASE, _dropping(loss))
    right, out = "pass" if loss < 0.02 else "fail", []
    for _ in range(repeats):
        both = retrain(kind, *curves)(rng, GROWING[-1])
        outcomes = [judge(*_first(both[1], n, rules), _first(both[0], n, rules)[0]).outcome for n in GROWING]
        out.append([0 if each == "inconclusive" else 1 if each == right else -1 for each in outcomes])
    return np.array(out)


def _first(drawn: Drawn, n: int, rules: list[Rule]) -> tuple[Result, list[Rule]]:
    return result_of(drawn.first(n), "m"), rules


def more_data(pool: ProcessPoolExecutor, share: float) -> None:
    """Print how answers change with more data."""
    header(
        "More data, margin .02: right (wrong) answers, the rest inconclusive",
        ["rule", "scores", "truly worse by", *(f"n = {n:,}" for n in GROWING), "right, later wrong"],
    )
    counts = {"clean_score": max(20, int(share * 300)), "mean_drop": max(20, int(share * 150))}
    tasks = [(metric, kind, loss, counts[metric]) for metric in counts for kind in ("Beta", "0/1") for loss in LOSSES]
    for (metric, kind, loss, _), table in zip(tasks, pool.map(growing_task, tasks), strict=True):
        cells = [f"{(column > 0).mean():.2f} ({(column < 0).mean():.3f})" for column in table.T]
        turned = np.mean([1 in found and -1 in found[list(found).index(1) :] for found in table])
        row([metric.replace("_", " "), kind, f"{loss:g}", *cells, f"{turned:.3f}"])


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data sets")
    share, started = (0.1 if parser.parse_args().quick else 1.0), time.monotonic()
    check_truths()
    print("# The gate's operating characteristics")
    with ProcessPoolExecutor(2) as pool:
        at_the_limit(pool, share)
        identical(share)
        retrains(pool, share)
        unpaired(share)
        more_data(pool, share)
    print(f"\n{time.monotonic() - started:.0f} s, two processes.")


if __name__ == "__main__":
    main()
