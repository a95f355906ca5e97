"""Coverage study: how often the intervals of mlflow-sensie hold the truth, on ordinary and on nasty data.

Run `python benchmarks/coverage.py [--quick] [--only WORD] [--data-sets N]`; prints Markdown tables. Seeds are
fixed; two processes. Every scenario simulates many data sets from a known truth. "Sensie's model" is the
pooled Bayesian regression of Jacobs (2020) under its own priors, on z and made exact by quadrature; "exact" is the
engine of that name, which has the same likelihood, but for sweeps on the examples' own slopes; "plain HC2" has no
guard and takes no larger variance.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from study import (
    Row,
    Table,
    apart,
    decisions,
    designs,
    early,
    metrics,
    paired,
    properties,
    shapes,
    splits,
    spreads,
    sweeps,
)

TABLES: list[Table] = [
    *properties.TABLES,
    *sweeps.TABLES,
    *designs.TABLES,
    *sweeps.SIDES,
    *spreads.TABLES,
    *decisions.TABLES,
    *early.TABLES,
    *spreads.POWER,
    *paired.TABLES,
    *apart.TABLES,
    *shapes.TABLES,
    *splits.TABLES,
    *metrics.TABLES,
]


def _work(job: tuple[int, int, int]) -> list[Row]:
    table, scenario, sets = job
    _, scenarios, study, _ = TABLES[table]
    return study(scenarios[scenario], sets)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="150 data sets instead of 1000")
    parser.add_argument("--data-sets", type=int, help="data sets per scenario")
    parser.add_argument("--only", default="", help="only the tables whose title has this word")
    options = parser.parse_args()
    sets = options.data_sets or (150 if options.quick else 1000)
    start = time.perf_counter()
    chosen = [k for k, table in enumerate(TABLES) if options.only.lower() in table[0].lower()]
    jobs = [(k, j, sets) for k in chosen for j in range(len(TABLES[k][1]))]
    with ProcessPoolExecutor(2) as pool:
        found = pool.map(_work, jobs)  # in the order of the jobs, each as soon as it is there
        for k in chosen:
            title, scenarios, _, columns = TABLES[k]
            print(f"\n### {title}\n")
            print("| scenario | N | method | " + " | ".join(columns) + " |")
            print("|---" * (3 + len(columns)) + "|")
            for _ in scenarios:
                for row in next(found):
                    cells = ["" if np.isnan(x) else f"{x:.3f}" for x in row.values]
                    print(f"| {row.scenario} | {row.n} | {row.method} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{sets} data sets per row, {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
