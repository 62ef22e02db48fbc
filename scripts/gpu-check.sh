#!/usr/bin/env bash
# Everything there is to check on a machine with an NVIDIA GPU, each stage's result kept whatever becomes of the others:
#   scripts/gpu-check.sh [build] [kernels] [suite] [sanitizer] [bench] [model] [--build DIR] [--out DIR] [--trial]
# Needs no network. Node is $NODE, ./.node/bin/node or the one of PATH. docs/cuda.md says what the stages do.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Node and the packages of the tests, packed by scripts/gpu-check/carry.mjs on a machine that has them.
if [ ! -x "$root/.node/bin/node" ] && [ -f "$root/.gpu-carry.tar.xz" ]; then
  tar -xJf "$root/.gpu-carry.tar.xz" -C "$root"
fi
node="${NODE:-}"
[ -n "$node" ] || { [ -x "$root/.node/bin/node" ] && node="$root/.node/bin/node"; } || node="$(command -v node || true)"
if [ -z "$node" ]; then
  echo "expected Node 20 or newer in \$NODE, .node/bin/node or PATH but found none" >&2
  exit 2
fi
# Tests and CMake call it by its name.
PATH="$(cd "$(dirname "$node")" && pwd):$PATH" exec "$node" "$root/scripts/gpu-check/main.mjs" "$@"
