# `make demo` and `make test` set everything up by themselves; both can be repeated.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-slow lint format clean

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/pyvenv.cfg pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

demo: .venv/installed
	$(BIN)/tfderain derain examples/rainy demo_output --compare --overwrite
	$(BIN)/tfderain evaluate menet --data examples --protocol matlab_y_float
	@echo "Before and after, side by side: demo_output/*.compare.png"

test: .venv/installed-dev lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist demo_output *.egg-info .pytest_cache .ruff_cache
