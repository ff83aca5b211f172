# All that is needed is Python 3.11 or newer and make; everything else goes into .venv, at the versions of constraints.txt.
PYTHON ?= python3
PYTEST_ARGS ?=

BIN := .venv/bin
STAMP := .venv/.installed
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo test scenarios bench reference wheel-smoke clean

help:
	@echo 'make demo         plan a shipped district on simulated devices and show the result'
	@echo 'make test         every check: style, types, import contracts, tests (PYTEST_ARGS=...), built wheel'
	@echo 'make scenarios    plan every shipped scenario and show them in one table'
	@echo 'make bench        the short benchmarks'
	@echo 'make reference    write docs/reference from the code'
	@echo 'make wheel-smoke  build the wheel and run it outside this folder'
	@echo 'make clean        remove .venv and caches'
	@echo 'Another Python: make demo PYTHON=python3.12'

# The back end comes first, at its pinned version: an isolated build would fetch whichever is newest.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("gridopt needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) hatchling
	$(BIN)/python $(PIP_INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/gridopt demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory wheel-smoke

scenarios: $(STAMP)
	@$(BIN)/python benchmarks/gallery.py

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py --short

reference: $(STAMP)
	$(BIN)/python docs/write_reference.py

# What a user of the wheel gets: no checkout in sight, neither as current folder nor on the path.
wheel-smoke: $(STAMP)
	@set -eu; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; trap 'exit 1' HUP INT TERM; unset PYTHONPATH; \
	$(BIN)/python -m build --wheel --no-isolation --outdir "$$away" .; \
	$(PYTHON) -m venv "$$away/venv"; \
	"$$away/venv/bin/python" $(PIP_INSTALL) "$$away"/*.whl; \
	cd "$$away"; set -x; \
	venv/bin/gridopt --help >/dev/null; \
	venv/bin/gridopt --version; \
	venv/bin/gridopt family battery >/dev/null; \
	venv/bin/gridopt device check gridopt-sim-battery >/dev/null; \
	venv/bin/gridopt run two-roofs --out plan; \
	test -s plan/summary.json; test -s plan/schedule.parquet

clean:
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
