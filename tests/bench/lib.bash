# Shared by the benchmarks: a home of their own, servers that end with them (their ids in `servers`), timing, medians. Not a
# benchmark itself.

set -euo pipefail
: "${LONGSHORE:?names the release executable; cargo xtask bench sets it}"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/longshore-bench-XXXXXX")
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 143' TERM # after the command that runs, which would go on writing there
export XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache

# seconds COMMAND…: how long it takes; what it says goes to $work/log.
seconds() {
    local start=$EPOCHREALTIME
    if ! "$@" >"$work/log" 2>&1; then
        echo "failed: $*" >&2
        tail -50 "$work/log" >&2
        exit 1
    fi
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}

# median: of the numbers on standard input.
median() {
    sort -n | awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] }'
}

# plus A B: seconds.
plus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", a + b }'; }

# against OURS PEERS WORDS: one line of the table, ratio first.
against() {
    awk -v o="$1" -v p="$2" -v w="$3" 'BEGIN { printf "%6.2f  %s (%.2f s : %.2f s)\n", o / p, w, o, p }'
}

# counted OURS PEERS WORDS: the same line for what is counted rather than timed.
counted() { awk -v o="$1" -v p="$2" -v w="$3" 'BEGIN { printf "%6.2f  %s (%d : %d)\n", o / p, w, o, p }'; }
