#!/usr/bin/env bash
# Builds for 64-bit ARM (preset aarch64) and runs under qemu what looks at NEON code: the ops against their oracle (all but the
# large cases), fused graphs, the network against PyTorch, and the disassembly for spills. Where compiler, emulator or the
# target's libraries cannot be had, says so and succeeds.
#
# Arguments: ctest's, instead of that choice; e.g. `-R 'ops$'`, all cases, or `-R grad_cpu`: minutes each.
set -eu
cd "$(dirname "$0")/.."
skip() {
  echo "skipped: NEON code was not built and not run: $*"
  exit 0
}
bash tools/install_deps.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ||
  skip "the packages above could not be installed"
bash tools/aarch64_sysroot.sh build-aarch64/sysroot || skip "Debian's arm64 packages could not be fetched"
cmake --preset aarch64 >/dev/null
cmake --build build-aarch64
[ $# -eq 0 ] && set -- -R '^(test_ops_small|test_cpu|test_(unet_golden|fuse)_neon|spills_portable)$'
ctest --test-dir build-aarch64 -j "$(nproc)" --output-on-failure "$@"
