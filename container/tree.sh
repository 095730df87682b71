#!/usr/bin/env bash
# Copies programs into FOLDER as a container needs them that has nothing else: each in usr/local/bin, with the shared libraries that it loads.
# usage: container/tree.sh FOLDER PROGRAM..
set -euo pipefail

folder=$1
shift
umask 022

# With the folders that lead there, links followed. A loader's path is fixed in the program, so everything keeps its place.
keep() {
    install -D --mode="$(stat --dereference --format=%a "$1")" "$1" "$folder$1"
}

for program in "$@"; do
    install -D --mode=755 "$program" "$folder/usr/local/bin/${program##*/}"
    # "libm.so.6 => /lib/.. (0x..)" and "/lib64/ld-linux.. (0x..)"; a program that is linked statically has none.
    libraries=$(ldd "$program" 2>/dev/null || true)
    if grep 'not found' <<<"$libraries" >&2; then
        exit 1
    fi
    libraries=$(grep --only-matching '/[^ ]*' <<<"$libraries" || true)
    for library in $libraries; do
        keep "$library"
    done
done

# A user without rights, and the one folder that is written to.
mkdir -p "$folder/etc"
echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin' >"$folder/etc/passwd"
echo 'nonroot:x:65532:' >"$folder/etc/group"
install -d --mode=1777 "$folder/tmp"
