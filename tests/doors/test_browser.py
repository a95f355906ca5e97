"""What a user sees: MLflow's own pages, in a real browser, over a real server with two runs of two models.

Screenshots of every page are kept in ``build/screenshots``, or in the folder that ``SENSIE_SCREENSHOTS`` names:
``make screenshots`` remakes those of docs/ui.md.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mlflow
import pandas as pd
import pytest
from flavours.logged import V3
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import mlflow_sensie
from doors.test_server import Server, server
from mlflow_sensie.tracking.runs import log_comparison

__all__ = ["server"]  # the fixture of the real server

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
SCREENSHOTS = Path(os.environ.get("SENSIE_SCREENSHOTS", Path(__file__).parents[2] / "build" / "screenshots"))
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--window-size=1360,1000", "--hide-scrollbars",
)  # fmt: skip
# MLflow opens a panel beside the first page that it shows.
NO_ASSISTANT = "".join(
    f"localStorage.setItem('mlflow.assistant.{key}_v1', '{value}');"
    for key, value in (("panelOpen", "false"), ("fab.autoOpenedOnFirstLoad", "true"))
)
PATIENCE = 120.0  # seconds until a page must have shown what it is for
RECIPE = {
    "input_shape": [8, 8],
    "perturbations": [{"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 15, 30, 45]}],
    "properties": [{"name": "ink", "of": "image.mean"}],
    "class_test": True,
    "log_examples": "full",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="no Chromium with its driver on this machine"),
    pytest.mark.skipif(not V3, reason="MLflow 2 has other pages"),
]


@dataclass(frozen=True)
class Logged:
    """Two runs of two models in one experiment, the first model registered, and the data they were evaluated on."""

    uri: str
    experiment: str
    runs: tuple[str, str]
    data: pd.DataFrame


@pytest.fixture(scope="module")
def logged(server: Server) -> Logged:
    digits = load_digits()
    data = pd.DataFrame(digits.data / 16, columns=[f"pixel_{i:02d}" for i in range(64)]).assign(y=digits.target)
    train, test = data[:900], data[900:1200]
    experiment = mlflow.create_experiment("seen in a browser")
    runs = []
    for name, model in (
        ("logistic", LogisticRegression(max_iter=500)),
        ("tree", DecisionTreeClassifier(max_depth=8, random_state=0)),
    ):
        model.fit(train.drop(columns="y"), train["y"])
        with mlflow.start_run(run_name=name, experiment_id=experiment) as run:
            info = mlflow.sklearn.log_model(
                model, name="model", registered_model_name="seen" if not runs else None,
                serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
            )  # fmt: skip
            mlflow.models.evaluate(
                info.model_uri, test, targets="y", model_type="classifier", evaluators=["sensie"],
                evaluator_config={"sensie": RECIPE},
            )  # fmt: skip
        runs.append(run.info.run_id)
    return Logged(server.uri, experiment, (runs[0], runs[1]), test)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_ASSISTANT})
    yield driver
    driver.quit()


def look(browser: Any, url: str, name: str, *texts: str) -> None:
    """Open a page, wait until it shows all of these texts, and keep a screenshot under a name that is not empty."""
    browser.get("about:blank")
    browser.get(url)
    said, until = "", time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(0.5)
        said = browser.find_element("tag name", "body").text
        if all(text in said for text in texts):
            time.sleep(2)  # what is drawn comes a moment after what is written
            break
    if name:
        keep(browser, name)
    assert not [text for text in texts if text not in said], f"{url} says: {said[:2000]}"


def keep(browser: Any, name: str, height: int | None = None) -> None:
    """Keep a screenshot, as high as asked for."""
    from PIL import Image

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    seen = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    seen = seen.crop((0, 0, seen.width, height or seen.height))
    seen.save(SCREENSHOTS / f"{name}.png", optimize=True)


def in_frames(browser: Any) -> list[str]:
    """What the frames of the page say."""
    found = []
    for frame in browser.find_elements("tag name", "iframe"):
        browser.switch_to.frame(frame)
        found.append(browser.find_element("tag name", "body").text)
        browser.switch_to.default_content()
    return found


def test_the_charts_lay_the_curves_of_both_runs_over_each_other(browser: Any, logged: Logged) -> None:
    url = f"{logged.uri}/#/experiments/{logged.experiment}/runs?compareRunsMode=CHART"
    look(browser, url, "", "logistic", "tree", "sensie/rotation")
    from selenium.webdriver.common.keys import Keys

    search = browser.find_element("css selector", "input[placeholder*='metric charts']")
    search.send_keys("sensie/rotation/score$")
    said = look_again(browser, "curves", "score", "//*[contains(@class, 'js-plotly-plot')]")
    assert "logistic" in said and "tree" in said
    lines = browser.find_elements("css selector", ".js-plotly-plot .scatterlayer .trace")
    assert len(lines) >= 2
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("sensie/(ink|class|rotation)$")
    look_again(browser, "images", "rotation")
    card = "//*[text()='sensie/rotation']/ancestor::*[count(.//button)>=2][1]//button"
    browser.execute_script("arguments[0].click()", browser.find_element("xpath", card))
    look_again(browser, "images-large", "rotation", height=460)
    assert len([image for image in browser.find_elements("tag name", "img") if image.size["width"] > 30]) >= 2


def look_again(browser: Any, name: str, text: str, place: str = "", height: int | None = None) -> str:
    """Wait for a page that changes by itself, keep a screenshot of it (at a place), and return what it says."""
    until = time.monotonic() + PATIENCE
    time.sleep(4)
    while text not in (said := browser.find_element("tag name", "body").text) and time.monotonic() < until:
        time.sleep(0.5)
    if place:
        shown = browser.find_element("xpath", place)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", shown)
        time.sleep(2)
    keep(browser, name, height)
    return str(said)


def test_a_run_shows_its_report(browser: Any, logged: Logged) -> None:
    url = f"{logged.uri}/#/experiments/{logged.experiment}/runs/{logged.runs[0]}/artifacts/sensie_report.html"
    look(browser, url, "", "sensie_report.html")
    until = time.monotonic() + PATIENCE
    while not (said := "".join(in_frames(browser))) and time.monotonic() < until:
        time.sleep(0.5)
    keep(browser, "report")
    assert "rotation: the score loses" in said and "keeps 90 % of its value" in " ".join(said.split())


def test_the_compare_page_shows_both_reports(browser: Any, logged: Logged) -> None:
    runs, experiments = quote(json.dumps(logged.runs)), quote(json.dumps([logged.experiment]))
    url = f"{logged.uri}/#/compare-runs?runs={runs}&experiments={experiments}"
    look(browser, url, "", "Comparing 2 Runs", "logistic", "tree", "Artifacts")
    head = browser.find_element("xpath", "//*[text()='Artifacts']")
    browser.execute_script("arguments[0].scrollIntoView()", head)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        files = browser.find_elements("xpath", "//*[text()='sensie_report.html']")
        if files:
            browser.execute_script("arguments[0].click()", files[0])
        if sum("the score loses" in text for text in in_frames(browser)) == 2:
            break
        time.sleep(1)
    keep(browser, "compare-reports", 260)
    assert sum("the score loses" in text for text in in_frames(browser)) == 2


def test_the_table_view_sets_the_bins_side_by_side(browser: Any, logged: Logged) -> None:
    url = f"{logged.uri}/#/experiments/{logged.experiment}/runs?compareRunsMode=ARTIFACT"
    look(browser, url, "table", "sensie/bins.json", "ink/000", "ink/009", "logistic", "tree")


def test_a_model_versions_page_shows_our_tags(browser: Any, logged: Logged) -> None:
    gate = [{"metric": "clean_score", "at_least": 0.8}]
    assert mlflow_sensie.check("models:/seen/1", data=logged.data, targets="y", recipe={**RECIPE, "gate": gate}).passed
    look(browser, f"{logged.uri}/#/models/seen/versions/1", "", "sensie_verdict", "sensie_worst_test")
    look_again(browser, "version", "sensie_worst_test", "//*[text()='sensie_verdict']")


def test_a_comparison_is_a_page_on_a_run_of_its_own(browser: Any, logged: Logged) -> None:
    run_id = log_comparison(mlflow_sensie.compare(*logged.runs), *logged.runs)
    url = f"{logged.uri}/#/experiments/{logged.experiment}/runs/{run_id}/artifacts/sensie_comparison.html"
    look(browser, url, "", "sensie_comparison.html")
    until = time.monotonic() + PATIENCE
    while "probability that B" not in (said := "".join(in_frames(browser))) and time.monotonic() < until:
        time.sleep(0.5)
    keep(browser, "comparison")
    assert "Paired: both models answered the same 300 examples" in said and "not told apart" in said
