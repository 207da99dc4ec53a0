# Everything here works on a machine that has Python 3.11 or newer, pip and make; see README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SPEECH ?= server/studio/sample.wav
RECORDINGS ?= ../shared/data/speech
AVATAR ?= ava
PROGRAMME := work/evaluate/programme.wav
FILM := work/evaluate/$(AVATAR).mp4

.PHONY: help demo serve test soak capacity check format system evaluate clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## a server, a client that speaks to it, and the film of it: demo.mp4, demo.json (SPEECH=file.wav)
	$(BIN)/avatar demo $(SPEECH) --out demo.mp4

serve: $(VENV)/.base ## the server, with a page to see and hear the avatar at /studio
	$(BIN)/avatar serve

test: $(VENV)/.dev system ## every test
	$(BIN)/python -m pytest

soak: $(VENV)/.dev ## long runs, as a table of bars: lost servers, generated input, ten thousand sessions (RUN='startup capacity swap steady')
	$(BIN)/python -m tests.soak $(RUN)

capacity: $(VENV)/.dev ## how many sessions this machine bears, at 480 and 720 pixels; leave it alone meanwhile, some ten minutes
	$(BIN)/python -m tests.soak bars

check: $(VENV)/.dev ## ruff, mypy and the test of the architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.dev ## let ruff put the code in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

system: ## Debian packages that the tests use (a browser, a C compiler); needs root, else says what is missing
	@sh .ci/system-packages

evaluate: $(FILM:.mp4=.npz) ## lips judged on the film by a face tracker, and the speech encoder: docs/lips.md
	$(BIN)/python -m models.making.evaluate page --programme $(PROGRAMME) --film $(FILM) --gaps $< \
	    --recordings $(RECORDINGS) --avatar $(AVATAR)

$(PROGRAMME): $(wildcard $(RECORDINGS)/words.tsv work/speech/recordings/words.tsv \
    models/making/evaluate/programme.py models/making/evaluate/sounds.py models/making/speech/alignment.py) | $(VENV)/.evaluate
	$(BIN)/python -m models.making.evaluate programme --recordings $(RECORDINGS) --to $@

$(FILM): $(PROGRAMME) $(wildcard avatar/*.py models/*.py models/embedded/speech_encoder.* models/embedded/*/avatar.toml)
	$(BIN)/avatar demo $< --out $@ --avatar $(AVATAR)

$(FILM:.mp4=.npz): $(FILM) models/making/evaluate/lip_gaps.py | .venv-lips/.made
	.venv-lips/bin/python models/making/evaluate/lip_gaps.py $< $@

clean: ## environments, caches and what demo made
	rm -rf $(VENV) .venv-lips .mypy_cache .ruff_cache .pytest_cache *.egg-info demo.mp4 demo.json

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, PYTHON=… names another") if sys.version_info < (3, 11) else None'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing, with what the tests need"
	@$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.base

$(VENV)/.evaluate: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing, with what evaluating needs"
	@$(PIP) --editable '.[evaluate]'
	@touch $@ $(VENV)/.base

.venv-lips/.made:
	@echo "making .venv-lips, for the face tracker"
	@$(PYTHON) -m venv .venv-lips
	@.venv-lips/bin/python -m pip install --quiet --disable-pip-version-check mediapipe==0.10.21 "numpy<2" av rich
	@touch $@
