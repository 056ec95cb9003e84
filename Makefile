# Every task of the project; `make` alone lists them.
#
# The tasks run in a virtual environment that holds the pinned packages of requirements.txt. It is made
# when it is missing, and made anew when requirements.txt changes.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
LOCK_ARGS ?=

BIN := $(VENV)/bin
# Stamps are named after what was installed and written when it is complete: other content or another
# checkout asks for another stamp, and an install that failed has left none.
checksum = $(shell $(1) | cksum | cut -d ' ' -f 1)
PACKAGES := $(VENV)/.packages-$(call checksum,cat requirements.txt)
PROJECT := $(VENV)/.project-$(call checksum,(pwd; cat requirements.txt pyproject.toml))

.DEFAULT_GOAL := help
.PHONY: help environment test test-all book test-book demo lint types bench lock build clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

environment: $(PROJECT) ## make the virtual environment (VENV=.venv PYTHON=python3)

$(PACKAGES):
	@if [ -e '$(VENV)' ] && [ ! -e '$(VENV)/pyvenv.cfg' ]; then \
		echo "$(VENV) exists and is no virtual environment; name another folder: make VENV=..." >&2; exit 2; fi
	@echo "making the environment $(VENV), which takes some minutes"
	$(PYTHON) -m venv --clear '$(VENV)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch '$@'

$(PROJECT): $(PACKAGES)
	@rm -f $(VENV)/.project-*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch '$@'

test: environment ## run the tests (PYTEST_ARGS="-k episodes" runs some of them)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-all: environment ## run the slow tests too
	$(BIN)/python -m pytest -m "not gpu and not book" $(PYTEST_ARGS)

book: environment ## execute all chapters and build the pages into book/_build/html
	$(BIN)/jupyter-book build -W --keep-going book/

test-book: environment ## check the pages that make book has built, in a browser too
	MUSICFSL_REQUIRE_BOOK=1 $(BIN)/python -m pytest -m "book and not slow" tests/book $(PYTEST_ARGS)

demo: environment ## train on the embedded data set and print the accuracy with its interval
	$(BIN)/musicfsl demo

lint: environment ## check style, formatting and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: environment ## check types
	$(BIN)/mypy

bench: environment ## compare speed and memory with peers
	$(BIN)/python -m benchmarks

lock: ## bring requirements.txt in line with pyproject.toml (needs uv; LOCK_ARGS=--upgrade for newer versions)
	uv pip compile pyproject.toml --extra book --extra dev --universal --python-version 3.10 $(LOCK_ARGS) \
		-c constraints.txt --no-emit-index-url --custom-compile-command "make lock" -o requirements.txt

build: environment ## build wheel and sdist into dist/ and check that both install and run
	rm -rf dist
	$(BIN)/python -m build
	@for archive in dist/*.whl dist/*.tar.gz; do $(BIN)/python .github/check_archive.py "$$archive" || exit 1; done

clean: ## remove what the other tasks left, the environment included
	@if [ -e '$(VENV)' ] && [ ! -e '$(VENV)/pyvenv.cfg' ]; then \
		echo "$(VENV) is no virtual environment; it is left alone" >&2; exit 2; fi
	rm -rf '$(VENV)' build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .grimp_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
