# make demo | test | check | bench | models | clean | help. PORT=8010 make demo runs a second one.
# Extra pip options (an index of CPU-only torch builds, say): make PIP_FLAGS="--extra-index-url …"

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_FLAGS ?=
PYTEST_FLAGS ?= -n 2 --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
ifdef PORT
export PORT
endif

# A stamp per set of requirements: a changed lock installs again, an unchanged one costs nothing.
RUN_STAMP := $(VENV)/.run-$(shell cat requirements.txt 2>/dev/null | cksum | cut -d' ' -f1)
DEV_STAMP := $(VENV)/.dev-$(shell cat requirements.txt requirements-dev.txt 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help demo test check lint bench models browser clients clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z ]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(RUN_STAMP) ## everything on this machine, with simulated calls; Ctrl-C ends it
	@exec $(BIN)/python -m empathy_dash.demo

test check: lint models browser clients ## what CI runs: lint, types, contracts, migrations, tests
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(DEV_STAMP) ## style, types, import contracts, templates, migrations (no tests)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@find templates -name '*.html' | xargs -r $(BIN)/djade --check --target-version 5.2
	$(BIN)/python -m empathy_dash.embedded manage.py makemigrations --check --dry-run

bench: $(DEV_STAMP) models ## measure; prints JSON, asserts nothing
	$(BIN)/python -m bench

models: $(RUN_STAMP) ## fetch and verify the open model weights
	@$(BIN)/python -m scoring.assets pull

browser: ## chromium for the page tests (installed when you are root on Debian)
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "installing chromium …"; \
	    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q chromium; } >/dev/null 2>&1 \
	      || echo "chromium could not be installed: the browser tests will say so and skip"; \
	  else echo "chromium is not installed: the browser tests will say so and skip"; fi; }

clients: $(DEV_STAMP) ## programs of others that the protocol tests let call us
	@$(BIN)/python -m tests.clients

clean: ## remove the virtual environment and what tools left (not your models or demo data)
	rm -rf $(VENV) .static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and no python3 was found."; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)."; \
	  echo "Say which one to use: make demo PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  echo "note: the locked requirements are tested with Python 3.11"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { \
	  echo "Could not make a virtual environment (on Debian: apt install python3-venv)."; exit 1; }
	@touch $@

$(RUN_STAMP): $(VENV)/.made
	@echo "installing requirements.txt (first time: a few minutes) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r requirements.txt
	@rm -f $(VENV)/.run-*; touch $@

$(DEV_STAMP): $(VENV)/.made
	@echo "installing requirements-dev.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -r requirements-dev.txt
	@rm -f $(VENV)/.run-* $(VENV)/.dev-*; touch $@ $(RUN_STAMP)
