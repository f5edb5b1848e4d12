# Set-up and checks. `make demo` and `make test` do everything on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test check results format clean

help:
	@echo "make demo     install, run the built-in study, print its front"
	@echo "make test     install, run the tests"
	@echo "make check    install, check format, lint, types and layers"
	@echo "make results  train and measure what the README reports and docs/results lacks"
	@echo "make install  make $(VENV) alone"
	@echo "make format   rewrite the sources in the project's format"
	@echo "make clean    remove $(VENV) and the caches"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "safr-study needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	# torch first and by its exact version, so that a CPU build at hand is taken.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,postgres]'
	touch $@

install: $(STAMP)

demo: install
	$(BIN)/safr-study search --dataset planted:redundant --study demo --space smoke --trials 8 --epochs 2 --seed 0

test: install
	$(BIN)/python -W error -m pytest -m 'not long'

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs SAFR_STUDY_DATA; every finished run is kept as a line under docs/results.
results: install
	$(BIN)/python -W error -m pytest -m long tests/benchmarks

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
