# Vigil's commands. `make demo` and `make test` do all of their own set-up in .venv and say what they do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip
export BENTOML_DO_NOT_TRACK := True
export UV_LINK_MODE ?= copy

# Each lock file and the dependency group that it locks; `dev` comes first, because the others are subsets of it.
LOCKS := dev=tests local=k8s/local rollout=k8s/rollout pipeline=training scorer=bentos/risk_scorer

.PHONY: help demo test lint docs bench lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready-local $(BIN)/vigil ## The whole story on this machine: train, package, serve, split, compare (DATA=FILE, KEEP=1)
	@$(BIN)/python -m k8s.local demo $(if $(DATA),--data "$(DATA)") $(if $(filter-out 0,$(KEEP)),--keep)

test: $(VENV)/ready-dev $(BIN)/vigil lint ## Lint, type check, and every test that this machine can run
	@$(BIN)/python -m pytest

lint: $(VENV)/ready-dev ## Format, rules, types and import layers, without running anything
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/zizmor --offline --quiet .github

lock: $(BIN)/uv ## Renew every hash-pinned lock file from pyproject.toml (UPGRADE=1 takes newer versions)
	@for pair in $(LOCKS); do \
	  group=$${pair%%=*} folder=$${pair#*=}; \
	  echo "locking $$group into $$folder/requirements.lock"; \
	  $(UV) compile --quiet --group $$group --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-annotate --custom-compile-command 'make lock' $(if $(filter-out 0,$(UPGRADE)),--upgrade) \
	    $$( [ $$group = dev ] || echo --constraints tests/requirements.lock ) --output-file $$folder/requirements.lock; \
	done

docs: $(VENV)/ready-dev ## Write the generated tables of the READMEs again
	@PYTHONPATH=. $(BIN)/python .ci/docs.py

bench: $(VENV)/ready-dev ## Serving beside BentoML and FastAPI, and training beside LightGBM alone, side by side
	@$(BIN)/python -m tests.bench.serving
	@$(BIN)/python -m tests.bench.training_speed

clean: ## Remove the environment and everything that running made
	@rm -rf $(VENV) .vigil .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv: .ci/uv.lock
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Vigil needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + " (choose one with PYTHON=...)")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement .ci/uv.lock
	@touch $@

$(VENV)/ready-%: $(BIN)/uv tests/requirements.lock k8s/local/requirements.lock
	@echo "installing the packages of $(if $(filter dev,$*),tests,k8s/local)/requirements.lock into $(VENV) (about 1 GB, once)"
	@$(UV) install --quiet --python $(BIN)/python --require-hashes --requirement $(if $(filter dev,$*),tests,k8s/local)/requirements.lock
	@touch $@

# The one command: `.venv/bin/vigil` runs this checkout from any folder.
$(BIN)/vigil: .ci/vigil.py $(BIN)/uv
	@$(BIN)/python .ci/vigil.py
