# All commands of the project; `make` without arguments lists them. Needs Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile
PYTHONS := python3.13 python3.12 python3.11 python3
TORCH := 2.13.0

# Options for one call: make test ARGS='-k split -x'
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check format bench bench-table docs constraints wheel clean

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed-dev  ## install warmstart and the tools of its developers into .venv

demo: $(VENV)/.installed  ## install, then train, score and report on bundled data, offline
	$(BIN)/warmstart demo

test: $(VENV)/.installed-dev  ## install the test dependencies, run all tests except the slow ones
	$(PYTEST) -m 'not slow' $(ARGS)

test-slow: $(VENV)/.installed-dev  ## run the slow tests
	$(PYTEST) -m slow $(ARGS)

check: $(VENV)/.installed-dev  ## check lint rules, format, types, import order and docstrings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## format the code and apply automatic lint fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-dev  ## run the benchmarks (hours); shorter: make bench ARGS='training --quick'
	$(BIN)/python -m benchmarks $(or $(ARGS),training)
	$(BIN)/python -m benchmarks table

bench-table: $(VENV)/.installed-dev  ## write the READMEs' table from benchmarks/results
	$(BIN)/python -m benchmarks table

docs: $(VENV)/.installed-dev  ## generate docs/configuration.md from the settings
	$(BIN)/python docs/configuration.py

constraints: $(BIN)/python  ## update constraints.txt to the latest versions of all packages
	rm -rf build/constraints
	$(BIN)/python -m venv build/constraints
	build/constraints/bin/python -m pip install --upgrade torch==$(TORCH) '.[dev]'
	{ echo "# Exact versions of all packages and extras; updated by make constraints, $$(date +%F)."; \
	  build/constraints/bin/python -m pip list --format=freeze --exclude pip --exclude warmstart \
	  | sed 's/+[a-z0-9.]*$$//' | LC_ALL=C sort -f; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf build/constraints

wheel: $(BIN)/python  ## build the wheel into dist/
	rm -rf dist
	$(PIP) wheel --no-deps --wheel-dir dist .

clean:  ## remove the environment, builds and caches, but no runs
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Empty files that mark what is installed, so that a second `make demo` does not install again.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt --editable '.[bundled]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt --editable '.[dev]'
	@touch $(VENV)/.installed $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  $$python -m venv $(VENV) && exit; \
	  rm -rf $(VENV); \
	  echo "$$python could not create the environment $(VENV)"; \
	  echo "  expected: a Python with its venv module"; \
	  echo "  try:      apt install python3-venv (Debian, Ubuntu), then repeat the command"; \
	  exit 1; \
	done; \
	echo "none of $(PYTHONS) is Python 3.11 or newer"; \
	echo "  expected: Python 3.11 or newer on the PATH"; \
	echo "  try:      install it, or give its path: make PYTHONS=/path/to/python demo"; \
	exit 1
