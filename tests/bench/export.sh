#!/bin/bash
# Export of a Python environment of about 500 MB as one layer of an OCI layout: our writer beside GNU tar with pigz or gzip and
# sha256sum (twice, as a layer needs both digests), and umoci. All at level 1 where there is a choice; umoci has none.
# LONGSHORE_BENCH_ENVIRONMENT names a folder to export instead.

source "$(dirname "$0")/lib.bash"
runs=3
cores=$(nproc)
(cd "$root" && cargo build --quiet --release -p oci-image --example export_layer)
exporter=$(dirname "$LONGSHORE")/examples/export_layer

environment=${LONGSHORE_BENCH_ENVIRONMENT:-$work/environment}
if [ ! -d "$environment" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet dash pandas numpy scipy scikit-learn plotly gunicorn
fi
# Everything in the page cache, for all alike.
tar -C "$environment" -cf - . | cat >/dev/null

ours() {
    rm -rf "$work/layout"
    "$exporter" "$environment" "$work/layout" "$cores"
}
piped() {
    tar -C "$environment" --sort=name --owner=1000 --group=1000 --numeric-owner --mtime=@315532801 -cf - . |
        tee >(sha256sum >"$work/diff-id") | "$@" | tee "$work/layer.tar.gz" | sha256sum >"$work/digest"
    sync "$work/layer.tar.gz"
}
umoci_insert() {
    rm -rf "$work/umoci"
    umoci init --layout "$work/umoci"
    umoci new --image "$work/umoci:x"
    umoci insert --rootless --image "$work/umoci:x" "$environment" /layers/bench/environment
}

for _ in $(seq $runs); do
    ours >>"$work/ours"
    if command -v pigz >/dev/null; then seconds piped pigz -1 -p "$cores" >>"$work/pigz"; fi
    seconds piped gzip -1 >>"$work/gzip"
    if command -v umoci >/dev/null; then seconds umoci_insert >>"$work/umoci-seconds"; fi
done
ours_seconds=$(cut -d' ' -f1 "$work/ours" | median)

echo "ratio  what (ours : theirs)"
if [ -e "$work/pigz" ]; then
    against "$ours_seconds" "$(median <"$work/pigz")" "export : tar, pigz -1 and sha256sum, median of $runs"
else
    echo "SKIPPED: export : pigz, which is not installed"
fi
against "$ours_seconds" "$(median <"$work/gzip")" "export : tar, gzip -1 and sha256sum, median of $runs"
if [ -e "$work/umoci-seconds" ]; then
    against "$ours_seconds" "$(median <"$work/umoci-seconds")" "export : umoci insert, median of $runs"
else
    echo "SKIPPED: export : umoci, which is not installed"
fi
awk -v s="$ours_seconds" -v c="$cores" 'END {
    printf "%6.0f  MB/s on %d cores, of %.0f MB (at least 300 on 2)\n", $2 / s / 1e6, c, $2 / 1e6
    printf "%6.1f  MB of memory at most (under 64); %.0f MB compressed\n", $4 * 1024 / 1e6, $3 / 1e6
}' "$work/ours"
