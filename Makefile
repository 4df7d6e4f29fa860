# What people and CI type. Each target says what it does; `make` alone lists them.
# Nothing is installed on the system: servers and tools go below .services and target.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
# A recipe is one script.
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory

plugins := --manifest-path plugins/Cargo.toml --target-dir target/plugins --workspace --locked

.PHONY: help demo test faults chaos mutants bench bench-peers build services services-down lint format container clean

help: ## This list
	echo "Laterna keeps MySQL read models in step with a MongoDB outbox."
	echo
	awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Shows it: a bank on a page, both of its sides, and buttons that break it (DEMO_TOUR=1: ends with the tour)
	dev/prerequisites
	echo "== Building the projectors: Rust, JavaScript, Python."
	dev/build-plugins demo
	echo "== Building the host and the demo. The first time this takes about seven minutes on two cores."
	cargo build --workspace --exclude bench --locked
	before=$$(dev/services status)
	echo "== Starting MongoDB and MySQL. The first time they are downloaded: about 100 MB."
	dev/services up mongodb mysql
	if [[ $$before != *127.0.0.1* && $${DEMO_KEEP:-0} =~ ^0?$$ ]]; then
		trap 'dev/services down' EXIT
	fi
	eval "$$(dev/services env)"
	echo
	target/debug/demo $(DEMO)

test: ## All tests but the slow faults, on servers that it starts and stops itself; prints the coverage of host/
	dev/test

faults: ## Every fault of the catalogue on real servers, with a summary: about 20 minutes
	FAULTS=all dev/test --no-coverage --test faults

chaos: ## Random faults under load, then a full account: make chaos SECONDS=600 SEED=7
	CHAOS_SECONDS=$(or $(SECONDS),60) CHAOS_SEED=$(or $(SEED),1) dev/test --no-coverage --test faults -- chaos

mutants: ## Breaks the host on purpose, one way after the other, and shows which test notices
	dev/mutants

bench: ## Measures the host beside a hand-written loop, about a quarter of an hour: docs/performance.md
	dev/bench

bench-peers: ## Installs what else the benchmark can measure beside it, below target/peers
	dev/bench-peers

build: ## The release binary and the projectors
	dev/prerequisites
	dev/build-plugins rust
	cargo build --workspace --locked --release --features laterna/jemalloc
	ls -l --human-readable target/release/laterna plugins/dist/*.wasm

services: ## MongoDB and MySQL for development, on the loopback
	dev/services up
	echo 'Their addresses: eval "$$(dev/services env)"'

services-down: ## Stops them; their data stays
	dev/services down

lint: ## Formatting, clippy, what dependencies may be, the API's description, and the scripts; warnings are errors
	dev/prerequisites
	echo "== Formatting."
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path plugins/Cargo.toml
	echo "== Clippy: the host, its tests and examples."
	cargo clippy --workspace --all-targets --locked --quiet -- --deny warnings
	echo "== Clippy: the plugins, on this machine and in the sandbox."
	cargo clippy $(plugins) --all-targets --quiet -- --deny warnings
	cargo clippy $(plugins) --examples --lib --target wasm32-wasip2 --quiet -- --deny warnings
	echo "== Licences, sources and doubles of the dependencies. The first time its tool is built: two minutes."
	dev/deny
	echo "== The API's description."
	dev/api/lint
	echo "== The scripts."
	dev/shell/lint

format: ## Formats everything
	cargo fmt --all
	cargo fmt --all --manifest-path plugins/Cargo.toml

container: ## The main job with the host in a container: not root, read-only, no capabilities
	dev/build-plugins rust
	cargo build --workspace --locked --release --features laterna/jemalloc
	dev/services up mongodb mysql
	eval "$$(dev/services env)"
	# The demo makes databases, accounts and a configuration; then the container goes on where its host stopped.
	export LATERNA_MYSQL_ADMIN_URL=mysql://root@127.0.0.1:$$LATERNA_MYSQL_PORT/mysql
	DEMO_DATABASE=boxed DEMO_EVENTS=200 target/release/demo stream
	install -m 644 target/demo-boxed/laterna.toml target/demo-boxed/container.toml
	export LATERNA_PROJECTION__ACCOUNTS__COMPONENT=/plugins/accounts.wasm LATERNA_HOST__STATE=/var/lib/laterna
	# The demo lets its host choose a port, which the image's own check could not know.
	export LATERNA_HOST__HEALTH=127.0.0.1:7421
	dev/container-test target/release/laterna --config target/demo-boxed/container.toml --plugins plugins/dist \
		--env LATERNA_PROJECTION__ACCOUNTS__COMPONENT --env LATERNA_HOST__STATE --env LATERNA_HOST__HEALTH \
		-- dev/container-job target/demo-boxed/container.toml
	# And as the manifests of examples/deploy/kubernetes say: two of them, one killed, and a rolling update.
	dev/kubernetes/under-engine target/release/laterna cargo test --workspace --locked --test main -- two_replicas_as_the_manifests_say the_api_of_the_production_overlay

clean: ## Removes what was built; servers and their data stay
	cargo clean
	rm -rf plugins/dist
