# Each stamp in .venv says that the extra of that name is installed; the environment itself is made once.
PY ?= python3
BIN := .venv/bin

.PHONY: run test lint types docs bench clean

run: .venv/made
	$(BIN)/twistd -n sockserve

test: .venv/made-test
	$(BIN)/python -m pytest
	$(BIN)/python -m twisted.trial tests

lint: .venv/made-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/made-dev
	$(BIN)/mypy

docs: .venv/made-docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build
	@echo docs/_build/index.html

bench: .venv/made
	$(BIN)/python bench/linear.py
	$(BIN)/python bench/decoding.py

clean:
	rm -rf .venv .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis _trial_temp* tests.* dist docs/_build .coverage*
	rm -f twisted/plugins/dropin.cache twistd.log* twistd.pid
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PY) -m venv .venv

.venv/made: pyproject.toml | $(BIN)/python
	$(BIN)/pip install -e .
	touch $@

.venv/made-%: pyproject.toml | $(BIN)/python
	$(BIN)/pip install -e '.[$*]'
	touch $@
