#!/usr/bin/env bash
# What a cluster costs us: planning of 100,000 cells, and our own time for each of 200 tiny cells on two nodes. By hand.
#
#   scripts/slurm/scale.sh [plan|tiny]      both without a choice
set -euo pipefail
source "$(dirname "$0")/common.sh"

slurm=$(slurm_folder)
"$here/local.sh" "$slurm" can-install || { echo "Slurm is not there and cannot be had" >&2; exit 77; }
work=$(mktemp -d)
trap '"$here/local.sh" "$slurm" down; rm -rf "$work" "$slurm"' EXIT
build

# peak COMMAND...: seconds, processor seconds and the most memory that the command took.
peak() {
    python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
begin = time.time()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{time.time() - begin:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor, {used.ru_maxrss / 1024:.0f} MB")
sys.exit(code)
PYTHON
}

# Two rows of Table 1 with so many seeds that there are 100,000 cells.
plan() {
    local seeds
    seeds=$(seq -s, 0 "${LAST_SEED:-2083}")
    "$program" submit slurm table-1 --rows mnist --seeds "$seeds" --out "$work/none" --dry-run >"$work/plan"
    printf '%s planned in ' "$(sed -n 's/^\([0-9]* cells\):.*/\1/p' "$work/plan")"
    peak "$program" submit slurm table-1 --rows mnist --seeds "$seeds" --out "$work/none" --dry-run
}

# 208 cells, most of them evaluations of a second, on two nodes.
tiny() {
    eval "$("$here/local.sh" "$slurm" up 2 1)"
    out=$work/tiny
    wanted=(figure-1 figure-3 --seeds 0,1 --profile smoke --out "$out")
    "$program" submit slurm "${wanted[@]}" --cpus 1 --mem 2G --task-minutes "${TASK_MINUTES:-0.5}" >"$work/log"
    wait_until 3600 queue_is_empty
    "$program" status --out "$out"
    # Of a task all seconds but those in which a cell was computed, as its record says.
    cells=$(ls "$out"/networks/*.json "$out"/evaluations/*.json | wc -l)
    computed=$(sed -n 's/^    "seconds": \([0-9.e-]*\),$/\1/p' "$out"/networks/*.json "$out"/evaluations/*.json | awk '{ sum += $1 } END { print sum }')
    tasks=$(sed -n 's/.*computed now, \([0-9.]*\) s$/\1/p' "$out"/slurm/*/1/logs/*.out | awk '{ sum += $1; n += 1 } END { print n, sum }')
    awk -v cells="$cells" -v computed="$computed" -v tasks="$tasks" 'BEGIN {
        split(tasks, t, " ")
        printf "%d cells in %d tasks: %.1f s of tasks, %.1f s of them in cells, %.3f s of ours for each cell\n", cells, t[1], t[2], computed, (t[2] - computed) / cells
    }'
}

[ $# -gt 0 ] || set -- plan tiny
for part in "$@"; do "$part"; done
