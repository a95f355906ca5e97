"""What the engines cost once the sums are there, and how exact sums over blocks of rows are.

Run `python benchmarks/engines.py [--skip-pymc] [--examples N]`. Ten tests of 100,000 scores each: from their sums
to posteriors and everything that follows from them, by engine `robust`, `exact` and, where it is installed, `pymc`,
in turn; times are medians of a few rounds, of the processor and by the clock. Then N examples (ten million unless
said) in blocks of rows against a direct computation in extended precision, the property being offset by a million.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference import (
    MagnitudeGrid,
    PerturbationFit,
    Priors,
    PropertyFit,
    ScoreScale,
    exact,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.inference.weights import ROWS

Array = NDArray[np.float64]
Fits = dict[str, PropertyFit | PerturbationFit]
SCORES = 100_000
MAGNITUDES = 10
OFFSET = 1e6
PROBABILITY, UNBOUNDED = ScoreScale(0, 1, "probability"), ScoreScale(None, None, "score")


def ten_tests(rng: np.random.Generator) -> Fits:
    """Fit five property tests of 100,000 examples and five sweeps of 10,000 examples at ten magnitudes."""
    found: Fits = {}
    for k in range(5):
        p = rng.gamma(2.0, size=SCORES)
        y = np.clip(0.8 - 0.01 * k * p + 0.2 * rng.normal(size=SCORES), 0, 1)
        found[f"property {k}"] = property_test(p, y, PROBABILITY, span=property_span(p))
        u = np.linspace(0, 1, MAGNITUDES + 1)
        fall = rng.uniform(0, 0.1 * (k + 1), (SCORES // MAGNITUDES, 1))
        rows = np.clip(0.9 - fall * u + 0.05 * rng.normal(size=(len(fall), len(u))), 0, 1)
        found[f"sweep {k}"] = perturbation_test(rows, MagnitudeGrid.of(u[1:], 0.0), PROBABILITY)
    return found


def replaced(fits: Fits, effects: Any) -> list[Any]:
    """Put one posterior per test in place, with intervals, bounds, probabilities and decisions."""
    return [fit.with_posteriors([effect]) for fit, effect in zip(fits.values(), effects, strict=True)]


def by_robust(fits: Fits) -> list[Any]:
    """The t posteriors that the fits hold already; what follows from them is made anew."""
    held = [fit.posterior if isinstance(fit, PropertyFit) else fit.sides[0].posterior for fit in fits.values()]
    return replaced(fits, held)


def by_exact(fits: Fits) -> list[Any]:
    """Quadrature."""
    return replaced(fits, exact([fit.regressions[0] for fit in fits.values()]))


def by_pymc(fits: Fits) -> list[Any]:
    """One model of all tests, 4 chains of 1,000 draws after as many to tune."""
    from mlflow_sensie.inference.pymc_engine import sample

    return replaced(fits, sample({name: fit.regressions[0] for name, fit in fits.items()}, Priors())[0])


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Give the milliseconds that a call takes, of the processor and by the clock."""
    start = time.process_time(), time.perf_counter()
    call()
    return 1000 * (time.process_time() - start[0]), 1000 * (time.perf_counter() - start[1])


def compare_engines(rounds: int, with_pymc: bool) -> None:
    """Print each engine's seconds, and its ratio to `exact`."""
    fits = ten_tests(np.random.default_rng(0))
    engines = {"robust": by_robust, "exact": by_exact, **({"pymc": by_pymc} if with_pymc else {})}
    first = {name: timed(lambda engine=engine: engine(fits)) for name, engine in engines.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for k in range(rounds):
        for name, engine in engines.items():
            if name != "pymc" or k < 2:
                taken[name].append(timed(lambda engine=engine: engine(fits)))
    medians = {name: [statistics.median(each) for each in zip(*pairs, strict=True)] for name, pairs in taken.items()}
    print(f"\nTen tests of {SCORES:,} scores each, all posteriors once the sums are there\n")
    print("| engine | processor, ms | clock, ms | first call, ms | times `exact` |\n|---|---|---|---|---|")
    for name, (processor, clock) in medians.items():
        ratio = processor / medians["exact"][0]
        print(f"| {name} | {processor:.2f} | {clock:.2f} | {first[name][1]:.0f} | {ratio:.3g} |")


def draw_chunks(n: int) -> tuple[Array, Array]:
    """Draw a property offset by a million, and scores."""
    rng = np.random.default_rng(1)
    p = OFFSET + rng.gamma(2.0, size=n)
    return p, 0.5 - 0.02 * (p - OFFSET) + 0.1 * rng.normal(size=n)


def direct(p: Array, y: Array, length: float) -> dict[str, float]:
    """Give the same sums in extended precision, from all examples at once."""
    wide = np.longdouble
    z = p.astype(wide)
    z -= z.mean()
    z /= wide(length)
    rest = y.astype(wide)
    level = rest.mean()
    rest -= level
    total = (z * z).sum()
    effect = (z * rest).sum() / total
    rest -= effect * z
    room = 1 - 1 / wide(len(z)) - z * z / total
    hc2 = (z * z * rest * rest / room).sum() / total**2
    sums = {"level": level, "effect": effect, "Σz²": total, "Σe²": (rest * rest).sum(), "robust SD": np.sqrt(hc2)}
    return {name: float(value) for name, value in sums.items()}


def compare_sums(n: int) -> None:
    """Print how far sums over blocks of rows are from the direct ones."""
    p, y = draw_chunks(n)
    span = property_span(p)
    start = time.perf_counter()
    fit = property_test(p, y, UNBOUNDED, span=span)
    seconds = time.perf_counter() - start
    found, expected = fit.regression, direct(p, y, span[1] - span[0])
    assert found.level is not None
    values = [found.level, found.effect, found.information, found.rest, fit.posterior.scale]
    print(f"\n{n:,} examples in blocks of {ROWS:,}, p offset by {OFFSET:,.0f} ({seconds:.0f} s) against all at once\n")
    print("| sum | in blocks | direct | relative difference |\n|---|---|---|---|")
    for (name, other), value in zip(expected.items(), values, strict=True):
        print(f"| {name} | {value:.12g} | {other:.12g} | {abs(value / other - 1):.1e} |")
    raw = float((p * y).sum() - p.sum() * y.sum() / n) / float((p * p).sum() - p.sum() ** 2 / n) * (span[1] - span[0])
    print(f"\nRaw sums of squares would give the effect as {raw:.12g}.")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip-pymc", action="store_true", help="leave out engine pymc")
    parser.add_argument("--rounds", type=int, default=21, help="rounds to take the median of")
    parser.add_argument("--examples", type=int, default=10_000_000, help="examples of the second part")
    options = parser.parse_args()
    # numba, which PyMC loads, asks for the package `coverage` and would get the study that lies beside this file.
    sys.path = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]
    compare_engines(options.rounds, not options.skip_pymc)
    compare_sums(options.examples)


if __name__ == "__main__":
    main()
