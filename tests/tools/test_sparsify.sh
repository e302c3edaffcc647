# Tests of `u3d sparsify --scribbles` and `--cubes` from outside: their options and messages, files and folders, and what
# goes together. tests/tools/test_scribbles.c tests where scribbles and cubes lie.
. "$(dirname "$0")/common.sh"
"$u3d" --quiet phantom --out data --count 4 --size 32x32x24 >/dev/null
dense=data/labelsDense
first=phantom_001.nii.gz
sparsify() { "$u3d" sparsify --label "$@"; }

# agrees DENSE SPARSE [V]: succeeds if all kept voxels have the labels of the dense file.
agrees() {
  "$u3d" --quiet evaluate --no-surface --prediction "$1" --reference "$2" --unlabeled "${3:-255}" --csv scores.csv --force >/dev/null 2>&1 &&
    grep -q '^foreground_mean,,1,1,' scores.csv
}

# ---- scribbles ----
expect 0 'kept 1\.[0-9]* % of the voxels of 4 label files' sparsify $dense --scribbles --output one
expect 0 'kept 1\.[0-9]* %' sparsify $dense --scribbles 1% --output percent
expect 0 'kept 1\.[0-9]* %' sparsify $dense --scribbles=0.01 --output number
expect 0 'kept [45]\.[0-9]* %' sparsify $dense --output five --scribbles 5%
check "the default is 1 %, however it is written" sh -c 'diff -r one percent && diff -r one number'
check "no voxel has a wrong label, and all labels are there" agrees $dense one
check "scribbles of 5 % are right, too" agrees $dense five

expect 0 'of 1 label file;' sparsify $dense/$first --scribbles --output single.nii.gz
check "a volume has the same scribbles alone and in a folder" cmp single.nii.gz one/$first
expect 0 'kept' sparsify $dense --scribbles --seed 2 --output seed
check "another seed gives other scribbles" sh -c "! cmp -s one/$first seed/$first"
check "two volumes have different scribbles" sh -c "! cmp -s one/$first one/phantom_002.nii.gz"
expect 0 '"share_kept":\s0\.0[01]' sparsify $dense/$first --scribbles --json --output json.nii.gz
expect 2 'exists' sparsify $dense --scribbles --output one
expect 0 '' "$u3d" --quiet sparsify --label $dense --scribbles --force --unlabeled 9 --output one --rest rest
check "--unlabeled and --rest: what is kept is right" agrees $dense one 9
check "--rest: what is left is right" agrees $dense rest 9

# The share is that of the planes that are not missing. Labels after --merge have strokes.
expect 0 'kept 0\.[23][0-9]* %' sparsify $dense/$first --scribbles --missing z=6-23 --output missing.nii.gz --rest others.nii.gz
check "--missing: scribbles of the other planes are right" agrees $dense/$first missing.nii.gz
check "--missing: and so is the rest" agrees $dense/$first others.nii.gz
expect 0 'kept' sparsify $dense --merge 0,1+2 --scribbles 2% --output merged --background 1
expect 0 'kept' sparsify $dense --merge 0,1+2 --slices 32,0,0 --output merged_dense
check "--merge: scribbles have the labels of the classes" agrees merged_dense merged

# ---- cubes ----
expect 0 '\(1024 voxels in 2 cubes, in 2 of the files\)' sparsify $dense --cubes 8x8x8 --count 2 --output cubes
check "cubes have the right labels" agrees $dense cubes
expect 0 '"label_files_with_cubes":\s2' sparsify $dense --cubes 8x8x8 --count 2 --output again --json
check "the same seed gives the same cubes" diff -r cubes again
expect 0 'in 2 of the files' sparsify $dense --cubes 8,8,8 --count 2 --output others --seed 3
check "another seed gives other cubes" sh -c '! diff -rq cubes others'
expect 0 '\(5120 voxels in 10 cubes, in 4 of the files\)' sparsify $dense --cubes 8x8x8 --count 10 --output many
expect 0 '\(7680 voxels in 1 cube, in 1 of the files\)' sparsify $dense/$first --cubes 40x10x99 --count 1 --output clipped.nii.gz
expect 0 'share voxels with others' sparsify $dense/$first --cubes 32x32x24 --count 2 --output twice.nii.gz

# Training names the volumes that have no cube, and leaves them out.
mkdir study && ln -s ../data/imagesTr study/images && ln -s ../cubes study/labels
small="--net auto --set base=4 --set levels=2 --set patch=16x16x16 --set batch=1"
expect 0 '2 of 4 volumes have no labelled voxel and are left out' "$u3d" train --data study --unlabeled 255 --out run --iterations 1 $small

# A damaged volume costs no cube if others follow it.
mkdir damaged && cp $dense/* damaged && for i in 5 6 7 8 9; do cp damaged/$first damaged/phantom_00$i.nii.gz; done
for i in 1 3 5 7; do head -c 100 $dense/$first >damaged/phantom_00$i.nii.gz; done
expect 3 '1536 voxels in 3 cubes, in 3 of the files' sparsify damaged --cubes 8x8x8 --count 3 --output some
rm damaged/phantom_00[3-9].nii.gz
for seed in 1 2 3 4 5 6; do # the damaged one of two volumes comes first or last
  sparsify damaged --cubes 8x8x8 --count 2 --output two --force --seed $seed
done >two.txt 2>&1
check "a volume gets the cube of a damaged one that comes before it" grep -q '1024 voxels in 2 cubes, in 1 of the files' two.txt
check "a warning says if there is none" grep -q 'only 1 of 2 cubes were placed' two.txt

# ---- what is refused ----
for share in 1 21% x 0 -1%; do
  expect 2 'scribbles|unknown option' sparsify $dense --output no --scribbles $share
done
expect 2 'one of --slices, --scribbles and --cubes' sparsify $dense --output no --scribbles --slices 1,1,1
expect 2 'one of --slices, --scribbles and --cubes' sparsify $dense --output no --scribbles --cubes 8x8x8 --count 1
expect 2 'number of --cubes' sparsify $dense --output no --slices 1,1,1 --count 3
expect 2 'number of --cubes' sparsify $dense --output no --cubes 8x8x8
expect 2 'three whole numbers' sparsify $dense --output no --cubes 8 --count 3
for count in 0 -1 x 1.5; do expect 2 '^u3d: error: --count' sparsify $dense --output no --cubes 8x8x8 --count $count; done
expect 2 'it needs --slices' sparsify $dense --output no --scribbles --copy copies
expect 2 'it needs --slices' sparsify $dense --output no --cubes 8x8x8 --count 1 --copy copies
expect 2 '--background needs' sparsify $dense --output no --slices 1,1,1 --background 1
expect 2 '--slices NX,NY,NZ, --scribbles or --cubes' sparsify $dense --output no
expect 2 'need --slices' sparsify $dense --output no --merge 1,2 --rest rest2
check "nothing was written" test ! -e no
finish
