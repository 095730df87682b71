# What quickstart.sh and cluster.sh have in common: whatever they start ends with them.

trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT
trap 'exit 143' TERM

# Serves a configuration on a port, with Envoy's admin interface on another one, and waits for the first answer.
serve() {
    target/release/llm-balancer --config "$1" --port "$2" --admin-port "$3" &
    balancer=$!
    for _ in $(seq 600); do
        kill -0 $balancer 2>/dev/null || exit 1
        curl --silent --fail --output /dev/null "http://localhost:$2/health/liveliness" && return
        sleep 0.05
    done
    echo "no answer on port $2" >&2
    exit 1
}
