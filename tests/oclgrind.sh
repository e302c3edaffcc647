# Every op of the OpenCL backend on tiny inputs under Oclgrind, a device that watches: races in local and global memory,
# divergent barriers, accesses out of bounds, values used before they were set, wrong API calls, with the 48 KB of local
# memory that the least devices have. Any report fails.
# usage: oclgrind.sh TEST_OPS
set -u
test_ops=$(realpath "$1")
if ! command -v oclgrind >/dev/null; then
  echo "skipped: oclgrind is not installed (Debian package oclgrind)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Oclgrind lists a device of its own beside those that are installed; binaries are not kept for it.
export U3D_CL_CACHE=off U3D_CL_DEVICE=Oclgrind

# watch CASE: all implementations of that case, in every way.
watch() {
  oclgrind --data-races --uninitialized --check-api --local-mem-size 49152 --max-errors 20 --log "$work/log" \
    "$test_ops" "$1" opencl >"$work/out" 2>&1
  local code=$?
  cases=$((cases + 1))
  if [ "$code" -ne 0 ] || [ -s "$work/log" ]; then
    failures=$((failures + 1))
    echo "FAILED: $1 (exit code $code)"
    sed 's/^/  | /' "$work/log" "$work/out" | head -40
  fi
  rm -f "$work/log"
}

cases=0
failures=0
for c in "$@"; do :; done
watch conv3d/tiny
