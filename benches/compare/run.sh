#!/bin/sh
# Builds what is missing, runs every scenario interleaved over all servers (about 8 minutes with the default 3 rounds),
# then the exact counts (1 minute), and prints the tables. Arguments are passed to run.py (see its first lines).
# COUNTS=0 skips the counts of system calls and instructions. SETUP=0 skips the builds.
set -eu
cd "$(dirname "$0")"
# servers.toml expects the binaries under ./ and ../../target, so a target directory of the caller must not move them.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
if [ "${SETUP:-1}" = 1 ]; then
  (cd ../.. && cargo build --release -q --locked -p socketio-tokio --example echo)
  (cd loadgen && cargo build --release -q --locked)
  (cd peers/rust && cargo build --release -q --locked)
  [ -d peers/node/node_modules ] || (cd peers/node && npm ci --no-audit --no-fund --silent)
  [ -x peers/python/.venv/bin/uvicorn ] || (python3 -m venv peers/python/.venv && peers/python/.venv/bin/pip install -q -r peers/python/requirements.txt)
fi
cat /proc/loadavg
python3 run.py "$@"
if [ "${COUNTS:-1}" = 1 ]; then
  echo; echo "## exact counts"
  python3 stat/counts.py
fi
