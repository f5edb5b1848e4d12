# Set-up and checks. `make demo` and `make test` do everything on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test test-cluster canary test-gpu drill pictures check audit results imdb table movies scorecard bench efficiency format clean

help:
	@echo "make demo     install, run the built-in study, print its front"
	@echo "make test     install, run the tests"
	@echo "make test-cluster  the tests of clusters and outages, whatever changed, and keep that they passed"
	@echo "make test-gpu the tests that need a GPU (torch's build for its CUDA must be installed)"
	@echo "make canary   the newest allowed versions of all libraries, and what is used of their insides"
	@echo "make drill    kill studies at random moments, and see them go on (20 minutes)"
	@echo "make pictures the README's pictures of MLflow's page, by headless Chromium"
	@echo "make check    install, check format, lint, types and layers"
	@echo "make audit    known vulnerabilities of the pinned versions"
	@echo "make results  train and measure what docs/results.md reports and docs/results lacks"
	@echo "make imdb     the paper's rows on all texts of IMDB, or what docs/results lacks of them (half a day)"
	@echo "make table    train the table of lambdas that searches are replayed over, or what it lacks (hours)"
	@echo "make movies   train on film reviews with human rationales, or what docs/results lacks of it (hours)"
	@echo "make scorecard  train SAFR and its rivals on the treebank, and measure what their neurons cause (an hour)"
	@echo "make bench    measure what a study costs: time, memory, training, ten thousand trials (half an hour)"
	@echo "make efficiency  replay the searches over the table, and run them live on the planted corpus"
	@echo "make install  make $(VENV) alone"
	@echo "make format   rewrite the sources in the project's format"
	@echo "make clean    remove $(VENV) and the caches"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "safr-study needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	# torch first and by its exact version, so that a CPU build at hand is taken.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,postgres,cluster,dashboard]'
	touch $@

install: $(STAMP)

demo: install
	$(BIN)/safr-study search --dataset planted:redundant --study demo --space smoke --trials 8 --epochs 2 --seed 0

# Whole studies wait for processes much of the time: three share two cores well. The longest begin first.
PYTEST := $(BIN)/python -W error -m pytest -p no:cacheprovider --durations=15 -m 'not long and not drill'
TESTS ?= tests/integration tests/nets tests/unit tests/benchmarks
test: install
	# Where PYTHONDONTWRITEBYTECODE is set, every process that a test starts would compile them for itself.
	$(BIN)/python -m compileall -q safr_study tests
	$(PYTEST) --numprocesses 3 --dist loadfile --no-loadscope-reorder $(TESTS)

# The tests that `make test` leaves out while nothing that they exercise changes, and the long ones of
# their kind. When all passed, the digest of what they exercise is written, to be committed.
test-cluster: install
	$(PYTEST) -m 'cluster and not drill' --record-cluster-tier --numprocesses 2 --dist loadfile tests/integration

# The newest versions that pyproject.toml allows, and whether what it uses of their insides is still there.
CANARY := .venv-canary
canary:
	$(PYTHON) -m venv $(CANARY)
	$(CANARY)/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable '.[dev,postgres,cluster,dashboard]'
	$(CANARY)/bin/python -W error -m pytest -p no:cacheprovider tests/unit/test_canaries.py

test-gpu: install
	$(PYTEST) tests/gpu

# SAFR_DRILL_KILLS=3 is a short one.
drill: install
	$(BIN)/python -W error -m pytest -m drill

# The pictures of MLflow's page in the README, by the browser test's own look at two studies.
pictures: install
	SAFR_STUDY_PICTURES=$(CURDIR)/docs/results $(BIN)/python -W error -m pytest tests/integration/test_mlflow_compare.py -k planted

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Says so, and does not fail, where the database of vulnerabilities does not answer.
audit: install
	$(BIN)/python .ci/audit.py

# Needs SAFR_STUDY_DATA; hours where no run is there. Every finished run is a line under docs/results, and
# is not paid for twice. Figure 3 first: it measures the most, and the tables read its lines.
REPRODUCE := $(BIN)/safr-study reproduce
KEPT := --results docs/results --out docs/results/tables
TREEBANK := --dataset sst2-treebank $(KEPT)
IMDB := --dataset imdb --train-limit 5000 --dev-limit 1000 --test-limit 2000 --epochs 5 --seeds 1 $(KEPT)
results: install
	$(REPRODUCE) figure3 --seeds 5 $(TREEBANK)
	$(REPRODUCE) table1 --seeds 5 $(TREEBANK)
	$(REPRODUCE) table3 --seeds 5 $(TREEBANK)
	$(REPRODUCE) rationale --seeds 5 $(TREEBANK)
	$(REPRODUCE) table2 --seeds 3 $(TREEBANK)
	$(REPRODUCE) table6 --seeds 3 $(TREEBANK)
	$(REPRODUCE) table3 --seeds 1 --preset reference $(TREEBANK)
	$(REPRODUCE) table1 --seeds 1 --preset reference $(TREEBANK)
	$(REPRODUCE) table1 $(IMDB)

# Needs SAFR_STUDY_DATA; half a day of a core and more. All texts of IMDB: three rows under three seeds first, then the
# settings that the paper has chosen on its two data sets. Resumable as the others; the lines alone are kept.
IMDB_WHOLE := table6 --dataset imdb --part --results docs/results
imdb: install
	$(REPRODUCE) $(IMDB_WHOLE) --seeds 3 --row baseline --row vmask --row 'safr(0.1, 0.1)'
	$(REPRODUCE) $(IMDB_WHOLE) --seeds 1 --row 'safr(0.01, 0.01)' --row 'safr(1, 0.1)'

# Needs SAFR_STUDY_DATA. Resumable: a finished training is a line, and an epoch is not paid for twice.
BENCHMARK := PYTHONPATH=tests $(BIN)/python -m benchmarks
table: install
	$(BENCHMARK).lambda_table --max-concurrent 2

# Needs SAFR_STUDY_DATA; hours. Resumable likewise. ENCODER=FOLDER for the lines over an encoder.
movies: install
	$(BENCHMARK).movies $(if $(ENCODER),--encoder $(ENCODER))

# Needs SAFR_STUDY_DATA; an hour of a core. Resumable likewise, and ENCODER=FOLDER as above, with one seed.
scorecard: install
	$(BENCHMARK).scorecard $(if $(ENCODER),--encoder $(ENCODER),--seeds 0 1 2)

# Needs SAFR_STUDY_DATA and an idle machine; half an hour. PARTS="study memory" are some of it.
bench: install
	$(BENCHMARK).bench $(PARTS)

EFFICIENCY := docs/results/efficiency
efficiency: install
	$(BENCHMARK).replay --table docs/results/lambda-table-sst2-treebank.jsonl --processes 2 --out $(EFFICIENCY)-sst2-treebank
	$(BENCHMARK).live --processes 2 --out $(EFFICIENCY)-planted

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(CANARY) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
