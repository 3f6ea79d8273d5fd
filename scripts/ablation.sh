#!/usr/bin/env bash
# What keeps CIFAR-10 from being learned: learning rate, momentum, flips or epochs? Trains `myrtle` (width 16, PGD-10 in linf with
# 8/255 and the paper's warm-up) on 20,000 images by each setting, and prints clean and robust accuracy of the last epoch on
# 1,000 training images that were held out; test images choose nothing.
#
#   [SEED=0] [THREADS=2] scripts/ablation.sh FOLDER
#
# What stands in FOLDER is kept or continued; the table is FOLDER/ablation.md, its numbers FOLDER/ablation.json. Needs jq and
# the full data set (`cargo xtask data fetch cifar10`); about an hour on two cores.
set -euo pipefail

folder=${1:?usage: scripts/ablation.sh FOLDER}
seed=${SEED:-0}
threads=${THREADS:-2}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
program=${PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --quiet --release --package xtask
    program="${CARGO_TARGET_DIR:-target}/release/xtask"
fi

# LEARNING-RATE MOMENTUM FLIP EPOCHS SCHEDULE: the paper's schedule, a tenth after half of training, or one cycle.
settings=(
    "0.1 0 none 4 steps:0.5:0.1"
    "0.1 0.9 none 4 steps:0.5:0.1"
    "0.03 0 none 4 steps:0.5:0.1"
    "0.03 0.9 none 4 steps:0.5:0.1"
    "0.01 0 none 4 steps:0.5:0.1"
    "0.01 0.9 none 4 steps:0.5:0.1"
    "0.1 0 horizontal 4 steps:0.5:0.1"
    "0.03 0.9 horizontal 4 steps:0.5:0.1"
    "0.1 0 none 8 steps:0.5:0.1"
    "0.1 0.9 none 8 steps:0.5:0.1"
    "0.03 0.9 horizontal 4 one-cycle:0.1,0.3,0"
    "0.03 0.9 horizontal 8 one-cycle:0.1,0.3,0"
)

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
for setting in "${settings[@]}"; do
    read -r rate momentum flip epochs schedule <<<"$setting"
    out="$folder/$rate-$momentum-$flip-$epochs-${schedule%%:*}"
    "$program" train --dataset cifar10 --model myrtle --width 16 --norm linf --epsilon 8/255 --method pgd-at --steps 10 \
        --step-size 2.5x --proportion cosine --train-images 20000 --validation 1000 --batch 128 --weight-decay 5e-4 \
        --crop-padding 4 --learning-rate "$rate" --momentum "$momentum" --flip "$flip" --epochs "$epochs" \
        --schedule "$schedule" --seed "$seed" --threads "$threads" --out "$out" --json 2>"$out.log" |
        jq --arg rate "$rate" --arg momentum "$momentum" --arg flip "$flip" --arg schedule "$schedule" '
            .networks[0].results.epochs as $epochs | {
                learning_rate: ($rate | tonumber), momentum: ($momentum | tonumber), flip: $flip,
                epochs: ($epochs | length), schedule: $schedule, key: .networks[0].key,
                first_loss: $epochs[0].loss, last_loss: $epochs[-1].loss,
                held_out: { n: 1000, clean: $epochs[-1].validation.clean_accuracy,
                            robust: $epochs[-1].validation.robust_accuracy } }' >>"$rows"
done
jq -s . "$rows" >"$folder/ablation.json"

{
    echo "| learning rate | momentum | flips | epochs | schedule | loss, first epoch | loss, last | held out, clean | held out, PGD-10 |"
    echo "|---|---|---|---|---|---|---|---|---|"
    jq -r '
        def digits(n): . * pow(10; n) | round / pow(10; n);
        .[] | "| \(.learning_rate) | \(.momentum) | \(.flip) | \(.epochs) | \(.schedule) | \(.first_loss | digits(2)) | " +
              "\(.last_loss | digits(2)) | \(.held_out.clean | digits(3)) | \(.held_out.robust | digits(3)) |"' \
        "$folder/ablation.json"
} | tee "$folder/ablation.md"
