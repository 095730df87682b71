#!/usr/bin/env bash
# Runs programs of integration/tests, all but those for containers if none is named:
#   integration/run.sh [PROGRAM ..]
# Those that mostly wait run beside the others, and print at the end. TEST_THREADS is how many tests
# run at once, a third of them in programs that wait.
set -euo pipefail
cd "$(dirname "$0")/.."

threads=${TEST_THREADS:-6}

# For a timeout, or for the next minute.
waits() {
    [[ " limits tokens traps " == *" $1 "* ]]
}

if (($# == 0)); then
    for program in integration/tests/*.rs integration/tests/*/main.rs; do
        program=${program#integration/tests/} program=${program%/main.rs}
        [[ $program == docker.rs ]] || set -- "$@" "${program%.rs}"
    done
fi
waiting=() busy=()
for program; do
    if waits "$program"; then waiting+=("$program"); else busy+=("$program"); fi
done

run() { # THREADS PROGRAM ..
    local threads=$1
    shift
    cargo test --quiet -p llm-balancer-integration --no-fail-fast "${@/#/--test=}" -- \
        --test-threads="$threads"
}

cargo test --quiet -p llm-balancer-integration --no-run "${@/#/--test=}"
log=$(mktemp)
beside=
# With a process group of its own, which an interrupt ends too.
trap '[[ -z $beside ]] || kill -- -"$beside" 2>/dev/null || true; rm "$log"' EXIT
if ((${#waiting[@]})); then
    set -m
    aside=$(((threads + 2) / 3))
    run "$aside" "${waiting[@]}" >"$log" 2>&1 &
    beside=$!
    ((threads <= aside)) || threads=$((threads - aside))
    set +m
fi
failed=0
((${#busy[@]} == 0)) || run "$threads" "${busy[@]}" || failed=1
if [[ -n $beside ]]; then
    wait "$beside" || failed=1
    echo "beside them: ${waiting[*]}"
    cat "$log"
fi
exit $failed
