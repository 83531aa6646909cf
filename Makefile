# The commands of developers and CI. They need make and Python 3.11 or later, and create every
# environment in this folder, from the pinned requirements.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export SAM_CLI_TELEMETRY := 0
# Where uv installs Python 3.13 if the machine has none.
export UV_PYTHON_INSTALL_DIR := $(CURDIR)/.python

UV := .venv/bin/uv
SAM := .venv-sam/bin/sam

# A stamp's name contains the checksum of its inputs, so that it is rebuilt when their content
# changes, and only then.
checksum = $(firstword $(shell cksum $(1) 2>/dev/null | cksum))
dev_env := .venv/.made-$(call checksum,requirements/pip.txt requirements/dev.txt)
sam_env := .venv-sam/.made-$(call checksum,requirements/sam.txt)
checkov_env := .venv-checkov/.made-$(call checksum,requirements/checkov.txt)
lambda_env := .venv-lambda/.made-$(call checksum,requirements/lambda.txt)
native_layer := .venv-lambda/layer/.made-$(call checksum,requirements/runtime.txt)
native_attestations := .venv-lambda/attestations/.made-$(call checksum,requirements/attestations.txt)
servers_env := .venv-servers/.made-$(call checksum,requirements/servers.txt)
clients_env := .venv-clients/.made-$(call checksum,requirements/clients.txt)
fuzz_env := .venv-fuzz/.made-$(call checksum,requirements/fuzz.txt)
bandersnatch_env := .venv-bandersnatch/.made-$(call checksum,requirements/bandersnatch.txt)
built := .aws-sam/build/.made-$(call checksum,template.yaml samconfig.toml mirror.conf \
    $(wildcard *.json) requirements/runtime.txt requirements/attestations.txt \
    $$(find functions layers shared -type f ! -path '*/__pycache__/*'))

##@ Use

.PHONY: demo
demo: $(dev_env) ## Mirror some projects and install one from the mirror (PROJECTS="six ...", SERVE=1: keep serving)
	PYTHONPATH=shared .venv/bin/python -m localcloud demo

.PHONY: deploy
deploy: $(built) ## Deploy to AWS; asks for the settings (ENV=prod: take them from samconfig.toml)
	$(SAM) deploy $(if $(ENV),--config-env $(ENV),--guided)

.PHONY: smoke
smoke: $(built) ## Deploy a stack to your AWS account, mirror and install a project, delete all of it (ARGS=--keep)
	PYTHONPATH=shared .venv/bin/python -m tests.smoke $(ARGS)

.PHONY: estimate
estimate: $(dev_env) ## Estimate what mirror.conf costs in AWS (ARGS="--downloads-gb 100 --json")
	PYTHONPATH=shared .venv/bin/python -m frumious.cli estimate $(ARGS)

##@ Develop

.PHONY: check
check: lint ## Check style and types, run the tests that need no build and no server (ARGS=...)
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
	  -m "not moto and not whole and not servers" tests/frumious tests/fuzz tests/test_documents.py $(ARGS)

.PHONY: test
test: $(dev_env) ## Run the tests, built functions included (ARGS="tests/frumious/selection -k name")
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

.PHONY: test-servers
test-servers: $(dev_env) $(servers_env) $(clients_env) $(bandersnatch_env) ## Test with real servers (nginx, Swift, LocalStack, rclone), Chromium, Poetry and PDM (ARGS=...)
	@.venv/bin/python -m tests.servers
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile -m servers $(ARGS)

.PHONY: bandersnatch
bandersnatch: $(dev_env) $(bandersnatch_env) ## Compare with bandersnatch 8 (ARGS="-k folder")
	.venv/bin/python -m pytest -m bandersnatch tests/bandersnatch $(ARGS)

.PHONY: corpus
corpus: $(dev_env) ## Test all hostile responses of upstream, with a full and an empty mirror
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 -m "whole or not whole" tests/hostile

.PHONY: lint
lint: $(dev_env) ## Check style (ruff), types (mypy --strict) and the files of docker/
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy --strict $(wildcard shared functions localcloud tests bench)
	.venv/bin/hadolint docker/Dockerfile
	.venv/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml

.PHONY: format
format: $(dev_env) ## Format the code, and fix what ruff can fix
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

.PHONY: conformance
conformance: $(dev_env) ## Compare each field of the Simple API with upstream (writes docs/conformance.md)
	PYTHONPATH=shared .venv/bin/python -m tests.conformance

.PHONY: commands
commands: $(dev_env) ## Write docs/commands.md from the commands' own help
	PYTHONPATH=shared .venv/bin/python -m tests.frumious.cli.commands_page

.PHONY: sessions
sessions: $(dev_env) ## Record anew what a person sees on a terminal (tests/frumious/cli/sessions)
	RECORD=1 .venv/bin/python -m pytest tests/frumious/cli/test_sessions.py

.PHONY: bench
bench: $(dev_env) ## Measure the worker's memory and requests, and the pages' bytes on the wire
	$(UV) pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	PYTHONPATH=shared .venv/bin/python -m bench.stream
	PYTHONPATH=shared .venv/bin/python -m bench.requests
	PYTHONPATH=shared .venv/bin/python -m bench.wire

.PHONY: bench-peers
bench-peers: $(dev_env) $(servers_env) $(bandersnatch_env) ## Compare with bandersnatch, a bare loop and rclone, on S3 servers of rclone and LocalStack (ARGS="--rounds 3")
	$(UV) pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	PYTHONPATH=shared .venv/bin/python -m bench.peers $(ARGS)

.PHONY: bench-start
bench-start: $(dev_env) $(bandersnatch_env) $(native_layer) ## Measure how long the command and the functions take to start (ARGS="--rounds 30")
	PYTHONPATH=shared .venv/bin/python -m bench.start $(ARGS)

.PHONY: bench-worker
bench-worker: $(dev_env) $(built) $(native_layer) ## Measure the built worker's jobs: time, CPU and memory (ARGS="--rounds 10")
	$(UV) pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	PYTHONPATH=shared .venv/bin/python -m bench.worker $(ARGS)

.PHONY: bench-scale
bench-scale: $(dev_env) ## Measure planner and finalizer at PyPI's size (N=20000: fewer projects)
	$(UV) pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	PYTHONPATH=shared .venv/bin/python -m bench.scale $(if $(N),--projects $(N))

.PHONY: bench-filters
bench-filters: $(dev_env) ## Measure what all filters together cost planner and worker (ARGS="--projects 20000")
	$(UV) pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	PYTHONPATH=shared .venv/bin/python -m bench.filters $(ARGS)

.PHONY: bench-feed
bench-feed: $(dev_env) ## Measure what the change feed costs the finalizer and followers (ARGS="--changes 100")
	PYTHONPATH=shared .venv/bin/python -m bench.feed $(ARGS)

.PHONY: bench-snapshots
bench-snapshots: $(dev_env) ## Measure what snapshots cost: their creation, and pages that change (ARGS="--changes 100")
	PYTHONPATH=shared .venv/bin/python -m bench.snapshots $(ARGS)

.PHONY: bench-closure
bench-closure: $(dev_env) ## Measure what the closure costs planner, finalizer and worker (ARGS="--projects 500")
	PYTHONPATH=shared .venv/bin/python -m bench.closure $(ARGS)

.PHONY: bench-verify
bench-verify: $(dev_env) ## Measure verify of 1,000,000 files in 20,000 pages (ARGS="--files 100000 --projects 2000")
	PYTHONPATH=shared .venv/bin/python -m bench.verify $(ARGS)

.PHONY: bench-downloads
bench-downloads: $(dev_env) ## Measure `frumious downloads` of logs of 2 GB (ARGS="--gigabytes 0.1")
	PYTHONPATH=shared .venv/bin/python -m bench.downloads $(ARGS)

.PHONY: bench-bundles
bench-bundles: $(dev_env) ## Measure export and import of 1,000 changes among 740,000 projects (ARGS="--projects 20000")
	PYTHONPATH=shared .venv/bin/python -m bench.bundles $(ARGS)

.PHONY: idle
idle: $(dev_env) ## Measure what an idle month costs: an hour's ticks on the local stack, times list prices
	PYTHONPATH=shared .venv/bin/python -m bench.idle

.PHONY: latency
latency: $(dev_env) ## Measure the time from a change upstream to the served page, for 100 changes (12 minutes)
	PYTHONPATH=shared .venv/bin/python -m bench.latency

.PHONY: faults
faults: $(dev_env) ## Run 2,000 jobs under random faults (JOBS=500; SEED=7: repeat that trial)
	PYTHONPATH=shared .venv/bin/python -m tests.faults \
	  $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED))

.PHONY: soak
soak: $(dev_env) ## Run the stack under faults, 200 runs and 20 minutes (MINUTES=5 RUNS=50; SEED=7: repeat that trial)
	PYTHONPATH=shared .venv/bin/python -m tests.soak \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

.PHONY: kills
kills: $(dev_env) ## Kill the command 200 times in a folder and in a bucket (KILLS=50; SEED=7: repeat that trial)
	PYTHONPATH=shared .venv/bin/python -m tests.kills \
	  $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

.PHONY: air-gap
air-gap: $(dev_env) ## Keep a mirror without a network in step by bundles, 50 rounds with faults (ROUNDS=10; SEED=7: repeat that trial)
	PYTHONPATH=shared .venv/bin/python -m tests.airgap \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED))

.PHONY: damage
damage: $(dev_env) $(servers_env) ## Damage 500 mirrors in folders, buckets and containers, verify and repair them (MIRRORS=50; SEED=7: repeat that trial)
	PYTHONPATH=shared .venv/bin/python -m tests.damage \
	  $(if $(MIRRORS),--mirrors $(MIRRORS)) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz
fuzz: $(dev_env) $(fuzz_env) ## Fuzz every parser and every persisted value for an hour (MINUTES=5; ARGS="project_json url")
	.venv/bin/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

.PHONY: simulation
simulation: $(dev_env) ## Run 100,000 short histories of the protocol under faults (HISTORIES=1000; SEED=7: repeat them)
	PYTHONPATH=shared .venv/bin/python -m tests.simulation \
	  $(if $(HISTORIES),--histories $(HISTORIES)) $(if $(SEED),--seed $(SEED))

.PHONY: lock
lock: $(dev_env) ## Pin requirements/*.in with hashes (ARGS=--upgrade: the newest versions)
	for name in pip runtime attestations dev command lambda sam checkov bench servers clients bandersnatch fuzz; do \
	  case "$$name" in servers|fuzz) oldest=3.13;; bandersnatch) oldest=3.12;; *) oldest=3.11;; esac; \
	  $(UV) pip compile --quiet --generate-hashes --universal --python-version "$$oldest" \
	    --no-emit-index-url --custom-compile-command "make lock" $(ARGS) \
	    --output-file requirements/$$name.txt requirements/$$name.in || exit; \
	done

##@ Build

.PHONY: build
build: $(built) ## Build the functions and their layer into .aws-sam (sam build)

.PHONY: validate
validate: $(sam_env) $(checkov_env) ## Check template.yaml by the rules of SAM, cfn-lint and checkov (no account needed)
	AWS_DEFAULT_REGION="$${AWS_DEFAULT_REGION:-us-east-1}" $(SAM) validate
	.venv-checkov/bin/checkov --config-file .checkov.yaml

.PHONY: lambda-env
lambda-env: $(lambda_env) $(native_attestations) ## Create .venv-lambda: Python 3.13 with the packages of Lambda's runtime

##@ Help

.PHONY: clean
clean: ## Delete everything that make created: environments, builds, caches, the demo's mirror
	rm -rf .venv .venv-sam .venv-checkov .venv-lambda .venv-servers .venv-clients .venv-bandersnatch .venv-fuzz \
	  .python .aws-sam .localcloud .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "%s%s\n", (n++ ? "\n" : ""), substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s  %s\n", $$1, $$2 }' Makefile

# The environment of the code, its tests and its tools; by pip, which reads the machine's settings.
$(dev_env):
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
	  for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	    "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	      2>/dev/null && exec "$$python" -m venv .venv; \
	  done; \
	  echo "No Python 3.11 or later with its venv module is on PATH: install one" \
	    "(Debian, Ubuntu: apt-get install python3-venv) and try again." >&2; \
	  exit 1; }
	for name in pip dev; do \
	  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    --require-hashes -r requirements/$$name.txt || exit; \
	done
	@rm -f .venv/.made-* && touch $@

# The other environments; by uv, which is many times faster.
$(sam_env): $(dev_env)
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-sam
	$(UV) pip install --quiet --python .venv-sam/bin/python --require-hashes -r requirements/sam.txt
	@touch $@

$(checkov_env): $(dev_env)
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-checkov
	$(UV) pip install --quiet --python .venv-checkov/bin/python --require-hashes \
	  -r requirements/checkov.txt
	@touch $@

# A python3.13 on PATH may be a shim that does not run. If none runs, uv downloads one.
define venv_3_13
	@found=3.13; \
	for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*[0-9]/bin/python3.13; do \
	  path=$$("$$python" -c 'import sys; print(sys.executable)' 2>/dev/null) \
	    && found=$$path && break; \
	done; \
	$(UV) venv --quiet --clear --python "$$found" $(1) || { \
	  echo "No Python 3.13, which Lambda and LocalStack run on, was found on PATH or among" \
	    "pyenv's, and uv could not fetch one: install it (pyenv install 3.13) and try again." >&2; \
	  exit 1; }
endef

$(lambda_env): $(dev_env)
	$(call venv_3_13,.venv-lambda)
	$(UV) pip install --quiet --python .venv-lambda/bin/python \
	  --require-hashes -r requirements/lambda.txt
	@touch $@

# The layer's packages for this machine's processor, in a folder of their own: without the built
# layer, the interpreter has only what Lambda brings.
$(native_layer): $(lambda_env)
	$(UV) pip install --quiet --python .venv-lambda/bin/python --target .venv-lambda/layer \
	  --require-hashes -r requirements/runtime.txt
	.venv-lambda/bin/python -m compileall -q -j 0 .venv-lambda/layer
	@touch $@

# So are those of the verifier's layer, of which tests take what is compiled.
$(native_attestations): $(lambda_env)
	$(UV) pip install --quiet --python .venv-lambda/bin/python --target .venv-lambda/attestations \
	  --require-hashes -r requirements/attestations.txt
	@touch $@

# LocalStack pins many of the libraries that we use.
$(servers_env): $(dev_env)
	$(call venv_3_13,.venv-servers)
	$(UV) pip install --quiet --python .venv-servers/bin/python \
	  --require-hashes -r requirements/servers.txt
	@touch $@

$(clients_env): $(dev_env)
	$(UV) venv --quiet --clear --python .venv/bin/python .venv-clients
	$(UV) pip install --quiet --python .venv-clients/bin/python \
	  --require-hashes -r requirements/clients.txt
	@touch $@

# bandersnatch needs Python 3.12 or later; 3.13 is needed anyway.
$(bandersnatch_env): $(dev_env)
	$(call venv_3_13,.venv-bandersnatch)
	$(UV) pip install --quiet --python .venv-bandersnatch/bin/python \
	  --require-hashes -r requirements/bandersnatch.txt
	@touch $@

# The version of Lambda; Atheris instruments its bytecode.
$(fuzz_env): $(dev_env)
	$(call venv_3_13,.venv-fuzz)
	$(UV) pip install --quiet --python .venv-fuzz/bin/python \
	  --require-hashes -r requirements/fuzz.txt
	@touch $@

# sam and the layer's Makefile find uv and python3.13 on PATH. The build is not cached, because sam
# compares only the layer's folder and would miss changes in shared/.
$(built): $(sam_env) $(lambda_env)
	PATH="$(CURDIR)/.venv-lambda/bin:$(CURDIR)/.venv/bin:$$PATH" $(SAM) build --no-cached
	@touch $@
