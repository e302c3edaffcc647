#!/usr/bin/env bash
# Installs what the tests need (PoCL stands in for a GPU), builds, and runs the tests.
#
#   tools/test.sh         everything: the release build; the same tests with sanitizers (address, undefined) and the
#                         coverage gate; what concerns NEON code, cross-built for ARM and run under qemu
#   tools/test.sh quick   the release build alone, without the slow tests and with few tests of OpenCL
set -eu
cd "$(dirname "$0")/.."
tier=${1:-full}
jobs=$(nproc)
case $tier in
  quick) bash tools/install_deps.sh libcmocka-dev pocl-opencl-icd ;;
  full) bash tools/install_deps.sh libcmocka-dev pocl-opencl-icd oclgrind gcovr ;;
  *) echo "usage: tools/test.sh [quick]" >&2; exit 2 ;;
esac

# Every step reports how long it took, so that a slow one shows.
step() { # step TEXT COMMAND...
  local text=$1 begin=$SECONDS
  shift
  echo "== $text"
  "$@"
  echo "== $text: $((SECONDS - begin)) s"
}
build() { cmake --preset "$1" >/dev/null && cmake --build "build-$1"; }
check() { ctest --test-dir "build-$1" -j "$jobs" --output-on-failure "${@:2}"; }

step "release build" build test
if [ "$tier" = quick ]; then
  step "quick tests" check test -LE slow
  exit 0
fi
step "release tests" check test -LE quick
step "sanitizer build" build sanitize
find build-sanitize -name '*.gcda' -delete # counts of earlier runs
step "sanitizer tests" check sanitize -LE quick
step "coverage" bash tests/coverage.sh build-sanitize
step "64-bit ARM, under qemu" bash tools/test_aarch64.sh
