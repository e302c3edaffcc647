#!/usr/bin/env bash
# Measures u3d on the GPU of this machine and prints a table with device, driver and versions. One call takes less than
# ten minutes. If a part cannot run, the table says why, and the other parts still run.
#
# These parts need only the repository:
#   - `u3d devices`, and `u3d tune` if --tune is given
#   - `u3d verify --full`: whether the device computes correctly
#   - `u3d bench`: times of the paper's network, and the peak of the device
# These parts need files that are not in the repository. They are skipped unless the folder SHARED has them:
#   - prototypes/opencl_probe.c: a small program that measures the limits of the device
#   - peers/unet3d_torch.py: the same network in PyTorch, for comparison; it also needs PyTorch with CUDA
#   - data/hippocampus: Task04 of the Medical Segmentation Decathlon with splits_final.json, for a training run with its
#     Dice
#
# usage: tools/gpu_report.sh [--device N|NAME] [--train-time 4m] [--tune TIME] [--out FOLDER] [--tiny]
#   --train-time  time of the training run, from its start to the written model (default 4m)
#   --tune        first tune CLBlast's parameters for this time, and store them (default: no tuning)
#   --out         folder for the logs and the table (default build/gpu_report)
#   --tiny        small sizes and any OpenCL device, to try this script on a machine without a GPU
# environment: SHARED=folder with prototypes/, peers/ and data/ (default: ../shared beside the repository)
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
shared=${SHARED:-$here/../shared}
device= train_time=4m tune= out=$here/build/gpu_report tiny=
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2; shift ;;
    --train-time) train_time=$2; shift ;;
    --tune) tune=$2; shift ;;
    --out) out=$2; shift ;;
    --tiny) tiny=1 ;;
    *) sed -n '2,/^set -u/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 2 ;;
  esac
  shift
done
cd "$here"
mkdir -p "$out"
table=$out/table.txt
: > "$table"
began=$(date +%s)

row() { printf '%-46s %s\n' "$1" "$2" | tee -a "$table"; }
section() { echo "== $1 ($(($(date +%s) - began)) s so far)"; }
# field FILE NAME: prints the first value of a JSON field, or "-" if there is none.
field() { sed -n "s/.*\"$2\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^,\"}]*\).*/\1/p" "$1" 2>/dev/null | head -n 1 | grep . || echo -; }
# attempt LIMIT LOG COMMAND...: runs a command for at most LIMIT seconds, with its output in a log. The limit shrinks so
# that all attempts together stay below ten minutes.
attempt() {
  local limit=$1 log=$2 status left=$((590 - $(date +%s) + began))
  shift 2
  [ $left -lt 1 ] && left=1
  [ $left -lt "$limit" ] && limit=$left
  timeout "$limit" "$@" >"$out/$log" 2>"$out/$log.err"
  status=$?
  [ $status -eq 124 ] && echo "took longer than $limit s" >>"$out/$log.err"
  return $status
}
# why LOG: prints the last line that a failed command wrote to stderr.
why() { tail -n 1 "$out/$1.err" | cut -c 1-200; }

section build
u3d=$here/build/tools/u3d
if ! { bash tools/install_deps.sh && cmake --preset release && cmake --build build --target u3d; } \
    >"$out/build.log" 2>&1; then
  [ -x "$u3d" ] || { tail -n 5 "$out/build.log" >&2; echo "gpu_report: the build failed" >&2; exit 2; }
fi
run=("$u3d" --backend=opencl)
[ -n "$device" ] && run+=(--device="$device")

section device
if ! attempt 60 devices.txt "$u3d" devices; then row "u3d devices" "failed: $(why devices.txt)"; fi
cat "$out/devices.txt"
if ! attempt 60 ops.txt "${run[@]}" devices --ops; then
  row "OpenCL device" "no usable device: $(why ops.txt)"
  [ -z "$tiny" ] && exit 4
fi
if [ -z "$tiny" ] && [ -z "$device" ] && ! grep -q ', GPU' "$out/devices.txt"; then
  row "OpenCL device" "no GPU found (see $out/devices.txt); give --device to use another device"
  exit 4
fi
row "u3d" "$("$u3d" --version)"
row "device" "$(sed -n 's/^opencl: //p' "$out/ops.txt")"
row "CLBlast" "$(dpkg-query -W -f '${Version}' libclblast1 2>/dev/null || echo 'version unknown')"
if command -v nvidia-smi >/dev/null; then
  row "nvidia-smi" "$(nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader | head -n 1)"
else
  row "nvidia-smi" "not installed"
fi

section "opencl_probe"
probe=$shared/prototypes/opencl_probe.c
if [ ! -f "$probe" ]; then
  row "opencl_probe" "skipped: not part of the repository, and $probe does not exist"
elif ! gcc -O2 -w "$probe" -o "$out/opencl_probe" -lOpenCL -lclblast -lm 2>"$out/probe.txt.err"; then
  row "opencl_probe" "failed to compile: $(why probe.txt)"
elif attempt 90 probe.txt "$out/opencl_probe" ${tiny:+1}; then
  grep -E 'GB/s|FLOP/s|error' "$out/probe.txt" | while IFS=: read -r what value; do row "probe: ${what%% [0-9]*}" "${what##*[a-zA-Z] }${value}"; done
else
  row "opencl_probe" "failed: $(why probe.txt)"
fi

if [ -n "$tune" ]; then
  section tune
  if attempt 300 tune.txt "${run[@]}" tune --time "$tune"; then
    grep -E '^(Xgemm|XgemmDirect|GemmRoutine) ' "$out/tune.txt" | while read -r kernel rest; do row "tuned $kernel" "$rest"; done
  else
    row "tune" "failed: $(why tune.txt)"
  fi
fi

section verify
full=--full
[ -n "$tiny" ] && full=
attempt 150 verify.txt "${run[@]}" verify $full
status=$?
if [ $status -eq 0 ]; then
  row "verify $full" "passed: $(tail -n 1 "$out/verify.txt")"
else
  row "verify $full" "exit $status: $(why verify.txt)"
fi

section "paper-bn, 132x132x116"
size=132x132x116 base=32 repeat=5
[ -n "$tiny" ] && size=92x92x92 base=2 repeat=1
if attempt 150 bench.json "${run[@]}" bench --net paper-bn --input $size --set base=$base --repeat $repeat --json; then
  row "u3d: peak GFLOP/s, GB/s" "$(field "$out/bench.json" peak_gflops), $(field "$out/bench.json" peak_gbytes_s)"
  row "u3d: inference s, GFLOP/s, bytes" "$(field "$out/bench.json" infer_s), $(field "$out/bench.json" infer_gflops), $(field "$out/bench.json" peak_bytes_infer)"
  row "u3d: training iteration s, GFLOP/s, bytes" "$(field "$out/bench.json" train_s), $(field "$out/bench.json" train_gflops), $(field "$out/bench.json" peak_bytes_train)"
else
  row "u3d bench" "failed: $(why bench.json)"
fi

section PyTorch
peer=$shared/peers/unet3d_torch.py
where=cuda
[ -n "$tiny" ] && where=cpu
if [ ! -f "$peer" ]; then
  row "PyTorch" "skipped: not part of the repository, and $peer does not exist"
elif ! python3 -c 'import torch' 2>/dev/null; then
  row "PyTorch" "skipped: python3 cannot import torch"
elif [ -z "$tiny" ] && ! python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  row "PyTorch" "skipped: torch finds no CUDA device"
else
  for mode in "" --tf32; do
    name=torch${mode#-}.json
    if attempt 90 "$name" python3 "$peer" --device $where --size $size --base $base --repeat $repeat $mode; then
      label="PyTorch $(field "$out/$name" torch) $([ -n "$mode" ] && echo TF32 || echo FP32)"
      row "$label: inference s, GB" "$(field "$out/$name" infer_s), $(field "$out/$name" peak_gb_infer)"
      row "$label: training iteration s, GB" "$(field "$out/$name" train_s), $(field "$out/$name" peak_gb_train)"
    else
      row "PyTorch $mode" "failed: $(why "$name")"
    fi
  done
fi

section "training on hippocampus for $train_time"
data=$shared/data/hippocampus
small=()
[ -n "$tiny" ] && small=(--set base=4 --set levels=2 --set patch=32x48x32 --set batch=1)
rm -rf "$out/run" "$out/prediction"
if [ ! -d "$data" ]; then
  row "training" "skipped: the data are not part of the repository, and $data does not exist"
elif ! attempt 480 train.txt "${run[@]}" train --data "$data" --split "$data/splits_final.json" --fold 0 --dense --net auto \
    --time "$train_time" --validate-every 0 --out "$out/run" "${small[@]}"; then
  row "training" "failed: $(why train.txt)"
else
  row "training: iterations in $train_time" "$(($(wc -l <"$out/run/log.csv") - 1))"
  if attempt 120 predict.txt "${run[@]}" predict --model "$out/run" --data "$data" --split "$data/splits_final.json" --fold 0 \
      --output "$out/prediction" &&
      attempt 60 evaluate.json "$u3d" evaluate --prediction "$out/prediction" --reference "$data" --json; then
    row "training: mean Dice of the fold's cases" "$(sed -n '/"foreground_mean"/,$p' "$out/evaluate.json" >"$out/mean.json"; field "$out/mean.json" Dice)"
  else
    row "prediction" "failed: $(why predict.txt) $(why evaluate.json 2>/dev/null)"
  fi
fi

echo
echo "u3d on a GPU, $(date -u +%Y-%m-%d), $(($(date +%s) - began)) s; logs in $out"
cat "$table"
