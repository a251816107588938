# make app    everything a new machine needs, then the studio (until the studio exists: the demo)
# make test   everything a new machine needs, then the test-suite
# make demo   renders a sample to out/
# make check  ruff, format, pyright, fast tests
# Needs Python 3.11+ and make. Nothing is installed again while requirements.txt and pyproject.toml stay as they are.

.DEFAULT_GOAL := help
.PHONY: help app test test-slow demo check format clean

# The first interpreter that runs and is new enough: a shim that only prints an error must not win.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
PIP_ARGS ?=

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(RUN):
	@test -n "$(PYTHON)" || { echo "LetsTalk needs Python 3.11 or newer; none was found. Install it, or say make PYTHON=/path/to/python."; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "If that says ensurepip: Debian has it in python3-venv."; exit 1; }

$(VENV)/.stamp-app: requirements.txt pyproject.toml | $(RUN)
	@echo "Installing (about 2 GB the first time)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.stamp-dev: requirements.txt pyproject.toml | $(RUN)
	@echo "Installing with the tools for tests (about 2 GB the first time)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e ".[dev]"
	@touch $@ $(VENV)/.stamp-app

app: $(VENV)/.stamp-app
	@$(RUN) app.py

demo: $(VENV)/.stamp-app
	@$(RUN) -m letstalk demo --out out

test: $(VENV)/.stamp-dev
	@$(RUN) -m pytest

test-slow: $(VENV)/.stamp-dev
	@$(RUN) -m pytest -m "slow and not gpu"

check: $(VENV)/.stamp-dev
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m pyright
	@$(RUN) -m pytest -q -m "not slow and not gpu and not browser"

format: $(VENV)/.stamp-dev
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) out .pytest_cache .ruff_cache
