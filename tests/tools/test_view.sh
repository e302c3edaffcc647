# Tests of what is shown and scored: pictures of masks, which value means unlabelled, the image beside the labels, tables
# with quotes, and JSON for files whose names are not UTF-8.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=16x16x16 --set batch=1 --set mirror=none --memory 2G"

# Two volumes with sparse labels (255: nobody painted), in plain folders, so that only the run knows what 255 means.
expect 0 '2 volumes' "$u3d" phantom --out data --count 2 --size 24x24x20 --slices 3,3,3
mkdir -p study/images study/labels dense sparse
for i in 1 2; do
  cp data/imagesTr/phantom_00$i.nii.gz study/images/
  cp data/labelsDense/phantom_00$i.nii.gz dense/
  expect 0 'others are 255' "$u3d" sparsify --label dense/phantom_00$i.nii.gz --output sparse/phantom_00$i.nii.gz --slices 3,3,3
done
cp sparse/* study/labels/
expect 0 'trained run' "$u3d" train --data study --unlabeled 255 --out run --iterations 30 --validate-every 0 $small
expect 0 '' "$u3d" predict --model run --input study/images --output predictions

# Scores against a sparse reference: 255 is not a label, and u3d asks if nothing says so.
score() {
  "$u3d" evaluate --prediction predictions --reference sparse "$@"
}
mean() {
  sed -n 's/^foreground mean *\([0-9.]*\).*/\1/p' out.txt
}
expect 0 'foreground mean' score --unlabeled 255
known=$(mean)
check "255 has no row" test "$(grep -c '^mean *255' out.txt)" -eq 0
expect 2 'single slices, and no voxel of the prediction is 255.*--unlabeled 255, or --model.*--dense' score
expect 0 '^mean *255 ' score --dense
expect 0 'foreground mean' score --model run
check "the run says what is unlabelled: the same mean as with --unlabeled 255" test "$(mean)" = "$known"
expect 0 'foreground mean' score --model run/model.safetensors
check "so does the model" test "$(mean)" = "$known"
expect 2 'exclude each other' score --dense --unlabeled 255
expect 3 'none' score --model none
expect 0 '"unlabeled":.255' "$u3d" evaluate --prediction predictions --reference data --json

# The rest that was not painted: 255 is the smaller part.
expect 0 '' "$u3d" sparsify --label dense --output sparse --force --slices 3,3,3 --rest rest
expect 2 'of the voxels of the references are 255, and none of the predictions; .*--unlabeled 255, or --model' \
  "$u3d" evaluate --prediction predictions --reference rest
check "nothing is said about 0, which is not unlabelled" test "$(grep -c ' W ' err.txt)" -eq 0
expect 0 '' "$u3d" evaluate --prediction predictions --reference rest --model run
check "the run knows it" test "$(grep -c 'never predicted' err.txt)" -eq 0

# Dense references are not taken for sparse ones. 0 was unlabelled in training, but here it is background.
expect 0 'trained zero' "$u3d" train --data study --unlabeled 0 --out zero --iterations 2 --validate-every 0 $small
expect 0 '' "$u3d" evaluate --prediction dense --reference dense
check "dense references: not a word" test ! -s err.txt
expect 0 'W evaluate the model takes 0 for unlabelled, but in 2 of 2 cases .* counts as a label there' \
  "$u3d" evaluate --prediction predictions --reference dense --model zero
expect 0 '' "$u3d" evaluate --prediction predictions --reference dense --model run
check "the model's word changes nothing if the value does not occur" test ! -s err.txt

# A report knows it from its run, and shows the images that the run was trained on.
expect 0 'page.html' "$u3d" report --out page.html run --prediction predictions --reference sparse
check "the report has the mean without 255" grep -q "<td>foreground</td><td>$known" page.html
check "the caption says that the image is shown, and where left is" \
  grep -q '<figcaption>image, reference, prediction, outlines (reference white); radiological' page.html
expect 0 '' "$u3d" report --out bare.html --prediction predictions --reference sparse --unlabeled 255
check "without a run there is no image" grep -q '<figcaption>reference, prediction' bare.html
expect 2 'single slices' "$u3d" report --out none.html --prediction predictions --reference sparse
expect 2 'W report the runs took different values for unlabelled' \
  "$u3d" report --out none.html run zero --prediction predictions --reference sparse
check "no page was made" test ! -e none.html
expect 0 'W report the runs took different values' "$u3d" report --out two.html run zero --prediction predictions --reference dense
pair="--image study/images/phantom_001.nii.gz --label study/labels/phantom_001.nii.gz"
expect 0 'trained one' "$u3d" train $pair --unlabeled 255 --out one --iterations 2 --validate-every 0 $small
expect 0 '' "$u3d" report --out one.html one --prediction predictions/phantom_001.nii.gz --reference dense/phantom_001.nii.gz
check "the image of a single volume is shown" grep -q '<figcaption>image, reference' one.html
expect 0 'columns are image, reference' "$u3d" evaluate --prediction predictions --reference dense --model run --picture cases.png

# In a picture 255 is a label like any other, unless --unlabeled or the run says that it means unlabelled (test_picture has
# a mask of 0 and 255).
picture() {
  local output=$1
  shift
  "$u3d" picture --image study/images/phantom_001.nii.gz --label sparse/phantom_001.nii.gz --output "$output" "$@"
}
expect 0 'radiological: the patient' picture dimmed.png --unlabeled 255
expect 0 'known.png: 3 slices' picture known.png --model run
expect 0 'W picture .*single slices; 255 is drawn as a label; .*--unlabeled 255' picture drawn.png
check "the run says what 255 is" cmp dimmed.png known.png
check "255 is drawn if nothing says so" test "$(cksum <drawn.png)" != "$(cksum <dimmed.png)"

# An image that does not say where it lies in space is drawn where its labels lie (bytes 252 to 255: qform_code, sform_code).
for i in study/images sparse; do
  gunzip -c $i/phantom_001.nii.gz >bare_${i##*/}.nii
  head -c 4 /dev/zero | dd of=bare_${i##*/}.nii bs=1 seek=252 conv=notrunc 2>/dev/null
done
expect 0 'radiological' "$u3d" picture --image bare_images.nii --label sparse/phantom_001.nii.gz --output bare.png --unlabeled 255
check "the place comes from the labels" cmp dimmed.png bare.png
expect 0 'drawn as stored' "$u3d" picture --image bare_images.nii --label bare_sparse.nii --output stored.png
expect 0 'columns are image, .*radiological' "$u3d" evaluate --prediction predictions/phantom_001.nii.gz \
  --reference dense/phantom_001.nii.gz --image bare_images.nii --picture case.png

# report reads what evaluate writes, whatever the cases are called.
mkdir -p odd/predictions odd/references
name='a, "b" (left)'
cp predictions/phantom_001.nii.gz "odd/predictions/$name.nii.gz"
cp dense/phantom_001.nii.gz "odd/references/$name.nii.gz"
expect 0 '' "$u3d" evaluate --prediction odd/predictions --reference odd/references --csv odd.csv
expect 0 '' "$u3d" report --out odd.html --csv odd.csv --chart odd.csv:label,Dice,case
check "the name is one cell" grep -q '<td>a, &quot;b&quot; (left)</td><td>1</td>' odd.html
check "the chart has one line per case" grep -q 'a, &quot;b&quot; (left)</span>' odd.html
printf 'a,b\n1,"2\n' >open.csv
expect 3 'cell 2 of row 2 is never closed' "$u3d" report --out none.html --csv open.csv

# JSON is UTF-8, and a run in a folder with such a name can be resumed.
latin=$(printf 'ni\350re')
mkdir -p "$latin/images" "$latin/labels" odd/latin
cp study/images/phantom_001.nii.gz "$latin/images/$latin.nii.gz"
cp dense/phantom_001.nii.gz "$latin/labels/$latin.nii.gz"
utf8() {
  iconv -f UTF-8 -t UTF-16 "$1" >/dev/null
}
expect 0 '"run"' "$u3d" train --data "$latin" --dense --out "$latin/run" --iterations 2 --validate-every 0 $small --json
cp out.txt train.json
check "train --json is UTF-8" utf8 train.json
check "config.json is UTF-8" utf8 "$latin/run/config.json"
expect 0 '"run"' "$u3d" train --resume --out "$latin/run" --json
expect 0 '' "$u3d" predict --model "$latin/run" --input "$latin/images" --output "$latin/predictions" --json
cp out.txt predict.json
check "predict --json is UTF-8" utf8 predict.json
expect 0 '"volumes":.1' "$u3d" phantom --out "$latin/phantom" --count 1 --json
expect 0 '"share_kept":' "$u3d" sparsify --label "$latin/labels" --slices 2,2,2 --output "$latin/few" --json
cp out.txt sparsify.json
check "sparsify --json is UTF-8" utf8 sparsify.json
expect 0 '"convention":' "$u3d" picture --image "$latin/phantom/imagesTr/phantom_001.nii.gz" \
  --label "$latin/phantom/labelsDense/phantom_001.nii.gz" --output "$latin/picture.png" --json
expect 0 '"runs":.0' "$u3d" report --picture "$latin/picture.png" --out "$latin/page.html" --json
cp out.txt report.json
check "report --json is UTF-8" utf8 report.json
expect 0 '' "$u3d" evaluate --prediction "$latin/predictions" --reference "$latin/labels" --json
cp out.txt evaluate.json
check "evaluate --json is UTF-8" utf8 evaluate.json
expect 0 '' "$u3d" report --out latin.html --prediction "$latin/predictions" --reference "$latin/labels" --title "$latin"
check "the page is UTF-8" utf8 latin.html
expect 0 '' "$u3d" info --model "$latin/run" --json
cp out.txt info.json
check "info --json is UTF-8" utf8 info.json
finish
