#!/usr/bin/env bash
# A Slurm of one's own on this machine, for tests: a controller, and nodes that exist in name only. Nothing outside its folder
# is written, nothing listens beyond 127.0.0.1, and only processes that carry the folder's name are ever ended.
#
#   scripts/slurm/local.sh FOLDER up [NODES [CPUS]]      start, and wait until all nodes are idle
#   scripts/slurm/local.sh FOLDER down                   end everything, keep the logs
#   scripts/slurm/local.sh FOLDER lose-daemon NODE       end a node's daemon; what it runs goes on
#   scripts/slurm/local.sh FOLDER lose-node NODE         end a node's daemon and what it runs
#   scripts/slurm/local.sh FOLDER start-node NODE
#   scripts/slurm/local.sh FOLDER lose-controller
#   scripts/slurm/local.sh FOLDER start-controller
#   scripts/slurm/local.sh FOLDER can-install            exit 0 if Slurm is there, or can be had
#
# SLURM_CONF=FOLDER/slurm.conf makes Slurm's programs talk to it. FOLDER is short, for sockets lie in it, and writable by its
# owner alone. MORE_CONF holds further lines for slurm.conf, PORT the first of a few ports (7817). ACCOUNTS=1 keeps accounts
# of ended jobs, as clusters do, for sacct: that needs a database, and a minute more to install it.
#
# Debian's packages; root is needed only to install them. Partitions: main (usual), low (its jobs make room for urgent ones
# and are requeued) and urgent. A node that does not answer is given up after half a minute and not five.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2; exit 2; }
folder=$(realpath -m "$1")
action=$2
port=${PORT:-7817}
export PATH=$PATH:/usr/sbin:/sbin SLURM_CONF=$folder/slurm.conf
run=$folder/run
logs=$folder/logs

fail() { printf 'slurm: %s\n' "$*" >&2; exit 1; }

# until SECONDS COMMAND...: repeats the command until it succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

programs=(munged slurmctld slurmd sbatch)
packages=(munge slurmctld slurmd slurm-client)
if [ "${ACCOUNTS:-0}" = 1 ]; then
    programs+=(slurmdbd mariadbd)
    packages+=(slurmdbd mariadb-server)
fi

installed() {
    local program
    for program in "${programs[@]}"; do command -v "$program" >/dev/null || return 1; done
}

install() {
    installed && return
    [ "$(id -u)" = 0 ] || fail "of ${packages[*]} some are missing, and only root can install them"
    command -v apt-get >/dev/null || fail "Slurm is missing, and this script knows Debian's packages only"
    printf 'installing %s\n' "${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get install -y --no-install-recommends "${packages[@]}" ||
            { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; }
    } >"$logs/install" 2>&1 || { tail -n 5 "$logs/install" >&2; fail "the packages cannot be had"; }
}

# --- daemons: started in the foreground, so that their pid is the one that was started -----------------------------

# Whether NAME runs: the pid that was noted, if that process still names this folder.
pid_of() {
    local pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    { cat "/proc/$pid/cmdline" "/proc/$pid/environ" | tr '\0' '\n' | grep -qF "$folder/"; } 2>/dev/null || return 1
    printf '%s\n' "$pid"
}

start() { # NAME COMMAND...
    local name=$1
    shift
    pid_of "$name" >/dev/null && return
    setsid "$@" </dev/null >>"$logs/$name.out" 2>&1 &
    printf '%s\n' $! >"$run/$name.pid"
}

stop() { # NAME SIGNAL
    local pid
    pid=$(pid_of "$1") || return 0
    kill "-$2" "$pid" 2>/dev/null || true
    until_true 15 not pid_of "$1" || { kill -KILL "$pid" 2>/dev/null || true; }
    rm -f "$run/$1.pid"
}
not() { ! "$@"; }

# Processes of jobs, on NODE or on all, and the daemons over them. A job's process has our configuration in its environment.
job_processes() {
    local process pid parent
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        [ "$pid" != $$ ] || continue
        { tr '\0' '\n' <"$process/environ"; } 2>/dev/null >"$run/environ" || continue
        grep -qxF "SLURM_CONF=$SLURM_CONF" "$run/environ" && grep -q '^SLURM_JOB_ID=' "$run/environ" || continue
        [ -z "${1:-}" ] || grep -qxF "SLURMD_NODENAME=$1" "$run/environ" || continue
        printf '%s\n' "$pid"
        parent=$(sed -n 's/^PPid:\t//p' "$process/status" 2>/dev/null) || continue
        [ "$(cat "/proc/$parent/comm" 2>/dev/null)" != slurmstepd ] || printf '%s\n' "$parent"
    done | sort -u
}

end_jobs() {
    local pids
    for _ in 1 2 3; do
        pids=$(job_processes "${1:-}")
        [ -n "$pids" ] || return 0
        # shellcheck disable=SC2086
        kill -KILL $pids 2>/dev/null || true
        sleep 0.3
    done
}

nodes() { sed -n 's/^NodeName=\([^ ]*\) .*/\1/p' "$SLURM_CONF" 2>/dev/null; }

configure() { # NODES CPUS
    local host node loopback=''
    host=$(hostname -s)
    # So that nobody else can reach the daemons; the option follows the host's name, wherever that leads.
    case $(getent ahostsv4 "$host" | head -n 1) in
    127.*) loopback='CommunicationParameters=NoCtldInAddrAny,NoInAddrAny' ;;
    esac
    {
        printf '%s\n' ClusterName=test "SlurmctldHost=$host(127.0.0.1)" "SlurmctldPort=$port" \
            "SlurmUser=$(id -un)" "SlurmdUser=$(id -un)" "$loopback" \
            AuthType=auth/munge CredType=cred/munge \
            "AuthInfo=socket=$run/munge,cred_expire=5" \
            "StateSaveLocation=$folder/state" "SlurmdSpoolDir=$folder/spool-%n" \
            "SlurmctldPidFile=$run/slurmctld.own" "SlurmdPidFile=$run/%n.own" \
            "SlurmctldLogFile=$logs/slurmctld.log" "SlurmdLogFile=$logs/%n.log" \
            ProctrackType=proctrack/linuxproc TaskPlugin=task/none JobAcctGatherType=jobacct_gather/none \
            MpiDefault=none MailProg=/bin/true SlurmdParameters=config_overrides \
            SelectType=select/cons_tres SelectTypeParameters=CR_Core_Memory \
            SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0 \
            SlurmdTimeout=10 SlurmctldTimeout=10 KillWait=5 ReturnToService=2 JobRequeue=1 \
            PreemptType=preempt/partition_prio PreemptMode=REQUEUE
        if [ "${ACCOUNTS:-0}" = 1 ]; then
            # Towards its own daemon the password is the name of the socket.
            printf '%s\n' AccountingStorageType=accounting_storage/slurmdbd AccountingStorageHost=127.0.0.1 \
                "AccountingStoragePort=$((port + 90))" "AccountingStoragePass=$run/munge"
        else
            printf '%s\n' AccountingStorageType=accounting_storage/none
        fi
        [ -z "${MORE_CONF:-}" ] || printf '%s\n' "$MORE_CONF"
        for node in $(seq "$1"); do
            printf 'NodeName=n%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%s CPUs=%s RealMemory=16000 State=UNKNOWN\n' \
                "$node" "$host" $((port + node)) "$2"
        done
        printf 'PartitionName=%s Nodes=ALL MaxTime=INFINITE DefMemPerCPU=256 State=UP %s\n' \
            main 'Default=YES PriorityTier=10 PreemptMode=OFF' \
            low 'PriorityTier=1 PreemptMode=REQUEUE GraceTime=0' \
            urgent 'PriorityTier=100 PreemptMode=OFF'
    } >"$SLURM_CONF"
}

start_accounts() {
    [ "${ACCOUNTS:-0}" = 1 ] || return 0
    local data=$folder/database socket=$run/database
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$data" --skip-test-db >"$logs/database.install" 2>&1 ||
        fail "the database cannot be made: see $logs/database.install"
    start database mariadbd --no-defaults --user="$(id -un)" --datadir="$data" --socket="$socket" \
        --bind-address=127.0.0.1 --port=$((port + 91)) --innodb-buffer-pool-size=64M
    until_true 60 mariadb --no-defaults -S "$socket" -e 'select 1' || fail "the database does not answer"
    mariadb --no-defaults -S "$socket" -e "create database slurm_acct_db;
        create user slurm@'127.0.0.1' identified by 'slurm'; create user slurm@localhost identified by 'slurm';
        grant all on slurm_acct_db.* to slurm@'127.0.0.1'; grant all on slurm_acct_db.* to slurm@localhost"
    (umask 077 && printf '%s\n' AuthType=auth/munge "AuthInfo=socket=$run/munge" DbdHost=localhost DbdAddr=127.0.0.1 \
        "DbdPort=$((port + 90))" "SlurmUser=$(id -un)" "LogFile=$logs/slurmdbd.log" "PidFile=$run/slurmdbd.own" \
        StorageType=accounting_storage/mysql StorageHost=127.0.0.1 "StoragePort=$((port + 91))" \
        StorageUser=slurm StoragePass=slurm StorageLoc=slurm_acct_db >"$folder/slurmdbd.conf")
    start slurmdbd slurmdbd -D
    until_true 90 sacctmgr -n -i show cluster || { tail -n 5 "$logs/slurmdbd.log" >&2; fail "slurmdbd does not answer"; }
}

start_controller() {
    start slurmctld slurmctld -D -f "$SLURM_CONF"
    until_true 60 answers || { tail -n 5 "$logs/slurmctld.log" "$logs/slurmctld.out" >&2; fail "the controller does not answer"; }
}
answers() { pid_of slurmctld && scontrol ping | grep -q UP; }

start_node() {
    mkdir -p "$folder/spool-$1"
    start "$1" slurmd -D -N "$1" -f "$SLURM_CONF"
}

all_in_service() {
    local count
    count=$(sinfo -h -N -p main -o %T | grep -cxE 'idle|mixed|allocated|completing') || true
    [ "$count" = "$(nodes | wc -l)" ]
}

case $action in
can-install)
    installed && exit
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 1
    {
        apt-get -s install "${packages[@]}" || { apt-get update && apt-get -s install "${packages[@]}"; }
    } >/dev/null 2>&1
    ;;
up)
    [ ${#folder} -le 60 ] || fail "$folder is too long for sockets"
    mkdir -p "$run" "$logs" "$folder/state"
    chmod 755 "$folder" "$run"
    chmod 700 "$folder/state"
    install
    configure "${3:-2}" "${4:-2}"
    (umask 077 && head -c 1024 /dev/urandom >"$run/key")
    start munged munged -F --key-file="$run/key" --seed-file="$run/seed" --socket="$run/munge" \
        --pid-file="$run/munged.own" --log-file="$logs/munged.log" --origin=127.0.0.1
    until_true 30 munge -S "$run/munge" -n || { cat "$logs/munged.log" "$logs/munged.out" >&2; fail "munged does not answer"; }
    start_accounts
    start_controller
    for node in $(nodes); do start_node "$node"; done
    until_true 90 all_in_service || { sinfo -N -l >&2; fail "not all nodes are idle"; }
    printf 'export SLURM_CONF=%s\n' "$SLURM_CONF"
    ;;
down)
    [ -d "$run" ] || exit 0
    jobs=$(timeout 20 squeue -h -o %A 2>/dev/null | sort -u) || true
    # shellcheck disable=SC2086
    [ -z "$jobs" ] || timeout 20 scancel $jobs || true
    for node in $(nodes); do stop "$node" TERM; done
    end_jobs
    stop slurmctld TERM
    stop slurmdbd TERM
    stop database TERM
    stop munged TERM
    rm -rf "$run" "$folder/state" "$folder"/spool-* "$folder/database" "$folder"/*.conf
    ;;
lose-daemon) stop "${3:?which node}" KILL ;;
lose-node)
    stop "${3:?which node}" KILL
    end_jobs "$3"
    ;;
start-node) start_node "${3:?which node}" ;;
lose-controller) stop slurmctld KILL ;;
start-controller) start_controller ;;
*) fail "$action is no action" ;;
esac
