# shellcheck shell=bash
# What the tests in this folder share.

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    [[ ! -f ${log-} ]] || tail -n 40 "$log" >&2
    exit 1
}

# wait_until COMMAND...: fails after five minutes, which only a fault takes.
wait_until() {
    local end=$((SECONDS + 300))
    while ! "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# ranks_of RUN_FOLDER: the processes on this machine that train there.
ranks_of() { pgrep -f "^$GONDOLA train .*--run\.folder $1( |\$)"; }

# halt PID...: returns once no thread of these processes runs any more, calls to the system included, so that
# what is seen then still holds when something is done to them.
halt() {
    local pid
    kill -STOP "$@" || return 1
    for pid; do
        while grep -qsvE '^[0-9]+ \(.*\) [tTXZ] ' "/proc/$pid/task/"*/stat; do sleep 0.01; done
    done
}

# Options of a small run; batch size, model.hidden, steps and checkpoint.every_steps are left to the test.
# shellcheck disable=SC2034
small_run=(--data.path synthetic:256x1x8x8 --model.decoder siren --model.layers 2 --latent.size 4
    --monitoring.log_every 1 --monitoring.samples_every 0 --evaluation.every_steps 0
    --evaluation.images 16 --parallel.threads 1)

rows() { # RUN_FOLDER: training rows that are there
    grep -c '"kind":"train"' "$1/metrics.jsonl" 2>/dev/null || true
}
has_rows() { local count; count=$(rows "$1"); ((${count:-0} >= $2)); } # RUN_FOLDER COUNT

job_state() { # JOB FIELD
    scontrol show job "$1" | sed -nE "s/.*\<$2=([^ ]*).*/\1/p" | head -n 1
}
job_ended() { [[ $(job_state "$1" JobState) =~ ^(COMPLETED|FAILED|CANCELLED|NODE_FAIL|TIMEOUT)$ ]]; }
job_running() { [[ $(job_state "$1" JobState) == RUNNING ]]; }
job_restarts() { (($(job_state "$1" Restarts) >= $2)); } # JOB COUNT
job_succeeded() { [[ $(job_state "$1" JobState) == COMPLETED && $(job_state "$1" ExitCode) == 0:0 ]]; }

nodes_idle() { [[ $(sinfo --noheader --partition=all --Node --format=%t | grep -c '^idle$') == "$1" ]]; } # COUNT

# same_losses RUN_FOLDER RUN_FOLDER TOLERANCE: both have the same steps, each once, and their losses
# differ by no more than TOLERANCE, relatively.
same_losses() {
    python3 - "$@" <<'PYTHON'
import json, sys

def losses(run):
    with open(run + "/metrics.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [(row["step"], row["loss"]) for row in rows if row["kind"] == "train"]
    steps = [step for step, _ in rows]
    if steps != list(range(1, len(steps) + 1)):
        sys.exit(f"the steps of {run} are not 1 to {len(steps)}, each once")
    return [loss for _, loss in rows]

ours, theirs = losses(sys.argv[1]), losses(sys.argv[2])
if len(ours) != len(theirs) or not ours:
    sys.exit(f"{len(ours)} steps against {len(theirs)}")
worst = max(abs(a - b) / max(abs(b), 1e-300) for a, b in zip(ours, theirs))
print(f"{len(ours)} steps, largest relative difference of the losses {worst:.3g}")
sys.exit(worst > float(sys.argv[3]))
PYTHON
}

# submit FOLDER SBATCH_OPTIONS... -- TRAIN_OPTIONS...: a job of train.sbatch on two nodes; sets job, log
# and run.
submit() {
    local words=() folder=$1
    shift
    while [[ $1 != -- ]]; do words+=("$1"); shift; done
    shift
    job=$(sbatch --parsable --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 "${words[@]}" \
        "${checkout:?}/launch/slurm/train.sbatch" "${small_run[@]}" --run.folder "$folder" "$@")
    # shellcheck disable=SC2034
    log=$PWD/gondola-$job.log run=$folder
}

succeeds() { # so does the job
    wait_until job_ended "$job" || fail "the job did not end, state $(job_state "$job" JobState)"
    job_succeeded "$job" || fail "job state $(job_state "$job" JobState), exit code $(job_state "$job" ExitCode)"
}
