# What the scripts here have in common. Each runs the containers that one platform would start for a build, with the same command lines,
# users, rights, folders and variables, and then reads the outcome the way that platform does. The caller says, in variables:
#
#   ENGINE   the container engine's command, with its options (docker -H unix://…)
#   BUILDER  the builder image; RUN_IMAGE, if it is not the builder's own; IMAGE, the image to be; CACHE_IMAGE, or empty for a folder
#   APP      the app folder, which is copied; WORK, an empty folder, for what would be volumes, kept from build to build
#   CA       certificates to be trusted, for companies (and machines) whose TLS goes through a proxy
#   PLATFORM_ENV  a folder with a file for each variable that the platform's user has set
#
# What was found goes to the last line of standard output: the image's reference with its digest.

set -euo pipefail
read -ra engine <<<"$ENGINE"

# volume NAME UID:GID: an empty folder, as emptyDir is. volume_kept NAME UID:GID: one that a persistent claim would be.
volume() {
    rm -rf "${WORK:?}/$1"
    volume_kept "$@"
}
volume_kept() {
    mkdir -p "$WORK/$1"
    chown "$2" "$WORK/$1"
    chmod 0777 "$WORK/$1"
}

# source_code NAME UID:GID: the app as the platform's first step puts it there.
source_code() {
    volume "$1" "$2"
    cp -R "$APP/." "$WORK/$1/"
    chown -R "$2" "$WORK/$1"
}

# container COMMAND [OPTION… --] ARGUMENT…: one step, to its end.
container() {
    local command=$1 options=() argument
    shift
    for argument in "$@"; do
        shift
        [ "$argument" != -- ] || break
        options+=("$argument")
    done
    "${engine[@]}" run --rm --network host --entrypoint "$command" \
        --volume "$CA:/etc/ssl/certs/ca-certificates.crt:ro" "${options[@]}" "$BUILDER" "$@"
}

# mount NAME PLACE: the option that mounts a volume.
mount() { printf '%s' "--volume=$WORK/$1:$2"; }

# label IMAGE NAME: a label, as platforms read it from the registry.
label() { skopeo inspect --tls-verify=false --config "docker://$1" | jq -r --arg name "$2" '.config.Labels[$name] // ""'; }

fail() {
    echo "$0: $*" >&2
    exit 1
}
