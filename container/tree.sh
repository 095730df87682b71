#!/usr/bin/env bash
# Copies programs into FOLDER for a container without anything else: to usr/local/bin, with their shared libraries.
# usage: container/tree.sh FOLDER PROGRAM..
set -euo pipefail

folder=$1
shift
umask 022

# Copies a file to the same path, links followed: the path of the loader is fixed in the program.
keep() {
    install -D --mode="$(stat --dereference --format=%a "$1")" "$1" "$folder$1"
}

for program in "$@"; do
    install -D --mode=755 "$program" "$folder/usr/local/bin/${program##*/}"
    # "libm.so.6 => /lib/.. (0x..)" and "/lib64/ld-linux.. (0x..)"; nothing for a static program.
    libraries=$(ldd "$program" 2>/dev/null || true)
    if grep 'not found' <<<"$libraries" >&2; then
        exit 1
    fi
    libraries=$(grep --only-matching '/[^ ]*' <<<"$libraries" || true)
    for library in $libraries; do
        keep "$library"
    done
done

# An unprivileged user, and the only writable folder.
mkdir -p "$folder/etc"
echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin' >"$folder/etc/passwd"
echo 'nonroot:x:65532:' >"$folder/etc/group"
install -d --mode=1777 "$folder/tmp"
