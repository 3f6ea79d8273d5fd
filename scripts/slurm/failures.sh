#!/usr/bin/env bash
# What goes wrong on a cluster, done on purpose to a Slurm of two nodes on this machine; after each the plan is complete, and
# its records are those of a run that nobody disturbed. By hand: many minutes on two cores. Outcomes: docs/slurm.md.
#
#   scripts/slurm/failures.sh [TEST...]      all tests without a choice; their names are the functions test_NAME
#   ITEM=section-6-2 ROWS=mnist MISSING=4 scripts/slurm/failures.sh
#
# MISSING networks, and all evaluations, are left to be made in each test; the other networks are there already.
set -uo pipefail
source "$(dirname "$0")/common.sh"

item=${ITEM:-section-6-2}
rows=${ROWS:-mnist}
missing=${MISSING:-4}
slurm=$(slurm_folder)
"$here/local.sh" "$slurm" can-install || { echo "Slurm is not there and cannot be had" >&2; exit 77; }
work=$(mktemp -d)
trap '"$here/local.sh" "$slurm" down; [ -n "${KEEP:-}" ] || rm -rf "$work" "$slurm"' EXIT
build
up() { eval "$("$here/local.sh" "$slurm" up 2 "${1:-2}")"; }
restart() { "$here/local.sh" "$slurm" down && MORE_CONF="${1:-}" up; }

# ALONE is a folder of results of the item that is there already.
alone=${ALONE:-$work/alone}
reproduce_alone() { "$program" reproduce "$item" --rows "$rows" --profile smoke --out "$alone" >"$work/alone.log" 2>&1; }

# What is there already: all networks but the first ones.
prepare() {
    out=$work/$name
    mkdir -p "$out/networks"
    local record
    for record in $(ls "$alone"/networks/*.json | tail -n +$((missing + 1))); do
        cp "$record" "${record%.json}.safetensors" "$out/networks"
    done
}

# submit [OPTION...]: the item, into a new folder $out; one cell a task, so that there are tasks to be disturbed.
submit() {
    prepare
    "$program" submit slurm "$item" --rows "$rows" --profile smoke --out "$out" --cpus 1 --mem 2G --task-minutes "${pack:-0}" "$@" >"$work/$name.log" 2>&1 ||
        { cat "$work/$name.log" >&2; return 1; }
}
retry() { "$program" retry --out "$out" "$@" >>"$work/$name.log" 2>&1 || { cat "$work/$name.log" >&2; return 1; }; }
ended() { wait_until "${1:-900}" queue_is_empty; }
complete() { "$program" status --out "$out" >>"$work/$name.log" 2>&1 && same "$alone" "$out" && no_leftovers && [ -s "$out/report/report.html" ]; }
# Claims and checkpoints are gone with the cells that they were of.
no_leftovers() { [ -z "$(find "$out/claims" "$out/failures" -type f)" ] && ! ls "$out"/networks/*.ckpt 2>/dev/null; }
is_claimed() { [ -n "$(ls "$out/claims" 2>/dev/null)" ]; }
log_says() { grep -rqs -- "$1" "$out"/slurm/*/*/logs; }

# A task of networks that runs, on node $1 if one is named: JOB_TASK.
running() { squeue -h -r -t RUNNING ${1:+-w "$1"} -o '%F_%K %j' | sed -n 's/ robin-.*-networks-.*//p' | head -n 1; }
runs() { [ -n "$(running "$@")" ]; }

# (1) What --dry-run prints is a script for each job, which Slurm would take; and nothing was written or submitted.
test_dry_run() {
    out=$work/$name
    "$program" submit slurm "$item" --rows "$rows" --profile smoke --out "$out" --cpus 1 --mem 2G --dry-run >"$work/$name.log" || return 1
    [ ! -e "$out" ] && queue_is_empty || return 1
    awk -v to="$work/$name-" '/^== .*\.sbatch$/ { file = to $2; next } /^== commands$/ { file = "" } file { print > file }' "$work/$name.log"
    local script count=0
    for script in "$work/$name-"*.sbatch; do
        sed -i '/^#SBATCH --output=/d' "$script"
        sbatch --test-only "$script" || return 1
        count=$((count + 1))
    done
    [ "$count" = "$(grep -c '^sbatch --parsable' "$work/$name.log")" ] && [ "$count" -ge 3 ]
}

# (2) From submission to report.
test_undisturbed() { pack=0.1 submit && ended && complete; }

# (3) Told before the time limit: saved, requeued, continued.
test_signal() {
    submit && wait_until 120 is_claimed || return 1
    scancel -b -s USR1 "$(running)" || return 1
    ended && log_says "signal 10: saving" && log_says "start 2" && complete
}

# (4) Urgent jobs take the cores of a partition whose jobs make room.
test_preemption() {
    submit --partition low && wait_until 120 is_claimed || return 1
    sbatch --parsable -p urgent -n 1 -c 2 -N 1 --array=0-1 --mem=1G -o /dev/null --wrap 'sleep 15' >/dev/null || return 1
    ended && log_says "signal 15: saving" && log_says "start 2" && complete
}

# (5) A node's daemon is gone while its jobs go on, and are started a second time elsewhere. The first copies are held until
# then, so that they wake up and find that they have been overtaken.
test_two_copies() {
    submit && wait_until 120 is_claimed && wait_until 120 runs n1 || return 1
    local first
    first=$(programs_on n1)
    # shellcheck disable=SC2086
    kill -STOP $first
    "$here/local.sh" "$slurm" lose-daemon n1
    wait_until 240 is_claimed_twice || return 1
    # shellcheck disable=SC2086
    kill -CONT $first
    wait_until 60 log_says "has taken this cell over" || return 1
    "$here/local.sh" "$slurm" start-node n1
    ended && complete
}
is_claimed_twice() { ls "$out"/claims/*.2 >/dev/null 2>&1; }
# Processes of our program in the jobs of a node.
programs_on() {
    local process
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/exe" 2>/dev/null) == "$out"/slurm/bin/xtask-* ]] || continue
        tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -qx "SLURMD_NODENAME=$1" && echo "${process#/proc/}"
    done
}

# (6) A node is gone with its jobs.
test_lost_node() {
    submit && wait_until 120 is_claimed && wait_until 120 runs n1 || return 1
    "$here/local.sh" "$slurm" lose-node n1
    wait_until 240 log_says "start 2" || return 1
    "$here/local.sh" "$slurm" start-node n1
    ended && complete
}

# (7) A network cannot be trained; what does not need it is done, and a retry submits only what is missing.
test_failing_arm() {
    prepare
    local key
    key=$(basename "$(ls "$alone"/networks/*.json | head -n 1)" .json)
    # A checkpoint that is none.
    echo damaged >"$out/networks/$key.ckpt"
    submit && ended || return 1
    "$program" status --out "$out" >"$work/$name.status" 2>&1 && return 1
    grep -q "^failed:" "$work/$name.status" && grep -q "has no record" "$work/$name.status" || return 1
    local done_before
    done_before=$(ls "$out"/networks/*.json | wc -l)
    [ "$done_before" = $(($(ls "$alone"/networks/*.json | wc -l) - 1)) ] || return 1
    rm -f "$out"/networks/*.ckpt
    retry || return 1
    local cells
    cells=$(cat "$out"/slurm/*/2/networks-*.tasks | wc -w)
    [ "$cells" = 1 ] || { echo "$cells networks were submitted again" >&2; return 1; }
    ended && complete
}

# (8) The controller is killed at once after the submission, and later once more; what it forgot is submitted again.
test_controller() {
    submit || return 1
    sleep "${CONTROLLER_AFTER:-2}"
    "$here/local.sh" "$slurm" lose-controller
    sleep 3
    "$here/local.sh" "$slurm" start-controller
    scontrol update nodename=n1,n2 state=resume 2>/dev/null
    wait_until 120 is_claimed
    "$here/local.sh" "$slurm" lose-controller
    # Without it status is from the records.
    "$program" status --out "$out" >"$work/$name.status" 2>&1
    grep -q "Slurm does not answer" "$work/$name.status" && grep -q "unknown of" "$work/$name.status" || return 1
    "$here/local.sh" "$slurm" start-controller
    scontrol update nodename=n1,n2 state=resume 2>/dev/null
    scontrol release "$(squeue -h -o %A | paste -sd,)" 2>/dev/null
    ended || return 1
    if ! "$program" status --out "$out" >>"$work/$name.log" 2>&1; then
        echo "cells were lost with the controller; retry" >&2
        retry && ended || return 1
    fi
    complete
}

# (9) Slurm forgets ended jobs after two seconds; what is done is known from the records.
test_forgotten() {
    restart MinJobAge=2 && pack=0.1 submit && ended || return 1
    sleep 5
    local result=0
    ! squeue -h -j "$(cut -f 2 "$out"/slurm/*/1/jobs.tsv | head -n 1)" 2>/dev/null | grep -q . || result=1
    complete || result=1
    restart
    return $result
}

# (10) Where Slurm keeps accounts, status says how a task ended that left no record.
test_accounts() {
    "$here/local.sh" "$slurm" down && ACCOUNTS=1 up || return 1
    submit && wait_until 120 is_claimed || return 1
    scancel "$(running)" && ended || return 1
    "$program" status --out "$out" >"$work/$name.status" 2>&1 && return 1
    local result=0
    grep -q "ended without a record: CANCELLED, exit code" "$work/$name.status" || result=1
    retry && ended && complete || result=1
    restart
    return $result
}

# Another program on the node than at submission, then a retry with the right one.
test_other_program() {
    submit --partition main || return 1
    scancel --state=RUNNING -u "$(id -un)"; ended || return 1
    local copy
    copy=$(ls "$out"/slurm/bin/xtask-*)
    cp "$copy" "$work/kept" && printf 'x' >>"$copy"
    "$copy" run-cell "$out"/slurm/*/1 --array "$(basename "$(ls "$out"/slurm/*/1/networks-*.tasks | head -n 1)" .tasks)" --task 0 >"$work/$name.out" 2>&1 && return 1
    grep -q "is not the program that submitted this plan" "$work/$name.out" || return 1
    cp "$work/kept" "$copy"
    retry && ended && complete
}

# The result folder goes away while tasks run, and comes back.
test_vanished() {
    submit && wait_until 120 is_claimed || return 1
    mv "$out" "$out.gone"
    wait_until 120 queue_is_empty || scancel -u "$(id -un)"
    ended || return 1
    rm -rf "$out"
    mv "$out.gone" "$out"
    grep -rqs "no longer there" "$out"/slurm/*/1/logs || return 1
    retry && ended && complete
}

# A partition that is not there, and a queue that is full; then it goes on.
test_rejected() {
    submit --partition nowhere 2>"$work/$name.out" && return 1
    grep -q "Slurm did not take" "$work/$name.out" && grep -qi "invalid partition" "$work/$name.out" || return 1
    retry --partition main && ended && complete
}

# A queue that is full: what it took goes on, and the rest is submitted later. sbatch itself tries for two minutes.
test_full_queue() {
    restart MaxJobCount=2 || return 1
    local result=0
    if submit 2>"$work/$name.out" || ! grep -q "jobs were handed over and go on" "$work/$name.out"; then result=1; fi
    ended || result=1
    restart
    [ "$result" = 0 ] && retry && ended && complete
}

# A machine without Slurm.
test_no_slurm() {
    out=$work/$name
    local bare
    bare=$work/bare && mkdir -p "$bare"
    (PATH=$bare "$program" submit slurm "$item" --rows "$rows" --out "$out") >"$work/$name.out" 2>&1 && return 1
    grep -q "this machine has no Slurm" "$work/$name.out" && [ ! -e "$out" ] || return 1
    (PATH=$bare "$program" submit slurm "$item" --rows "$rows" --out "$out" --dry-run) >"$work/$name.out" 2>&1
}

up
[ -e "$alone" ] || reproduce_alone || { cat "$work/alone.log" >&2; exit 1; }
if [ $# = 0 ]; then
    set -- dry_run undisturbed signal preemption two_copies lost_node failing_arm controller forgotten accounts other_program vanished rejected full_queue no_slurm
fi
status=0
printf '| test | outcome | seconds |\n|---|---|---|\n'
for name in "$@"; do
    begin=$SECONDS
    if "test_$name" 2>"$work/$name.err"; then outcome=passed; else outcome=FAILED status=1; fi
    printf '| %s | %s | %s |\n' "$name" "$outcome" $((SECONDS - begin))
    [ "$outcome" = passed ] || sed 's/^/    /' "$work/$name.err"
    scancel -u "$(id -un)" 2>/dev/null
    ended 60 2>/dev/null
done
exit $status
