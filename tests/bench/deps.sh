#!/bin/bash
# The dependencies of a Dash app of six requirements: our buildpack beside plain `uv pip install` and pip, all of them
# compiling bytecode, cold (nothing downloaded) and warm (every wheel downloaded, a new environment).

source "$(dirname "$0")/lib.bash"
runs=3
app=$work/app
mkdir "$app"
printf '%s\n' dash==4.4.1 gunicorn==27.0.1 pandas==3.1.1 numpy plotly requests >"$app/requirements.txt"
echo 'web: gunicorn app:server' >"$app/Procfile"
cp "$root/examples/dash-minimal/app.py" "$app/"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet uv

# The seconds between the deps buildpack's heading and the next buildpack's.
ours() {
    "$LONGSHORE" build "$app" -t bench "$@" 2>&1 >/dev/null | while IFS= read -r line; do
        echo "$EPOCHREALTIME $line"
    done >"$work/stamped"
    awk '
        /\[Python packages\]/ { start = $1 }
        start && /\[Process types of the Procfile\]/ { printf "%.3f\n", $1 - start; exit }
    ' "$work/stamped"
}
uv() {
    rm -rf "$work/venv"
    python3 -m venv --without-pip "$work/venv"
    "$work/tools/bin/uv" pip install --quiet --compile-bytecode --python "$work/venv/bin/python" -r "$app/requirements.txt"
}
pip() {
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet -r "$app/requirements.txt"
}

"$LONGSHORE" build "$root/examples/flask-plain" -t base --quiet >/dev/null
export UV_CACHE_DIR=$work/uv-cache PIP_CACHE_DIR=$work/pip-cache
ours_cold=$(for _ in $(seq $runs); do ours --clear-cache; done | median)
uv_cold=$(for _ in $(seq $runs); do rm -rf "$UV_CACHE_DIR"; seconds uv; done | median)
uv_warm=$(for _ in $(seq $runs); do seconds uv; done | median)
pip_cold=$(rm -rf "$PIP_CACHE_DIR"; seconds pip)
ours_warm=$(for number in $(seq $runs); do echo "# $number" >>"$app/requirements.txt"; ours; done | median)

echo "ratio  what (ours : theirs)"
against "$ours_cold" "$uv_cold" "cold: buildpack : uv pip install, median of $runs (at most 1.1)"
against "$ours_warm" "$uv_warm" "warm: buildpack : uv pip install, median of $runs (at most 1.1)"
against "$ours_cold" "$pip_cold" "cold: buildpack : pip install"
