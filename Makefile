# Set-up, the main job and the checks; `make help` lists the targets.
# Every path is relative, so that a checkout may stand in a folder with spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
MEMBERS ?=
NAME ?= callback
ARGS ?=

.PHONY: help setup demo test lint fix races journeys chaos bench migrate clean lock

help: ## List the targets.
	@grep -E '^[a-z]+:.*##' Makefile | sed -e 's/:.*##/:/' | while IFS=: read -r name text; do \
		printf '  make %-9s%s\n' "$$name" "$$text"; done

setup: ## Make .venv and install what requirements.lock pins (done by the other targets).
	@bash .ci/setup

demo: setup ## Run the main job on real retail data (ONCE=1: without a person; MEMBERS=200: a slice).
	@.venv/bin/zhiyin demo $(if $(ONCE),--once) $(if $(MEMBERS),--members $(MEMBERS)) $(ARGS)

test: setup ## Everything that must pass before a change lands: lint, then the tests.
	@MAKE="$(MAKE)" bash .ci/tests $(ARGS)

lint: setup ## Check style, types and the direction of imports.
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo

fix: setup ## Let ruff mend what it can.
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

races: setup ## Only the races: two real connections, one winner.
	$(PY) -m pytest -m race $(ARGS)

journeys: setup ## Only the browser journeys (chromium at /usr/bin/chromium or ZHIYIN_CHROMIUM).
	$(PY) -m pytest -m journey $(ARGS)

chaos: setup ## Only the tests that kill processes in the middle (ZHIYIN_CHAOS_TOUCHES=500: a smaller storm).
	$(PY) -m pytest -m chaos $(ARGS)

bench: setup ## Measure beside a peer or the floor (NAME=callback).
	@.venv/bin/zhiyin bench $(NAME) $(ARGS)

migrate: setup ## Bring the database to the newest revision.
	@.venv/bin/zhiyin migrate

clean: ## Remove caches and build leftovers; var/ (your data) and .venv stay.
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis zhiyin.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './var/*' -prune -exec rm -rf {} +

lock: ## Write requirements.lock anew from pyproject.toml (needs uv).
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	uv pip compile pyproject.toml --all-extras --generate-hashes --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements.lock
