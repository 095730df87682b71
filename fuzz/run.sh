#!/usr/bin/env bash
# Fuzzes each target for some seconds, as many at a time as there are processors:
#   fuzz/run.sh SECONDS [TARGET ..]
# What it finds to be of interest stays in target/fuzz/corpus, and an input that fails in
# target/fuzz/failures. CARGO_FUZZ is the program cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
if (($# == 0)); then
    set -- $(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
fi

# Optimized, with debug assertions, in a target folder of its own because of its instrumentation.
export CARGO_PROFILE_DEV_OPT_LEVEL=2
"${CARGO_FUZZ:-cargo-fuzz}" build --dev --sanitizer none --features libfuzzer \
    --target-dir target/fuzz
programs=target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/debug
cargo run --quiet -p llm-balancer-fuzz --example seeds -- target/fuzz/seeds

# One target; prints a line, or what failed.
fuzz() {
    local target=$1 log=target/fuzz/$1.log
    mkdir -p "target/fuzz/corpus/$target" target/fuzz/failures
    local options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096
        -artifact_prefix="target/fuzz/failures/$target-")
    [[ ! -e fuzz/dictionaries/$target.dict ]] || options+=(-dict="fuzz/dictionaries/$target.dict")
    if "$programs/$target" "${options[@]}" \
        "target/fuzz/corpus/$target" "fuzz/corpus/$target" "target/fuzz/seeds/$target" >"$log" 2>&1; then
        echo "$target: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") inputs in $seconds s"
    else
        tail -n 60 "$log"
        echo "$target: FAILED. Again: $programs/$target FILE, with the file that is named above"
        return 1
    fi
}
export -f fuzz
export seconds programs
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
