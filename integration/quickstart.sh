#!/usr/bin/env bash
# Fake providers on port 8100 and the balancer on port 4000, until Ctrl-C. Run by `make run`.
# With --check: only whether their ports are free.
set -euo pipefail
cd "$(dirname "$0")/.."
source integration/running.sh

port=4000
require_free $port 9901 9902 8100
[ "${1:-}" != --check ] || exit 0

export AZURE_API_KEY_EU=fake AZURE_API_KEY_CA=fake OPENAI_API_KEY=fake

target/debug/fake-provider --port 8100 &
serve config/examples/quickstart.yaml $port 9901

cat <<SAY

llm-balancer answers on port $port with config/examples/quickstart.yaml. Try:

  curl localhost:$port/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "gpt-4", "messages": [{"role": "user", "content": "hi"}]}' -i

  curl -N http://localhost:$port/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "gpt-4", "messages": [{"role": "user", "content": "hi"}], "stream": true}'

  curl http://localhost:$port/v1/models

Look at what it does, in a browser or as a table:

  http://localhost:9902
  target/debug/llm-balancer status --watch

x-litellm-model-id names the deployment that answered. This build is not optimized: \`make build\` makes the one to
measure. Ctrl-C stops everything.
SAY

wait "$balancer"
