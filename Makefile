# The commands people type. Each sets up what it needs first; a set-up that is done takes seconds.
#
#   make demo    the robot does three tasks; video, plot and bag in out/demo/
#   make test    every test
#   make check   lint and the unit tests, under two minutes
#   make lint    ruff and mypy
#   make bench   the figures of docs/
#   make setup   only the set-up
#   make clean   removes what was built; `make distclean` also .venv
#
# PYTHON=python3.12 names another Python (3.10 to 3.13). TORCH_INDEX names the index that torch
# comes from, for example https://download.pytorch.org/whl/cpu for the small CPU build.

PYTHON ?= python3
ARGS ?=
ENV := tools/env.sh
SOURCES := vla_ros test tools benchmarks examples setup.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint format bench clean distclean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@$(PYTHON) -m tools.bootstrap

demo: setup
	@$(ENV) vla demo $(ARGS)

test: setup
	@$(ENV) python -m pytest test --ignore=test/graph -n 2
	@$(ENV) python -m pytest test/graph

check: lint
	@$(ENV) python -m pytest test/unit -m "not slow" -n 2 $(ARGS)

lint: setup
	@$(ENV) ruff check $(wildcard $(SOURCES))
	@$(ENV) ruff format --check $(wildcard $(SOURCES))
	@$(ENV) mypy

format: setup
	@$(ENV) ruff check --fix $(wildcard $(SOURCES))
	@$(ENV) ruff format $(wildcard $(SOURCES))

bench: setup
	@$(ENV) python -m benchmarks $(ARGS)

clean:
	rm -rf build install log .mypy_cache .pytest_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf .venv
