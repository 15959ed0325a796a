#!/bin/bash
# Publishing to a real registry on loopback: `longshore build --publish --cache-image` beside the reference lifecycle's exporter (with
# its cache in a folder and in an image), `skopeo copy` and `docker push`. A Python environment of about 500 MB as one cached layer: cold, unchanged,
# after a change of the app, and restored on a clean machine, with and without a need for it; seven small layers: requests, and a registry 50 ms away.
#
# Needs docker-registry, skopeo, umoci and python3 with venv (Debian packages of these names), Go for the reference, about 6 GB in
# TMPDIR, a package index for pip, and Debian packages for our base images. LONGSHORE_BENCH_ENVIRONMENT names a virtual environment
# to publish instead. `docker push` needs docker and dockerd, and root. What is missing is said and skipped. The reference's detector and builder do not run: their outcome is written
# down here, so that no phase insists on being root or on not being it.

source "$(dirname "$0")/lib.bash"
runs=3
small_layers=7
round_trip=50 # milliseconds
for tool in docker-registry skopeo umoci; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: publish, as $tool is not installed"; exit 0; }
done
tools=$(dirname "$LONGSHORE")/reference
"$root/tests/reference/build.sh" "$tools" || { [ $? = 77 ] && exit 0; exit 1; }

# measured FROM TO COMMAND…: its seconds, from one word of its output to another, in $took, and its peak memory in $peak.
measured() {
    python3 "$root/tests/bench/measure.py" "$work/log" "$@" >"$work/measured" || exit 1
    read -r took peak <"$work/measured"
}
# repeatedly COMMAND…: the median of $took.
repeatedly() {
    for _ in $(seq $runs); do "$@" && echo "$took"; done | median
}

# listening LOG PATTERN: waits until a server has said its port.
listening() {
    local port=
    for _ in $(seq 100); do
        port=$(sed -n "s/$2/\1/p" "$1" 2>/dev/null | head -n 1) || true # the file comes with the server
        [ -z "$port" ] || break
        sleep 0.1
    done
    [ -n "$port" ] || { cat "$1" >&2; exit 1; }
    registry=127.0.0.1:$port
}
# new_registry NAME: an empty one, at $registry, with the run image of the others in it. Servers end with this script, or after an hour.
new_registry() {
    mkdir "$work/$1"
    printf '%s\n' 'version: 0.1' 'log: {level: info}' "storage: {filesystem: {rootdirectory: $work/$1}}" \
        'http: {addr: 127.0.0.1:0}' >"$work/$1.yml"
    timeout 3600 docker-registry serve "$work/$1.yml" >"$work/$1.log" 2>&1 &
    servers+=($!)
    listening "$work/$1.log" '.*listening on 127\.0\.0\.1:\([0-9]*\).*'
    copy "oci:$work/run:run" "docker://$registry/run:latest"
    already=$(answered "$1")
}
# far_away NAME: puts the round trip before the registry at $registry.
far_away() {
    timeout 3600 python3 "$root/tests/bench/delay.py" "${registry##*:}" "$round_trip" >"$work/$1.delay" 2>&1 &
    servers+=($!)
    listening "$work/$1.delay" '^\([0-9]*\)$'
}
answered() { grep -c '"[A-Z]* /v2/' "$work/$1.log" || true; }
# requests NAME: how many the newest registry has answered since it was made.
requests() { echo $(($(answered "$1") - already)); }
# layers_of IMAGE
layers_of() { skopeo inspect --tls-verify=false "docker://$1" --format '{{len .Layers}}'; }

# Ours. The base image is in the registry, as for the others, because an image with the same one was published before.
ours_publish() { # FROM TO APP
    measured "$1" "$2" "$LONGSHORE" build "$3" \
        --publish "$registry/bench:latest" --cache-image "$registry/bench:cache"
}
ours_changed() {
    echo "# $RANDOM" >>"$app/app.py"
    ours_publish "" "" "$app"
}

# The reference. $layers is what its builder would leave behind.
reference_phase() { # NAME FLAGS…
    measured "" "" env CNB_PLATFORM_API=0.12 CNB_USER_ID="$UID" CNB_GROUP_ID="${GROUPS[0]}" \
        "$tools/$1" -no-color -layers "$layers" "${@:2}"
}
reference_layers() { # NAME
    layers=$work/$1
    mkdir -p "$layers/config"
    printf '[[group]]\nid = "bench/deps"\nversion = "1"\napi = "0.10"\n' >"$layers/group.toml"
    printf '[[buildpacks]]\nid = "bench/deps"\nversion = "1"\napi = "0.10"\n' >"$layers/config/metadata.toml"
    printf '[[images]]\nimage = "%s/run:latest"\n' "$registry" >"$work/run.toml"
}
reference_layer() { # NAME FOLDER
    mkdir -p "$layers/bench_deps"
    cp -a "$2" "$layers/bench_deps/$1"
    printf '[types]\nlaunch = true\ncache = true\n' >"$layers/bench_deps/$1.toml"
}
reference_analyze() {
    reference_phase analyzer -run "$work/run.toml" "$registry/bench:latest"
}
reference_export() { # CACHE-FLAG VALUE
    reference_phase exporter -app "$reference_app" -run "$work/run.toml" -launcher "$tools/launcher" "$@" \
        "$registry/bench:latest"
}
reference_publish() { # CACHE-FLAG VALUE
    local analyzed
    reference_analyze
    analyzed=$took
    reference_export "$@"
    took=$(plus "$took" "$analyzed")
}
reference_changed() { # CACHE-FLAG VALUE
    echo "# $RANDOM" >>"$reference_app/app.py"
    reference_publish "$@"
}
reference_restore() { # NAME
    local analyzed
    rm -rf "${work:?}/$1" # the cache holds whole paths, so it has to be the same folder
    reference_layers "$1"
    reference_analyze
    analyzed=$took
    reference_phase restorer -cache-image "$registry/bench:cache"
    took=$(plus "$took" "$analyzed")
}

copy() { skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "$@"; }
skopeo_publish() { # LAYOUT
    measured "" "" skopeo copy --quiet --dest-tls-verify=false "oci:$1:bench" "docker://$registry/bench:latest"
}

# Docker, with a daemon of its own that has the reference's image already: registries on loopback need no TLS for it.
docker_here() { command -v dockerd && command -v docker && [ "$UID" = 0 ]; } >/dev/null
docker_starts() {
    docker_folder=$(mktemp -d /tmp/longshore-docker-XXXXXX) # the path of a socket has to be short
    export DOCKER_HOST=unix://$docker_folder/socket
    unshare --mount dockerd --bridge=none --iptables=false --ip6tables=false --data-root "$work/docker" --exec-root "$docker_folder/exec" \
        --pidfile "$docker_folder/pid" --host "$DOCKER_HOST" >"$work/docker.log" 2>&1 &
    docker_daemon=$!
    servers+=("$docker_daemon")
    for _ in $(seq 300); do
        docker version >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "SKIPPED: docker push, as dockerd does not start:"
    tail -3 "$work/docker.log"
    return 1
}
docker_stops() {
    kill "$docker_daemon" && wait "$docker_daemon" || true
    rm -rf "$docker_folder"
}
docker_publish() {
    docker pull --quiet "$reference_image_name" >"$work/log"
    docker tag "$reference_image_name" "$registry/bench:latest"
    measured "" "" docker push --quiet "$registry/bench:latest"
}

# What is published.
environment=${LONGSHORE_BENCH_ENVIRONMENT:-$work/environment}
if [ ! -d "$environment" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet dash pandas numpy scipy scikit-learn plotly gunicorn
fi
app=$work/app
reference_app=$work/reference-app
mkdir "$app" "$reference_app"
"$environment/bin/python" -m pip freeze >"$app/requirements.txt"
echo 'web: gunicorn app:server' >"$app/Procfile"
cp "$root/examples/dash-minimal/app.py" "$app/"
cp "$app"/* "$reference_app/"
mkdir "$work/etc" "$work/small"
echo 'cnb:x:1000:1000::/:/bin/sh' >"$work/etc/passwd"
echo content >"$work/small/file"
{
    umoci init --layout "$work/run"
    umoci new --image "$work/run:run"
    umoci insert --rootless --image "$work/run:run" "$work/etc" /etc
    umoci config --image "$work/run:run" --config.user 1000:1000 --os linux --architecture amd64 \
        --config.env CNB_USER_ID=1000 --config.env CNB_GROUP_ID=1000
} >"$work/log" 2>&1

# Ours: cold from the head of the export on, since installing is not what is compared; the rest whole commands.
new_registry ours
ours_publish "" "" "$root/examples/flask-plain"
ours_publish EXPORTING "" "$app"
ours_cold=$took ours_peak=$peak
ours_unchanged=$(repeatedly ours_publish "" "" "$app")
ours_changed=$(repeatedly ours_changed)
elsewhere() { # to another machine, which has nothing
    chmod -R u+rwX "$work/data" "$work/cache"
    rm -rf "$work/data" "$work/cache"
}
elsewhere
ours_publish RESTORING EXPORTING "$app"
ours_left=$took
# What runs while building may look into the environment, so it has to be there.
echo '{"scripts": {"dokku": {"predeploy": "true"}}}' >"$app/app.json"
elsewhere
ours_publish RESTORING EXPORTING "$app"
ours_restored=$took
rm "$app/app.json"
new_registry ours-requests
measured "" "" "$LONGSHORE" build "$root/examples/flask-plain" --publish "$registry/bench:latest"
ours_requests=$(requests ours-requests) ours_layers=$(layers_of "$registry/bench:latest")
new_registry ours-far
far_away ours-far
ours_publish "" "" "$root/examples/flask-plain"
ours_far=$took ours_all_requests=$(requests ours-far)

# The reference.
new_registry reference
reference_layers layers
reference_layer environment "$environment"
tar -C "$layers" -cf - . | cat >/dev/null # into the page cache
reference_analyze
mkdir "$work/reference-cache"
reference_export -cache-dir "$work/reference-cache"
reference_cold=$took reference_peak=$peak
reference_unchanged=$(repeatedly reference_publish -cache-dir "$work/reference-cache")
reference_changed=$(repeatedly reference_changed -cache-dir "$work/reference-cache")
copy "docker://$registry/bench:latest" "oci:$work/layout:bench"
reference_image_name=$registry/bench:latest
new_registry reference-image
reference_layers layers
reference_analyze
reference_export -cache-image "$registry/bench:cache"
reference_image=$took
reference_restore layers
reference_restored=$took
new_registry reference-small
reference_layers small-layers
# The app, the launcher and its configuration are layers too.
for number in $(seq $((small_layers - 3))); do
    reference_layer "small-$number" "$work/small"
    echo "$number" >"$layers/bench_deps/small-$number/number"
done
reference_publish
reference_requests=$(requests reference-small) reference_layers=$(layers_of "$registry/bench:latest")
copy "docker://$registry/bench:latest" "oci:$work/small-layout:bench"
new_registry reference-far
far_away reference-far
reference_layers small-layers
reference_publish
reference_far=$took

# skopeo, which has everything compressed already.
new_registry skopeo
skopeo_publish "$work/layout"
skopeo_cold=$took skopeo_peak=$peak
skopeo_unchanged=$(repeatedly skopeo_publish "$work/layout")
new_registry skopeo-small
skopeo_publish "$work/small-layout"
skopeo_requests=$(requests skopeo-small) skopeo_layers=$(layers_of "$registry/bench:latest")
new_registry skopeo-far
far_away skopeo-far
skopeo_publish "$work/small-layout"
skopeo_far=$took

# Docker, which compresses what it pushes.
docker_cold=
if ! docker_here; then
    echo "SKIPPED: docker push, as docker and dockerd are not both installed, or this is not root"
else
    new_registry docker
    if docker_starts; then
        docker_publish
        docker_cold=$took
        docker_stops
    fi
fi

echo "ratio  what (ours : theirs)"
against "$ours_cold" "$reference_cold" "cold push, cache written : reference exporter, cache in a folder (at most 0.2)"
against "$ours_cold" "$reference_image" "cold push, cache written : reference exporter, cache in an image (at most 0.2)"
against "$ours_cold" "$skopeo_cold" "cold push, cache written : skopeo copy of a finished layout"
[ -z "$docker_cold" ] || against "$ours_cold" "$docker_cold" "cold push, cache written : docker push of the image that the reference made"
against "$ours_changed" "$reference_changed" "app changed, whole build : reference analyzer and exporter, median of $runs"
against "$ours_unchanged" "$reference_unchanged" "unchanged, whole build : reference analyzer and exporter, median of $runs"
against "$ours_unchanged" "$skopeo_unchanged" "unchanged, whole build : skopeo copy, median of $runs"
against "$ours_unchanged" 1 "unchanged, whole build, median of $runs : 1 s allowed"
against "$ours_left" "$reference_restored" "restore on a clean machine, nothing changed and no predeploy : reference analyzer and restorer"
against "$ours_restored" "$reference_restored" "pull and restore everything on a clean machine : reference analyzer and restorer"
against "$ours_far" "$reference_far" "first publish of small layers $round_trip ms away, cache written : reference analyzer and exporter without one"
against "$ours_far" "$skopeo_far" "first publish of small layers $round_trip ms away, cache written : skopeo copy"
counted "$ours_requests" "$reference_requests" \
    "requests, $ours_layers layers : reference analyzer and exporter, $reference_layers layers (at most 30)"
counted "$ours_all_requests" "$reference_requests" "requests, the same and a cache image : reference analyzer and exporter without one"
counted "$ours_requests" "$skopeo_requests" "requests, $ours_layers layers : skopeo copy, $skopeo_layers layers"
counted "$ours_peak" "$reference_peak" "MB of memory at most, cold push : reference exporter (under 64)"
counted "$ours_peak" "$skopeo_peak" "MB of memory at most, cold push : skopeo copy"
