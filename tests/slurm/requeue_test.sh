#!/usr/bin/env bash
# requeue_test.sh CHECKOUT GONDOLA
#
# A job of 4 ranks that is preempted five times, in three ways, and resumed on 4, 2, 3, 1 and 4 ranks
# ends with the losses and the image ledger of an undisturbed run.
set -euo pipefail

[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
checkout=$2
export GONDOLA=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"
run=("${small_run[@]}" --trainer.batch_size 48 --model.hidden 192 --trainer.steps 300
    --trainer.precision float64 --checkpoint.every_steps 20)
submit() { # FOLDER
    sbatch --parsable --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 "$checkout/launch/slurm/train.sbatch" \
        "${run[@]}" --run.folder "$1" --data.ledger="$1.csv"
}

job=$(submit undisturbed)
log=$work/gondola-$job.log
wait_until job_ended "$job" || fail "the undisturbed run did not end"
job_succeeded "$job" || fail "the undisturbed run failed"

printf '%s\n' 4 4 2 3 1 4 >ranks
# shellcheck disable=SC2016
export GONDOLA_RANKS_COMMAND='sed -n "${GONDOLA_START}p" ranks'
job=$(submit disturbed)
log=$work/gondola-$job.log
preempt() { # START
    case $1 in
        1 | 4) scancel --signal=USR1 "$job" ;;
        2 | 5) scontrol requeue "$job" ;;                # TERM, and KILL after KillWait
        3) scancel --signal=TERM "$job" ;;
    esac
}
for start in 1 2 3 4 5; do
    wait_until grep -qs "start $start, " "$log" || fail "start $start did not begin"
    # Read when the start before is over: what it trained is not taken for steps of this one.
    reached=$(rows disturbed)
    wait_until has_rows disturbed $((${reached:-0} + 10)) || fail "start $start makes no steps"
    ! job_ended "$job" || fail "the run was over before preemption $start"
    preempt "$start"
    wait_until job_restarts "$job" "$start" || fail "preemption $start did not queue the job again"
done
wait_until job_ended "$job" || fail "the last start did not end"
job_succeeded "$job" || fail "job state $(job_state "$job" JobState), exit code $(job_state "$job" ExitCode)"
[[ $(job_state "$job" Restarts) == 5 ]] || fail "$(job_state "$job" Restarts) restarts, not 5"
used=$(sed -nE 's/^train.sbatch: .* ([0-9]+) ranks.*/\1/p' "$log" | paste -sd ' ')
[[ $used == '4 4 2 3 1 4' ]] || fail "the starts had $used ranks"
resumed=$(grep -c 'resumed after step [1-9]' "$log")
((resumed == 5)) || fail "$resumed of the 5 restarts went on from a checkpoint"
echo "resumed after steps $(sed -nE 's/.*resumed after step ([0-9]+)$/\1/p' "$log" | paste -sd ' ')"
same_losses disturbed undisturbed 1e-10 || fail "the losses are not those of the undisturbed run"
cmp disturbed.csv undisturbed.csv || fail "the ledger is not that of the undisturbed run"
