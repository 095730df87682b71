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

install_engine() {
    command -v apt-get >/dev/null || none "dockerd is not installed"
    { apt-get update -qq && apt-get install -qy --no-install-recommends docker.io iptables; } >&2 || none "docker.io cannot be installed"
}

# Leaves nothing on the machine: its data lies in a temporary folder, and it sets up no bridge, forwarding or packet filter of its own. Ports are published by
# Docker's own proxy, and containers of one network reach each other without a filter.
start_engine() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/llm-balancer-docker.XXXXXX")
    trap stop_engine EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    export DOCKER_HOST=unix://$dir/docker.sock
    local options=(
        --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$dir/run" --pidfile "$dir/pid"
        --bridge none --iptables=false --ip6tables=false --ip-forward=false
    )
    # The first storage driver that works is taken; copying whole layers works everywhere.
    local storage
    for storage in "" --storage-driver=vfs; do
        # Ends with us, however we end.
        setpriv --pdeathsig TERM dockerd "${options[@]}" $storage >"$dir/log" 2>&1 &
        engine=$!
        for _ in $(seq 300); do
            kill -0 "$engine" 2>/dev/null || break
            runs && return
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
    # Whatever an interrupted command has left; networks are devices of this machine.
    if runs; then
        docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
        docker network prune --force >/dev/null
    fi
    end_engine
    rm -rf "$dir"
}

if ! runs; then
    [ "$(id -u)" = 0 ] || none "none runs that this user may use"
    command -v dockerd >/dev/null || install_engine
    # An installed service may have come up by itself.
    runs || start_engine
fi
"$@"
