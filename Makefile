# On a machine with Python 3.11 or newer, each target makes what it needs: a virtual environment in .venv, and in it the
# versions of constraints.txt. A second call installs nothing.

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format bench docs clean distclean

VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$python && break; done)
# setuptools warns of editable installs as such, in a box that reads like a failure.
INSTALL := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet -c constraints.txt
DATA := $(or $(RELMILL_TEST_DATA),../shared/data)
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Arguments for pytest: make test ARGS='tests/stages -k coco'
ARGS ?=

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/demo.stamp  ## Caption, parse and tag 200 drawn pictures; report precision and recall.
	$(BIN)/relmill label examples/demo.yaml

# The first files are those that wait for processes most; the last ones share what is left evenly.
test: $(VENV)/test.stamp  ## Run the tests.
	$(PYTEST) -m 'not extended' $(ARGS)

test-all: $(VENV)/test.stamp  ## Run the tests that take longest, too.
	$(PYTEST) $(ARGS)

lint: $(VENV)/lint.stamp  ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/lint.stamp  ## Mend what ruff can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# These need real data; where there is none, they are left out and say so.
ON_DATA := benchmarks/assignment.py benchmarks/parse.py benchmarks/parse_recall.py
bench: $(VENV)/test.stamp  ## Run every benchmark.
	set -e; for script in $(filter-out $(ON_DATA),$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script; done
	@set -e; if test -d '$(DATA)/relations'; then for script in $(ON_DATA); do \
		echo "== $$script"; $(BIN)/python $$script --data '$(DATA)'; done; \
		else echo '== $(ON_DATA) left out: no $(DATA)/relations, see CONTRIBUTING.md'; fi

docs: $(VENV)/docs.stamp  ## Build the documentation into site/.
	$(BIN)/mkdocs build --strict

clean:  ## Remove what was built and the demo's output, but not the virtual environment.
	rm -rf build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis out/demo
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## Remove the virtual environment, too.
	rm -rf $(VENV)

# pip 25.1 is the first that installs dependency groups.
$(VENV)/pip.stamp:
	@test -n '$(PYTHON)' || { echo 'No Python >= 3.11 with venv found; install one (Debian: python3-venv) or say' \
		'make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo '$(PYTHON) is no Python >= 3.11 with venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/base.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

$(VENV)/demo.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(INSTALL) -e '.[blip]'
	@touch $@ $(VENV)/base.stamp

$(VENV)/test.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(INSTALL) -e '.[audit,blip,plot,s3,train]' --group test
	@touch $@ $(VENV)/base.stamp

$(VENV)/lint.stamp: $(VENV)/base.stamp
	$(INSTALL) --group lint
	@touch $@

$(VENV)/docs.stamp: $(VENV)/pip.stamp pyproject.toml constraints.txt
	$(INSTALL) --group docs
	@touch $@
