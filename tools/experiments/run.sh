#!/usr/bin/env bash
# The paper's experiments (Cicek et al. 2016, section 4) on any data. What OUT/results.csv has is not run again, so that an
# interrupted call goes on.
#
# usage: tools/experiments/run.sh slices  IMAGE LABEL OUT    IoU against the number of annotated slices (the paper's table 2)
#        tools/experiments/run.sh folds   IMAGE LABEL OUT    cross-validation over the annotated slices of a volume (table 1)
#        tools/experiments/run.sh volumes DATA OUT           training on some volumes, testing on the others (table 3)
#
# LABEL and DATA have dense labels; those of evenly spaced slices are trained on. What no setting trains on scores (slices), or
# the left-out annotated slices (folds), or the whole left-out volumes (volumes). Results:
#   OUT/results.csv    a line per run, test set and label
#   OUT/table.md       mean and standard deviation over seeds of the foreground's IoU, as the paper's tables are laid out (table.csv)
#   OUT/report.html    the same with a chart, slices with annotation, predictions and truth, and a run of each network with its
#                      curves and settings; also as report.pdf where chromium is installed
#
# environment: NETS="paper paper-bn paper2d auto"  SEEDS="1 2 3"  TIME=10m per run  FOLDS=3
#              SLICES="1,1,1 2,2,1 3,3,2 5,5,3": across x, y, z; folds and volumes take the last
#              TRAIN="--memory 4G": further options of training      U3D=build/tools/u3d
# NETS and SEEDS may grow from call to call; another TIME, SLICES, FOLDS or TRAIN needs another OUT.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
usage() { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
u3d=${U3D:-$here/build/tools/u3d}
nets=${NETS:-paper paper-bn paper2d auto}
seeds=${SEEDS:-1 2 3}
time=${TIME:-10m}
slices=${SLICES:-1,1,1 2,2,1 3,3,2 5,5,3}
most=${slices##* }
folds=${FOLDS:-3}
train=${TRAIN:-}

# attempt COMMAND ...: a run that fails is told and left out; the next call tries it again.
failed=0
attempt() {
  local code=0
  "$@" >/dev/null || code=$?
  [ $code -ne 130 ] || exit 130
  [ $code -eq 0 ] || failed=$((failed + 1))
  return $code
}

# done_already TEST NET SEED: the results have this run.
done_already() { grep -q "^$1,[^,]*,$2,$3,foreground," "$out/results.csv"; }

# append: whole blocks of rows alone get into the results.
append() {
  cat >"$out/new.csv"
  cat "$out/new.csv" >>"$out/results.csv"
  rm "$out/new.csv"
}

# keep TEST PERCENT NET SEED CSV: IoU and Dice per label, and of the foreground, out of evaluate's means; empty where nothing
# was there to find.
keep() {
  awk -F, -v row="$1,$2,$3,$4" '
    function number(v) { return v == "" ? "" : sprintf("%.4f", v) }
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    $1 == "mean" { print row "," $2 "," number($at["IoU"]) "," number($at["Dice"]) }
    $1 == "foreground_mean" { print row ",foreground," number($at["IoU"]) "," number($at["Dice"]) }' "$5" | append
}

# score PREDICTION TEST PERCENT NET SEED
score() {
  "$u3d" --quiet evaluate --prediction "$1" --reference "$out/reference.nii.gz" --unlabeled 255 --no-surface --csv "$out/scores.csv" \
    --force >/dev/null
  keep "$2" "$3" "$4" "$5" "$out/scores.csv"
}

# annotate SLICES NAME [OPTION ...]: the share of voxels kept, in percent.
annotate() {
  local which=$1 name=$2
  shift 2
  "$u3d" --quiet sparsify --label "$label" --slices "$which" --output "$out/$name.nii.gz" --force "$@" | sed 's/kept \([0-9.]*\).*/\1/'
}

slices_experiment() {
  local which percent net seed run
  annotate "${slices// /+}" union --rest "$out/reference.nii.gz" >/dev/null # tested where no setting has a slice
  for which in $slices; do
    percent=$(annotate "$which" "annotation_${which//,/_}" --copy "$out/copy_${which//,/_}.nii.gz")
    done_already "${which//,/ }" copy 0 || score "$out/copy_${which//,/_}.nii.gz" "${which//,/ }" "$percent" copy 0
    for net in $nets; do
      for seed in $seeds; do
        done_already "${which//,/ }" "$net" "$seed" && continue
        run=$out/run_${which//,/_}_${net}_$seed
        echo "$which slices, $net, seed $seed ..."
        attempt "$u3d" --quiet train --image "$image" --label "$out/annotation_${which//,/_}.nii.gz" --unlabeled 255 --net "$net" --seed "$seed" \
          --time "$time" --validate-every 0 --out "$run" --force $train &&
          attempt "$u3d" --quiet predict --model "$run" --input "$image" --output "$run/prediction.nii.gz" --force || continue
        score "$run/prediction.nii.gz" "${which//,/ }" "$percent" "$net" "$seed"
      done
    done
  done
}

# fold_rows PERCENT NET SEED: out of a cross-validation's summary.csv, columns fold, cases, label, Dice, IoU.
fold_rows() {
  awk -F, -v tail="$1,$2,$3" '
    function number(v) { return v == "" ? "" : sprintf("%.4f", v) }
    NR > 1 { print "fold " $1 "," tail "," $3 "," number($5) "," number($4) }' "$4/summary.csv" | append
}

# crossval PERCENT OPTION ...: every network and seed.
crossval() {
  local percent=$1 net seed
  shift
  for net in $nets; do
    for seed in $seeds; do
      done_already "fold $((folds - 1))" "$net" "$seed" && continue
      echo "$net, seed $seed ..."
      attempt "$u3d" --quiet crossval "$@" --unlabeled 255 --folds "$folds" --net "$net" --seed "$seed" --time "$time" --validate-every 0 \
        --out "$out/cv_${net}_$seed" $train || continue
      fold_rows "$percent" "$net" "$seed" "$out/cv_${net}_$seed"
    done
  done
}

folds_experiment() { crossval "$(annotate "$most" annotation)" --image "$image" --label "$out/annotation.nii.gz"; }

volumes_experiment() {
  local percent
  mkdir -p "$out/data"
  ln -sfn "$data/$images" "$out/data/$images"
  [ ! -e "$data/dataset.json" ] || cp "$data/dataset.json" "$out/data/"
  percent=$("$u3d" --quiet sparsify --label "$data/$labels" --slices "$most" --output "$out/data/$labels" --force | sed 's/kept \([0-9.]*\).*/\1/')
  crossval "$percent" --data "$out/data" --reference "$data/$labels"
}

# A row per test, a column per network, mean and spread over seeds; below them the mean of all rows.
table() {
  awk -F, '
    function spread(n, sum, squares) { return n > 1 ? sqrt((squares - sum * sum / n > 0 ? squares - sum * sum / n : 0) / (n - 1)) : 0 }
    NR > 1 && $5 == "foreground" && $6 != "" {
      if (!($1 in row)) { row[$1] = ++rows; test[rows] = $1; percent[rows] = $2 }
      if (!($3 in column)) { column[$3] = ++columns; net[columns] = $3 }
      n[$1, $3]++; sum[$1, $3] += $6; squares[$1, $3] += $6 * $6
    }
    END {
      printf "test,annotated"; for (c = 1; c <= columns; c++) printf ",%s", net[c]
      for (r = 1; r <= rows; r++) {
        printf "\n%s,%s %%", test[r], percent[r]
        for (c = 1; c <= columns; c++) {
          k = test[r] SUBSEP net[c]
          printf ","
          if (!n[k]) continue
          printf "%.3f", sum[k] / n[k]; if (n[k] > 1) printf " ± %.3f", spread(n[k], sum[k], squares[k])
          total[c] += sum[k] / n[k]; known[c]++
        }
      }
      printf "\naverage,"; for (c = 1; c <= columns; c++) printf ",%.3f", known[c] ? total[c] / known[c] : 0
      printf "\n"
    }' "$out/results.csv" >"$out/table.csv"
  sed 's/,/ | /g; s/.*/| & |/' "$out/table.csv" | sed '1{p;s/[^|]\+/---/g}' >"$out/table.md"
}

# IoU over the annotated share of voxels, or over the folds.
chart() {
  local x=fold
  [ "$experiment" = slices ] && x=annotated
  awk -F, -v x=$x '
    NR > 1 && $5 == "foreground" && $6 != "" { at = x == "fold" ? substr($1, 6) : $2; n[at "," $3]++; sum[at "," $3] += $6 }
    END { for (k in n) { split(k, part, ","); printf "%s,%.4f,%s\n", part[1], sum[k] / n[k], part[2] } }' "$out/results.csv" |
    sort -t, -k3,3 -k1,1n | sed "1i $x,IoU,net" >"$out/chart.csv"
  echo "$out/chart.csv:$x,IoU,net"
}

# figure IMAGE ANNOTATION TRUTH: beside each other, with what every network made of it (first seed). Prints the caption.
figure() {
  local net prediction columns="image, annotation"
  local files=()
  for net in copy $nets; do
    case $experiment,$net in
      slices,copy) prediction=$out/copy_${most//,/_}.nii.gz ;;
      slices,*) prediction=$out/run_${most//,/_}_${net}_${seeds%% *}/prediction.nii.gz ;;
      *) prediction=$(ls "$out/cv_${net}_${seeds%% *}/fold_0/predictions/"*.nii* 2>/dev/null | head -n 1) ;;
    esac
    [ -e "$prediction" ] && [ ${#files[@]} -lt 6 ] || continue
    files+=("$prediction")
    columns="$columns, $net"
  done
  "$u3d" --quiet picture --image "$1" --label "$2" --output "$out/picture.png" --force "${files[@]}" "$3" >/dev/null
  echo "$columns, truth"
}

# case_file FOLDER CASE: its volume.
case_file() {
  local file
  for file in "$1/$2.nii.gz" "$1/$2.nii" "$1/${2}_0000.nii.gz" "$1/${2}_0000.nii"; do
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
}

report() {
  local picture runs net run case annotation browser
  if [ "$experiment" = volumes ]; then
    case=$(basename "$(ls "$out"/cv_*/fold_0/predictions/*.nii* | head -n 1)")
    case=${case%.gz}
    case=${case%.nii}
    picture=$(figure "$(case_file "$data/$images" "$case")" "$(case_file "$out/data/$labels" "$case")" "$(case_file "$data/$labels" "$case")")
  else
    annotation=$out/annotation.nii.gz
    [ "$experiment" = folds ] || annotation=$out/annotation_${most//,/_}.nii.gz
    picture=$(figure "$image" "$annotation" "$label")
  fi
  runs=()
  for net in $nets; do
    for run in "$out/run_${most//,/_}_${net}_${seeds%% *}" "$out/cv_${net}_${seeds%% *}/fold_0/run"; do
      [ ! -e "$run/model.safetensors" ] || runs+=("$run")
    done
  done
  "$u3d" --quiet report --out "$out/report.html" --force --title "$title" --csv "$out/table.csv" --chart "$(chart)" \
    --picture "$out/picture.png" --caption "$picture" "${runs[@]}" >/dev/null
  browser=$(command -v chromium google-chrome chrome | head -n 1) || return 0
  "$browser" --headless --no-sandbox --disable-gpu --no-pdf-header-footer --print-to-pdf="$out/report.pdf" "file://$out/report.html" 2>/dev/null || true
}

[ $# -ge 3 ] || usage
experiment=$1
case $experiment in
  slices | folds)
    [ $# -eq 4 ] || usage
    image=$(realpath "$2") label=$(realpath "$3") out=$4
    title="$experiment: $(basename "$image")"
    ;;
  volumes)
    [ $# -eq 3 ] || usage
    data=$(realpath "$2") out=$3
    title="volumes: $(basename "$data")"
    labels=labels images=images
    [ ! -d "$data/labelsTr" ] || labels=labelsTr images=imagesTr
    ;;
  *) usage ;;
esac
mkdir -p "$out"
out=$(realpath "$out")
settings="$experiment ${data:-$image $label} TIME=$time SLICES=$slices FOLDS=$folds TRAIN=$train"
[ -e "$out/settings" ] || echo "$settings" >"$out/settings"
[ "$settings" = "$(cat "$out/settings")" ] ||
  { echo "$out holds an experiment with other settings: $(cat "$out/settings"); now: $settings; give another OUT" >&2; exit 2; }
[ -e "$out/results.csv" ] || echo "test,annotated_percent,net,seed,label,IoU,Dice" >"$out/results.csv"
"${experiment}_experiment"
table
report
cat "$out/table.md"
[ "$failed" -eq 0 ] || { echo "$failed runs failed; the same call tries them again" >&2; exit 1; }
