#!/usr/bin/env bash
# Trains one network with all classes and the ten arms of ROBIN by each training method on the MNIST images inside the
# program, attacks both classifiers by PGD-20 on the 1,000 test images inside it, and prints a table.
#
#   [EPOCHS=20] [SEED=0] [THREADS=1] scripts/methods-on-mnist.sh FOLDER
#
# Everything that decides a number is written out below; what stands in FOLDER is kept or continued. ROBIN's column is
# the strongest of three strategies, as in the paper's tables. ROBIN's arms are trained in two settings by every method, and
# compared in that of each method in which PGD-20 leaves more of the first 1,000 *training* images standing; test images
# choose nothing, and the table shows both. Exit status 1 if a chosen adversarial method is not at least 20 points above the
# chosen `standard`. Needs jq; ten minutes or so on one core.
set -euo pipefail

folder=${1:?usage: scripts/methods-on-mnist.sh FOLDER}
epochs=${EPOCHS:-20}
seed=${SEED:-0}
threads=${THREADS:-1}
methods=(standard pgd-at trades mart)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=scripts/program.sh
. scripts/program.sh

# The training attack of the methods that have one: the paper's, and the paper's weight of the divergence.
options() {
    case $1 in
    standard) ;;
    pgd-at) echo --steps 10 --step-size 2.5x --proportion cosine ;;
    trades | mart) echo --steps 10 --step-size 2.5x --lambda 1 ;;
    esac
}

# Batches are plain and the learning rate 0.1, as the paper has them on MNIST; the second setting of arms is for batches of which
# a tenth would be positive.
settings() { # CLASSIFIER
    echo plain:0.1
    [ "$1" = multiclass ] || echo balanced:0.02
}

place() { # METHOD CLASSIFIER SAMPLING:RATE
    echo "$folder/$1-$2-${3%:*}"
}

train() { # METHOD CLASSIFIER SAMPLING:RATE
    # shellcheck disable=SC2046 # several options
    "$program" train --dataset mnist --embedded --model cnn2-small --width 16 --classifier "$2" --recipe paper \
        --method "$1" $(options "$1") --norm linf --epsilon 25/255 --epochs "$epochs" --batch 128 \
        --learning-rate "${3#*:}" --momentum 0.9 --weight-decay 5e-4 --schedule steps:0.5:0.1 --sampling "${3%:*}" \
        --crop-padding 0 --normalize none --measured-images 1000 --seed "$seed" --threads "$threads" \
        --out "$(place "$@")" >/dev/null 2>"$(place "$@").log"
}

# A classifier that has learned nothing has scores too flat to check a gradient by: it is attacked all the same, and marked.
attack() { # SPLIT STRATEGY METHOD CLASSIFIER SAMPLING:RATE
    local split=$1 strategy=$2 weights aggregate=() out
    shift 2
    out="$(place "$@")-$split-$strategy.json"
    [ ! -s "$out" ] || return 0
    weights=("$(place "$@")"/multiclass.safetensors)
    if [ "$2" = one-vs-all ]; then
        weights=("$(place "$@")"/arm-{0..9}.safetensors)
        aggregate=(--aggregate one-vs-all)
    fi
    "$program" attack --model cnn2-small --weights "${weights[@]}" "${aggregate[@]}" --dataset mnist --embedded \
        --split "$split" --limit 1000 --attack pgd --steps 20 --restarts 1 --loss ce --strategy "$strategy" --norm linf \
        --epsilon 25/255 --seed "$seed" --threads "$threads" --allow-bad-gradients --json >"$folder/attack.tmp" 2>>"$(place "$@").log"
    mv "$folder/attack.tmp" "$out"
}

# One line of JSON of everything but weights, epochs and single examples.
record() { # METHOD CLASSIFIER SAMPLING:RATE
    local networks=("$(place "$@")"/multiclass.json)
    [ "$2" = multiclass ] || networks=("$(place "$@")"/arm-{0..9}.json)
    jq --slurp '{ provenance: (.[0].provenance | del(.seconds, .label, .continued_from_epoch)),
        networks: map({ key, seconds: .provenance.seconds, weights_sha256: .results.weights_sha256,
            training_set: .results.training_set, warnings: .results.warnings }) }' "${networks[@]}" |
        jq --compact-output --arg method "$1" --arg classifier "$2" --arg sampling "${3%:*}" \
            --slurpfile settings "$(place "$@")/run.json" --slurpfile training <(cat "$(place "$@")"-train-*.json) \
            --slurpfile attacks <(cat "$(place "$@")"-test-*.json) \
            'def short: del(.examples, .seconds);
             { method: $method, classifier: $classifier, sampling: $sampling, settings: $settings[0],
               on_training_images: ($training[0] | short), attacks: ($attacks | map(short)) } + .'
}

for method in "${methods[@]}"; do
    for classifier in multiclass one-vs-all; do
        strategies=(softmax)
        [ "$classifier" = multiclass ] || strategies=(softmax best-arm top2)
        for setting in $(settings "$classifier"); do
            cell=("$method" "$classifier" "$setting")
            train "${cell[@]}"
            attack train softmax "${cell[@]}"
            for strategy in "${strategies[@]}"; do
                attack test "$strategy" "${cell[@]}"
            done
            record "${cell[@]}"
            echo "${cell[*]}: done" >&2
        done
    done
done | jq --slurp '
    # Wilson score interval, 95%.
    def wilson($n): . as $p | 1.959963984540054 as $z | ($z * $z / $n) as $q
        | (($p + $q / 2) / (1 + $q)) as $middle
        | ($z * (($p * (1 - $p) / $n + $q / (4 * $n)) | sqrt) / (1 + $q)) as $half
        | [$middle - $half, $middle + $half];
    map({ method, classifier, sampling, rate: .settings.settings.training.learning_rate, n: .attacks[0].n,
          training_pgd20: .on_training_images.robust_accuracy, clean: .attacks[0].clean_accuracy }
        + (.attacks | min_by(.robust_accuracy) | { pgd20: .robust_accuracy, attack })
        | .clean_interval = (.n as $n | .clean | wilson($n)) | .pgd20_interval = (.n as $n | .pgd20 | wilson($n))) as $rows
    | def chosen($method; $classifier):
        [ $rows[] | select(.method == $method and .classifier == $classifier) ] | max_by(.training_pgd20);
    { table: [ $rows[] as $row | $row
        + { chosen: ($row == chosen($row.method; $row.classifier)) }
        + ({ "to_standard": "standard", "to_pgd_at": "pgd-at" }
            | map_values($row.pgd20 - chosen(.; $row.classifier).pgd20)) ],
      runs: . }' >"$folder/methods-on-mnist.json"

jq --raw-output '
    def percent: 1000 * . | round / 10 | tostring | if test("[.]") then . else . + ".0" end;
    def interval: map(percent) | "[" + join(", ") + "]";
    def points: if . > 0 then "+" + percent else percent end;
    "| method | classifier | batches, learning rate | PGD-20, training images | clean | 95% interval | PGD-20 | 95% interval | attack | to standard | to pgd-at |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
    (.table[] | "| \(.method) | \(.classifier) | \(.sampling), \(.rate)\(if .chosen then " *" else "" end) "
        + "| \(.training_pgd20 | percent) | \(.clean | percent) | \(.clean_interval | interval) "
        + "| \(.pgd20 | percent) | \(.pgd20_interval | interval) | \(.attack | split(" ")[1]) "
        + "| \(.to_standard | points) | \(.to_pgd_at | points) |"),
    "", "n = \(.table[0].n) test images; percent; differences in points, to the chosen (*) setting of the other method: the one with more "
        + "of 1,000 training images left by PGD-20."' "$folder/methods-on-mnist.json" |
    tee "$folder/methods-on-mnist.md"
jq --exit-status '[.table[] | select(.chosen and .method != "standard") | .to_standard >= 0.2] | all' \
    "$folder/methods-on-mnist.json" >/dev/null || { echo "a chosen method is less than 20 points above standard" >&2; exit 1; }
