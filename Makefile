# make demo: the whole story against a sandbox.  make test: everything that must hold.  make lint: the quick half of it.
# Each target makes .venv from hashed pins when there is none, and anew when the pins have changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# Two tests at a time: on two cores the suite takes about two thirds of its time alone.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: help demo test lint test-slow bench pins clean

help:
	@echo "make demo       watch declarations become live integrations, against a sandbox on this machine"
	@echo "make test       ruff, mypy, then every test (PostgreSQL's are skipped where it is not installed)"
	@echo "make lint       ruff and mypy only"
	@echo "make test-slow  the tests that try every boundary instead of a sample"
	@echo "make bench      the measurements"
	@echo "make pins       choose the versions in requirements/ anew"
	@echo "make clean      remove what these targets made"

demo: .venv/.package
	@$(BIN)/reconciler demo

test: lint
	@$(PYTEST) -m "not slow"

lint: .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test-slow: .venv/.dev
	@$(PYTEST) -m slow

bench: .venv/.dev
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-pins build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find reconciler tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python that runs, is new enough and can make virtual environments. A name on PATH proves none of the three: version
# managers leave names that only print an error, and Debian ships the venv module apart from Python.
define choose_python
chosen=; without_venv=; \
for name in $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3); do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
  if "$$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then chosen=$$name; break; fi; \
  without_venv=$${without_venv:-$$name}; \
done; \
if [ -z "$$chosen" ] && [ -n "$$without_venv" ]; then \
  version=$$("$$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
  echo "error: $$without_venv (Python $$version) has no venv module, so no virtual environment can be made" >&2; \
  echo "  = Debian and Ubuntu: apt-get install python$$version-venv" >&2; exit 1; \
elif [ -z "$$chosen" ]; then \
  echo "error: Python 3.11 or newer is needed; tried $(or $(PYTHON),python3.13 python3.12 python3.11 python3.14 python3)" >&2; \
  echo "  = Debian and Ubuntu: apt-get install python3 python3-venv; elsewhere: make PYTHON=/path/to/python3.11 …" >&2; exit 1; \
fi
endef

# .runtime: what the program needs. .package: the program itself, from this folder. .dev: what its tests need, too.
.venv/.runtime: requirements/runtime.txt requirements/dev.txt
	@$(choose_python); \
	echo "making .venv with $$("$$chosen" --version), once: about a minute" >&2; \
	"$$chosen" -m venv --clear .venv
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@touch $@

.venv/.package: .venv/.runtime pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.package
	@echo "installing what the tests need" >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

# For every platform and Python that pyproject.toml admits, and without a word about where packages come from.
COMPILE := .venv-pins/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade
pins: .venv-pins/.made
	@$(COMPILE) --all-extras -o requirements/dev.txt pyproject.toml requirements/build.in
	@$(COMPILE) --extra postgres -c requirements/dev.txt -o requirements/runtime.txt pyproject.toml requirements/build.in
	@$(COMPILE) -o requirements/tools.txt requirements/tools.in

.venv-pins/.made: requirements/tools.txt
	@$(choose_python); "$$chosen" -m venv --clear .venv-pins
	@.venv-pins/bin/python -m pip --disable-pip-version-check -qq install --require-hashes -r requirements/tools.txt
	@touch $@
