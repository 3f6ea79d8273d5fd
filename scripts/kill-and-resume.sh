#!/usr/bin/env bash
# Kills a training with SIGKILL at random moments, resumes it each time with the same command, and compares what
# comes out with a run that nobody disturbed: weights, best weights, results and logs must be the same.
#
#   [EPOCHS=40] [WIDTH=8] [EVERY=0.1] scripts/kill-and-resume.sh [KILLS] [SEED]
#
# EVERY is the time between checkpoints in seconds; at 0 there is one after every step, and some kills find one half
# written. Trains on the images inside the program; under a minute on two cores. Exit status 0 if everything is the same.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-20}
RANDOM=${2:-1} # bash draws from this seed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet --release --package xtask
program="${CARGO_TARGET_DIR:-target}/release/xtask"

# Two arms side by side, adversarial, with everything that a checkpoint has to hold: momentum, an average of the
# weights, a best epoch.
train() {
    exec "$program" train --dataset mnist --embedded --model cnn2-small --width "$width" --classifier one-vs-all --arm 3,8 \
        --sampling balanced --learning-rate 0.05 --epochs "$epochs" --validation 100 --weight-averaging 0.99 \
        --checkpoint-every "$every" --threads 2 --out "$1"
}
epochs=${EPOCHS:-40}
width=${WIDTH:-8}
every=${EVERY:-0.1}

seconds() { date +%s.%N; }
begin=$(seconds)
(train "$work/straight") >/dev/null 2>&1
straight=$(echo "$(seconds) - $begin" | bc)
echo "undisturbed: $straight s"

# Moments spread over what an undisturbed run takes, so that all kills find it alive.
longest=$(echo "1000 * $straight / ($kills + 1)" | bc)
killed=0
halfway=0
while [ "$killed" -lt "$kills" ]; do
    (train "$work/killed") >>"$work/output" 2>&1 &
    process=$!
    moment=$((50 + (RANDOM * 32768 + RANDOM) % longest))
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    if ! kill -9 "$process" 2>/dev/null; then
        echo "finished after $killed kills: give more EPOCHS" >&2
        exit 1
    fi
    wait "$process" 2>/dev/null || true
    killed=$((killed + 1))
    # Written aside and not yet renamed: killed in the middle of a checkpoint.
    if compgen -G "$work/killed/*.ckpt.tmp" >/dev/null; then
        halfway=$((halfway + 1))
    fi
    echo "kill $killed after $moment ms"
done
(train "$work/killed") >>"$work/output" 2>&1
echo "resumed from a checkpoint $(grep -c "continued after" "$work/output") times;" \
    "$halfway kills left a half-written checkpoint"

status=0
for arm in arm-3 arm-8; do
    for file in "$arm.safetensors" "$arm.best.safetensors"; do
        a=$(sha256sum <"$work/straight/$file")
        b=$(sha256sum <"$work/killed/$file")
        if [ "$a" = "$b" ]; then
            echo "same: $file ${a%% *}"
        else
            echo "DIFFERS: $file: undisturbed ${a%% *}, killed ${b%% *}"
            status=1
        fi
    done
    # Everything in a record but its provenance, and every column of the log but times and speeds.
    for run in straight killed; do
        sed '/"provenance"/,$d' "$work/$run/$arm.json" >"$work/$run.json"
        cut -d, -f1-8 "$work/$run/logs/$arm.csv" >"$work/$run.csv"
    done
    for kind in json csv; do
        if cmp -s "$work/straight.$kind" "$work/killed.$kind"; then
            echo "same: $arm.$kind without times"
        else
            echo "DIFFERS: $arm.$kind"
            status=1
        fi
    done
done
exit $status
