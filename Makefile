PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OUTPUT ?= headroles-output
# Processes that share the tests: two where there are two cores; more want more memory, as in `make test JOBS=8`.
CORES := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
JOBS ?= $(if $(filter 1,$(CORES)),1,2)
PYTEST = $(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadgroup)

# Editors and type checkers follow the links of a strict editable install; new files are linked when their list changes.
EDITABLE = --config-settings editable_mode=strict --editable
LINKS = $(VENV)/.links-$(shell find headroles adapt cli -type f ! -path '*/__pycache__/*' | LC_ALL=C sort | cksum | cut -d' ' -f1)

.PHONY: demo test quick lint docs wheel clean

# Its adapter lies apart from $(OUTPUT)/adapter, where a user's own goes by default.
demo: $(LINKS)  ## Install, score the bundled model, draw its role map, adapt by it.
	test -f $(OUTPUT)/role_map.json || $(BIN)/headroles score --output $(OUTPUT)
	$(BIN)/headroles plot $(OUTPUT)/role_map.json --kind all
	$(BIN)/headroles adapt --role-map $(OUTPUT)/role_map.json --output $(OUTPUT)/demo --resume
	$(BIN)/headroles plot $(OUTPUT)/demo --kind mask

test: lint  ## Install with the test extras, check style and types, run all tests.
	$(PYTEST)

quick: $(VENV)/.tested $(LINKS)  ## The inner loop, under a minute: style, and all tests that are not marked slow.
	$(BIN)/ruff check .
	$(PYTEST) -m "not slow"

lint: $(VENV)/.tested $(LINKS)  ## Style and types.
	$(BIN)/ruff check .
	rm -rf build/typed && mkdir -p build/typed/headroles
	ln -s $(CURDIR)/headroles/* $(CURDIR)/adapt $(CURDIR)/cli build/typed/headroles  # As they are installed.
	$(BIN)/mypy

docs: $(VENV)/.tested  ## The docs as a site in site/, built strictly and without a network.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch "setuptools>=70.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) .
	touch $@ $(LINKS)

$(LINKS): $(VENV)/.installed
	rm -f $(VENV)/.links-*
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(EDITABLE) .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) ".[test]"
	touch $@

wheel: $(LINKS)  ## A wheel in dist/.
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) $(OUTPUT) build dist site *.egg-info
