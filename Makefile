# `make demo` shows nameplate at work, `make test` proves it. For GNU make 3.81 and later, on Linux and macOS.

PYTHON ?= python3
BENCH_FLAGS ?=
DEMO_FLAGS ?=
FUZZ_FLAGS ?=
LOCK_FLAGS ?=
PYTEST_FLAGS ?=
PYTEST_PREFIX ?=
SOAK_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--constraint requirements/constraints.in --custom-compile-command 'make lock' $(LOCK_FLAGS)

# $(call step,heading,command): the heading, the command, and how long it took. A command that fails ends make.
define step
@printf '\n== %s\n' '$(1)'; start=$$(date +%s); $(2) && printf '   %s s\n' "$$(($$(date +%s) - start))"
endef

.PHONY: help demo test bench fuzz soak lint format docs lock clean

help:
	@echo 'make demo     sign a client in and call a protected tool      DEMO_FLAGS="--browser --keep"'
	@echo 'make test     every check and every test                      PYTEST_FLAGS="-k consent"'
	@echo 'make bench    what a request costs, beside a floor            BENCH_FLAGS="--rounds 15"'
	@echo 'make fuzz     invent input for the parsers, for 20 minutes    FUZZ_FLAGS="client_id --seconds 60"'
	@echo 'make soak     kill servers at work, for 10 minutes             SOAK_FLAGS="--seconds 60 --seed 1"'
	@echo 'make lint     the checks that run no test'
	@echo 'make format   put the code in its form'
	@echo 'make docs     write the parts of docs/ that are made from the source'
	@echo 'make lock     resolve the dependencies anew                    LOCK_FLAGS=--upgrade'
	@echo 'make clean    remove what the others made'
	@echo 'Each makes .venv from python3 first; another Python: make demo PYTHON=python3.12'

demo: $(VENV)/.demo-installed
	@$(BIN)/nameplate demo $(DEMO_FLAGS)

test: lint
	@printf '\n== pytest\n'
	@$(PYTEST_PREFIX) $(BIN)/pytest --numprocesses auto --dist loadfile $(PYTEST_FLAGS)

bench: $(VENV)/.demo-installed
	@$(BIN)/python -m bench $(BENCH_FLAGS)

fuzz: $(VENV)/.fuzz-installed
	@$(BIN)/python -m fuzz.run $(FUZZ_FLAGS)

soak: $(VENV)/.test-installed
	@$(BIN)/python -m soak $(SOAK_FLAGS)

lint: $(VENV)/.test-installed
	$(call step,ruff check,$(BIN)/ruff check .)
	$(call step,ruff format --check,$(BIN)/ruff format --check .)
	$(call step,mypy --strict,$(BIN)/mypy)
	$(call step,lint-imports,$(BIN)/lint-imports --no-logo)

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test-installed
	@PYTHONPATH=tests $(BIN)/python tests/checks/generated_docs.py

lock: $(VENV)/.lock-installed
	$(COMPILE) pyproject.toml --all-extras --group build --group dev --output-file requirements/test.txt
	$(COMPILE) pyproject.toml --extra demo --group build --constraint requirements/test.txt --output-file requirements/demo.txt
	$(COMPILE) --group fuzz --output-file requirements/fuzz.txt
	$(COMPILE) --group lock --output-file requirements/lock.txt

clean:
	rm -rf $(VENV) build dist test-output fuzz/crashes fuzz/found .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o -name __pycache__ -prune -exec rm -rf {} +

# requirements/test.txt holds everything that requirements/demo.txt does, in the same versions.
$(VENV)/.test-installed: requirements/test.txt pyproject.toml $(VENV)/.created
	@echo 'Installing what the tests need into $(VENV) (once, about a minute)'
	@$(PIP_INSTALL) --require-hashes --no-deps --requirement requirements/test.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.demo-installed $@

$(VENV)/.demo-installed: requirements/demo.txt pyproject.toml $(VENV)/.created
	@echo 'Installing what the demo needs into $(VENV) (once, less than a minute)'
	@$(PIP_INSTALL) --require-hashes --no-deps --requirement requirements/demo.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Beside what the tests have, so that they can run it. atheris has wheels for Linux on x86-64; elsewhere nothing comes.
$(VENV)/.fuzz-installed: requirements/fuzz.txt $(VENV)/.demo-installed
	@$(PIP_INSTALL) --require-hashes --no-deps --requirement requirements/fuzz.txt
	@touch $@

$(VENV)/.lock-installed: requirements/lock.txt $(VENV)/.created
	@$(PIP_INSTALL) --require-hashes --no-deps --requirement requirements/lock.txt
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nameplate needs Python 3.11 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
		echo 'Name another one: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments: its venv or ensurepip module is missing."; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv'; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV)
	@touch $@
