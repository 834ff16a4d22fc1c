#!/usr/bin/env bash
# array_test.sh CHECKOUT GONDOLA
#
# launch/slurm/array.sbatch in a throw-away Slurm cluster: an experiment of three seeds as an array of
# three jobs, one of which is stopped and comes back.
set -euo pipefail

[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
checkout=$2
export GONDOLA=$3 OMPI_MCA_rmaps_base_oversubscribe=1
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"

# A checkout of its own, with an experiment of one row and three seeds.
mkdir -p checkout/configs/experiments images
cp -r "$checkout/launch" checkout
cp -r "$checkout/configs/presets" checkout/configs
cat >checkout/configs/experiments/three-seeds.ini <<'INI'
[experiment]
title = Three seeds
metric = loss
epochs = 500
seeds = 0 1 2

[dataset Small images]
preset = implicit_mnist_small

[row GON]
model.family = gon
INI
python3 - <<'PYTHON'
import struct, random
random.seed(1)
for split, count in (("train", 128), ("t10k", 20)):
    with open(f"images/{split}-images-idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, count, 28, 28) + random.randbytes(count * 28 * 28))
    with open(f"images/{split}-labels-idx1-ubyte", "wb") as file:
        file.write(struct.pack(">II", 0x801, count) + random.randbytes(count))
PYTHON
"$GONDOLA" import idx --input images --output datasets/mnist-28.h5 >out 2>&1 || { cat out; fail "no data set"; }

sweep=(three-seeds --datasets "$work" --output "$work/sweep" -- --parallel.threads 1)
checkout/launch/slurm/submit.sh --array 1-3%2 --cpus-per-task 1 --dry-run -- "${sweep[@]}" >script
grep -qx '#SBATCH --array=1-3%2' script || { cat script; fail "the script is not of an array"; }
submitted=$(checkout/launch/slurm/submit.sh --array 1-3 --cpus-per-task 1 -- "${sweep[@]}")
array=$(sed -nE 's/^submitted job ([0-9]+)$/\1/p' <<<"$submitted")
parts=$(squeue --noheader --array --format=%K --jobs "$array" | sort -n | paste -sd ' ')
[[ $parts == '1 2 3' ]] || fail "the array has parts $parts"

# Part 2 is stopped in its training, and goes on.
run=sweep/gon/small-images/seed-1/run log=$work/gondola-${array}_2.log
wait_until has_rows "$run" 3 || fail "no steps"
# Only a task that runs has a number of its own.
stopped=$(squeue --noheader --array --format='%A %K' --jobs "$array" | sed -nE 's/ 2$//p')
scancel --signal=USR1 --batch "${array}_2"
wait_until job_restarts "$stopped" 1 || job_ended "$stopped" || fail "part 2 was not queued again"
job_restarts "$stopped" 1 || fail "part 2 ended without a restart, in state $(job_state "$stopped" JobState)"
part_ended() {
    local left
    left=$(squeue --noheader --array --format=%K --jobs "$array" 2>&1) || [[ $left == *'Invalid job id'* ]] || return 1
    ! grep -qx "$1" <<<"$left"
}
for number in 1 2 3; do
    log=$work/gondola-${array}_$number.log
    wait_until part_ended "$number" || fail "part $number did not end"
    grep -q "part $number/3" "$log" || fail "the log does not name part $number/3"
    [[ -s sweep/gon/small-images/seed-$((number - 1))/result.json ]] || fail "seed $((number - 1)) was not measured"
done
grep -q 'resumed after step [1-9]' sweep/gon/small-images/seed-1/train.log || fail "seed 1 began anew"
GONDOLA=$GONDOLA checkout/launch/experiments/run.sh --table "${sweep[@]}" >out
grep -qE '^\| GON \| [0-9.e+]+ ± ' out || { cat out; fail "the table does not have three seeds"; }
