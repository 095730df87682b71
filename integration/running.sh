# What quickstart.sh and cluster.sh share. Everything that they start ends with them.

trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'echo; echo "stopping"; exit 0' INT
trap 'exit 143' TERM

# Ends the script if a port is taken, and names the process that listens on it.
require_free() {
    local port inode pid fd holder
    for port in "$@"; do
        inode=$(awk -v port="$(printf ':%04X' "$port")" '$2 ~ port "$" && $4 == "0A" { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null || true)
        [ -n "$inode" ] || continue
        # Processes of other users keep their descriptors to themselves.
        fd=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null || true)
        pid=$(cut -d/ -f3 <<<"$fd")
        holder=${pid:+$(cat "/proc/$pid/comm"), process $pid}
        echo "port $port is in use by ${holder:-a process of another user}: stop it first" >&2
        exit 1
    done
}

# Serves a configuration on a port, with Envoy's admin interface on another one, and waits until it answers.
serve() {
    target/debug/llm-balancer --config "$1" --port "$2" --admin-port "$3" &
    balancer=$!
    for _ in $(seq 600); do
        kill -0 $balancer 2>/dev/null || exit 1
        target/debug/llm-balancer health --port "$2" 2>/dev/null && return
        sleep 0.05
    done
    echo "no answer on port $2" >&2
    exit 1
}
