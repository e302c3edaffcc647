# Tests of labels that do not have the grid of their image, from outside. Volumes of `u3d phantom` begin at the same place
# in space, so the smaller one covers a part of the larger one.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=16x16x16 --set batch=1 --iterations 2 --validate-every 0"
expect 0 '' "$u3d" phantom --out large --count 1 --size 24x24x20 --slices 2,2,2
expect 0 '' "$u3d" phantom --out small --count 1 --size 16x24x16 --slices 2,2,2
image=large/imagesTr/phantom_001.nii.gz
part=small/labelsTr/phantom_001.nii.gz

# Labels of a part of the image are placed; they do not go beyond the image without --resample-labels.
expect 0 'only a part .*16x24x16 of 24x24x20 voxels.* unlabelled' "$u3d" train --image $image --label $part --unlabeled 255 --out part $small
expect 0 'only a part .* count as 0 \(--dense\)' "$u3d" train --image $image --label small/labelsDense/phantom_001.nii.gz --dense --out dense $small
expect 3 'voxels.*--resample-labels' "$u3d" train --image small/imagesTr/phantom_001.nii.gz --label large/labelsTr/phantom_001.nii.gz --unlabeled 255 --out no $small
expect 0 'another grid.*--resample-labels' "$u3d" train --image small/imagesTr/phantom_001.nii.gz --label large/labelsTr/phantom_001.nii.gz --unlabeled 255 --resample-labels --out nearest $small
check "the option is stored for --resume" grep -q '"resample_labels":\s*true' nearest/config.json
expect 0 'only a part' "$u3d" augment --image $image --label $part --unlabeled 255 --out patches --count 1 --set patch=16x16x16 --net paper-bn --set padding=same
expect 0 '' "$u3d" picture --image $image --label $part --output part.png

# The same labels as reference and as prediction.
expect 0 'only a part' "$u3d" evaluate --prediction large/labelsDense/phantom_001.nii.gz --reference $part --unlabeled 255
check "the picture is drawn on one grid" "$u3d" evaluate --prediction small/labelsDense/phantom_001.nii.gz --reference large/labelsDense/phantom_001.nii.gz --picture both.png
check "there is a picture" test -s both.png
finish
