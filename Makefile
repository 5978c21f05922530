# Two commands do everything on a fresh Debian or Ubuntu as root: make demo, make test.

PYTHON := .venv/bin/python
export IMAGE ?= docker-keepalived
export BASE_IMAGE ?= debian:trixie-slim
# Where this checkout's tests put what they make; PYTEST_ARGS="-k name" runs some of them.
PYTEST := $(PYTHON) -m pytest $(PYTEST_ARGS)
# How many tests run side by side: those of the parts compute, those of the lab wait most of the time.
UNIT_WORKERS ?= $(shell nproc)
LAB_WORKERS ?= $(shell echo $$((2 * $$(nproc))))

# Last, one by one, come those that need the machine to themselves. Status 5: there is none, of those that are asked for.
define side_by_side
$(PYTEST) --numprocesses $(1) --maxschedchunk 1 -m "not alone" $(2) || [ $$? = 5 ]
$(PYTEST) -m alone $(2) || [ $$? = 5 ]
endef

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit lab chaos image-test cluster-test image engine bench generate clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## the main job, to watch: two nodes, one VIP, a fail-over (KEEP=1 leaves it running)
	@scripts/setup demo
	@KEEP=$(KEEP) $(PYTHON) -m lab.demo

test: ## every test: lint, unit, lab, image
	@scripts/setup test
	@$(MAKE) --no-print-directory lint unit lab image-test

lint: ## ruff, mypy --strict, the import rules, shellcheck
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports --no-cache --no-logo
	scripts/lint-shell

unit: ## tests of the parts, in seconds
	$(call side_by_side,$(UNIT_WORKERS),tests/unit)

lab: ## tests with real keepalived in network namespaces (root)
	$(call side_by_side,$(LAB_WORKERS),tests/lab)

chaos: ## random faults on real nodes, and a judge of what came of them (STEPS=200 SEED=1 NODES=3; root)
	@scripts/setup test
	$(PYTHON) -m lab.chaos --steps $(or $(STEPS),200) --seed $(or $(SEED),1) --nodes $(or $(NODES),3) $(VARIABLES)

image-test: ## tests of the image on a Docker Engine, where one runs (on CI one must)
	$(PYTEST) tests/image

cluster-test: ## the manifests on the cluster that kubectl points to; CLUSTER_VIP=ADDRESS/PREFIX is free there
	@test -n "$$CLUSTER_VIP" || { echo "CLUSTER_VIP: is not set; name an address that is free in the nodes' subnet, as ADDRESS/PREFIX" >&2; exit 64; }
	$(PYTEST) tests/cluster

engine: ## a Docker Engine: the one that answers, or Debian's docker.io started here
	scripts/docker-engine ensure

image: engine ## the image docker-keepalived (IMAGE=, BASE_IMAGE= change the names)
	scripts/base-image $(BASE_IMAGE)
	scripts/build-image

bench: ## the measured figures of docs/benchmarks.md (about an hour; BENCH=--quick tries it)
	@scripts/setup test
	$(PYTHON) -m bench $(BENCH)

generate: ## the parts of documents and manifests that are made from the code
	$(PYTHON) scripts/generate

clean: ## removes what make made here
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
