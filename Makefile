# make demo | test | lint | clean; everything happens in a virtual environment of its own.
VENV ?= .venv
PYTHON ?= python3
BIN := $(abspath $(VENV))/bin
# Two are enough: all runs of LAMMPS are one worker's, the other compiles networks.
WORKERS ?= 2
SOURCES := pyproject.toml CMakeLists.txt $(shell find lammps_mace cython cmake -type f -not -name '*.py[co]')

.PHONY: demo test lint clean

demo: $(VENV)/installed
	cd examples/silicon && PATH="$(BIN):$$PATH" ./demo.sh

# Not python -m pytest: that would import the sources here instead of what is installed.
test: $(VENV)/installed
	$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGUMENTS)

lint: $(VENV)/linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "lammps-mace needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=/path/to/python3" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps .
	$(BIN)/python -m pip install --quiet '.[test]'
	touch $@

$(VENV)/linters: $(VENV)/installed
	$(BIN)/python -m pip install --quiet '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
