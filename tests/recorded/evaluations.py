"""The evaluations whose results are recorded; ``python -m tests.recorded.evaluations [NAME ...]`` records them anew.

Run it from the root of the repository. Without names all are recorded, with names those alone, so that a change of
some results on purpose shows as a difference of their files.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import other_inputs, pairs, tables
from .flatten import document, to_text

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Evaluation:
    """One evaluation and how its record is compared.

    ``random``: its perturbations draw at random, chunk by chunk, so that it changes with the size of a chunk.
    ``sampled_by``: a package and the version whose random draws were recorded; it is compared with no other.
    ``looser`` maps parts of paths to relative tolerances, for what hangs on the last digits of its inputs.
    """

    run: Callable[[], Mapping[str, Any]]
    random: bool = False
    sampled_by: tuple[str, str] | None = None
    looser: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.run.__name__

    @property
    def path(self) -> Path:
        """Where the record is."""
        return FOLDER / f"{self.name}.json"

    def now(self) -> dict[str, Any]:
        """Run it, and give what it found by name, as documents."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.run()
        return {name: document(value) for name, value in found.items()}

    def recorded(self) -> dict[str, Any]:
        """Read the record."""
        found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return found


# Where a curve over ranks is drawn: the middle of a bin of even size lies on the edge between two examples' values.
RANKED = 0.02
# An AUC counts pairs: two probabilities that differ in their last digit are told apart one way or the other.
ORDER = {"roc_auc": 2e-3}
DOSE = {"dose/fit/curve/p": RANKED}
# Comparisons draw from a covariance by its eigenvectors, of which 1e-15 of the scores turned one around: the band of
# the curves was another by .002 of its ends. Draws are kept to six digits, the last of which may round the other way.
PAIRED = {"/curve/lo95": 5e-3, "/curve/hi95": 5e-3, "/posterior/values": 5e-6, "/dose/curve/p": RANKED}

EVALUATIONS = (
    Evaluation(tables.properties_of_every_sort, looser={", ranked/fit/curve/p": RANKED}),
    Evaluation(tables.properties_without_bins),
    Evaluation(tables.properties_of_predictions, looser={"margin/fit/curve/p": RANKED}),
    Evaluation(tables.measured_properties),
    Evaluation(tables.sweeps),
    Evaluation(tables.sweeps_without_a_neutral),
    Evaluation(tables.allowed_drops),
    Evaluation(tables.calibration, looser=DOSE),
    Evaluation(tables.part_of_a_curve, looser={"q/fit/curve/p": RANKED}),
    Evaluation(tables.given_fit_range),
    Evaluation(tables.family_of_tests),
    Evaluation(tables.labels_alone),
    Evaluation(tables.probabilities_of_three_classes),
    Evaluation(tables.correctness),
    Evaluation(tables.top_two),
    Evaluation(tables.log_loss),
    Evaluation(tables.brier_score),
    Evaluation(tables.threshold),
    Evaluation(tables.custom_score),
    Evaluation(tables.absolute_error),
    Evaluation(tables.squared_error),
    Evaluation(tables.weights, looser=DOSE),
    Evaluation(tables.balanced_weights),
    Evaluation(tables.clusters, looser=DOSE),
    Evaluation(tables.weights_and_clusters),
    Evaluation(tables.clusters_of_one),
    Evaluation(tables.slices),
    Evaluation(tables.interactions, looser=DOSE),
    Evaluation(tables.tiny),
    Evaluation(tables.rare_failures),
    Evaluation(tables.no_failure),
    Evaluation(tables.scores_that_are_missing),
    Evaluation(tables.tests_that_fail),
    Evaluation(tables.at_most_so_many),
    Evaluation(tables.stopped_early),
    Evaluation(tables.engine_exact, looser=DOSE),
    # Its draws hang on every step before them: 1e-13 of the scores moved the diagnostics of the chains by 1e-4.
    Evaluation(tables.engine_pymc, sampled_by=("pymc", "5.28.5"), looser={"result": 1e-6, "/sampling/": 1e-2}),
    Evaluation(tables.recorded_predictions),
    Evaluation(other_inputs.grey_images),
    Evaluation(other_inputs.images_of_another_range),
    Evaluation(other_inputs.colour_images),
    Evaluation(other_inputs.images_with_channels_first),
    Evaluation(other_inputs.texts, looser=ORDER),
    Evaluation(other_inputs.series, looser={"volatility/fit/curve/p": RANKED}),
    Evaluation(other_inputs.automatic_recipe, random=True),
    Evaluation(other_inputs.random_tables, random=True),
    Evaluation(other_inputs.random_images, random=True),
    Evaluation(other_inputs.random_texts, random=True),
    Evaluation(other_inputs.random_series, random=True),
    Evaluation(pairs.compared_in_pairs, looser=PAIRED),
    Evaluation(pairs.compared_apart, looser=PAIRED),
    Evaluation(pairs.compared_with_weights_and_clusters, looser=PAIRED),
    Evaluation(pairs.compared_with_itself, looser=PAIRED),
    Evaluation(pairs.compared_where_recipes_differ, looser=PAIRED),
    Evaluation(pairs.compared_regressors, looser=PAIRED),
    Evaluation(pairs.compared_where_few_fail, looser=PAIRED),
    Evaluation(pairs.gate),
    Evaluation(pairs.gate_against_a_baseline),
    Evaluation(pairs.gate_of_slices),
    Evaluation(pairs.gate_in_a_recipe, looser=DOSE),
    Evaluation(pairs.chance_to_pass),
    Evaluation(pairs.read_back),
)


def main(names: list[str]) -> None:
    """Record the evaluations of these names, or all of them."""
    known = {evaluation.name: evaluation for evaluation in EVALUATIONS}
    if unknown := set(names) - set(known):
        raise SystemExit(f"no evaluation is called {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for name in names or known:
        started = time.perf_counter()
        text = to_text(known[name].now())
        FOLDER.mkdir(exist_ok=True)
        known[name].path.write_text(text + "\n", encoding="utf-8")
        print(f"{name}: {len(text):,} characters in {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
