#!/usr/bin/env bash
# Runs an experiment of configs/experiments: see run_experiment.py --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec python3 -B "$here/run_experiment.py" "$@"
