# Runs every op of the OpenCL backend on tiny inputs under Oclgrind, a simulated device that detects races in local and
# global memory, divergent barriers, accesses out of bounds, uninitialised values and wrong API calls. The device has
# 48 KB of local memory, like small real devices. The test fails if Oclgrind reports anything or if a result is wrong.
# usage: oclgrind.sh TEST_OPS
set -u
test_ops=$(realpath "$1")
if ! command -v oclgrind >/dev/null; then
  echo "skipped: oclgrind is not installed (Debian package oclgrind)"
  exit 77
fi
# Oclgrind preloads its OpenCL library, but u3d opens the OpenCL loader by name; U3D_CL_LIBRARY gives it Oclgrind's.
library=$(dirname "$(readlink -f "$(command -v oclgrind)")")/../lib/oclgrind/liboclgrind-rt.so
if [ ! -e "$library" ]; then
  echo "skipped: oclgrind is installed without $library"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export U3D_CL_LIBRARY="$library" U3D_CL_CACHE=off U3D_CL_DEVICE=

# test_ops runs each case with all implementations in all ways: replacing outputs, adding to them, in place, with the
# smallest and with the largest workspace.
cases="conv3d/one conv3d/lazy_tiny conv3d/joined_one conv3d_dx/tiny conv3d_dw/lazy_tiny
  conv3d_dw/joined_one upconv3d/n2 upconv3d/lazy_one upconv3d_dx/one upconv3d_dw/lazy_one
  maxpool3d/n2 maxpool3d/lazy_n2 maxpool3d_dx/n2 norm/n2 norm_back/act_n2 moments/n2 norm_table/odd relu/odd
  relu_back/odd fill/one copy/odd add/odd crop_concat/odd crop_concat_back/odd softmax/n2 softmax_xent/n2
  softmax_xent_back/n2 dice/n2 dice_back/n2 sgd_step/odd adam_step/odd lerp/odd sum_squares/odd subsample/odd scale/odd"
failures=0
passed=0
# -cl-opt-disable: the compiler's optimisations use instructions that Oclgrind's check for uninitialised values does not
# support.
for c in $cases; do
  oclgrind --build-options -cl-opt-disable --data-races --uninitialized --check-api --local-mem-size 49152 \
    --max-errors 20 --log "$work/log" "$test_ops" "$c" opencl >"$work/out" 2>&1
  code=$?
  if ! grep -q 'Oclgrind' "$work/out"; then
    echo "FAILED: test_ops does not find Oclgrind's device"
    failures=$((failures + 1))
    break
  elif [ "$code" -eq 0 ] && ! [ -s "$work/log" ]; then
    passed=$((passed + 1))
  else
    failures=$((failures + 1))
    echo "FAILED: $c (exit code $code)"
    cat "$work/log" "$work/out" | grep -v -e '^\[ ' | sed 's/^/  | /' | head -40
  fi
  rm -f "$work/log"
done
echo "$passed passed, $failures failed"
[ "$failures" -eq 0 ]
