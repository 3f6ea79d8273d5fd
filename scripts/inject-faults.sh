#!/usr/bin/env bash
# Lets system calls on a result folder fail, one at a time, and looks at what is left: no panic, the file is named, and the
# same command once more ends with the same bytes and whole logs as if nothing had happened.
#
#   [N=6] [ITEM=figure-2] [ROWS=] [PROGRAM=target/release/xtask] [COMMANDS="train evaluate reproduce"] [CALLS="openat write fsync rename"] \
#       scripts/inject-faults.sh
#
# For each command, on the images inside the program: the first N calls of openat, write, fsync and rename that touch its
# folder, each with ENOSPC, EIO and EACCES, are 12 N runs with a fault and as many after them. Threads count their calls
# apart, so a fault may hit the main thread's and a worker's call of the same number. Needs strace (`apt-get install
# strace`) and Linux; N=6 takes about a quarter of an hour on two busy cores. Exit status 0 if every case is as it must be.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v strace >/dev/null || { echo "strace is missing: apt-get install strace" >&2; exit 2; }

n=${N:-6}
commands=${COMMANDS:-train evaluate reproduce}
calls=${CALLS:-openat write fsync rename}
program=${PROGRAM:-}
if [ -z "$program" ]; then
    cargo build --quiet --release --package xtask
    program="${CARGO_TARGET_DIR:-target}/release/xtask"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each writes into its argument and nothing else. A checkpoint after every step, so that there are some.
run_train() {
    "$program" train --dataset mnist --embedded --model cnn2-small --width 4 --train-images 160 --batch 64 --epochs 2 \
        --validation 32 --measured-images 16 --steps 2 --learning-rate 0.05 --checkpoint-every 0 --threads 1 --out "$1"
}
run_evaluate() {
    "$program" evaluate --model cnn2-small --weights "$work/network/multiclass.safetensors" --dataset mnist --embedded \
        --limit 8 --norm linf --epsilon 25/255 --steps 2 --threads 1 --out "$1"
}
run_reproduce() {
    "$program" reproduce "${ITEM:-figure-2}" ${ROWS:+--rows "$ROWS"} --seeds 0 --threads 1 --out "$1"
}

# What must be the same in the end: everything but provenance, times in logs, and the rendered tables' dates.
contents() {
    local file
    (cd "$1" && find . -type f ! -name .lock ! -name '*.md' | sort) | while read -r file; do
        case "$file" in
        */logs/*.csv) echo "$file $(cut -d, -f1-8 "$1/$file" | sha256sum)" ;;
        # Of times they hold nothing else that the table does not.
        */logs/*) echo "$file" ;;
        # Provenance is the last part of a record, and beside a table.
        *.json) echo "$file $(sed '/"provenance"/,$d; /"seconds"/d' "$1/$file" | sha256sum)" ;;
        *) echo "$file $(sha256sum <"$1/$file")" ;;
        esac
    done
}

# Rows of every log of a training: all epochs, each once.
logs_whole() {
    local log
    for log in "$1"/logs/*.jsonl; do
        [ -e "$log" ] || continue
        [ "$(grep -o '"epoch":[0-9]*' "$log" | tr '\n' ' ')" = '"epoch":1 "epoch":2 ' ] || return 1
    done
}

cases=0
hit=0
refused=0
wrong=0
fail() {
    wrong=$((wrong + 1))
    echo "WRONG: $1" >&2
    sed 's/^/    /' "$work/said" >&2
}

run_train "$work/network" >/dev/null 2>&1
for command in $commands; do
    folder=$work/out # always the same path, because strace looks for paths
    rm -rf "$folder"
    # Which paths below the folder are touched: names under construction are known, so they are the same each time.
    export -f "run_$command"
    export program work
    strace -f -qq -o "$work/trace" -e trace=openat,rename,renameat,renameat2 bash -c "run_$command '$folder'" \
        >"$work/said" 2>&1 || { fail "$command does not run undisturbed"; continue; }
    contents "$folder" >"$work/expected"
    paths=()
    while read -r path; do paths+=(-P "$path"); done < <(grep -o "\"$folder[^\"]*\"" "$work/trace" | tr -d '"' | sort -u)
    paths+=(-P "$folder")
    echo "$command: $(((${#paths[@]} - 2) / 2)) paths"
    for call in $calls; do
        # Libraries rename in several ways.
        names=${call/#rename/rename,renameat,renameat2}
        for error in ENOSPC EIO EACCES; do
            for ((k = 1; k <= n; k++)); do
                rm -rf "$folder"
                cases=$((cases + 1))
                what="$command: $call number $k fails with $error"
                status=0
                strace -f -qq --seccomp-bpf -o "$work/trace" "${paths[@]}" -e "trace=$names" \
                    -e "inject=$names:error=$error:when=$k" bash -c "run_$command '$folder'" >"$work/said" 2>&1 || status=$?
                if ! grep -q INJECTED "$work/trace"; then
                    break 1 # there are no more such calls
                fi
                hit=$((hit + 1))
                if grep -qi panicked "$work/said" || [ "$status" = 101 ] || [ "$status" -gt 128 ]; then
                    fail "$what: a panic, exit status $status"
                    continue
                fi
                if [ "$status" != 0 ]; then
                    refused=$((refused + 1))
                    grep -q "$folder" "$work/said" || fail "$what: no file is named"
                fi
                if ! "run_$command" "$folder" >"$work/said" 2>&1; then
                    fail "$what: it cannot be run again"
                    continue
                fi
                contents "$folder" | diff "$work/expected" - >>"$work/said" || fail "$what: the rerun's files differ"
                logs_whole "$folder" || fail "$what: a log is not whole"
                leftovers=$(find "$folder" -name '.tmp*' -o -name '*.ckpt')
                [ -z "$leftovers" ] || fail "$what: left over: $leftovers"
            done
        done
    done
    echo "$command: $hit faults so far, $refused of them ended the run with an error, $wrong cases wrong"
done
echo "$cases runs, $hit with a fault, $refused ended with an error that names the file, $wrong wrong"
[ "$wrong" = 0 ]
