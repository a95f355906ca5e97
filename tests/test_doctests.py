"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("inference", "perturbations", "properties", "scores")
MODULES = [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(
        importlib.import_module(f"mlflow_sensie.{package}").__path__, f"mlflow_sensie.{package}."
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_file_of_perturbations_has_an_example() -> None:
    finder = doctest.DocTestFinder()
    for name in MODULES:
        if name.startswith("mlflow_sensie.perturbations"):
            assert any(test.examples for test in finder.find(importlib.import_module(name))), name
