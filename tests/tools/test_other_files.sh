# Tests of folders as other programs and people leave them, from outside: what is read, what is named as not read, what is
# refused, and how outputs are called. The rows of "Which files are read" in io/FILES.md.
. "$(dirname "$0")/common.sh"
export U3D_LOG=info
net="--net paper --set base=4 --set levels=2 --set padding=same --set patch=16x16x16 --set batch=1 --set intensity=auto
  --iterations 1 --backend=cpu"
"$u3d" phantom --out data --count 3 --size 16x16x16 --slices 2,2,2 >/dev/null 2>&1

train() { "$u3d" train --data "$1" --out "$2" $net "${@:3}"; }
predict() { "$u3d" predict --backend=cpu --model "$1" --input "$2" --output "$3" "${@:4}"; }

# Endings in any case; files that are not read are named once.
mkdir -p plain/images plain/labels
for i in 1 2 3; do
  cp data/imagesTr/phantom_00$i.nii.gz plain/images/p$i.NII.GZ
  cp data/labelsDense/phantom_00$i.nii.gz plain/labels/p$i.Nii.gz
done
touch plain/images/a.txt plain/images/b.mha plain/images/c.nrrd plain/images/._p1.nii.gz plain/images/.DS_Store
expect 0 '3 files were not read: a.txt, b.mha, c.nrrd$' train plain run --dense
expect 0 'p1.nii.gz' predict run plain/images/p1.NII.GZ one
expect 0 'upper.NII.GZ' predict run plain/images/p1.NII.GZ upper.NII.GZ
expect 0 '3 files were not read' "$u3d" crossval --data plain --dense --folds 2 --out cv $net
check 'crossval names unread files once' test "$(grep -c 'not read: a.txt' err.txt)" -eq 1

# Two files of one name.
for folder in images labels; do
  cp -r plain two
  gzip -dc two/$folder/p1.* >two/$folder/p1.nii
  expect 3 "'p1.N.*' and 'p1.nii' are two volumes" train two no --dense
  expect 3 'are two volumes of the same name' predict run two/$folder no
  expect 3 'are two volumes of the same name' "$u3d" evaluate --prediction two/$folder --reference data/labelsDense
  expect 3 'are two volumes of the same name' "$u3d" evaluate --prediction data/labelsDense --reference two/$folder
  expect 3 'are two volumes of the same name' "$u3d" sparsify --label two/$folder --slices 1,1,1 --output no
  rm -r two
done
check 'nothing was written for refused folders' test ! -e no

# NAME_0000 ... NAME_0003 are four volumes for a model of one channel, and evaluate finds them by the same rule.
mkdir series truth
for i in 0 1 2 3; do
  cp data/imagesTr/phantom_001.nii.gz series/n_000$i.nii.gz
  cp data/labelsDense/phantom_001.nii.gz truth/n_000$i.nii.gz
done
cp data/imagesTr/phantom_002.nii.gz series/x_0000.nii.gz
cp data/labelsDense/phantom_002.nii.gz truth/x_0000.nii.gz
cp data/dataset.json series
cp data/dataset.json truth # describes files that are not there
expect 0 'out/x.nii.gz' predict run series out
check 'four volumes keep their numbers' test -e out/n_0000.nii.gz -a -e out/n_0003.nii.gz
expect 0 '^x  *1 ' "$u3d" evaluate --prediction out --reference truth
expect 0 '"unlabeled":.255' "$u3d" evaluate --prediction out --reference truth --json

# CT beside PET as nnU-Net v1 stores it: the list says x.nii.gz, the files are x_0000.nii.gz and x_0001.nii.gz.
mkdir -p v1/imagesTr v1/labelsTr
for i in 1 2 3; do
  cp data/labelsTr/phantom_00$i.nii.gz v1/labelsTr/x$i.nii.gz
  cp data/imagesTr/phantom_00$i.nii.gz v1/imagesTr/x${i}_0000.nii.gz
  cp data/imagesTr/phantom_00$((4 - i)).nii.gz v1/imagesTr/x${i}_0001.nii.gz
done
list=$(for i in 1 2 3; do echo "{\"image\": \"./imagesTr/x$i.nii.gz\", \"label\": \"./labelsTr/x$i.nii.gz\"},"; done)
echo "{\"modality\": {\"0\": \"CT\", \"1\": \"PET\"}, \"numTraining\": \"3\", \"labels\": {\"background\": \"0\", \"cell\": \"1\",
  \"nucleus\": \"2\", \"Unlabelled\": \"255\"}, \"training\": [${list%,}]}" >v1/dataset.json
expect 0 'CT ct, PET zscore' train v1 run_v1
expect 0 '^intensity *ct zscore' "$u3d" info --model run_v1
expect 0 'out_v1/x3.nii.gz' predict run_v1 v1/imagesTr out_v1
expect 0 'one_v1/x1.nii.gz' predict run_v1 v1/imagesTr/x1_0000.nii.gz one_v1
check 'the first file of a case stands for all' cmp out_v1/x1.nii.gz one_v1/x1.nii.gz
expect 3 'found 1 channel, but the model was trained on 2; put all' predict run_v1 v1/imagesTr/x1_0001.nii.gz no

# A channel that lies half a voxel further (bytes 292 to 295: the x offset of the sform).
mkdir shifted
cp v1/imagesTr/x1_0000.nii.gz shifted
gzip -dc v1/imagesTr/x1_0001.nii.gz >shifted/x1_0001.nii
printf '\000\000\000\077' | dd of=shifted/x1_0001.nii bs=1 seek=292 conv=notrunc 2>/dev/null
expect 0 'x1_0000.nii.gz. and .*x1_0001.nii. differ by up to 0.5 voxels' predict run_v1 shifted out_shifted

# The same rule for volumes of --data that have no label.
mkdir -p unlabelled/images
for i in 0 1; do cp data/imagesTr/phantom_001.nii.gz unlabelled/images/n_000$i.nii.gz; done
expect 0 'out_data/n_0001.nii.gz' "$u3d" predict --backend=cpu --model run --data unlabelled --output out_data

# A dataset.json beside images/ and labels/: modality, and a class that no label has.
echo '{"modality": {"0": "CT"}, "labels": {"background": 0, "cell": 1, "nucleus": 2, "virus": 3}}' >plain/dataset.json
expect 0 'CT ct$' train plain run_ct --dense
check 'a class without a voxel is named once' test "$(grep -c 'in no label.*cannot learn it: virus (3)' err.txt)" -eq 1
echo '{"labels": {"background": 0, "whole": [1, 2]}}' >plain/dataset.json
expect 3 "label 'whole' is a region" train plain no --dense

# A pair in mixed case gets an output that u3d can write.
mkdir pairs
gzip -dc data/labelsDense/phantom_001.nii.gz >pairs/full.nii
head -c 348 pairs/full.nii >pairs/P.HDR
printf '\000\000\000\000' | dd of=pairs/P.HDR bs=1 seek=108 conv=notrunc 2>/dev/null # vox_offset
printf 'ni1' | dd of=pairs/P.HDR bs=1 seek=344 conv=notrunc 2>/dev/null              # magic
tail -c +353 pairs/full.nii >pairs/P.img
rm pairs/full.nii
expect 0 'kept' "$u3d" sparsify --label pairs --slices 1,1,1 --output sparse
check 'a pair becomes a .nii.gz' test -e sparse/P.nii.gz

# Names of 255 bytes work; an output name that would be longer is refused before anything is computed.
long=$(printf 'n%.0s' $(seq 248))
mkdir long
cp data/imagesTr/phantom_001.nii.gz "long/$long.nii.gz"
expect 0 "$long" predict run long long_out
expect 6 'has 269 bytes, but the file system allows 255' predict run long long_no --probabilities
check 'no folder was made' test ! -e long_no
finish
