# Two commands set everything up from a bare clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# Two torch threads on two shared cores can be nine times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-all test-inspect bench docs refresh lint clean

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "overrefusal needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

# torch comes first and pinned: left to the resolver it may bring gigabytes of CUDA packages.
$(VENV)/.dev: $(VENV)/.core
	$(PIP) torch
	$(PIP) -e '.[all,dev,docs]'
	touch $@

demo: $(VENV)/.core
	@$(BIN)/python examples/demo.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -m ''

# Inspect's pins and ours do not go together, so its bridge is tested in an environment of its own.
$(VENV)/.inspect: $(VENV)/.core
	$(PYTHON) -m venv $(VENV)/inspect
	$(VENV)/inspect/bin/pip install --quiet --disable-pip-version-check -e '.[inspect]' \
		inspect-ai==0.3.285 openai==3.54.0 pytest pytest-asyncio hypothesis
	touch $@

test-inspect: $(VENV)/.inspect
	$(VENV)/inspect/bin/python -m pytest tests/models/test_inspect.py tests/test_inspect_bridge.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/eval_throughput.py
	$(BIN)/python benchmarks/report_html.py
	$(BIN)/python benchmarks/judges.py
	$(BIN)/python benchmarks/local_generation.py
	$(BIN)/python benchmarks/direction_extraction.py

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What the README and the docs show of the program: their outputs and pictures, made anew.
refresh: $(VENV)/.dev
	$(BIN)/python docs/_tools/commands.py --write
	$(BIN)/python docs/_tools/pictures.py

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
