"""From sums to posteriors: the tests' entry points, and the frozen results they give.

Pure functions that depend on numpy and scipy alone.
"""

from mlflow_sensie.inference.auto_range import RangeFit
from mlflow_sensie.inference.binning import bin_edges, property_span
from mlflow_sensie.inference.category import CategoryFit, category_test, merge_rare
from mlflow_sensie.inference.contrast import GuardedEstimate
from mlflow_sensie.inference.curve import Curve, Line, distance
from mlflow_sensie.inference.decision import Decision, Significance, decide, significance
from mlflow_sensie.inference.departure import Departure
from mlflow_sensie.inference.exact_engine import exact
from mlflow_sensie.inference.extra_fits import Shape
from mlflow_sensie.inference.holds_until import HoldsUntil
from mlflow_sensie.inference.mean import mean_test
from mlflow_sensie.inference.perturbation import PerturbationFit, SideFit, perturbation_test
from mlflow_sensie.inference.polynomial import Polynomial
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
from mlflow_sensie.inference.ranks import RankAxis, Ranks
from mlflow_sensie.inference.regression import Prior, Priors, Regression
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import SamplingDesign

__all__ = [
    "AnyPosterior",
    "CategoryFit",
    "Curve",
    "Decision",
    "Departure",
    "Draws",
    "GuardedEstimate",
    "HoldsUntil",
    "Interval",
    "Line",
    "Mixture",
    "OrderStatistics",
    "PerturbationFit",
    "Polynomial",
    "Posterior",
    "Prior",
    "Priors",
    "PropertyFit",
    "RangeFit",
    "RankAxis",
    "Ranks",
    "Regression",
    "SamplingDesign",
    "ScoreScale",
    "Shape",
    "SideFit",
    "Significance",
    "SkewedT",
    "Spread",
    "bin_edges",
    "category_test",
    "decide",
    "distance",
    "exact",
    "mean_test",
    "merge_rare",
    "perturbation_test",
    "property_span",
    "property_test",
    "significance",
    "spread_of",
]
