#!/usr/bin/env bash
# Runs a command beside a Docker engine: the one that runs, else one that is started for as long as the command takes, installed from Debian's packages
# where there is none. Exits with 77, and says what to do, where no engine can be had.
# usage: container/engine.sh COMMAND..
set -euo pipefail

# The client alone is no engine: this asks the server, too.
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

# In namespaces of its own the engine's bridges, its packet filter, its mounts and its processes are nobody else's, and whatever becomes of them is gone
# with the first process. The command shares them, so that it reaches the containers by their addresses; it does not reach the network.
within() {
    ip link set lo up
    dir=$(mktemp -d "${TMPDIR:-/tmp}/llm-balancer-docker.XXXXXX")
    trap stop_engine EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    start_engine
    # Whatever is to be kept has to be written elsewhere.
    export ENGINE_ENDS=1
    "$@"
}

start_engine() {
    local options storage
    export DOCKER_HOST=unix://$dir/docker.sock
    options=(--host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/run" --pidfile "$dir/pid" --bridge none)
    # Whatever storage driver works here; copying whole layers works everywhere.
    for storage in "" --storage-driver=vfs; do
        # Out of reach of Ctrl-C, after which it would wait for every container.
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
    # Containers that an interrupted command has left would be waited for.
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
    # What was installed may have come up by itself, as a service.
    if runs; then
        "$@"
    else
        unshare --net --mount --pid --fork --kill-child --mount-proc true 2>/dev/null || none "this root may not make namespaces"
        exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --within "$@"
    fi
    ;;
esac
