"""What is my model sensitive to, how sure are we, and is the new model worse?

The shop window: everything is imported when it is asked for, so that ``import mlflow_sensie`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_sensie.comparison import Comparison as Comparison
    from mlflow_sensie.doors.checking import check as check
    from mlflow_sensie.doors.datasets import from_image_folder as from_image_folder
    from mlflow_sensie.doors.datasets import from_parquet as from_parquet
    from mlflow_sensie.doors.datasets import from_tensors as from_tensors
    from mlflow_sensie.doors.loading import load_dataset as load_dataset
    from mlflow_sensie.doors.probe import compare as compare
    from mlflow_sensie.doors.probe import probe as probe
    from mlflow_sensie.doors.spark import probe_on_spark as probe_on_spark
    from mlflow_sensie.gate import judge as judge
    from mlflow_sensie.models.serving import Endpoint as Endpoint
    from mlflow_sensie.recipe.model import Recipe as Recipe
    from mlflow_sensie.recipe.reading import load_recipe as load_recipe
    from mlflow_sensie.result import Result as Result
    from mlflow_sensie.result.verdict import Verdict as Verdict
    from mlflow_sensie.tracking.runs import log_folder as log_folder

_WHERE = {
    "Comparison": "mlflow_sensie.comparison",
    "Endpoint": "mlflow_sensie.models.serving",
    "Recipe": "mlflow_sensie.recipe.model",
    "Result": "mlflow_sensie.result",
    "Verdict": "mlflow_sensie.result.verdict",
    "check": "mlflow_sensie.doors.checking",
    "compare": "mlflow_sensie.doors.probe",
    "from_image_folder": "mlflow_sensie.doors.datasets",
    "from_parquet": "mlflow_sensie.doors.datasets",
    "from_tensors": "mlflow_sensie.doors.datasets",
    "load_dataset": "mlflow_sensie.doors.loading",
    "judge": "mlflow_sensie.gate",
    "load_recipe": "mlflow_sensie.recipe.reading",
    "log_folder": "mlflow_sensie.tracking.runs",
    "probe": "mlflow_sensie.doors.probe",
    "probe_on_spark": "mlflow_sensie.doors.spark",
}
__all__ = [
    "Comparison", "Endpoint", "Recipe", "Result", "Verdict", "__version__", "check", "compare", "from_image_folder",
    "from_parquet", "from_tensors", "judge", "load_dataset", "load_recipe", "log_folder", "probe",
    "probe_on_spark",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mlflow-sensie")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
