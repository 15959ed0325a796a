#!/bin/bash
# Both base images of the trixie stack from Debian packages: `longshore stack create` beside mmdebstrap (once for each image, with
# the same packages), cold (everything downloaded) and warm (every .deb there already). mmdebstrap unpacks into folders, the least
# work it can have; ours also writes, compresses and hashes the layers. mmdebstrap needs root, or subordinate user ids.

source "$(dirname "$0")/lib.bash"
runs=3
stack=$root/stacks/trixie
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed" >&2; exit 1; }

# Our store without the images, so that they are made again.
forget_images() { rm -rf "$XDG_DATA_HOME/longshore" "$XDG_CACHE_HOME/longshore/trees" "$XDG_CACHE_HOME/longshore/notes"; }
forget_all() { chmod -R u+rwX "$work/data" "$work/cache" 2>/dev/null || true; rm -rf "$work/data" "$work/cache"; }
ours() { "$LONGSHORE" stack create "$stack" --quiet; }

# names IMAGE: the lock's packages of an image.
names() {
    awk -v image="\"$1\"" '
        $1 == "name" { name = $3; gsub(/"/, "", name) }
        $1 == "images" && index($0, image) { names = names "," name }
        END { print substr(names, 2) }
    ' "$stack/stack.lock"
}
# options: what the stack leaves out, for mmdebstrap.
mapfile -t leave_out < <(awk '
    /^exclude = \[/ { kind = "exclude" } /^include = \[/ { kind = "include" } /^\]/ { kind = "" }
    kind && /^ *"/ { gsub(/[ ",]/, ""); print "--dpkgopt=path-" kind "=" $0 }
' "$stack/stack.toml")
peer() {
    local image=$1
    shift
    rm -rf "${work:?}/peer-$image"
    mmdebstrap --quiet --variant=custom --format=directory "${leave_out[@]}" --include="$(names "$image")" \
        trixie "$work/peer-$image" "$@"
}
peers_cold() {
    for image in run build; do peer "$image"; done
}
peers_warm() {
    for image in run build; do peer "$image" "deb [trusted=yes] copy:$work/repository ./"; done
}
# The packages that ours downloaded, as a repository.
make_repository() {
    mkdir -p "$work/repository"
    for deb in "$XDG_CACHE_HOME"/longshore/downloads/sha256/*; do
        [ "$(head -c 7 "$deb")" = '!<arch>' ] || continue
        ln "$deb" "$work/repository/${deb##*/}.deb"
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s.deb\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "${deb##*/}"
    done >"$work/repository/Packages"
}

ours_cold=$(for _ in $(seq $runs); do forget_all; seconds ours; done | median)
make_repository
ours_warm=$(for _ in $(seq $runs); do forget_images; seconds ours; done | median)
ours_found=$(for _ in $(seq $runs); do seconds ours; done | median)
peers_cold=$(seconds peers_cold)
peers_warm=$(for _ in $(seq $runs); do seconds peers_warm; done | median)

echo "ratio  what (ours : theirs)"
against "$ours_cold" "$peers_cold" "cold: stack create : mmdebstrap twice (at most 0.5)"
against "$ours_warm" "$peers_warm" "warm: stack create : mmdebstrap twice, median of $runs (at most 0.5)"
echo "        found in the store again: $ours_found s"
