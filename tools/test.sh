#!/usr/bin/env bash
# Installs what the tests need (PoCL stands in for a GPU), builds, and runs every test: the release build, then the sanitizer build (address, undefined),
# then what looks at NEON code, cross-built and under qemu.
# U3D_TEST_QUICK=1 leaves all but the release build out.
set -eu
cd "$(dirname "$0")/.."
bash tools/install_deps.sh libcmocka-dev pocl-opencl-icd oclgrind
cmake --preset release -D U3D_TESTS=ON >/dev/null
cmake --build build
ctest --test-dir build --output-on-failure
[ -n "${U3D_TEST_QUICK:-}" ] && exit 0
cmake --preset sanitize >/dev/null
cmake --build build-sanitize
ctest --test-dir build-sanitize --output-on-failure
echo "64-bit ARM, under qemu:"
bash tools/test_aarch64.sh
