# The OpenCL backend from outside: devices, verify, train, predict; a kernel that computes wrongly, a driver that fails.
# usage: test_opencl.sh U3D [FAULTY]     FAULTY: the library of cl_faulty.c
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

# Without a loader the CPU works as ever, and OpenCL says what is missing.
expect 4 'loader' env U3D_CL_LIBRARY=/nowhere/libOpenCL.so "$u3d" $cl devices --ops
expect 0 'conv3d ' env U3D_CL_LIBRARY=/nowhere/libOpenCL.so "$u3d" devices --ops

# It computes what it should.
expect 0 'all [0-9]+ checks agree' "$u3d" $cl verify
expect 0 '"ok":[[:space:]]*true' "$u3d" $cl verify --net paper-bn --set levels=2 --set base=4 --json

# A kernel with one wrong constant: the gradient of ReLU with its kink at 0.25. The table names the op, the network the
# node, with coordinates and both values; the last sentence says what failed first.
cp -r "$root/backends/opencl/kernels" broken
sed -i 's/CPIECES(y)\[i\] > 0\.0f/CPIECES(y)[i] > 0.25f/' broken/pointwise.cl
check "the kernel could be broken" sh -c "! cmp -s broken/pointwise.cl '$root/backends/opencl/kernels/pointwise.cl'"
expect 1 'the first is relu_back' env U3D_CL_KERNELS=broken "$u3d" $cl verify
cp out.txt broken.txt
check "the op is named" grep -Eq '^relu_back .*FAILED' broken.txt
check "and the worst element" grep -Eq 'relu_back/.*n,z,y,x,c \[[0-9, ]+\]: got .*, want ' broken.txt
check "and the node" grep -Eq 'node [a-z0-9.]*relu[a-z0-9.]* \(relu_back, .*n,z,y,x,c \[[0-9, ]+\]: got .*, want ' broken.txt
check "nothing else is blamed" sh -c "! grep FAILED broken.txt | grep -Evq '^(relu_back|flat-plain) '"

# Training and prediction.
small="--net auto --set levels=2 --set base=6 --set patch=16x16x16 --set batch=2 --set optimizer=adam --set lr=0.003
  --set momentum=0.9 --set average=0.9 --validate-every 0"
expect 0 '2 volumes' "$u3d" phantom --out data --count 2 --size 24x20x28 --slices 3,3,3
expect 0 'trained one' "$u3d" $cl train --data data --out one --iterations 8 $small
image=data/imagesTr/phantom_001.nii.gz
expect 0 '' "$u3d" $cl predict --model one --input $image --output cl.nii.gz
expect 0 '' "$u3d" --backend=cpu predict --model one --input $image --output cpu.nii.gz
expect 0 ' (1\.0000|0\.99[0-9]+) ' "$u3d" evaluate --prediction cl.nii.gz --reference cpu.nii.gz

# A driver that fails: one sentence, its exit code, and the last checkpoint is as it was; the run goes on from there.
if [ -n "$faulty" ]; then
  U3D_CL_LIBRARY=$faulty
  export U3D_CL_LIBRARY
  expect 0 'conv3d ' "$u3d" $cl devices --ops
  "$u3d" $cl train --data data --out two --iterations 60 $small >out.txt 2>err.txt &
  pid=$!
  for _ in $(seq 600); do [ "$(cat two/log.csv 2>/dev/null | wc -l)" -gt 3 ] && break; sleep 0.1; done
  kill -INT $pid
  wait $pid
  check "interrupted with a checkpoint" test -s two/checkpoint.safetensors
  cp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_BYTES=20000 expect 5 'ALLOCATION|memory' "$u3d" $cl train --resume --out two
  check "out of memory: the checkpoint is intact" cmp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_RUNS=400 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl train --resume --out two
  check "a lost device: the checkpoint is intact" cmp two/checkpoint.safetensors before.safetensors
  CL_FAULTY_RUNS=50 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl verify
  CL_FAULTY_RUNS=50 expect 4 'OUT_OF_RESOURCES' "$u3d" $cl predict --model one --input $image --output lost.nii.gz
  check "nothing was written" test ! -e lost.nii.gz
  expect 0 'trained two' "$u3d" $cl train --resume --out two
fi
finish
