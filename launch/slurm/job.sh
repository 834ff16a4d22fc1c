# shellcheck shell=bash
# What the batch scripts of this folder share; sourced by them with `root`, the checkout, set.
# shellcheck source=launch/restart_policy.sh disable=SC2154
. "$root/launch/restart_policy.sh"

# Modules and variables of this cluster; see site.sh.example.
site=${GONDOLA_SITE:-$root/launch/slurm/site.sh}
if [[ -f $site ]]; then
    flags=$-
    others=$(set +o)
    set +eu # the functions of modules want neither
    # shellcheck source=/dev/null
    . "$site"
    eval "$others"
    [[ $flags != *e* ]] || set -e # which a substitution does not have, so that `others` cannot say it
fi

gondola=${GONDOLA:-$root/build/release/bin/gondola}
[[ -n ${GONDOLA-} || -x $gondola || ! -x $root/../../bin/gondola ]] || gondola=$(realpath "$root/../../bin/gondola")
if [[ ! -x $gondola ]]; then
    echo "slurm: $gondola is not there: build it, or name it with GONDOLA, for example in launch/slurm/site.sh." >&2
    exit 66
fi

# given OPTION: the value that it was given, by the output of --print-config in `configuration`; fails where that is
# its default. An address that was given counts in any case.
given() {
    awk -v name="$1" '
        /^\[/ { section = substr($0, 2, length($0) - 2) }
        /^#/ {
            is_given = /; given: /
            sub(/; given: .*/, ""); initial = $0; sub(/.*; default /, "", initial); sub(/^empty$/, "", initial)
            next
        }
        $1 == substr(name, length(section) + 2) && index(name, section ".") == 1 {
            sub(/^[^=]*= ?/, "")
            if (/^".*"$/) $0 = substr($0, 2, length($0) - 2)
            if (!is_given || ($0 == initial && name != "monitoring.bind")) exit
            print; found = 1; exit
        }
        END { exit !found }' <<<"$configuration"
}

# say_network: the variables that choose between networks, as they are, and which there are.
say_network() {
    local set
    set=$(compgen -e | grep -E '^(NCCL|OMPI_MCA|UCX|FI)_' | while read -r name; do printf ' %s=%s' "$name" "${!name}"; done)
    echo "network:${set:- nothing is set}"
    echo "  where ranks do not reach each other, set in launch/slurm/site.sh: NCCL_SOCKET_IFNAME, NCCL_IB_HCA (GPUs)," \
        "OMPI_MCA_btl_tcp_if_include (MPI over TCP); NCCL_DEBUG=INFO shows what NCCL took"
}

# is_shared RUN_FOLDER NODES: fails, with a warning, where not every node of the job is known to see the folder's place.
is_shared() {
    local place probe blind status
    (($2 > 1)) || return 0
    place=$(realpath "$(dirname "$1")")
    probe=$place/.seen-by-all-$SLURM_JOB_ID
    touch "$probe" || return 0
    # shellcheck disable=SC2016
    blind=$(srun --mpi=none --nodes="$2" --ntasks="$2" --ntasks-per-node=1 --cpus-per-task=1 \
        bash -c '[[ -e $0 ]] || echo "$SLURMD_NODENAME"' "$probe")
    status=$?
    rm -f "$probe"
    if ((status)); then
        echo "slurm: warning: srun, which was to look on each node whether $place is seen there, ended with $status:" \
            "look at what it says above, and see that --run.folder is on a file system that the nodes share." >&2
        return 1
    fi
    [[ -n $blind ]] || return 0
    blind=$(sort <<<"$blind" | paste -sd ' ')
    echo "slurm: warning: $place is on a disk of $(hostname -s) alone, not seen by $blind: ranks there do not find the run's" \
        "checkpoints, nor does a later start on another first node; name a --run.folder on a file system that the nodes share." >&2
    return 1
}

# requeue_job: the job is queued again; says how to go on where that is forbidden.
requeue_job() {
    scontrol requeue "$SLURM_JOB_ID" && return
    echo "slurm: the job cannot be queued again (submitted with --no-requeue, or JobRequeue=0 here): submit it again$1," \
        "and it goes on from its newest checkpoint." >&2
}

# run_step WORDS...: srun, with the exit code of the first task that ended by itself. srun's own is that of the
# last ones too, which it ends by signal: a full disk on one rank would look like a death that is worth a restart.
run_step() {
    local ends code
    ends=$(mktemp) || ends='' # a full /tmp: srun's own code then
    code=0
    # Not awk: mawk reads a pipe in blocks, and what it holds is lost with the job.
    { srun "$@" 2>&1 >&3 | while IFS= read -r line || [[ -n $line ]]; do
        printf '%s\n' "$line"
        [[ -n $ends && $line =~ ^srun:\ error:\ .*:\ Exited\ with\ exit\ code\ ([0-9]+)$ ]] || continue
        echo "${BASH_REMATCH[1]}" >>"$ends" || true
    done >&2; } 3>&1 || code=$? # with pipefail, of srun
    if ((code > 128)) && [[ -s $ends ]]; then code=$(head -n 1 "$ends"); fi
    rm -f "$ends"
    return "$code"
}
