# Vigil's commands. `make demo` and `make test` do all of their own set-up in .venv and say what they do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
VERSION ?= 0.1.0
LOAD ?= kind load docker-image --name vigil
BIN := $(VENV)/bin
UV := $(BIN)/uv pip
export BENTOML_DO_NOT_TRACK := True
export UV_LINK_MODE ?= copy

# Each lock file and the dependency group that it locks; `dev` comes first, because the others are subsets of it.
LOCKS := dev=tests local=k8s/local rollout=k8s/rollout pipeline=training scorer=bentos/risk_scorer

.PHONY: help demo test e2e e2e-needs lint docs bench lock clean images schemas cluster-demo

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/ready-local $(BIN)/vigil ## The whole story on this machine: train, package, serve, split, compare (DATA=FILE, KEEP=1)
	@$(BIN)/python -m k8s.local demo $(if $(DATA),--data "$(DATA)") $(if $(filter-out 0,$(KEEP)),--keep)

test: $(VENV)/ready-dev $(BIN)/vigil lint ## Lint, type check, and every test that this machine can run
	@$(BIN)/python -m pytest

e2e: e2e-needs $(VENV)/ready-dev ## The tests on the cluster of KUBECONFIG, in a namespace of their own (VIGIL_E2E_IMAGES=TAG of the images)
	@VIGIL_E2E=1 $(BIN)/python -m pytest tests/e2e
	@VIGIL_E2E=1 $(BIN)/python -m pytest tests/contract -m cluster

e2e-needs:
	@[ -n "$${KUBECONFIG:-}" ] && command -v kubectl > /dev/null || { echo "make e2e needs kubectl, and KUBECONFIG of a cluster (kind, minikube) in which you may make namespaces; k8s/README.md leads to one" >&2; exit 2; }
	@kubectl get gatewayclass envoy > /dev/null || { echo "the cluster of KUBECONFIG does not answer, or lacks the platform: kubectl apply --server-side -k k8s/platform/kind (k8s/README.md says what comes before it)" >&2; exit 2; }

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

images: ## Build the three images (VERSION=0.1.0) and put them into the cluster (LOAD="kind load docker-image --name vigil")
	@for pair in scorer=bentos/risk_scorer pipeline=training rollout=k8s/rollout; do \
	  image=vigil/$${pair%%=*}:$(VERSION); \
	  docker build --quiet --file $${pair#*=}/Dockerfile --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) --tag $$image .; \
	  $(LOAD) $$image; \
	done

schemas: $(VENV)/ready-dev ## Write the cluster's schemas to .vigil/schemas, for kubeconform in make test
	@$(BIN)/python -m tests.manifests.schemas .vigil/schemas

cluster-demo: $(VENV)/ready-local $(BIN)/vigil ## From an empty namespace of a cluster (KUBECONFIG) to a scored event, and to a good and a bad rollout; images first
	@kubectl get --raw /readyz > /dev/null || { echo "no cluster answers: KUBECONFIG is $${KUBECONFIG:-unset}; see k8s/README.md"; exit 2; }
	@kubectl apply --server-side --force-conflicts -k k8s/platform/kind
	@kubectl apply -k k8s/overlays/kind/kept
	@kubectl -n vigil delete job --ignore-not-found secrets prediction-store-migration first-model
	@kubectl apply -k k8s/overlays/kind
	@kubectl -n vigil wait --for=condition=Complete --timeout=600s job/first-model
	@kubectl -n vigil rollout status --timeout=180s deployment/rollout-controller
	@node=$$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}'); \
	  url=$${URL:-http://$$node:30080}; \
	  echo "POST $$url/score"; \
	  curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors -X POST "$$url/score" -H 'content-type: application/json' \
	    -H 'x-entity-id: customer-17' -d '{"amount": 249.90, "hour": 2, "device_risk": 2, "velocity_5m": 7}'; echo
	@kubectl -n vigil exec prediction-store-0 -- psql -h /var/run/postgresql -U vigil -d vigil \
	  -c 'select role, tag, score, decision, latency_us from predictions order by scored_at desc limit 1'
	@node=$$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}'); \
	  $(BIN)/python -m k8s.demo --url "$${URL:-http://$$node:30080}" --image vigil/pipeline:$(VERSION)

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
