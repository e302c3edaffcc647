# Tests of bad input and of outputs that cannot be written. The program must end with the right exit code, which is 2 (a
# wrong request, or a question to the user), 3 (bad data) or 6 (output), and print one sentence that names the file. It
# must leave no incomplete output and no temporary file.
. "$(dirname "$0")/common.sh"
small="--set base=4 --set levels=2 --set patch=16x16x16 --set batch=1 --iterations 2"
"$u3d" phantom --out data --count 2 --size 24x24x20 --slices 2,2,2 >/dev/null 2>&1
image=data/imagesTr/phantom_001.nii.gz
label=data/labelsTr/phantom_001.nii.gz
dense=data/labelsDense/phantom_001.nii.gz
gzip -dc $image >image.nii
gzip -dc $label >label.nii

train() { "$u3d" train --image "$1" --label "$2" --out run $small "${@:3}"; }

expect 0 'trained' train image.nii label.nii --unlabeled 255
rm -rf run

head -c 1000 image.nii >short.nii
expect 3 'short.nii' train short.nii label.nii --unlabeled 255
: >empty.nii
expect 3 'empty.nii' train empty.nii label.nii --unlabeled 255
head -c 20000 /dev/urandom >noise.nii
expect 3 'noise.nii' train noise.nii label.nii --unlabeled 255
head -c 2000 $image >cut.nii.gz
expect 3 'cut.nii.gz' train cut.nii.gz $label --unlabeled 255
echo hello | gzip >text.nii.gz
expect 3 'text.nii.gz' train text.nii.gz label.nii --unlabeled 255
mkdir folder.nii
expect 3 'folder.nii' train folder.nii label.nii --unlabeled 255
expect 3 'absent.nii' train absent.nii label.nii --unlabeled 255

# A header that claims 30000^3 voxels: dim[1..3] are little-endian int16 numbers from byte 42 on.
cp image.nii huge.nii
printf '\060\165\060\165\060\165' | dd of=huge.nii bs=1 seek=42 conv=notrunc 2>/dev/null
expect 3 'huge.nii' train huge.nii label.nii --unlabeled 255

# The first voxel is NaN (float32 0x7fc00000 at vox_offset 352).
cp image.nii nan.nii
printf '\000\000\300\177' | dd of=nan.nii bs=1 seek=352 conv=notrunc 2>/dev/null
expect 3 'nan.nii' train nan.nii label.nii --unlabeled 255

# Labels on another grid than the image, and an image in place of labels.
"$u3d" phantom --out other --count 1 --size 20x28x20 --slices 2,2,2 >/dev/null 2>&1
expect 3 'voxels.*--resample-labels' train image.nii other/labelsTr/phantom_001.nii.gz --unlabeled 255
expect 3 'integer' train image.nii image.nii --dense

# Annotation tools write 0 into voxels that nobody has annotated. If nothing says what 0 means, u3d stops and asks.
"$u3d" sparsify --label $dense --output two.nii.gz --slices 0,0,2 >/dev/null 2>&1
"$u3d" sparsify --label two.nii.gz --merge 1,2 --unlabeled -1 --output zeros.nii.gz >/dev/null 2>&1
expect 2 '\-\-unlabeled 0.*\-\-dense|\-\-dense.*\-\-unlabeled 0' train image.nii zeros.nii.gz
expect 0 'trained' train image.nii zeros.nii.gz --unlabeled 0
rm -rf run
expect 3 'label 0' "$u3d" sparsify --label $dense --output zero.nii.gz --slices 0,0,2 --unlabeled 0

# Data sets: invalid JSON, a missing label file, an empty folder, wrong splits.
cp -r data broken && echo '{"labels": ' >broken/dataset.json
expect 3 'dataset.json' "$u3d" train --data broken --out run $small
cp -r data lost && rm lost/labelsTr/phantom_002.nii.gz
expect 3 'phantom_002' "$u3d" train --data lost --out run $small
mkdir void
expect 3 'void' "$u3d" train --data void --out run $small
echo '[{"train": ["phantom_001"], "val": ["nobody"]}]' >split.json
expect 3 'nobody' "$u3d" train --data data --split split.json --fold 0 --out run $small
echo '[{"train": ["phantom_001"], "val": ["phantom_002"]}]' >split.json
expect 2 'fold' "$u3d" train --data data --split split.json --fold 7 --out run $small

# Models: a truncated file, a changed byte, a file of another kind.
expect 0 'trained' "$u3d" train --data data --out good $small
size=$(wc -c <good/model.safetensors)
head -c $((size / 2)) good/model.safetensors >half.safetensors
expect 3 'half.safetensors' "$u3d" predict --model half.safetensors --input image.nii --output p.nii.gz
cp good/model.safetensors flipped.safetensors
printf '\377' | dd of=flipped.safetensors bs=1 seek=$((size - 100)) conv=notrunc 2>/dev/null
expect 3 'flipped.safetensors|checksum' "$u3d" predict --model flipped.safetensors --input image.nii --output p.nii.gz
expect 3 'image.nii' "$u3d" predict --model image.nii --input image.nii --output p.nii.gz

# Outputs that cannot be written.
expect 6 '' "$u3d" predict --model good --input image.nii --output /proc/nowhere/p.nii.gz
expect 6 '' "$u3d" train --data data --out /proc/nowhere $small

check "no run, no output and no temporary file is left" test ! -e run -a ! -e p.nii.gz -a -z "$(find . -name '*tmp*')"
finish
