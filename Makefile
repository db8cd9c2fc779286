# Three commands on a fresh machine (Python 3.11 or newer, and make):
#   make demo   set up, then put losses through all six benchmarks on packaged weights and data; writes a report
#   make test   set up, then style, types, tests, and the documentation site without warnings
#   make docs   set up, then the documentation site: build/docs/index.html
# Everything goes into .venv; PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

SITE := build/docs

.PHONY: demo test lint docs unit slow clean

demo: $(READY)
	$(BIN)/lossnets sweep examples/plans/demo.yaml --store lossnets-demo/results.sqlite --workers 2
	$(BIN)/lossnets report --store lossnets-demo/results.sqlite -o lossnets-demo/report.html

test: lint docs unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# -E: everything anew, since a page that is not read again does not warn again.
docs: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -E -q docs $(SITE)

# One thread per test process: two processes share two cores better than threads do.
unit: docs
	OMP_NUM_THREADS=1 LOSSNETS_SITE=$(SITE) $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

slow: $(READY)
	$(BIN)/pytest -m slow

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lossnets lock file is for Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) $(SITE) lossnets-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
