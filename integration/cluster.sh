#!/usr/bin/env bash
# Two instances on ports 4000 and 4001 that share their limits through one Redis, until Ctrl-C. Run by `make run-cluster`.
# With --check: only whether their ports are free.
set -euo pipefail
cd "$(dirname "$0")/.."
source integration/running.sh

require_free 4000 4001 9901 9902 9911 9912 6380 8100
[ "${1:-}" != --check ] || exit 0

export AZURE_API_KEY_EU=fake AZURE_API_KEY_CA=fake
configuration=config/examples/cluster.yaml
# Not Redis' default port, which may be in use.
redis-server --port 6380 --bind 127.0.0.1 --save '' --appendonly no --loglevel warning &
target/debug/fake-provider --port 8100 &
serve $configuration 4000 9901
serve $configuration 4001 9911

cat <<SAY

Two instances of llm-balancer answer on ports 4000 and 4001 with $configuration. Redis is on port 6380.
The group has two deployments of 10 requests per minute each. Twenty of these are served over both instances, the rest get 429:

  for n in \$(seq 30); do
    curl -s -o /dev/null -w "port \$((4000 + n % 2)): %{http_code}\n" http://localhost:\$((4000 + n % 2))/chat/completions \\
      -H 'Content-Type: application/json' -d '{"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hi"}]}'
  done | sort | uniq -c

Look at the instances, in a browser or as a table:

  http://localhost:9902    http://localhost:9912
  target/debug/llm-balancer status --watch

What remains of the minute, and what Redis holds:

  curl -si http://localhost:4001/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "hi"}]}' | grep -i -e ratelimit -e retry-after

  redis-cli -p 6380 --scan

Stop Redis, and each instance continues with its share, ten requests, from the next minute on; the log says so:

  redis-cli -p 6380 shutdown nosave

Ctrl-C stops everything.
SAY

wait "$balancer"
