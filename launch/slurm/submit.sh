#!/usr/bin/env bash
# Checks a training job, fills in a batch script for it and hands that to sbatch.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: launch/slurm/submit.sh [options] -- TRAIN_OPTIONS
       launch/slurm/submit.sh --nodes 4 --gpus-per-node 8 --time 12:00:00 -- --config conv_celeba64

Submits `gondola train TRAIN_OPTIONS` through launch/slurm/train.sbatch, after asking the program whether
it takes the options and Slurm (sbatch --test-only) whether it takes the job.

  --nodes N             nodes (1)
  --gpus-per-node G     GPUs of each node, one rank on each; without them ranks compute on CPUs
  --tasks-per-node T    ranks of each node without GPUs (1)
  --cpus-per-task C     CPU cores of each rank
  --time LIMIT          minutes, or hours:minutes:seconds; on reaching it the job is queued again
  --partition, --account, --qos, --constraint, --mem, --job-name, --dependency NAME
                        as sbatch has them
  --array LIST          a sweep of an experiment in place of a training run: the words after -- are those
                        of launch/experiments/run.sh, and job I of N does its part I/N; 1-8, or 1-8%2
  --dry-run             print the batch script and submit nothing
  -h, --help            this text

launch/slurm/site.sh, or the file that GONDOLA_SITE names, is sourced first: SBATCH_PARTITION, SBATCH_ACCOUNT and
SBATCH_TIMELIMIT are taken from there (see site.sh.example).
USAGE
}

refuse() { echo "submit: $2" >&2; exit "$1"; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
nodes=1 gpus='' tasks_per_node='' array='' dry_run=false
declare -A asked=()
number() { # OPTION VALUE
    [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse 64 "$1 is a number from 1, not '$2'."
}
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry_run=true; shift; continue ;;
        --) break ;;
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    (($# > 1)) || refuse 64 "$1 has no value; --help lists the options."
    case $1 in
        --nodes) number "$@"; nodes=$2 ;;
        --gpus-per-node) number "$@"; gpus=$2 ;;
        --tasks-per-node) number "$@"; tasks_per_node=$2 ;;
        --cpus-per-task) number "$@"; asked[cpus-per-task]=$2 ;;
        --time | --partition | --account | --qos | --constraint | --mem | --job-name | --dependency)
            asked[${1#--}]=$2 ;;
        --array) array=$2 ;;
        *) refuse 64 "unknown option $1: options of sbatch that --help does not list go into the script of --dry-run, those of gondola after --." ;;
    esac
    shift 2
done
(($# > 1)) || { usage >&2; exit 64; }
shift

command -v sbatch >/dev/null || refuse 66 "sbatch is not here: submit from a login node of the cluster."
# shellcheck source=launch/slurm/job.sh
. "$root/launch/slurm/job.sh"
asked[partition]=${asked[partition]:-${SBATCH_PARTITION-}}
asked[account]=${asked[account]:-${SBATCH_ACCOUNT-}}
asked[time]=${asked[time]:-${SBATCH_TIMELIMIT-}}
unset SBATCH_PARTITION SBATCH_ACCOUNT SBATCH_TIMELIMIT # sbatch prefers them to what the script says

partitions=$(sinfo --noheader --format=%P) || refuse 74 "sinfo does not answer, so Slurm's controller does not: try again later."
names=$(tr -d '*' <<<"$partitions" | sort -u | paste -sd ' ')
if [[ -z ${asked[partition]} ]]; then
    [[ $partitions == *'*'* ]] ||
        refuse 64 "this cluster has no default partition: choose one of $names with --partition, or once and for all with SBATCH_PARTITION in launch/slurm/site.sh."
else
    for name in ${asked[partition]//,/ }; do
        [[ " $names " == *" $name "* ]] || refuse 64 "there is no partition '$name' here: choose one of $names with --partition."
    done
fi

if [[ -n $array ]]; then
    ((nodes == 1)) || refuse 64 "the jobs of a sweep take one node each, not $nodes: leave --nodes out."
    [[ $array =~ ^1-[0-9]+(%[0-9]+)?$ ]] || refuse 64 "--array is 1-N or 1-N%M with M jobs at a time, not '$array'."
    script=array.sbatch ranks=1
else
    script=train.sbatch ranks=$((nodes * ${gpus:-${tasks_per_node:-1}}))
    # The program knows its options, presets and the names that are near. It says what is wrong by itself.
    config=$("$gondola" train "$@" --print-config </dev/null) || exit
    value() { sed -nE "/^\[$1\]/,/^\[/s/^$2 = //p" <<<"$config"; } # SECTION KEY
    batch=$(value trainer batch_size) groups=$(value parallel coordinate_ranks)
    shape="$nodes nodes x ${gpus:-${tasks_per_node:-1}} ranks are $ranks ranks"
    ((ranks / groups <= batch)) ||
        refuse 64 "$shape, more than a batch of $batch images can be split over: ask for fewer, or raise trainer.batch_size."
    ((ranks % groups == 0)) ||
        refuse 64 "$shape, which do not divide into groups of parallel.coordinate_ranks = $groups: ask for a multiple of $groups."
    folder=$(value run folder)
fi

job=$(mktemp)
trap 'rm -f "$job"' EXIT
{
    echo '#!/usr/bin/env bash'
    grep '^#SBATCH' "$root/launch/slurm/$script" # of two equal ones the later counts
    for name in job-name partition account qos constraint time mem dependency cpus-per-task; do
        [[ -z ${asked[$name]-} ]] || echo "#SBATCH --$name=${asked[$name]}"
    done
    echo "#SBATCH --nodes=$nodes"
    [[ -z $gpus ]] || echo "#SBATCH --gpus-per-node=$gpus"
    echo "#SBATCH --ntasks-per-node=${gpus:-${tasks_per_node:-1}}"
    [[ -z $array ]] || echo "#SBATCH --array=$array"
    printf '\nexport GONDOLA_ROOT=%q\n' "$root"
    printf 'export GONDOLA=%q\n' "$(realpath "$gondola")" # the one that was asked
    [[ -z ${GONDOLA_SITE-} ]] || printf 'export GONDOLA_SITE=%q\n' "$(realpath "$GONDOLA_SITE")"
    # shellcheck disable=SC2016
    printf 'exec bash "$GONDOLA_ROOT/launch/slurm/%s"' "$script"
    printf ' %q' "$@"
    echo
} >"$job"

code=0
answer=$(sbatch --test-only "$job" 2>&1) || code=$?
if ((code)); then
    account=${asked[account]-}
    case $answer in
        *'nvalid account'*)
            refuse 64 "Slurm wants an account that may use this partition, and ${account:-none} was given: name one with --account; \`sacctmgr show associations user=$(id -un)\` lists yours." ;;
        *'generic resource'*)
            refuse 64 "Slurm does not know of $gpus GPUs a node in partition ${asked[partition]:-(default)}: \`sinfo -o '%P %G'\` lists GPUs by partition; leave --gpus-per-node out for CPUs." ;;
        *'node configuration is not available'*)
            refuse 64 "no set of nodes in partition ${asked[partition]:-(default)} has $nodes nodes of that kind: \`sinfo -o '%P %D %c %m %G'\` lists nodes, CPUs, memory and GPUs." ;;
        *) refuse 64 "Slurm does not take the job: $(tail -n 1 <<<"$answer")" ;;
    esac
fi
if [[ -z $array ]] && ((nodes > 1)); then
    place=$(realpath -m "${folder:-runs}")
    case $place in
        /tmp/* | /var/tmp/* | /dev/shm/* | "${TMPDIR:-/tmp}"/*)
            echo "submit: warning: the run folder $place is on a disk that each node has for itself: ranks on other nodes do not find the run's checkpoints, nor does a later start on another first node; name a --run.folder on a file system that the nodes share." >&2 ;;
    esac
fi
if $dry_run; then
    cat "$job"
    exit
fi
number=$(sbatch --parsable "$job") || refuse 74 "sbatch did not take the job: see what it says above."
number=${number%%;*}
echo "submitted job $number"
if [[ -z $array ]]; then
    echo "  run folder  ${folder:-runs/slurm-$number}"
    echo "  log         gondola-$number.log"
else
    echo "  logs        gondola-${number}_*.log"
fi
