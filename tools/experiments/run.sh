#!/usr/bin/env bash
# Repeats the experiments of the paper (Cicek et al. 2016, section 4) on any data. Runs whose results are in
# OUT/results.csv are not repeated, so an interrupted call can be continued.
#
# usage: tools/experiments/run.sh slices  IMAGE LABEL OUT   IoU against the number of annotated slices (paper, table 2)
#        tools/experiments/run.sh folds   IMAGE LABEL OUT   cross-validation over the slices of a volume (table 1)
#        tools/experiments/run.sh volumes DATA OUT          training on some volumes, testing on the others (table 3)
#
# LABEL and DATA have dense labels. Only the labels of evenly spaced slices are used for training. Predictions are
# scored
#   - in slices:  on the voxels that no setting of SLICES annotates,
#   - in folds:   on the annotated slices of the left-out fold,
#   - in volumes: on all voxels of the left-out volumes.
#
# Results:
#   OUT/results.csv    a line per run, test set and label
#   OUT/table.md       mean and standard deviation over seeds of the foreground IoU, laid out like the tables of the
#                      paper; also as table.csv
#   OUT/labels.md      the same for each label
#   OUT/report.html    table.csv with a chart, slices with annotation, predictions and truth, and one run of each
#                      network with its curves and settings; also as report.pdf if Chromium or Chrome is installed
#   OUT/log            the output of training and prediction
#
# environment:
#   NETS="paper paper-bn paper2d auto"   networks; settings are added as in paper-bn+base=8+lr=0.1
#   SEEDS="1 2 3"  TIME=10m              TIME is per run
#   SLICES="1,1,1 2,2,1 3,3,2 5,5,3"     numbers of slices across x, y, z; folds and volumes use only the last
#   FOLDS=3                              number of folds
#   VOLUMES="2 5 20"                     for volumes: instead of folds, train on this many volumes, and test on the
#                                        volumes on which none of these runs is trained
#   BACKGROUND=1                         the label of the background in the label files (default: 0)
#   SPARSIFY="--missing z=30-32"         more options of `u3d sparsify`, here for planes whose labels are wrong
#   TRAIN="--memory 4G"                  more options of `u3d train`
#   METRIC=IoU                           metric of the tables: IoU or Dice
#   U3D=build/tools/u3d                  the program
#   PYTHON=python3                       a Python with torch, for NETS="... torch" (slices only); options are added as
#                                        in torch+base=8, see peer_torch.py
# NETS and SEEDS may grow from call to call. Another TIME, SLICES, FOLDS, VOLUMES, SPARSIFY, TRAIN or BACKGROUND needs another OUT.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "$0")/../.." && pwd)
usage() { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
u3d=${U3D:-$here/build/tools/u3d}
nets=${NETS:-paper paper-bn paper2d auto}
seeds=${SEEDS:-1 2 3}
time=${TIME:-10m}
slices=${SLICES:-1,1,1 2,2,1 3,3,2 5,5,3}
most=${slices##* }
folds=${FOLDS:-3}
volumes=${VOLUMES:-}
sparsify=${SPARSIFY:-}
train=${TRAIN:-}
background=${BACKGROUND:+--background $BACKGROUND}
metric=${METRIC:-IoU}
python=${PYTHON:-python3}

# net_options NAME+KEY=VALUE+...: prints the options of u3d train for this network. The 2D network learns from the
# slices of its plane only, as in the paper, not from the lines where slices of other planes cross them.
net_options() {
  local name=${1%%+*}
  local more=${1#"$name"}
  [ "$name" != paper2d ] || name="$name --set plane_labels=slices"
  echo "--net $name${more//+/ --set }"
}

# start NAME: says which run begins
running=
start() {
  running=$1
  echo "$1 ..."
}

# attempt COMMAND ...: runs a command with its output in OUT/log. A run that fails is noted and left out; the next call
# tries it again.
failed=()
attempt() {
  local code=0
  "$@" >>"$out/log" || code=$?
  [ $code -ne 130 ] || exit 130
  [ $code -eq 0 ] || failed+=("$running (exit code $code)")
  return $code
}

# done_already TEST NET SEED: whether the results contain this run
done_already() {
  awk -F, -v test="$1" -v net="$2" -v seed="$3" \
    '$1 == test && $3 == net && $4 == seed && $5 == "foreground" { found = 1 } END { exit !found }' "$out/results.csv"
}

# append: adds the rows on stdin to the results, all at once, so that an interruption leaves no part of them
append() {
  cat >"$out/new.csv"
  cat "$out/new.csv" >>"$out/results.csv"
  rm "$out/new.csv"
}

# keep TEST PERCENT NET SEED CSV: adds IoU and Dice of each label and of the foreground, from the means that evaluate
# wrote. A field is empty if a label has no mean.
keep() {
  awk -F, -v row="$1,$2,$3,$4" '
    function number(v) { return v == "" ? "" : sprintf("%.4f", v) }
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    $1 == "mean" { print row "," $2 "," number($at["IoU"]) "," number($at["Dice"]) }
    $1 == "foreground_mean" { print row ",foreground," number($at["IoU"]) "," number($at["Dice"]) }' "$5" | append
}

# score PREDICTION TEST PERCENT NET SEED: evaluates a prediction and adds its rows to the results
score() {
  "$u3d" --quiet evaluate --prediction "$1" --reference "$out/reference.nii.gz" --unlabeled 255 $background --no-surface \
    --csv "$out/scores.csv" --force >/dev/null
  keep "$2" "$3" "$4" "$5" "$out/scores.csv"
}

# keep_slices LABELS SLICES OUTPUT [OPTION ...]: writes sparse labels and prints the percentage of voxels that are kept
keep_slices() {
  local from=$1 which=$2 to=$3
  shift 3
  "$u3d" --quiet sparsify --label "$from" --slices "$which" --output "$to" --force "$@" | sed 's/kept \([0-9.]*\).*/\1/'
}

# annotate SLICES NAME [OPTION ...]: does the same for the single volume
annotate() {
  local which=$1 name=$2
  shift 2
  keep_slices "$label" "$which" "$out/$name.nii.gz" $sparsify "$@"
}

# segment NET SEED ANNOTATION RUN: trains on the annotated slices and predicts the volume
segment() {
  case $1 in
    torch*)
      mkdir -p "$4"
      attempt "$python" "$here/tools/experiments/peer_torch.py" "$image" "$3" "$4/prediction.nii.gz" --time "$time" --seed "$2" \
        $(sed 's/^torch//; s/+/ --/g' <<<"$1")
      ;;
    *)
      if [ -e "$4/model.safetensors" ]; then
        : # an earlier call ended between training and the scores
      elif [ -e "$4/checkpoint.safetensors" ]; then
        attempt "$u3d" --quiet train --resume --out "$4" || return
      else
        attempt "$u3d" --quiet train --image "$image" --label "$3" --unlabeled 255 $(net_options "$1") --seed "$2" --time "$time" \
          --validate-every 0 --out "$4" --force $background $train || return
      fi
      attempt "$u3d" --quiet predict --model "$4" --input "$image" --output "$4/prediction.nii.gz" --force
      ;;
  esac
}

slices_experiment() {
  local which percent net seed run
  annotate "${slices// /+}" union --rest "$out/reference.nii.gz" >/dev/null # the voxels that no setting annotates
  for which in $slices; do
    percent=$(annotate "$which" "annotation_${which//,/_}" --copy "$out/copy_${which//,/_}.nii.gz")
    done_already "${which//,/ }" copy 0 || score "$out/copy_${which//,/_}.nii.gz" "${which//,/ }" "$percent" copy 0
    for net in $nets; do
      for seed in $seeds; do
        done_already "${which//,/ }" "$net" "$seed" && continue
        run=$out/run_${which//,/_}_${net}_$seed
        start "$which slices, $net, seed $seed"
        segment "$net" "$seed" "$out/annotation_${which//,/_}.nii.gz" "$run" || continue
        score "$run/prediction.nii.gz" "${which//,/ }" "$percent" "$net" "$seed"
      done
    done
  done
}

# fold_rows TESTS PERCENT NET SEED CROSSVAL: adds the rows of a cross-validation, from the columns fold, cases, label,
# Dice and IoU of its summary.csv
fold_rows() {
  awk -F, -v tests="$1" -v tail="$2,$3,$4" '
    function number(v) { return v == "" ? "" : sprintf("%.4f", v) }
    BEGIN { split(tests, test, ",") }
    NR > 1 { print test[$1 + 1] "," tail "," $3 "," number($5) "," number($4) }' "$5/summary.csv" | append
}

# crossval TESTS PERCENT OPTION ...: runs a cross-validation for every network and seed; TESTS names the folds
crossval() {
  local tests=$1 percent=$2 net seed
  shift 2
  for net in $nets; do
    for seed in $seeds; do
      done_already "${tests##*,}" "$net" "$seed" && continue
      start "$net, seed $seed"
      attempt "$u3d" --quiet crossval "$@" --unlabeled 255 $(net_options "$net") --seed "$seed" --time "$time" --validate-every 0 \
        --out "$out/cv_${net}_$seed" $background $train || continue
      fold_rows "$tests" "$percent" "$net" "$seed" "$out/cv_${net}_$seed"
    done
  done
}

fold_names() { seq -s, -f "fold %g" 0 $((folds - 1)); }

folds_experiment() {
  local percent
  percent=$(annotate "$most" annotation)
  crossval "$(fold_names)" "$percent" --image "$image" --label "$out/annotation.nii.gz" --folds "$folds"
}

# Writes OUT/split.json. With VOLUMES it has a fold per number of training volumes, which are chosen evenly from the
# sorted folder; all folds are tested on the volumes that the largest number leaves. Otherwise it has FOLDS folds.
volumes_split() {
  ls "$data/$labels" | sed -n 's/\.nii\(\.gz\)\?$//p' | awk -v counts="$volumes" -v folds="$folds" '
    function listed(text, item) { return text (text == "" ? "" : ", ") "\"" item "\"" }
    function fold(train, test) { printf "%s{\"train\": [%s], \"val\": [%s]}", printed++ ? ",\n " : "[", train, test }
    { name[n++] = $0 }
    END {
      wanted = split(counts, count, " ")
      for (f = 1; f <= wanted; f++) if (count[f] > most) most = count[f]
      if (most >= n || folds > n) { print n " volumes are too few" >"/dev/stderr"; exit 2 }
      for (i = 0; i < most; i++) { at = int(i * n / most); chosen[i] = name[at]; taken[at] = 1 }
      for (at = 0; at < n; at++) if (!(at in taken)) rest = listed(rest, name[at])
      for (f = 1; f <= wanted; f++) {
        train = ""
        for (i = 0; i < count[f]; i++) train = listed(train, chosen[int(i * most / count[f])])
        fold(train, rest)
      }
      for (f = 0; f < folds && !wanted; f++) {
        train = test = ""
        for (at = 0; at < n; at++) if (at % folds == f) test = listed(test, name[at]); else train = listed(train, name[at])
        fold(train, test)
      }
      print "]"
    }' >"$out/split.json"
}

volumes_experiment() {
  local percent tests
  tests=$(fold_names)
  mkdir -p "$out/data"
  ln -sfn "$data/$images" "$out/data/$images"
  [ ! -e "$data/dataset.json" ] || cp "$data/dataset.json" "$out/data/"
  percent=$(keep_slices "$data/$labels" "$most" "$out/data/$labels")
  volumes_split
  [ -z "$volumes" ] || tests=$(printf "%s volumes," $volumes)
  crossval "${tests%,}" "$percent" --data "$out/data" --reference "$data/$labels" --split "$out/split.json"
}

# metric_column: prints the column of results.csv that has the metric
metric_column() { [ "$metric" = Dice ] && echo 7 || echo 6; }

# table NAME LABELS: writes NAME.csv and NAME.md with a row per test (and per label, if LABELS is "each") and a column
# per network. Cells are mean and standard deviation over seeds. Below folds, a last row has their average.
table() {
  awk -F, -v m="$(metric_column)" -v metric="$metric" -v labels="$2" '
    function spread(n, sum, squares) { return n > 1 ? sqrt((squares - sum * sum / n > 0 ? squares - sum * sum / n : 0) / (n - 1)) : 0 }
    NR > 1 && ($5 == "foreground") == (labels == "foreground") && $m != "" {
      if (labels == "each") $1 = $1 ": label " $5
      if (!($1 in row)) { row[$1] = ++rows; test[rows] = $1; percent[rows] = $2 }
      if (!($3 in column)) { column[$3] = ++columns; net[columns] = $3 }
      n[$1, $3]++; sum[$1, $3] += $m; squares[$1, $3] += $m * $m
    }
    END {
      printf "%s,annotated", metric; for (c = 1; c <= columns; c++) printf ",%s", net[c]
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
      printf "\n"
      if (test[1] !~ /^fold/ || labels == "each") exit
      printf "average,"; for (c = 1; c <= columns; c++) printf ",%.3f", known[c] ? total[c] / known[c] : 0
      printf "\n"
    }' "$out/results.csv" >"$out/$1.csv"
  sed 's/,/ | /g; s/.*/| & |/' "$out/$1.csv" | sed '1{p;s/[^|]\+/---/g}' >"$out/$1.md"
}

# Writes chart.csv, the metric over the annotated share of voxels, the number of training volumes or the folds, and
# prints the argument of --chart.
chart() {
  local x=fold
  [ -z "$volumes" ] || x=volumes
  [ "$experiment" != slices ] || x=annotated
  awk -F, -v x=$x -v m="$(metric_column)" '
    NR > 1 && $5 == "foreground" && $m != "" {
      at = x == "fold" ? substr($1, 6) : x == "volumes" ? $1 + 0 : $2
      n[at "," $3]++; sum[at "," $3] += $m
    }
    END { for (k in n) { split(k, part, ","); printf "%s,%.4f,%s\n", part[1], sum[k] / n[k], part[2] } }' "$out/results.csv" |
    sort -t, -k3,3 -k1,1n | sed "1i $x,$metric,net" >"$out/chart.csv"
  echo "$out/chart.csv:$x,$metric,net"
}

# prediction NET: prints the path of the network's prediction with the first seed; among several volumes, that of $case
prediction() {
  local seed=${seeds%% *}
  case $experiment,$1 in
    slices,copy) echo "$out/copy_${most//,/_}.nii.gz" ;;
    slices,*) echo "$out/run_${most//,/_}_${1}_$seed/prediction.nii.gz" ;;
    *) case_file "$out/cv_${1}_$seed/$shown/predictions" "$case" ;;
  esac
}

# figure IMAGE ANNOTATION TRUTH: draws these and the predictions of the networks side by side, and prints the caption
figure() {
  local net file columns="image, annotation"
  local files=()
  for net in copy $nets; do
    file=$(prediction "$net")
    [ -e "$file" ] && [ ${#files[@]} -lt 6 ] || continue
    files+=("$file")
    columns="$columns, $net"
  done
  "$u3d" --quiet picture --image "$1" --label "$2" --unlabeled 255 --output "$out/picture.png" --force "${files[@]}" "$3" >/dev/null
  echo "$columns, truth"
}

# case_file FOLDER CASE: prints the path of the case's volume, or nothing
case_file() {
  local file
  for file in "$1/$2.nii.gz" "$1/$2.nii" "$1/${2}_0000.nii.gz" "$1/${2}_0000.nii"; do
    [ ! -e "$file" ] || { echo "$file"; return; }
  done
}

report() {
  local picture runs net run annotation browser case= shown=fold_0
  [ -z "$volumes" ] || shown=fold_$(($(wc -w <<<"$volumes") - 1))
  if [ "$experiment" = volumes ]; then
    case=$(sed -n 's/.*"val": \["\([^"]*\)".*/\1/p;T;q' "$out/split.json")
    picture=$(figure "$(case_file "$data/$images" "$case")" "$(case_file "$out/data/$labels" "$case")" "$(case_file "$data/$labels" "$case")")
  else
    annotation=$out/annotation.nii.gz
    [ "$experiment" = folds ] || annotation=$out/annotation_${most//,/_}.nii.gz
    picture=$(figure "$image" "$annotation" "$label")
  fi
  runs=()
  for net in $nets; do
    for run in "$out/run_${most//,/_}_${net}_${seeds%% *}" "$out/cv_${net}_${seeds%% *}/$shown/run"; do
      [ ! -e "$run/model.safetensors" ] || runs+=("$run")
    done
  done
  "$u3d" --quiet report --out "$out/report.html" --force --title "$title" --csv "$out/table.csv" --chart "$(chart)" \
    --picture "$out/picture.png" --caption "$picture" "${runs[@]}" >/dev/null
  browser=$(command -v chromium || command -v google-chrome || command -v chrome) || return 0
  "$browser" --headless --no-sandbox --disable-gpu --no-pdf-header-footer --print-to-pdf="$out/report.pdf" "file://$out/report.html" 2>/dev/null || true
}

refuse() { echo "$1" >&2; exit 2; }

[ $# -ge 3 ] || usage
experiment=$1
case $nets in *[,/]*) refuse "NETS: found '$nets'; a name cannot contain a comma or a slash" ;; esac
case $experiment,$nets in slices,*) ;; *torch*) refuse "NETS: torch is possible only in the experiment slices" ;; esac
case $metric in IoU | Dice) ;; *) refuse "METRIC: found $metric, expected IoU or Dice" ;; esac
case $experiment in
  slices | folds)
    [ $# -eq 4 ] || usage
    image=$(realpath -e "$2") label=$(realpath -e "$3") out=$4 volumes=
    title="$experiment: $(basename "$image")"
    ;;
  volumes)
    [ $# -eq 3 ] || usage
    data=$(realpath -e "$2") out=$3
    [ -z "$sparsify" ] || refuse "SPARSIFY is for a single volume, because the labels of a folder are scored unchanged"
    title="volumes: $(basename "$data")"
    labels=labels images=images
    [ ! -d "$data/labelsTr" ] || labels=labelsTr images=imagesTr
    ;;
  *) usage ;;
esac
mkdir -p "$out"
out=$(realpath "$out")
settings="$experiment ${data:-$image $label} TIME=$time SLICES=$slices FOLDS=$folds VOLUMES=$volumes SPARSIFY=$sparsify TRAIN=$train${background:+ $background}"
[ -e "$out/settings" ] || echo "$settings" >"$out/settings"
[ "$settings" = "$(cat "$out/settings")" ] ||
  refuse "$out contains an experiment with other settings: $(cat "$out/settings"); now: $settings; choose another OUT"
exec 9>"$out/lock"
flock -n 9 || refuse "$out is in use by another call"
[ -e "$out/results.csv" ] || echo "test,annotated_percent,net,seed,label,IoU,Dice" >"$out/results.csv"
"${experiment}_experiment"
table table foreground
table labels each
report
cat "$out/table.md"
[ ${#failed[@]} -eq 0 ] || {
  printf 'failed: %s\n' "${failed[@]}" >&2
  echo "${#failed[@]} runs failed; their reasons are above, and the same call tries them again" >&2
  exit 3
}
