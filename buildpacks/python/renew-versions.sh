#!/bin/sh
# Renews versions.toml: the list of standalone Pythons that the pinned uv carries, and Debian's versions.
#
#   buildpacks/python/renew-versions.sh
#
# uv is fetched with pip, in the version and with the digests of buildpacks/kit/uv.toml. Debian's versions are read from the signed
# releases' package indexes by `apt-cache` where this machine has those suites; else the ones in the file stay.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../kit/uv.toml")
{
  printf 'uv==%s' "$version"
  sed -n 's/^ *"\([0-9a-f]\{64\}\)".*/\1/p' "$here/../kit/uv.toml" | while read -r digest; do printf ' --hash=sha256:%s' "$digest"; done
  echo
} > "$work/uv.txt"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --only-binary :all: \
  --target "$work/uv" -r "$work/uv.txt"
"$work/uv/bin/uv" python list --all-versions --only-downloads --output-format json --no-config > "$work/list.json"
python3 - "$here/versions.toml" "$work/list.json" "$version" <<'PYTHON'
import json, re, subprocess, sys

target, listing, uv = sys.argv[1:]
text = open(target).read() if __import__("os").path.exists(target) else ""

def debian(suite, minor, known):
    """The upstream version of a suite's interpreter, where apt knows the suite."""
    try:
        out = subprocess.run(["apt-cache", "madison", f"python{minor}"], capture_output=True, text=True).stdout
    except OSError:
        return known
    found = [line.split("|")[1].strip() for line in out.splitlines() if f" {suite}" in line]
    return re.match(r"[0-9.]+", found[0]).group(0) if found else known

def known(suite, default):
    match = re.search(rf'^{suite} = "([0-9.]+)"', text, re.M)
    return match.group(1) if match else default

rows = [row for row in json.load(open(listing))
        if (row["implementation"], row["variant"], row["os"], row["arch"], row["libc"]) == ("cpython", "default", "linux", "x86_64", "gnu")]
versions = {row["version"] for row in rows}
minors = {}
for version in versions:
    minors.setdefault(".".join(version.split(".")[:2]), []).append(version)
def number(version):
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?", version)
    stage = {"a": 0, "b": 1, "rc": 2, None: 3}[match[4]]
    return (int(match[1]), int(match[2]), int(match[3]), stage, int(match[5] or 0))
with open(target, "w") as file:
    file.write("# The Pythons that Longshore can get. Renewed by renew-versions.sh; an impossible request fails before anything is downloaded.\n\n")
    file.write("# Debian's own packages, by suite.\n[debian]\n")
    for suite, minor, default in [("trixie", "3.13", "3.13.5"), ("bookworm", "3.11", "3.11.2")]:
        file.write(f'{suite} = "{debian(suite, minor, known(suite, default))}"\n')
    file.write(f"\n# python-build-standalone, as uv {uv} lists it for Linux on x86-64 with glibc.\n[standalone]\n")
    for minor in sorted(minors, key=lambda minor: [int(part) for part in minor.split(".")]):
        listed = ", ".join(f'"{version}"' for version in sorted(minors[minor], key=number))
        file.write(f'"{minor}" = [{listed}]\n')
    file.write("\n# The last day of upstream's security support (https://devguide.python.org/versions/).\n[end-of-life]\n")
    for minor, day in [("3.7", "2023-06-27"), ("3.8", "2024-10-07"), ("3.9", "2025-10-31"), ("3.10", "2026-10-31"), ("3.11", "2027-10-31"),
                       ("3.12", "2028-10-31"), ("3.13", "2029-10-31"), ("3.14", "2030-10-31")]:
        file.write(f'"{minor}" = "{day}"\n')
PYTHON
