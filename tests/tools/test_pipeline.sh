# Tests of the main task from outside: phantom, train, predict, evaluate, picture. Also tests that results do not depend
# on the number of threads, that interrupted runs can be resumed, and that no existing file is overwritten.
. "$(dirname "$0")/common.sh"
small="--set base=4 --set levels=2 --set patch=24x24x24 --set batch=1 --net auto"

expect 0 '3 volumes' "$u3d" phantom --out data --count 3 --size 40x36x32 --slices 3,3,3
expect 2 'exists already' "$u3d" phantom --out data

# Runs with 1 and with 2 threads, and a run that was interrupted and resumed, must give the same weights bit for bit.
expect 0 'trained one' "$u3d" train --data data --out one --iterations 12 --threads 1 $small
expect 0 'trained two' "$u3d" train --data data --out two --iterations 12 --threads 2 $small
check "1 and 2 threads give the same model" cmp one/model.safetensors two/model.safetensors
expect 2 'exists|content|--force' "$u3d" train --data data --out one --iterations 12 $small

"$u3d" train --data data --out three --iterations 4000 --threads 2 $small >out.txt 2>err.txt &
pid=$!
for _ in $(seq 200); do [ "$(cat three/log.csv 2>/dev/null | wc -l)" -gt 4 ] && break; sleep 0.1; done
kill -INT $pid
wait $pid
code=$?
cp err.txt interrupted.txt
check "an interrupted run exits with 130" test $code -eq 130
check "an interrupted run says how to resume it" grep -q -- '--resume' interrupted.txt
check "an interrupted run leaves a checkpoint" test -s three/checkpoint.safetensors

"$u3d" train --data data --out four --iterations 40 --threads 2 $small >out.txt 2>err.txt &
pid=$!
for _ in $(seq 200); do [ "$(cat four/log.csv 2>/dev/null | wc -l)" -gt 4 ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
expect 0 'trained four' "$u3d" train --resume --out four
expect 0 'trained five' "$u3d" train --data data --out five --iterations 40 $small
check "an interrupted and resumed run gives the same model" cmp four/model.safetensors five/model.safetensors
check "log.csv has each iteration once" test "$(tail -n +2 four/log.csv | cut -d, -f1 | sort -n | uniq -d | wc -l)" -eq 0

# Prediction with every form of input and output.
expect 0 'p.nii.gz' "$u3d" predict --model five --input data/imagesTr/phantom_001.nii.gz --output p.nii.gz
expect 2 'exists already' "$u3d" predict --model five --input data/imagesTr/phantom_001.nii.gz --output p.nii.gz
expect 0 '' "$u3d" predict --model five/model.safetensors --input data/imagesTr --output all --probabilities --tta
check "predict writes labels and probabilities of each case" test -s all/phantom_003.nii.gz -a -s all/phantom_003_probabilities.nii.gz
expect 0 '' "$u3d" predict --model five --data data --output again one
expect 0 '"seconds"' "$u3d" predict --model five --data data --output again --force --json
expect 2 'expected a folder' "$u3d" predict --model five --input data/imagesTr --output x.nii.gz
expect 3 'nothere' "$u3d" predict --model five --input nothere.nii.gz --output x.nii.gz
expect 3 'nomodel' "$u3d" predict --model nomodel --input data/imagesTr --output y
expect 5 'GB' "$u3d" predict --model five --input data/imagesTr --output y --memory 100k

# The predicted labels must not depend on the number of threads or the memory limit.
expect 0 '' "$u3d" predict --model five --input data/imagesTr/phantom_001.nii.gz --output q.nii.gz --threads 1 --memory 100M
check "another number of threads and a memory limit give the same labels" cmp p.nii.gz q.nii.gz

# Training with another spacing: the model stores the spacing, and predictions have the grid of the input file.
expect 0 'trained coarse' "$u3d" train --data data --out coarse --iterations 4 $small --set spacing=1.25x1.25x1.5
expect 0 'resampling  images to these voxels .as set.' "$u3d" info --model coarse
expect 0 '"spacing":\s*"1.25,1.25,1.5"' "$u3d" info --model coarse --json
check "config.json says why this spacing was chosen" grep -q '"spacing_why":\s*"as set"' coarse/config.json
expect 0 'c.nii.gz' "$u3d" predict --model coarse --input data/imagesTr/phantom_001.nii.gz --output c.nii.gz --probabilities
cp err.txt resampled.txt
check "predict says what was resampled" grep -q '40x36x32 voxels of 1x1x1 to 32x29x21 of 1.25x1.241x1.524' resampled.txt
expect 0 'foreground mean' "$u3d" evaluate --prediction c.nii.gz --reference data/labelsDense/phantom_001.nii.gz
expect 2 'averaging models: model 2 resamples differently' "$u3d" predict --model coarse --input data/imagesTr --output z one
expect 2 'spacing=1,1,1 has no effect' "$u3d" train --data data --out off --iterations 4 $small --set resample=off --set spacing=1,1,1

# 2D networks, which work on slices in the plane that the user chooses.
flat="--net paper2d --set base=4 --set levels=2 --set padding=same --iterations 4"
expect 0 'trained flat' "$u3d" train --data data --out flat $flat --set plane=yz --set patch=1x24x24
expect 0 '"plane":\s*"yz"' "$u3d" info --model flat --json
expect 0 'flat.nii.gz' "$u3d" predict --model flat --input data/imagesTr/phantom_001.nii.gz --output flat.nii.gz
expect 0 'patch: 1x' "$u3d" train --data data --out flat2 --net auto --set plane=yz --set base=4 --iterations 2
expect 0 'kept 7.92 %' "$u3d" sparsify --label data/labelsDense --slices 1,0,0+0,2,0 --output both --rest others --copy copies
expect 0 'foreground mean +1\.0000' "$u3d" evaluate --prediction copies --reference both --unlabeled 255
check "copied slices do not agree with the slices that were left out" test -z "$("$u3d" evaluate --prediction copies --reference others --unlabeled 255 | grep 'foreground mean *1.0000')"
# Of 40x36x32 voxels, 36*40 are in the slice z = 15 (because z = 16 is missing), and 36*(32 - 1 - 3) more are in x = 20.
expect 0 'kept 5.31 %' "$u3d" sparsify --label data/labelsDense --slices 1,0,1 --missing z=16-18 --output holes --rest unseen
expect 2 'the volume has 32' "$u3d" sparsify --label data/labelsDense --slices 1,0,1 --missing z=30-32 --output outside
expect 0 'kept' "$u3d" sparsify --label data/labelsDense --slices 0,3,0 --output y
other_plane="--image data/imagesTr/phantom_001.nii.gz --label y/phantom_001.nii.gz --unlabeled 255 $flat --set plane=yz --set patch=1x24x24"
expect 0 'trained flat3' "$u3d" train $other_plane --out flat3
expect 2 'no slice across x is annotated' "$u3d" train $other_plane --out flat4 --set plane_labels=slices

# Scores.
expect 0 'foreground mean' "$u3d" evaluate --prediction again --reference data/labelsDense
expect 0 '"foreground_mean"' "$u3d" evaluate --prediction again --reference data --json
expect 0 ' 1\.0000 ' "$u3d" evaluate --prediction data/labelsDense --reference data/labelsDense
check "evaluate ignores files of probabilities" "$u3d" evaluate --prediction all --reference data
mkdir odd && cp p.nii.gz odd/stranger.nii.gz
expect 3 'stranger' "$u3d" evaluate --prediction odd --reference data
expect 2 'two files or two folders' "$u3d" evaluate --prediction p.nii.gz --reference data

# Distances between surfaces, scores as CSV, pictures of cases.
expect 0 'HD95 and ASSD in mm; NSD: .* within 2.5 mm' "$u3d" evaluate --prediction data/labelsDense --reference data/labelsDense --tolerance 2.5
check "evaluate accepts the references as predictions" "$u3d" evaluate --prediction data/labelsDense --reference data/labelsDense --csv scores.csv
check "the CSV has a header, six lines of cases and three of means" test "$(wc -l <scores.csv)" -eq 10
check "the columns of the CSV have the names of the JSON" grep -q '^case,label,Dice,IoU,.*,HD95,ASSD,MASD,NSD$' scores.csv
check "perfect predictions have HD95, ASSD and MASD 0 and NSD 1" test "$(grep -c ',0,0,0,1$' scores.csv)" -eq 9
expect 2 'exists already' "$u3d" evaluate --prediction again --reference data --csv scores.csv
expect 0 'median case' "$u3d" evaluate --prediction again --reference data/labelsDense --picture cases.png
expect 2 'exists already' "$u3d" evaluate --prediction again --reference data --picture cases.png
check "cases.png is a PNG file" sh -c 'head -c 8 cases.png | od -An -tx1 | grep -q "89 50 4e 47"'
expect 0 'worst case p' "$u3d" evaluate --prediction p.nii.gz --reference data/labelsDense/phantom_001.nii.gz --image data/imagesTr/phantom_001.nii.gz --picture one.png
expect 2 'single case' "$u3d" evaluate --prediction again --reference data/labelsDense --image data/imagesTr/phantom_001.nii.gz --picture two.png
expect 2 'picture PNG' "$u3d" evaluate --prediction again --reference data --image data/imagesTr/phantom_001.nii.gz
expect 2 'tolerance' "$u3d" evaluate --prediction again --reference data --tolerance -1
expect 2 'no-surface' "$u3d" evaluate --prediction again --reference data --tolerance 1 --no-surface
expect 0 'foreground mean' "$u3d" evaluate --prediction again --reference data/labelsDense --no-surface
check "--no-surface prints no distances" sh -c '! grep -q HD95 out.txt'
expect 0 '3 of 3 references have unlabelled voxels' "$u3d" evaluate --prediction again --reference data --threads 1
expect 6 'nowhere' "$u3d" evaluate --prediction again --reference data --csv nowhere/scores.csv

# Sparse labels and the labels that were left out, and a picture.
expect 0 'kept' "$u3d" sparsify --label data/labelsDense --output sparse --rest rest --slices 2,1,1
expect 0 '' "$u3d" evaluate --prediction data/labelsDense --reference rest --unlabeled 255
expect 0 'out.png' "$u3d" picture --image data/imagesTr/phantom_001.nii.gz --label sparse/phantom_001.nii.gz --output out.png p.nii.gz
check "out.png is a PNG file" sh -c 'head -c 8 out.png | od -An -tx1 | grep -q "89 50 4e 47"'

# `u3d augment` writes the patches that the network sees. They must be reproducible, and training with them must not
# depend on the number of threads.
tiny="--set base=4 --set levels=2 --set patch=24x24x24"
expect 0 '3 patches of 24x24x24' "$u3d" augment --data data --out seen $tiny --set augment=paper --count 3
expect 0 '"deformed":.*true' "$u3d" augment --data data --out again2 $tiny --set augment=paper --count 3 --json
expect 2 'exists already' "$u3d" augment --data data --out seen $tiny
check "augment writes images, labels and a picture" test -s seen/003_image.nii.gz -a -s seen/003_label.nii.gz -a -s seen/augment.png
check "a second call gives the same patches" cmp seen/002_image.nii.gz again2/002_image.nii.gz
expect 0 'out2.png' "$u3d" picture --image seen/001_image.nii.gz --label seen/001_label.nii.gz --output out2.png
expect 0 'trained six' "$u3d" train --data data --out six --iterations 6 --threads 1 $small --set augment=nnunet --set p_elastic=1
expect 0 'trained seven' "$u3d" train --data data --out seven --iterations 6 --threads 2 $small --set augment=nnunet --set p_elastic=1
check "with augmentation, 1 and 2 threads give the same model" cmp six/model.safetensors seven/model.safetensors
expect 0 '"infer_s"' "$u3d" bench --net auto --data data --set base=4 --set levels=2 --set patch=16x16x16 --repeat 1 --json
expect 0 'parameters' "$u3d" info --model five --plan infer
finish
