#!/usr/bin/env bash
# Sets Gondola up and runs its tests.  The last line is "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'USAGE'
Usage: tests/run.sh [--all] [--slurm] [--dashboards] [ctest arguments]

  --all      also the tests labelled long, and, where no ctest arguments choose tests, those that the
             sanitizers are for, in builds of their own (build/debug, build/tsan: an hour on two cores)
  --slurm    install Slurm first, so that the tests labelled slurm are not skipped
  --dashboards
             install Prometheus and Chromium first, likewise for those labelled dashboards
  -h, --help this text

Other arguments go to ctest: -R NAME runs tests by name, -L LABEL by label (dashboards, fuzz, gpu, long, slurm, style, threads).
A folder ../shared with more golden files and data is used where it lies beside the checkout.
USAGE
}

filter=(-LE '^long$')
sanitize=false
setup=()
while (($#)); do
    case $1 in
        --all) filter=() sanitize=true ;;
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

(($# == 0)) || sanitize=false

# run_tests FILE ARGUMENTS...: ctest with results in FILE.  All output is kept, because the summary
# counts the cases that the programs print.
results=()
run_tests() {
    local file=$PWD/$1
    rm -f "$file"
    ctest --output-on-failure --test-output-size-passed 100000000 --test-output-size-failed 100000000 \
        --output-junit "$file" "${@:2}" || true
    [[ -f $file ]] || { echo "tests: ctest wrote no results" >&2; exit 1; }
    results+=("$file")
}

run_tests build/release/Testing/results.xml \
    --test-dir build/release --parallel "$(nproc)" "${filter[@]}" "$@"
if $sanitize; then
    for preset in debug tsan; do
        cmake --preset "$preset" >"build/$preset.log" 2>&1
        cmake --build --preset "$preset" --parallel "$(nproc)" | tee -a "build/$preset.log" | tail -n 1
        run_tests "build/$preset/Testing/results.xml" --preset "$preset"
    done
    # Many damaged files, with the address sanitizer.
    run_tests build/debug/Testing/fuzz_results.xml --test-dir build/debug -L '^fuzz$'
fi
echo
exec python3 tests/summary.py "${results[@]}"
