#!/usr/bin/env bash
# faults_test.sh CHECKOUT GONDOLA
#
# What the death of a node and a kill in the middle of a checkpoint do to a job of train.sbatch in a
# throw-away Slurm cluster: the run goes on, with the losses and the image ledger of an undisturbed one.
set -euo pipefail

[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
checkout=$2
export GONDOLA=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"

# --- Undisturbed, on two nodes; what the disturbed runs below are held against.
same_run=(--trainer.batch_size 48 --model.hidden 192 --trainer.steps 150 --trainer.precision float64)
submit undisturbed -- "${same_run[@]}" --checkpoint.every_steps 0 --data.ledger=undisturbed.csv
succeeds
[[ ! -e $run.restarts ]] || fail "a finished run left $run.restarts behind"

# --- A node dies: its daemon, its step daemons and its tasks. The job goes on on the other.
submit node_failure -- "${same_run[@]}" --checkpoint.every_steps 5 --data.ledger=node_failure.csv
wait_until has_rows "$run" 12 || fail "no steps"
space=$(readlink "/proc/$(pgrep -o -f 'slurmd -N node2')/ns/uts")
of_node2() {
    local process
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/ns/uts" 2>/dev/null) != "$space" ]] || echo "${process#/proc/}"
    done
}
# Halted first, so that none of them reports the death of another.
for number in STOP STOP KILL; do
    for process in $(of_node2); do kill "-$number" "$process" 2>/dev/null || true; done
done
waits_for_nodes() { [[ $(job_state "$job" JobState) == PENDING ]] && nodes_idle 1; }
wait_until waits_for_nodes || job_ended "$job" || fail "the job was not queued again, state $(job_state "$job" JobState)"
scontrol update JobId="$job" NumNodes=1 NumTasks=1 || fail "the job cannot be made smaller, state $(job_state "$job" JobState)"
succeeds
grep -q ', 1 nodes (node1), 1 ranks' "$log" || fail "the last start was not on node1 alone"
grep -qE 'resumed after step ([5-9]|[1-9][0-9]+)$' "$log" || fail "the run began anew"
same_losses "$run" undisturbed 1e-10 || fail "the losses are not those of the undisturbed run"
cmp node_failure.csv undisturbed.csv || fail "the ledger is not that of the undisturbed run"
echo "node failure: went on on one node"

# --- Killed in the middle of a checkpoint, on the node that is left, and submitted again: the folder is resumed.
one_node=(--nodes=1 --ntasks-per-node=2)
submit mid_checkpoint "${one_node[@]}" -- "${same_run[@]}" --checkpoint.every_steps 1 --data.ledger=mid_checkpoint.csv
wait_until has_rows "$run" 12 || fail "no steps"
partial() { compgen -G "$run/checkpoints/.step-*.partial" >/dev/null; }
# The ranks are halted first, so that what was seen being written still is when they are killed.
kill_in_checkpoint() {
    local ranks end=$((SECONDS + 300))
    mapfile -t ranks < <(ranks_of mid_checkpoint)
    while ((SECONDS < end)); do # without a pause, which a checkpoint could pass in
        partial || continue
        halt "${ranks[@]}" || return 1
        if partial; then kill -KILL "${ranks[@]}"; return; fi
        kill -CONT "${ranks[@]}"
    done
    return 1
}
scontrol update JobId="$job" Requeue=0 # or its next start would take the folder up
kill_in_checkpoint || fail "no checkpoint was seen being written"
wait_until job_ended "$job" || fail "the job did not end"
grep -q 'the job cannot be queued again' "$log" || fail "the log does not say that the job is not queued again"
partial || fail "the kill came too late: no unfinished checkpoint is there"
submit mid_checkpoint "${one_node[@]}" -- "${same_run[@]}" --checkpoint.every_steps 1 --data.ledger=mid_checkpoint.csv
succeeds
grep -qE 'resumed after step [1-9]' "$log" || fail "the run began anew"
same_losses "$run" undisturbed 1e-10 || fail "the losses are not those of the undisturbed run"
cmp mid_checkpoint.csv undisturbed.csv || fail "the ledger is not that of the undisturbed run"
echo "killed in a checkpoint: resumed"
