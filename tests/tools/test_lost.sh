# Tests that nothing is lost: not a run to a refused request, not an input to --force, not five predictions to a sixth
# volume that is damaged, not a night of training to a closed terminal. io/FILES.md has the table of these situations.
. "$(dirname "$0")/common.sh"
small="--set base=4 --set levels=2 --set patch=16x16x16 --set batch=1 --net auto --validate-every 0"
more=${TESTS_BRIEF:+40} later=${TESTS_BRIEF:+10}
more=${more:-120} later=${later:-100}
"$u3d" phantom --out data --count 6 --size 24x24x20 --slices 2,2,2 >/dev/null 2>&1
one=data/imagesTr/phantom_001.nii.gz
truth=data/labelsDense

same() { check "$1" cmp "$2" "$3"; }
sum() { cksum <"$1" | tr -d ' '; }
cut_file() { head -c "$2" "$1" >cut.tmp && mv cut.tmp "$1"; } # also for links: the original stays whole

# ---- train --force ----
expect 0 'trained run' "$u3d" train --data data --out run --iterations 3 $small
cp run/model.safetensors first.safetensors
for wrong in '--data nowhere' '--data data --set nonsense=1' '--data data --set labels=7' '--data data --memory 1M' \
  '--data data --time 0.01s' '--data data --split nothere.json --fold 0'; do
  "$u3d" train $wrong --out run --force $small >out.txt 2>err.txt </dev/null
  check "train $wrong --force fails" test $? -ne 0
  same "train $wrong --force leaves the run as it was" first.safetensors run/model.safetensors
  check "train $wrong --force moves nothing" test ! -e run.old
done
expect 0 'trained run' "$u3d" train --data data --out run/ --iterations 4 --force $small
same "the earlier run is in run.old" first.safetensors run.old/model.safetensors
check "run.old can be used" "$u3d" info --model run.old
cp run/model.safetensors second.safetensors
mkdir run/mine && echo kept >run/mine/notes
expect 0 'trained run' "$u3d" train --data data --out run --iterations 2 --force $small
same "run.old keeps the last run" second.safetensors run.old/model.safetensors
check "files that are not of a run stay" test "$(cat run/mine/notes)" = kept
rm run/model.safetensors
expect 0 'unfinished' "$u3d" train --data data --out run --iterations 2 --force $small
same "an unfinished run does not replace a finished one in run.old" second.safetensors run.old/model.safetensors
expect 3 'no such folder' "$u3d" train --data nowhere --out fresh $small
check "a run that did not begin leaves no folder" test ! -e fresh

# ---- a budget that is shorter than reading the data ----
expect 2 'reading.*took.*give at least --time' "$u3d" train --data data --out short --time 0.001s $small
check "no untrained model is written" test ! -e short
expect 0 'trained timed' "$u3d" train --data data --out timed --time 2s $small
rm timed/model.safetensors
expect 0 'trained timed' "$u3d" train --resume --out timed

# ---- inputs are never outputs, outputs never each other ----
cp -r data/imagesTr images
before=$(sum images/phantom_001.nii.gz)
ln -s images linked
ln images/phantom_001.nii.gz hard.nii.gz
ln -s images/phantom_001.nii.gz soft.nii.gz
for out in images/phantom_001.nii.gz ./linked/../images/phantom_001.nii.gz hard.nii.gz soft.nii.gz linked/phantom_001.nii.gz; do
  expect 2 'same file as the input' "$u3d" predict --model run --input images/phantom_001.nii.gz --output $out --force
done
expect 2 'same file as the input' "$u3d" predict --model run --input images --output linked --force
expect 2 'same file as the input' "$u3d" sparsify --label $truth --output data/../$truth --slices 1,1,1 --force
cp $truth/phantom_001.nii.gz label.nii.gz
expect 2 'same file as the input' "$u3d" sparsify --label label.nii.gz --output x.nii.gz --rest ./label.nii.gz --slices 1,1,1 --force
expect 2 'same file as the input' "$u3d" evaluate --prediction label.nii.gz --reference label.nii.gz --csv label.nii.gz --force
expect 2 'same file as the input' "$u3d" picture --image $one --label label.nii.gz --output label.nii.gz --force
echo a,b >table.csv
expect 2 'same file as the input' "$u3d" report --csv table.csv --out table.csv --force
expect 2 'same file as the input' "$u3d" info --model run --dot run/model.safetensors --force
mkdir -p cv/fold_0 && cp label.nii.gz cv/fold_0/test.nii.gz
expect 2 'same file as the input' "$u3d" crossval --image $one --label cv/fold_0/test.nii.gz --unlabeled 9 --folds 2 --out cv --force
expect 2 'two outputs' "$u3d" sparsify --label label.nii.gz --output x.nii.gz --rest ./x.nii.gz --slices 1,1,1
expect 2 'two outputs' "$u3d" sparsify --label $truth --output new --rest new/. --slices 1,1,1
expect 2 'two outputs' "$u3d" evaluate --prediction label.nii.gz --reference label.nii.gz --csv y --picture ./y
cp $one clash_probabilities.nii.gz && mkdir clash && mv clash_probabilities.nii.gz clash && cp $one clash/clash.nii.gz
expect 2 'two outputs' "$u3d" predict --model run --input clash --output clashed --probabilities
check "no input was touched" test "$(sum images/phantom_001.nii.gz)" = "$before"
ln -s nothing.nii.gz dangling.nii.gz
expect 2 'link that leads nowhere' "$u3d" predict --model run --input $one --output dangling.nii.gz
echo precious >target && ln -s target output.nii.gz
expect 2 'exists already' "$u3d" predict --model run --input $one --output output.nii.gz
expect 0 '' "$u3d" predict --model run --input $one --output output.nii.gz --force
check "--force replaces the link and leaves its target" test "$(cat target)" = precious -a ! -L output.nii.gz

# ---- batches go on: predict ----
"$u3d" phantom --out large --count 1 --size 96x96x96 >/dev/null 2>&1
cp -r data/imagesTr volumes
cut_file volumes/phantom_002.nii.gz 4000                  # a damaged one, which shows only when it is read
echo damaged >volumes/phantom_003.nii.gz                  # one that is no volume
cp large/imagesTr/phantom_001.nii.gz volumes/phantom_004.nii.gz # one that is too large for --memory 4M
expect 3 '3 of 6 volumes were not predicted' "$u3d" predict --model run --input volumes --output segmented --memory 4M
cp err.txt said.txt
for bad in 'phantom_002: .*the file ends' 'phantom_003: .*header' 'phantom_004: .*GB'; do
  check "the failures are listed at the end: $bad" grep -Eq "not predicted: $bad" said.txt
done
check "what is damaged is said before the first volume is predicted" test \
  "$(grep -n 'phantom_003 is left out' said.txt | cut -d: -f1)" -lt "$(grep -n '1/6' said.txt | cut -d: -f1)"
check "the other volumes are predicted" test "$(ls segmented | tr '\n' ' ')" = \
  "phantom_001.nii.gz phantom_005.nii.gz phantom_006.nii.gz "
expect 3 '"error":.*phantom_003' "$u3d" predict --model run --input volumes --output again --json --memory 4M
cp data/imagesTr/* volumes
touch -d '1 hour ago' segmented/*
cut_file segmented/phantom_006.nii.gz 300
touch marker
expect 0 '2 of 6 volumes are predicted already' "$u3d" predict --model run --input volumes --output segmented --skip-existing
check "--skip-existing does the rest, and what is not whole" test \
  "$(find segmented -name '*.nii.gz' -newer marker | wc -l)" -eq 4 -a "$(ls segmented | wc -l)" -eq 6
expect 0 '6 of 6' "$u3d" predict --model run --input volumes --output segmented --skip-existing
expect 2 'exists already' "$u3d" predict --model run --input volumes --output segmented
cp large/labelsTr/phantom_001.nii.gz segmented/phantom_005.nii.gz
expect 3 'another size' "$u3d" predict --model run --input volumes --output segmented --skip-existing
echo damaged >single.nii.gz
expect 3 'single.nii.gz' "$u3d" predict --model run --input single.nii.gz --output p.nii.gz
expect 5 'GB' "$u3d" predict --model run --input large/imagesTr/phantom_001.nii.gz --output p.nii.gz --memory 4M
if [ -n "${U3D_TEST_NO_FLOCK:-}" ]; then # programs that measure coverage write files of their own
  expect 6 '--skip-existing does the rest' sh -c "ulimit -f 1; exec '$u3d' predict --model run --input volumes --output full --quiet"
  check "a full disk leaves no part of a file" test -z "$(ls -A full)"
fi

# ---- batches go on: evaluate, sparsify, crossval ----
cp -r $truth scored
cut_file scored/phantom_002.nii.gz 200
cp scored/phantom_001.nii.gz scored/stranger.nii.gz
expect 3 '2 of 7 cases were not scored' "$u3d" evaluate --prediction scored --reference $truth --csv scores.csv
cp err.txt said.txt
check "the others are scored" test "$(cut -d, -f1 scores.csv | sort -u | grep -c phantom)" -eq 5
check "the failures are listed" grep -Eq 'not scored: stranger: .*no reference' said.txt
expect 3 '"error"' "$u3d" evaluate --prediction scored --reference $truth --json --no-surface
expect 3 '' "$u3d" evaluate --prediction scored/phantom_002.nii.gz --reference $truth/phantom_002.nii.gz
expect 3 '1 of 7 label files were left out' "$u3d" sparsify --label scored --output sparse --slices 1,1,1
check "sparsify writes the others" test "$(ls sparse | wc -l)" -eq 6
cp -r data hurt
cut_file hurt/imagesTr/phantom_003.nii.gz 5000
expect 3 '3 of 3 folds failed or are incomplete' "$u3d" crossval --data hurt --folds 3 --out folds --iterations 2 $small
check "the fold that tests the damaged volume is scored without it" grep -q '^2,1,foreground,0' folds/summary.csv
check "the other volumes are planned for, and the damaged one stays in its fold" sh -c \
  'test -s folds/plan.json && ! grep -q phantom_003 folds/plan.json && grep -q phantom_003 folds/splits_final.json'
cp data/imagesTr/phantom_003.nii.gz hurt/imagesTr
expect 0 'mean, foreground' "$u3d" crossval --data hurt --folds 3 --out folds --iterations 2 $small
check "the same call does the rest" test "$(ls folds/fold_*/summary.json | wc -l)" -eq 3
mkdir foreign && echo mine >foreign/summary.csv
expect 2 'not from u3d crossval' "$u3d" crossval --data data --folds 3 --out foreign --iterations 2 $small

# ---- signals ----
# begin COMMAND...: starts it in the background. wait_for FILE N: waits until the file has more than N lines.
begin() { "$@" >begun.txt 2>&1 </dev/null & pid=$!; }
wait_for() { for _ in $(seq 1500); do [ "$(cat "$1" 2>/dev/null | wc -l)" -gt "$2" ] && return; sleep 0.02; done; }
ended() { wait $pid; [ $? -eq "$1" ]; }
begin "$u3d" train --data data --out hup --iterations 100000 $small
wait_for hup/log.csv 3
kill -HUP $pid
check "SIGHUP ends a run with a checkpoint" ended 130
check "SIGHUP leaves a checkpoint" test -s hup/checkpoint.safetensors
begin sh -c "trap '' HUP; exec '$u3d' train --resume --out hup --checkpoint-every 0.1s"
wait_for hup/log.csv $later
kill -HUP $pid
touch marker
for _ in $(seq 200); do [ hup/checkpoint.safetensors -nt marker ] && break; sleep 0.05; done
check "under nohup, SIGHUP does nothing, and --checkpoint-every writes checkpoints" test hup/checkpoint.safetensors -nt marker
kill -INT $pid
ended 130
expect 2 'checkpoint-every' "$u3d" train --data data --out x --checkpoint-every often $small
begin "$u3d" augment --data data --out patches --count 999 --set base=4 --set levels=2 --set patch=64x64x64
for _ in $(seq 1500); do [ -e patches/003_image.nii.gz ] && break; sleep 0.02; done
kill -INT $pid
check "Ctrl-C ends a command that looks at no flag" ended 130
check "and says so" grep -q '^u3d: error: interrupted' begun.txt
check "its outputs are whole or absent" sh -c 'gzip -t patches/*.nii.gz && [ -z "$(find patches -name ".tmp*")" ]'
begin "$u3d" crossval --data data --folds 3 --out stopped --iterations 100000 $small
wait_for stopped/fold_0/run/log.csv 3
kill -INT $pid
sleep 0.1
kill -INT $pid 2>/dev/null
check "a second Ctrl-C ends a cross-validation at once" ended 130

# ---- resuming with other data ----
cp -r data study
begin "$u3d" train --data study --out resumed --iterations $more $small
wait_for resumed/log.csv 3
kill -INT $pid
ended 130
cp -r resumed moved
"$u3d" sparsify --label $truth/phantom_002.nii.gz --slices 1,3,1 --output study/labelsTr/phantom_002.nii.gz --force >/dev/null 2>&1
expect 2 '1 file of the data changed since the run began: .*labelsTr/phantom_002' "$u3d" train --resume --out resumed
expect 0 'trained resumed' "$u3d" train --resume --out resumed --accept-changes
mv study elsewhere
expect 3 'moved' "$u3d" train --resume --out moved
expect 2 'phantom_002' "$u3d" train --resume --out moved --data elsewhere
cp data/labelsTr/phantom_002.nii.gz elsewhere/labelsTr
expect 0 'trained moved' "$u3d" train --resume --out moved --data elsewhere
check "the run knows where its data are now" grep -q 'elsewhere' moved/config.json
expect 2 'leave out --unlabeled' "$u3d" train --resume --out moved --unlabeled 3

# ---- file systems without flock ----
if [ -n "${U3D_TEST_NO_FLOCK:-}" ]; then
  without="env LD_PRELOAD=$U3D_TEST_NO_FLOCK"
  expect 0 'has no locks' $without "$u3d" train --data data --out nolock --iterations 2 $small
  check "the owner's file is removed at the end" test ! -e nolock/.lock-owner
  begin $without "$u3d" train --data data --out nolock --iterations 100000 --force $small
  wait_for nolock/log.csv 3
  check "the owner's file names host and process" grep -q "^$(uname -n) $pid " nolock/.lock-owner
  expect 2 'in use by another u3d .process' $without "$u3d" train --data data --out nolock --iterations 2 --force $small
  kill -KILL $pid
  wait $pid 2>/dev/null
  expect 0 'left behind' $without "$u3d" train --data data --out nolock --iterations 2 --force $small
  echo "otherhost 1 1" >nolock/.lock-owner
  expect 2 'on otherhost' $without "$u3d" train --data data --out nolock --iterations 2 --force $small
fi
check "no temporary file is left" test -z "$(find . -name '.tmp*')"
finish
