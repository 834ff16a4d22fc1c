#!/usr/bin/env bash
# Compares a training step with the same step in PyTorch and JAX: see step.py.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: tests/peers/step.sh [options]

Trains the same implicit GON (SIREN 4x256, 64 images 1x28x28, latents of 32, float32, Adam) by `gondola
bench step`, by PyTorch (eager double backward; the closed form compiled) and by JAX (jit: plain, vmap,
shared origin with scan), each on one core and step by step in turn, and prints one table.

  --folder DIR       the Python environment; what is there is used again (default: gondola-peers among the
                     temporary files)
  --rounds N         turns of each (default: 5)
  --core N           that they run on (default: 1)
  --only NAME        only the peers whose names contain NAME; repeatable
  --gondola PROGRAM  default: build/release/bin/gondola

JAX is installed into DIR/step by pip; PyTorch is that of set-up where it is there.
USAGE
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
folder=${TMPDIR:-/tmp}/gondola-peers
arguments=() gondola=$root/build/release/bin/gondola
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --folder) folder=$2; shift ;;
        --gondola) gondola=$2; shift ;;
        --rounds | --core | --only) arguments+=("$1" "$2"); shift ;;
        *) echo "step: unknown option $1" >&2; usage >&2; exit 64 ;;
    esac
    shift
done
[[ -x $gondola ]] || {
    echo "step: $gondola is not there: launch/setup.sh builds it, or name it with --gondola." >&2
    exit 66
}

# shellcheck source=tests/peers/environment.sh
. "$here/environment.sh"
install_peers() {
    "${pip[@]}" jax
}
make_environment "$root" "$folder/step"
exec "$folder/step/bin/python" -B "$here/step.py" --log "$folder/step.log" --gondola "$gondola" "${arguments[@]}"
