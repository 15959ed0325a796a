#!/bin/bash
# kpack's build pod (v1alpha2), with Platform API 0.9: every step as the builder's own user, which is nobody's entry in any passwd file,
# without a capability; the platform's own steps before and after are done here.

source "$(dirname "$0")/lib.bash"
owner=1000:1000
api=${CNB_PLATFORM_API:-0.9}
restricted=(--user "$owner" --cap-drop ALL --security-opt no-new-privileges
    --env "CNB_PLATFORM_API=$api" --env HOME=/builder/home)
tags=("$IMAGE" "${IMAGE%:*}:second")

# prepare: the source, the variables, the logins, and what it knows of the source.
source_code workspace "$owner"
for name in layers platform home report; do volume "$name" "$owner"; done
volume_kept cache "$owner"
mkdir "$WORK/platform/env" "$WORK/home/.docker"
cp "$PLATFORM_ENV"/* "$WORK/platform/env/"
echo '{"auths": {}}' >"$WORK/home/.docker/config.json"
printf '[source]\ntype = "git"\n[source.version]\ncommit = "%s"\n' 0123456789abcdef >"$WORK/layers/project-metadata.toml"
chown -R "$owner" "$WORK/platform" "$WORK/home" "$WORK/layers"

layers=$(mount layers /layers) workspace=$(mount workspace /workspace) home=$(mount home /builder/home)
platform=$(mount platform /platform) bindings=SERVICE_BINDING_ROOT=/platform/bindings
if [ -n "${CACHE_IMAGE:-}" ]; then
    # The digest of the last build's cache, where there is one; the new one goes to the tag.
    last=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$CACHE_IMAGE" 2>/dev/null || true)
    restore_cache=(-cache-image="${CACHE_IMAGE%:*}${last:+@}${last:-:${CACHE_IMAGE##*:}}")
    analyze_cache=("${restore_cache[@]}") export_cache=(-cache-image="$CACHE_IMAGE") cache=()
else
    restore_cache=(-cache-dir=/cache) analyze_cache=() export_cache=(-cache-dir=/cache) cache=("$(mount cache /cache)")
fi
previous=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$IMAGE" 2>/dev/null || true)

container /cnb/lifecycle/analyzer "${restricted[@]}" --env "$bindings" "$layers" "$workspace" "$home" -- \
    -layers=/layers -analyzed=/layers/analyzed.toml -run-image="$RUN_IMAGE" "${analyze_cache[@]}" \
    -tag="${tags[1]}" ${previous:+-previous-image="${IMAGE%:*}@$previous"} "$IMAGE"
container /cnb/lifecycle/detector --user "$owner" --cap-drop ALL --security-opt no-new-privileges \
    --env "CNB_PLATFORM_API=$api" "$layers" "$platform" "$workspace" -- \
    -app=/workspace -group=/layers/group.toml -plan=/layers/plan.toml
container /cnb/lifecycle/restorer "${restricted[@]}" "$layers" "$home" "${cache[@]}" -- \
    -group=/layers/group.toml -layers=/layers "${restore_cache[@]}" -analyzed=/layers/analyzed.toml
container /cnb/lifecycle/builder --user "$owner" --cap-drop ALL --security-opt no-new-privileges \
    --env "CNB_PLATFORM_API=$api" --env "$bindings" "$layers" "$platform" "$workspace" -- \
    -layers=/layers -app=/workspace -group=/layers/group.toml -plan=/layers/plan.toml
container /cnb/lifecycle/exporter "${restricted[@]}" --env "CNB_RUN_IMAGE=$RUN_IMAGE" \
    "$layers" "$workspace" "$home" "${cache[@]}" "$(mount report /var/report)" -- \
    -layers=/layers -app=/workspace -group=/layers/group.toml -analyzed=/layers/analyzed.toml \
    -project-metadata=/layers/project-metadata.toml "${export_cache[@]}" -process-type=web \
    -report=/var/report/report.toml "${tags[@]}"

# completion: no tags is a failure; then the labels of the first tag by its digest.
read -r first digest <<<"$(python3 - "$WORK/report/report.toml" <<'PYTHON'
import sys, tomllib
image = tomllib.load(open(sys.argv[1], "rb"))["image"]
print(image["tags"][0], image["digest"])
PYTHON
)"
[ "$first" = "$IMAGE" ] || fail "report.toml names $first"
exact=${IMAGE%:*}@$digest
[ -n "$(label "$exact" io.buildpacks.stack.id)" ] || fail "without the stack's label kpack records no image"
label "$exact" io.buildpacks.build.metadata | jq -e '.buildpacks[0].id and .launcher.version' >/dev/null ||
    fail "io.buildpacks.build.metadata names no buildpacks"
label "$exact" io.buildpacks.lifecycle.metadata |
    jq -e '(.runImage.reference | length > 0) and (.runImage.topLayer | length > 0) and (.stack.runImage.image | length > 0)' >/dev/null ||
    fail "io.buildpacks.lifecycle.metadata does not say what kpack rebases by"
label "$exact" io.buildpacks.project.metadata | jq -e '.source.version.commit' >/dev/null || fail "the source's version is lost"
echo "$exact"
