#!/usr/bin/env bash
# Runs a command beside a Docker engine: the running one, else one that this script starts for the time of the command,
# and installs from Debian's packages if needed. Exits with 77 and a hint if there is no engine.
# usage: container/engine.sh COMMAND..
set -euo pipefail

# Asks the server, not only the client.
runs() {
    timeout 10 docker version >/dev/null 2>&1
}

none() {
    echo "no Docker engine: $1. Start one, give this user the right to use it (group docker), or run this as root on a Debian that may install docker.io." >&2
    exit 77
}

installed() {
    command -v dockerd && command -v docker && command -v iptables && command -v ip && { docker compose version || command -v docker-compose; }
}

apt_install() {
    apt-get install -qy --no-install-recommends "$@" >&2
}

install_engine() {
    command -v apt-get >/dev/null || none "dockerd is not installed"
    apt-get update -qq >&2 && apt_install docker.io docker-compose iptables iproute2 || none "docker.io cannot be installed"
    # Newer Debians have the client in a package of its own.
    command -v docker >/dev/null || apt_install docker-cli || none "docker-cli cannot be installed"
}

# In namespaces of its own: bridges, packet filter, mounts and processes of the engine end with the first process. The
# command runs inside, so that it reaches the containers by their addresses. It does not reach the network.
within() {
    ip link set lo up
    dir=$(mktemp -d "${TMPDIR:-/tmp}/llm-balancer-docker.XXXXXX")
    trap stop_engine EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    start_engine
    # Images do not outlive the command, which must save them.
    export ENGINE_ENDS=1
    "$@"
}

start_engine() {
    local options storage
    export DOCKER_HOST=unix://$dir/docker.sock
    options=(--host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/run" --pidfile "$dir/pid" --bridge none)
    # The default storage driver, or vfs, which works everywhere.
    for storage in "" --storage-driver=vfs; do
        # Not in the terminal's group: on Ctrl-C it would wait for every container.
        setsid dockerd "${options[@]}" $storage >"$dir/log" 2>&1 &
        engine=$!
        for _ in $(seq 300); do
            kill -0 "$engine" 2>/dev/null || break
            ! runs || return 0
            sleep 0.1
        done
        end_engine
    done
    tail -n 5 "$dir/log" >&2
    none "dockerd does not start here"
}

end_engine() {
    kill "$engine" 2>/dev/null || true
    wait "$engine" 2>/dev/null || true
}

stop_engine() {
    # The engine would wait for containers of an interrupted command.
    docker ps --quiet 2>/dev/null | xargs --no-run-if-empty docker kill >/dev/null || true
    end_engine
    rm -rf "$dir"
}

case $1 in
--within)
    shift
    within "$@"
    ;;
*)
    if ! runs; then
        [ "$(id -u)" = 0 ] || none "none runs that this user may use"
        installed >/dev/null 2>&1 || install_engine
    fi
    # An installed engine may have started as a service.
    if runs; then
        "$@"
    else
        unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null || none "this root may not create namespaces"
        exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --within "$@"
    fi
    ;;
esac
