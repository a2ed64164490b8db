# Two commands from a fresh clone: `make compare` and `make test`. Each makes its own virtual environment, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= auto
# A process for each core, eight at most, each with one thread: what needs more asks for them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=$(JOBS) --maxprocesses=8 --dist=loadfile

.PHONY: compare test test-all test-gpu format clean

compare: $(VENV)/.installed  ## Compare four placements on the embedded data, and write report.html
	$(BIN)/placenorm compare --resume $(ARGS)

test: $(VENV)/.installed-dev  ## Format, lint, imports, types and the fast tests: about ten minutes on two cores
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(PYTEST) -m "not slow and not browser and not postgres and not gpu" $(ARGS)

test-all: $(VENV)/.installed-dev  ## The slow sweeps, whole runs, browser and database tests, Triton interpreted: about an hour on two cores
	$(PYTEST) -m "(slow or browser or postgres) and not gpu" $(ARGS)
	TRITON_INTERPRET=1 $(PYTEST) tests/gpu -m interpreted

test-gpu: $(VENV)/.installed-dev  ## What needs a CUDA device
	$(BIN)/pytest -m gpu $(ARGS)

format: $(VENV)/.installed-dev  ## Bring the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:  ## Remove the virtual environment; results stay
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt tools/make_venv.sh
	sh tools/make_venv.sh "$(PYTHON)" "$(VENV)" .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	sh tools/make_venv.sh "$(PYTHON)" "$(VENV)" ".[dev]"
	touch $@
