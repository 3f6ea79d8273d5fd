#!/usr/bin/env bash
# One row of a table, submitted to a Slurm of two nodes on this machine: from submission to report, and its records are those
# of the same run without Slurm. Exit code 77 if Slurm is not there and cannot be had.
#
#   scripts/slurm/test.sh
#   ITEM=table-1 ROWS=mnist/cnn2 scripts/slurm/test.sh     another item: this one takes many minutes on two cores
set -euo pipefail
source "$(dirname "$0")/common.sh"

item=${ITEM:-table-1}
rows=${ROWS:-cifar10/myrtle/l2}
slurm=$(slurm_folder)
"$here/local.sh" "$slurm" can-install || { echo "Slurm is not there and cannot be had" >&2; exit 77; }
work=$(mktemp -d)
trap '"$here/local.sh" "$slurm" down; rm -rf "$work" "$slurm"' EXIT
build
eval "$("$here/local.sh" "$slurm" up 2 1)"

step() { printf -- '-- %s (%d s)\n' "$1" "$SECONDS"; }

step "without Slurm"
"$program" reproduce "$item" --rows "$rows" --profile smoke --out "$work/alone" >"$work/alone.log" 2>&1
step "submission"
"$program" submit slurm "$item" --rows "$rows" --profile smoke --out "$work/cluster" --cpus 1 --mem 2G --task-minutes 0
step "until the last job has ended"
wait_until 600 queue_is_empty
"$program" status --out "$work/cluster" || { tail -n 20 "$work"/cluster/slurm/*/1/logs/*; exit 1; }
same "$work/alone" "$work/cluster"
[ -s "$work/cluster/report/report.html" ] || { echo "there is no report" >&2; exit 1; }
for table in "$work/alone"/*.json; do
    [ -s "$work/cluster/${table##*/}" ] || { echo "${table##*/} was not made" >&2; exit 1; }
done
nodes=$(grep -h '"node"' "$work"/cluster/*/*.json | sort | uniq -c)
printf '%s\n' "$nodes"
[ "$(wc -l <<<"$nodes")" = 2 ] || { echo "not both nodes took part" >&2; exit 1; }
step "done"
