# Needs Python 3.11 or newer and make. Everything else is installed into .venv:
# no root, no compiler. Choose the interpreter with `make PYTHON=python3.13 ...`,
# and pass arguments on with `make test ARGS='-k render'`.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.PHONY: help demo test lint bench notebooks pictures coverage-page peers hard-points venv clean

help:
	@echo 'make demo   train on handwritten digits and draw graphs, into out/'
	@echo 'make test   the test-suite'
	@echo 'make lint   ruff and mypy --strict'
	@echo 'make bench  time training steps against the libraries that are installed'
	@echo 'make notebooks  execute the notebooks and write them with what they show'
	@echo 'make pictures   draw the pictures of the README anew, into docs/'
	@echo 'make peers  compare 10,000 random programs with PyTorch and JAX'
	@echo 'make hard-points     docs/hard-points.md, from the engine and the peers'
	@echo 'make coverage-page   docs/coverage.md, from the tables of the ops'
	@echo 'make venv   .venv with everything for development'
	@echo 'make clean  remove all that was made'

demo: $(VENV)/installed-demo
	$(BIN)/python notebooks/demo.py --out out $(ARGS)

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .
	$(BIN)/mypy --strict autograd_core nn

# Peers take part where they are installed: $(BIN)/pip install -e '.[bench]'
bench: $(VENV)/installed-demo
	$(BIN)/python -m benchmarks $(ARGS)

pictures: $(VENV)/installed-demo
	$(BIN)/python docs/pictures.py

# Random programs against PyTorch and JAX: values and gradients. Takes a quarter of an hour.
peers: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.agreement $(ARGS)

# docs/hard-points.md, with what PyTorch and JAX give.
hard-points: $(VENV)/installed-bench
	$(BIN)/python -m docs.hard_points

# What becomes of each public name of NumPy and SciPy.
coverage-page: $(VENV)/installed-test
	$(BIN)/python -m docs.make_coverage

venv: $(VENV)/installed-dev

notebooks: $(VENV)/installed-notebooks
	$(BIN)/python notebooks/build.py $(ARGS)

# One stamp for each set of extras, renewed when the requirements change.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	@echo "installing autograd-core[$*] into $(VENV)"
	@$(PIP) install --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Python 3.11 or newer is needed, and $(PYTHON) is %d.%d: try make PYTHON=..." \
	  % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) out build dist *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
