# shellcheck shell=bash
# When a run that ended is started again.  Sourced by run-until-done.sh (mpirun) and slurm/train.sbatch.
#
# Started again with --resume auto: 75 (stopped on request after a checkpoint), 76 (a rank was lost),
# 205 (mpirun lost a machine) and deaths by signal, 129 to 192, 137 among them.  Anything else would
# fail again and is not tried.
# A start that leaves no new checkpoint made no progress; after GONDOLA_RESTARTS (3) restarts in a row
# without progress the run is given up.
#
# RUN_FOLDER.restarts holds "STARTS CHECKPOINT FIRST": so many starts since CHECKPOINT became the newest,
# which was FIRST when the first of all starts began, or "-" once the run has left others.  It outlives a job that is killed together with
# this script, so that those starts count as well.

# restart_newest RUN_FOLDER: the name of its newest complete checkpoint, or "none".
restart_newest() {
    local marks=("$1"/checkpoints/step-*/COMPLETE) newest # sorted: the numbers have leading zeros
    [[ -e ${marks[-1]} ]] || { echo none; return; }
    newest=${marks[-1]%/COMPLETE}
    echo "${newest##*/}"
}

# restart_forget RUN_FOLDER: earlier starts no longer count.
restart_forget() { rm -f "$1.restarts"; }

# restart_begin RUN_FOLDER: counts a start; fails, and says why, where the run is to be given up.
restart_begin() {
    local newest starts=0 since='' first=''
    newest=$(restart_newest "$1")
    [[ ! -f $1.restarts ]] || read -r starts since first <"$1.restarts"
    [[ $since == "$newest" ]] || starts=0
    if ((starts > ${GONDOLA_RESTARTS:-3})); then
        restart_give_up "$1" "$starts" "$newest" "was ended from outside"
        return 1
    fi
    [[ -z $first || $first == "$newest" ]] || first=-
    mkdir -p "$(dirname "$1")"
    echo "$((starts + 1)) $newest ${first:-$newest}" >"$1.restarts"
}

# restart_words RUN_FOLDER WORDS...: fills the array restarted_words with the program's words for the start
# that restart_begin counted.  A checkpoint that the user named is where the run began: once the run has
# left others, it goes on from the newest.
restart_words() {
    local newest starts since first='' word
    newest=$(restart_newest "$1")
    read -r starts since first <"$1.restarts"
    shift
    restarted_words=("$@")
    [[ $newest != "$first" ]] || return 0
    restarted_words=()
    while (($#)); do
        word=$1
        shift
        case $word in
            --resume | --run.resume) (($# == 0)) || shift ;;
            --resume=* | --run.resume=*) ;;
            *) restarted_words+=("$word") ;;
        esac
    done
    restarted_words+=(--resume auto)
}

# restart_wanted RUN_FOLDER CODE: whether the run, which ended with CODE, is to be started again; says
# why or why not.
restart_wanted() {
    local newest starts=1 since='' ended
    ended=$(restart_meaning "$2")
    case $2 in
        0) restart_forget "$1"; return 1 ;;
        75 | 76 | 205) ;;
        *) (($2 > 128 && $2 <= 192)) || { echo "restart: the run $ended: not started again." >&2; return 1; } ;;
    esac
    newest=$(restart_newest "$1")
    [[ ! -f $1.restarts ]] || read -r starts since _ <"$1.restarts"
    if [[ $since != "$newest" ]]; then
        echo "restart: the run $ended; it goes on from $newest." >&2
    elif ((starts > ${GONDOLA_RESTARTS:-3})); then
        restart_give_up "$1" "$starts" "$newest" "$ended"
        return 1
    else
        echo "restart: the run $ended without a new checkpoint (start $starts since ${newest/none/the beginning}); it is tried again." >&2
    fi
}

restart_give_up() { # RUN_FOLDER STARTS NEWEST ENDED
    echo "restart: $2 starts in a row left no checkpoint newer than ${3/none/the beginning}, the last one $4:" \
        "given up. Look at the log and at $1/logs, or make checkpoint.every_steps smaller; GONDOLA_RESTARTS allows more." >&2
}

restart_meaning() { # CODE
    case $1 in
        64) echo "ended with 64 (bad command line or configuration)" ;;
        65) echo "ended with 65 (bad dataset or checkpoint)" ;;
        66) echo "ended with 66 (an input is missing)" ;;
        69) echo "ended with 69 (the world is wrong)" ;;
        70) echo "ended with 70 (internal error)" ;;
        71) echo "ended with 71 (training diverged)" ;;
        74) echo "ended with 74 (input or output failed)" ;;
        75) echo "stopped on request after a checkpoint (75)" ;;
        76) echo "lost a rank (76)" ;;
        205) echo "lost a machine (205)" ;;
        *)
            if (($1 > 128 && $1 <= 192)); then
                echo "was killed by signal $(($1 - 128)) ($1)"
            else
                echo "ended with $1"
            fi
            ;;
    esac
}

# restart_ranks DEFAULT START: the number of ranks of this start (from 1).  GONDOLA_RANKS_COMMAND, where
# it is set, is run in bash with GONDOLA_START and prints another one.
restart_ranks() {
    local ranks=$1
    [[ -z ${GONDOLA_RANKS_COMMAND-} ]] || ranks=$(GONDOLA_START=$2 bash -c "$GONDOLA_RANKS_COMMAND")
    if [[ ! $ranks =~ ^[1-9][0-9]*$ ]]; then
        echo "restart: the command for the number of ranks, '$GONDOLA_RANKS_COMMAND', printed '$ranks': it has to print a number from 1." >&2
        return 64
    fi
    echo "$ranks"
}

# without_slash FOLDER: without those at its end, so that names can be made of it.
without_slash() {
    local folder=$1
    while [[ $folder == ?*/ ]]; do folder=${folder%/}; done
    printf '%s\n' "$folder"
}

# option_value NAME WORDS...: the value of option --NAME among the words; fails where it is not there.
option_value() {
    local name=$1 value='' found=1
    shift
    while (($#)); do # two that differ are the program's to refuse
        case $1 in
            "--$name") value=${2-} found=0 ;;
            "--$name="*) value=${1#*=} found=0 ;;
        esac
        shift
    done
    ((found == 0)) && printf '%s\n' "$value"
}
