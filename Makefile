# Everything a person types here sets up what it needs: a private .venv, made by uv.
PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
RUN := .venv/bin
ARGS ?=
LOWEST := .venv-lowest
unexport PYTHONDONTWRITEBYTECODE  # without bytecode every process takes twice as long to import torch
PYTEST = OMP_NUM_THREADS=1 $(RUN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: help setup search test test-all test-lowest check format picture pictures bench-claims bench-cluster bench-cost bench-degradation bench-dispatch bench-engine bench-faults bench-frontier bench-network bench-noise bench-packing bench-proof bench-early-stopping bench-reading bench-samplers bench-watching fuzz gpu constraints clean

help:  ## what can be typed here
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/.ready  ## make .venv with everything that the project needs

search: .venv/.ready  ## a real search over skip topologies of handwritten digits (about three minutes)
	@$(RUN)/nas search digits $(ARGS)

test: .venv/.ready  ## the tests (under ten minutes on two cores)
	@$(PYTEST) $(ARGS)

test-all: .venv/.ready  ## the tests and the slow ones
	@$(PYTEST) -m "slow or not slow" $(ARGS)

test-lowest: RUN := $(LOWEST)/bin
test-lowest: $(LOWEST)/.ready  ## the tests with the lowest versions that pyproject.toml allows (.venv-lowest: 6 GB)
	@$(PYTEST) $(ARGS)

check: .venv/.ready  ## lint, format, types, layers
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/pytest tests/test_layers.py tests/test_house.py tests/test_docs.py

format: .venv/.ready  ## lay out the code
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

picture: .venv/.ready  ## draw docs/architecture.svg, the wings and their imports, from the code
	@$(RUN)/python -m docs.picture

pictures: .venv/.ready  ## draw docs/pictures, what every command gives (needs tmux and Chromium; a quarter of an hour)
	@$(RUN)/python -m docs.pictures $(ARGS)

bench-degradation: .venv/.ready  ## plain nets degrade with depth, residual ones do not: training error of both
	@$(RUN)/python -m benchmarks.degradation $(ARGS)

bench-claims: .venv/.ready  ## what the literature says of skips, measured: a table of every claim (about an hour on two cores)
	@$(RUN)/python -m benchmarks.claims $(ARGS)

bench-network: .venv/.ready  ## built networks against torchvision's: time of a step, saved activations
	@$(RUN)/python -m benchmarks.network $(ARGS)

bench-cost: .venv/.ready  ## the price before training: predicted memory, microseconds a price
	@$(RUN)/python -m benchmarks.cost $(ARGS)

bench-engine: .venv/.bench  ## the engine against a plain PyTorch loop and Lightning: images a second, accuracy (three minutes)
	@$(RUN)/python -m benchmarks.engine $(ARGS)

bench-samplers: .venv/.ready  ## evaluations to the best of a table of trained networks: our sampler, Optuna's, evolution, local search
	@$(RUN)/python -m benchmarks.samplers $(ARGS)

bench-noise: .venv/.ready  ## does a search recommend what is good or what was lucky? a table of trained networks with noise (half an hour)
	@$(RUN)/python -m benchmarks.noise $(ARGS)

bench-proof: .venv/.ready  ## does a search find something better than what is published? on real data, on the test split (hours; goes on where it stopped)
	@$(RUN)/python -m benchmarks.proof $(ARGS)

bench-watching: .venv/.ready  ## what it costs a search that its dashboard is open: pairs of searches (five minutes)
	@$(RUN)/python -m benchmarks.watching $(ARGS)

bench-reading: .venv/.ready  ## how long nas list, status, rank and report take for a run of 10,000 trials (three minutes)
	@$(RUN)/python -m benchmarks.reading $(ARGS)

bench-faults: .venv/.ready  ## what a search survives: every fault at random moments, and an audit (an hour at most)
	@$(RUN)/python -m benchmarks.faults $(ARGS)

bench-dispatch: .venv/.ready  ## what an instant candidate costs: plain Ray Tune and nas (two minutes)
	@$(RUN)/python -m benchmarks.dispatch $(ARGS)

bench-frontier: .venv/.ready  ## what newer skips add to a Transformer: factors, norms, means of all layers (40 minutes)
	@$(RUN)/python -m benchmarks.claims --only f $(ARGS)

bench-cluster: .venv/.ready  ## how full a search keeps the slots of a simulated cluster (a minute and more)
	@$(RUN)/python -m benchmarks.cluster $(ARGS)

bench-packing: .venv/.ready  ## candidates an hour: packed onto GPUs (without one, onto cores) and one at a time
	@$(RUN)/python -m benchmarks.packing $(ARGS)

bench-early-stopping: .venv/.ready  ## what early stopping saves of a digits search and what it loses (ten minutes)
	@$(RUN)/python -m benchmarks.early_stopping $(ARGS)

fuzz: .venv/.ready  ## thousands of damaged files and arguments: no traceback, no hang, nothing written elsewhere (ten minutes)
	@$(RUN)/python -m benchmarks.fuzz $(ARGS)

gpu: .venv/.ready  ## everything that claims to be for GPUs, on a card; without one a rehearsal (two minutes)
	@$(RUN)/python -m benchmarks.card $(ARGS)

constraints: $(UV)  ## resolve the exact versions anew
	@$(UV) pip compile -q pyproject.toml --extra onnx --group dev --group bench --universal --python-version 3.11 --upgrade \
	  --no-header --no-annotate --no-emit-index-url -o constraints.txt

clean:  ## remove what was installed and cached, never a run
	@rm -rf .venv $(LOWEST) .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

.venv/.ready: pyproject.toml constraints.txt $(UV)
	@echo "setting up .venv (once)" >&2
	@test -x $(RUN)/python || $(UV) venv -q --python "$$(command -v $(PYTHON))" .venv
	@VIRTUAL_ENV=.venv $(UV) pip install -q -c constraints.txt --group dev -e '.[onnx]'
	@touch $@

.venv/.bench: .venv/.ready  # what only a benchmark compares with
	@VIRTUAL_ENV=.venv $(UV) pip install -q -c constraints.txt --group bench
	@touch $@

$(LOWEST)/.ready: pyproject.toml $(UV)
	@echo "setting up $(LOWEST) (once)" >&2
	@$(UV) venv -q --clear --python 3.11 $(LOWEST)  # anew: uv would keep what is installed, though it may be lower
	@VIRTUAL_ENV=$(LOWEST) $(UV) pip install -q --resolution lowest-direct --group dev -e '.[onnx]'
	@touch $@

# uv where the PATH has none: into a folder of this checkout, which a system Python that manages itself allows
.uv/bin/uv:
	@echo "bringing uv into .uv (once)" >&2
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-warn-script-location --target .uv uv 2>/dev/null \
	  || ($(PYTHON) -m venv .uv/venv && .uv/venv/bin/python -m pip install -q --target .uv uv)
