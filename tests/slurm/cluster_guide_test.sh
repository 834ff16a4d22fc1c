#!/usr/bin/env bash
# cluster_guide_test.sh CHECKOUT GONDOLA
#
# The quick path of docs/cluster.md, copied command by command in a throw-away Slurm cluster. Blocks marked
# `sh run` are run; the words after it say what a reader would wait for:
#
#   submit    the job makes steps          requeued  a further start went on from a checkpoint
#   resumed   the job ends well
#
# The commands of the README's section on clusters are among them.
set -euo pipefail

[[ -d /usr/share/datasets/fashion-mnist ]] || { echo "SKIPPED: Fashion-MNIST is not in /usr/share/datasets."; exit 77; }
[[ ${1-} == --in-slurm ]] || exec "$(dirname "$0")/with-slurm.sh" "$0" --in-slurm "$@"
checkout=$2 program=$3
# shellcheck source=tests/slurm/support.sh
. "$(dirname "$0")/support.sh"

work=$(mktemp -d)
trap 'rm -rf "$work" || true' EXIT
cd "$work"
mkdir -p build/release/bin
ln -s "$program" build/release/bin/gondola
cp -r "$checkout/launch" "$checkout/configs" "$checkout/docs" .
rm -f launch/slurm/site.sh

awk '/^```sh run/ { sub(/^```sh run */, ""); word = $0; file = sprintf("block-%02d", ++n); print word >(file ".word"); inside = 1; next }
     /^```/ { inside = 0 } inside { print >file }' docs/cluster.md
blocks=(block-??)
((${#blocks[@]} == 8)) || fail "${#blocks[@]} blocks in docs/cluster.md are to be run, not 8"
{ [[ -x launch/setup.sh ]] && grep -qx 'launch/setup.sh .*' docs/cluster.md; } || fail "the guide does not say how to build"

run=runs/first starts=1
went_on() { grep -qs "start $starts, " "$log" && (($(grep -c 'resumed after step [1-9]' "$log") == starts - 1)); }
no_job() { [[ -z $(squeue --noheader) ]]; }
for block in "${blocks[@]}"; do
    [[ $(cat "$block.word") != resumed ]] || wait_until no_job || fail "the first job did not end"
    echo "--- $(paste -sd ';' "$block")"
    # In this shell: a block uses the variables of those before it.
    # shellcheck disable=SC1090
    . "./$block" >"$block.out" 2>&1 || { cat "$block.out"; fail "$block of the guide failed"; }
    sed 's/^/    /' "$block.out"
    case $(cat "$block.word") in
        submit)
            job=$(squeue --noheader --format=%A)
            log=$work/gondola-$job.log
            wait_until has_rows "$run" 3 || fail "no steps"
            ;;
        requeued)
            ((++starts))
            wait_until went_on || fail "start $starts did not go on from a checkpoint"
            reached=$(rows "$run")
            wait_until has_rows "$run" $((reached + 3)) || fail "start $starts makes no steps"
            ;;
        resumed)
            job=$(squeue --noheader --format=%A --states=PENDING,RUNNING)
            log=$work/gondola-$job.log
            succeeds
            grep -q 'resumed after step [1-9]' "$log" || fail "the second job began anew"
            grep -q ', 1 nodes (node[12]), 1 ranks, run folder runs/first' "$log" || fail "the second job was not on one node"
            ;;
    esac
done
{ grep -q node1 block-03.out && grep -q node2 block-03.out; } || fail "the guide's targets do not name both nodes"
grep -q psnr block-08.out || fail "the evaluation has no figures"
grep -q 'step-00000400' block-08.out || fail "the evaluated checkpoint is not that of the last step"

# The README shows no other commands than the guide.
sed -n '/^## Clusters/,/^## /p' "$checkout/README.md" | awk '/^```/ { inside = !inside; next } inside' | grep -v '^ *#' >readme
[[ -s readme ]] || fail "the README's section on clusters has no commands"
while IFS= read -r line; do
    grep -qxF -- "$line" "$checkout/docs/cluster.md" || fail "the README's '$line' is not in docs/cluster.md"
done <readme
