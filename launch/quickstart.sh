#!/usr/bin/env bash
# From a fresh machine to a trained model: set-up, Fashion-MNIST, two ranks for about two minutes.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: launch/quickstart.sh [train options]

Sets Gondola up where that is still to do, imports Fashion-MNIST once, trains a small Gradient Origin
Network on two ranks for about two minutes, and says where its pictures, metrics and report are.
Every call makes a run folder of its own.  Options go to `gondola train`: --trainer.steps 200 makes
it short, --run.seed 1 draws another start.
USAGE
}
case ${1-} in -h | --help) usage; exit 0 ;; esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
launch/setup.sh --target gondola
gondola=build/release/bin/gondola

images=/usr/share/datasets/fashion-mnist
dataset=datasets/fashion-mnist-32.h5
if [[ ! -f $dataset ]]; then
    echo "quickstart: importing Fashion-MNIST to $dataset"
    mkdir -p datasets
    "$gondola" import idx --input "$images" --output "$dataset" --size 32 --name fashion-mnist
fi

run=runs/quickstart-$(date +%Y%m%d-%H%M%S)
while [[ -e $run ]]; do run+=x; done
mkdir -p runs
words=${1+$(printf ' %q' "$@")}
echo "quickstart: mpirun -n 2 --oversubscribe $gondola train --config quickstart --run.folder $run$words"
code=0
launch/run.sh -n 2 --oversubscribe -- train --config quickstart --run.folder "$run" "$@" || code=$?
if ((code == 75)); then
    echo "quickstart: stopped with a checkpoint; this goes on from it:"
    echo "  launch/run.sh -n 2 --oversubscribe -- train --config quickstart --run.folder $run --resume auto$words"
fi
exit "$code"
