# Two commands matter: "make test" and "make demo". Both do all the set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := scripts/in_environment $(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup test test-all lint demo scene bench bench-train docs-check clean clean-all

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Create or update the virtual environment (a second call returns at once)
	@$(PYTHON) scripts/setup_environment.py $(VENV)

test: setup ## Run the tests: the core without ROS, then the nodes over real DDS
	FAST_INERF_BLOCK_ROS=1 $(RUN) python -m pytest test/core -m "not slow"
	$(RUN) python -m pytest test/nodes test/launch -m "not slow"

test-all: setup ## Run the tests and the long ones
	FAST_INERF_BLOCK_ROS=1 $(RUN) python -m pytest test/core
	$(RUN) python -m pytest test/nodes test/launch

lint: setup ## Check style (ruff) and types (mypy)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

demo: setup ## Localise a camera around a synthetic table over real DDS; report in demo_out/ (or BAG=, SCENE=, MOVE_OBJECT=1)
	$(RUN) python -m scripts.demo demo_out $(if $(BAG),--bag $(BAG)) $(if $(SCENE),--scene $(SCENE)) $(if $(MOVE_OBJECT),--move-object)

scene: setup ## Make a scene of photographs: PHOTOS=folder NAME= of its folder in scenes/, QUICK=1 for half an hour, ARGS="--box ..."
	$(RUN) python -m fast_inerf_ros.scene_building.build_scene $(if $(PHOTOS),"$(PHOTOS)") --output "scenes/$(or $(NAME),scene)" $(if $(QUICK),--quick) $(ARGS)

bench: setup ## Evaluate what was trained (an hour at most; QUICK=1 ten minutes); benchmarks/results/report.html
	$(RUN) python -m benchmarks $(if $(QUICK),--quick) $(if $(ARTEFACTS),--artefacts "$(ARTEFACTS)") $(ARGS)

bench-train: setup ## Train what bench evaluates, once (five hours, QUICK=1 less), in benchmarks/artefacts/ (or ARTEFACTS=)
	$(RUN) python -m benchmarks.train $(if $(QUICK),--quick) $(if $(ARTEFACTS),--artefacts "$(ARTEFACTS)") $(ARGS)

docs-check: setup ## Check what the documentation says: commands with their options, links, paths, snippets
	$(RUN) python -m pytest test/core/test_readme.py test/nodes/test_readme_commands.py test/nodes/test_ros_manual.py

clean: ## Remove what make produced, except the virtual environment and what bench-train made
	rm -rf build dist install log demo_out benchmarks/results *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

clean-all: clean ## Remove the virtual environment, too
	rm -rf $(VENV)
