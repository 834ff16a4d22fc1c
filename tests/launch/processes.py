"""Looks at processes and halts them, so that what was seen of them still holds when something is
done to them."""

import os
import signal
import time
from pathlib import Path

# A shell has what it starts in the background ignore SIGINT, and so would all that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What a test waits for comes at once on an idle machine; only a fault lets it wait for so long.
PATIENCE = 180  # seconds


def wait_for(happened, what, seconds=PATIENCE, every=0.002):
    """Returns what `happened` returns, once that is true."""
    last = time.monotonic() + seconds
    while not (found := happened()):
        if time.monotonic() > last:
            raise AssertionError(f"waited {seconds} seconds until {what}")
        time.sleep(every)
    return found


def _state(stat):
    """Of a process or thread; X where it is gone."""
    try:
        return Path(stat).read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_running(pid):
    """Neither gone nor waiting for its parent to notice that it is."""
    return _state(f"/proc/{pid}/stat") not in "XZ"


def _stands(pid):
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return all(_state(f"/proc/{pid}/task/{thread}/stat") in "TtXZ" for thread in threads)


def send(number, pids):
    """A signal to those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def halt(pids):
    """Returns once no thread of the processes runs any more, calls to the system included."""
    pids = list(pids)
    send(signal.SIGSTOP, pids)
    wait_for(lambda: all(map(_stands, pids)), f"processes {pids} stand still")


def go_on(pids):
    send(signal.SIGCONT, pids)


def _is_pending(pid, number):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return int(pending.split()[1], 16) >> (number - 1) & 1 == 1


def deliver(number, pids, act):
    """`act` makes somebody send the processes a signal: returns once each has handled it."""
    pids = list(pids)
    halt(pids)
    act()
    wait_for(lambda: all(_is_pending(pid, number) for pid in pids), f"signal {number} came to {pids}")
    go_on(pids)
    wait_for(lambda: not any(_is_pending(pid, number) for pid in pids), f"{pids} handled signal {number}")
