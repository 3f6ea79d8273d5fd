#!/usr/bin/env bash
# Whether AutoAttack as `audit` runs it leaves as many images standing as pyautoattack's version `standard` does: on three
# networks that are trained here, a little, against PGD, and their first 100 test images.
#
#   [PYTHON=python3] [ROBIN_DATA=FOLDER] scripts/autoattack-compare.sh FOLDER
#
# Prints a table, keeps it as FOLDER/autoattack.md and .json, and exits with 1 if robust accuracies are more than one image
# apart. Networks and audits that stand in FOLDER are kept. Needs jq, the full data sets (`data fetch`) and
# fixtures/pytorch/requirements-attacks.txt.
set -euo pipefail

folder=${1:?usage: scripts/autoattack-compare.sh FOLDER}
python=${PYTHON:-python3}
data=${ROBIN_DATA:-$HOME/.cache/robin}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=scripts/program.sh
. scripts/program.sh

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
row() { # NAME DATASET MODEL NORM EPSILON, and what `train` is told besides
    local out="$folder/$1" dataset=$2 model=$3 norm=$4 epsilon=$5
    shift 5
    mkdir -p "$out"
    "$program" train --dataset "$dataset" --data-dir "$data" --model "$model" --norm "$norm" --epsilon "$epsilon" "$@" \
        --out "$out/network" >/dev/null 2>"$out/log"
    local weights="$out/network/multiclass.safetensors"
    "$program" audit --model "$model" --weights "$weights" --dataset "$dataset" --data-dir "$data" --limit 100 \
        --norm "$norm" --epsilon "$epsilon" --out "$out/audit" >"$out/audit.txt" 2>>"$out/log"
    "$program" export --model "$model" --weights "$weights" --dataset "$dataset" --data-dir "$data" \
        --out "$out/state_dict.safetensors" >/dev/null 2>>"$out/log"
    "$python" fixtures/pytorch/compare_autoattack.py "$model" "$out/state_dict.safetensors" "$out/audit/ledger.json" "$data" \
        2>>"$out/log" | tail -n 1 |
        jq --slurpfile record "$out/network/multiclass.json" --arg train "$*" \
            '. + { trained_with: $train, key: $record[0].key }' >>"$rows"
}
row mnist-linf mnist cnn2-small linf 0.15 --width 16 --recipe momentum --train-images 10000 --epochs 3
row mnist-l2 mnist cnn2-small l2 1.5 --width 16 --recipe momentum --train-images 10000 --epochs 3
row cifar10-linf cifar10 myrtle linf 8/255 --width 16 --recipe fast --steps 1 --step-size 1.25x --epochs 6 --validation 1000
jq -s . "$rows" >"$folder/autoattack.json"
{
    echo "| network | budget | clean | robust: \`audit\`'s AutoAttack | its union | pyautoattack | only ours breaks | only theirs breaks |"
    echo "|---|---|---|---|---|---|---|---|"
    jq -r '.[] | "| \(.model) | \(.norm) \(.epsilon) | \(.clean.robin) | \(.robust.robin_autoattack) | " +
        "\(.robust.robin_union) | \(.robust.pyautoattack) | \(.broken_by_robin_autoattack_only | join(", ")) | " +
        "\(.broken_by_pyautoattack_only | join(", ")) |"' "$folder/autoattack.json"
} | tee "$folder/autoattack.md"
jq -e 'all(.within_one_image)' "$folder/autoattack.json" >/dev/null
