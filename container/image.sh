#!/usr/bin/env bash
# Builds images from built programs with the last stage of the Dockerfile, without a registry.
# usage: container/image.sh NAME LLM-BALANCER ENVOY      the image
#        SAVE=FILE container/image.sh NAME LLM-BALANCER ENVOY      also into FILE, if the engine ends with the command
#        container/image.sh --of NAME PROGRAM            an image of another program, for tests
#        container/image.sh --trees FOLDER LLM-BALANCER ENVOY      only the content, a folder per layer
set -euo pipefail
here=$(dirname "$0")

# The CA bundle, where Debian has it.
cas=/etc/ssl/certs/ca-certificates.crt

trees() {
    local folder=$1 balancer=$2 envoy=$3
    "$here/tree.sh" "$folder/envoy" "$envoy" "$balancer"
    # Libraries stay in Envoy's layer.
    mkdir -p "$folder/llm-balancer/usr/local/bin"
    mv "$folder/envoy/usr/local/bin/llm-balancer" "$folder/llm-balancer/usr/local/bin/"
    install -D --mode=644 "$cas" "$folder/envoy$cas"
    install -d "$folder/envoy/etc/llm-balancer"
}

build() {
    # The classic builder prints a long deprecation notice; show its output only if it fails.
    docker build --quiet --tag "$@" "$folder" >"$folder.log" 2>&1 || { cat "$folder.log" >&2; return 1; }
    docker image inspect --format "image $1 {{.Size}}" "$1" | numfmt --field=3 --to=si --suffix=B
}

if [ "$1" = --trees ]; then
    shift
    trees "$@"
    exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder" "$folder.log"' EXIT
if [ "$1" = --of ]; then
    "$here/tree.sh" "$folder/tree" "$3"
    printf 'FROM scratch\nCOPY tree /\nENV PATH=/usr/local/bin\nUSER 65532:65532\n' >"$folder/Dockerfile"
    build "$2"
else
    trees "$folder" "$2" "$3"
    # The last stage, with the layers of this folder.
    sed -n '/^FROM scratch/,$ { s| --from=build /image/| |; p }' "$here/../Dockerfile" >"$folder/Dockerfile"
    version=$("$2" --version)
    build "$1" --label "org.opencontainers.image.version=${version##* }"
    if [ -n "${SAVE:-}" ] && [ -n "${ENGINE_ENDS:-}" ]; then
        docker save --output "$SAVE" "$1"
        echo "written to $SAVE, for: docker load --input $SAVE"
    fi
fi
