# `make run` prints the open ports of this host; `make test` checks everything.  Both set up what they need first.
.DEFAULT_GOAL := help
.PHONY: help run test lint format bench reference figures clean

VENV := .venv
# each is benchmarks/NAME.py
BENCHMARKS := see faces packets forward probe guard netcat
PYTHON_IN := $(VENV)/bin/python
export PYTHON

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
	    printf 'make %-10s %s\n' "$$name" "$$what"; done

run: $(VENV)/.run ## set up what running needs, then: portside $(ARGS)
	@$(PYTHON_IN) $(VENV)/bin/portside $(ARGS) || test $$? -eq 1 # 1: the answer is no, or no port is open

# All tests are dealt to three processes, because many wait; what must be alone comes after.
test: lint ## set up what testing needs, then check style, types and run all tests
ifeq ($(ARGS),)
	@$(PYTHON_IN) -m pytest -n 3 -m "not alone"
	@$(PYTHON_IN) -m pytest -m alone
else
	@$(PYTHON_IN) -m pytest $(ARGS)
endif

lint: $(VENV)/.dev ## check style and types
	@$(PYTHON_IN) -m ruff check
	@$(PYTHON_IN) -m ruff format --check
	@$(PYTHON_IN) -m mypy

format: $(VENV)/.dev ## put the source in the house format
	@$(PYTHON_IN) -m ruff check --fix --quiet
	@$(PYTHON_IN) -m ruff format

bench: $(VENV)/.bench ## compare with the tools people know (root; minutes; ARGS=--quick for a small load)
	@for name in $(BENCHMARKS); do $(PYTHON_IN) benchmarks/$$name.py $(ARGS) || exit 1; done

reference: $(VENV)/.run ## write docs/reference.md from the commands' own help
	@$(PYTHON_IN) tools/make_reference.py

figures: $(VENV)/.bench ## run the benchmarks and write docs/figures.md from what they measured
	@for name in $(BENCHMARKS); do \
	    $(PYTHON_IN) benchmarks/$$name.py --json benchmarks/results/$$name.json $(ARGS) || exit 1; done
	@$(PYTHON_IN) benchmarks/figures.py

clean: ## remove everything that make made
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An upgraded or vanished interpreter sets up anew, and so does a changed pyproject.toml.
$(VENV)/.run: pyproject.toml tools/setup.sh $(PYTHON_IN)
	@tools/setup.sh run

$(PYTHON_IN): ;

$(VENV)/.dev: $(VENV)/.run
	@tools/setup.sh dev

$(VENV)/.bench: $(VENV)/.dev
	@tools/setup.sh bench
