#!/bin/bash
# Whole commands on examples/dash-minimal: a first build, an unchanged rebuild, a rebuild after one file changed.
# The peer of the first build is what has to be done at the very least: `python -m venv` and `pip install`.

source "$(dirname "$0")/lib.bash"
runs=5
app=$work/app
cp -R "$root/examples/dash-minimal" "$app"

build() { "$LONGSHORE" build "$app" -t bench --quiet; }
one_file() { echo "# $RANDOM" >>"$app/app.py" && build; }
pip() { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --no-cache-dir -r "$app/requirements.txt"; }

first=$(seconds build)
unchanged=$(for _ in $(seq $runs); do seconds build; done | median)
one_file=$(for _ in $(seq $runs); do seconds one_file; done | median)
again=$(seconds "$LONGSHORE" build "$app" -t bench --quiet --clear-cache)
pip=$(seconds pip)

echo "ratio  what (ours : theirs, or the time allowed)"
against "$unchanged" 1 "unchanged rebuild, median of $runs : 1 s allowed"
against "$one_file" 2 "rebuild after one changed file, median of $runs : 2 s allowed"
against "$again" "$pip" "build with base images at hand : venv and pip install alone"
against "$first" "$pip" "first build, base images made from Debian packages : venv and pip install alone"
