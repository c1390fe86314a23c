# emailhub: `make serve` runs it, `make test` proves it. Written for GNU make 3.81 and newer.
#
#   ARGS="--port 9000"      is passed on by serve, pytest and bench
#   JOBS=3                  how many processes run the tests of `make test`; 0 runs them in one, as a debugger needs
#   PYTHON=/path/to/python  makes .venv with that interpreter

SHELL = /bin/sh
.DEFAULT_GOAL := help
.PHONY: help serve demo pictures test check nightly crash soak bench lock wheel sbom binary clean venv dev services format lint types imports

BIN = .venv/bin
ARGS =
JOBS = 3

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

serve: venv ## Run the hub on http://127.0.0.1:8000
	@exec $(BIN)/emailhub serve $(ARGS)

demo: venv ## Run a hub with made-up mail and troubles, to look at
	@exec $(BIN)/emailhub demo $(ARGS)

pictures: dev ## Take pictures of every page of the demo, wide, dark and on a phone, into build/pictures
	@$(BIN)/python -m tests.support.screenshots $(or $(ARGS),build/pictures)

test: dev check services ## Check the code and run every test that is not nightly
	@$(BIN)/python -m pytest -m "not nightly" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: format lint types imports ## Check formatting, lint, types and the import contract

nightly: dev services ## Run the long tests too: every fault, real mail servers, packages, binary
	@.ci/mtas
	@$(BIN)/python -m pytest -m nightly --timeout 1800 $(ARGS)

crash: dev services ## Kill the hub 300 times under load, and break its disk at every write
	@$(BIN)/python -m pytest tests/crash -m nightly --timeout 1800 $(ARGS)

soak: dev services ## Load the hub for EMAILHUB_SOAK_SECONDS (600), attack it, and see that it takes no more and is no slower
	@EMAILHUB_SOAK_SECONDS=$${EMAILHUB_SOAK_SECONDS:-600} $(BIN)/python -m pytest tests/soak -m nightly --timeout 1800 $(ARGS)

bench: dev services ## Measure messages per second, latency and memory
	@$(BIN)/python -m bench $(ARGS)

lock: ## Resolve the dependencies anew and write the lock files
	@.ci/lock

wheel: dev ## Build dist/emailhub-*.whl
	@$(BIN)/python -m hatchling build --target wheel

sbom: dev ## Write dist/emailhub.cdx.json, what it is made of (CycloneDX)
	@.ci/sbom

binary: dev ## Build dist/emailhub, one file that needs no Python
	@.ci/binary

clean: ## Remove what was built, cached and installed here
	@rm -rf .venv .venv-* .cache .hypothesis build dist
	@find emailhub tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

venv:
	@.ci/setup serve

dev:
	@.ci/setup dev

services:
	@.ci/services

format: dev
	@$(BIN)/ruff format --quiet --check . || { echo "to repair: $(BIN)/ruff format ."; exit 1; }

lint: dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml emailhub

types: dev
	@$(BIN)/mypy

imports: dev
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
