# make run | demo | test | test-fast | test-sim | mutants | chaos | soak | books | lint | check | clean
#      bench | bench-quick | bench-latencies | bench-peers; the rest is in README.md.
# PROCS=1: one process per service.  PORT, HOST, DATA_DIR, REDIS_URL, RESTART=0 … : see sagastream/settings.py.

PORT      ?= 8080
VENV      ?= .venv
PYTHON    ?= $(shell for name in python3.13 python3.12 python3.11 python3.14 python3 python; do \
               "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
               && { echo "$$name"; break; }; done)
ifneq ($(filter-out 0,$(PROCS)),)
DEV_FLAGS := --procs
endif
ifneq ($(strip $(REDIS_URL)),)
export REDIS_URL
endif
export PORT RESTART
export PYTHONPATH := $(CURDIR)
export PYTHONUNBUFFERED := 1

BIN := $(VENV)/bin
PY  := $(BIN)/python

NPM := tests/browser/node_modules/.package-lock.json

.PHONY: run demo test test-fast test-many screenshots test-sim mutants chaos books bench bench-quick bench-latencies soak transitions asyncapi alerts lint check locks clean
.DEFAULT_GOAL := run

run: $(VENV)/.run
	@exec $(PY) -m sagastream.cli dev $(DEV_FLAGS)

# In a shop of its own, whatever PORT and REDIS_URL say; DATA_DIR keeps what it leaves behind.
demo: $(VENV)/.run
	@exec $(PY) -m demo

test: $(VENV)/.dev $(NPM)
	@$(PY) -m pytest --numprocesses 2 --no-loadscope-reorder -m "not many" $(TESTS)

test-fast: $(VENV)/.dev
	@$(PY) -m pytest --numprocesses 2 -m "not server and not processes and not seeds" $(or $(TESTS),tests/unit)

# With many sagas stored: one leaked unit is found, every page answers in time, and the console shows what happens within
# a tenth of a second (FIGURES=file keeps how soon). Some minutes, 2 GB.
test-many: $(VENV)/.dev
	@$(PY) -m pytest -m many $(or $(TESTS),tests/server tests/browser)

# The console's pictures in docs/pictures, taken anew; `make test` only tries that they can be taken.
screenshots: $(VENV)/.dev $(NPM)
	@SCREENSHOTS=1 $(PY) -m pytest tests/browser/test_pictures.py

# SEEDS=from:to; every seed is one play of a whole shop in virtual time, in which everything goes wrong that can.
SEEDS ?= 0:20000
test-sim: $(VENV)/.dev
	@$(PY) -m tests.stage.play --seeds $(SEEDS) --jobs 2

# Bugs planted into a copy; each must be noticed by the test that its row names. MUTANTS="01-no-bar …" tries only these.
mutants: $(VENV)/.dev
	@$(PY) -m tests.mutants $(MUTANTS)

# SAGAS=n SEED=n: a whole shop in which everything is killed, frozen, lost and poisoned, and then audited. Besides
# RATE=orders a second, JSON=file for the summary; 3 is a run in which something never happened. Nothing stays running.
chaos: $(VENV)/.dev
	@exec $(PY) -m tests.chaos --sagas $(or $(SAGAS),250) --seed $(or $(SEED),1) $(if $(RATE),--rate $(RATE)) \
	  $(if $(JSON),--json $(JSON))

books: $(VENV)/.run
	@$(PY) -m books

# Everything: limit, engine, front door, latency, failure path, growth. PARTS="engine latency" runs only these.
bench: $(VENV)/.run
	@$(PY) -m bench $(PARTS) --csv $(or $(CSV),.data/bench)

# Other engines beside ours. Their packages go into an environment and a folder of their own, and nowhere else.
PEERS_VENV := $(VENV)-peers
.PHONY: bench-peers
bench-peers: $(VENV)/.run $(PEERS_VENV)/.peers bench/peers/node_modules/.package-lock.json
	@$(PY) -m bench.peers --python $(PEERS_VENV)/bin/python --csv $(or $(CSV),.data/bench)/peers.csv

$(PEERS_VENV)/.peers: bench/peers/requirements.lock
	@test -x $(PEERS_VENV)/bin/python || $(PYTHON) -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@cp $< $@

bench/peers/node_modules/.package-lock.json: bench/peers/package-lock.json
	@cd bench/peers && npm ci --silent && touch node_modules/.package-lock.json

bench-quick: $(VENV)/.run
	@$(PY) -m bench.quick

# How soon an undo is asked for, a deadline told, and fresh orders done beside disorder and repairs; some minutes. SCENES=…
bench-latencies: $(VENV)/.run
	@$(PY) -m bench.latencies $(SCENES)

# MINUTES=30 RATE=20: whether memory, keys or descriptors of anything grow while a shop is at work.
soak: $(VENV)/.run
	@exec $(PY) -m bench.soak --minutes $(or $(MINUTES),30) --rate $(or $(RATE),20) $(if $(CSV),--csv $(CSV))

check: $(VENV)/.run
	@$(PY) -m sagastream.cli check

# What happens to an order, however it stands; after a change of its table or of the engine.
transitions: $(VENV)/.run
	@$(PY) -m sagastream.cli transitions order >docs/reference/transitions.md

# What stands on which stream; after a change of events, tables or handlers.
asyncapi: $(VENV)/.run
	@KEY_PREFIX= $(PY) -m sagastream.cli asyncapi >docs/reference/asyncapi.json

# After a change of the rules or of what is promised.
alerts: $(VENV)/.run
	@$(PY) -m prometheus.rules >$(VENV)/alerts.yml && cp $(VENV)/alerts.yml prometheus/alerts.yml

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary $(wildcard sagastream coordinator *_service books demo *.py bench prometheus)
	@$(BIN)/lint-imports --no-cache >$(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

# Packages are installed again only when the lock changes: the stamp holds what was installed last.
# The checkout itself is not installed; its command is a file that knows where it lies.
$(VENV)/.run: requirements.lock
$(VENV)/.dev: requirements-dev.lock
$(VENV)/.run $(VENV)/.dev:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later found; install one or run: make PYTHON=/path/to/python" >&2; exit 1; }
	@cmp -s $< $@ || { \
	  echo "installing $(basename $<) into $(VENV)"; \
	  { test -x $(PY) && $(PY) -m pip --version >/dev/null 2>&1; } || $(PYTHON) -m venv $(VENV) \
	    || { echo "$(PYTHON) -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }; \
	  $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; }
	@printf '#!/bin/sh\n%s\n' 'PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" exec "$(abspath $(PY))" -m sagastream.cli "$$@"' \
	  >$(BIN)/sagastream && chmod +x $(BIN)/sagastream
	@cp $< $@

# What the console is tested with. Where there is no npm, the tests that need it are left out, and say so.
$(NPM): tests/browser/package-lock.json
	@! command -v npm >/dev/null || (cd tests/browser && npm ci --silent && touch node_modules/.package-lock.json)

# Needs uv; the locks hold for Linux and macOS and every Python from 3.11.
locks:
	@for name in requirements requirements-dev bench/peers/requirements; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links $$name.in -o $$name.lock || exit 1; done

clean:
	@rm -rf $(VENV) $(PEERS_VENV) bench/peers/node_modules .data build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
