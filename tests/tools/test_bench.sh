# bench and the plan: what they tell, and that the planned peak is the measured one.
. "$(dirname "$0")/common.sh"

small="--net paper-bn --set base=16 --set levels=3 --set padding=same --set channels=1 --input 32x32x32 --repeat 1 --threads 1"

# number FILE KEY: the value of a key that appears once.
number() { sed -n "s/^[[:space:]]*\"$2\":[[:space:]]*\([-0-9.e+]*\),\{0,1\}$/\1/p" "$1"; }
# within FILE KEY LIMIT: |value| <= limit.
within() { number "$1" "$2" | awk -v limit="$3" '{ n++; v = $1 < 0 ? -$1 : $1 } END { exit !(n == 1 && v <= limit) }'; }

expect 0 '"planned_bytes_train"' "$u3d" bench $small --json
cp out.txt bench.json
cp err.txt bench.err
check "the device is named once" test "$(grep -c 'auto: cpu' bench.err)" -eq 1
check "convolutions took time" test -n "$(number bench.json conv_dw)"
if ! grep -q __asan_init "$u3d"; then # the sanitizers' own memory is not planned
  check "inference: the planned peak is within 5 % of the measured one" within bench.json planned_off_percent_infer 5
  check "training: the planned peak is within 5 % of the measured one" within bench.json planned_off_percent_train 5
fi
expect 0 '"peak_bytes"' "$u3d" info --plan train --json ${small% --repeat*} --threads 1
check "info plans what bench plans" test "$(number out.txt peak_bytes)" = "$(number bench.json planned_bytes_train)"

tiny="--net paper-bn --set base=4 --set levels=2 --set padding=same --input 16x16x16 --repeat 1"
expect 0 'its weight gradient +[0-9.]+ s' "$u3d" bench $tiny --ops --scaling
cp out.txt bench.txt
check "a node without arithmetic has a time and nothing else" grep -Eq '^enc0.norm1 +plain +[0-9.]+$' bench.txt
check "sizes from half the input's on" grep -q '^8x8x8 ' bench.txt
expect 0 '"size_scaling"' "$u3d" bench $tiny --scaling --json --threads 2
check "one thread and two" test "$(grep -c '"threads":[[:space:]]*1,' out.txt)" -eq 1

# Memory for time: the first map of the paper's network is computed again below a limit, and nothing is without one.
expect 0 'run again in the backward pass: enc0.conv1;' "$u3d" info --net paper-bn --plan train --memory 1.4G
expect 0 'enc0.conv1.again' "$u3d" info --net paper-bn --plan train --memory 1.4G
expect 0 '"nodes_run_again":[[:space:]]*0' "$u3d" info --net paper-bn --plan train --json
expect 5 'may use' "$u3d" info --net paper-bn --plan train --memory 500M
expect 5 'may use' "$u3d" bench $small --memory 30M
finish
