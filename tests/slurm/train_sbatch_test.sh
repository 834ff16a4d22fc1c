#!/usr/bin/env bash
# train_sbatch_test.sh CHECKOUT GONDOLA
#
# launch/slurm/train.sbatch on two nodes of a throw-away Slurm cluster: a run that is told to stop
# writes a checkpoint and exits with 75, the job is queued again, and the second start goes on from
# there to the last step.
set -euo pipefail

if [[ ${1-} != --in-slurm ]]; then
    exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
fi
checkout=$2
export GONDOLA=$3
steps=3000

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    tail -n 40 "$log" >&2 || true
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

job=$(sbatch --parsable --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 \
    "$checkout/launch/slurm/train.sbatch" --data.path synthetic:256x1x8x8 \
    --model.decoder siren --model.hidden 8 --model.layers 2 --latent.size 4 \
    --trainer.batch_size 8 --trainer.steps "$steps" --monitoring.log_every 1 \
    --checkpoint.every_steps 0 --evaluation.every_steps 0 --evaluation.images 16 \
    --monitoring.samples_every 0 --parallel.threads 1)
log=$work/gondola-$job.log
rows=$work/runs/slurm-$job/metrics.jsonl

state() { scontrol show job "$job" | sed -nE "s/.*\<$1=([^ ]*).*/\1/p"; }
wait_until() { # SECONDS COMMAND...: fails after so long
    local end=$((SECONDS + $1))
    while ! "${@:2}"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}
some_rows() { [[ -f $rows ]] && (($(grep -c '"kind":"train"' "$rows") >= 5)); }
ended() { [[ $(state JobState) =~ ^(COMPLETED|FAILED|CANCELLED|NODE_FAIL|TIMEOUT)$ ]]; }
restarted() { (($(state Restarts) > 0)) || ended; }

wait_until 60 some_rows || fail "no steps after a minute"
scancel --signal=USR1 "$job"
wait_until 60 restarted || fail "the job was not queued again"
[[ $(state Restarts) == 1 ]] || fail "the job ended without a restart, in state $(state JobState)"
stopped_at=$(tail -n 1 "$rows" | sed -nE 's/.*"step":([0-9]+).*/\1/p')
((stopped_at < steps)) || fail "the run was over before it was told to stop"

wait_until 120 ended || fail "the second start did not end"
[[ $(state JobState) == COMPLETED && $(state ExitCode) == 0:0 ]] ||
    fail "job state $(state JobState), exit code $(state ExitCode)"

# It stopped by a checkpoint and went on from it, rather than being killed and begun anew.
grep -q 'stopped after a checkpoint' "$log" || fail "the first start wrote no checkpoint on USR1"
grep -q "resumed after step $stopped_at\$" "$log" ||
    fail "the second start did not go on from step $stopped_at"

# Both starts are in one log, both nodes took part, and every step was made once.
grep -q 'start 1, 2 nodes' "$log" || fail "the first start is not in the log"
grep -q 'start 2, 2 nodes' "$log" || fail "the second start is not in the log"
targets=$work/runs/slurm-$job/prometheus/targets.json
grep -q node1 "$targets" || fail "node1 is not in $(cat "$targets")"
grep -q node2 "$targets" || fail "node2 is not in $(cat "$targets")"
grep '"kind":"train"' "$rows" | sed -nE 's/.*"step":([0-9]+).*/\1/p' | diff -q - <(seq "$steps") >/dev/null ||
    fail "the steps in metrics.jsonl are not 1 to $steps, each once"
echo "stopped at step $stopped_at, went on to $steps"
