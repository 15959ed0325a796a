#!/bin/bash
# build.sh DIR: the reference lifecycle, a link for each of its phases, its launcher, and pack, into DIR. What DIR has already of
# these versions is kept, so that a second call takes no time. Without Go 1.21 or newer: one line `SKIPPED: …`
# and exit status 77.

set -euo pipefail
shopt -s globstar
[ $# = 1 ] || { echo "Usage: tests/reference/build.sh DIR" >&2; exit 2; }
skipped() { echo "SKIPPED: the reference lifecycle and pack, as $1"; exit 77; }
command -v go >/dev/null || skipped "Go is not installed"
printf '%s\n' go1.21 "$(go env GOVERSION)" | sort --version-sort --check=quiet || skipped "Go is older than 1.21"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cd "$(dirname "$0")"
export CGO_ENABLED=0 GOWORK=off
# One at a time: tests start side by side.
exec 9>"$dir/.lock"
flock 9

# build NAME VARIABLE: the tools of the module NAME, with the version of github.com/buildpacks/NAME in a variable, as that project's
# own Makefile does it.
build() {
    local inputs version
    inputs=$(cat build.sh "$1"/go.* kaniko/go.mod kaniko/**/*.go | sha256sum)
    [ "$(cat "$dir/.$1" 2>/dev/null)" != "$inputs" ] || return 0
    rm -rf "$dir/.new"
    mkdir "$dir/.new"
    version=$(go -C "$1" list -m -f '{{.Version}}' "github.com/buildpacks/$1")
    go -C "$1" build -mod=readonly -trimpath -buildvcs=false -o "$dir/.new/" \
        -ldflags "-s -w -X github.com/buildpacks/$1/$2=${version#v}" tool
    mv "$dir/.new"/* "$dir/"
    rmdir "$dir/.new"
    echo "$inputs" >"$dir/.$1"
}

build lifecycle cmd.Version
for phase in analyzer builder creator detector exporter extender rebaser restorer; do
    ln -sfn lifecycle "$dir/$phase"
done
build pack pkg/client.Version
