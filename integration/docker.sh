#!/usr/bin/env bash
# Builds the images of the container tests and runs them, with the engine of DOCKER_HOST. Run by `make test-docker`.
# usage: integration/docker.sh LLM-BALANCER ENVOY FAKE-PROVIDER CARGO-TEST-ARGUMENTS..
set -euo pipefail
cd "$(dirname "$0")/.."

balancer=$1 envoy=$2 provider=$3
shift 3

COMPOSE=docker-compose
! docker compose version >/dev/null 2>&1 || COMPOSE="docker compose"
export COMPOSE
export BALANCER_IMAGE=llm-balancer:test PROVIDER_IMAGE=llm-balancer-fake-provider:test REDIS_IMAGE=llm-balancer-redis:test
container/image.sh $BALANCER_IMAGE "$balancer" "$envoy"
# From this machine's programs, without a registry.
container/image.sh --of $PROVIDER_IMAGE "$provider"
container/image.sh --of $REDIS_IMAGE "$(command -v redis-server)"

# Two tests at a time: two processors cannot start more in time.
cargo test --quiet -p llm-balancer-integration --test docker -- --test-threads=2 "$@"
