# Two commands are enough on a fresh Debian 12 or Ubuntu 24.04 with Rust: `make demo` and `make test`.
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test test-web test-systemd fuzz interop-qgis crash soak bench build deb lint fmt clean

help:
	@echo "make demo    build, mount a simulated service and walk through it; leaves nothing behind"
	@echo "make test    lint, all tests (through real mounts), and how many ran"
	@echo "make test-web   the web page in a real Chromium (installs it: 100 MB), screenshots in $(TARGET)/web-screenshots"
	@echo "make test-systemd   the package and the units in machines with a real systemd (root; makes a Debian of 400 MB)"
	@echo "make fuzz    feed every reader of foreign bytes with made-up ones, each for FUZZ_SECONDS (60)"
	@echo "make interop-qgis   what QGIS makes of every kind of package (installs QGIS: 680 MB)"
	@echo "make crash   kill the daemon 208 times, and lose power at thousands of moments (six minutes)"
	@echo "make soak    ten minutes of readers, evictions, faults and restarts"
	@echo "make bench   measure side by side with other tools, write docs/PERFORMANCE.md (half an hour, 20 GB, alone on the machine)"
	@echo "make build   the program, optimised: $(TARGET)/release/clmsfs"
	@echo "make deb     the Debian package: $(TARGET)/debian/clmsfs_*.deb"
	@echo "make lint    rustfmt and clippy only"
	@echo "make fmt     format the sources"
	@echo "make clean   remove what was built"

demo:
	@scripts/system-packages build
	$(CARGO) build --locked --release
	@python=$(TARGET)/interop/bin/python; [ -x "$$python" ] || python=$$(command -v python3 || true); \
	CLMSFS_DEMO_PYTHON="$$python" $(TARGET)/release/clmsfs demo

test:
	@scripts/system-packages test
	@scripts/interop-python
	@CLMSFS_TEST_PYTHON="$(abspath $(TARGET))/interop/bin/python" scripts/run-tests

# CLMSFS_WEB_SCREENSHOTS=docs/web make test-web writes those that the documents show.
test-web:
	@scripts/system-packages web
	@scripts/interop-python web
	$(CARGO) build --locked
	CLMSFS_TEST_BINARY="$(abspath $(TARGET))/debug/clmsfs" CLMSFS_WEB_SCREENSHOTS="$(or $(CLMSFS_WEB_SCREENSHOTS),$(TARGET)/web-screenshots)" \
	PYTHONDONTWRITEBYTECODE=1 $(TARGET)/interop-web/bin/python -m pytest -p no:cacheprovider tests/web

test-systemd:
	@scripts/system-packages service
	@scripts/service-root
	$(CARGO) test --locked --test service -- --show-output --test-threads=1

fuzz:
	@scripts/system-packages build
	@scripts/fuzz

interop-qgis:
	@scripts/system-packages qgis
	@scripts/interop-python
	CLMSFS_INTEROP_TOOLS=qgis CLMSFS_TEST_PYTHON="$(abspath $(TARGET))/interop/bin/python" \
	$(CARGO) test --locked --test interop -- --show-output

# CLMSFS_CRASH_SEED=N repeats a run.
crash:
	@scripts/system-packages test
	CLMSFS_CRASH_KILLS=$(or $(CLMSFS_CRASH_KILLS),208) CLMSFS_POWER_MIXTURES=$(or $(CLMSFS_POWER_MIXTURES),20) \
	CLMSFS_CRASH_SEED=$(or $(CLMSFS_CRASH_SEED),$(shell date +%s)) \
	$(CARGO) test --locked --test promises -- crash_points power_loss --show-output

soak:
	@scripts/system-packages test
	CLMSFS_SOAK_SECONDS=$(or $(CLMSFS_SOAK_SECONDS),600) CLMSFS_SOAK_SEED=$(or $(CLMSFS_SOAK_SEED),$(shell date +%s)) \
	$(CARGO) test --locked --test soak -- --show-output

# A part: make bench BENCH="benches/reading.py chunks". To see that all of it runs, in minutes: CLMSFS_BENCH_SMALL=1 make bench
BENCH ?=
bench:
	@scripts/system-packages bench
	@scripts/interop-python bench
	$(CARGO) build --locked --release
	@PYTHONDONTWRITEBYTECODE=1 scripts/bench "$(TARGET)/interop-bench/bin/python" $(BENCH)

build:
	@scripts/system-packages build
	$(CARGO) build --locked --release

deb:
	@scripts/system-packages deb
	@scripts/deb release

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

fmt:
	$(CARGO) fmt

clean:
	$(CARGO) clean
