# revshare: everything a checkout can do. `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9
UV := build/lock-venv/bin/uv
PACKAGES := ledger projections payouts api
STYLED := $(PACKAGES) alembic tests
# A newcomer need not have hledger: what needs it is left out then, and a line says so.
HAS_HLEDGER := $(shell command -v hledger || true)

# What the commands read from the environment passes through when it is set; nothing has to be.
export DATABASE_URL TEST_DATABASE_URL STRIPE_API_KEY STRIPE_API_BASE STRIPE_WEBHOOK_SECRET
ifeq ($(strip $(DATABASE_URL)),)
unexport DATABASE_URL
endif
ifeq ($(strip $(TEST_DATABASE_URL)),)
unexport TEST_DATABASE_URL
endif
ifeq ($(strip $(STRIPE_API_KEY)),)
unexport STRIPE_API_KEY
endif
ifeq ($(strip $(STRIPE_API_BASE)),)
unexport STRIPE_API_BASE
endif
ifeq ($(strip $(STRIPE_WEBHOOK_SECRET)),)
unexport STRIPE_WEBHOOK_SECRET
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check format-check lint types layers format bench bench-quick soak simulate simulate-bench prove lock clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the environment in .venv from the hashed lock file

# Hashes are demanded of everything that is fetched; the project itself is then built with what the lock brought.
$(STAMP): requirements-dev.lock pyproject.toml
	@echo "== install: environment in $(VENV)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## Run everything on the real data (DATABASE_URL=..., ONCE=1 to stop by itself)
	$(BIN)/revshare demo $(if $(filter-out 0 no false,$(ONCE)),--once)

test: check ## Every check, then the tests on SQLite and PostgreSQL
	@echo "== tests: pytest on SQLite and PostgreSQL"
	@$(if $(HAS_HLEDGER),,echo "== left out: what needs hledger, which is not on the PATH (Debian: apt-get install hledger)")
	@$(BIN)/python -m pytest -m "not long and not bench$(if $(HAS_HLEDGER),, and not hledger)" -n auto --dist worksteal $(PYTEST_ARGS)

check: format-check lint types layers ## Every check but the tests: format, lint, types, layers

format-check: install
	@echo "== format: ruff format"
	@$(BIN)/ruff format --check $(STYLED)

lint: format-check
	@echo "== lint: ruff"
	@$(BIN)/ruff check $(STYLED)

types: lint
	@echo "== types: mypy, strict"
	@$(BIN)/mypy

layers: types
	@echo "== layers: import-linter"
	@$(BIN)/lint-imports

format: install ## Put the code into its format and mend what lint can mend
	$(BIN)/ruff check --fix $(STYLED)
	$(BIN)/ruff format $(STYLED)

bench: install ## Measure the ratio table of the design: text, JSON and a plot, under build/bench/
	$(BIN)/python -m tests.bench

bench-quick: install ## The same in under five minutes
	$(BIN)/python -m tests.bench --quick

MINUTES ?= 30
ON ?= postgresql
soak: install ## Everything under 70% of its peak load: memory, p99 and lag stay flat (MINUTES=30, ON=postgresql or sqlite)
	$(BIN)/python -m tests.bench.soak --minutes $(MINUTES) --database $(ON)

SCHEDULES ?= 2000
SEED ?= 1
simulate: install ## Break everything around the payout worker (SCHEDULES=2000 SEED=1, MUTANT=NAME or list)
	@$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) --seed $(SEED) $(if $(MUTANT),--mutant $(MUTANT))

simulate-bench: install ## The same with 100,000 schedules: about an hour on two free cores
	@$(BIN)/python -m tests.simulation --schedules 100000 --seed $(SEED)

EDITS ?= 10000
prove: install ## Tamper with ledgers as a superuser can, on fresh databases: each must be named (EDITS=10000)
	@$(BIN)/python -m tests.proof --edits $(EDITS)

# The two files agree on every version: the second is held to the first. No address of an index goes into either.
lock: $(UV) ## Make the lock files anew from pyproject.toml (UPGRADE=1 takes newer versions)
	$(UV) pip compile $(LOCK_OPTIONS) --extra build --output-file requirements.lock pyproject.toml
	$(UV) pip compile $(LOCK_OPTIONS) --extra build --extra dev --constraints requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

LOCK_OPTIONS = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	$(if $(UPGRADE),--upgrade)

$(UV):
	"$(PYTHON)" -m venv build/lock-venv
	build/lock-venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

clean: ## Remove the environment, caches and what was built; keeps var/
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(STYLED) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
