# make demo · make test · make check · make bench: each sets up what it needs, from a bare clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS := 1.29.0.post1
BENCH ?= spine
# files of tests side by side, on two cores; ARGS="-n 0" runs them one after the other
BESIDE := -n 2 --dist loadfile
# each has modules of its own beside firmware/lib, and one that is called main
DEVICES := gps_tag rf_tag home_unit alcohol_tag
# someone who watches sees each package as it comes; a log gets one line a step
QUIET := $(shell test -t 2 || echo --quiet)
PIP := $(BIN)/python -m pip install $(QUIET) --disable-pip-version-check
export TAGWATCH_DATA ?= $(abspath ../shared/data)

.PHONY: demo test test-long test-nojit fuzz check bench firmware setup system format clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       simulated tags, a real broker and gateway, alerts here and on a page"
	@echo "make test       the whole suite          make test-long   the long fault and soak forms"
	@echo "make fuzz       decoders fed by a fuzzer, some twenty minutes"
	@echo "make test-nojit the whole suite with the core's kernels as plain Python (about twice as long)"
	@echo "make check      format, lint, types      make bench       measure; writes bench.json"
	@echo "make firmware   compiles what boards run, into build/firmware"

setup: $(VENV)/.installed typings/esp32/.installed typings/rp2/.installed gateway/web/static/vendor/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "· 1/3 setting up Python packages (once; a minute or two)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --constraint constraints.txt --editable '.[dev]' >&2
	@touch $@

typings/%/.installed: Makefile $(VENV)/.installed
	@echo "· 2/3 setting up the $* type stubs" >&2
	@rm -rf typings/$*
	@$(PIP) --target typings/$* micropython-$*-stubs==$(STUBS) >&2
	@touch $@

gateway/web/static/vendor/.installed: gateway/web/package.json gateway/web/vendor.mjs
	@echo "· 3/3 setting up the page's styles and scripts" >&2
	@cd gateway/web && { npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error && node vendor.mjs; } >&2
	@touch $@

# tests start a server of their own: the package is not to make and start one beside it
NO_CLUSTER := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null \
  && sed -ri 's/^\#?(create_main_cluster) .*$$/\1 = false/' /etc/postgresql-common/createcluster.conf

# Debian's packages that tests start for real, and what draws PDFs. As root they are installed; else the line to type is printed.
system:
	@missing=""; command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v mosquitto >/dev/null || test -x /usr/sbin/mosquitto || missing="$$missing mosquitto"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v fiu-ctrl >/dev/null || missing="$$missing fiu-utils"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	for part in libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core; do \
	  dpkg -s $$part >/dev/null 2>&1 || missing="$$missing $$part"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then echo "· installing$$missing"; \
	    apt-get update -qq && case "$$missing" in *postgresql*) $(NO_CLUSTER);; esac && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends$$missing >/dev/null; \
	  else echo "missing:$$missing. Please run: sudo apt-get install -y --no-install-recommends$$missing" >&2; exit 1; fi; fi

demo: setup
	@$(BIN)/tagwatch demo $(ARGS)

test: setup system
	@$(BIN)/python -m pytest -m "not long" $(BESIDE) $(ARGS)

test-nojit: setup system
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not long" $(BESIDE) --timeout 900 $(ARGS)

test-long: setup system
	@$(BIN)/python -m pytest -m "long or not long" $(BESIDE) --timeout 7200 $(ARGS)

fuzz: setup system
	@$(BIN)/python -m pytest -m "long or not long" --timeout 7200 tests/fuzz $(ARGS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@for device in $(DEVICES); do \
	  $(BIN)/mypy --config-file .mypy-firmware.ini firmware/lib firmware/boards firmware/$$device || exit 1; done
	@$(BIN)/mypy --config-file .mypy-firmware-rp2.ini firmware/lib
	@$(BIN)/python -m pytest -q tests/test_imports_point_one_way.py

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup
	@$(BIN)/python -m tests.bench.$(BENCH)

firmware: setup
	@$(BIN)/python -m sim.bench.bundle build/firmware

clean:
	rm -rf $(VENV) typings build dist .mypy_cache .pytest_cache .ruff_cache gateway/web/node_modules gateway/web/static/vendor
