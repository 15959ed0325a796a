#!/bin/bash
# Tekton catalog, task `buildpacks-phases` 0.3: what the builder's labels and variables say, then the phases with Platform API 0.13 as the
# image's own user, the restorer through bash.

source "$(dirname "$0")/lib.bash"
api=0.13
label "$BUILDER" io.buildpacks.builder.metadata | jq -e --arg api "$api" '.lifecycle.apis.platform.supported | index($api)' >/dev/null ||
    fail "the builder's lifecycle does not have Platform API $api"
[ "$(label "$BUILDER" io.buildpacks.extension.layers)" = "{}" ] || fail "without extensions their label has to be {}"
variable() { skopeo inspect --tls-verify=false --config "docker://$BUILDER" | jq -r '.config.Env[]' | grep "^$1=" | cut -d= -f2; }
uid=$(variable CNB_USER_ID) gid=$(variable CNB_GROUP_ID)

source_code source "$uid:$gid"
for name in layers platform home kaniko; do volume "$name" "$uid:$gid"; done
volume_kept cache "$uid:$gid"
mkdir "$WORK/platform/env" "$WORK/home/.docker"
cp "$PLATFORM_ENV"/* "$WORK/platform/env/"
common=(--env CNB_EXPERIMENTAL_MODE=warn --env HOME=/tekton/home --env "CNB_PLATFORM_API=$api" "$(mount layers /layers)"
    "$(mount source /workspace/source)" "$(mount cache /workspace/cache)" "$(mount home /tekton/home)")
platform=$(mount platform /platform)
cache_dir=/workspace/cache
[ -z "${CACHE_IMAGE:-}" ] || cache_dir=

container /cnb/lifecycle/analyzer "${common[@]}" -- -log-level=info -layers=/layers -run-image="${RUN_IMAGE:-}" \
    -cache-image="${CACHE_IMAGE:-}" -uid="$uid" -gid="$gid" -insecure-registry= -tag= -skip-layers=false "$IMAGE"
container /cnb/lifecycle/detector "${common[@]}" "$platform" -- -log-level=info -app=/workspace/source/ \
    -group=/layers/group.toml -plan=/layers/plan.toml -layers=/layers -platform=/platform
container bash "${common[@]}" "$(mount kaniko /kaniko)" -- -c \
    'exec /cnb/lifecycle/restorer -log-level=info -build-image="$0" -group=/layers/group.toml -layers=/layers -cache-dir="$1" \
        -cache-image="$2" -uid="$3" -gid="$4" -insecure-registry= -skip-layers=false' \
    "$BUILDER" "$cache_dir" "${CACHE_IMAGE:-}" "$uid" "$gid"
container /cnb/lifecycle/builder "${common[@]}" "$platform" -- -log-level=info -app=/workspace/source/ -layers=/layers \
    -group=/layers/group.toml -plan=/layers/plan.toml -platform=/platform
container /cnb/lifecycle/exporter "${common[@]}" -- -log-level=info -app=/workspace/source/ -layers=/layers \
    -group=/layers/group.toml -cache-dir="$cache_dir" -cache-image="${CACHE_IMAGE:-}" -report=/layers/report.toml \
    -process-type=web -uid="$uid" -gid="$gid" -insecure-registry= "$IMAGE"

python3 - "$WORK/layers/report.toml" "$IMAGE" <<'PYTHON'
import sys, tomllib
image = tomllib.load(open(sys.argv[1], "rb"))["image"]
assert image["tags"] == [sys.argv[2]], image
print(sys.argv[2].rsplit(":", 1)[0] + "@" + image["digest"])
PYTHON
