#!/bin/sh
# Builds the app in APP (default: this folder) and pushes it to IMAGE:TAG, for instance registry.example/team/app:v2.
# BUILD_IMAGE and RUN_IMAGE name base images in a registry; without them they are made from Debian packages.
set -eu
: "${IMAGE:?set IMAGE, for instance to registry.example/team/app}"

set -- "${APP:-.}" --publish "$IMAGE:${TAG:-latest}" --cache-image "$IMAGE:build-cache" \
    --metadata-file "${METADATA:-build.json}"
[ -z "${BUILD_IMAGE:-}" ] || set -- "$@" --build-image "$BUILD_IMAGE"
[ -z "${RUN_IMAGE:-}" ] || set -- "$@" --run-image "$RUN_IMAGE"

# Standard output is the reference by digest, and nothing else.
reference=$("${LONGSHORE:-longshore}" build "$@")
echo "$reference"
