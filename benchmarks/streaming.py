"""Peak memory of an evaluation on a Parquet file, read in blocks and read whole; prints Markdown.

    OPENBLAS_NUM_THREADS=1 python benchmarks/streaming.py [rows ...]

Each case runs in a process of its own. The file has 24 float features, a column of 4 levels and a target, in row
groups of a million rows, as pandas writes it. The recipe has a property, a category, the class test and one
perturbation at two magnitudes. Memory is the peak of the process less what it held after the imports. The score table
is the result itself: what is left of the peak without it is what reading and perturbing take.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

ROWS = (100_000, 300_000, 1_000_000)
FEATURES = [f"x{index:02d}" for index in range(24)]
BLOCK = 50_000
RECIPE: dict[str, Any] = {
    "properties": ["x00", "site"],
    "perturbations": [{"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 1.0]}],
    "class_test": True,
    "log_examples": "none",
}


def write(path: Path, rows: int) -> None:
    """Write the file a block at a time: one row group up to a million rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    blocks = []
    for start in range(0, rows, BLOCK):
        n = min(BLOCK, rows - start)
        frame = pd.DataFrame(rng.normal(size=(n, len(FEATURES))), columns=FEATURES)
        frame["site"] = rng.choice(list("abcd"), n)
        frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-frame["x00"]))).astype(int)
        blocks.append(pa.Table.from_pandas(frame, preserve_index=False))
    pq.write_table(pa.concat_tables(blocks), path, row_group_size=1_000_000)


def model(frame: pd.DataFrame) -> Any:
    """The probability of the second class; it takes no column but the features."""
    return 1 / (1 + np.exp(-frame["x00"].to_numpy()))


def peak() -> float:
    """The process's peak memory so far, in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (2**20 if sys.platform == "darwin" else 2**10)


def evaluate(path: str, way: str) -> None:
    """Evaluate in this process, and print what it took as JSON."""
    import mlflow_sensie
    from mlflow_sensie.data.sources import read_data

    mlflow_sensie.probe(model, pd.DataFrame({"x00": np.arange(99.0)}), np.arange(99) % 2, {"class_test": True})
    before, started = peak(), time.monotonic()
    if way == "blocks":
        result = mlflow_sensie.probe(model, read_data(path, "y"), recipe=RECIPE)
    else:
        frame = pd.read_parquet(path)
        result = mlflow_sensie.probe(model, frame.drop(columns="y"), frame["y"], RECIPE)
    took = time.monotonic() - started
    told = {"mb": peak() - before, "seconds": took, "score": result.clean.value, "n": result.n}
    table = result.score_table
    assert table is not None
    print(json.dumps({**told, "table": table.nbytes / 2**20, "sha256": result.data_sha256}))


def main() -> None:
    """Run every case and print the table."""
    print("| rows | file, MB | in blocks, MB | score table, MB | the rest, MB | s | read whole, MB | s |")
    print("|---" * 8 + "|")
    for rows in map(int, sys.argv[1:] or ROWS):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            subprocess.run([sys.executable, __file__, "write", str(path), str(rows)], check=True)
            found = {}
            for way in ("blocks", "whole"):
                done = subprocess.run(
                    [sys.executable, __file__, way, str(path)], capture_output=True, text=True, check=True
                )
                found[way] = json.loads(done.stdout)
            one, other = found["blocks"], found["whole"]
            assert one["sha256"] == other["sha256"] and one["score"] == other["score"] and one["n"] == rows
            size = path.stat().st_size / 2**20
            sizes = [size, one["mb"], one["table"], one["mb"] - one["table"]]
            cells = [*sizes, one["seconds"], other["mb"], other["seconds"]]
            print(f"| {rows:,} | {' | '.join(f'{cell:.0f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] in (["blocks"], ["whole"]):
        evaluate(sys.argv[2], sys.argv[1])
    else:
        main()
