#!/bin/bash
# Shipwright's ClusterBuildStrategy `buildpacks-v3`: one bash script in the builder image, as uid 1001 and gid 1000, which is not the
# image's user, with Platform API 0.13; every variable of the container becomes one of the platform.

source "$(dirname "$0")/lib.bash"
owner=1001:1000
source_code source "$owner"
volume platform-env "$owner"
volume results "$owner"
volume_kept shp "$owner"
rm -rf "$WORK/shp/layers" # the container's own; only the cache is kept, which the strategy as it is loses

variables=()
for file in "$PLATFORM_ENV"/*; do variables+=(--env "$(basename "$file")=$(cat "$file")"); done
container /bin/bash --user "$owner" "${variables[@]}" --env CNB_PLATFORM_API="${CNB_PLATFORM_API:-0.13}" \
    --env PARAM_SOURCE_CONTEXT=/workspace/source --env PARAM_OUTPUT_IMAGE="$IMAGE" --env CNB_INSECURE_REGISTRIES="${IMAGE%%/*}," \
    "$(mount source /workspace/source)" "$(mount platform-env /platform/env)" "$(mount results /tekton/results)" \
    "$(mount shp /tmp/.shp)" -- -c '
set -euo pipefail
for variable in $(env); do
    IFS="=" read -r key value <<<"$variable"
    case $key in PATH | HOSTNAME | PWD | _ | SHLVL | HOME | "") ;; *) echo -n "$value" >"/platform/env/$key" ;; esac
done
layers=/tmp/.shp/layers cache=/tmp/.shp/cache
mkdir -p "$layers" "$cache"
/cnb/lifecycle/analyzer -layers="$layers" "$PARAM_OUTPUT_IMAGE"
/cnb/lifecycle/detector -app="$PARAM_SOURCE_CONTEXT" -layers="$layers"
/cnb/lifecycle/restorer -cache-dir="$cache" -layers="$layers"
/cnb/lifecycle/builder -app="$PARAM_SOURCE_CONTEXT" -layers="$layers"
arguments=(-layers="$layers" -report=/tmp/report.toml -cache-dir="$cache" -app="$PARAM_SOURCE_CONTEXT")
grep -q buildpack-default-process-type "$layers/config/metadata.toml" || arguments+=(-process-type web)
/cnb/lifecycle/exporter "${arguments[@]}" "$PARAM_OUTPUT_IMAGE"
grep digest /tmp/report.toml | tail -n 1 | tr -d " \"\n" | sed s/digest=// >/tekton/results/shp-image-digest
'
echo "${IMAGE%:*}@$(cat "$WORK/results/shp-image-digest")"
