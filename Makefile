# The words that people and CI both use. Each sets up what it needs, from this project's own files.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
PYTHON_HERE := $(VENV)/bin/python
PACKAGES := $(VENV)/.packages
EXTENSION := $(VENV)/.extension
PIP := $(PYTHON_HERE) -m pip install --quiet --constraint scripts/constraints.txt

# Whatever the extension is compiled from; the folders too, so that a deleted file counts.
RUST := $(shell find crates/limitpal/src python/src) $(wildcard Cargo.toml Cargo.lock) \
	crates/limitpal/Cargo.toml python/Cargo.toml

# The peers of the benchmarks have a workspace and a lock of their own.
BENCH_RUST := cargo run --release --locked --manifest-path bench/rust/Cargo.toml \
	--target-dir target/bench-rust --

# The environment must be of this place and the extension must be there: else both are made again.
ROOTED := $(shell [ "$$(cat $(PACKAGES) 2>/dev/null)" = "$$PWD" ] && $(PYTHON_HERE) -c 'print(1)')
BUILT := $(wildcard python/limitpal/_limitpal*.so)

# One interpreter for every build of pyo3, so that no word makes another rebuild it.
export PYO3_PYTHON := $(CURDIR)/$(PYTHON_HERE)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export CARGO_TERM_PROGRESS_WHEN := never

.PHONY: help demo demo-rust test lint check fmt bench bench-huge bench-python pictures matrix setup clean need-all need-lint again

help: ## list the words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(EXTENSION) ## the main job on real input: a hard provider, a naive client, ours (Python)
	$(PYTHON_HERE) -m demo

demo-rust: | need-all ## the same in Rust
	cargo run --release --package limitpal-examples --bin demo

test: $(EXTENSION) ## every check of behaviour, in Rust and in Python
	$(PYTHON_HERE) scripts/test.py

lint: $(PACKAGES) | need-lint ## form and habits: rustfmt, clippy, ruff, sizes
	$(PYTHON_HERE) scripts/lint.py

check: ## lint and test
	$(MAKE) lint
	$(MAKE) test

fmt: $(PACKAGES) | need-lint ## format everything
	cargo fmt --all
	$(PYTHON_HERE) -m ruff check --fix --exit-zero --quiet .
	$(PYTHON_HERE) -m ruff format .

bench: $(EXTENSION) ## ours beside the peers, a quarter of an hour; writes docs/explanation/benchmarks.md
	@mkdir -p target/bench
	$(BENCH_RUST) --out target/bench/rust.json
	$(PYTHON_HERE) bench/python/run.py --out target/bench/python.json
	$(PYTHON_HERE) scripts/instructions.py --json target/bench/instructions.json
	$(PYTHON_HERE) bench/page/write.py target/bench/*.json

bench-huge: $(EXTENSION) ## the rows with ten million keys, five minutes; the page has them from then on
	@mkdir -p target/bench
	$(BENCH_RUST) --huge --rows "10 M" --out target/bench/rust-huge.json
	$(PYTHON_HERE) bench/page/write.py target/bench/*.json

bench-python: $(EXTENSION) ## what one call costs, in bare Python calls
	$(PYTHON_HERE) bench/python/bare_calls.py

pictures: $(EXTENSION) ## draw what each algorithm admits, for docs/explanation/algorithms.md
	$(PYTHON_HERE) scripts/pictures.py

matrix: $(PACKAGES) ## the Python tests on every CPython >= 3.10 that this machine offers
	$(PYTHON_HERE) scripts/matrix.py

setup: $(EXTENSION) ## the virtual environment with our package in it, and nothing else

clean: ## remove what the words made
	rm -rf $(VENV) .venvs bench/.venvs bench/*/target .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis target
	rm -f python/limitpal/_limitpal*.so
	find python demo scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +

need-all:
	@scripts/need.sh python cargo

need-lint:
	@scripts/need.sh python cargo lint-tools

$(PACKAGES): pyproject.toml scripts/constraints.txt $(if $(ROOTED),,again) | need-all
	@echo "setting up $(VENV)"
	$(if $(ROOTED),,@"$$(scripts/find-python.sh)" -m venv --clear $(VENV))
	@$(PIP) pip
	@$(PIP) --group dev
	@pwd > $@

$(EXTENSION): $(PACKAGES) $(RUST) $(if $(BUILT),,again) | need-all
	@echo "building the extension"
	@PIP_QUIET=1 VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(PYTHON_HERE) -m maturin develop --release --quiet
	@touch $@

again:
