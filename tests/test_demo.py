"""The demo asks what a shipped recipe asks: it can be read there, and used elsewhere by its name."""

from __future__ import annotations

import ast
from pathlib import Path

from mlflow_sensie.recipe.reading import load_recipe, shipped_recipes

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


def test_the_demo_uses_a_shipped_recipe() -> None:
    assigned = [node for node in ast.parse(DEMO.read_text(encoding="utf-8")).body if isinstance(node, ast.AnnAssign)]
    (recipe,) = [ast.literal_eval(node.value) for node in assigned if ast.unparse(node.target) == "RECIPE"]
    assert recipe["recipe"] in shipped_recipes()
    shipped = load_recipe(recipe["recipe"])
    found = load_recipe(recipe)
    assert found.perturbations == shipped.perturbations and found.properties == shipped.properties
    assert DEMO.read_text(encoding="utf-8").count('"sensie": RECIPE') == 1
