"""The version matrix: Python × MLflow × pandas, each in an environment of its own; ``nox --list`` says what there is.

``.ci/run`` is what must pass before a change lands: it runs the default in full and the ends of this matrix.
"""

from __future__ import annotations

import configparser
import re

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]

# MLflow 2.22 works with the SQLAlchemy of its time.
MLFLOW = {"2.22": ["mlflow==2.22.*", "sqlalchemy<2.1"], "3": ["mlflow>=3,<4"]}
PANDAS = {"2": ["pandas<3"], "3": ["pandas>=3,<4"]}  # MLflow 2.22 wants pandas 2; pandas 3 wants Python 3.11

# Every Python with the newest of both that it can have, the older ones where something differs.
MATRIX = [
    ("3.10", "2.22", "2"),
    ("3.10", "3", "2"),
    ("3.11", "2.22", "2"),
    ("3.11", "3", "2"),
    ("3.11", "3", "3"),
    ("3.12", "3", "2"),
    ("3.12", "3", "3"),
    ("3.13", "3", "2"),
    ("3.13", "3", "3"),
]


NAMES = [f"{python}-mlflow{mlflow}-pandas{pandas}" for python, mlflow, pandas in MATRIX]


@nox.session
@nox.parametrize(("python", "mlflow", "pandas"), MATRIX, ids=NAMES)
def tests(session: nox.Session, mlflow: str, pandas: str) -> None:
    """The fast tests on one combination; ``nox -s tests -- -k word`` hands over arguments of pytest."""
    session.install("--editable", ".[dev,image]", *MLFLOW[mlflow], *PANDAS[pandas])
    session.run(
        "python", "-c", "import mlflow, pandas; print('MLflow', mlflow.__version__, 'pandas', pandas.__version__)"
    )
    session.run("python", "-m", "pytest", "-m", "not slow", *session.posargs)


@nox.session(python="3.10")
def lowest(session: nox.Session) -> None:
    """The fast tests with the lowest version of everything that setup.cfg requires, on the oldest Python."""
    setup = configparser.ConfigParser()
    setup.read("setup.cfg")
    required = setup["options"]["install_requires"].split()
    lowest = [re.sub(r">=([\d.]+).*", r"==\1.*", requirement) for requirement in required]
    session.install("--editable", ".[dev,image]", *lowest, *MLFLOW["2.22"][1:])
    session.run("python", "-m", "pytest", "-m", "not slow", *session.posargs)


@nox.session(python="3.11")
def everything(session: nox.Session) -> None:
    """All tests, slow ones too, with every extra but Spark."""
    session.install("--editable", ".[dev,image,keras,pymc,flavours]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def flavours(session: nox.Session) -> None:
    """The models of every library; a package that is missing is an error."""
    session.install("--editable", ".[dev,image,keras,flavours]")
    session.run("python", "-m", "pytest", "-m", "flavours", *session.posargs, env={"SENSIE_ALL_FLAVOURS": "1"})


@nox.session
def inference(session: nox.Session) -> None:
    """The statistics with NumPy and SciPy alone, the package being read from its folder."""
    session.install("numpy", "scipy", "pytest", "hypothesis")
    session.run(
        "python", "-m", "pytest", "-m", "not slow", "tests/inference", *session.posargs, env={"PYTHONPATH": "."}
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy, and the arrows between folders."""
    session.install("--editable", ".[dev,image,keras]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
