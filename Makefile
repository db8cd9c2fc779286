# Two commands on a fresh machine (Python 3.11 or newer, and make):
#   make demo   set up, then put losses through all four benchmarks on packaged weights and data
#   make test   set up, then style, types and tests
# Everything goes into .venv; PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint unit slow clean

demo: $(READY)
	$(BIN)/lossnets sweep examples/plans/demo.yaml --store lossnets-demo/results.sqlite --workers 2

test: lint unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One thread per test process: two processes share two cores better than threads do.
unit: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow"

slow: $(READY)
	$(BIN)/pytest -m slow

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lossnets lock file is for Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) lossnets-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
