"""The door for data by name: files, folders, and what an earlier run logged as its input."""

from __future__ import annotations

from pathlib import Path

from mlflow_sensie.errors import DataError
from mlflow_sensie.sources import Data, read_data


def load(
    data: str | Path | None = None,
    *,
    targets: str | None = None,
    dataset_run: str | None = None,
    dataset: str | None = None,
) -> Data:
    """Return the data that a command line's options name: one of a file or folder, and an earlier run.

    ``data``: a .parquet, .csv or .npz file, or a folder. ``targets``: the column or array of right answers.
    ``dataset_run``: a run whose logged input is read again, ``dataset`` by name if there are several.

    Raises:
        DataError: nothing or both were named, or the data cannot be read; the message says what to do.
    """
    if (data is None) == (dataset_run is None):
        came = "both came" if data is not None else "neither came"
        raise DataError(f"--data (a file or folder) or --dataset-run (a run's logged input) is needed; {came}")
    if data is not None:
        if dataset is not None:
            raise DataError("--dataset names an input of --dataset-run; leave it out with --data")
        return read_data(data, targets)
    raise DataError("--dataset-run is not built in this version; give --data")
