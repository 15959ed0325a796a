#!/bin/bash
# The phases as a platform calls them, beside the reference lifecycle's, with a real registry on loopback and a Python environment of
# about 500 MB as one cached layer: restore from a folder and from an image, all of it and what a rebuild needs where the buildpack says
# (as our own do) that it will not look into the layer; export with nothing changed, detect with 20 buildpacks, rebase; peak memory.
#
# Needs docker-registry, skopeo, umoci and python3 with venv (Debian packages of these names), Go for the reference, about 15 GB in
# TMPDIR, and a package index for pip. LONGSHORE_BENCH_ENVIRONMENT names a virtual environment to use instead. What is missing is
# said and skipped. The builders do not run: their outcome is written down here, the same for both.

source "$(dirname "$0")/lib.bash"
runs=3
buildpacks=20
for tool in docker-registry skopeo umoci; do
    command -v "$tool" >/dev/null || { echo "SKIPPED: phases, as $tool is not installed"; exit 0; }
done
reference=$(dirname "$LONGSHORE")/reference
"$root/tests/reference/build.sh" "$reference" || { [ $? = 77 ] && exit 0; exit 1; }
(cd "$root" && cargo build --quiet --release --locked -p phases)
ours=$work/ours
mkdir "$ours"
for phase in analyzer detector restorer exporter rebaser; do
    ln -s "$(dirname "$LONGSHORE")/lifecycle" "$ours/$phase"
done

# measured COMMAND…: its seconds in $took, and its peak memory in $peak.
measured() {
    python3 "$root/tests/bench/measure.py" "$work/log" "" "" "$@" >"$work/measured" || exit 1
    read -r took peak <"$work/measured"
}
# repeatedly COMMAND…: the median of $took.
repeatedly() {
    for _ in $(seq $runs); do "$@" && echo "$took"; done | median
}
# phase WHOSE NAME FLAGS…: as the user who owns everything here, and never as root, which detectors refuse to be.
phase() {
    measured env CNB_PLATFORM_API=0.14 CNB_USER_ID="$UID" CNB_GROUP_ID="${GROUPS[0]}" \
        "$1/$2" -no-color "${@:3}"
}

environment=${LONGSHORE_BENCH_ENVIRONMENT:-$work/environment}
if [ ! -d "$environment" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet dash pandas numpy scipy scikit-learn plotly gunicorn
fi
mkdir "$work/registry" "$work/app" "$work/etc"
cp "$root/examples/dash-minimal/app.py" "$work/app/"
printf '%s\n' 'version: 0.1' 'log: {level: info}' "storage: {filesystem: {rootdirectory: $work/registry}}" \
    'http: {addr: 127.0.0.1:0}' >"$work/registry.yml"
timeout 3600 docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
servers+=($!)
for _ in $(seq 100); do
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/registry.log" | head -n 1)
    [ -z "$port" ] || break
    sleep 0.1
done
registry=127.0.0.1:$port
echo 'cnb:x:1000:1000::/:/bin/sh' >"$work/etc/passwd"
# run_image TAG CONTENT: a run image of one file.
run_image() {
    echo "$2" >"$work/etc/content"
    umoci init --layout "$work/$1"
    umoci new --image "$work/$1:run"
    umoci insert --rootless --image "$work/$1:run" "$work/etc" /etc
    umoci config --image "$work/$1:run" --config.user 1000:1000 --os linux --architecture amd64
    skopeo copy --quiet --dest-tls-verify=false "oci:$work/$1:run" "docker://$registry/run:$1"
}
run_image old 1 >"$work/log" 2>&1
run_image new 2 >"$work/log" 2>&1
printf '[[images]]\nimage = "%s/run:old"\nmirrors = ["%s/run:new"]\n' "$registry" "$registry" >"$work/run.toml"

# What the builder would have left behind. Both go on from the same folder, one after the other: caches hold whole paths.
layers=$work/layers
built() { # with WHAT in the layer's folder: "files", or "" where the restorer has put them there
    mkdir -p "$layers/config" "$layers/bench_deps"
    printf '[[group]]\nid = "bench/deps"\nversion = "1"\napi = "0.10"\n' >"$layers/group.toml"
    printf '[[buildpacks]]\nid = "bench/deps"\nversion = "1"\napi = "0.10"\n' >"$layers/config/metadata.toml"
    [ -z "$1" ] || cp -a "$environment" "$layers/bench_deps/environment"
    printf '[types]\nlaunch = true\ncache = true\n[metadata.restore.unless]\nname = "bench"\n' >"$layers/bench_deps/environment.toml"
}
# The plan that makes the contents unnecessary; without it everything is restored.
plan=
planned() {
    [ -z "$plan" ] || printf '[[entries]]\n[[entries.requires]]\nname = "bench"\n' >"$layers/plan.toml"
}
analyze() { phase "$1" analyzer -layers "$layers" -run "$work/run.toml" "$registry/$2:latest"; }
export_() { # WHOSE NAME CACHE-FLAG VALUE
    phase "$1" exporter -layers "$layers" -app "$work/app" -run "$work/run.toml" -launcher "$reference/launcher" \
        "$3" "$4" "$registry/$2:latest"
}
# Moved away rather than removed: ext4 looks through what was deleted just now whenever a file is made, which would be measured in turns.
# What was written before is on disk before the next is measured.
put_away() {
    [ ! -e "$layers" ] || mv "$layers" "$(mktemp -d "$work/old-XXXXXX")/"
    sync
}
restore() { # WHOSE NAME CACHE-FLAG VALUE
    put_away
    built ""
    planned
    rm "$layers/bench_deps/environment.toml"
    analyze "$1" "$2"
    phase "$1" restorer -layers "$layers" -run "$work/run.toml" "$3" "$4"
}
unchanged() {
    restore "$@"
    built ""
    export_ "$@"
}
rebuild() { # everything that is not a buildpack's doing, in $took
    restore "$@"
    local restored=$took
    built ""
    export_ "$@"
    took=$(plus "$took" "$restored")
}
both() { # WHOSE NAME: everything of one of the two, in variables that begin with NAME
    local whose=$1 name=$2
    put_away
    built files
    tar -C "$layers" -cf - . | cat >/dev/null # into the page cache
    mkdir "$work/$name-cache"
    analyze "$whose" "$name"
    export_ "$whose" "$name" -cache-dir "$work/$name-cache"
    declare -g "${name}_cold=$took" "${name}_export_peak=$peak"
    declare -g "${name}_restore=$(repeatedly restore "$whose" "$name" -cache-dir "$work/$name-cache")"
    restore "$whose" "$name" -cache-dir "$work/$name-cache"
    declare -g "${name}_restore_peak=$peak"
    declare -g "${name}_unchanged=$(repeatedly unchanged "$whose" "$name" -cache-dir "$work/$name-cache")"
    export_ "$whose" "$name" -cache-image "$registry/$name:cache"
    declare -g "${name}_image=$(repeatedly restore "$whose" "$name" -cache-image "$registry/$name:cache")"
    plan=yes
    declare -g "${name}_rebuild=$(repeatedly rebuild "$whose" "$name" -cache-dir "$work/$name-cache")"
    declare -g "${name}_rebuild_image=$(repeatedly rebuild "$whose" "$name" -cache-image "$registry/$name:cache")"
    plan=
    declare -g "${name}_rebase=$(repeatedly phase "$whose" rebaser -run-image "$registry/run:new" -force "$registry/$name:latest")"
    declare -g "${name}_detect=$(repeatedly detect "$whose")"
}

# Detect: buildpacks that only say what they provide; the last one alone wants it all.
mkdir "$work/buildpacks" "$work/platform" "$work/detected"
chmod 0755 "$work"
{
    echo '[[order]]'
    for number in $(seq $buildpacks); do
        bin=$work/buildpacks/bench_$number/1/bin
        mkdir -p "$bin"
        printf 'api = "0.10"\n[buildpack]\nid = "bench/%s"\nversion = "1"\n[[targets]]\nos = "linux"\n' "$number" >"$bin/../buildpack.toml"
        printf '#!/bin/sh\nprintf "[[provides]]\\nname = \\"%s\\"\\n[[requires]]\\nname = \\"%s\\"\\n" >"$2"\n' "$number" "$number" >"$bin/detect"
        printf '#!/bin/sh\n' >"$bin/build"
        chmod +x "$bin/detect" "$bin/build"
        printf '[[order.group]]\nid = "bench/%s"\nversion = "1"\noptional = true\n' "$number"
    done
} >"$work/order.toml"
unprivileged=()
if [ "$UID" = 0 ]; then
    unprivileged=(setpriv --reuid 1000 --regid 1000 --clear-groups)
    chown 1000:1000 "$work/detected"
fi
detect() {
    measured env CNB_PLATFORM_API=0.14 "${unprivileged[@]}" "$1/detector" -no-color -app "$work/app" -buildpacks "$work/buildpacks" \
        -order "$work/order.toml" -platform "$work/platform" -layers "$work/detected"
}

both "$ours" ours
both "$reference" reference
# shellcheck disable=SC2154 # `both` sets them
{
    echo "ratio  what (ours : the reference's), median of $runs"
    against "$ours_restore" "$reference_restore" "restore everything from a folder"
    against "$ours_image" "$reference_image" "restore everything from an image"
    against "$ours_rebuild" "$reference_rebuild" "restore and export with nothing changed, cache in a folder (at most 0.2)"
    against "$ours_rebuild_image" "$reference_rebuild_image" "restore and export with nothing changed, cache in an image"
    against "$ours_cold" "$reference_cold" "export, cold, cache in a folder, once"
    against "$ours_unchanged" "$reference_unchanged" "export, nothing changed"
    against "$ours_detect" "$reference_detect" "detect, $buildpacks buildpacks"
    against "$ours_rebase" "$reference_rebase" "rebase in a registry"
    counted "$ours_restore_peak" "$reference_restore_peak" "MB of memory at most, restore (under 64)"
    counted "$ours_export_peak" "$reference_export_peak" "MB of memory at most, export (under 64)"
}
