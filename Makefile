# Every target sets up what it needs in $(VENV) first; a second call finds it ready.
#
#   make demo     train a classifier on digits, evaluate it, and say how to open the result in MLflow
#   make test     the whole test suite           make quick    without the slow tests
#   make flavours the models of every library (extra [flavours]); make models writes what ran to docs/models.md
#   make screenshots  the screenshots of docs/ui.md, out of a real server (needs Chromium with its driver)
#   make lint     ruff, mypy and the arrows (Python 3.11)    make format   let ruff rewrite the files
#   make clean    remove everything that these targets made

VENV   ?= .venv
EXTRAS ?= dev,image,keras
DEMO   ?= demo
ARGS   ?=
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
FLAVOURS := $(VENV)/.flavours

# The first interpreter that really runs and is new enough; PYTHON=... chooses another.
CHECK  := import sys; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c '$(CHECK)' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: demo test quick flavours models screenshots lint format clean

demo: $(READY)
	$(BIN)/python examples/demo.py $(DEMO)

test: $(READY)
	$(BIN)/python -m pytest -n 2 $(ARGS)

quick: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

flavours: $(FLAVOURS)
	SENSIE_ALL_FLAVOURS=1 $(BIN)/python -m pytest -m flavours $(ARGS)

models: $(FLAVOURS)
	SENSIE_ALL_FLAVOURS=1 SENSIE_WRITE_MODELS=1 $(BIN)/python -m pytest tests/flavours/test_matrix.py $(ARGS)

screenshots: $(READY)
	SENSIE_SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/doors/test_browser.py $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(READY): setup.cfg pyproject.toml
	@$(or $(PYTHON),false) -c '$(CHECK)' || { \
		echo "make: Python 3.10 or newer is needed; name one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV); this takes a few minutes, once ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[$(EXTRAS)]"
	@touch $@

$(FLAVOURS): $(READY)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".[$(EXTRAS),flavours]"
	@touch $@
