# The two commands of the README are `make up` and `make test`. Settings: docs/operations.md
PYTHON ?= python3
VENV = .venv/bin
# the whole suite takes two processes; named tests, a debugger or a -n of one's own take over
PARALLEL = $(if $(filter tests/% -n% no:xdist --pdb --trace,$(ARGS)),,-n 2)

PACKAGES = accounts api copying copyportal editing jobs reporting strategies subscribers users tools manage.py
BANDIT = -q -c pyproject.toml --severity-level medium -b tools/bandit.json -r $(PACKAGES)

.PHONY: help up reset venv dev test lint lock mutants

help:
	@echo "make up     start everything; PORT, BACKEND_PORT, VAR, DEMO=0, TLS=1 are honoured"
	@echo "make reset  empty the folder of run-time data (VAR, default var/) after asking"
	@echo "make test   run the whole test suite with its own services; ARGS=... goes to pytest, such as"
	@echo "            ARGS=tests/integration/users or ARGS='-p no:xdist --pdb tests/unit/users'"
	@echo "make lint   check style and types"
	@echo "make mutants  try by hand which small changes of CODE=copying/engine no unit test notices"
	@echo "make lock   make the requirement locks anew from pyproject.toml"

venv:
	@$(PYTHON) copyportal/services/bootstrap.py

dev:
	@$(PYTHON) copyportal/services/bootstrap.py dev

up: venv
	@exec $(VENV)/python -m copyportal.services up

reset: venv
	@exec $(VENV)/python -m copyportal.services reset

test: dev
	@exec $(VENV)/python -m copyportal.services run -- $(VENV)/python -m pytest $(PARALLEL) $(ARGS)

lint: dev
	@$(VENV)/ruff check . && $(VENV)/ruff format --check . && $(VENV)/mypy && $(VENV)/bandit $(BANDIT)

mutants: dev
	@exec $(VENV)/python tools/mutants.py $(CODE) $(if $(TESTS),--tests "$(TESTS)") $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(KEEP),--keep $(KEEP))

lock: dev
	@$(VENV)/uv pip compile -q --universal --generate-hashes --python-version 3.11 $(UPGRADE) pyproject.toml -o requirements.lock
	@$(VENV)/uv pip compile -q --universal --generate-hashes --python-version 3.11 $(UPGRADE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@echo uv | $(VENV)/uv pip compile -q --universal --generate-hashes --python-version 3.11 $(UPGRADE) - -o requirements-uv.lock
