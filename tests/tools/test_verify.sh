# Tests of `u3d verify` on the CPU: all checks agree, as text and as JSON, also for a network that the user names.
# test_opencl.sh tests a kernel with which a check fails.
. "$(dirname "$0")/common.sh"
cpu="--backend=cpu --quiet"

expect 0 'all [0-9]+ checks agree' "$u3d" $cpu verify
cp out.txt table.txt
check "the table has a line for each op and implementation" test "$(grep -c ' ok$' table.txt)" -gt 40
check "the table has lines for whole networks" grep -Eq '^instance-leaky-deep +gradients/oracle .* ok$' table.txt
short=${TESTS_BRIEF:+--net paper-bn --set levels=2 --set base=4}
expect 0 '"ok":[[:space:]]*true' "$u3d" $cpu verify --json --threads 2 $short
cp out.txt verify.json
check "stdout has only JSON" sh -c "head -c 1 verify.json | grep -q '{'"
echo '{"levels": 2, "base": 3, "norm": "instance", "loss": "dice", "patch": "12x12x12"}' >net.json
expect 0 '^net.json +optimizer .* ok$' "$u3d" $cpu verify --net net.json --input 8x12x16 --batch 1
expect 2 'neither a preset' "$u3d" $cpu verify --net nothere
expect 2 'planned from data' "$u3d" $cpu verify --net auto
finish
