# Tests of `u3d crossval` from outside: folds of volumes and of slices, scores, interrupted runs that are continued, and
# requests that do not fit the folder's earlier settings.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=24x24x24 --set batch=1 --validate-every 0"
few=${TESTS_BRIEF:+2} more=${TESTS_BRIEF:+20}
few=${few:-6} more=${more:-60}

expect 0 '3 volumes' "$u3d" phantom --out data --count 3 --size 40x36x32 --slices 3,3,3
expect 0 'mean, foreground' "$u3d" crossval --data data --folds 3 --out cv --iterations $few $small
check "every volume is predicted once" test "$(ls cv/fold_*/predictions/*.nii.gz | xargs -n1 basename | sort -u | wc -l)" -eq 3 -a \
  "$(ls cv/fold_*/predictions/*.nii.gz | wc -l)" -eq 3
check "the folds are written to splits_final.json" grep -q '"val"' cv/splits_final.json
cp cv/summary.json before.json
check "summary.csv has a line for each fold and label" test "$(wc -l <cv/summary.csv)" -ge 7
check "summary.csv has a line for the foreground of each fold" test "$(grep -c ',foreground,' cv/summary.csv)" -eq 3
touch marker
expect 0 'fold 2 .1 case.' "$u3d" crossval --data data --folds 3 --out cv --iterations $few $small
check "a second run does not repeat finished folds" test -z "$(find cv/fold_* -newer marker)"
check "a second run gives the same scores" cmp before.json cv/summary.json
rm -r cv/fold_1/summary.json cv/fold_1/predictions
expect 0 '"sd"' "$u3d" crossval --data data --folds 3 --out cv --iterations $few $small --json
check "a fold whose predictions were deleted gets the same scores again" cmp before.json cv/summary.json
expect 2 "another 'seed'" "$u3d" crossval --data data --folds 3 --out cv --iterations $few $small --seed 2
expect 2 "another 'folds'" "$u3d" crossval --data data --folds 2 --out cv --iterations $few $small
expect 2 '4 folds of the 3 cases' "$u3d" crossval --data data --folds 4 --out four --iterations $few $small
expect 2 "unknown|no setting|'nonsense'" "$u3d" crossval --data data --folds 3 --out four --iterations $few $small --set nonsense=1
if [ -z "${TESTS_BRIEF:-}" ]; then
  expect 0 'mean, foreground' "$u3d" crossval --data data --folds 3 --out four --iterations $few $small
  check "refused calls do not fix the settings of the folder" cmp before.json four/summary.json
fi
cp cv/splits_final.json splits.json
expect 0 'fold 1' "$u3d" crossval --data data --split splits.json --out given --iterations $few $small
check "the same folds, read from a file, give the same scores" cmp cv/summary.json given/summary.json
echo >>splits.json
expect 2 "another 'content of split'" "$u3d" crossval --data data --split splits.json --out given --iterations $few $small

expect 0 'mean, foreground' "$u3d" crossval --data data --split cv/splits_final.json --out dense --iterations $few $small --reference data/labelsDense
check "scores against dense labels differ from those against sparse labels" test "$(grep -c . dense/summary.csv)" -gt 0 -a ! "$(cat dense/summary.csv)" = "$(cat cv/summary.csv)"

expect 3 'expected a folder' "$u3d" crossval --data data --folds 3 --out none --reference nowhere --iterations $few $small
if [ -z "${TESTS_BRIEF:-}" ]; then # test_paint.sh has another background, too
  expect 0 'mean, foreground' "$u3d" crossval --data data --folds 3 --out without --iterations $few $small --background 1
  check "--background 1 leaves out label 1 instead of label 0" test "$(grep -c '^[0-9]*,[0-9]*,1,' without/summary.csv)" -eq 0 -a "$(grep -c '^[0-9]*,[0-9]*,0,' without/summary.csv)" -gt 0
fi

# Interrupted while a fold is being trained. Only the parent process gets the signal.
"$u3d" crossval --data data --folds 3 --out cut --iterations $more $small >out.txt 2>err.txt &
pid=$!
for _ in $(seq 200); do [ "$(cat cut/fold_0/run/log.csv 2>/dev/null | wc -l)" -gt 4 ] && break; sleep 0.05; done
kill -TERM $pid
wait $pid
check "an interrupted cross-validation exits with 130" test $? -eq 130
expect 0 'mean, foreground' "$u3d" crossval --data data --folds 3 --out cut --iterations $more $small
expect 0 'mean, foreground' "$u3d" crossval --data data --folds 3 --out whole --iterations $more $small
check "an interrupted and continued cross-validation gives the same scores" cmp cut/summary.json whole/summary.json

# Folds over the annotated slices of one volume.
one="--image data/imagesTr/phantom_001.nii.gz --label data/labelsTr/phantom_001.nii.gz"
expect 2 'unlabeled V' "$u3d" crossval $one --folds 3 --out slices --iterations $few $small
expect 0 'fold 2 is tested on 1 slices across x, 1 across y, 1 across z' "$u3d" crossval $one --folds 3 --out slices --iterations $few $small --unlabeled 255
expect 2 'too few for 10 folds' "$u3d" crossval $one --folds 10 --out ten --iterations $few $small --unlabeled 255
expect 2 'expected --data' "$u3d" crossval --out none --folds 3
"$u3d" sparsify --label data/labelsDense/phantom_001.nii.gz --slices 4,4,4 --output data/labelsTr/phantom_001.nii.gz --force >/dev/null 2>&1
rm slices/fold_2/summary.json
expect 2 "another 'content of label'" "$u3d" crossval $one --folds 3 --out slices --iterations $few $small --unlabeled 255
finish
