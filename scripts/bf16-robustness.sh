#!/usr/bin/env bash
# Are networks as robust whose training attacks multiplied bf16? Trains each seed twice, in f32 and in PRECISION, and attacks both by PGD-20 in
# f32 on all test images: five seeds of `cnn2-small` on MNIST, three of `myrtle` of width 16 on CIFAR-10.
#
#   [PRECISION=bf16] [EPOCHS=4] [THREADS=2] [SETS="mnist cifar10"] scripts/bf16-robustness.sh FOLDER
#
# Needs the full data sets (`cargo xtask data fetch mnist`, `... cifar10`) and jq. What stands in FOLDER is kept or continued. Prints a table of differences, seed by
# seed, and writes FOLDER/bf16-robustness.json.
set -euo pipefail

folder=${1:?usage: scripts/bf16-robustness.sh FOLDER}
precision=${PRECISION:-bf16}
epochs=${EPOCHS:-4}
threads=${THREADS:-2}
read -ra sets <<<"${SETS:-mnist cifar10}"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
# shellcheck source=scripts/program.sh
. scripts/program.sh

settings() { # SET
    case $1 in
    mnist) echo --model cnn2-small --width 16 --norm linf --epsilon 25/255 --learning-rate 0.05 --schedule one-cycle:0.1,0.3,0.0 ;;
    cifar10) echo --model myrtle --width 16 --norm linf --epsilon 8/255 --learning-rate 0.03 --schedule one-cycle:0.1,0.3,0.0 --flip horizontal ;;
    *) echo "no settings for $1" >&2 && exit 2 ;;
    esac
}

seeds() { # SET
    case $1 in mnist) echo 0 1 2 3 4 ;; *) echo 0 1 2 ;; esac
}

one() { # SET SEED PRECISION
    local place="$folder/$1-$2-$3" given model
    read -ra given <<<"$(settings "$1")"
    "$program" train --dataset "$1" "${given[@]}" --epochs "$epochs" --seed "$2" --precision "$3" --threads "$threads" --out "$place" \
        >/dev/null 2>"$place.log"
    if [ ! -s "$place.json" ]; then
        model=("${given[@]:0:8}")
        "$program" attack --dataset "$1" "${model[@]}" --weights "$place/multiclass.safetensors" --attack pgd --steps 20 --restarts 1 \
            --loss ce --seed 0 --threads "$threads" --allow-bad-gradients --json >"$folder/attack.tmp" 2>>"$place.log"
        mv "$folder/attack.tmp" "$place.json"
    fi
    jq --compact-output --arg set "$1" --argjson seed "$2" --arg precision "$3" --slurpfile network "$place/multiclass.json" \
        '{ set: $set, seed: $seed, precision: $precision, n, clean: .clean_accuracy, pgd20: .robust_accuracy,
           key: $network[0].key, weights_sha256: $network[0].results.weights_sha256,
           provenance: ($network[0].provenance | del(.label, .continued_from_epoch)) }' "$place.json"
}

for set in "${sets[@]}"; do
    for seed in $(seeds "$set"); do
        for how in f32 "$precision"; do
            one "$set" "$seed" "$how"
            echo "$set, seed $seed, $how: done" >&2
        done
    done
done | jq --slurp --argjson epochs "$epochs" '
    def mean: add / length;
    { epochs: $epochs, networks: .,
      pairs: [ group_by(.set)[] | { set: .[0].set, n: .[0].n,
        seeds: [ group_by(.seed)[] | (map(select(.precision == "f32"))[0]) as $exact | (map(select(.precision != "f32"))[0]) as $rounded
          | { seed: $exact.seed, f32: $exact.pgd20, rounded: $rounded.pgd20, difference: ($rounded.pgd20 - $exact.pgd20),
              clean_difference: ($rounded.clean - $exact.clean), seconds: [$exact, $rounded | .provenance.seconds] } ] }
        | .mean_difference = (.seeds | map(.difference) | mean)
        | .standard_error = (.mean_difference as $mean | .seeds | (map((.difference - $mean) | . * .) | add / (length - 1) / length) | sqrt) ] }' \
    >"$folder/bf16-robustness.json"
jq --raw-output '.pairs[] | .set as $set | (.seeds[] | "\($set) seed \(.seed): PGD-20 \(.f32) in f32, \(.rounded) rounded, difference \(.difference)"),
    "\($set): mean difference \(.mean_difference) +- \(.standard_error) over \(.seeds | length) seeds, \(.n) images each"' "$folder/bf16-robustness.json"
