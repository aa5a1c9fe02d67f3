PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUTPUT ?= headroles-output

.PHONY: demo test lint clean

demo: $(VENV)/.installed  ## Install, score the bundled model, draw its role map.
	test -f $(OUTPUT)/role_map.json || $(BIN)/headroles score --output $(OUTPUT)
	$(BIN)/headroles plot $(OUTPUT)/role_map.json --kind all

test: $(VENV)/.tested  ## Install with the test extras, check the style, run all tests.
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

lint: $(VENV)/.tested
	$(BIN)/ruff check .

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) $(OUTPUT) build *.egg-info
