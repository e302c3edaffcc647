# Tests of label names: which axes are mirrored, what is said about labels without names, and the errors of --names.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=16x16x16 --set batch=1 --memory 2G"

expect 0 '1 volumes' "$u3d" phantom --out data --count 1 --size 24x24x20 --slices 3,3,3
pair="--image data/imagesTr/phantom_001.nii.gz --label data/labelsDense/phantom_001.nii.gz --dense"
augment() {
  "$u3d" augment $pair --out seen --force --count 1 $small "$@"
}

expect 0 'flips along xyz \(no label names' augment
check "labels without names: one warning that mirroring is on, and how to switch it off" test \
  "$(grep -c 'mirrored along xyz.*--names 1=left_kidney,2=right_kidney.*--set mirror=none' err.txt)" -eq 1
expect 0 'flips along yz \(the label name .lkid. tells left from right' augment --names 1=lkid,2=rkid
check "named labels: no warning" test "$(grep -c 'mirrored along' err.txt)" -eq 0
expect 0 'flips along yz .*Niere links' augment --names '1=Niere links,2=Leber'
expect 0 'flips along xyz \(no label names' augment --names 1=lung,2=rectum
expect 0 'flips along no axis \(as set\)' augment --set mirror=none
check "mirroring switched off: no warning" test "$(grep -c 'mirrored along' err.txt)" -eq 0

# A data set whose dataset.json has no names, or others.
expect 0 'flips along yz' "$u3d" augment --data data --out seen --force --count 1 $small --names '1=Left ball,2=core'

# The names are in the model, and in the run, so that a resumed run has them again.
expect 0 'trained run' "$u3d" train $pair --names '1=left_ball,2=right_ball' --out run --iterations 2 --validate-every 0 $small
expect 0 'left_ball' "$u3d" info --model run
expect 0 'trained run' "$u3d" train --resume --out run
expect 2 'leave out --names' "$u3d" train --resume --out run --names 1=a
check "the run keeps its names" grep -q '1=left_ball,2=right_ball' run/config.json

names() {
  expect 2 "$1" "$u3d" train $pair --out bad --iterations 1 --names "$2"
}
names "'liver' has no '='" liver
names "'kidney' has no '='" '1=left,kidney'
names "'one=a' does not begin with a label value" one=a
names "'1.5=a' does not begin with a label value" 1.5=a
names "'99999999999=a' does not begin" 99999999999=a
names "'=a' does not begin" =a
names "'1=' has no name" 1=
names "has no '='" ''
names "label 1 has two names, 'a' and 'b'" 1=a,1=b
names "labels 1 and 2 have the same name 'a'" 1=a,2=a
names 'give --unlabeled 0 instead' 0=unlabeled
names 'give --unlabeled 3 instead' 3=Void
names 'has 70 bytes, expected at most' "1=$(printf 'a%.0s' {1..70})"
expect 2 '0 is not a label, because --unlabeled says' "$u3d" train --image data/imagesTr/phantom_001.nii.gz \
  --label data/labelsDense/phantom_001.nii.gz --unlabeled 0 --names 0=background --out bad
expect 2 "has two names" "$u3d" crossval --data data --out bad --names 1=a,1=b
check "nothing was made" test ! -e bad
finish
