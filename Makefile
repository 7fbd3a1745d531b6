# Every target makes the environment it needs in .venv, from the versions in constraints.txt.
# `make PYTHON=python3.12 ...` chooses the interpreter; `make VENV=... CONSTRAINTS=...` another place,
# and other versions.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two targets may need two extras, and pip must not install into one environment twice at a time.
.NOTPARALLEL:
.PHONY: help verify test suite lowest newest lint orders mutants docs bench smoke extras clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

verify: $(VENV)/.installed  ## the theory suite, the embedded experiment on digits, and its verdicts; no network
	$(PY) -m pytest theory
	@store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && set -x && \
	$(PY) -m experiments run digits --seeds 3 --executor processes --store "$$store" && \
	$(PY) -m experiments report digits --store "$$store"

test: lint suite  ## all that CI checks but the long parts: lint, the tests and the theory suite

suite: $(VENV)/.installed-dev $(VENV)/.installed-cluster $(VENV)/.installed-tensorboard  ## the tests and the theory suite alone
	$(PY) -m pytest -n 2

lowest:  ## the suite with the lowest versions that pyproject.toml allows, in .venv-lowest
	$(MAKE) suite VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

newest:  ## the suite with the newest versions there are, in .venv-newest
	$(MAKE) suite VENV=.venv-newest CONSTRAINTS=

lint: $(VENV)/.installed-dev  ## style (ruff) and types (mypy)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

orders: $(VENV)/.installed-dev  ## the theory suite in 20 random orders, each with another seed of hypothesis
	@for seed in $$(seq 20); do \
	  $(PY) -m pytest theory -q -n 2 \
	    --hypothesis-profile=convlaws-varied --hypothesis-seed=$$seed \
	    --random-order --random-order-bucket=global --random-order-seed=$$seed || exit 1; \
	done

mutants: $(VENV)/.installed-dev $(VENV)/.installed-mutants  ## whether tests notice changes of the code, an hour and more; MODULE=theory/geometry for one
	$(PY) tests/mutation/run.py $(MODULE)

docs: $(VENV)/.installed-docs  ## the site in docs/_build/html, warnings as errors
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed-peers  ## kernels and training beside their peers, a few minutes
	$(PY) -m pytest benches --benchmark-only --benchmark-json=docs/results/bench.json

smoke: $(VENV)/.installed-peers  ## each bench once, at its smallest size
	$(PY) -m pytest benches --benchmark-only --smoke

extras: $(VENV)/.installed  ## at once what test, docs and smoke would install as they are made
	$(PIP_INSTALL) --editable '.[dev,docs,peers,cluster,tensorboard]'
	@cd $(VENV) && touch $(addprefix .installed-,dev docs peers cluster tensorboard)

clean:  ## remove what was built, except the environment
	rm -rf build dist docs/_build docs/_generated *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "convlaws needs Python 3.11 or later, and '$(PYTHON)' is not one:" \
	       "name one, as in 'make PYTHON=python3.11'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) $(VENV)/.created
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[$*]'
	@touch $@
