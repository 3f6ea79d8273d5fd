#!/usr/bin/env bash
# How many minutes of this machine until a single `myrtle` has the paper's CNN row of Table 1, clean and under PGD-20, on all
# 10,000 test images: linf 8/255 (0.633, 0.303) and l2 0.5 (0.743, 0.474). By recipe `fast`, which is not the paper's.
#
#   [WIDTH=32] [EPOCHS=10] [SEED=0] scripts/time-to-row.sh FOLDER
#
# The settings are the first that were tried at this width; test images chose nothing. Prints a table, keeps it as
# FOLDER/time-to-row.md and .json, and exits with 1 if a row is not met. Networks that stand in FOLDER are kept. Needs jq and
# an idle machine.
set -euo pipefail

folder=${1:?usage: scripts/time-to-row.sh FOLDER}
width=${WIDTH:-32}
epochs=${EPOCHS:-10}
seed=${SEED:-0}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=scripts/program.sh
. scripts/program.sh

rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
row() { # NORM EPSILON CLEAN ROBUST
    local out="$folder/$1"
    "$program" train --dataset cifar10 --model myrtle --width "$width" --recipe fast --norm "$1" --epsilon "$2" \
        --epochs "$epochs" --seed "$seed" --out "$out" >/dev/null 2>"$out.log"
    "$program" attack --dataset cifar10 --split test --model myrtle --weights "$out/multiclass.safetensors" --attack pgd \
        --steps 20 --norm "$1" --epsilon "$2" --json 2>>"$out.log" |
        jq --arg norm "$1" --arg epsilon "$2" --argjson clean "$3" --argjson robust "$4" --argjson epochs "$epochs" \
            --slurpfile record "$out/multiclass.json" --argjson width "$width" '
            $record[0].provenance as $made | {
                norm: $norm, epsilon: $epsilon, width: $width, epochs: $epochs, training_minutes: ($made.seconds / 60),
                in_one_go: ($made.continued_from_epoch == null), commit: $made.commit, machine: $made.machine,
                instructions: $made.instructions, threads: $made.threads, key: $record[0].key, n: .n,
                clean: .clean_accuracy, pgd20: .robust_accuracy, zero_gradient_share: .zero_gradient_share,
                published: { clean: $clean, pgd20: $robust },
                met: (.clean_accuracy >= $clean and .robust_accuracy >= $robust) }' >>"$rows"
}
row linf 8/255 0.633 0.303
row l2 0.5 0.743 0.474
jq -s . "$rows" >"$folder/time-to-row.json"
{
    echo "| norm | width | epochs | minutes of training | clean (published) | PGD-20 (published) | n | met |"
    echo "|---|---|---|---|---|---|---|---|"
    jq -r '.[] | "| \(.norm) \(.epsilon) | \(.width) | \(.epochs) | \(.training_minutes * 10 | round / 10) | " +
        "\(.clean) (\(.published.clean)) | \(.pgd20) (\(.published.pgd20)) | \(.n) | \(.met) |"' "$folder/time-to-row.json"
} | tee "$folder/time-to-row.md"
jq -e 'all(.met)' "$folder/time-to-row.json" >/dev/null
