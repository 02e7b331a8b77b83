# Two commands do everything on a fresh machine that has Python (3.11 or newer) and nothing else: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
endif

# PyPI's PyTorch for Linux brings CUDA along. `make test TORCH_FIND_LINKS=…` names a folder, or a page of links, with a CPU build;
# pip's own configuration (PIP_FIND_LINKS, pip.conf) does as well.
TORCH_FIND_LINKS ?=

.PHONY: demo test lint types contracts tests format bench clean

# a plain install is enough for the demo; `make test` adds the tools
demo: $(VENV)/.core
	$(BIN)/qrelkit demo --folder demo

test: lint types contracts tests

lint: $(VENV)/.all
	$(BIN)/ruff check src tests examples benchmarks
	$(BIN)/ruff format --check src tests examples benchmarks

types: $(VENV)/.all
	$(BIN)/mypy

contracts: $(VENV)/.all
	$(BIN)/lint-imports

tests: $(VENV)/.all
	$(BIN)/pytest

format: $(VENV)/.all
	$(BIN)/ruff check --fix src tests examples benchmarks
	$(BIN)/ruff format src tests examples benchmarks

bench: $(VENV)/.all
	$(BIN)/python benchmarks/all.py

clean:
	rm -rf $(VENV) demo

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.all: $(VENV)/pyvenv.cfg pyproject.toml constraints.txt
	@$(BIN)/python -m pip config list | grep -q "find-links" || [ -n "$(TORCH_FIND_LINKS)" ] || echo "PyTorch comes from PyPI:" \
	    "on Linux that is the CUDA build, gigabytes. For a CPU build: make test TORCH_FIND_LINKS=FOLDER-OR-PAGE-OF-LINKS"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	    $(addprefix --find-links ,$(TORCH_FIND_LINKS)) --editable ".[fast,irds,pandas,local,ray,postgres,dense,zh,hub,test]"
	@touch $@ $(VENV)/.core
