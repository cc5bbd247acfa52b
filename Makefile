.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A folder of one's own keeps the demo's teachers apart from real ones.
DEMO := runs/demo
export OMP_NUM_THREADS ?= 1

.PHONY: help install demo test test-all test-lowest coverage check docs clean

help: ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode -e ".[test]"
	@touch $@

install: $(VENV)/installed ## make .venv with the package and what its tests need

demo: $(VENV)/installed ## digits, long-tailed and noisy: two teachers, D-SINK, baselines, table, figures
	$(BIN)/lt-train hydra.run.dir=$(DEMO) store=$(DEMO)/teachers

test: $(VENV)/installed ## the ordinary tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" -q --durations=15

test-all: $(VENV)/installed ## all tests, also the slow ones
	$(BIN)/python -m pytest -n 2 --dist worksteal -q --durations=15

coverage: $(VENV)/installed ## branch coverage of the rooms with the mathematics and the plug-ins
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not gpu" -q --cov --cov-report=term

test-lowest: ## the ordinary tests on the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(CURDIR)/.venv-lowest .venv-lowest/bin/uv pip install --quiet --resolution lowest-direct -e ".[test]"
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu" -q

check: $(VENV)/installed ## lint, format and types
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet -e ".[dev]"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed ## write the tables of README and docs from docs/results, and build the site in site/
	$(BIN)/python docs/fill_tables.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove environments and runs
	rm -rf $(VENV) .venv-lowest runs multirun site build dist *.egg-info
