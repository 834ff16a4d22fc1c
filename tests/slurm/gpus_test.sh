#!/usr/bin/env bash
# gpus_test.sh CHECKOUT GONDOLA
#
# The same batch script on nodes with GPUs: one rank for each GPU, all GPUs of a node for each of its ranks.
# The GPUs are Slurm's word for it, so the ranks compute on CPUs.
set -euo pipefail

[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" --gpus 2 "$0" --in-slurm "$@"
checkout=$2 program=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"
cat >wrapper <<PROGRAM
#!/usr/bin/env bash
[[ -z \${SLURM_PROCID-} || \$* == *--print-config ]] || echo "rank \$SLURM_PROCID on \$SLURMD_NODENAME sees \${CUDA_VISIBLE_DEVICES-}," >>ranks
exec "$program" "\$@"
PROGRAM
chmod +x wrapper
export GONDOLA=$work/wrapper

"$checkout/launch/slurm/submit.sh" --nodes 2 --gpus-per-node 2 --time 5 -- "${small_run[@]}" --trainer.batch_size 8 \
    --model.hidden 8 --trainer.steps 5 --checkpoint.every_steps 0 --parallel.device cpu --run.folder run >out
job=$(sed -nE 's/^submitted job ([0-9]+)$/\1/p' out)
log=$work/gondola-$job.log
succeeds
grep -q '2 nodes (node\[1-2\]), 4 ranks' "$log" || fail "not one rank for each GPU"
[[ $(sort ranks | paste -sd ' ') == 'rank 0 on node1 sees 0,1, rank 1 on node1 sees 0,1, rank 2 on node2 sees 0,1, rank 3 on node2 sees 0,1,' ]] ||
    fail "the ranks are $(sort ranks | paste -sd ' ')"
has_rows run 5 || fail "the run is not whole"

# Tasks that sbatch alone is asked for, by GPUs in place of tasks.
rm ranks
job=$(sbatch --parsable --nodes=1 --gpus-per-node=2 --cpus-per-gpu=1 "$checkout/launch/slurm/train.sbatch" "${small_run[@]}" --trainer.batch_size 8 \
    --model.hidden 8 --trainer.steps 5 --checkpoint.every_steps 0 --parallel.device cpu --run.folder alone)
log=$work/gondola-$job.log
succeeds
grep -q '1 nodes (node[12]), 2 ranks' "$log" || fail "not one rank for each GPU of the node"

code=0
"$checkout/launch/slurm/submit.sh" --gpus-per-node 3 -- "${small_run[@]}" --trainer.batch_size 8 --trainer.steps 5 >out 2>&1 || code=$?
[[ $code == 64 ]] || fail "3 GPUs of 2 ended with $code"
grep -q '^submit: no set of nodes in partition (default) has 1 nodes of that kind' out || { cat out; fail "3 GPUs of 2 are not explained"; }
