# `make demo`, `make docs` and `make test` each work alone on a fresh clone with Python 3.10 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
BIN = $(VENV)/bin

.PHONY: demo docs test test-fast clean

demo: $(VENV)/.installed
	$(BIN)/rerank demo --out $(OUT)

test: $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" scripts/check

# Without what runs long and without the examples in docstrings.
test-fast: $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" scripts/check -m "not slow" tests

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The site: docs/_build/html/index.html"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) \
		else "rerank needs Python 3.10 to 3.13, $(PYTHON) is %d.%d; try make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python setup.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache docs/_build docs/generated docs/gallery
