#!/usr/bin/env bash
# Repeats the accuracy measurements of net/RESULTS.md: trains, predicts and scores, and writes one row of OUT/scores.csv
# per training run. Rows that exist already are not run again, so an interrupted call can be continued.
#
# usage: tools/accuracy.sh DATA OUT [TABLE ...]     default: curve folds sparse
#   DATA    a data set with splits_final.json: Task04 of the Medical Segmentation Decathlon, 208 cases
#   curve   fold 0, trained for 5, 10, 20 and 60 minutes
#   folds   four folds, trained for 20 minutes each
#   sparse  fold 0, trained for 20 minutes with 1, 2, 3 and 5 annotated slices per orientation in each training volume
#   recipe  fold 0, trained for 10 minutes, each time without one part of the recipe; a fifth of the training cases is
#           scored instead of the validation cases, so that settings can be chosen by this table
# environment: U3D=build/tools/u3d  SEED=1  TIME: replaces 10 and 20 minutes  TRAIN="--threads 1": more training options
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 2 ] || { sed -n '5,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
data=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
shift 2
u3d=${U3D:-$here/build/tools/u3d}
seed=${SEED:-1}
scores=$out/scores.csv
[ -e "$scores" ] || echo "run,fold,time,seed,iterations,Dice,Dice_tta,HD95,NSD,settings" >"$scores"

# score PREDICTION: prints the foreground means of Dice, HD95 and NSD
score() {
  "$u3d" --quiet evaluate --prediction "$1" --reference "$data" --csv "$1.csv" --force >/dev/null 2>"$1.log" || return
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    $1 == "foreground_mean" { printf "%.4f,%.3f,%.4f", $at["Dice"], $at["HD95"], $at["NSD"] }' "$1.csv"
}

# row NAME SPLIT FOLD TIME DATA [OPTION ...]: trains, predicts, scores and writes one row, unless it exists
row() {
  local name=$1 split=$2 fold=$3 time=$4 from=$5 run=$out/$1_$4_seed$seed way plain mirrored
  shift 5
  grep -q "^$name,$fold,$time,$seed," "$scores" && { echo "$name, $time, seed $seed: already done"; return; }
  echo "$name: $time ..."
  "$u3d" train --data "$from" --split "$split" --fold "$fold" --net auto --time "$time" --seed "$seed" --out "$run" \
    --json --force ${TRAIN:-} "$@" >"$run.json" 2>"$run.log" || { tail -n 3 "$run.log" >&2; exit 1; }
  for way in "" --tta; do
    "$u3d" --quiet predict --model "$run" --data "$data" --split "$split" --fold "$fold" --output "$run/predicted$way" --force $way >/dev/null
  done
  plain=$(score "$run/predicted")
  mirrored=$(score "$run/predicted--tta")
  echo "$name,$fold,$time,$seed,$(sed -n 's/.*"iterations":[^0-9]*\([0-9]*\).*/\1/p' "$run.json"),${plain%%,*},${mirrored%%,*},${plain#*,},$*" >>"$scores"
  tail -n 1 "$scores"
}

# Writes a split of the training cases of fold 0: every fifth case is scored, and the others are trained on.
inner_split() {
  tr -d '\n' <"$data/splits_final.json" | sed 's/^[^"]*"train": *\[\([^]]*\)\].*/\1/' | tr -d ' ' | tr ',' '\n' | sort |
    awk 'NR % 5 == 1 { val = val comma[1] $0; comma[1] = "," ; next } { train = train comma[0] $0; comma[0] = "," }
      END { printf "[{\"train\": [%s], \"val\": [%s]}]\n", train, val }' >"$out/inner_split.json"
}

# sparse_data N: makes a data set with N annotated slices per orientation in each volume; all other voxels are 255.
sparse_data() {
  local to=$out/data$1
  [ -e "$to/dataset.json" ] && return
  mkdir -p "$to"
  ln -sfn "$data/imagesTr" "$to/imagesTr"
  "$u3d" --quiet sparsify --label "$data/labelsTr" --slices "$1,$1,$1" --output "$to/labelsTr" --force >/dev/null
  cp "$data/dataset.json" "$to/"
}

splits=$data/splits_final.json
for table in "${@:-curve folds sparse}"; do
  for t in $table; do
    case $t in
      curve) for time in 5m 10m 20m 60m; do row fold0 "$splits" 0 $time "$data"; done ;;
      folds) for fold in 0 1 2 3; do row fold$fold "$splits" $fold "${TIME:-20m}" "$data"; done ;;
      sparse)
        for n in 1 2 3 5; do
          sparse_data $n
          row "sparse$n" "$splits" 0 "${TIME:-20m}" "$out/data$n" --unlabeled 255
        done
        ;;
      recipe)
        inner_split
        row recipe "$out/inner_split.json" 0 "${TIME:-10m}" "$data"
        while read -r name settings; do
          row "recipe_$name" "$out/inner_split.json" 0 "${TIME:-10m}" "$data" $(printf -- '--set %s ' $settings)
        done <<-'END'
	no_deep_supervision deep_supervision=off
	flips_alone augment=flips
	paper_augmentation augment=paper
	no_augmentation augment=off
	cross_entropy_alone loss=ce
	no_average average=0
	sgd optimizer=sgd lr=0.01 momentum=0.99
	END
        ;;
      *) echo "unknown table '$t'; expected curve, folds, sparse or recipe" >&2; exit 2 ;;
    esac
  done
done
