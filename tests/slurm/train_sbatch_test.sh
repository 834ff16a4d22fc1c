#!/usr/bin/env bash
# train_sbatch_test.sh CHECKOUT GONDOLA
#
# launch/slurm/train.sbatch on two nodes of a throw-away Slurm cluster: its time limit, input that no
# restart mends, a run that always dies, a run folder that one node alone sees; and how the program is
# started beside it: without PMIx, and by mpirun inside a job.
set -euo pipefail

if [[ ${1-} != --in-slurm ]]; then
    mkdir -p /run/gondola-local-disk
    trap 'rm -rf /run/gondola-local-disk' EXIT
    "$(dirname "$0")/with-slurm.sh" --local-disk /run/gondola-local-disk "$0" --in-slurm "$@"
    exit
fi
checkout=$2
export GONDOLA=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"

# --- The time limit: USR1 comes before it, the job is queued again and goes on. Slurm, which looks every 30
# seconds, sends it between 60 and 90 seconds after the start, when the ranks are training on a busy machine too.
submit limit --time=3 --signal=USR1@90 -- --trainer.batch_size 8 --model.hidden 8 \
    --trainer.steps 10000000 --checkpoint.every_steps 0
wait_until job_restarts "$job" 1 || job_ended "$job" || fail "the job was not queued again"
job_restarts "$job" 1 || fail "the job ended without a restart, in state $(job_state "$job" JobState)"
stopped_at=$(sed -nE 's/^stopped on request after step ([0-9]+);.*/\1/p' "$log" | head -n 1)
wait_until grep -qs 'resumed after step' "$log" || fail "the second start did not go on"
grep -q 'stopped on request after a checkpoint (75)' "$log" || fail "the first start wrote no checkpoint on USR1"
grep -q "resumed after step $stopped_at\$" "$log" || fail "the second start did not go on from step $stopped_at"
# Both starts are in one log, both nodes took part.
for start in 1 2; do
    grep -q "start $start, 2 nodes (node\[1-2\]), 2 ranks" "$log" || fail "start $start is not in the log"
done
for node in node1 node2; do
    grep -q "$node" "$run/prometheus/targets.json" || fail "$node is not in $(cat "$run/prometheus/targets.json")"
done
scancel "$job"
wait_until job_ended "$job" || fail "the job did not end on scancel"
grep -q 'NCCL_SOCKET_IFNAME' "$log" || fail "the log does not name the variables of the network"
! grep -q 'warning' "$log" || fail "a folder that all nodes see was warned of"
echo "time limit: stopped at step $stopped_at and went on"

# --- What no restart mends is not started again.
submit bad_input -- --trainer.batch_size 8 --model.hidden 8 --data.path nowhere.h5 # given twice
wait_until job_ended "$job" || fail "the job did not end"
[[ $(job_state "$job" ExitCode) == 64:0 && $(job_state "$job" Restarts) == 0 ]] ||
    fail "exit code $(job_state "$job" ExitCode) after $(job_state "$job" Restarts) restarts, not 64 after none"
grep -q 'ended with 64 (bad command line or configuration): not started again' "$log" || fail "the log does not say so"

# One rank's own end counts, not the signal that ends the others for it.
cat >one_rank_fails <<'PROGRAM'
#!/usr/bin/env bash
[[ $* != *--print-config ]] || exit 0
echo $SLURM_PROCID >>starts
if [[ $SLURM_PROCID == 1 ]]; then
    until grep -qx 0 starts; do sleep 0.1; done
    exit 74
fi
sleep 600
PROGRAM
chmod +x one_rank_fails
GONDOLA=$work/one_rank_fails submit one_rank_fails --
wait_until job_ended "$job" || fail "the job did not end"
[[ $(job_state "$job" ExitCode) == 74:0 && $(sort starts | paste -sd ' ') == '0 1' ]] ||
    fail "exit code $(job_state "$job" ExitCode), starts of ranks $(paste -sd ' ' starts)"

# --- A run that always dies is given up after GONDOLA_RESTARTS restarts.
touch killed
GONDOLA_RESTARTS=1 submit crash_loop -- --trainer.batch_size 8 --model.hidden 8 --trainer.steps 10000000 \
    --checkpoint.every_steps 0
trains_anew() { [[ $run/prometheus/targets.json -nt killed ]] && has_rows "$run" 3; } # rows of the start before are dropped by then
for start in 1 2; do
    wait_until grep -qs "start $start, " "$log" || fail "start $start did not begin"
    wait_until trains_anew || fail "start $start makes no steps"
    touch killed
    kill -KILL "$(ranks_of crash_loop | head -n 1)"
done
wait_until job_ended "$job" || fail "the job did not end"
[[ $(job_state "$job" Restarts) == 1 ]] || fail "$(job_state "$job" Restarts) restarts, not 1"
grep -q '2 starts in a row left no checkpoint newer than the beginning.*given up' "$log" || fail "the log does not say why"

# --- What an INI file or the environment says is not the script's to choose.
"$GONDOLA" train "${small_run[@]}" --trainer.batch_size 8 --model.hidden 8 --checkpoint.every_steps 0 --trainer.steps 2 \
    --monitoring.bind 127.0.0.1 --print-config >own.ini
for steps in 2 3; do # the second job goes on where the first ended
    job=$(GONDOLA_TRAINER_STEPS=$steps GONDOLA_RUN_FOLDER='a folder' sbatch --parsable --nodes=2 --ntasks-per-node=1 \
        "$checkout/launch/slurm/train.sbatch" --config own.ini)
    succeeds
    grep -q 'run folder a folder$' "gondola-$job.log" || fail "the folder was not taken: $(cat "gondola-$job.log")"
done
grep -q 'resumed after step 2$' "gondola-$job.log" || fail "the second job did not go on: $(cat "gondola-$job.log")"
grep -q '"127.0.0.1:' 'a folder/prometheus/targets.json' || fail "not the address of own.ini: $(cat a\ folder/prometheus/targets.json)"

# --- A run folder on a disk that each node has for itself.
submit /run/gondola-local-disk/run -- --trainer.batch_size 8 --model.hidden 8 --trainer.steps 2 --checkpoint.every_steps 0
wait_until job_ended "$job" || fail "the job did not end"
grep -q 'warning: /run/gondola-local-disk is on a disk of node1 alone, not seen by node2' "$log" ||
    fail "the log does not warn of the local disk"

# Where nobody could look, it is not said to be shared.
looks() ( # STATUS: of srun
    root=$checkout SLURM_JOB_ID=1
    . "$root/launch/slurm/job.sh"
    eval "srun() { return $1; }"
    is_shared "$work/run" 2
)
looks 0 || fail "a folder that every node sees is not shared"
! looks 1 2>out || fail "srun failed, and the folder is said to be shared"
grep -q "warning: srun, .* $work is seen there, ended with 1:" out || fail "no word of srun: $(cat out)"

# --- Without PMIx each task would be a world of its own.
for mpi in none pmi2; do
    code=0
    srun --mpi=$mpi --nodes=2 --ntasks=2 "$GONDOLA" train "${small_run[@]}" --trainer.batch_size 8 --trainer.steps 2 \
        --run.folder "mpi_$mpi" >out 2>&1 || code=$?
    [[ $code == 69 && $(grep -c '^gondola: ' out) == 1 ]] || { cat out; fail "--mpi=$mpi ended with $code, or not with one sentence"; }
    grep -q 'Slurm started 2 tasks without PMIx.*srun --mpi=pmix' out || { cat out; fail "--mpi=$mpi is not explained"; }
    [[ ! -e mpi_$mpi ]] || fail "--mpi=$mpi made a run folder"
done

# --- mpirun inside a job.
salloc --nodes=2 --ntasks-per-node=1 "$checkout/launch/run.sh" -n 2 --map-by node -- train "${small_run[@]}" \
    --trainer.batch_size 8 --model.hidden 8 --trainer.steps 20 --parallel.expect_world 2 --run.folder mpirun \
    --monitoring.bind 0.0.0.0 --checkpoint.every_steps 0 >out 2>&1 || { cat out; fail "mpirun inside a job failed"; }
grep -q node2 mpirun/prometheus/targets.json || fail "mpirun did not use node2: $(cat mpirun/prometheus/targets.json)"
