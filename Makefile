# Two commands set everything up on a machine that has Python 3.11 or newer, pip and make:
#   make demo   trains a Bayesian SDE network on handwritten digits and draws what it knows and does not know
#   make test   the whole gate, as CI runs it
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One thread a test worker: thread pools that fight over the cores are slower than none. Small programs are in the cache
# too: each file of tests lets go of what it has compiled, and the next one needs most of them.
TEST_ENV = JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.jax_cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	XLA_FLAGS="--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false $(OF_THIS_XLA) \
	intra_op_parallelism_threads=1"

# Real data sets, for the tests that need them: in the folder that SDEBNN_DATA names, or laid out from ../shared where that is.
LAY_OUT_DATA := $(wildcard ../shared/tools/data_home.py)
ifeq ($(SDEBNN_DATA)$(LAY_OUT_DATA),$(LAY_OUT_DATA))
DATA := $(if $(LAY_OUT_DATA),.data/.complete)
TEST_ENV += $(if $(LAY_OUT_DATA),SDEBNN_DATA=$(CURDIR)/.data)
endif

READ := types-read docs-read imports-read format-read lint-read

.PHONY: demo test $(READ) test-jax lowest wheel format docs clean

demo: $(VENV)/.demo
	rm -rf runs/demo
	$(BIN)/sdebnn demo --output runs/demo

# What the XLA of constraints.txt has, and a later one may refuse by name: its older emitters of loops, as the newer ones
# set up a compiler for each loop, and one module of LLVM a program. Programs compile in less than half of the time.
# XLA reads no flag after the first word without dashes.
test: OF_THIS_XLA = --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1
test: $(VENV)/.dev $(DATA)
	$(MAKE) --jobs 2 --output-sync $(READ)
	$(TEST_ENV) $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 25 $(TESTS)

# What only reads, each on a core of its own.
format-read:
	$(BIN)/ruff format --check .
lint-read:
	$(BIN)/ruff check .
types-read:
	$(BIN)/mypy
imports-read:
	$(BIN)/lint-imports
docs-read:
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# JAX alone, in its newest version, on the newest Python that there is: the tests that need no PyTorch.
NEWEST ?= $(firstword $(foreach minor,14 13 12,$(shell python3.$(minor) -c 'import sys; print(sys.executable)' 2> /dev/null)))
test-jax: $(DATA)
ifeq ($(NEWEST),)
	@echo "No Python 3.12 or newer was found; name one: make test-jax NEWEST=/path/to/python3.13"
else
	$(NEWEST) -m venv $(VENV)-jax
	$(VENV)-jax/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[jax,plots,tensorboard,dev]'
	$(TEST_ENV) $(VENV)-jax/bin/python -m pytest --numprocesses 2 --dist worksteal --durations 25 $(TESTS)
endif

# The lowest versions that pyproject.toml allows, of what JAX and tables need. blackjax is left out, as it needs a newer
# JAX; PyTorch's is the pinned one, which the gate has. Warnings of old libraries about each other say nothing here.
lowest: $(DATA)
	$(PYTHON) -m venv $(VENV)-lowest
	grep -o '"[a-zA-Z][a-zA-Z-]*>=[0-9.]*' pyproject.toml | sed 's/"//; s/>=/==/' > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --constraint $(VENV)-lowest/constraints.txt \
		'.[jax,plots,tables,tensorboard,equinox,flax]' beartype hypothesis pandas pytest
	rm -rf $(VENV)-lowest/run
	$(VENV)-lowest/bin/sdebnn train --data digits --epochs 1 --output $(VENV)-lowest/run
	$(VENV)-lowest/bin/sdebnn evaluate $(VENV)-lowest/run
	$(TEST_ENV) $(VENV)-lowest/bin/python -m pytest --override-ini addopts=--import-mode=importlib --override-ini filterwarnings= \
		tests/sdebnn/brax/adapters tests/sdebnn/data/test_own.py tests/sdebnn/data/test_dataset.py

# The sdist, and the wheel that is built of it.
wheel: $(VENV)/.dev
	$(BIN)/python -m build --no-isolation

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[jax,plots,tables,tensorboard]'
	touch $@

# PyTorch first and by its exact version: a plain `torch` would bring gigabytes of CUDA libraries.
$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[jax,torch,plots,tensorboard,lightning,dev]'
	touch $@

.data/.complete: $(VENV)/.dev
	$(BIN)/python $(LAY_OUT_DATA) .data
	chmod -R u+w .data
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-jax $(VENV)-lowest dist .data .jax_cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache site
