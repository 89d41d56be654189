# `make demo` and `make test` are all a newcomer needs; both set up .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PY := .venv/bin/python
# Of the demo's trainings, and that a row of its benchmark is timed; for a glance `make demo STEPS=150 SECONDS=2`.
STEPS := 600
SECONDS := 6
DEMO := runs/demo
DEMO_UNET := runs/demo-unet

.PHONY: help setup demo test sample android-demo check format clean
help:
	@echo "make demo          train, convert, verify, benchmark; ends with a table and a report (20 minutes or more)"
	@echo "make test          the whole test suite"
	@echo "make web-demo      the sample network in your browser (needs node and npm)"
	@echo "make android-demo  the web demo as an APK, built and signed here (needs Debian packages; it names them)"
	@echo "make sample        train the demo apps' small network and install it in all three (5 minutes)"
	@echo "make check         ruff and mypy"
	@echo "make format        ruff format"
	@echo "make clean         delete .venv and the demo's runs"

setup: .venv/.ready
.venv/.ready: requirements.txt pyproject.toml
	@echo "setting up .venv (one to two minutes)"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"error: Python {v[0]}.{v[1]}; allowed: 3.11; next: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet -r requirements.txt
	@$(PY) -m pip install --quiet --no-deps --editable .
	@touch $@

# Every line is a command of the README; a finished stage is recognised and not repeated.
demo: setup
	$(PY) -m train --recipe demo-student --steps $(STEPS) --out $(DEMO)
	$(PY) -m train --recipe demo-unet --steps $(STEPS) --out $(DEMO_UNET)
	$(PY) -m convert $(DEMO) --target all --precision fp32,fp16,int8 || test $$? -eq 3
	$(PY) -m convert $(DEMO_UNET) --target onnx,tflite --precision fp32,int8 || test $$? -eq 3
	$(PY) -m acwskd_edge.cli verify $(DEMO)/bundle
	$(PY) -m benchmarks $(DEMO) --baseline $(DEMO_UNET) --without torch-compile --seconds $(SECONDS)

test: setup
	$(PY) -m pytest -n 2 --dist worksteal

# Identical to the bundles that are committed with the code that their contracts name, on the same kind of machine.
sample: setup
	$(PY) -m train --recipe sample --out runs/sample
	$(PY) -m convert runs/sample --target tflite,coreml --precision all --install web_demo,android_demo,ios_demo

# The page's libraries come from npm, pinned by package-lock.json; nothing is fetched when it runs.
web_demo/vendor/files.json: web_demo/package-lock.json web_demo/vendor.mjs
	cd web_demo && npm ci --no-fund --no-audit && node vendor.mjs

web-demo: web_demo/vendor/files.json
	node web_demo/serve.mjs

android-demo: web_demo/vendor/files.json
	@$(PYTHON) android_demo/build_debian.py

check: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: setup
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean:
	rm -rf .venv $(DEMO) $(DEMO_UNET)
