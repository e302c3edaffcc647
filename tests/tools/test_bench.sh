# Tests of `u3d bench` and `u3d info --plan`: what they print, that the planned memory is within 5 % of the measured
# memory, and that maps are computed again to stay within a memory limit.
. "$(dirname "$0")/common.sh"

small="--net paper-bn --set base=16 --set levels=3 --set padding=same --set channels=1 --input 32x32x32 --repeat 1 --threads 1"

# number FILE KEY: prints the value of KEY, which appears once in the JSON.
number() { sed -n "s/^[[:space:]]*\"$2\":[[:space:]]*\([-0-9.e+]*\),\{0,1\}$/\1/p" "$1"; }
# within FILE KEY LIMIT: succeeds if the absolute value of KEY is at most LIMIT.
within() { number "$1" "$2" | awk -v limit="$3" '{ n++; v = $1 < 0 ? -$1 : $1 } END { exit !(n == 1 && v <= limit) }'; }

expect 0 '"planned_bytes_train"' "$u3d" bench $small --json
cp out.txt bench.json
cp err.txt bench.err
check "stderr names the device exactly once" test "$(grep -c 'auto: cpu' bench.err)" -eq 1
check "the JSON has a time for the weight gradients of convolutions" test -n "$(number bench.json conv_dw)"
if ! grep -q __asan_init "$u3d"; then # a sanitizer's own memory is not in the plan
  check "inference: the planned peak is within 5 % of the measured one" within bench.json planned_off_percent_infer 5
  check "training: the planned peak is within 5 % of the measured one" within bench.json planned_off_percent_train 5
fi
expect 0 '"peak_bytes"' "$u3d" info --plan train --json ${small% --repeat*} --threads 1
check "info plans the same memory as bench" test "$(number out.txt peak_bytes)" = "$(number bench.json planned_bytes_train)"

tiny="--net paper-bn --set base=4 --set levels=2 --set padding=same --input 16x16x16 --repeat 1"
expect 0 'its weight gradient +[0-9.]+ s' "$u3d" bench $tiny --ops --scaling
cp out.txt bench.txt
check "a node without arithmetic has only a time" grep -Eq '^enc0.norm1 +plain +[0-9.]+$' bench.txt
check "--scaling also measures half the input's size" grep -q '^8x8x8 ' bench.txt
expect 0 '"size_scaling"' "$u3d" bench $tiny --scaling --json --threads 2
check "--scaling measures one thread exactly once" test "$(grep -c '"threads":[[:space:]]*1,' out.txt)" -eq 1

# With a memory limit, the first map of the paper's network is computed again in the backward pass. Without a limit,
# nothing is computed again.
expect 0 'run again in the backward pass: enc0.conv1;' "$u3d" info --net paper-bn --plan train --memory 1.4G
expect 0 'enc0.conv1.again' "$u3d" info --net paper-bn --plan train --memory 1.4G
expect 0 '"nodes_run_again":[[:space:]]*0' "$u3d" info --net paper-bn --plan train --json
expect 5 'may use' "$u3d" info --net paper-bn --plan train --memory 500M
expect 5 'may use' "$u3d" bench $small --memory 30M
finish
