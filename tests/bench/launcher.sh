#!/bin/sh
# Launcher start-up beside plain exec, ratio first. PEER_LAUNCHER=/path adds another launcher to the same run.
set -eu
cd "$(dirname "$0")/../.."
exec cargo bench --quiet -p launcher --bench start_up
