#!/usr/bin/env bash
# mpirun, except that Ctrl-C and TERM end a run well: mpirun itself kills its ranks at once.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: launch/run.sh [mpirun options] -- COMMAND [gondola options]
       launch/run.sh -n 4 -- train --config quickstart --run.folder runs/first

Runs `gondola COMMAND` under mpirun.  Ctrl-C and TERM become USR1, which mpirun hands to every rank:
they agree on a step, write a checkpoint and exit with 75.  A second Ctrl-C ends them at once.

GONDOLA names another program than that of the checkout or of the installation that this script is in;
MPIRUN another mpirun.
USAGE
}

options=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --) break ;;
        *) options+=("$1") ;;
    esac
    shift
done
(($# > 1)) || { usage >&2; exit 64; }
shift

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
gondola=${GONDOLA:-$root/build/release/bin/gondola}
[[ -n ${GONDOLA-} || -x $gondola || ! -x $root/../../bin/gondola ]] || gondola=$(realpath "$root/../../bin/gondola")
[[ -x $gondola ]] || {
    echo "run: $gondola is not there: launch/setup.sh builds it, or name it with GONDOLA." >&2
    exit 66
}
mpirun=${MPIRUN:-mpirun}
command -v "$mpirun" >/dev/null || {
    echo "run: $mpirun was not found: launch/setup.sh installs it, or name it with MPIRUN." >&2
    exit 66
}

if "$mpirun" --version 2>/dev/null | grep -qE 'Open MPI|OpenRTE'; then
    # Ranks share the node's cores between themselves; bound to one core each they could not.
    options=(--bind-to none "${options[@]}")
    [[ $(id -u) != 0 ]] || options=(--allow-run-as-root "${options[@]}")
fi

# shellcheck source=launch/wait_through_signals.sh
. "$root/launch/wait_through_signals.sh"
asked=false told=false interrupted=false pid=''
# shellcheck disable=SC2317  # called by the traps
send() { [[ -z $pid ]] || kill "-$1" "$pid" 2>/dev/null || true; }
# shellcheck disable=SC2317
tell() { told=true; send USR1; }
# shellcheck disable=SC2317
stop() {
    interrupted=true
    if $asked; then
        echo "run: ending at once" >&2
        send TERM
    else
        asked=true
        echo "run: stopping after this step; once more to end at once" >&2
        tell
    fi
}
trap stop INT TERM
trap 'interrupted=true; tell' USR1

# In a process group of its own mpirun does not get the terminal's Ctrl-C.
set -m
"$mpirun" "${options[@]}" "$gondola" "$@" </dev/null &
pid=$!
set +m
! $told || send USR1  # what came before there was a process to hand it to

wait_through_signals "$pid"
exit "$status"
