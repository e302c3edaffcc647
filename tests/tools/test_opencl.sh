# Tests of the OpenCL backend from outside: devices, verify, train and predict, also with a kernel that computes wrong
# results and with a driver that fails. Skipped if there is no OpenCL device.
# usage: test_opencl.sh U3D [FAULTY]     FAULTY: the library that is built from tests/backends/cl_faulty.c
faulty=${2:-}
. "$(dirname "$0")/common.sh"
"$u3d" devices --json >devices.json 2>/dev/null
if ! grep -q '"backend":.*"opencl"' devices.json; then
  echo "skipped: no OpenCL device: $("$u3d" devices | grep '^opencl')"
  exit 77
fi
cl="--backend=opencl"

# Devices.
expect 0 '^opencl +0 ' "$u3d" devices
expect 0 'conv3d ' "$u3d" $cl devices --ops
expect 4 "'abacus'; there are: 0 " "$u3d" $cl --device=abacus devices --ops
expect 4 "'99'; there are: 0 " "$u3d" $cl --device=99 devices --ops
expect 0 'conv3d ' "$u3d" $cl --device=0 devices --ops

# If the OpenCL loader is missing, --backend=opencl says so, and the CPU still works.
expect 4 'loader' env U3D_CL_LIBRARY=/nowhere/libOpenCL.so "$u3d" $cl devices --ops
expect 0 'conv3d ' env U3D_CL_LIBRARY=/nowhere/libOpenCL.so "$u3d" devices --ops

# OpenCL computes the right results.
[ "${TESTS_BRIEF:-}" ] || expect 0 'all [0-9]+ checks agree' "$u3d" $cl verify
expect 0 '"ok":[[:space:]]*true' "$u3d" $cl verify --net paper-bn --set levels=2 --set base=4 --json

# A kernel with one wrong constant: the gradient of ReLU with its kink at 0.25 instead of 0. The table must name the op
# and the node of the network, with the indices of the worst element and both values. The last sentence must name the
# check that failed first.
cp -r "$root/backends/opencl/kernels" broken
sed -i 's/CPIECES(y)\[i\] > 0\.0f/CPIECES(y)[i] > 0.25f/' broken/pointwise.cl
check "sed has changed the kernel" sh -c "! cmp -s broken/pointwise.cl '$root/backends/opencl/kernels/pointwise.cl'"
expect 1 'the first is relu_back' env U3D_CL_KERNELS=broken "$u3d" $cl verify
cp out.txt broken.txt
check "the table names the op" grep -Eq '^relu_back .*FAILED' broken.txt
check "the table names the worst element of the op" grep -Eq 'relu_back/.*n,z,y,x,c \[[0-9, ]+\]: got .*, want ' broken.txt
check "the table names the node and its worst element" grep -Eq 'node [a-z0-9.]*relu[a-z0-9.]* \(relu_back, .*n,z,y,x,c \[[0-9, ]+\]: got .*, want ' broken.txt
check "no other check has failed" sh -c "! grep FAILED broken.txt | grep -Evq '^(relu_back|flat-plain) '"

# Training and prediction.
small="--net auto --set levels=2 --set base=6 --set patch=16x16x16 --set batch=2 --set optimizer=adam --set lr=0.003
  --set momentum=0.9 --set average=0.9 --validate-every 0"
expect 0 '2 volumes' "$u3d" phantom --out data --count 2 --size 24x20x28 --slices 3,3,3
expect 0 'trained one' "$u3d" $cl train --data data --out one --iterations 8 $small
image=data/imagesTr/phantom_001.nii.gz
expect 0 '' "$u3d" $cl predict --model one --input $image --output cl.nii.gz
expect 0 '' "$u3d" --backend=cpu predict --model one --input $image --output cpu.nii.gz
expect 0 ' (1\.0000|0\.99[0-9]+) ' "$u3d" evaluate --prediction cl.nii.gz --reference cpu.nii.gz

# If the driver fails, the program must print one error sentence and end with the right exit code. The last checkpoint
# must not change, and the run must be able to continue from it.
if [ -n "$faulty" ]; then
  U3D_CL_LIBRARY=$faulty
  export U3D_CL_LIBRARY
  expect 0 'conv3d ' "$u3d" $cl devices --ops
  "$u3d" $cl train --data data --out two --iterations 60 $small >out.txt 2>err.txt &
  pid=$!
  for _ in $(seq 600); do [ "$(cat two/log.csv 2>/dev/null | wc -l)" -gt 3 ] && break; sleep 0.1; done
  kill -INT $pid
  wait $pid
  check "the interrupted run has written a checkpoint" test -s two/checkpoint.safetensors
  cp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_BYTES=20000 expect 5 'ALLOCATION|memory' "$u3d" $cl train --resume --out two
  check "running out of memory leaves the checkpoint unchanged" cmp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_RUNS=400 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl train --resume --out two
  check "losing the device leaves the checkpoint unchanged" cmp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_RUNS=50 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl verify
  CL_FAULTY_RUNS=50 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl predict --model one --input $image --output lost.nii.gz
  check "a prediction on a lost device writes no file" test ! -e lost.nii.gz
  expect 0 'trained two' "$u3d" $cl train --resume --out two
fi
finish
