#!/usr/bin/env bash
# run_until_done_test.sh CHECKOUT GONDOLA
#
# launch/run-until-done.sh: which exit codes are tried again, with a program that only ends as it is
# told; and a real run of which a rank is killed and whose number of ranks changes.
set -euo pipefail
checkout=$1 gondola=$2
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"
export OMPI_MCA_rmaps_base_oversubscribe=1
run_until_done=$checkout/launch/run-until-done.sh

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"

# Each start of this program takes a line "CODE [CHECKPOINT [ABANDONED]]" of the file plan.
cat >program <<'PROGRAM'
#!/usr/bin/env bash
read -r code checkpoint abandoned < <(sed -n "$(($(wc -l <starts) + 1))p" plan)
echo "$*" >>starts
[[ -z $checkpoint ]] || { mkdir -p "run/checkpoints/$checkpoint"; touch "run/checkpoints/$checkpoint/COMPLETE"; }
[[ -z $abandoned ]] || rm -r "run/checkpoints/$abandoned"
[[ $code != kill ]] || kill -KILL $$
exit "$code"
PROGRAM
# mpirun takes a second for each of the many starts.
cat >in_place_of_mpirun <<'PROGRAM'
#!/usr/bin/env bash
[[ $1 != --version ]] || exit 0
exec "${@:3}" # after -n 1
PROGRAM
chmod +x program in_place_of_mpirun
follows() { # EXIT_CODE STARTS TEXT PLAN_LINE...: what becomes of a plan
    rm -rf run run.restarts
    printf '%s\n' "${@:4}" >plan
    : >starts
    local code=0
    GONDOLA=$work/program MPIRUN=$work/in_place_of_mpirun "$run_until_done" -n 1 -- train --run.folder run >out 2>&1 || code=$?
    [[ $code == "$1" && $(wc -l <starts) == "$2" ]] ||
        { cat out; fail "plan '${*:4}': exit code $code after $(wc -l <starts) starts, not $1 after $2"; }
    grep -q "$3" out || { cat out; fail "plan '${*:4}': '$3' was not said"; }
    [[ ! -e run.restarts ]] || fail "plan '${*:4}': run.restarts was left behind"
}
for code in 64 65 66 69 70 71 74; do
    follows "$code" 1 "ended with $code .*: not started again" "$code" 0
done
follows 1 1 'ended with 1: not started again' 1 0
follows 0 2 'goes on from step-00000005' '75 step-00000005' 0
follows 0 2 'lost a rank (76) without a new checkpoint (start 1 since the beginning)' 76 0
follows 0 2 'lost a machine (205)' 205 0
follows 0 2 'killed by signal 9 (137)' kill 0
follows 0 2 'killed by signal 11 (139)' 139 0
follows 76 4 '4 starts in a row left no checkpoint newer than the beginning.*given up' 76 137 139 76 0
# Progress counts anew: three restarts beyond each checkpoint.
follows 76 7 'no checkpoint newer than step-00000005' 76 76 '76 step-00000005' 76 76 76 76 0
grep -q -- '--run.folder run --resume auto' starts || fail "$(cat starts): --resume auto is missing"

# A checkpoint that is named is where the run begins, until it has one of its own.
rm -rf run
: >starts
printf '%s\n' 76 '76 step-00000005' 0 >plan
GONDOLA=$work/program MPIRUN=$work/in_place_of_mpirun "$run_until_done" -n 1 -- \
    train --resume other/step-00000003 --run.folder run >out 2>&1 || fail "a named checkpoint: exit code $?"
cat >expected <<'STARTS'
train --resume other/step-00000003 --run.folder run
train --resume other/step-00000003 --run.folder run
train --run.folder run --resume auto
STARTS
diff <(sed 's/^.*train/train/' starts) expected || fail "a named checkpoint is taken again, or not"

# It is where a run begins that is taken back, too; coming past its former end once more, the run goes on.
rm -rf run
mkdir -p run/checkpoints/step-00000010
touch run/checkpoints/step-00000010/COMPLETE
: >starts
printf '%s\n' '76 step-00000007 step-00000010' '76 step-00000010' 0 >plan
GONDOLA=$work/program MPIRUN=$work/in_place_of_mpirun "$run_until_done" -n 1 -- \
    train --resume run/checkpoints/step-00000005 --run.folder run >out 2>&1 || fail "taken back: exit code $?"
cat >expected <<'STARTS'
train --resume run/checkpoints/step-00000005 --run.folder run
train --run.folder run --resume auto
train --run.folder run --resume auto
STARTS
diff <(sed 's/^.*train/train/' starts) expected || fail "a run that was taken back begins again"

# A slash at the end of a folder that is not there yet.
rm -rf run
: >starts
printf '%s\n' 76 0 >plan
GONDOLA=$work/program MPIRUN=$work/in_place_of_mpirun "$run_until_done" -n 1 -- train --run.folder run/ >out 2>&1 ||
    { cat out; fail "a slash at the end: exit code $?"; }
[[ $(wc -l <starts) == 2 ]] || fail "a slash at the end: $(cat starts)"

refused() { # TEXT ARGUMENTS...
    local code=0
    "$run_until_done" "${@:2}" >out 2>&1 || code=$?
    { ((code == 64)) && grep -q "$1" out; } || { cat out; fail "'${*:2}' ended with $code"; }
}
refused 'without --run.folder a restart' -n 1 -- train --config quickstart
refused "not 'eval'" -n 1 -- eval run
refused "not 'many'" --restarts many -n 1 -- train --run.folder run
refused "'echo none', printed 'none'" --ranks-from 'echo none' -- train --run.folder run

# A real run: undisturbed on two ranks; then rank 1 is killed, and it goes on on one rank, after USR1 on
# two again.
export GONDOLA=$gondola
run=("${small_run[@]}" --trainer.steps 200 --trainer.precision float64 --trainer.batch_size 64
    --model.hidden 128 --checkpoint.every_steps 5)
ledger() { echo "--data.ledger=$1.csv"; }
"$checkout/launch/run.sh" -n 2 -- train "${run[@]}" --run.folder undisturbed "$(ledger undisturbed)" >out 2>&1 ||
    { cat out; fail "the undisturbed run failed"; }
log=$work/disturbed.log
printf '2\n1\n2\n' >ranks
# shellcheck disable=SC2016
"$run_until_done" --ranks-from 'sed -n "${GONDOLA_START}p" ranks' -- \
    train "${run[@]}" --run.folder disturbed_by_kill "$(ledger disturbed_by_kill)" >"$log" 2>&1 &
pid=$!
wait_until has_rows disturbed_by_kill 12 || fail "no steps"
kill -KILL "$(ranks_of disturbed_by_kill | tail -n 1)"
wait_until grep -q '^restart: ' "$log" || fail "the killed rank went unnoticed"
reached=$(rows disturbed_by_kill)
wait_until has_rows disturbed_by_kill $((reached + 10)) || fail "the second start makes no steps"
kill -USR1 "$pid"
code=0
wait "$pid" || code=$?
((code == 0)) || fail "run-until-done.sh ended with $code"
[[ $(grep -c '^restart: ' "$log") == 2 ]] || fail "not two restarts: $(grep '^restart: ' "$log")"
echo "resumed after steps $(sed -nE 's/.*resumed after step ([0-9]+)$/\1/p' "$log" | paste -sd ' ')"
same_losses disturbed_by_kill undisturbed 1e-10 || fail "the losses are not those of the undisturbed run"
cmp disturbed_by_kill.csv undisturbed.csv || fail "the ledger is not that of the undisturbed run"
