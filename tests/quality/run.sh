#!/usr/bin/env bash
# Trains the small-budget presets of configs/presets/curves and compares their held-out losses with
# the reference curves of $GONDOLA_SHARED/golden/curves.json.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: tests/quality/run.sh [options] CURVE...

For every CURVE (the name of a preset in configs/presets/curves) and number of ranks: trains it once
a seed, measures the first 1000 test images with batch statistics in groups of 100 and one by one,
and prints the means over the seeds beside their bounds.  Exits 1 where a bound is missed.

  --seeds "0 1 2"      seeds of the runs
  --ranks "1 2"        numbers of ranks, each with one thread a rank
  --folder DIR         keep data sets, runs and measurements here; measurements that lie there
                       already are not made again (default: a temporary folder)
  --gondola PROGRAM    default: build/release/bin/gondola

GONDOLA_SHARED names the folder with golden/curves.json and the files of MNIST and CIFAR-10; without
it nothing is run and the exit code is 77.  GONDOLA_FASHION_MNIST names the folder of Fashion-MNIST's
files (default: /usr/share/datasets/fashion-mnist).
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
seeds="0 1 2" ranks="1 2" folder="" curves=()
gondola=$root/build/release/bin/gondola
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --seeds) seeds=$2; shift ;;
        --ranks) ranks=$2; shift ;;
        --folder) folder=$2; shift ;;
        --gondola) gondola=$2; shift ;;
        -*) echo "quality: unknown option $1" >&2; usage >&2; exit 64 ;;
        *) curves+=("$1") ;;
    esac
    shift
done
((${#curves[@]})) || { usage >&2; exit 64; }
for curve in "${curves[@]}"; do
    [[ -f $root/configs/presets/curves/$curve.ini ]] || {
        echo "quality: configs/presets/curves has no $curve.ini" >&2
        exit 64
    }
done
shared=${GONDOLA_SHARED-}
if [[ ! -f $shared/golden/curves.json ]]; then
    echo "SKIPPED: GONDOLA_SHARED names no folder with golden/curves.json."
    exit 77
fi
fashion=${GONDOLA_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}

if [[ -z $folder ]]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder/datasets" "$folder/runs" "$folder/results"
folder=$(cd "$folder" && pwd)

# Makes the data set that a preset names, such as datasets/mnist-32.h5, in the folder.
import() { # NAME of the data set's file
    local output=$folder/datasets/$1 stem=${1%.h5}
    local size=${stem##*-} format images
    [[ -f $output ]] && return
    case $stem in
        fashion-mnist-*) format=idx images=$fashion ;;
        mnist-*) format=idx images=$shared/data/mnist ;;
        cifar10-batch1-*) format=cifar10 images=$shared/data/cifar-10 ;;
        *) echo "quality: no recipe makes the data set $1" >&2; exit 1 ;;
    esac
    "$gondola" import "$format" --input "$images" --output "$output" --size "$size" \
        >"$folder/import.log"
}

measure() { # CURVE RANKS SEED: writes results/CURVE-ranksRANKS-seedSEED.jsonl
    local name=$1-ranks$2-seed$3
    local run=$folder/runs/$name result=$folder/results/$name.jsonl
    [[ -f $result ]] && return
    rm -rf "$run"
    GONDOLA=$gondola "$root/launch/run.sh" -n "$2" --oversubscribe -- train \
        --config "$root/configs/presets/curves/$1.ini" --data.path "$folder/datasets/$dataset" \
        --run.folder "$run" --run.seed "$3" --parallel.device cpu --parallel.threads 1 \
        --parallel.expect_world "$2" --monitoring.bind off >"$folder/$name.log" 2>&1 || {
        tail -n 5 "$folder/$name.log" >&2
        echo "quality: $name was not trained: see $folder/$name.log" >&2
        exit 1
    }
    # Several inner steps, or noise at the origin, have no encoding of single images under batch norm.
    local eval=("$gondola" eval "$run" --images 1000 --json) group=1
    ! grep -Eq '^(update = descent|family = vgon)' "$root/configs/presets/curves/$1.ini" || group=100
    {
        "${eval[@]}" --statistics batch --group 100
        "${eval[@]}" --statistics independent --group "$group"
    } >"$result.part"
    mv "$result.part" "$result"
}

missed=0
for curve in "${curves[@]}"; do
    dataset=$(sed -n 's|^path *= *datasets/||p' "$root/configs/presets/curves/$curve.ini")
    import "$dataset"
    for world in $ranks; do
        results=()
        for seed in $seeds; do
            measure "$curve" "$world" "$seed"
            results+=("$folder/results/$curve-ranks$world-seed$seed.jsonl")
        done
        python3 "$here/judge.py" "$shared/golden/curves.json" "$curve" "$world" "${results[@]}" ||
            missed=1
    done
done
exit "$missed"
