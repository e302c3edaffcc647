#!/usr/bin/env bash
# Shows on a real brain what u3d is for. The script installs what is needed, builds u3d, takes the T1 template "ch2" and
# its AAL labels (Debian package mricron-data), keeps a few annotated slices in three orientations, trains on them,
# predicts the whole volume, scores it outside of the annotated slices, and draws a picture.
#
# usage: tools/demo.sh [FOLDER]     default build/demo; must not exist yet
# environment: TIME=5m  SLICES=7,7,7
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$here/build/demo}
time=${TIME:-5m}
slices=${SLICES:-7,7,7}
cd "$here"
[ -e "$out" ] && { echo "$out exists already: name another folder, or remove it" >&2; exit 2; }

bash tools/install_deps.sh mricron-data
cmake --preset release >/dev/null
cmake --build build >/dev/null
u3d=$here/build/tools/u3d
brain=/usr/share/mricron/templates/ch2.nii.gz
atlas=/usr/share/mricron/templates/aal.nii.gz
mkdir -p "$out"

# The labels are 1 hippocampus, 2 thalamus, 3 caudate, 4 putamen, 5 cerebellum. Left and right are merged.
"$u3d" sparsify --label "$atlas" --merge 37-38,77-78,71-72,73-74,91-116 --slices "$slices" \
  --output "$out/annotation.nii.gz" --rest "$out/reference.nii.gz"
"$u3d" sparsify --label "$atlas" --merge 37-38,77-78,71-72,73-74,91-116 --output "$out/atlas.nii.gz"

# Five minutes are short. Therefore no slice is held out for validation, and each level has only one convolution, which
# leaves time for a patch that is large enough to show where in the brain it lies.
"$u3d" train --image "$brain" --label "$out/annotation.nii.gz" --unlabeled 255 --out "$out/run" --time "$time" --validate-every 0 \
  --set mirror=x --set patch=64x80x64 --set batch=1 --set convs=1 --set lr=0.004
"$u3d" predict --model "$out/run" --input "$brain" --output "$out/prediction.nii.gz"
"$u3d" picture --image "$brain" --label "$out/annotation.nii.gz" --unlabeled 255 --output "$out/demo.png" --slices 1,1,1 \
  "$out/prediction.nii.gz" "$out/atlas.nii.gz"

echo "Overlap with the atlas outside of the annotated slices"
echo "(1 hippocampus, 2 thalamus, 3 caudate, 4 putamen, 5 cerebellum):"
"$u3d" evaluate --prediction "$out/prediction.nii.gz" --reference "$out/reference.nii.gz" --unlabeled 255
echo "Picture (image, annotation, prediction, atlas): $out/demo.png"
