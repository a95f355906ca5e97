"""What is installed is what the tree holds: metadata, packages, recipes, types, the entry point."""

from __future__ import annotations

import configparser
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import mlflow_sensie
from mlflow_sensie.recipe.reading import load_recipe, shipped_recipes

ROOT = Path(__file__).parent.parent
# Printed by a fresh interpreter: where the package was found, and where its shipped recipes are.
WHERE = """
import mlflow_sensie
from mlflow_sensie.recipe.reading import shipped_recipes
print(mlflow_sensie.__file__, *shipped_recipes().values(), sep="\\n")
"""


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    """The metadata as setuptools reads it."""
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg", encoding="utf-8")
    return read


def test_version_is_that_of_setup_cfg(setup_cfg: configparser.ConfigParser) -> None:
    assert mlflow_sensie.__version__ == setup_cfg["metadata"]["version"]


def test_every_package_on_disk_is_listed(setup_cfg: configparser.ConfigParser) -> None:
    on_disk = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mlflow_sensie").rglob("__init__.py")}
    assert set(setup_cfg["options"]["packages"].split()) == on_disk | {"mlflow_sensie.recipes"}


def test_entry_point_names_the_evaluator() -> None:
    from mlflow_sensie.doors.evaluator import SensieEvaluator

    (point,) = entry_points(group="mlflow.model_evaluator", name="sensie")
    assert point.load() is SensieEvaluator


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "recipes").glob("*.yaml"))])
def test_shipped_recipe_is_valid(name: str) -> None:
    assert name in shipped_recipes()
    recipe = load_recipe(name)
    assert recipe.n_tests > 0 or recipe.recipe == "auto"


# --- slow: builds and installs, without a network ---------------------------------------------------------


def run(*command: object, cwd: Path) -> str:
    """Run a command and return what it printed; its errors are shown when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build needs, so that it leaves nothing behind in the project."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("mlflow_sensie", "recipes"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def wheels(tree: Path) -> list[Path]:
    """Two wheels: one built from the tree, one built from an sdist of the tree."""
    build = (sys.executable, "-m", "build", "--no-isolation")
    run(*build, "--wheel", "--outdir", tree / "direct", cwd=tree)
    shutil.rmtree(tree / "build", ignore_errors=True)
    run(*build, "--outdir", tree / "by-sdist", cwd=tree)
    return [next((tree / folder).glob("*.whl")) for folder in ("direct", "by-sdist")]


def install(arguments: list[object], venv: Path) -> Path:
    """Install into a new environment that also sees our own packages; return its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    python = venv / "bin" / "python"
    purelib = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=venv).strip())
    # A .pth adds the folder but not the .pth files inside it, so our own editable install stays unseen.
    seen = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    (purelib / "outer.pth").write_text("\n".join(dict.fromkeys(seen)))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, *arguments, cwd=venv)
    return python


@pytest.mark.slow
def test_wheel_holds_everything(wheels: list[Path], tree: Path) -> None:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            points = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
        recipes = {f"mlflow_sensie/recipes/{path.name}" for path in (tree / "recipes").glob("*.yaml")}
        modules = {str(path.relative_to(tree)) for path in (tree / "mlflow_sensie").rglob("*.py")}
        assert recipes and recipes | modules | {"mlflow_sensie/py.typed"} <= names
        assert any(name.endswith("LICENSE") for name in names)
        assert {name.split("/")[0].split("-")[0] for name in names} == {"mlflow_sensie"}
        assert "[mlflow.model_evaluator]\nsensie = mlflow_sensie.doors.evaluator:SensieEvaluator" in points
        assert "[console_scripts]\nmlflow-sensie = mlflow_sensie.doors.cli:main" in points


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["from the tree", "from an sdist"])
def test_installed_wheel_finds_its_recipes(wheels: list[Path], which: int, tmp_path: Path) -> None:
    python = install([wheels[which]], tmp_path / "venv")
    package, *recipes = map(Path, run(python, "-c", WHERE, cwd=tmp_path).split())
    assert package.is_relative_to(tmp_path)
    assert recipes and all(path.parent == package.parent / "recipes" for path in recipes)


@pytest.mark.slow
def test_editable_install_finds_the_recipes(tree: Path, tmp_path: Path) -> None:
    python = install(["--no-build-isolation", "--editable", tree], tmp_path / "venv")
    package, *recipes = map(Path, run(python, "-c", WHERE, cwd=tmp_path).split())
    assert package.parent == tree / "mlflow_sensie"
    assert recipes and all(path.parent == tree / "recipes" for path in recipes)
