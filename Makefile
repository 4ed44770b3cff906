# Every verb prepares what it needs, on a fresh machine with Python 3.11+, git and ssh.
#
#   make demo        a cluster behind a gateway and a client, with the real git-annex commands
#   make test        the whole test suite
#   make check       formatting, linting, types and the unit tests; under a minute
#   make properties  the laws that hold for all inputs; part of make test
#   make interop     the tests against the real git-annex client and sshd
#   make bench       how fast we are beside git-annex-shell
#   make clients     the older git-annex clients, and DataLad, that some interop tests use
#   make install     install the two programs for use (see below)
#   make clean       remove everything that was made here

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTEST := $(BIN)/pytest -q --dist=loadgroup
# Most tests of the whole suite wait for other programs, and for disks, half of the time.
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# On its defaults, which are black's; what it checks besides is what flake8 and isort do.
RUFF := $(BIN)/ruff
RULES := --target-version py311 --select F,I,E4,E7,E9,W6

# Each worker, and each program that tests start, would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=

OLD_CLIENT := 10.20250605
DATALAD := 1.7.1
DEBIAN_DEB := git-annex_10.20230126-3_amd64.deb

CHECKED := tests/unit tests/test_architecture.py
SOURCES := annexshell tests contrib setup.py

.PHONY: check style quick properties test interop bench demo clients install clean
.DEFAULT_GOAL := check

$(STAMP): setup.cfg setup.py
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found in PATH: install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot create virtual environments: on Debian and Ubuntu run apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test,admin]'
	touch $@

check: $(STAMP)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target style quick

style: $(STAMP)
	$(RUFF) format --check --target-version py311 $(SOURCES)
	$(RUFF) check $(RULES) $(SOURCES)
	$(BIN)/mypy

quick: $(STAMP)
	$(PYTEST) --numprocesses=auto -m "not thorough" $(CHECKED)

properties: $(STAMP)
	$(PYTEST) --numprocesses=auto tests/properties

test: $(STAMP) clients
	$(PYTEST) --numprocesses=$(WORKERS) tests

interop: $(STAMP) clients
	ANNEXSHELL_WANTED_CASES=5000 $(PYTEST) --numprocesses=$(WORKERS) tests/interop

# BENCH is its options: make bench BENCH=--quick, make bench BENCH='--write docs/benchmarks.md'
BENCH ?=
bench: $(STAMP) $(if $(filter --write% --plot%,$(BENCH)),$(VENV)/.bench)
	$(BIN)/python -m tests.bench $(BENCH)

$(VENV)/.bench: | $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

demo: $(STAMP)
	$(BIN)/python contrib/demo.py

# The older clients, and DataLad. A machine that cannot have one (no PyPI, no Debian mirror, another
# processor) still runs the tests: those that need it are skipped and say so.
clients: .venv-old/.ready .venv-datalad/.ready .cache/debian/.ready

.venv-old/.ready: | $(STAMP)
	@$(PYTHON) -m venv .venv-old && .venv-old/bin/python -m pip install --quiet git-annex==$(OLD_CLIENT) \
	  && touch $@ || echo "make: git-annex $(OLD_CLIENT) could not be installed; its tests will be skipped" >&2

.venv-datalad/.ready: | $(STAMP)
	@$(PYTHON) -m venv .venv-datalad && .venv-datalad/bin/python -m pip install --quiet datalad==$(DATALAD) pytest \
	  && touch $@ || echo "make: DataLad $(DATALAD) could not be installed; its tests will be skipped" >&2

.cache/debian/.ready:
	@mkdir -p .cache/debian && { contrib/fetch-debian-client .cache/debian $(DEBIAN_DEB) && touch $@; } \
	  || echo "make: Debian's git-annex could not be fetched; its tests will be skipped" >&2

# For use: into a virtual environment of its own below PREFIX, with the two programs in
# PREFIX/bin. PREFIX is /usr/local for root and ~/.local for everybody else. Nothing of
# the system's Python is touched; make install PREFIX=... again replaces it.
PREFIX ?= $(shell if [ "$$(id -u)" = 0 ]; then echo /usr/local; else echo "$$HOME/.local"; fi)
LIBDIR := $(PREFIX)/lib/annexshell

install:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found in PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot create virtual environments: on Debian and Ubuntu run apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear "$(LIBDIR)"
	"$(LIBDIR)/bin/python" -m pip install --quiet '.[admin]'
	"$(LIBDIR)/bin/python" contrib/launchers.py "$(PREFIX)/bin"
	@echo "installed $(PREFIX)/bin/annexshell and $(PREFIX)/bin/annexshell-admin"

clean:
	rm -rf .venv .venv-old .venv-datalad .cache build *.egg-info .hypothesis .mypy_cache .ruff_cache .pytest_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
