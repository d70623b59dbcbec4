# What a developer types. `make run` needs Rust; `make test` also needs Node.js 20 and Python 3 and
# fetches the rest into the build directories.

CARGO ?= cargo
NPM ?= npm
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))

# A runner's exit code counts, not that of the tee behind it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

RESULTS := $(CARGO_TARGET_DIR)/test-results
PYTHON_PACKAGES := $(CARGO_TARGET_DIR)/python
# For tests outside Cargo that start the server.
export MADANG_TEST_BINARY := $(CARGO_TARGET_DIR)/debug/madang
export MADANG_WIRE_LINES := $(CARGO_TARGET_DIR)/debug/examples/wire_lines

# Property tests draw the same cases in every run, so that a failure is of the change that made it;
# empty, or another number, looks for new ones.
export PROPTEST_RNG_SEED ?= 1

.PHONY: run build test test-rust test-web test-browser test-interop test-bench test-needs bench bench-state bench-peers check fmt help

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

# The demo is about speed, which a debug build does not show.
run: ## Serve, with the demo at http://127.0.0.1:7701/ (ARGS="--shards 1" adds flags)
	$(CARGO) run --release --bin madang -- serve $(ARGS)

build: ## Build what the tests start
	$(CARGO) build --bins
	$(CARGO) build -p madang-protocol --example wire_lines

test: test-needs build ## Run every test, and repeat each runner's own summary at the end
	@mkdir -p $(RESULTS) && rm -f $(RESULTS)/*.log
	@status=0; \
	for suite in rust web browser interop bench; do \
		$(MAKE) --no-print-directory test-$$suite || status=1; \
	done; \
	echo; echo "== Summaries =="; \
	for suite in rust web browser interop bench; do \
		echo "-- $$suite"; \
		if [ -f $(RESULTS)/$$suite.log ]; then \
			grep -E '^(test result:|Ran [0-9]+ tests? |OK|FAILED|(#|ℹ) (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) |[0-9]+ passed, )' \
				$(RESULTS)/$$suite.log || echo "no summary: the runner did not get that far"; \
		else \
			echo "did not run"; \
		fi; \
	done; \
	exit $$status

test-rust: ## Unit, integration and scenario tests, and the simulator
	@mkdir -p $(RESULTS)
	{ $(CARGO) test --workspace && $(CARGO) test -p madang-engine --features planted-bugs --test sim; } \
		2>&1 | tee $(RESULTS)/rust.log

test-web: build ## The web client, by Node.js: types, sizes, the codec beside the Rust one
	@mkdir -p $(RESULTS)
	cd clients/web && $(NPM) run --silent types
	cd clients/web && $(NPM) test --silent 2>&1 | tee $(RESULTS)/web.log

test-browser: build ## The demos, and sockets killed under a game, by Chromium
	@mkdir -p $(RESULTS)
	cd tests/browser && $(NPM) test --silent 2>&1 | tee $(RESULTS)/browser.log

test-interop: build ## A client written from the specification alone, and third-party ones: Python, Node.js
	@mkdir -p $(RESULTS)
	{ PYTHONPATH="$(PYTHON_PACKAGES)" python3 -m unittest discover -s tests/interop \
		&& cd tests/interop && $(NPM) test --silent; } 2>&1 | tee $(RESULTS)/interop.log

# Whether everything works and counts are right; how fast it is takes `make bench-peers`.
PEERS_SMOKE := --quick --who madang,madang-native,madang-watched,floor-each,floor-turn,ws \
	--only rooms-20hz,rooms-max,room-20hz,native-20hz,sse,idle,connects,echo

test-bench: build ## The comparison with peers in small: Madang, the floor and npm's ws
	@mkdir -p $(RESULTS)
	{ $(CARGO) build --package madang-load --package madang-bench --bins \
		&& $(CARGO) build --manifest-path benches/peers/rust/Cargo.toml --locked --no-default-features \
			--bin floor --target-dir $(CARGO_TARGET_DIR)/peers/rust \
		&& $(CARGO_TARGET_DIR)/debug/peers $(PEERS_SMOKE); } 2>&1 | tee $(RESULTS)/bench.log

test-needs: clients/web/node_modules/.stamp tests/browser/node_modules/.stamp tests/interop/node_modules/.stamp benches/peers/node/node_modules/.stamp $(PYTHON_PACKAGES)/.stamp ## Fetch what the tests need
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
		|| command -v google-chrome >/dev/null \
		|| { echo "Chromium is missing; installing Debian's"; $(SUDO) apt-get update \
			&& $(SUDO) apt-get install --yes --no-install-recommends chromium; }
	@PATH="$$PATH:/usr/sbin:/sbin"; { command -v nginx && command -v haproxy; } >/dev/null \
		|| { echo "nginx or HAProxy is missing; installing Debian's"; $(SUDO) apt-get update \
			&& $(SUDO) apt-get install --yes --no-install-recommends nginx-light haproxy; }

# Only who is not root needs it.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Without the larger ones, which benches/peers/run.sh installs.
benches/peers/node/node_modules/.stamp: NPM_FLAGS := --omit=optional

%/node_modules/.stamp: %/package-lock.json
	cd $* && $(NPM) ci --no-audit --no-fund $(NPM_FLAGS)
	@touch $@

$(PYTHON_PACKAGES)/.stamp: tests/interop/requirements.txt
	@python3 -m pip --version >/dev/null 2>&1 || { echo "pip is missing; installing Debian's"; \
		$(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends python3-pip; }
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--upgrade --target "$(PYTHON_PACKAGES)" --requirement $<
	@touch $@

bench: ## Time and allocations of each step of a message (ARGS=rooms does those alone)
	$(CARGO) bench -p madang-bench --bench micro -- $(ARGS)

bench-state: ## Bytes and time of a state's tick, beside Colyseus
	benches/state/run.sh

bench-peers: ## Madang beside its peers (ARGS="--only rooms-60hz --who madang,ws --rounds 9"; ARGS=--help)
	benches/peers/run.sh $(ARGS)

check: ## Everything that .ci/run checks
	.ci/run

fmt: ## Format the Rust code
	$(CARGO) fmt --all
