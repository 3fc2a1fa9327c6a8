# Thin over CMake presets (CMakePresets.json): every target is a command or two that you can type yourself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PRESET ?= dev
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
N ?= 20
SECONDS_EACH ?= 60
SEEDS ?= 10000
SOAK_SECONDS ?= 0
FIRST_SEED ?= $(shell date +%s)000

.PHONY: help deps build demo demo-ha deb test bench install format tidy fuzz soak clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

deps: ## Install the Debian packages that are missing
	@scripts/deps.sh build

build: deps ## Build everything into build/PRESET (PRESET=dev)
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) -j $(JOBS)

demo: ## See a small cluster run real work: a master, two agents, a crash
	@scripts/demo.sh

demo-ha: ## See three masters over etcd survive the death of their leader, twice
	@scripts/demo_ha.sh

test: deps ## Build and run every test: real processes, then unit, simulation and fuzz tests under sanitizers
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target reeve_e2e
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	ctest --preset dev -L 'e2e|check'
	ctest --preset asan

bench: deps ## Build with release flags and print every benchmark's figure beside its baseline
	cmake --preset release
	cmake --build --preset release -j $(JOBS)
	@scripts/bench.sh build/release

install: deps ## Install programs, library and documentation (PREFIX=/usr/local, DESTDIR=)
	cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release -j $(JOBS)
	DESTDIR=$(DESTDIR) cmake --install build/release

deb: deps ## Build a Debian package into build/release, install it into an empty root and run it there
	cmake --preset release -DCMAKE_INSTALL_PREFIX=/usr
	cmake --build --preset release -j $(JOBS) --target reeve_programs
	rm -f build/release/reeve_*.deb
	cpack -G DEB --config build/release/CPackConfig.cmake -B build/release
	REEVE_DEB=$$(echo build/release/reeve_*.deb) REEVE_BIN=build/release/bin python3 -B tests/e2e/package_test.py Package.deb

format: ## Format every source file (installs clang-format)
	@scripts/deps.sh format
	git ls-files -z '*.hpp' '*.cpp' | xargs -0 clang-format -i

tidy: ## Run clang-tidy on changed files (ALL=1: on all)
	@scripts/deps.sh tidy
	cmake --preset tidy >/dev/null
	@scripts/tidy.sh $(if $(ALL),all,changed)

fuzz: ## Run each fuzz target for SECONDS_EACH=60 seconds
	@scripts/deps.sh fuzz
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS)
	@scripts/fuzz.sh build/fuzz $(SECONDS_EACH)

soak: build ## SEEDS=10000 new seeds of the simulation (or SOAK_SECONDS=3600), then N=20 rounds of end-to-end tests
	build/$(PRESET)/tests/sim/reeve_sim --first $(FIRST_SEED) --count $(SEEDS) --seconds $(SOAK_SECONDS)
	build/$(PRESET)/tests/sim/reeve_sim --shared --first $(FIRST_SEED) --count $(SEEDS) --seconds $(SOAK_SECONDS)
	REEVE_CLUSTERS=5000 build/$(PRESET)/tests/unit/sched/reeve_sched_tests --gtest_filter='random_clusters.*'
	REEVE_KILLS=1000 REEVE_BIN=build/$(PRESET)/bin python3 -B tests/e2e/failover_test.py Failover.test_nothing_is_lost_or_run_twice_while_leaders_are_killed_again_and_again
	REEVE_KILLS=1000 REEVE_BIN=build/$(PRESET)/bin python3 -B tests/e2e/crash_test.py
	REEVE_LARGE_PAGES=6 REEVE_BIN=build/$(PRESET)/bin python3 -B tests/e2e/dashboard_test.py Page.test_ten_thousand_nodes_and_a_million_tasks_come_in_pages
	ctest --preset $(PRESET) -L e2e --repeat until-fail:$(N) --timeout 3600

clean: ## Remove all build folders
	cmake -E rm -rf build
