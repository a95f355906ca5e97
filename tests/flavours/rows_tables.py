"""Rows of models of tables: scikit-learn, XGBoost, LightGBM, CatBoost, statsmodels, custom models and functions."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from scipy.special import log_softmax
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from flavours.known import FEATURES, LABELS, LINE, NAMES, THREE, TWO, B, Known, W, line, of_three, of_two, table
from flavours.row import Answers, Made, Row, columns, logged

SIGNED, BARE = "by URI, with a signature", "by URI, without a signature"


def X() -> pd.DataFrame:
    return table()[FEATURES]


# --- scikit-learn ------------------------------------------------------------------------------------------


def logistic(labels: Any = None) -> Any:
    model = LogisticRegression().fit(X(), THREE.labels() if labels is None else labels)
    model.coef_, model.intercept_ = W.T.copy(), B.copy()
    return model


def pipeline() -> Any:
    """The weights on scaled columns, and none on the site: the same model, whatever its parts."""
    scaled = ColumnTransformer([("numbers", StandardScaler(), FEATURES), ("site", OneHotEncoder(), ["site"])])
    model = make_pipeline(scaled, LogisticRegression()).fit(table(), THREE.labels())
    scaler = scaled.named_transformers_["numbers"]
    model[-1].coef_ = np.hstack([(W * scaler.scale_[:, None]).T, np.zeros((3, 3))])
    model[-1].intercept_ = B + scaler.mean_ @ W
    return model


def support_vectors() -> Any:
    model = LinearSVC().fit(X(), THREE.labels())
    model.coef_, model.intercept_ = W.T.copy(), B.copy()
    return model


def regression(W: Any = W[:, 0], B: Any = B[0]) -> Any:
    model = LinearRegression().fit(X(), np.zeros((len(table()), *np.shape(B))))
    model.coef_, model.intercept_ = W.T.copy(), B
    return model


def log_sklearn(model: Any, signature: Any = None, **options: Any) -> Made:
    return Made(logged(mlflow.sklearn.log_model, model, signature=signature, **options))


PROBA = {"score": "probability", "source": "predict_proba"}
SKLEARN = [
    Row("scikit-learn Pipeline with a ColumnTransformer", SIGNED, THREE,
        lambda: log_sklearn(pipeline(), columns(table())), targets="names", **PROBA),
    Row("scikit-learn Pipeline with a ColumnTransformer", BARE, THREE,
        lambda: log_sklearn(pipeline()), targets="names", **PROBA),
    Row("scikit-learn classifier", "by URI, pyfunc_predict_fn='predict_proba'", THREE,
        lambda: log_sklearn(logistic(), columns(), pyfunc_predict_fn="predict_proba"), targets="names", **PROBA),
    Row("scikit-learn classifier", "an estimator given to probe", THREE,
        lambda: Made(logistic()), targets="names", door="probe", **PROBA),
    Row("scikit-learn classifier without predict_proba (LinearSVC)", SIGNED, LABELS,
        lambda: log_sklearn(support_vectors(), columns()), "correct", targets="names", warned="labels"),
    Row("scikit-learn regressor", SIGNED, LINE, lambda: log_sklearn(regression(), columns()), "neg_absolute_error"),
    Row("scikit-learn regressor of several outputs", SIGNED, LINE,
        lambda: log_sklearn(regression(W, B), columns()), "neg_absolute_error", recipe={"predictions": 0}),
]  # fmt: skip


# --- boosting ----------------------------------------------------------------------------------------------


def xgboost_weights() -> Any:
    """A linear booster that holds the known weights."""
    import xgboost

    parameters = {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3, "base_score": 0.5}
    grown = xgboost.train(parameters, xgboost.DMatrix(X(), THREE.targets()), 1)
    model = json.loads(bytes(grown.save_raw("json")))
    model["learner"]["gradient_booster"]["model"]["weights"] = np.vstack([W, B]).ravel().tolist()
    return bytearray(json.dumps(model).encode())


def xgboost_booster() -> Any:
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(xgboost_weights())
    return booster


def xgboost_classifier() -> Any:
    import xgboost

    model = xgboost.XGBClassifier(booster="gblinear", n_estimators=1).fit(X(), THREE.targets())
    model.load_model(xgboost_weights())
    return model


def xgboost_trees() -> Made:
    import xgboost

    parameters = {"objective": "binary:logistic", "max_depth": 3}
    booster = xgboost.train(parameters, xgboost.DMatrix(X(), TWO.targets()), 5)
    known = replace(TWO, function=lambda frame: booster.predict(xgboost.DMatrix(frame[FEATURES])))
    return Made(logged(mlflow.xgboost.log_model, booster, signature=columns()), known=known)


def lightgbm_booster() -> Any:
    """A tree of linear leaves per class; each leaf holds the known weights of its class."""
    import lightgbm

    parameters = {"objective": "multiclass", "num_class": 3, "linear_tree": True, "num_leaves": 2, "verbose": -1}
    grown = lightgbm.train(parameters, lightgbm.Dataset(X(), THREE.targets()), 1).model_to_string()
    head, *trees = re.sub(r"tree_sizes=.*\n", "", grown).split("Tree=")
    for number, tree in enumerate(trees):
        weights = " ".join(map(str, W[:, number]))
        leaf = {"leaf_const": f"{B[number]} {B[number]}", "num_features": "4 4", "shrinkage": "1",
                "leaf_features": "0 1 2 3  0 1 2 3 ", "leaf_coeff": f"{weights}  {weights} "}  # fmt: skip
        for key, value in leaf.items():
            tree = re.sub(rf"^{key}=.*$", f"{key}={value}", tree, flags=re.MULTILINE)
        trees[number] = tree
    return lightgbm.Booster(model_str="Tree=".join([head, *trees]))


def lightgbm_classifier() -> Any:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=1, verbose=-1).fit(X(), THREE.labels())
    model._Booster = lightgbm_booster()
    return model


def catboost(kind: str, labels: Any) -> Any:
    import catboost

    settings = {"iterations": 5, "loss_function": "MultiClass", "verbose": 0, "allow_writing_files": False}
    model = catboost.CatBoostClassifier(**settings) if kind == "classifier" else catboost.CatBoost(settings)
    return model.fit(X(), labels)


def log_catboost(kind: str, signature: Any = None) -> Made:
    model = catboost(kind, THREE.targets())
    known = replace(THREE, function=lambda frame: model.predict(frame[FEATURES], prediction_type="Probability"))
    return Made(logged(mlflow.catboost.log_model, model, signature=signature), known=known)


def log_xgboost(model: Any, signature: Any = None) -> Made:
    return Made(logged(mlflow.xgboost.log_model, model, signature=signature))


def log_lightgbm(model: Any, signature: Any = None) -> Made:
    return Made(logged(mlflow.lightgbm.log_model, model, signature=signature))


XGBOOST, LIGHTGBM, CATBOOST = {"needs": ("xgboost",)}, {"needs": ("lightgbm",)}, {"needs": ("catboost",)}
BOOSTING = [
    Row("XGBoost classifier", SIGNED, THREE, lambda: log_xgboost(xgboost_classifier(), columns()), **PROBA, **XGBOOST),
    Row("XGBoost classifier", BARE, THREE, lambda: log_xgboost(xgboost_classifier()), **PROBA, **XGBOOST),
    Row("XGBoost Booster (multi:softprob)", SIGNED, THREE,
        lambda: log_xgboost(xgboost_booster(), columns()), **XGBOOST),
    Row("XGBoost Booster (multi:softprob)", BARE, THREE, lambda: log_xgboost(xgboost_booster()), **XGBOOST),
    Row("XGBoost Booster (multi:softprob)", "given to probe", THREE,
        lambda: Made(xgboost_booster()), door="probe", **XGBOOST),
    Row("XGBoost Booster of trees (binary:logistic)", SIGNED, TWO, xgboost_trees, **XGBOOST),
    Row("LightGBM classifier", SIGNED, THREE,
        lambda: log_lightgbm(lightgbm_classifier(), columns()), targets="names", **PROBA, **LIGHTGBM),
    Row("LightGBM Booster (multiclass)", SIGNED, THREE,
        lambda: log_lightgbm(lightgbm_booster(), columns()), **LIGHTGBM),
    Row("LightGBM Booster (multiclass)", BARE, THREE, lambda: log_lightgbm(lightgbm_booster()), **LIGHTGBM),
    Row("CatBoost classifier", SIGNED, THREE, lambda: log_catboost("classifier", columns()), **PROBA, **CATBOOST),
    Row("CatBoost classifier", BARE, THREE, lambda: log_catboost("classifier"), **PROBA, **CATBOOST),
    Row("CatBoost, native (MultiClass)", SIGNED, THREE,
        lambda: log_catboost("native", columns()), recipe={"output": "logits"}, **CATBOOST),
]  # fmt: skip


# --- statsmodels -------------------------------------------------------------------------------------------


def least_squares(formula: bool) -> Any:
    """Fitted on targets without noise, so that it finds the known weights."""
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    if formula:
        return smf.ols("y ~ a + b + c + d", X().assign(y=line(X()))).fit()
    return sm.OLS(line(X()) - B[0], X()).fit()


def binomial() -> Any:
    """Fitted on the probabilities themselves."""
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    data = X().assign(y=of_two(X()))
    return smf.glm("y ~ a + b + c + d", data, family=sm.families.Binomial()).fit(tol=1e-12)


def through_zero() -> Known:
    """The same line without its constant, on targets without it."""
    return replace(LINE, function=lambda frame: line(frame) - B[0], targets=lambda: LINE.targets() - B[0])


STATSMODELS: dict[str, Any] = {"needs": ("statsmodels",)}
MODELS_OF_STATSMODELS = [
    Row("statsmodels OLS with a formula", SIGNED, LINE,
        lambda: Made(logged(mlflow.statsmodels.log_model, least_squares(True), signature=columns())),
        "neg_absolute_error", **STATSMODELS),
    Row("statsmodels OLS on columns", BARE, through_zero(),
        lambda: Made(logged(mlflow.statsmodels.log_model, least_squares(False))), "neg_absolute_error", **STATSMODELS),
    Row("statsmodels GLM (binomial)", SIGNED, TWO,
        lambda: Made(logged(mlflow.statsmodels.log_model, binomial(), signature=columns())), **STATSMODELS),
]  # fmt: skip


# --- custom models and functions ---------------------------------------------------------------------------


def custom(answer: Any, signature: Any = None) -> Made:
    signature = columns() if signature is None else signature
    return Made(logged(mlflow.pyfunc.log_model, python_model=Answers(answer), signature=signature))


def named(X: Any) -> pd.DataFrame:
    return pd.DataFrame(of_three(X), columns=NAMES)[["dog", "eel", "cat"]]


def named_by_the_signature(X: Any) -> Any:
    return of_three(X)


def words(X: Any) -> list[str]:
    return [NAMES[number] for number in of_three(X).argmax(axis=1)]


def signature_of_outputs() -> Any:
    from mlflow.models import infer_signature

    return infer_signature(X(), pd.DataFrame(of_three(X()), columns=NAMES))


CUSTOM = "custom PythonModel that returns "
MODELS_OF_OUR_OWN = [
    Row(CUSTOM + "a DataFrame, a column per class", SIGNED, THREE, lambda: custom(named), targets="names"),
    Row(CUSTOM + "an array", SIGNED, THREE, lambda: custom(of_three)),
    Row(CUSTOM + "an array of string classes", SIGNED, THREE,
        lambda: custom(of_three), recipe={"label_list": NAMES}, targets="names"),
    Row(CUSTOM + "an array, its columns named by the signature", SIGNED, THREE,
        lambda: custom(of_three, signature_of_outputs()), targets="names"),
    Row(CUSTOM + "a list of lists", SIGNED, THREE, lambda: custom(lambda X: of_three(X).tolist())),
    Row(CUSTOM + "a dict of columns", SIGNED, THREE,
        lambda: custom(lambda X: named(X).to_dict("list")), targets="names"),
    Row(CUSTOM + "a list of dicts", SIGNED, THREE,
        lambda: custom(lambda X: named(X).to_dict("records")), targets="names"),
    Row(CUSTOM + "a dict of several outputs", SIGNED, THREE,
        lambda: custom(lambda X: {"label": words(X), "scores": of_three(X)}),
        recipe={"predictions": "scores", "label_list": NAMES}, targets="names"),
    Row(CUSTOM + "a DataFrame of several outputs", SIGNED, TWO,
        lambda: custom(lambda X: pd.DataFrame({"decided": "?", "leaves": of_two(X), "stays": 1 - of_two(X)})),
        recipe={"predictions": "leaves"}, targets="names"),
    Row(CUSTOM + "string labels", SIGNED, LABELS, lambda: custom(words), "correct", targets="names", warned="labels"),
    Row(CUSTOM + "logarithms of probabilities", SIGNED, THREE,
        lambda: custom(lambda X: log_softmax(np.asarray(X) @ W + B, axis=1)), recipe={"output": "log_proba"}),
    Row(CUSTOM + "one probability", SIGNED, TWO, lambda: custom(of_two)),
    Row(CUSTOM + "one probability, of string classes", SIGNED, TWO,
        lambda: custom(of_two), recipe={"pos_label": "leaves"}, targets="names"),
    Row("regressor that returns a DataFrame of several outputs", SIGNED, LINE,
        lambda: custom(lambda X: pd.DataFrame({"rain": 0.0, "wind": line(X)})), "neg_absolute_error",
        recipe={"predictions": "wind"}),
    Row("plain function", "given to evaluate", THREE, lambda: Made(of_three), source="function"),
    Row("plain function", "given to probe", THREE, lambda: Made(of_three), source="function", door="probe"),
]  # fmt: skip

ROWS = [*SKLEARN, *BOOSTING, *MODELS_OF_STATSMODELS, *MODELS_OF_OUR_OWN]
