#!/usr/bin/env bash
# Trains one network with all classes and the ten arms of ROBIN by each training method on the MNIST images inside the
# program, attacks both classifiers by PGD-20 on the 1,000 test images inside it, and prints a table.
#
#   [EPOCHS=20] [SEED=0] [THREADS=1] scripts/methods-on-mnist.sh FOLDER
#
# Everything that decides a number is written out below; what stands in FOLDER is kept or continued. ROBIN's column is
# the strongest of three strategies, as in the paper's tables. Exit status 1 if an adversarial method is not at least
# 20 points above `standard` under attack. Needs jq; a few minutes on one core.
set -euo pipefail

folder=${1:?usage: scripts/methods-on-mnist.sh FOLDER}
epochs=${EPOCHS:-20}
seed=${SEED:-0}
threads=${THREADS:-1}
methods=(standard pgd-at trades mart)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
program=${PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --quiet --release --package xtask
    program="${CARGO_TARGET_DIR:-target}/release/xtask"
fi

# The training attack of the methods that have one: the paper's, and the paper's weight of the divergence.
options() {
    case $1 in
    standard) ;;
    pgd-at) echo --steps 10 --step-size 2.5x --proportion cosine ;;
    trades | mart) echo --steps 10 --step-size 2.5x --lambda 1 ;;
    esac
}

# Batches are plain and the learning rate 0.1, as the paper has them on MNIST, but for MART's arms: from plain batches, of which
# a tenth is positive, these learn to say no to everything (at 0.1, 0.05 and 0.02 alike), and from balanced ones at 0.1 most
# of them fall back to one answer after a few epochs; the training warns of both.
sampling() {
    if [ "$1 $2" = "mart one-vs-all" ]; then echo balanced; else echo plain; fi
}

rate() {
    if [ "$1 $2" = "mart one-vs-all" ]; then echo 0.02; else echo 0.1; fi
}

train() { # METHOD CLASSIFIER
    # shellcheck disable=SC2046 # several options
    "$program" train --dataset mnist --embedded --model cnn2-small --width 16 --classifier "$2" --recipe paper \
        --method "$1" $(options "$1") --norm linf --epsilon 25/255 --epochs "$epochs" --batch 128 \
        --learning-rate "$(rate "$1" "$2")" --momentum 0.9 --weight-decay 5e-4 --schedule steps:0.5:0.1 --sampling "$(sampling "$1" "$2")" \
        --crop-padding 0 --normalize none --measured-images 1000 --seed "$seed" --threads "$threads" \
        --out "$folder/$1-$2" >/dev/null 2>"$folder/$1-$2.log"
}

attack() { # METHOD CLASSIFIER STRATEGY
    local weights aggregate=()
    weights=("$folder/$1-$2"/multiclass.safetensors)
    if [ "$2" = one-vs-all ]; then
        weights=("$folder/$1-$2"/arm-{0..9}.safetensors)
        aggregate=(--aggregate one-vs-all)
    fi
    "$program" attack --model cnn2-small --weights "${weights[@]}" "${aggregate[@]}" --dataset mnist --embedded \
        --split test --attack pgd --steps 20 --restarts 1 --loss ce --strategy "$3" --norm linf --epsilon 25/255 \
        --seed "$seed" --threads "$threads" --json >"$folder/attack.tmp" 2>>"$folder/$1-$2.log"
    mv "$folder/attack.tmp" "$folder/$1-$2-$3.json"
}

for method in "${methods[@]}"; do
    for classifier in multiclass one-vs-all; do
        train "$method" "$classifier"
        strategies=(softmax)
        [ "$classifier" = multiclass ] || strategies=(softmax best-arm top2)
        for strategy in "${strategies[@]}"; do
            [ -s "$folder/$method-$classifier-$strategy.json" ] || attack "$method" "$classifier" "$strategy"
        done
        echo "$method $classifier: done" >&2
    done
done

# One record of everything but weights, epochs and single examples.
for method in "${methods[@]}"; do
    for classifier in multiclass one-vs-all; do
        networks=("$folder/$method-$classifier"/multiclass.json)
        [ "$classifier" = multiclass ] || networks=("$folder/$method-$classifier"/arm-{0..9}.json)
        jq --slurp '{ provenance: (.[0].provenance | del(.seconds, .label, .continued_from_epoch)),
            networks: map({ key, seconds: .provenance.seconds, weights_sha256: .results.weights_sha256,
                training_set: .results.training_set, warnings: .results.warnings }) }' "${networks[@]}" |
            jq --arg method "$method" --arg classifier "$classifier" --slurpfile settings "$folder/$method-$classifier/run.json" \
                --slurpfile attacks <(cat "$folder/$method-$classifier"-{softmax,best-arm,top2}.json 2>/dev/null) \
                '{ method: $method, classifier: $classifier, settings: $settings[0],
                   attacks: ($attacks | map(del(.examples, .seconds))) } + .'
    done
done | jq --slurp '
    # Wilson score interval, 95%.
    def wilson($n): . as $p | 1.959963984540054 as $z | ($z * $z / $n) as $q
        | (($p + $q / 2) / (1 + $q)) as $middle
        | ($z * (($p * (1 - $p) / $n + $q / (4 * $n)) | sqrt) / (1 + $q)) as $half
        | [$middle - $half, $middle + $half];
    map({ method, classifier, n: .attacks[0].n, clean: .attacks[0].clean_accuracy }
        + (.attacks | min_by(.robust_accuracy) | { pgd20: .robust_accuracy, attack })
        | .clean_interval = (.n as $n | .clean | wilson($n)) | .pgd20_interval = (.n as $n | .pgd20 | wilson($n))) as $rows
    | { table: [ $rows[] as $row | $row + ({ "to_standard": "standard", "to_pgd_at": "pgd-at" }
            | map_values(. as $other
                | $row.pgd20 - ($rows[] | select(.method == $other and .classifier == $row.classifier) | .pgd20))) ],
        runs: . }' >"$folder/methods-on-mnist.json"

jq --raw-output '
    def percent: 1000 * . | round / 10 | tostring | if test("[.]") then . else . + ".0" end;
    def interval: map(percent) | "[" + join(", ") + "]";
    def points: if . > 0 then "+" + percent else percent end;
    "| method | classifier | clean | 95% interval | PGD-20 | 95% interval | attack | to standard | to pgd-at |",
    "|---|---|---|---|---|---|---|---|---|",
    (.table[] | "| \(.method) | \(.classifier) | \(.clean | percent) | \(.clean_interval | interval) "
        + "| \(.pgd20 | percent) | \(.pgd20_interval | interval) | \(.attack | split(" ")[1]) "
        + "| \(.to_standard | points) | \(.to_pgd_at | points) |"),
    "", "n = \(.table[0].n) test images; percent; differences in points."' "$folder/methods-on-mnist.json" |
    tee "$folder/methods-on-mnist.md"
jq --exit-status '[.table[] | select(.method != "standard") | .to_standard >= 0.2] | all' \
    "$folder/methods-on-mnist.json" >/dev/null || { echo "less than 20 points above standard" >&2; exit 1; }
