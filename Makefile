# Everything a person does here. `make demo` is the place to begin.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PYTEST_VERSION := $(shell sed -n 's/^pytest==\([^ ;]*\).*/\1/p' requirements/dev.txt)

.PHONY: demo serve test test-all test-postgres test-bugsink crash-test crash-test-short lint requirements clean

$(READY): requirements/dev.txt
	@echo "Making .venv and installing what requirements/dev.txt pins; this takes about a minute."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@# The repositories that demo and tests make on the spot install pytest from these wheels, without a network.
	@$(BIN)/pip download --quiet --disable-pip-version-check --dest .venv/wheels pytest==$(PYTEST_VERSION)
	@touch $@

demo: $(READY) ## set everything up, run the main job end to end, say what happened
	@$(BIN)/python -m tests.demo

serve: $(READY) ## the same set-up, left running, with an admin user
	@$(BIN)/python -m tests.demo --serve

test: $(READY) ## unit, integration and a short acceptance lane
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not bugsink"

test-postgres: $(READY) ## the same tests on a throw-away PostgreSQL
	@$(BIN)/python -m tests.doubles.postgres $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not bugsink"

.venv-bugsink/ready: requirements/bugsink.txt
	@$(PYTHON) -m venv .venv-bugsink
	@.venv-bugsink/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bugsink.txt
	@touch $@

test-bugsink: $(READY) .venv-bugsink/ready ## events read back from a server that checks Sentry's schema
	@$(BIN)/python -m pytest -q -m bugsink

crash-test: $(READY) ## break Booty at every point and in every way, on both databases; with SECONDS=n (and SEED=n) at random instead
	@$(BIN)/python -m tests.crash $(if $(SECONDS),--random $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

crash-test-short: $(READY) ## the part of it that CI runs, a few minutes
	@$(BIN)/python -m tests.crash --short

test-all: test test-postgres test-bugsink crash-test ## every lane

lint: $(READY) ## style, types and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

requirements: $(READY) ## pin the newest versions that requirements/*.in allow, with hashes
	@for name in base dev bugsink; do $(BIN)/uv pip compile requirements/$$name.in --output-file requirements/$$name.txt --upgrade \
	  --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links --quiet; done

clean: ## remove what the targets above made
	@rm -rf .venv .venv-bugsink .state
