#!/usr/bin/env bash
# Fuzzes each target for some seconds, as many at a time as there are processors:
#   fuzz/run.sh SECONDS [TARGET ..]
# What it finds to be of interest stays in target/fuzz/corpus, and an input that fails in
# target/fuzz/failures. CARGO_FUZZ is the program cargo-fuzz. With a number in FUZZ_SEED every run
# tries the same inputs in the same order, whatever earlier runs have found: as far as it gets.
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
    local found=target/fuzz/corpus/$target
    if [[ -n ${FUZZ_SEED:-} ]]; then
        found=$(mktemp -d)
        trap 'rm -r "$found"' RETURN
    fi
    mkdir -p "$found" target/fuzz/failures
    local options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096
        -seed="${FUZZ_SEED:-0}" -artifact_prefix="target/fuzz/failures/$target-")
    [[ ! -e fuzz/dictionaries/$target.dict ]] || options+=(-dict="fuzz/dictionaries/$target.dict")
    if "$programs/$target" "${options[@]}" \
        "$found" "fuzz/corpus/$target" "target/fuzz/seeds/$target" >"$log" 2>&1; then
        echo "$target: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") inputs in $seconds s"
    else
        tail -n 60 "$log"
        echo "$target: FAILED. Again: $programs/$target FILE, with the file that is named above:"
        local file
        file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        echo "base64 -d >FILE <<<$(base64 -w0 "${file:-/dev/null}")"
        return 1
    fi
}
export -f fuzz
export seconds programs
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
