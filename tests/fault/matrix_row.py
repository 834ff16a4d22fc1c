"""What a row of the fault matrix is."""

from dataclasses import dataclass, field, replace
from typing import Callable, Optional

import namespaces
from faulty_run import GRACE, STEPS
from processes import deliver
from processes import send as send_to
from training import Point
from world import SLACK

NEXT_CHECKPOINT = ".step-00000015"  # of a rank that is held in step 13, while it is written
HELD = Point("inner")  # where nothing but the fault matters
# Where a rank can be held, and in which step; the checkpoint is rank 0's.
PHASES = {
    "data wait": Point("read", file="images.h5"),
    "inner pass": Point("inner"),
    "all-reduce": Point("all_reduce"),
    "optimiser": Point("optimizer"),
    "evaluation": Point("evaluation", step=21),  # after 20 updates
    "checkpoint": Point("sync", step=0, file=NEXT_CHECKPOINT),
}


@dataclass
class Row:
    """One fault.  `act` gets the FaultyRun when the point is reached; a held rank goes on when it
    is released."""
    name: str
    fault: str
    phase: str
    code: int
    said: Optional[str]  # of one line on standard error, or of standard output
    point: Optional[Point] = None
    act: Callable = lambda run: None
    prepare: Callable = lambda folder: None
    clean_up: Callable = lambda folder: None
    # Whether and on how many ranks the run is resumed, after what; None: it makes no sense.
    resume: Optional[int] = 2
    before_resume: Callable = lambda folder: None
    resume_said: Optional[str] = None
    resume_code: int = 0
    # The step up to which the losses are the undisturbed run's; the ledger is in any case.
    up_to: int = STEPS
    compares: bool = True  # that ended with 0: whether it is compared as well
    options: dict = field(default_factory=dict)
    through_script: bool = False
    machines: Optional[Callable] = None  # TwoNetworks, where the ranks run on two machines
    # Nobody is left to remove the shared memory of MPI.
    leaves_segments: bool = False
    within: float = GRACE + SLACK
    needs: Callable = lambda: None  # a reason to skip the row
    ci: bool = False


def death(rank):
    return rf"mpi\w+ noticed that process rank {rank} with PID \d+ .*exited on signal"


def at(phase, rank):
    point = PHASES[phase]
    return point if phase == "checkpoint" else replace(point, rank=rank)


def send(rank, number):
    return lambda run: run.signal(rank, number)


def stop(ranks, number, times=1):
    """The ranks have got the signal, so many times, when a rank that is held goes on."""
    def act(run):
        pids = [run.pids[rank] for rank in ranks]
        for _ in range(times):
            deliver(number, pids, lambda: send_to(number, pids))
        run.release()
    return act


def needs_mounts():
    return None if namespaces.are_own() else "mounting needs root or user namespaces"
