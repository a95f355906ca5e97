"""From arrays of scores to frozen fits: the tests' entry points, and what they give.

Pure functions that depend on NumPy and SciPy alone.
"""

from mlflow_sensie.inference.binning import RankAxis, Ranks, bin_edges, property_span
from mlflow_sensie.inference.category import CategoryFit, category_test, merge_rare
from mlflow_sensie.inference.contrast import GuardedEstimate, mean_test
from mlflow_sensie.inference.curve import Curve, Departure, Line
from mlflow_sensie.inference.decision import Decision, ScoreScale, Significance, decide, significance
from mlflow_sensie.inference.exact_engine import Prior, Priors, Regression, exact
from mlflow_sensie.inference.extra_fits import ExtraFits, Polynomial, RangeFit
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import HoldsUntil
from mlflow_sensie.inference.perturbation import PerturbationFit, SideFit, perturbation_test
from mlflow_sensie.inference.posterior import (
    AnyPosterior,
    Draws,
    Interval,
    Mixture,
    OrderStatistics,
    Posterior,
    SkewedT,
)
from mlflow_sensie.inference.property import PropertyFit, property_test
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import SamplingDesign

__all__ = [
    "AnyPosterior", "CategoryFit", "Curve", "Decision", "Departure", "Draws", "ExtraFits", "GuardedEstimate",
    "HoldsUntil", "Interval", "Line", "MagnitudeGrid", "Mixture", "OrderStatistics", "PerturbationFit", "Polynomial",
    "Posterior", "Prior", "Priors", "PropertyFit", "RangeFit", "RankAxis", "Ranks", "Regression", "SamplingDesign",
    "ScoreScale", "SideFit", "Significance", "SkewedT", "Spread", "bin_edges", "category_test", "decide", "exact",
    "mean_test", "merge_rare", "perturbation_test", "property_span", "property_test", "significance", "spread_of",
]  # fmt: skip
