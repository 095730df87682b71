#!/usr/bin/env bash
# Replaces the committed corpora by the smallest ones with the same coverage, of what is committed
# and what `make fuzz` has found. Run `make fuzz` before. Inputs of other tests are left out, because
# targets get them in any case. Those with a dash in their name were written or found for a reason,
# and stay.
set -euo pipefail
cd "$(dirname "$0")/.."

programs=target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/debug
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    seeds=target/fuzz/seeds/$target smallest=target/fuzz/smallest/$target
    rm -rf "$smallest"
    mkdir -p "$smallest" "target/fuzz/corpus/$target" "fuzz/corpus/$target"
    # Inputs of the first folder stay, so others are added only for what those do not reach.
    cp -r "$seeds/." "$smallest"
    # By the places that are reached, and not by how often.
    "$programs/$target" -set_cover_merge=1 -use_counters=0 -max_len=1024 "$smallest" \
        "fuzz/corpus/$target" "target/fuzz/corpus/$target" 2>"target/fuzz/$target.log"
    (cd "$seeds" && find . -type f -print0) | (cd "$smallest" && xargs -0 --no-run-if-empty rm)
    find "fuzz/corpus/$target" -name '*-*' -exec cp -t "$smallest" {} +
    rm -rf "fuzz/corpus/$target"
    mv "$smallest" "fuzz/corpus/$target"
    size=$(du -sb "fuzz/corpus/$target" | cut -f1)
    echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs, $size bytes"
done
