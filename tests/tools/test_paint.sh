# Tests of labels that people paint, from outside: a background with a label of its own, from training to scores; what is
# held out; volumes without labels; slices that were painted in part; folds whose models are averaged.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=16x16x16 --set batch=1"
more=${TESTS_BRIEF:+3}
more=${more:-30}

# painted/ has labels 1 (background), 2 and 3 in a few slices; 0 is what nobody painted.
"$u3d" --quiet phantom --out data --count 3 --size 24x22x20 --slices 2,2,2 >/dev/null
mkdir painted named
ln -s ../data/imagesTr painted/images
"$u3d" --quiet sparsify --label data/labelsDense --merge 0,1,2 --slices 2,2,2 --unlabeled 0 --output painted/labels >/dev/null
"$u3d" --quiet sparsify --label data/labelsDense --merge 0,1,2 --slices 24,0,0 --unlabeled 9 --output dense >/dev/null
one="--image data/imagesTr/phantom_001.nii.gz --label painted/labels/phantom_001.nii.gz --unlabeled 0"

# ---- the background ----
expect 0 'say which one with --background V' "$u3d" train --data painted --unlabeled 0 --out plain --iterations 2 $small
check "without --background, label 1 is a structure" grep -q dice_1 plain/log.csv
expect 0 'label 1 is the background' "$u3d" train --data painted --unlabeled 0 --background 1 --out run --iterations $more $small
check "the background has no Dice" sh -c 'head -1 run/log.csv | grep -q dice_2 && ! head -1 run/log.csv | grep -q dice_1'
expect 0 '1 is the background' "$u3d" info --model run
expect 0 'written as 0' "$u3d" predict --model run --input data/imagesTr --output predictions
expect 0 'written as label 1' "$u3d" predict --model run --input data/imagesTr --output kept --keep-background
score() { "$u3d" --quiet evaluate --no-surface --csv "$1" "${@:2}" >/dev/null 2>&1; }
score zero.csv --prediction predictions --reference painted/labels --unlabeled 0 --background 1
score kept.csv --prediction kept --reference painted/labels --unlabeled 0 --background 1
check "the background has the value 0, and no scores" sh -c '[ "$(cut -d, -f2 zero.csv | sort -u | tr -dc 0-9)" = 23 ]'
check "predictions with the background as 0 and as 1 have the same scores" cmp zero.csv kept.csv
score model.csv --prediction predictions --reference painted/labels --model run
check "evaluate takes the background and the unlabelled value from the model" cmp zero.csv model.csv
score truth.csv --prediction dense --reference painted/labels --unlabeled 0 --background 1
check "dense labels that agree have a Dice of 1" sh -c 'grep foreground_mean truth.csv | grep -q ",1,1,"'
expect 0 'if it is the background, give --background 1' "$u3d" evaluate --prediction predictions --reference painted/labels --unlabeled 0
expect 0 'label 0 counts as a structure' "$u3d" train --data data --background 1 --out other --iterations 2 $small
expect 0 '0 is the value of another label' "$u3d" predict --model other --input data/imagesTr/phantom_001.nii.gz --output other.nii.gz

# A label called background is found in the data set, by train, evaluate and crossval.
ln -s ../data/imagesTr named/imagesTr
ln -s ../painted/labels named/labelsTr
cat >named/dataset.json <<'J'
{"channel_names": {"0": "MRI"}, "labels": {"ignore": 0, "BackGround": 1, "cell": 2, "dot": 3}, "file_ending": ".nii.gz", "numTraining": 3}
J
for i in 1 2 3; do mv data/imagesTr/phantom_00$i.nii.gz data/imagesTr/phantom_00${i}_0000.nii.gz; done
mkdir plainimages && for i in 1 2 3; do ln -s ../data/imagesTr/phantom_00${i}_0000.nii.gz plainimages/phantom_00$i.nii.gz; done
rm painted/images && ln -s ../plainimages painted/images
one="--image plainimages/phantom_001.nii.gz --label painted/labels/phantom_001.nii.gz --unlabeled 0"
expect 0 'label 1 is the background' "$u3d" train --data named --out found --iterations $more $small
check "the network is the same, whether the background is named or given" sh -c '[ "$(cut -d, -f1,3- run/log.csv)" = "$(cut -d, -f1,3- found/log.csv)" ]'
score found.csv --prediction predictions --reference named
check "evaluate finds the background in the data set" cmp zero.csv found.csv
expect 0 'mean, label 3' "$u3d" crossval --data named --folds 3 --out cvnamed --iterations 2 $small
check "crossval finds the background" sh -c 'cut -d, -f3 cvnamed/summary.csv | sort -u | tr "\n" " " | grep -q "^2 3 foreground label"'
if [ -z "${TESTS_BRIEF:-}" ]; then
  expect 0 'mean, label 3' "$u3d" crossval --data painted --unlabeled 0 --background 1 --folds 3 --out cv --iterations 2 $small
  check "crossval scores no background" sh -c 'cut -d, -f3 cv/summary.csv | sort -u | tr "\n" " " | grep -q "^2 3 foreground label"'
fi
expect 0 'mean, label 3' "$u3d" crossval --data painted --unlabeled 0 --background 1 --folds 3 --out cvdense --iterations 2 $small --reference dense
check "nor against dense labels" sh -c 'cut -d, -f3 cvdense/summary.csv | sort -u | tr "\n" " " | grep -q "^2 3 foreground label"'
expect 0 'page' "$u3d" report --out page.html run --prediction predictions --reference painted/labels --unlabeled 0
check "report knows the background of the run" sh -c '! grep -q "<tr><td>1</td>" page.html && grep -q "<tr><td>3</td>" page.html'
check "report says that nothing was held out" grep -q 'No data were held out' page.html
check "report says that scores are of training labels" grep -q 'was trained on labels of this reference' page.html

expect 2 'no label has this value; the labels are 1, 2, 3' "$u3d" train --data painted --unlabeled 0 --background 7 --out no --iterations 2 $small
expect 2 '0 means unlabelled' "$u3d" train --data painted --unlabeled 0 --background 0 --out no --iterations 2 $small
expect 0 'largest component is kept of: 2, 3' "$u3d" train $one --background 1 --out large --iterations 2 $small --set postprocess=largest
expect 2 'say which one with --background' "$u3d" train $one --out no --iterations 2 $small --set postprocess=largest

# A resumed run keeps its background.
"$u3d" train $one --background 1 --out cut --iterations 4000 $small >/dev/null 2>&1 &
pid=$!
for _ in $(seq 200); do [ "$(cat cut/log.csv 2>/dev/null | wc -l)" -gt 4 ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
check "config.json stores the background" grep -q '"background":\s*"1"' cut/config.json

# ---- what is held out ----
mkdir -p ten/images ten/labels
for i in 0 1 2 3 4 5 6 7 8 9; do
  ln -s ../../plainimages/phantom_001.nii.gz ten/images/v$i.nii.gz
  ln -s ../../painted/labels/phantom_001.nii.gz ten/labels/v$i.nii.gz
done
two="--iterations 2 $small --unlabeled 0 --background 1"
expect 0 'quality unknown.*u3d crossval' "$u3d" train $one --out h1 --iterations 2 $small
expect 0 'set aside: 1 of|too few annotated slices' "$u3d" train $one --out h2 --iterations 2 $small --validate slices
expect 0 '1 of 10 training volumes are set aside' "$u3d" train --data ten --out h3 $two
expect 0 '3 of 10 training volumes are set aside' "$u3d" train --data ten --out h4 $two --validate 0.3
expect 0 'no validation: nothing is held out' "$u3d" train --data ten --out h5 $two --validate 0
rm ten/*/v9.nii.gz
expect 0 'no validation: nothing is held out' "$u3d" train --data ten --out h6 $two
expect 0 '1 of 9 training volumes are set aside' "$u3d" train --data ten --out h7 $two --validate-every 1
expect 2 'slices is for a single volume' "$u3d" train --data ten --out no $two --validate slices
expect 2 'expected a number from 0 to 0.9' "$u3d" train --data ten --out no $two --validate most
expect 2 'has no effect' "$u3d" train --data ten --out no $two --validate 0.2 --validate-every 0
expect 0 'postprocess=auto: none; predicting volumes .* too much of the time' "$u3d" train --data ten --out h8 $two --set postprocess=auto

# ---- volumes without labels ----
"$u3d" --quiet sparsify --label data/labelsDense/phantom_001.nii.gz --merge 0,1,2 --slices 24,0,0 --unlabeled 0 --output all.nii.gz --rest blank.nii.gz >/dev/null
cp -r painted some
cp blank.nii.gz some/labels/phantom_002.nii.gz
expect 0 "1 of 3 volumes have no labelled voxel and are left out: 'phantom_002'" "$u3d" train --data some --out s0 $two
expect 0 '1 of 2 training volumes are set aside' "$u3d" train --data some --out s1 $two --validate 0.5
expect 0 "left out: 'phantom_002'" "$u3d" crossval --data some --folds 2 --out s2 $two
check "it is in no fold" sh -c '! grep -q phantom_002 s2/splits_final.json'
expect 2 '3 folds of the 2 labelled cases' "$u3d" crossval --data some --folds 3 --out s3 $two
expect 0 "1 of 3 references have no labelled voxel.*'phantom_002'" "$u3d" evaluate --prediction predictions --reference some/labels --unlabeled 0
for i in 1 3; do cp blank.nii.gz some/labels/phantom_00$i.nii.gz; done
expect 2 "every voxel is 0, which means unlabelled.: .*phantom_001.nii.gz'.*paint some" "$u3d" train --data some --out s4 $two

# ---- 2D networks, and folds over slices ----
flat="--net paper2d --set base=4 --set levels=2 --set padding=same --set patch=16x16x1 --iterations 2"
"$u3d" --quiet sparsify --label data/labelsDense/phantom_001.nii.gz --merge 0,1,2 --slices 2,2,0 --unlabeled 0 --output sides.nii.gz >/dev/null
sides="--image plainimages/phantom_001.nii.gz --label sides.nii.gz --unlabeled 0"
expect 0 'trained f1' "$u3d" train $sides --out f1 $flat
expect 2 'plane_labels=all' "$u3d" train $sides --out f2 $flat --set plane_labels=slices
expect 0 '4 folds, because 4 slices are annotated' "$u3d" crossval $sides --out f3 --iterations 2 $small
expect 2 'too few for 6 folds; give a smaller' "$u3d" crossval $sides --out f4 --folds 6 --iterations 2 $small
"$u3d" --quiet sparsify --label data/labelsDense/phantom_001.nii.gz --merge 0,1,2 --slices 0,0,18 --unlabeled 0 --output many.nii.gz >/dev/null
expect 0 'most of the annotated slices lie side by side' "$u3d" crossval --image plainimages/phantom_001.nii.gz --label many.nii.gz --unlabeled 0 \
  --folds 2 --out f5 --iterations 2 $small

# ---- folds share their plan ----
# Only the first volume has label 3, so the fold that is tested on it is trained without that label.
cp -r painted mixed
for i in 2 3; do
  "$u3d" --quiet sparsify --label data/labelsDense/phantom_00$i.nii.gz --merge 0+2,1 --slices 2,2,2 --unlabeled 0 --output mixed/labels/phantom_00$i.nii.gz --force >/dev/null
done
expect 0 'planning for all folds' "$u3d" crossval --data mixed --folds 3 --out m $two
expect 0 'averaged' "$u3d" predict --model m/fold_0/run --input plainimages --output averaged m/fold_1/run m/fold_2/run
for k in 0 1 2; do expect 0 'labels +1 2 3' "$u3d" info --model m/fold_$k/run; done
finish
