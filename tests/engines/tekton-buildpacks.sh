#!/bin/bash
# Tekton catalog, task `buildpacks` 0.6: the creator with Platform API 0.9, as uid 1000, every flag given, some of them empty.

source "$(dirname "$0")/lib.bash"
owner=1000:1000
source_code source "$owner"
for name in layers platform home; do volume "$name" "$owner"; done
volume_kept cache "$owner"
mkdir "$WORK/platform/env"
cp "$PLATFORM_ENV"/* "$WORK/platform/env/"
cache_dir=/workspace/cache
[ -z "${CACHE_IMAGE:-}" ] || cache_dir=

container /cnb/lifecycle/creator --user "$owner" --env CNB_PLATFORM_API=0.9 --env DOCKER_CONFIG= --env HOME=/tekton/home \
    "$(mount source /workspace/source)" "$(mount cache /workspace/cache)" "$(mount layers /layers)" \
    "$(mount platform /platform)" "$(mount home /tekton/home)" -- \
    -app=/workspace/source/ -cache-dir="$cache_dir" -cache-image="${CACHE_IMAGE:-}" -uid=1000 -gid=1000 -layers=/layers \
    -platform=/platform -report=/layers/report.toml -process-type=web -skip-restore=false -previous-image="$IMAGE" \
    -run-image="${RUN_IMAGE:-}" "$IMAGE"

[ "$(grep -c digest "$WORK/layers/report.toml")" = 1 ] || fail "the task greps for exactly one line with a digest"
echo "${IMAGE%:*}@$(grep digest "$WORK/layers/report.toml" | cut -d'"' -f2 | tr -d '\n')"
