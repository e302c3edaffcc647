# Every op of the OpenCL backend on tiny inputs under Oclgrind, a device that watches: races in local and global memory,
# divergent barriers, accesses out of bounds, values used before they were set, wrong API calls, with the 48 KB of local
# memory that small devices have. Any report fails, and so does a wrong result.
# usage: oclgrind.sh TEST_OPS
set -u
test_ops=$(realpath "$1")
if ! command -v oclgrind >/dev/null; then
  echo "skipped: oclgrind is not installed (Debian package oclgrind)"
  exit 77
fi
# Oclgrind preloads itself; u3d opens its loader by name, so it is told the name.
library=$(dirname "$(readlink -f "$(command -v oclgrind)")")/../lib/oclgrind/liboclgrind-rt.so
if [ ! -e "$library" ]; then
  echo "skipped: oclgrind is installed without $library"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Its compiler knows instructions that its check of unset values does not know, unless it optimises nothing.
export U3D_CL_LIBRARY="$library" U3D_CL_CACHE=off U3D_CL_DEVICE=

# All implementations, in every way of asking: replaced, added to, in place, with the least and the most workspace.
cases="conv3d/one conv3d/lazy_tiny conv3d/joined_one conv3d_dx/tiny conv3d_dw/lazy_tiny
  conv3d_dw/joined_one upconv3d/n2 upconv3d/lazy_one upconv3d_dx/one upconv3d_dw/lazy_one
  maxpool3d/n2 maxpool3d/lazy_n2 maxpool3d_dx/n2 norm/n2 norm_back/act_n2 moments/n2 norm_table/odd relu/odd
  relu_back/odd fill/one copy/odd add/odd crop_concat/odd crop_concat_back/odd softmax/n2 softmax_xent/n2
  softmax_xent_back/n2 dice/n2 dice_back/n2 sgd_step/odd adam_step/odd lerp/odd sum_squares/odd subsample/odd scale/odd"
failures=0
passed=0
for c in $cases; do
  oclgrind --build-options -cl-opt-disable --data-races --uninitialized --check-api --local-mem-size 49152 \
    --max-errors 20 --log "$work/log" "$test_ops" "$c" opencl >"$work/out" 2>&1
  code=$?
  if ! grep -q 'Oclgrind' "$work/out"; then
    echo "FAILED: the tests do not see Oclgrind's device"
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
