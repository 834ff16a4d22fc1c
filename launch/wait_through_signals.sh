# shellcheck shell=bash
# Sourced by the scripts that hand signals on to what they run.

# wait_through_signals PID: waits until it has ended; `status` is then its exit code.  The caller's traps
# set interrupted=true: a trapped signal ends bash's wait early, and a wait for what was waited for
# already says 127.
wait_through_signals() {
    local code interrupted_before=false
    status=0
    while :; do
        interrupted=false code=0
        wait "$1" || code=$?
        # 127 after a signal: the wait before it was over already and said the status.
        $interrupted_before && ((code == 127)) || status=$code
        $interrupted || break
        interrupted_before=true
    done
}
