# What the tests with Slurm share; read by them, not run. They set: program, work (a folder of their own).
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)

# PROGRAM is one that is built already.
build() {
    program=${PROGRAM:-}
    [ -z "$program" ] || return 0
    (cd "$repository" && cargo build --quiet --release --package xtask)
    program=$(cd "$repository" && realpath "${CARGO_TARGET_DIR:-target}")/release/xtask
}

# Where a Slurm is started: a short path, for sockets.
slurm_folder() { mktemp -d /tmp/robin-slurm.XXXX; }

# wait_until SECONDS COMMAND...: repeats the command until it succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            printf 'waited in vain for: %s\n' "$*" >&2
            return 1
        fi
        sleep 0.5
    done
}

queue_is_empty() { [ -z "$(squeue -h 2>/dev/null || echo unknown)" ]; }

# same ONE OTHER: both folders have the same records but for their provenance, and the same weights.
same() {
    local kind file differ=0 records=0
    for kind in networks evaluations; do
        diff <(cd "$1/$kind" && ls) <(cd "$2/$kind" && ls) >&2 || differ=1
        for file in "$1/$kind"/*; do
            case $file in
            *.json) cmp -s <(sed '/^  "provenance": {/,$d' "$file") <(sed '/^  "provenance": {/,$d' "$2/$kind/${file##*/}") ;;
            *) cmp -s "$file" "$2/$kind/${file##*/}" ;;
            esac || { printf 'differs: %s\n' "$kind/${file##*/}" >&2; differ=1; }
            records=$((records + 1))
        done
    done
    [ "$differ" = 0 ] && [ "$records" -gt 0 ] && printf 'the same: %s files of records and weights\n' "$records" >&2
}
