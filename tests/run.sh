#!/usr/bin/env bash
# Sets Gondola up and runs its tests.  The last line is "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
Usage: tests/run.sh [--all] [--slurm] [--dashboards] [ctest arguments]

  --all      also the tests labelled long
  --slurm    install Slurm first, so that the tests labelled slurm are not skipped
  --dashboards
             install Prometheus and Chromium first, likewise for those labelled dashboards
  -h, --help this text

Other arguments go to ctest: -R NAME runs tests by name, -L LABEL by label (dashboards, gpu, long, slurm, style).
A folder ../shared with more golden files and data is used where it lies beside the checkout.
USAGE
}

filter=(-LE '^long$')
setup=()
while (($#)); do
    case $1 in
        --all) filter=() ;;
        --slurm | --dashboards) setup+=("$1") ;;
        -h | --help) usage; exit 0 ;;
        *) break ;;
    esac
    shift
done

launch/setup.sh "${setup[@]}"

if [[ -z ${GONDOLA_SHARED-} && -d ../shared ]]; then
    GONDOLA_SHARED=$(realpath ../shared)
    export GONDOLA_SHARED
fi

# All output is kept, because the summary counts the cases that the programs print.
results=build/release/Testing/results.xml
rm -f "$results"
ctest --test-dir build/release --parallel "$(nproc)" --output-on-failure \
    --test-output-size-passed 100000000 --test-output-size-failed 100000000 \
    --output-junit "$PWD/$results" "${filter[@]}" "$@" || true
[[ -f $results ]] || { echo "tests: ctest wrote no results" >&2; exit 1; }
echo
exec python3 tests/summary.py "$results"
