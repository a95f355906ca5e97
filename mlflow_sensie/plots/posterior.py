"""ArviZ's forest plot of what engine `pymc` sampled. ArviZ draws it by pyplot, which the other figures never touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference.pymc_engine import posterior_of
from mlflow_sensie.plots import fonts
from mlflow_sensie.plots.canvas import finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result

WIDTH, ROW, REST = 6.4, 0.34, 1.2
LONGEST = 2.2  # inches that a name may take


def draw_posterior(result: Result) -> Figure:
    """Draw the effects' posteriors below each other, with their 50 and 95 % intervals.

    Raises:
        ValueError: the result holds no draws.
    """
    if result.inference_data is None:
        raise ValueError("there are no draws: engine pymc makes them, and a result read back from JSON has none")
    effects = posterior_of(result.inference_data)[["effect"]]
    short = [fonts.shorten(name, LONGEST, 10) for name in effects["test"].to_numpy().tolist()]
    if len(set(short)) == len(short):
        effects = effects.assign_coords(test=short)
    figure, ax = _forest(effects, (WIDTH, REST + ROW * len(short)))
    rope = float(result.recipe["inference"]["rope"])
    ax.axvspan(-rope, rope, color="#d4d4d4", alpha=0.5, lw=0, zorder=0)
    ax.set_xlabel(f"effect ({result.score.unit})\n50 and 95 % intervals; grey: |effect| < {rope:g}", fontsize=9)
    return finish(figure)


def _forest(effects: Any, size: tuple[float, float]) -> tuple[Figure, Any]:
    import arviz as az

    options: dict[str, Any] = {"var_names": ["effect"], "combined": True, "backend": "matplotlib"}
    if not hasattr(az, "convert_to_datatree"):  # before ArviZ 1
        from matplotlib.figure import Figure

        figure = Figure(size, layout="constrained")
        data, labels = az.convert_to_inference_data(effects), az.labels.NoVarLabeller()
        ax = figure.subplots()
        az.plot_forest(data, ax=ax, hdi_prob=0.95, labeller=labels, textsize=9, show=False, **options)
        ax.set_title("")
        if effects.sizes["test"] == 1:
            ax.set_yticklabels(effects["test"].to_numpy())  # which ArviZ leaves out
        return figure, ax
    from matplotlib import pyplot

    drawn = az.plot_forest(
        az.convert_to_datatree(effects), ci_kind="eti", ci_probs=(0.5, 0.95), labels=["test"],
        figure_kwargs={"figsize": size, "layout": "constrained"}, **options,
    )  # fmt: skip
    figure = drawn.viz["figure"].item()
    pyplot.close(figure)
    return figure, drawn.viz["plot"].sel(column="forest").item()
