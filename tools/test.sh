#!/usr/bin/env bash
# Installs what the tests need, builds, and runs every test: the release build, then the sanitizer build (address, undefined).
# U3D_TEST_QUICK=1 leaves the sanitizer build out.
set -eu
cd "$(dirname "$0")/.."
bash tools/install_deps.sh libcmocka-dev
cmake --preset release >/dev/null
cmake --build build
ctest --test-dir build --output-on-failure
[ -n "${U3D_TEST_QUICK:-}" ] && exit 0
cmake --preset sanitize >/dev/null
cmake --build build-sanitize
ctest --test-dir build-sanitize --output-on-failure
