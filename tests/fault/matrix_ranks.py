"""Rows of the fault matrix: what happens to ranks and between them."""

import json
import os
import re
import signal
import struct
import subprocess
from dataclasses import replace

from faulty_run import GRACE, RANKS, SHORT, TIMEOUT
from matrix_row import HELD, PHASES, Row, at, death, send, stop
from processes import deliver
from processes import send as send_to
from training import Point
from two_networks import TwoNetworks, why_not
from world import SLACK

SLOW = 1.5  # times the usual: what GondolaStraggler alerts of


def kills():
    for rank in (0, 2):
        for phase in PHASES:
            yield Row(f"kill-rank-{rank}-{phase.replace(' ', '-')}", f"SIGKILL of rank {rank}", phase,
                      137, death(rank), at(phase, rank), send(rank, signal.SIGKILL),
                      resume={0: 2, 2: 3}[rank],
                      ci=(rank, phase) in {(0, "checkpoint"), (2, "all-reduce")})


def losses_of_a_rank():
    def does(rank, what, phase):
        return replace(at(phase, rank), do=what)

    for rank, phase in ((0, "inner pass"), (2, "all-reduce"), (3, "data wait")):
        yield Row(f"stop-rank-{rank}", f"SIGSTOP of rank {rank}", phase, 76,
                  rf"gondola: .*rank {rank} does not answer", at(phase, rank),
                  send(rank, signal.SIGSTOP), options=SHORT, within=TIMEOUT + GRACE + SLACK,
                  ci=rank == 2)
    # The gradient is on its way while the ranks compute its origin part.
    shared = {"latent.path": "shared_origin"}
    yield Row("kill-overlapped", "SIGKILL of rank 2", "all-reduce under way", 137, death(2),
              at("all-reduce", 2), send(2, signal.SIGKILL), options=shared, resume=3)
    yield Row("stop-overlapped", "SIGSTOP of rank 2", "all-reduce under way", 76,
              r"gondola: .*rank 2 does not answer", at("all-reduce", 2), send(2, signal.SIGSTOP),
              options=SHORT | shared, within=TIMEOUT + GRACE + SLACK)
    yield Row("segv", "SIGSEGV in rank 1", "inner pass", 139, death(1),
              does(1, "segv", "inner pass"), ci=True)
    yield Row("abort", "abort() in rank 1", "optimiser", 134, death(1), does(1, "abort", "optimiser"))
    yield Row("exception", "exception in rank 2", "inner pass", 70,
              "gondola: rank 2: thrown by the test", does(2, "throw", "inner pass"))
    yield Row("loop", "endless loop in rank 3", "inner pass", 76,
              r"gondola: .*rank 3 is alive at step 13 but has come to collective \d+ only",
              does(3, "spin", "inner pass"), options=SHORT, within=TIMEOUT + GRACE + SLACK, ci=True)


def signals():
    def to_launcher(number, times=1):
        """Which has USR1 sent to all ranks."""
        def act(run):
            for _ in range(times):
                deliver(signal.SIGUSR1, run.pids.values(), lambda: run.process.send_signal(number))
            run.release()
        return act

    def to_launcher_until_it_ends_all(number, times):
        def act(run):
            for _ in range(times - 1):
                deliver(signal.SIGUSR1, run.pids.values(), lambda: run.process.send_signal(number))
            run.process.send_signal(number)  # and the rank that is held never goes on
        return act

    def to_all(number):
        def act(run):
            deliver(number, run.pids.values(), lambda: send_to(number, run.pids.values()))
        return act

    stopped = "stopped on request after step 13"
    names = {signal.SIGUSR1: "USR1", signal.SIGTERM: "TERM", signal.SIGINT: "INT"}
    for number in (signal.SIGUSR1, signal.SIGTERM):
        name = names[number]
        yield Row(f"{name.lower()}-one", f"SIG{name} to rank 2", "inner pass", 75, stopped, HELD,
                  stop([2], number), ci=number == signal.SIGUSR1)
        yield Row(f"{name.lower()}-all", f"SIG{name} to all ranks", "inner pass", 75, stopped, HELD,
                  stop(range(RANKS), number))
        yield Row(f"{name.lower()}-twice", f"SIG{name} to rank 2, twice", "inner pass", 75, stopped,
                  HELD, stop([2], number, times=2))
    yield Row("usr1-launcher", "SIGUSR1 to mpirun", "inner pass", 75, stopped, HELD,
              to_launcher(signal.SIGUSR1))
    yield Row("usr1-launcher-twice", "SIGUSR1 to mpirun, twice", "inner pass", 75, stopped, HELD,
              to_launcher(signal.SIGUSR1, times=2))
    for number in (signal.SIGTERM, signal.SIGINT):
        name = names[number]
        yield Row(f"{name.lower()}-launcher", f"SIG{name} to launch/run.sh", "inner pass", 75,
                  stopped, HELD, to_launcher(number), through_script=True)
        yield Row(f"{name.lower()}-launcher-twice", f"SIG{name} to launch/run.sh, twice",
                  "inner pass", 1, "run: ending at once", HELD,
                  to_launcher_until_it_ends_all(number, times=2), through_script=True)
        yield Row(f"{name.lower()}-mpirun", f"SIG{name} to mpirun itself", "inner pass", 1,
                  None, HELD, to_launcher_until_it_ends_all(number, times=1))
    yield Row("int-one", "SIGINT to rank 2", "inner pass", 130, death(2), HELD,
              send(2, signal.SIGINT))
    yield Row("int-all", "SIGINT to all ranks", "inner pass", 130, death(r"\d"), HELD,
              to_all(signal.SIGINT))


def numbers():
    def one_pixel_is_infinite(folder):
        made = subprocess.run([os.environ["GONDOLA_MAKE_DATASET"], folder / "floats.h5", "floats"],
                              check=False)
        assert made.returncode == 0
        data = (folder / "floats.h5").read_bytes()
        negative, infinite = struct.pack("<f", -0.5), struct.pack("<f", float("inf"))
        assert data.count(negative) == 1
        (folder / "floats.h5").write_bytes(data.replace(negative, infinite))

    yield Row("inf-pixel", "one pixel of a dataset is infinite", "start", 65,
              "gondola: .*floats.h5", prepare=one_pixel_is_infinite,
              options={"data.path": "floats.h5"}, resume=None, compares=False, within=60)
    yield Row("nan-gradient", "NaN in the gradient of rank 2", "all-reduce", 0,
              "gondola: .*step 13.*not finite", Point("gradient", 2, do="nan"), resume=None,
              up_to=13, within=60)
    yield Row("nan-loss", "NaN in the loss of rank 2", "inner pass", 0,
              "gondola: .*step 13.*not finite", Point("loss", 2, do="nan"), resume=None,
              up_to=12, within=60)
    check = {"parallel.check_every": 1}
    yield Row("nan-weights", "NaN in the weights of rank 2", "optimiser", 76,
              r"gondola: .*rank 2\b", Point("weights", 2, do="nan"), options=check)
    yield Row("bit-flip", "bit flip in the weights of rank 2", "optimiser", 76,
              r"gondola: .*rank 2\b", Point("weights", 2, do="flip"), options=check, ci=True)


def slowness():
    def named(run):
        """Waits until the metrics of rank 0 say that rank 1 is slow."""
        def is_named():
            try:
                scrape = run.endpoint("/metrics")
            except OSError:
                return False
            found = re.search(r'^gondola_rank_slowness_ratio{.*rank="1".*} ([1-9].*)$', scrape,
                              re.MULTILINE)
            if found and float(found[1]) > SLOW:
                run.seen = found[0]
            return run.seen != ""

        run.wait_for(is_named, "rank 1 is named as slow")
        run.seen += f" in step {json.loads(run.endpoint('/healthz'))['step']}"

    yield Row("slow-rank", "200 ms delay in rank 1, from step 3 on", "inner pass", 0,
              r"gondola_rank_slowness_ratio.*in step", Point("inner", 1, 3, "delay"), named,
              resume=None, within=60, ci=True)


def network():
    def cut(run):
        run.machines.cut()
        run.release()

    yield Row("link-down", "link down between two machines of two ranks", "inner pass", 76,
              r"gondola: rank 0: .*ranks 2, 3 do not answer", HELD, cut,
              options={**SHORT, "monitoring.bind": "0.0.0.0", "monitoring.token_file": "token"},
              machines=TwoNetworks, within=TIMEOUT + 60, needs=why_not)


def rank_rows():
    return [row for rows in (kills, losses_of_a_rank, signals, numbers, slowness, network)
            for row in rows()]
