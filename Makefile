# Each of `make demo`, `make test` and `make lint` works alone on a fresh machine with
# Python >= 3.11 and make. A stamp in the virtual environment remembers what is installed;
# editing pyproject.toml or the constraints installs again.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
WORKERS ?= 2

BIN := $(VENV)/bin
MADE := $(VENV)/.made
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help venv install demo test test-slow lint format bench clean clean-cache

help:
	@echo "make demo       compare policies I-V and a trained agent; pictures and tables in results/demo"
	@echo "make test       the test suite (test-slow: the slow tests)"
	@echo "make lint       ruff, mypy, codespell (format: let ruff rewrite)"
	@echo "make bench      throughput, memory and start-up as JSON in results/bench.json"
	@echo "make install    virtual environment with everything for development"
	@echo "make clean-cache  forget compiled kernels (after an edit of one)"
	@echo "make clean      remove the virtual environment, caches and builds; results stay"

# Touched last, so that a half-made environment is made again.
$(MADE):
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(CORE): pyproject.toml $(CONSTRAINTS) | $(MADE)
	@echo "installing retail-gym into $(VENV) (minutes, the first time)"
	@$(PIP) -c $(CONSTRAINTS) -e .
	@touch $@

$(DEV): pyproject.toml $(CONSTRAINTS) | $(MADE)
	@echo "installing retail-gym[dev] into $(VENV) (minutes, the first time)"
	@$(PIP) -c $(CONSTRAINTS) -e ".[dev]"
	@touch $(CORE) $@

venv: $(MADE)

install: $(DEV)

demo: $(CORE)
	$(BIN)/python -m experiments.scenarios --seeds 2 --worlds 1 --out results/demo \
		--agent ppo-RetailSynth-v0

test: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS)

test-slow: $(DEV)
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy retail_gym agents
	$(BIN)/codespell

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(CORE)
	@mkdir -p results
	$(BIN)/retail-gym bench --json --out results/bench.json

# Numba's cache does not see that a compiled function called from another file has changed.
clean-cache:
	rm -f retail_gym/kernels/__pycache__/*.nb[ic]

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
