# Each target names a task. Targets install what they need into .venv first.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?=
BENCH  ?=
SET    ?=
# Processes of `make test`; each starts its own Apache Kafka and Redis.
WORKERS ?= 2
bin    := $(VENV)/bin
# uv, if it is on the PATH, installs the same packages faster than pip. It compiles modules only on request; where
# PYTHONDONTWRITEBYTECODE is set, every process would otherwise compile the modules that it imports.
PIP    ?= $(if $(shell command -v uv),uv pip install --compile-bytecode --python $(bin)/python,$(bin)/python -m pip install --disable-pip-version-check)
sources := $(wildcard stream/codec/src/*)

.DEFAULT_GOAL := help
.PHONY: help demo test lint check bench quality kafka compose-test compose-log sanitize fuzz docs format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(VENV)/installed-demo ## train on the sample data, start a broker and a worker, watch labels arrive
	@$(bin)/labelstream demo

# By default PyTorch's threads spin while they wait for each other, and a training beside another process of the tests takes
# several times as long.
test: $(VENV)/installed-dev ## run all tests but those of the Compose stack, against a real Apache Kafka and Redis
	@OMP_WAIT_POLICY=passive $(bin)/python -m pytest -m "not compose" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed-dev ## lint, check types and imports
	$(bin)/ruff check stream trainer tests benchmarks notebooks
	$(bin)/ruff format --check stream trainer tests benchmarks notebooks
	$(bin)/mypy
	$(bin)/lint-imports --no-cache

check: lint ## lint, and run the fast tests with coverage
	$(bin)/python -m pytest -q tests/unit tests/property -m "not slow and not apache and not redis" --cov --cov-report=term

bench: $(VENV)/installed-dev ## run benchmarks beside the alternatives on Apache Kafka; DATA=folder, BENCH="free --quick"
	@$(bin)/python -m benchmarks.speed $(if $(DATA),--data $(DATA)) $(BENCH)

quality: $(VENV)/installed-dev ## train on published data and evaluate; DATA=folder, SET="banking77 sick" (default: all)
	@$(bin)/python -m benchmarks.quality $(if $(DATA),--data $(DATA)) $(SET)

kafka: $(VENV)/installed-dev ## run a real Apache Kafka on 127.0.0.1:9092 until Ctrl-C
	@$(bin)/python -m tests.kafka

compose-test: $(VENV)/installed-dev ## build the images; start, test, scale, kill and stop the Compose stack
	@$(bin)/python -m pytest tests/compose

compose-log: $(VENV)/installed-dev ## the same, and write durations and results to docs/compose.md
	@LABELSTREAM_TEST_COMPOSE_LOG=docs/compose.md $(bin)/python -m pytest tests/compose

sanitize: $(VENV)/installed-dev ## build the compiled codec with gcc's sanitizers and -Werror, and test it
	@PYTHON=$(bin)/python tests/codec/sanitize

fuzz: $(VENV)/installed-dev ## pass a million random records through both codecs; each must have one valid outcome
	@$(bin)/python -m tests.property.fuzz --inputs 1000000

docs: $(VENV)/installed-dev ## write the table of flags into docs/training.md
	$(bin)/python -m trainer.config docs/training.md
	$(bin)/python -m trainer.config docs/from-huggingface.md

format: $(VENV)/installed-dev ## apply ruff's fixes and its format
	$(bin)/ruff check --fix stream trainer tests benchmarks notebooks
	$(bin)/ruff format stream trainer tests benchmarks notebooks

clean: ## remove the environment, build outputs, the demo's folder and all caches
	rm -rf $(VENV) .demo .bench .quality build *.egg-info stream/codec/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; name it: make PYTHON=python3.12 demo"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "error: the venv module is incomplete; on Debian: apt-get install python3-venv"; exit 2; }

$(VENV)/installed-demo: pyproject.toml constraints.txt $(sources) | $(bin)/python
	@echo "installing into $(VENV): about 5 GB, most of it torch; one to three minutes"
	$(PIP) -c constraints.txt -e '.[cpu,trainer,demo]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt $(sources) | $(bin)/python
	@echo "installing into $(VENV): about 5 GB, most of it torch; one to three minutes"
	$(PIP) -c constraints.txt -e '.[cpu,openvino,serve,trainer,int8-static,lora,sweep,tracking,otel,schemas,parquet,ray,spark,demo,notebooks,dev]'
	@touch $@ $(VENV)/installed-demo
