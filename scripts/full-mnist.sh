#!/usr/bin/env bash
# Trains `cnn2` of width 16 against linf 25/255 on the first 20,000 images of the full MNIST (profile `quick` of the paper's
# tables, multiclass), attacks it by PGD-20 on the first 1,000 test images, and writes a record of both.
#
#   [SEED=0] [THREADS=1] scripts/full-mnist.sh FOLDER
#
# Everything that decides a number is written out below; what stands in FOLDER is kept or continued. Exit status 1 if
# robust accuracy is below 90%. Needs jq and the full data set (`cargo xtask data fetch mnist`); minutes on one core.
set -euo pipefail

folder=${1:?usage: scripts/full-mnist.sh FOLDER}
seed=${SEED:-0}
threads=${THREADS:-1}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=scripts/program.sh
. scripts/program.sh

"$program" train --dataset mnist --train-images 20000 --model cnn2 --width 16 --classifier multiclass --recipe paper \
    --method pgd-at --norm linf --epsilon 25/255 --steps 10 --step-size 2.5x --proportion cosine --epochs 6 --batch 128 \
    --learning-rate 0.1 --momentum 0.9 --weight-decay 5e-4 --schedule steps:0.5:0.1 --sampling plain --crop-padding 0 \
    --normalize none --measured-images 1000 --seed "$seed" --threads "$threads" --out "$folder/network" >/dev/null
"$program" attack --model cnn2 --weights "$folder/network/multiclass.safetensors" --dataset mnist --split test --limit 1000 \
    --attack pgd --steps 20 --restarts 1 --loss ce --strategy softmax --norm linf --epsilon 25/255 --seed "$seed" \
    --threads "$threads" --json >"$folder/attack.json"

# Everything but weights and single examples.
jq --slurp '
    # Wilson score interval, 95%.
    def wilson($n): . as $p | 1.959963984540054 as $z | ($z * $z / $n) as $q
        | (($p + $q / 2) / (1 + $q)) as $middle
        | ($z * (($p * (1 - $p) / $n + $q / (4 * $n)) | sqrt) / (1 + $q)) as $half
        | [$middle - $half, $middle + $half];
    .[1].n as $n
    | { n: $n, clean: .[1].clean_accuracy, clean_interval: (.[1].clean_accuracy | wilson($n)),
        pgd20: .[1].robust_accuracy, pgd20_interval: (.[1].robust_accuracy | wilson($n)),
        attack: (.[1] | del(.examples)), network: .[0] }' "$folder/network/multiclass.json" "$folder/attack.json" \
    >"$folder/full-mnist.json"
jq --raw-output '"clean \(.clean) \(.clean_interval), PGD-20 \(.pgd20) \(.pgd20_interval), n = \(.n)"' "$folder/full-mnist.json"
jq --exit-status '.pgd20 >= 0.9' "$folder/full-mnist.json" >/dev/null || { echo "below 90%" >&2; exit 1; }
