# Vedette from a bare checkout: `make run`, `make demo`, `make test`. Everything goes into .venv and var.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
DATA ?= var

SOURCES_COMPILED := $(shell find dnsbl profiler -name '*.pyx' -o -name '*.pxd')
BENCHES := $(basename $(notdir $(wildcard tests/bench/bench_*.py)))

.DEFAULT_GOAL := help
.PHONY: help run demo test lint bench build dist clean

help: ## This list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: build ## Build and start on loopback, with the data in var.
	@exec $(BIN)/vedette up --data $(DATA)

demo: build ## The same with a made network to look at, with the data in var/demo.
	@exec $(BIN)/vedette up --data $(DATA) --demo

test: $(STAMPS)/dev build ## The whole suite; as root it first installs the peers that it needs from Debian.
	@if [ "$$(id -u)" = 0 ]; then tests/install-peers.sh; fi
	$(BIN)/python -m pytest $(PYTEST)

lint: $(STAMPS)/dev build ## Formatter, linter and type checker.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMPS)/dev build ## Every bench, beside its peers; `make bench BENCHES=bench_dns` for one.
	@for bench in $(BENCHES); do echo "== $$bench"; $(BIN)/python -m tests.bench.$$bench || exit 1; done

build: $(STAMPS)/build ## The virtual environment with Vedette in it, compiled in place.

dist: $(STAMPS)/dev ## A source distribution and a wheel, in dist.
	$(BIN)/python -m build

clean: ## Remove what was built, but neither the virtual environment nor the data.
	rm -rf build dist *.egg-info $(STAMPS)/build
	find dnsbl profiler \( -name '*.so' -o -name '*.c' \) -delete

# pip before 25.1 knows no dependency groups.
$(STAMPS)/venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: pyproject.toml $(STAMPS)/venv
	$(BIN)/python -m pip install -qq --group dev
	@touch $@

# What is compiled depends on .pxd files that the build does not know of: so it starts anew.
$(STAMPS)/build: $(SOURCES_COMPILED) pyproject.toml $(STAMPS)/venv
	find dnsbl profiler \( -name '*.so' -o -name '*.c' \) -delete
	$(BIN)/python -m pip install -qq --editable .
	@touch $@
