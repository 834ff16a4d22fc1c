"""A training run of four ranks to which something happens, and all that it may leave behind."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from processes import PATIENCE, is_running, send
from training import DECODERS, PROGRAM, TINY, flags, gondola, losses, rows, write_idx
from world import MPIEXEC, SLACK

RANKS = 4
# Of the rows in which a rank stays away; in the others it is held for as long as its fault takes.
TIMEOUT = 4  # seconds
SHORT = {"parallel.timeout_seconds": TIMEOUT}
# What the contract gives beyond the timeout (C7).
GRACE = 10
# Epochs of 8 steps.  The gradient is large enough for an all-reduce of two halves, and the inner
# pass calls autograd, which fault_point.cpp relies on; images are read when they are needed.
OPTIONS = {**TINY, **DECODERS["siren"], "model.hidden": 100, "latent.path": "double_backward",
           "optimizer.learning_rate": 1e-4, "trainer.steps": 22, "run.resume": "auto",
           "data.path": "images.h5", "data.cache": "none", "data.reader_threads": 0,
           "data.ledger": "ledger.csv", "parallel.device": "cpu",
           "parallel.timeout_seconds": PATIENCE, "checkpoint.every_steps": 5, "checkpoint.keep": 9,
           "evaluation.every_steps": 10}
STEPS = OPTIONS["trainer.steps"]
TOLERANCE = 1e-10  # of losses in float64 (C1)
SOURCE = Path(os.environ["GONDOLA_SOURCE_DIR"])


class FaultyRun:
    """`gondola train` under mpirun, or under launch/run.sh.  Its folder has a dataset images.h5."""

    def __init__(self, folder, ranks=RANKS, options=None, point=None, through_script=False,
                 machines=None):
        self.folder = folder
        self.machines = machines
        self.run = folder / "run"
        self.mark = folder / "mark"
        self.pids = {}
        self.segments = set()
        self.output = self.errors = ""
        self.seen = ""  # by other programs meanwhile
        self.arguments = flags({"run.folder": "run"}, OPTIONS, options or {})
        arguments = ["train", *self.arguments]
        exported = point.exported(self.mark) if point else []
        if through_script:
            command = [SOURCE / "launch/run.sh", "-n", str(ranks), "--oversubscribe", *exported,
                       "--", *arguments]
        else:
            launcher = machines.launcher(MPIEXEC) if machines else MPIEXEC
            command = [*launcher, "-n", str(ranks), *exported, PROGRAM, *arguments]
        self.process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env={**os.environ, "GONDOLA": PROGRAM},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")

    def wait_for(self, happened, what, timeout=PATIENCE):
        last = time.monotonic() + timeout
        looked = 0.0
        while not happened():
            if time.monotonic() > looked + 0.5:  # what dies at once is known by then
                self.look()
                looked = time.monotonic()
            if self.process.poll() is not None and not happened():
                self.end(timeout=10)
                raise RuntimeError(f"ended with {self.process.returncode} before {what}:\n"
                                   + self.output[-2000:] + self.errors[-2000:])
            if time.monotonic() > last:
                raise RuntimeError(f"waited {timeout} seconds for {what}")
            time.sleep(0.005)

    def wait_for_mark(self):
        """Returns when the harm is done or the rank is held; all processes are known then."""
        self.wait_for(self.mark.exists, "the rank came to the point of its fault")
        self.look()

    def wait_for_checkpoint(self):
        """Returns when none is being written."""
        self.wait_for(lambda: not list(self.run.glob("checkpoints/.step-*")), "a checkpoint is whole")

    def release(self):
        self.mark.unlink()

    def look(self):
        """Finds the ranks' processes and the shared memory that they have opened by name."""
        for pid in processes_in(self.folder):
            rank = rank_of(pid)
            if rank is not None:
                self.pids[rank] = pid
        for pid in self.pids.values():
            try:
                maps = Path(f"/proc/{pid}/maps").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.segments |= {line.split(None, 5)[5] for line in maps.splitlines()
                              if "/dev/shm/" in line and "(deleted)" not in line}

    def signal(self, rank, number):
        os.kill(self.pids[rank], number)

    def endpoint(self, path, rank=0):
        targets = json.loads((self.run / "prometheus/targets.json").read_text())
        address = next(t["targets"][0] for t in targets if t["labels"]["rank"] == str(rank))
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as answer:
            return answer.read().decode()

    def end(self, timeout):
        """Waits for the launcher; returns its exit code, None where it had to be killed."""
        try:
            output, errors = self.process.communicate(timeout=timeout)
            code = self.process.returncode
        except subprocess.TimeoutExpired:
            self.kill()
            output, errors = self.process.communicate()
            code = None
        self.output += output
        self.errors += errors
        return code

    def left_behind(self, within=SLACK):
        """Processes and shared memory of the run that are still there after some seconds."""
        last = time.monotonic() + within
        while True:
            left = [f"process {pid} of rank {rank}" for rank, pid in self.pids.items()
                    if is_running(pid)]
            left += [f"process {pid}" for pid in processes_in(self.folder)]
            left += [path for path in self.segments if os.path.exists(path)]
            if not left or time.monotonic() > last:
                return left
            time.sleep(0.05)

    def kill(self):
        send(signal.SIGKILL, {*self.pids.values(), *processes_in(self.folder)})
        if self.process.poll() is None:
            self.process.kill()

    def remove_segments(self):
        for path in self.segments:
            Path(path).unlink(missing_ok=True)

    def close(self):
        """Ends and removes what is left, whatever happened."""
        self.kill()
        self.remove_segments()
        if self.process.stdout and not self.process.stdout.closed:
            self.process.communicate()


def rank_of(pid):
    """Of a process of the program; None of another's."""
    try:
        if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] != PROGRAM.encode():
            return None
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    prefix = b"OMPI_COMM_WORLD_RANK="
    return next((int(v[len(prefix):]) for v in variables if v.startswith(prefix)), None)


def processes_in(folder):
    """Of those whose working directory is the folder: what a run in it has started."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/cwd") == str(folder) and is_running(entry):
                found.append(int(entry))
        except OSError:
            continue
    return found


class Place:
    """Folders for runs, each with the same dataset, and the undisturbed runs to compare with."""

    def __init__(self, root):
        self.root = root.resolve()
        self.undisturbed = {}
        self.make_dataset("images.h5", lambda pixels: pixels)
        self.make_dataset("others.h5", lambda pixels: bytes(255 - pixel for pixel in pixels))

    def make_dataset(self, name, change):
        """200 images for training and 20 held out, their pixels changed."""
        write_idx(self.root, train=200, test=20, height=16, width=16)
        for file in self.root.glob("*-images-idx3-ubyte"):
            header, pixels = file.read_bytes()[:16], file.read_bytes()[16:]
            file.write_bytes(header + change(pixels))
        made = gondola("import", "idx", "--input", ".", "--output", name, folder=self.root)
        if made.returncode != 0:
            raise RuntimeError(made.stderr)

    def new(self, name):
        folder = self.root / name
        folder.mkdir()
        shutil.copy(self.root / "images.h5", folder)
        (folder / "token").write_text("a token of the test\n")
        return folder

    def reference(self, options):
        """The folder of a run of these options that nothing happened to."""
        key = tuple(sorted((options | SHORT).items()))  # of no account where nothing happens
        if key not in self.undisturbed:
            folder = self.new(f"undisturbed-{len(self.undisturbed)}")
            run = FaultyRun(folder, options=options)
            try:
                if run.end(timeout=PATIENCE) != 0:
                    raise RuntimeError("the undisturbed run failed:\n" + run.errors)
            finally:
                run.close()
            self.undisturbed[key] = folder
        return self.undisturbed[key]


def differences(folder, reference, up_to=STEPS):
    """What a run in a folder has otherwise than the undisturbed one: losses, steps, images."""
    found = []
    steps = [row["step"] for row in rows(folder / "run")]
    if steps != list(range(1, STEPS + 1)):
        found.append(f"its steps are {steps}")
    ours, theirs = losses(folder / "run"), losses(reference / "run")
    wanted = {key: loss for key, loss in theirs.items() if key[1] <= up_to}
    missing = sorted(wanted.keys() - ours.keys())
    if missing:
        found.append(f"it has no losses of {missing}")
    worst = max((abs(ours[key] - loss) / abs(loss) for key, loss in wanted.items() if key in ours),
                default=0.0)
    if not worst <= TOLERANCE:
        found.append(f"a loss differs by {worst:.1e}")
    if (folder / "ledger.csv").read_bytes() != (reference / "ledger.csv").read_bytes():
        found.append("its ledger differs")
    return found
