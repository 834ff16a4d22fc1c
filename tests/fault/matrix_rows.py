"""The rows of the fault matrix: what happens to a run of four ranks, and what must come of it."""

import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from faulty_run import GRACE, OPTIONS, RANKS, STEPS, TIMEOUT, Point
from training import checkpoints, flags, gondola
from two_networks import TwoNetworks, why_not

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
SLOW = 1.5  # times the usual: what GondolaStraggler alerts of
SLACK = 3  # seconds, on top of the contract


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
    if phase == "checkpoint":
        return point
    return Point(point.point, rank, point.step, point.do, point.file)


def send(rank, number):
    return lambda run: run.signal(rank, number)


def kills():
    for rank in (0, 2):
        for phase in PHASES:
            yield Row(f"kill-rank-{rank}-{phase.replace(' ', '-')}", f"SIGKILL of rank {rank}", phase,
                      137, death(rank), at(phase, rank), send(rank, signal.SIGKILL),
                      resume={0: 2, 2: 3}[rank],
                      ci=(rank, phase) in {(0, "checkpoint"), (2, "all-reduce")})


def losses_of_a_rank():
    def does(rank, what, phase):
        point = at(phase, rank)
        return Point(point.point, rank, point.step, what, point.file)

    for rank, phase in ((0, "inner pass"), (2, "all-reduce"), (3, "data wait")):
        yield Row(f"stop-rank-{rank}", f"SIGSTOP of rank {rank}", phase, 76,
                  rf"gondola: .*rank {rank} does not answer", at(phase, rank),
                  send(rank, signal.SIGSTOP), within=TIMEOUT + GRACE + SLACK, ci=rank == 2)
    yield Row("segv", "SIGSEGV in rank 1", "inner pass", 139, death(1),
              does(1, "segv", "inner pass"), ci=True)
    yield Row("abort", "abort() in rank 1", "optimiser", 134, death(1), does(1, "abort", "optimiser"))
    yield Row("exception", "exception in rank 2", "inner pass", 70,
              "gondola: rank 2: thrown by the test", does(2, "throw", "inner pass"))
    yield Row("loop", "endless loop in rank 3", "inner pass", 76,
              r"gondola: .*rank 3 is alive at step 13 but has come to collective \d+ only",
              does(3, "spin", "inner pass"), within=TIMEOUT + GRACE + SLACK, ci=True)


def signals():
    def to(ranks, number, times=1):
        def act(run):
            for _ in range(times):
                for rank in ranks:
                    run.signal(rank, number)
                time.sleep(0.2)
            run.release()
        return act

    def to_launcher(number, times=1):
        def act(run):
            for _ in range(times):
                run.process.send_signal(number)
                time.sleep(0.5)
            if run.mark.exists():
                run.release()
        return act

    stopped = "stopped on request after step 13"
    names = {signal.SIGUSR1: "USR1", signal.SIGTERM: "TERM", signal.SIGINT: "INT"}
    for number in (signal.SIGUSR1, signal.SIGTERM):
        name = names[number]
        yield Row(f"{name.lower()}-one", f"SIG{name} to rank 2", "inner pass", 75, stopped, HELD,
                  to([2], number), ci=number == signal.SIGUSR1)
        yield Row(f"{name.lower()}-all", f"SIG{name} to all ranks", "inner pass", 75, stopped, HELD,
                  to(range(RANKS), number))
        yield Row(f"{name.lower()}-twice", f"SIG{name} to rank 2, twice", "inner pass", 75, stopped,
                  HELD, to([2], number, times=2))
    yield Row("usr1-launcher", "SIGUSR1 to mpirun", "inner pass", 75, stopped, HELD,
              to_launcher(signal.SIGUSR1))
    yield Row("usr1-launcher-twice", "SIGUSR1 to mpirun, twice", "inner pass", 75, stopped, HELD,
              to_launcher(signal.SIGUSR1, times=2))
    for number in (signal.SIGTERM, signal.SIGINT):
        name = names[number]
        yield Row(f"{name.lower()}-launcher", f"SIG{name} to launch/run.sh", "inner pass", 75,
                  stopped, HELD, to_launcher(number), through_script=True)
        yield Row(f"{name.lower()}-launcher-twice", f"SIG{name} to launch/run.sh, twice",
                  "inner pass", 1, "run: ending at once", HELD, to_launcher(number, times=2),
                  through_script=True)
        yield Row(f"{name.lower()}-mpirun", f"SIG{name} to mpirun itself", "inner pass", 1,
                  None, HELD, to_launcher(number))
    yield Row("int-one", "SIGINT to rank 2", "inner pass", 130, death(2), HELD,
              send(2, signal.SIGINT))
    yield Row("int-all", "SIGINT to all ranks", "inner pass", 130, death(r"\d"), HELD,
              lambda run: [run.signal(rank, signal.SIGINT) for rank in range(RANKS)])


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
    check = {"parallel.check_every": 1}
    yield Row("nan-weights", "NaN in the weights of rank 2", "optimiser", 76,
              r"gondola: .*rank 2\b", Point("weights", 2, do="nan"), options=check)
    yield Row("bit-flip", "bit flip in the weights of rank 2", "optimiser", 76,
              r"gondola: .*rank 2\b", Point("weights", 2, do="flip"), options=check, ci=True)


def needs_mounts():
    return None if "GONDOLA_OWN_MOUNTS" in os.environ else "mounting needs root or user namespaces"


def storage():
    def checkpoints_removed(run):
        shutil.rmtree(run.run / "checkpoints")
        run.release()

    def checkpoints_read_only(run):
        path = run.run / "checkpoints"
        subprocess.run(["mount", "--bind", path, path], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        run.release()

    def writable_again(folder):
        subprocess.run(["umount", "--lazy", folder / "run/checkpoints"], check=True)

    def log_on_full_device(folder):
        (folder / "run/logs").mkdir(parents=True)
        (folder / "run/logs/rank-1.log").symlink_to("/dev/full")

    for error, words in (("ENOSPC", "No space left on device"), ("EIO", "Input/output error")):
        low = error.lower()
        for what, file in (("write", NEXT_CHECKPOINT), ("sync", NEXT_CHECKPOINT)):
            yield Row(f"{low}-checkpoint-{what}", f"{error} on a checkpoint ({what})", "checkpoint",
                      74, f"gondola: .*{words}", Point(what, 0, 13, error, file), within=60)
        for what, file in (("metrics", "metrics.jsonl"), ("table", "metrics.csv"),
                           ("ledger", "ledger.csv")):
            yield Row(f"{low}-{what}", f"{error} on {file}", "after the step", 74,
                      f"gondola: rank 0: cannot write.*{file}.*{words}",
                      Point("write", 0, 13, error, file), within=60,
                      ci=(error, what) == ("EIO", "metrics"))
    yield Row("enospc-log", "ENOSPC on the log of rank 1", "any", 0, "LOG ERROR",
              prepare=log_on_full_device, resume=None, within=60)
    yield Row("checkpoints-removed", "folder of checkpoints removed", "inner pass", 0, None, HELD,
              checkpoints_removed, resume=None, within=60)
    yield Row("checkpoints-read-only", "folder of checkpoints read-only", "inner pass", 74,
              "gondola: .*Read-only file system", HELD, checkpoints_read_only,
              before_resume=writable_again, needs=needs_mounts)


def datasets():
    def truncate(run):
        os.truncate(run.folder / "images.h5", os.path.getsize(run.folder / "images.h5") // 4)
        run.release()

    def write_over(run):
        with open(run.folder / "images.h5", "r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"another image")
        time.sleep(1.2)  # the file's time is looked at once a second
        run.release()

    def put_back(folder):
        shutil.copy(folder.parent / "images.h5", folder / "images.h5")

    def replace(run):
        other = run.folder / "others.h5"
        shutil.copy(run.folder.parent / "others.h5", other)
        os.replace(other, run.folder / "images.h5")
        run.release()

    yield Row("dataset-truncated", "dataset truncated", "data wait", 65,
              r"gondola: .*images.h5.*was cut after it was opened", at("data wait", 1), truncate,
              before_resume=put_back)
    yield Row("dataset-written", "dataset written over", "data wait", 65,
              r"gondola: .*images.h5 was written to after it was opened", at("data wait", 1),
              write_over, before_resume=put_back, ci=True)
    yield Row("dataset-replaced", "dataset replaced by another", "data wait", 0, None,
              at("data wait", 1), replace, resume_code=65,
              resume_said="are not those that the run of checkpoint", within=60)
    yield Row("dataset-unreadable", "EIO on the dataset, rank 3", "data wait", 74,
              r"gondola: rank 3: .*images.h5.*Input/output error",
              Point("read", 3, 13, "EIO", "images.h5"))


def damaged_checkpoints():
    def newest(folder):
        return checkpoints(folder / "run")[-1] / "state.h5"

    def truncated(folder):
        os.truncate(newest(folder), os.path.getsize(newest(folder)) // 2)

    def flipped(folder):
        data = bytearray(newest(folder).read_bytes())
        data[len(data) // 2] ^= 0x10
        newest(folder).write_bytes(data)

    def empty(folder):
        newest(folder).write_bytes(b"")

    def foreign(folder):
        """That of another model, whole in itself."""
        made = gondola("train", *flags(OPTIONS, {
            "run.folder": "foreign", "trainer.steps": 1, "model.hidden": 8, "run.resume": "",
            "data.ledger": ""}), folder=folder)
        assert made.returncode == 0, made.stderr
        shutil.rmtree(newest(folder).parent)
        shutil.copytree(checkpoints(folder / "foreign")[-1], folder / "run/checkpoints/step-00000015")

    for damage in (truncated, flipped, empty):
        yield Row(f"checkpoint-{damage.__name__}", f"newest checkpoint {damage.__name__}", "resume",
                  75, "stopped on request", Point("inner", step=15),
                  lambda run: (run.signal(0, signal.SIGUSR1), run.release()),
                  before_resume=damage, resume=3,
                  resume_said="gondola: passed over: .*step-00000015")
    yield Row("checkpoint-foreign", "newest checkpoint of another model", "resume", 75,
              "stopped on request", Point("inner", step=15),
              lambda run: (run.signal(0, signal.SIGUSR1), run.release()), before_resume=foreign,
              resume_code=64, resume_said="gondola: .*model.hidden")


def jobs():
    def second_job(run):
        second = gondola("train", *run.arguments, folder=run.folder)
        assert second.returncode == 69, second.stderr
        assert re.search(rf"in use by process {run.pids[0]} on ", second.stderr), second.stderr
        run.seen = second.stderr.strip()
        run.release()

    def everything(run):
        for pid in (run.process.pid, *run.pids.values()):
            os.kill(pid, signal.SIGKILL)

    yield Row("two-jobs", "a second job in the run folder", "inner pass", 0,
              "run folder 'run' is in use by process", HELD, second_job, resume=None, within=60)
    yield Row("stale-lock", "SIGKILL of all ranks and mpirun", "inner pass", -signal.SIGKILL, None,
              HELD, everything, leaves_segments=True)


def limits():
    def no_more_files(run):
        number = len(os.listdir(f"/proc/{run.pids[0]}/fd"))
        resource.prlimit(run.pids[0], resource.RLIMIT_NOFILE, (number, number))
        run.release()

    def no_more_memory(run):
        used = int(Path(f"/proc/{run.pids[1]}/statm").read_text().split()[0])
        used *= resource.getpagesize()
        resource.prlimit(run.pids[1], resource.RLIMIT_AS, (used, used))
        run.release()

    def full_shared_memory(_):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "gondola-test", "/dev/shm"],
                       check=True)

    def as_before(_):
        subprocess.run(["umount", "--lazy", "/dev/shm"], check=True)

    yield Row("shared-memory", "/dev/shm full, data.cache = host", "any", 0,
              "not enough space for /dev/shm", prepare=full_shared_memory, clean_up=as_before,
              options={"data.cache": "host"}, resume=None, within=60, needs=needs_mounts)
    yield Row("file-descriptors", "no file descriptor left (RLIMIT_NOFILE)", "inner pass", 74,
              "gondola: .*Too many open files", HELD, no_more_files)
    # The first steps of a large model: the memory for them is not there yet.
    yield Row("memory", "no memory left in rank 1 (RLIMIT_AS)", "data wait", 70,
              "gondola: rank 1: .*memory", Point("read", 1, 1, file="images.h5"), no_more_memory,
              options={"model.hidden": 1500}, resume=None)


def slowness():
    def named(run):
        """Waits until the metrics of rank 0 say that rank 1 is slow."""
        def is_named():
            found = re.search(r'^gondola_rank_slowness_ratio{.*rank="1".*} ([1-9].*)$',
                              run.endpoint("/metrics"), re.MULTILINE)
            if found and float(found[1]) > SLOW:
                run.seen = found[0]
            return run.seen != ""

        run.wait_for(is_named, "rank 1 is named as slow")
        step = json.loads(run.endpoint("/healthz"))["step"]
        assert step <= 3 + 20, step
        run.seen += f" in step {step}"

    yield Row("slow-rank", "200 ms delay in rank 1, from step 3 on", "inner pass", 0,
              r"gondola_rank_slowness_ratio.*in step", Point("inner", 1, 3, "delay"), named,
              resume=None, within=60, ci=True)


def network():
    def cut(run):
        run.machines.cut()
        run.release()

    yield Row("link-down", "link down between two machines of two ranks", "inner pass", 76,
              r"gondola: rank 0: .*ranks 2, 3 do not answer", HELD, cut,
              options={"monitoring.bind": "0.0.0.0", "monitoring.token_file": "token"},
              machines=TwoNetworks, within=TIMEOUT + 30, needs=why_not)


def all_rows():
    return [row for rows in (kills, losses_of_a_rank, signals, numbers, storage, datasets,
                             damaged_checkpoints, jobs, limits, slowness, network) for row in rows()]
