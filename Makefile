# Two commands matter: `make demo` and `make test`. Both start from Python >= 3.11 and make alone, as root or not.
# Everything is installed into .venv from requirements/*.txt, pinned and hashed; nothing outside this folder is touched.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
VIDEO ?=
DEMO_HOME ?= .demo
ARGS ?=
# How many tests run side by side. Each worker has its own database, brokers and browser: mind the memory.
WORKERS ?= 2
# A person detector for the benches, and weights of ultralytics' for the comparison with it (needs the extra `yolo`).
MODEL ?= $(wildcard $(or $(DOORLINE_FOOTAGE),../shared/data)/models/yolox_nano.onnx)
WEIGHTS ?=
# Where made-up chains are kept, to be measured again.
CHAINS ?= /var/tmp/doorline-chains

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help venv venv-test demo clean-demo test screenshots chaos bench-edge bench-ingest bench-kpi bench-storage bench-value bench-web fuzz-api check format lint types lock clean

help: ## Show what can be made
	@echo "Doorline: who comes through each door, and who becomes a customer."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo VIDEO=door.mp4 PORT=9000    another film, another port"
	@echo "  make test ARGS='-k counter -x'        only some tests"
	@echo "  make test WORKERS=4                   more of them side by side (2)"

venv: $(VENV)/.demo ## Make .venv and install what the demo needs
venv-test: $(VENV)/.test

# Looked at each time one of the stamps is made: a clear word beats a stack trace of venv's.
define make_venv
	@if [ -z "$(PYTHON)" ]; then \
		echo "doorline: no Python 3.11 or newer found. Install one (Debian: apt-get install python3 python3-venv)," >&2; \
		echo "doorline: or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "doorline: $(PYTHON) is $$($(PYTHON) -V 2>&1); 3.11 or newer is needed:" \
			"make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@if ! [ -x $(BIN)/python ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "doorline: $(PYTHON) has no venv module (Debian: apt-get install python3-venv)" >&2; exit 2; }; \
		echo "Making $(VENV) with $$($(PYTHON) -V)"; \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) || { \
			echo "doorline: could not make $(VENV) here: is the disk full, or the folder not yours?" >&2; exit 2; }; fi
endef

# The project itself goes in without its dependencies (they are pinned above) and without a build environment
# (its build tool is pinned there too), so that nothing unpinned is ever fetched.
define install
	@echo "Installing what $(1) pins (once; later runs skip this)"
	@$(BIN)/python -m pip install -qq --no-compile --require-hashes --requirement $(1)
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
endef

$(VENV)/.demo: requirements/demo.txt pyproject.toml
	$(make_venv)
	$(call install,requirements/demo.txt)
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml
	$(make_venv)
	$(call install,requirements/test.txt)
	@touch $(VENV)/.demo $@

demo: $(VENV)/.demo ## Run a whole chain on this machine: stores, history, live counts (Ctrl-C stops it)
	@exec $(BIN)/doorline demo --port $(PORT) --home "$(DEMO_HOME)" $(if $(VIDEO),--video "$(VIDEO)") $(ARGS)

clean-demo: ## Forget the demo's data
	@if [ -x $(BIN)/doorline ]; then $(BIN)/doorline demo --home "$(DEMO_HOME)" --forget; \
	else rm -rf "$(DEMO_HOME)"; fi

# Most of what is slow waits for a process or a moment: one worker works while another waits. Whoever is through takes
# tests over from the other's end; ARGS='-n 0' runs all in one process.
test: $(VENV)/.test ## Run every test, on the same embedded parts as the demo
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

chaos: $(VENV)/.test ## Break it on purpose: N schedules of faults (8) from SEED (1) on, and see that nothing is lost
	@$(BIN)/python -m tests.chaos.schedule --number $(or $(N),8) --seed $(or $(SEED),1) $(ARGS)

screenshots: $(VENV)/.test ## Take every page in both languages, three widths, light and dark (.artifacts/screenshots)
	@$(BIN)/python -m bench.screenshots $(ARGS)

bench-edge: $(VENV)/.test ## Measure the counting: accuracy, robustness, lines from tracks, speed, cameras (half an hour)
	$(BIN)/python -m bench.bench_accuracy
	$(if $(MODEL),$(BIN)/python -m bench.bench_accuracy --model $(MODEL))
	$(BIN)/python -m bench.bench_tracks
	$(BIN)/python -m bench.bench_pairs
	$(BIN)/python -m bench.bench_robustness
	$(if $(MODEL),$(BIN)/python -m bench.bench_robustness --model $(MODEL))
	$(BIN)/python -m bench.bench_speed $(if $(MODEL),--model $(MODEL)) $(if $(WEIGHTS),--weights $(WEIGHTS))
	$(BIN)/python -m bench.bench_cameras

# Node-RED is no part of this: npm install --prefix /tmp/nodered node-red pg, then make bench-ingest NODERED=/tmp/nodered
NODERED ?=
bench-ingest: $(VENV)/.test ## Measure ingest: share of plain COPY, a backlog, crossing to page, memory (twenty minutes)
	$(BIN)/python -m bench.bench_ingest
	$(BIN)/python -m bench.bench_drain
	$(BIN)/python -m bench.bench_latency
	$(BIN)/python -m bench.bench_memory
	$(if $(NODERED),$(BIN)/python -m bench.bench_nodered $(NODERED))

bench-kpi: $(VENV)/.test ## Measure reading at chain size: 1,000 stores and a year, made up (an hour, 30 GB in CHAINS=...)
	test -e $(CHAINS) || $(BIN)/python -m bench.bench_kpi --make $(CHAINS)
	$(BIN)/python -m bench.bench_kpi --use $(CHAINS) $(ARGS)

bench-web: $(VENV)/.test ## Measure pages and API under load beside an empty page, and 500 live pages (ten minutes)
	$(BIN)/python -m bench.bench_web $(ARGS)

# Requests made up for each operation, within its schema and outside, each sent as every role.
FUZZ ?= 100
fuzz-api: $(VENV)/.test ## Try the whole API with made-up requests as each role, others every time (hours: FUZZ=100)
	DOORLINE_FUZZ_EXAMPLES=$(FUZZ) $(BIN)/python -m pytest -s tests/server/test_made_up.py $(ARGS)

bench-value: $(VENV)/.test ## Measure a night of customer value: a million members (half an hour, 15 GB)
	$(BIN)/python -m bench.bench_value $(ARGS)

# A server that has TimescaleDB, and a user who may add databases: make bench-storage TIMESCALE=postgresql://...
TIMESCALE ?=
bench-storage: $(VENV)/.test ## Measure raw crossings: their size, plain and packed, and letting them go (five minutes)
	$(BIN)/python -m bench.bench_storage $(if $(TIMESCALE),--timescale $(TIMESCALE))

check: $(VENV)/.test lint types test ## What CI runs: format, lint, types, then every test

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/python -m mypy

format: $(VENV)/.test ## Put the code into its format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# One resolution for all: the others take the versions of the largest.
LOCK = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock"
lock: ## Pin requirements/*.txt anew from pyproject.toml
	@$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install --quiet uv
	$(LOCK) pyproject.toml requirements/build.in --upgrade --extra test --output-file requirements/test.txt
	$(LOCK) pyproject.toml requirements/build.in --extra edge --extra server -c requirements/test.txt --output-file requirements/demo.txt
	$(LOCK) requirements/build.in -c requirements/test.txt --output-file requirements/build.txt
	$(LOCK) pyproject.toml --extra edge -c requirements/test.txt --output-file requirements/edge.txt
	$(LOCK) pyproject.toml --extra server -c requirements/test.txt --output-file requirements/server.txt
	@rm -rf $(VENV)-lock

clean: clean-demo ## Forget the demo's data, the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
