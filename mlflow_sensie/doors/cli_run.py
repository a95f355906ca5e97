"""The command line's evaluations: `run` and what it will cost, and `refit`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mlflow_sensie.recipe.model import Recipe

DataOptions = Mapping[str, Any]  # the options that name data, as ``loading.load`` takes them
NAMES = ("data", "targets", "dataset_run", "dataset", "size", "mode")


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """The height and width of images in pixels; one number is both."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", value)
    if match is None:
        raise click.BadParameter(f"a size is 32, or 224x320 for height and width; {value!r} came")
    return int(match[1]), int(match[2] or match[1])


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name data; the command gets them together, as ``data``."""

    @functools.wraps(command)
    def together(**options: Any) -> Any:
        return command(data={name: options.pop(name) for name in NAMES}, **options)

    decorated: Callable[..., Any] = together
    for option in (
        click.option("--mode", type=click.Choice(["RGB", "L"]), help="Read a folder of images in colour or in grey."),
        click.option("--size", callback=_size, metavar="HEIGHT[xWIDTH]", help="Resize a folder of images, in pixels."),
        click.option("--dataset", help="Which input of that run, by name or digest, if it has several."),
        click.option("--dataset-run", metavar="RUN_ID", help="Instead of --data: a run whose logged input to use."),
        click.option("--targets", help="The column (or array) of right answers; none for score: agreement."),
        click.option("--data", metavar="PATH", help="A .parquet, .csv or .npz file, a folder, or the URI of one."),
    ):
        decorated = option(decorated)
    return decorated


@click.command()
@click.argument("model_uri")
@data_options
@click.option("--recipe", default="auto", show_default=True, help="A shipped name or a path.")
@click.option("--run-id", help="Log onto this run instead of a new one.")
@click.option("--experiment", help="The experiment of a new run, by name.")
@click.option("--model-type", type=click.Choice(["classifier", "regressor"]), help="Where it cannot be told.")
@click.option("--dry-run", is_flag=True, help="Say how many predictions, bytes and seconds it takes, and stop.")
@click.option("--allow-code", is_flag=True, help="Trust module:function in a recipe file.")
@click.option("--checkpoint", metavar="FOLDER", help="Keep what is computed there, and go on from what it holds.")
@click.option("--spark", is_flag=True, help="Let Spark's executors ask the model; needs a checkpoint that all see.")
def run(
    model_uri: str, data: DataOptions, recipe: str, run_id: str | None, experiment: str | None, model_type: str | None,
    dry_run: bool, allow_code: bool, checkpoint: str | None, spark: bool,
) -> None:  # fmt: skip
    """Evaluate MODEL_URI on a file, a folder, or what an earlier run logged as its input; log the result on a run.

    Exits with 1 if the evaluation was not possible, or a test failed; the others are logged then.
    """
    from mlflow.exceptions import MlflowException

    from mlflow_sensie.errors import SensieError
    from mlflow_sensie.recipe.reading import load_recipe

    try:
        plan = load_recipe(recipe, allow_code=allow_code)
        if checkpoint is not None:
            plan = plan.model_copy(update={"checkpoint": checkpoint})
        if dry_run:
            _tell_cost(model_uri, data, plan, model_type)
        else:
            _run(model_uri, data, plan, run_id, experiment, model_type, spark)
    except (SensieError, MlflowException, OSError) as error:
        raise click.ClickException(str(error)) from error


def _tell_cost(model_uri: str, data: DataOptions, recipe: Recipe, model_type: str | None) -> None:
    from mlflow_sensie.doors.loading import load
    from mlflow_sensie.doors.probe import prepare_both
    from mlflow_sensie.evaluation.conductor import estimate
    from mlflow_sensie.evaluation.inputs import EvaluationRequest

    request = EvaluationRequest(model_uri, load(**data, recipe=recipe).sensie_data, recipe, model_type)
    candidate, baseline = prepare_both(request)
    click.echo(str(estimate(candidate)))
    if baseline is not None:
        click.echo(f"and the baseline {recipe.baseline}: {estimate(baseline)}")


def _run(
    model_uri: str, data: DataOptions, recipe: Recipe, run_id: str | None, experiment: str | None,
    model_type: str | None, spark: bool,
) -> None:  # fmt: skip
    """Evaluate, log the dataset as input and the result onto a run, and print what was found.

    A run whose evaluation raises is marked as failed; what is wrong from the start makes no run.
    """
    import mlflow

    from mlflow_sensie.doors.loading import load
    from mlflow_sensie.doors.probe import evaluate_and_judge, failure_text, prepare_both
    from mlflow_sensie.doors.spark import evaluate_on_spark
    from mlflow_sensie.evaluation.conductor import evaluate
    from mlflow_sensie.evaluation.inputs import EvaluationRequest
    from mlflow_sensie.tracking.runs import Destination, log_result

    dataset = load(**data, recipe=recipe)
    candidate, baseline = prepare_both(EvaluationRequest(model_uri, dataset.sensie_data, recipe, model_type))
    model_id = candidate.model.model_id
    if experiment is not None:
        mlflow.set_experiment(experiment)
    with mlflow.start_run(run_id=run_id) as active:
        mlflow.log_input(dataset, context="evaluation", **_linked(model_id))
        result = evaluate_and_judge(candidate, baseline, evaluate_on_spark if spark else evaluate)
        log_result(result, Destination(active.info.run_id, model_id, dataset.name, dataset.digest))
    for text in result.warnings:
        click.echo(f"warning: {text}", err=True)
    click.echo(result.summary().to_string())
    click.echo(f"run {active.info.run_id}")
    if result.failed and result.recipe["on_error"] == "raise":
        raise click.ClickException(failure_text(result))


def _linked(model_id: str | None) -> dict[str, Any]:
    """MLflow 3's link from the run to the model that it evaluates; none on 2.22."""
    from mlflow import entities

    if model_id is None or not hasattr(entities.Metric, "model_id"):
        return {}
    return {"model": entities.LoggedModelInput(model_id)}


@click.command()
@click.argument("run")
@click.option("--changes", type=click.Path(exists=True, dir_okay=False), help="A YAML file with recipe keys to change.")
@click.option("--score", help="Another score, by its name.")
@click.option("--metric", "metrics", multiple=True, help="A metric to follow; repeat it for more.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="A folder for the files of the result."
)
@click.option("--log", is_flag=True, help="Log the result onto a new run, in the experiment of RUN.")
@click.option("--allow-code", is_flag=True, help="Trust module:function in the file of changes.")
def refit(
    run: str, changes: str | None, score: str | None, metrics: tuple[str, ...], output: Path | None, log: bool,
    allow_code: bool,
) -> None:  # fmt: skip
    """Ask other questions to the predictions that RUN keeps; no model is asked again.

    RUN is a run's id, runs:/ID, or a folder with report.json and scores.parquet. What may change is what the score
    table has: inference, allowed_drop, bins, fewer tests and slices, and score and metrics as far as they can be made.
    """
    from mlflow.exceptions import MlflowException

    from mlflow_sensie.errors import SensieError
    from mlflow_sensie.recipe.reading import read_changes
    from mlflow_sensie.tracking.artifacts import write_files
    from mlflow_sensie.tracking.runs import log_refit, read_result

    try:
        asked = {} if changes is None else read_changes(changes, allow_code=allow_code)
        result = read_result(run).refit(asked, score=score, metrics=list(metrics) or None)
        if output is not None:
            write_files(result, output)
        run_id = log_refit(result, run) if log else None
    except (SensieError, MlflowException, OSError) as error:
        raise click.ClickException(str(error)) from error
    for text in result.warnings:
        click.echo(f"warning: {text}", err=True)
    click.echo(result.summary().to_string())
    if run_id is not None:
        click.echo(f"run {run_id}")
