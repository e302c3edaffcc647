#!/usr/bin/env bash
# Builds for 64-bit ARM (preset aarch64) and runs the tests of NEON code under qemu: the ops against their oracle (all
# cases except the large ones), fused graphs, the network against PyTorch, and the disassembly, which is searched for
# spills. If the compiler, the emulator or the libraries of the target cannot be installed, the script says so and
# succeeds.
#
# Arguments are passed to ctest and replace this choice of tests, for example `-R 'ops$'` for all cases of the ops, or
# `-R grad_cpu`; each of these takes minutes.
set -eu
cd "$(dirname "$0")/.."
skip() {
  echo "skipped: NEON code was neither built nor run: $*"
  exit 0
}
bash tools/install_deps.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ||
  skip "the packages above could not be installed"
bash tools/aarch64_sysroot.sh build-aarch64/sysroot || skip "Debian's arm64 packages could not be downloaded"
cmake --preset aarch64 >/dev/null
cmake --build build-aarch64
[ $# -eq 0 ] && set -- -R '^(test_ops_small|test_cpu|test_(unet_golden|fuse)_neon|spills_portable)$'
ctest --test-dir build-aarch64 -j "$(nproc)" --output-on-failure "$@"
