# make demo: train a state-space network on embedded demo data. make test: the tests. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that share the tests: one for each core, as many as fit into memory. WORKERS=0 runs all in one process.
WORKERS ?= auto
# By the variable and not by arguments, so that the caller's own PYTEST_ADDOPTS comes later and counts.
PYTEST = PYTEST_ADDOPTS="--numprocesses $(WORKERS) --dist worksteal $$PYTEST_ADDOPTS" $(BIN)/pytest

.PHONY: demo test test-slow test-long lint format bench vendor clean

demo: $(READY)
	$(BIN)/nnunet-mamba demo --folder demo

test: $(READY)
	$(PYTEST) -m "not slow and not long"

test-slow: $(READY)
	$(PYTEST) -m slow

# Beyond what every change can wait for: ten thousand files, the memory and the graphs of every network, other heads, real brain MRI up to the best model.
test-long: $(READY)
	$(BIN)/pytest -m long

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Not epoch.py, cpu_compile.py, recipe_ablation.py and train_models.py, which take hours of an idle machine,
# interval_coverage.py, which simulates for minutes, and prediction.py, which needs a trained model: by hand.
bench: $(READY)
	for script in $(filter-out $(addprefix benchmarks/,timing.py epoch.py cpu_compile.py recipe_ablation.py train_models.py interval_coverage.py prediction.py),$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

# onnxruntime-web from npm into the package, compared with the hash that stands in the script.
vendor: $(READY)
	$(BIN)/python packaging/vendor_onnxruntime_web.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml packaging/hatch_build.py
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) must be Python 3.10 or newer with the venv module; name another one: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch and nnU-Net into $(VENV), about 7 GB: this takes minutes, and says nothing meanwhile."
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)
