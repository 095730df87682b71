#!/usr/bin/env bash
# Builds the image from programs that are already built, by the last stage of the Dockerfile.
# usage: container/image.sh NAME LLM-BALANCER ENVOY      builds the image NAME
#        container/image.sh --trees FOLDER LLM-BALANCER ENVOY      only lays out what goes into it, one folder for each layer
set -euo pipefail
here=$(dirname "$0")

# What everything is verified against, in one file, where Debian keeps it.
cas=/etc/ssl/certs/ca-certificates.crt

trees() {
    local folder=$1 balancer=$2 envoy=$3
    "$here/tree.sh" "$folder/envoy" "$envoy" "$balancer"
    # Its libraries stay with Envoy's.
    mkdir -p "$folder/llm-balancer/usr/local/bin"
    mv "$folder/envoy/usr/local/bin/llm-balancer" "$folder/llm-balancer/usr/local/bin/"
    install -D --mode=644 "$cas" "$folder/envoy$cas"
    install -d "$folder/envoy/etc/llm-balancer"
}

if [ "$1" = --trees ]; then
    shift
    trees "$@"
    exit
fi

name=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trees "$folder" "$2" "$3"
# The last stage, with its layers from here.
sed -n '/^FROM scratch/,$ { s| --from=build /image/| |; p }' "$here/../Dockerfile" >"$folder/Dockerfile"
DOCKER_SCAN_SUGGEST=false docker build --quiet --tag "$name" --file "$folder/Dockerfile" "$folder" >/dev/null
docker image inspect --format "image $name: {{.Size}}" "$name" | numfmt --field=3 --to=si --suffix=B
