#!/usr/bin/env bash
# Kills a training, then a reproduction, with SIGKILL at random moments, resumes it each time with the same command, and
# compares what comes out with a run that nobody disturbed: weights, best weights, results, tables and logs must be the
# same, and nothing may be left over.
#
#   [EPOCHS=40] [WIDTH=8] [EVERY=0.1] [ITEM=figure-1] [ROWS=mnist/cnn2/l2-halved] [COMMANDS="train reproduce"] \
#       [PROGRAM=target/release/xtask] scripts/kill-and-resume.sh [KILLS] [SEED]
#
# EVERY is the time between checkpoints in seconds; at 0 there is one after every step, and some kills find one half
# written. Trains on the images inside the program; minutes on two cores. Exit status 0 if everything is the same.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-20}
RANDOM=${2:-1} # bash draws from this seed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=${PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --quiet --release --package xtask
    program="${CARGO_TARGET_DIR:-target}/release/xtask"
fi
commands=${COMMANDS:-train reproduce}
status=0

milliseconds() { date +%s%3N; } # of GNU

# `sleep` for so many of them.
pause() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }

# What no finished run may leave in its folder.
leftovers() {
    local found
    found=$(find "$1" -name '.tmp*' -o -name '*.ckpt*')
    if [ -n "$found" ]; then
        echo "LEFT OVER: $found"
        status=1
    fi
}

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

kill_train() {
    begin=$(milliseconds)
    (train "$work/straight") >/dev/null 2>&1
    straight=$(($(milliseconds) - begin))
    echo "undisturbed: $straight ms"

    # Moments spread over what an undisturbed run takes, so that all kills find it alive.
    longest=$((straight / (kills + 1)))
    killed=0
    halfway=0
    while [ "$killed" -lt "$kills" ]; do
        (train "$work/killed") >>"$work/output" 2>&1 &
        process=$!
        moment=$((50 + (RANDOM * 32768 + RANDOM) % longest))
        pause "$moment"
        if ! kill -9 "$process" 2>/dev/null; then
            echo "finished after $killed kills: give more EPOCHS" >&2
            exit 1
        fi
        wait "$process" 2>/dev/null || true
        killed=$((killed + 1))
        # Written aside and not yet renamed: killed in the middle of a checkpoint.
        if compgen -G "$work/killed/.tmp-robin-*.ckpt" >/dev/null; then
            halfway=$((halfway + 1))
        fi
        echo "kill $killed after $moment ms"
    done
    (train "$work/killed") >>"$work/output" 2>&1
    echo "resumed from a checkpoint $(grep -c "continued after" "$work/output") times;" \
        "$halfway kills left a half-written checkpoint"

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
    leftovers "$work/killed"
}

# A row of a table; SIGUSR1 shortly before the kill asks for checkpoints, which must not end it.
reproduce() {
    exec "$program" reproduce "${ITEM:-figure-1}" --rows "${ROWS:-mnist/cnn2/l2-halved}" --seeds 0 --threads 2 --out "$1"
}

# Everything but provenance and times.
contents() {
    (cd "$1" && find . -type f ! -name .lock ! -name '*.md' | sort) | while read -r file; do
        case "$file" in
        *.json) echo "$file $(sed '/"provenance"/,$d; /"seconds"/d; /"finished"/d' "$1/$file" | sha256sum)" ;;
        *) echo "$file $(sha256sum <"$1/$file")" ;;
        esac
    done
}

# Compares a finished reproduction with the undisturbed one.
compare_reproduce() {
    if diff <(contents "$work/table") <(contents "$work/killed"); then
        echo "same: all $(contents "$work/killed" | wc -l) files of the table, after $1 kills"
    else
        echo "DIFFERS: the table's files, after $1 kills"
        status=1
    fi
    leftovers "$work/killed"
    rm -rf "$work/killed"
}

kill_reproduce() {
    local begin straight killed=0 since=0 process moment
    begin=$(milliseconds)
    (reproduce "$work/table") >/dev/null 2>&1
    straight=$(($(milliseconds) - begin))
    echo "undisturbed: $straight ms"
    rm -rf "$work/killed"
    while [ "$killed" -lt "$kills" ]; do
        (reproduce "$work/killed") >>"$work/output" 2>&1 &
        process=$!
        moment=$((50 + (RANDOM * 32768 + RANDOM) % (straight / 2)))
        pause "$moment"
        # Early on nobody listens yet, and a signal that nobody listens to is the end.
        if [ "$moment" -gt 500 ]; then
            kill -USR1 "$process" 2>/dev/null || true
            pause 100
        fi
        if kill -9 "$process" 2>/dev/null; then
            killed=$((killed + 1))
            since=$((since + 1))
            echo "kill $killed after $moment ms"
            wait "$process" 2>/dev/null || true
        elif wait "$process"; then
            compare_reproduce "$since"
            since=0
        else
            echo "it has ended by itself: see below"
            tail -5 "$work/output"
            exit 1
        fi
    done
    (reproduce "$work/killed") >>"$work/output" 2>&1
    compare_reproduce "$since"
}

for command in $commands; do
    "kill_$command"
done
exit $status
