"""The command line's gate: check a model, or many."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from mlflow_sensie.doors.cli_run import Named, data_options

if TYPE_CHECKING:
    from mlflow_sensie.doors.checking import CheckRequest
    from mlflow_sensie.gate.formats import Check

QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
OnInconclusive = Literal["pass", "fail"] | None
Command = TypeVar("Command", bound=Callable[..., Any])


def _outputs(command: Command) -> Command:
    """The options that checking one model and checking many have in common."""
    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--allow-code", is_flag=True, help="Trust module:function in a recipe file."),
        click.option("--no-reuse", is_flag=True, help="Evaluate again what a past run has evaluated."),
        click.option("--on-inconclusive", type=click.Choice(["pass", "fail"]), help="What the exit code says then."),
        click.option("--markdown", type=file, help="Write the comment of a pull request here."),
        click.option("--junit", type=file, help="Write JUnit XML here."),
        click.option("--json", "json_file", type=file, help="Write the verdict here."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("model_uri")
@click.option("--baseline", help="The model to judge against, as models:/NAME@champion.")
@data_options
@click.option("--recipe", default="promotion", show_default=True, help="A shipped name or a path; it has the gate.")
@click.option("--promote", metavar="ALIAS", help="On a pass, move this alias to the model version.")
@click.option("--model-type", type=click.Choice(["classifier", "regressor"]), help="Where it cannot be told.")
@click.option("--dry-run", is_flag=True, help="Say how often the gate would pass two equally good models, and stop.")
@_outputs
def check(
    model_uri: str, baseline: str | None, named: Named, recipe: str, promote: str | None,
    model_type: str | None, dry_run: bool, json_file: Path | None, junit: Path | None, markdown: Path | None,
    on_inconclusive: OnInconclusive, no_reuse: bool, allow_code: bool,
) -> None:  # fmt: skip
    """Judge MODEL_URI by the gate of a recipe, and log the verdict.

    Exits with 0 for a pass, 1 for a fail, 2 where nothing could be evaluated (or an alias not moved), and 3 where
    the data do not tell.
    """
    os.environ.update({**QUIET, **os.environ})
    from mlflow_sensie.doors.checking import CheckRequest, run_check
    from mlflow_sensie.gate.formats import Check

    try:
        request = CheckRequest(
            model_uri, baseline, recipe=recipe, promote=promote, model_type=model_type, reuse=not no_reuse,
            allow_code=allow_code, **_data_arguments(named),
        )  # fmt: skip
        if dry_run:
            _tell_power(request)
            return
        done = run_check(request)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if dry_run:
            raise _NotEvaluated(text) from error
        done = Check(model_uri, model_uri, baseline, "error", error=text)
    _report([done], json_file, junit, markdown, on_inconclusive)


def _data_arguments(named: Named) -> dict[str, Any]:
    """The options that name data as ``check`` takes them: images that are resized as the Dataset that they are then."""
    from mlflow_sensie.doors.loading import load

    if named["size"] or named["mode"]:
        return {"data": load(**named)}
    return {name: named[name] for name in ("data", "targets", "dataset_run", "dataset")}


def _tell_power(request: CheckRequest) -> None:
    from mlflow_sensie.doors.checking import dry_run

    power = dry_run(request)
    click.echo(power.summary().fillna({"test": ""}).to_string(index=False, na_rep="", float_format="{:.2f}".format))
    click.echo(power.to_text())


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_outputs
def checks(
    file: str, json_file: Path | None, junit: Path | None, markdown: Path | None, on_inconclusive: OnInconclusive,
    no_reuse: bool, allow_code: bool,
) -> None:  # fmt: skip
    """Run all checks that the YAML file FILE lists; the exit code is the worst of theirs (see `check`)."""
    os.environ.update({**QUIET, **os.environ})
    from mlflow_sensie.doors.fleet import check_fleet
    from mlflow_sensie.errors import RecipeError

    try:
        done = check_fleet(file, reuse=not no_reuse, allow_code=allow_code)
    except RecipeError as error:
        raise _NotEvaluated(str(error)) from error
    _report(done, json_file, junit, markdown, on_inconclusive)


class _NotEvaluated(click.ClickException):
    """An error of which the exit code does not say that a model failed."""

    exit_code = 2


def _report(
    done: Sequence[Check], json_file: Path | None, junit: Path | None, markdown: Path | None,
    on_inconclusive: OnInconclusive,
) -> None:  # fmt: skip
    from mlflow_sensie.gate import formats

    click.echo(formats.to_text(done))
    texts = {json_file: formats.to_json(done, on_inconclusive), markdown: formats.to_markdown(done)}
    for path, text in {**texts, junit: formats.to_junit(done, on_inconclusive)}.items():
        if path is not None:
            path.write_text(text, encoding="utf-8")
    raise click.exceptions.Exit(formats.exit_code(done, on_inconclusive))
