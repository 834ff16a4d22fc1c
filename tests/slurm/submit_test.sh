#!/usr/bin/env bash
# submit_test.sh CHECKOUT GONDOLA
#
# launch/slurm/submit.sh in a throw-away Slurm cluster: the script it makes, a job that runs to its end,
# and a sentence with the cure for each bad request.
set -euo pipefail

[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
export GONDOLA=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"

# A checkout of its own, for its site.sh.
mkdir -p checkout/launch
cp -r "$2/launch/slurm" "$2/launch/restart_policy.sh" checkout/launch
rm -f checkout/launch/slurm/site.sh
submit=checkout/launch/slurm/submit.sh
run=("${small_run[@]}" --trainer.batch_size 8 --model.hidden 8 --trainer.steps 5 --checkpoint.every_steps 0)

refused() { # CODE TEXT WORDS...
    local code=0
    "$submit" "${@:3}" >out 2>&1 || code=$?
    [[ $code == "$1" ]] && grep -qF -- "$2" out && [[ $(wc -l <out) == 1 ]] && return
    cat out
    fail "'${*:3}' ended with $code, not with $1 and one sentence '$2'"
}
refused 64 "no partition 'al' here: choose one of all closed with --partition" --partition al -- "${run[@]}"
refused 64 'and none was given: name one with --account' --partition closed -- "${run[@]}"
refused 64 'and chemistry was given' --partition closed --account chemistry -- "${run[@]}"
refused 66 'did you mean quickstart?' -- --config quikstart
refused 64 'did you mean --trainer.steps?' -- "${run[@]}" --trainer.step 5
refused 64 '4 nodes x 3 ranks are 12 ranks, more than a batch of 8' --nodes 4 --tasks-per-node 3 -- "${run[@]}"
refused 64 '3 nodes x 1 ranks are 3 ranks, which do not divide into groups of parallel.coordinate_ranks = 2' \
    --nodes 3 -- "${run[@]}" --parallel.coordinate_ranks 2
refused 64 "has 3 nodes of that kind" --nodes 3 -- "${run[@]}"
refused 64 'does not know of 2 GPUs a node' --gpus-per-node 2 -- "${run[@]}"
refused 64 "--nodes is a number from 1, not 'two'" --nodes two -- "${run[@]}"
refused 64 'unknown option --node:' --node 2 -- "${run[@]}"
refused 64 '--time has no value' --time
refused 64 'the jobs of a sweep take one node each, not 2' --nodes 2 --array 1-3 -- table1
refused 64 "--array is 1-N or 1-N%M" --array 3 -- table1
GONDOLA=$work/nowhere refused 66 'nowhere is not there' -- "${run[@]}"
[[ -z $(squeue --noheader) ]] || fail "a refused job was submitted"

# A cluster without a default partition.
scontrol update PartitionName=all Default=NO
refused 64 'no default partition: choose one of all closed with --partition' -- "${run[@]}"
scontrol update PartitionName=all Default=YES

# The disks of the nodes.
"$submit" --nodes 2 --dry-run -- "${run[@]}" --run.folder /dev/shm/run >script 2>out
grep -q '^submit: warning: the run folder /dev/shm/run is on a disk that each node has for itself' out || fail "no warning of /dev/shm: $(cat out)"
"$submit" --dry-run -- "${run[@]}" --run.folder /dev/shm/run >script 2>out
[[ ! -s out ]] || fail "one node is warned of its own disk: $(cat out)"

# The script: what was asked for, what train.sbatch always asks for, and the options, quoted.
"$submit" --nodes 2 --tasks-per-node=2 --cpus-per-task 1 --time 10 --partition closed --account physics \
    --job-name first --dry-run -- "${run[@]}" --run.folder 'a folder' >script
for line in --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --time=10 --partition=closed --account=physics \
    --job-name=first --requeue --signal=USR1@120 --open-mode=append; do
    grep -qx -- "#SBATCH $line" script || { cat script; fail "the script lacks $line"; }
done
[[ -z $(squeue --noheader) ]] || fail "--dry-run submitted a job"

# The variables of site.sh stand in for options, and lose against them.
cat >checkout/launch/slurm/site.sh <<'SITE'
export SBATCH_PARTITION=closed SBATCH_ACCOUNT=physics SBATCH_TIMELIMIT=7
export NCCL_SOCKET_IFNAME=of-site
SITE
"$submit" --time 9 --dry-run -- "${run[@]}" >out
for line in --time=9 --partition=closed --account=physics; do
    grep -qx -- "#SBATCH $line" out || { cat out; fail "the script lacks $line"; }
done

# A job that is not taken after all is none, with a site.sh as without.
mkdir refusing
cat >refusing/sbatch <<SBATCH
#!/usr/bin/env bash
[[ \$1 != --parsable ]] || exit 1
exec $(command -v sbatch) "\$@"
SBATCH
chmod +x refusing/sbatch
code=0
PATH=$work/refusing:$PATH "$submit" --time 9 -- "${run[@]}" >out 2>&1 || code=$?
{ ((code == 74)) && grep -q 'sbatch did not take the job' out; } || { cat out; fail "a job that was not taken ended with $code"; }

# It runs: from another folder, on four ranks.
"$submit" --nodes 2 --tasks-per-node 2 --cpus-per-task 1 --time 9 --job-name first -- "${run[@]}" --run.folder 'a folder' >out
job=$(sed -nE 's/^submitted job ([0-9]+)$/\1/p' out)
log=$work/gondola-$job.log
succeeds
grep -q 'Partition=closed' <(scontrol show job "$job") || fail "not in the partition of site.sh"
grep -q 'Account=physics' <(scontrol show job "$job") || fail "not on the account of site.sh"
grep -q '2 nodes (node\[1-2\]), 4 ranks, run folder a folder' "$log" || fail "not the ranks that were asked for"
grep -q 'NCCL_SOCKET_IFNAME=of-site' "$log" || fail "site.sh did not reach the job"
has_rows 'a folder' 5 || fail "the run is not whole"
