"""The command line: what there is to test, a recipe to start from, comparisons and the gate."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from mlflow_sensie.doors.cli_run import DataOptions, data_options, refit, run

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_sensie.comparison import Comparison
    from mlflow_sensie.gate.formats import Check

QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
OnInconclusive = Literal["pass", "fail"] | None
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlflow-sensie")
def main() -> None:
    """What is my model sensitive to, how sure are we, and is the new model worse?"""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # our own bar counts predictions


main.add_command(run)
main.add_command(refit)


@main.group(invoke_without_command=True)
@click.pass_context
def recipes(context: click.Context) -> None:
    """List the shipped recipes."""
    from mlflow_sensie.recipe.reading import shipped_recipes

    if context.invoked_subcommand is None:
        rows = [(name, _first_comment(path)) for name, path in shipped_recipes().items()]
        rows.insert(0, ("auto", "chosen from the data and the model; 'mlflow-sensie init' writes it down"))
        _print_table(("recipe", "what it asks"), rows)


@recipes.command("show")
@click.argument("name")
def show_recipe(name: str) -> None:
    """Print the shipped recipe NAME, comments included, to be edited."""
    from mlflow_sensie.errors import did_you_mean
    from mlflow_sensie.recipe.reading import shipped_recipes

    shipped = shipped_recipes()
    if name not in shipped:
        raise click.ClickException(
            f"no recipe {name!r}{did_you_mean(name, shipped)}; shipped are: {', '.join(shipped)}"
        )
    click.echo(shipped[name].read_text(encoding="utf-8"), nl=False)


_markdown = click.option("--markdown", is_flag=True, help="As a Markdown table.")


@main.command()
@_markdown
def perturbations(markdown: bool) -> None:
    """List the perturbations: unit, neutral, and the magnitudes tested by default.

    The Markdown table also says what each does, and what can be set in its params.
    """
    from mlflow_sensie.perturbations import BUILT_IN

    header: tuple[str, ...] = ("perturbation", "inputs", "unit", "neutral", "default range")
    library = _library(BUILT_IN, "mlflow_sensie.perturbations")
    rows: list[tuple[str, ...]] = [
        (name, one.kind, one.unit, _number(one.neutral), _range(one.default_magnitudes)) for name, one in library
    ]
    if markdown:
        header += ("what it does", "`params`")
        rows = [(*row, _summary(one), _parameters(one)) for row, (_, one) in zip(rows, library, strict=True)]
    _print_table(header, rows, markdown)


@main.command()
@_markdown
def properties(markdown: bool) -> None:
    """List the properties: what they are measured on, and their unit."""
    from mlflow_sensie.properties import BUILT_IN

    library = _library(BUILT_IN, "mlflow_sensie.properties")
    rows = [(name, getattr(prop, "kind", "any"), getattr(prop, "unit", ""), _summary(prop)) for name, prop in library]
    rows.append(("COLUMN", "any", "", "Any column of the data, or of property_table."))
    _print_table(("property", "inputs", "unit", "what it is"), rows, markdown)


@main.command()
def schema() -> None:
    """Print the recipe's JSON schema, for editors."""
    from mlflow_sensie.recipe.model import Recipe

    click.echo(json.dumps(Recipe.model_json_schema(), indent=1))


@main.command()
@click.argument("model_uri")
@data_options
@click.option("--recipe", default="auto", help="A recipe to complete instead of auto: a shipped name or a path.")
@click.option("--model-type", type=click.Choice(["classifier", "regressor"]), help="Where it cannot be told.")
@click.option("--allow-code", is_flag=True, help="Trust module:function in a recipe file.")
def init(model_uri: str, data: DataOptions, recipe: str, model_type: str | None, allow_code: bool) -> None:
    """Print the recipe that `auto` would choose for MODEL_URI on a file, a folder, or a run's logged input.

    Written to a file, it keeps the names of the tests fixed from then on.
    """
    from mlflow_sensie.doors.loading import load
    from mlflow_sensie.errors import SensieError
    from mlflow_sensie.evaluation.conductor import prepare
    from mlflow_sensie.evaluation.inputs import EvaluationRequest
    from mlflow_sensie.recipe.reading import load_recipe

    try:
        chosen = load_recipe(recipe, allow_code=allow_code)
        dataset = load(**data, recipe=chosen).sensie_data
        inputs = prepare(EvaluationRequest(model_uri, dataset, chosen, model_type)).inputs
    except SensieError as error:
        raise click.ClickException(str(error)) from error
    for reason in inputs.choices:
        click.echo(f"# {reason}")
    click.echo(inputs.recipe.to_yaml(), nl=False)


@main.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="A folder for pages and tables.")
@click.option("--log", is_flag=True, help="Log each comparison, and a leaderboard, onto runs of their own.")
def compare(runs: tuple[str, ...], output: Path | None, log: bool) -> None:
    """Compare evaluations: RUN_A RUN_B prints every difference B - A, more RUNS a leaderboard.

    A run is its id, runs:/ID, or a folder with report.json and scores.parquet. Examples are paired by their ids where
    the data are the same. Of more than two runs each is compared with the first.
    """
    from mlflow_sensie.comparison import leaderboard
    from mlflow_sensie.errors import SensieError
    from mlflow_sensie.tracking.artifacts import write_comparison, write_leaderboard
    from mlflow_sensie.tracking.runs import read_result

    if len(dict.fromkeys(runs)) != len(runs) or len(runs) < 2:
        raise click.UsageError(f"at least two different runs are needed; {', '.join(runs)} came")
    try:
        table, comparisons = leaderboard({run: read_result(run) for run in runs})
    except SensieError as error:
        raise click.ClickException(str(error)) from error
    rows = _difference_rows(comparisons[runs[1]]) if len(runs) == 2 else _leader_rows(table)
    _print_table(*rows)
    for name, comparison in comparisons.items():
        missing = (f"{test!r} was not compared: {why}" for test, why in comparison.not_compared.items())
        for text in (*comparison.warnings, *missing):
            click.echo(f"{name}: {text}" if len(runs) > 2 else text, err=True)
    if output is not None:
        folders = ["."] if len(runs) == 2 else [f"1-{k}" for k in range(2, len(runs) + 1)]
        write_leaderboard(table, comparisons, output, folders)
        for folder, comparison in zip(folders, comparisons.values(), strict=True):
            write_comparison(comparison, output / folder)
    if log:
        from mlflow_sensie.tracking.runs import log_comparison, log_leaderboard

        logged = [log_comparison(comparison, runs[0], name) for name, comparison in comparisons.items()]
        logged += [log_leaderboard(table, comparisons, runs)] if len(runs) > 2 else []
        for run_id in logged:
            click.echo(f"logged to run {run_id}")


# --- the gate ------------------------------------------------------------------------------------------------


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


@main.command()
@click.argument("model_uri")
@click.option("--baseline", help="The model to judge against, as models:/NAME@champion.")
@data_options
@click.option("--recipe", default="promotion", show_default=True, help="A shipped name or a path; it has the gate.")
@click.option("--promote", metavar="ALIAS", help="On a pass, move this alias to the model version.")
@click.option("--model-type", type=click.Choice(["classifier", "regressor"]), help="Where it cannot be told.")
@click.option("--dry-run", is_flag=True, help="Say how often the gate would pass two equally good models, and stop.")
@_outputs
def check(
    model_uri: str, baseline: str | None, data: DataOptions, recipe: str, promote: str | None,
    model_type: str | None, dry_run: bool, json_file: Path | None, junit: Path | None, markdown: Path | None,
    on_inconclusive: OnInconclusive, no_reuse: bool, allow_code: bool,
) -> None:  # fmt: skip
    """Judge MODEL_URI by the gate of a recipe, and log the verdict.

    Exits with 0 for a pass, 1 for a fail, 2 where nothing could be evaluated (or an alias not moved), and 3 where
    the data do not tell.
    """
    os.environ.update({**QUIET, **os.environ})
    from mlflow_sensie.doors import checking
    from mlflow_sensie.gate.formats import Check

    try:
        request = checking.CheckRequest(
            model_uri, baseline, recipe=recipe, promote=promote, model_type=model_type, reuse=not no_reuse,
            allow_code=allow_code, **_data_arguments(data),
        )  # fmt: skip
        if dry_run:
            power = checking.dry_run(request)
            table = power.summary().fillna({"test": ""})
            click.echo(table.to_string(index=False, na_rep="", float_format="{:.2f}".format))
            click.echo(power.to_text())
            return
        outcome = checking.run_check(request)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if dry_run:
            raise _NotEvaluated(text) from error
        outcome = Check(model_uri, model_uri, baseline, "error", error=text)
    _report([outcome], json_file, junit, markdown, on_inconclusive)


def _data_arguments(data: DataOptions) -> dict[str, Any]:
    """The options that name data as ``check`` takes them: images that are resized as the Dataset that they are then."""
    from mlflow_sensie.doors.loading import load

    if data["size"] or data["mode"]:
        return {"data": load(**data)}
    return {name: data[name] for name in ("data", "targets", "dataset_run", "dataset")}


@main.command()
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
        outcomes = check_fleet(file, reuse=not no_reuse, allow_code=allow_code)
    except RecipeError as error:
        raise _NotEvaluated(str(error)) from error
    _report(outcomes, json_file, junit, markdown, on_inconclusive)


class _NotEvaluated(click.ClickException):
    """An error of which the exit code does not say that a model failed."""

    exit_code = 2


def _report(
    checks: Sequence[Check], json_file: Path | None, junit: Path | None, markdown: Path | None,
    on_inconclusive: OnInconclusive,
) -> None:  # fmt: skip
    from mlflow_sensie.gate import formats

    click.echo(formats.to_text(checks))
    texts = {json_file: formats.to_json(checks, on_inconclusive), markdown: formats.to_markdown(checks)}
    for path, text in {**texts, junit: formats.to_junit(checks, on_inconclusive)}.items():
        if path is not None:
            path.write_text(text, encoding="utf-8")
    raise click.exceptions.Exit(formats.exit_code(checks, on_inconclusive))


# --- tables ---------------------------------------------------------------------------------------------------


def _difference_rows(comparison: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (row["test"] or "all examples", row["metric"], f"{row['a']:.4g}", f"{row['b']:.4g}",
         _with_interval(row["difference"], row["lo95"], row["hi95"]), f"{row['prob_more_robust']:.3f}")
        for row in comparison.summary().to_dict("records")
    ]  # fmt: skip
    return ("test", "metric", "A", "B", "B - A [95 %]", "P(B more robust)"), rows


def _leader_rows(table: pd.DataFrame) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = [
        (row["run"], *(_with_interval(*(row[name + end] for end in ("", "_lo95", "_hi95")))
                       for name in ("clean_score", "clean_difference", "worst_loss")),
         row["worst"], f"{row['more_robust']} / {row['less_robust']} of {row['compared']}")
        for row in table.to_dict("records")
    ]  # fmt: skip
    return ("run", "clean score [95 %]", "less the first", "worst loss", "worst test", "more / less robust"), rows


def _with_interval(value: float, low: float, high: float) -> str:
    return "" if value != value else f"{value:.4g} [{low:.4g}, {high:.4g}]"


def _library(built_in: Mapping[str, Any], group: str) -> list[tuple[str, Any]]:
    """Built-ins and entry points by name, each loaded."""
    from importlib.metadata import entry_points

    from mlflow_sensie.plugins import find

    names = [*built_in, *(point.name for point in entry_points(group=group))]
    return [(name, find(name, built_in, group, "name")) for name in names]


def _summary(built_in: Any) -> str:
    described = getattr(built_in, "function", None) or built_in  # what the members of a family differ by
    return (described.__doc__ or "").strip().split("\n")[0]


def _parameters(built_in: Any) -> str:
    """A perturbation's parameters with their defaults; those whose default is none by name alone."""
    parameters = fields(built_in) if is_dataclass(built_in) else ()
    own = [parameter for parameter in parameters if not parameter.metadata.get("bound")]
    shown = [
        f"{parameter.name}: {parameter.default}" if isinstance(parameter.default, str | float | int) else parameter.name
        for parameter in own
    ]
    return ", ".join(shown)


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ").strip()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _range(magnitudes: Sequence[float]) -> str:
    if not magnitudes:
        return ""
    low, high = min(magnitudes), max(magnitudes)
    return f"±{high:g}" if low == -high else f"{low:g}..{high:g}"


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], markdown: bool = False) -> None:
    if markdown:
        for row in (header, ("---",) * len(header), *rows):
            click.echo(f"| {' | '.join(row)} |".replace("``", "`"))
        return
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
