#!/bin/bash
# `pack build` with our builder, beside the same builder with the reference lifecycle in it: a Dash app with an environment of about 500 MB,
# into a Docker daemon, with the creator. Cold, nothing changed, one file changed.
#
# Needs root for dockerd (docker.io), Go for pack and the reference, docker-registry, about 15 GB in TMPDIR, a package index and Debian packages.
# What is missing is said and skipped.

source "$(dirname "$0")/lib.bash"
runs=3
for tool in dockerd docker; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: pack, as $tool is not installed"; exit 0; }
done
[ "$UID" = 0 ] || { echo "SKIPPED: pack, as dockerd needs root"; exit 0; }
tools=$(dirname "$LONGSHORE")/reference
"$root/tests/reference/build.sh" "$tools" || { [ $? = 77 ] && exit 0; exit 1; }

export DOCKER_HOST=unix://$work/docker.sock PACK_HOME=$work/pack PACK_VOLUME_KEY=bench
unshare --mount dockerd --bridge=none --iptables=false --ip6tables=false -H "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$work/exec" \
    --pidfile "$work/docker.pid" >"$work/dockerd.log" 2>&1 &
servers+=($!)
for _ in $(seq 100); do
    ! docker version >/dev/null 2>&1 || break
    sleep 0.2
done

# The two builders differ in the lifecycle alone. The run image is in the daemon under the name that the builder has for it.
{
    "$LONGSHORE" stack create "$root/stacks/trixie" --output "$work/base"
    skopeo copy "oci:$work/base/run" "docker-archive:$work/run.tar:bench/run:1"
    docker load -i "$work/run.tar"
    "$LONGSHORE" builder create "$root/builder/builder.toml" --run-image bench/run:1 --output docker-daemon:bench/ours:1
    "$LONGSHORE" lifecycle package --archive "$work/lifecycle.tgz"
    mkdir -p "$work/reference/lifecycle"
    tar -C "$work/reference" -xzf "$work/lifecycle.tgz" lifecycle.toml
    cp "$tools/lifecycle" "$tools/launcher" "$work/reference/lifecycle/"
    for phase in analyzer builder creator detector exporter rebaser restorer; do
        ln -s lifecycle "$work/reference/lifecycle/$phase"
    done
    tar -C "$work/reference" -czf "$work/reference.tgz" lifecycle.toml lifecycle
    sed "s,^\[stack\],[lifecycle]\nuri = \"$work/reference.tgz\"\n\n[stack]," "$root/builder/builder.toml" >"$work/reference.toml"
    "$LONGSHORE" builder create "$work/reference.toml" --run-image bench/run:1 --output docker-daemon:bench/reference:1
} >"$work/log" 2>&1 || { tail -30 "$work/log" >&2; exit 1; }

app=$work/app
mkdir "$app"
printf '%s\n' dash pandas numpy scipy scikit-learn plotly gunicorn >"$app/requirements.txt"
echo 'web: gunicorn app:server' >"$app/Procfile"
cp "$root/examples/dash-minimal/app.py" "$app/"
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
build() { # WHOSE
    "$tools/pack" build "bench/app-$1" --path "$app" --builder "bench/$1:1" --trust-builder --pull-policy never --network host \
        --docker-host inherit --volume "$certificates:/certificates.pem:ro" --env SSL_CERT_FILE=/certificates.pem \
        --volume /etc/apt:/etc/apt:ro
}
changed() { # WHOSE
    echo "# $RANDOM" >>"$app/app.py"
    build "$1"
}
repeatedly() { for _ in $(seq $runs); do seconds "$@"; done | median; }

for whose in ours reference; do
    seconds build "$whose" >"$work/$whose-cold"
    repeatedly build "$whose" >"$work/$whose-unchanged"
    repeatedly changed "$whose" >"$work/$whose-changed"
done
echo "ratio  what (our lifecycle : the reference's), through pack"
against "$(cat "$work/ours-cold")" "$(cat "$work/reference-cold")" "pack build, nothing cached, once"
against "$(cat "$work/ours-unchanged")" "$(cat "$work/reference-unchanged")" "pack build, nothing changed, median of $runs (at most 0.2)"
against "$(cat "$work/ours-changed")" "$(cat "$work/reference-changed")" "pack build, one file changed, median of $runs"
