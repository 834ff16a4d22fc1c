#!/usr/bin/env bash
# launch/run.sh, again and again until the run is done or there is no use in trying.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: launch/run-until-done.sh [--restarts K] [--ranks-from COMMAND] [mpirun options] -- train OPTIONS
       launch/run-until-done.sh -n 4 -- train --config quickstart --run.folder runs/first

Runs `gondola train OPTIONS --resume auto` under mpirun through launch/run.sh. When it was stopped after
a checkpoint (exit code 75), lost a rank (76) or a machine (205), or was killed by a signal (137 and
others), it is started again and goes on from the newest checkpoint. Other exit codes are final.

  --restarts K          give up after K restarts in a row without a new checkpoint (3; GONDOLA_RESTARTS)
  --ranks-from COMMAND  before each start COMMAND prints the number of ranks, which may differ from
                        start to start; GONDOLA_START tells it the start (GONDOLA_RANKS_COMMAND)

Ctrl-C and TERM stop the run after a checkpoint, and for good; USR1 stops it after a checkpoint and
starts it again, for example with another number of ranks.
USAGE
}

launch=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/restart_policy.sh
. "$launch/restart_policy.sh"
# shellcheck source=launch/wait_through_signals.sh
. "$launch/wait_through_signals.sh"
refuse() { echo "run-until-done: $*" >&2; exit 64; }

mpirun_options=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --restarts) GONDOLA_RESTARTS=${2-} ; shift ;;
        --ranks-from) GONDOLA_RANKS_COMMAND=${2-}; shift ;;
        --) break ;;
        *) mpirun_options+=("$1") ;;
    esac
    shift || break
done
(($# > 1)) || { usage >&2; exit 64; }
shift
[[ ${GONDOLA_RESTARTS:-3} =~ ^[0-9]+$ ]] || refuse "--restarts is a number from 0, not '$GONDOLA_RESTARTS'."
[[ $1 == train ]] || refuse "only 'train' can be gone on with, not '$1': run it with launch/run.sh."
folder=$(option_value run.folder "$@") ||
    refuse "without --run.folder a restart does not find its checkpoints: name a folder."
folder=$(without_slash "$folder")
resume=()
option_value resume "$@" >/dev/null || option_value run.resume "$@" >/dev/null || resume=(--resume auto)

pid='' asked=false interrupted=false
# shellcheck disable=SC2317  # called by the traps
send() { interrupted=true; [[ -z $pid ]] || kill "-$1" "$pid" 2>/dev/null || true; }
trap 'asked=true; send TERM' INT TERM
trap 'send USR1' USR1

restart_forget "$folder"
for ((start = 1; ; ++start)); do
    ranks=()
    if [[ -n ${GONDOLA_RANKS_COMMAND-} ]]; then
        count=$(restart_ranks '' "$start") || exit 64
        ranks=(-n "$count")
    fi
    restart_begin "$folder" || exit 1
    restart_words "$folder" "$@" "${resume[@]}"
    ! $asked || exit "${status:-130}"
    # In a process group of its own launch/run.sh does not get the terminal's Ctrl-C a second time.
    set -m
    "$launch/run.sh" "${mpirun_options[@]}" "${ranks[@]}" -- "${restarted_words[@]}" &
    pid=$!
    set +m
    ! $asked || send TERM
    wait_through_signals "$pid"
    pid=''
    ! $asked || exit "$status"
    restart_wanted "$folder" "$status" || { restart_forget "$folder"; exit "$status"; }
done
