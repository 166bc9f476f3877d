# `make demo` and `make test` set everything up by themselves; both can be repeated.
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test test-slow fuzz kill-test lint format web web-demo web-test clean

.venv/pyvenv.cfg:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/pyvenv.cfg pyproject.toml setup.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

# The base install alone: no TensorFlow.
demo: .venv/installed
	$(BIN)/tfderain derain examples/rainy --out demo_output --compare --overwrite
	$(BIN)/tfderain evaluate menet --data examples --protocol matlab_y_float
	@echo "Before and after, side by side: demo_output/*.compare.png"

test: .venv/installed-dev lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

# Minutes each. FUZZ, such as `FUZZ="--pictures 100 --seed 3"`, goes to the script.
fuzz: .venv/installed-dev
	$(BIN)/python scripts/fuzz.py $(FUZZ)

kill-test: .venv/installed-dev
	$(BIN)/python scripts/kill_test.py

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The page needs Node.js 20 and npm; its tests need Chromium, too.
web/node_modules/installed: web/package.json web/package-lock.json
	cd web && npm ci
	touch $@

web: web/node_modules/installed
	cd web && npm run build

web-demo: web
	cd web && npm run demo

web-test: .venv/installed-dev web
	cd web && npm test
	$(BIN)/python -m pytest -m web tests/test_web.py

clean:
	rm -rf .venv build dist demo_output *.egg-info .pytest_cache .ruff_cache web/dist web/node_modules
