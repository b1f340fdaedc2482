# `make demo` and `make test` work on a machine with Python (>= 3.10, with venv) and make; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# where `make mmcv-ops` looks for a ready wheel before it compiles
WHEELS ?= ../shared/wheels
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_DIR := work_dirs/demo
PREDICT_DEMO_DIR := work_dirs/predict_demo
# a folder with a DICOM series that `make predict-demo` segments where it is present
DICOM ?= ../shared/realdata/hippocampus_dicom

.DEFAULT_GOAL := help
.PHONY: help install demo predict-demo test lint format mmcv-ops clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# A torch that the chosen Python already has (a CUDA build, say) is used as it is: the environment sees the system's
# packages, and its version is pinned so that no dependency replaces it.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python >= 3.10 is needed, $(PYTHON) is older; choose one with: make PYTHON=python3.11 ..."; exit 1; }
	@if $(PYTHON) -c 'import torch' 2>/dev/null; then \
	  $(PYTHON) -c 'import torch, sys; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6))' || \
	    { echo "The torch of $(PYTHON) is older than 2.6, which is needed; update it, or choose a Python without torch."; exit 1; }; \
	  $(PYTHON) -m venv --system-site-packages $(VENV); \
	else $(PYTHON) -m venv $(VENV); fi
	@touch $@

$(VENV)/constraints.txt: constraints.txt $(VENV)/.created
	@cp constraints.txt $@
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then \
	  $(BIN)/python -c 'import torch; print("torch==" + torch.__version__)' > $@.torch; \
	  sed -e '/^torch==/d' constraints.txt | cat - $@.torch > $@; rm $@.torch; fi

$(VENV)/.installed: $(VENV)/constraints.txt requirements/runtime.txt pyproject.toml
	$(PIP) install -q -c $(VENV)/constraints.txt torch
	$(PIP) install -q -c $(VENV)/constraints.txt -e .
	@touch $@

$(VENV)/.installed-volumes: $(VENV)/.installed requirements/volumes.txt
	$(PIP) install -q -c $(VENV)/constraints.txt -r requirements/volumes.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements/test.txt
	$(PIP) install -q -c $(VENV)/constraints.txt -r requirements/test.txt
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed requirements/lint.txt
	$(PIP) install -q -c $(VENV)/constraints.txt -r requirements/lint.txt
	@touch $@

install: $(VENV)/.installed ## create .venv and install the package into it

demo: $(VENV)/.installed ## phantom images, a small HACDR-Net, a report: at most six minutes on two cores
	$(BIN)/python tools/demo.py --work-dir $(DEMO_DIR)

predict-demo: $(VENV)/.installed-volumes ## segment phantom hippocampi and a DICOM series with data/models/hippocampus: NIfTI and pictures
	$(BIN)/python tools/predict_demo.py --work-dir $(PREDICT_DEMO_DIR) --dicom $(DICOM)

# One thread a worker: operators of several workers that all use every core wait for each other.
test: $(VENV)/.installed-test ## install what the tests need and run them all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed-lint ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-lint ## rewrite the code as ruff formats it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

mmcv-ops: $(VENV)/.installed ## compiled mmcv operators, only for comparison with ours
	@if $(BIN)/python -c 'import mmcv.ops' 2>/dev/null; then echo 'mmcv has its compiled operators already'; \
	elif ls $(WHEELS)/onedl_mmcv-*.whl >/dev/null 2>&1; then $(PIP) install -q --force-reinstall --no-deps $(WHEELS)/onedl_mmcv-*.whl; \
	else echo 'No wheel under $(WHEELS): compiling mmcv now, about 25 minutes on two cores.'; \
	  $(PIP) install -q setuptools wheel ninja psutil && \
	  MMCV_WITH_OPS=1 $(PIP) install --force-reinstall --no-deps --no-build-isolation --no-binary onedl-mmcv --no-cache-dir onedl-mmcv; fi

clean: ## remove the environment, caches and the demo's output
	rm -rf $(VENV) $(DEMO_DIR) $(PREDICT_DEMO_DIR) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
