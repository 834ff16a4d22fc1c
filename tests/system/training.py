"""Runs of the program on small made-up images, and what they leave behind."""

import atexit
import csv
import json
import math
import os
import re
import signal
import struct
import subprocess
import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

from processes import PATIENCE, deliver, wait_for
from world import World

PROGRAM = os.environ["GONDOLA_PROGRAM"]

# A global batch that 4 ranks cannot share evenly, and epochs of 8 steps that drop 8 images.
TINY = {
    "data.path": "synthetic:200x1x28x28", "trainer.batch_size": 24, "trainer.precision": "float64",
    "latent.size": 4, "optimizer.learning_rate": 1e-3, "parallel.threads": 1,
    "parallel.timeout_seconds": 60, "monitoring.log_every": 1, "monitoring.samples_every": 0,
    "evaluation.every_steps": 0, "checkpoint.every_steps": 0,
}
DECODERS = {
    "siren": {"model.decoder": "siren", "model.hidden": 16, "model.layers": 2},
    "conv": {"model.decoder": "conv", "model.filters": 2},
}

_seen = []
atexit.register(lambda: print("\n".join(_seen)))


def saw(text):
    """Keeps a line for the end of the output, where it does not cut unittest's lines apart."""
    _seen.append("saw: " + text)


def flags(*options):
    """Command line of option dictionaries, later ones winning."""
    merged = {}
    for each in options:
        merged.update(each)
    return [word for name, value in merged.items() for word in (f"--{name}", str(value))]


def gondola(*arguments, folder=None, environment=None, timeout=PATIENCE):
    """The program on one rank, without mpirun."""
    return subprocess.run([PROGRAM, *map(str, arguments)], cwd=folder, capture_output=True,
                          text=True, errors="replace", timeout=timeout,
                          env={**os.environ, **(environment or {})})


def sentences(errors):
    """What the program itself said on standard error."""
    return [line for line in errors.splitlines() if line.startswith("gondola: ")]


@dataclass(frozen=True)
class Point:
    """Where tests/fault/fault_point.cpp harms a rank, and how."""
    point: str
    rank: int | str = 0  # or "all"
    step: int = 13
    do: str = "hold"
    file: str = ""

    def exported(self, mark):
        """Options of mpirun; the file `mark` says that the rank came to the point."""
        settings = {"RANK": self.rank, "POINT": self.point, "STEP": self.step, "DO": self.do,
                    "FILE": self.file, "MARK": mark}
        # AddressSanitizer, where the program has it, wants to be loaded before anything else.
        sanitizer = ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]),
                              "verify_asan_link_order=0"])
        variables = {"LD_PRELOAD": os.environ["GONDOLA_FAULT_POINT"], "ASAN_OPTIONS": sanitizer,
                     **{f"GONDOLA_TEST_FAULT_{name}": value for name, value in settings.items()}}
        return [word for name, value in variables.items() for word in ("-x", f"{name}={value}")]


class Training(World):
    """`gondola train` under mpirun in a folder; its run folder is `run` there.

    The run folder's name is relative, so that runs in different places have the same config."""

    def __init__(self, folder, ranks, *options, run="run", point=None):
        self.run = Path(folder) / run
        self.mark = Path(folder) / "mark"
        super().__init__(ranks, "-wdir", str(folder), *(point.exported(self.mark) if point else ()),
                         PROGRAM, "train", *flags({"run.folder": run}, *options))

    def _wait_for(self, happened, what):
        def happened_or_ended():
            if happened():
                return True
            if self.process.poll() is not None and not happened():
                raise RuntimeError(f"ended with {self.process.returncode} before {what}:\n"
                                   + self.process.stderr.read())
            return False

        wait_for(happened_or_ended, what)
        self.pids = ranks_of(self.process.pid)

    def wait_for_step(self, step):
        """Returns once the metrics have a row of this step, and finds the ranks' processes."""
        self._wait_for(lambda: last_step(self.run) >= step, f"step {step}")

    def stop_at_point(self):
        """Asks a run that was started with a point that holds a rank to stop, by USR1 to mpirun
        when the rank is there: the step is the same on any machine."""
        self._wait_for(self.mark.exists, "a rank was held")
        deliver(signal.SIGUSR1, self.pids.values(),
                lambda: self.process.send_signal(signal.SIGUSR1))
        self.mark.unlink()


def write_idx(folder, train, test, height=28, width=28):
    """Files of MNIST's kind: smooth grey pictures, no two alike.  Returns the training images."""
    made = []
    for part, first, count in (("train", 0, train), ("t10k", train, test)):
        images = [bytes((x * (1 + i % 7) + y * (1 + i % 5) + i * 37) * 5 // 7 % 256
                        for y in range(height) for x in range(width))
                  for i in range(first, first + count)]
        with open(folder / f"{part}-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, height, width) + b"".join(images))
        with open(folder / f"{part}-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count)))
        made.append(images)
    return made[0]


def ranks_of(mpirun):
    """Rank -> process id of what this mpirun started here."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            parent = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1]
            if int(parent) != mpirun:
                continue
            variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        for variable in variables:
            if variable.startswith(b"OMPI_COMM_WORLD_RANK="):
                found[int(variable.split(b"=")[1])] = int(entry)
    return found


def last_step(run):
    """Of the last whole row of metrics.jsonl; 0 where there is none."""
    try:
        with open(run / "metrics.jsonl", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            text = file.read().decode()
    except FileNotFoundError:
        return 0
    steps = re.findall(r'"kind":"train","step":(\d+).*\n', text)
    return int(steps[-1]) if steps else 0


def rows(run, kind="train"):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def losses(run):
    """Every loss of a run by what it is of: (kind, step)."""
    return {(row["kind"], row["step"]): row["loss"]
            for kind in ("train", "eval") for row in rows(run, kind)}


def checkpoints(run):
    """Of the final names, oldest first."""
    return sorted((run / "checkpoints").glob("step-*"))


def digest(run):
    """Hash and length of the newest checkpoint's state."""
    return (checkpoints(run)[-1] / "COMPLETE").read_text().strip()


class TrainingTest(unittest.TestCase):
    """Has an empty folder of its own, and ends the processes that it started."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gondola-test-", ignore_cleanup_errors=True)
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def start(self, ranks, *options, folder=None, **kwargs):
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        training = Training(folder, ranks, *options, **kwargs)
        self.addCleanup(training.kill)
        return training

    def train(self, ranks, *options, folder=None, code=0, **kwargs):
        """A run from start to end."""
        training = self.start(ranks, *options, folder=folder, **kwargs)
        returned, training.seconds = training.end()
        self.assertEqual(returned, code, training.output + training.errors)
        return training

    def assert_one_sentence(self, errors, *parts):
        said = sentences(errors)
        self.assertEqual(len(said), 1, errors)
        for part in parts:
            self.assertIn(part, said[0])
        return said[0]

    def assert_the_table_has_every_number(self, run):
        """metrics.csv has a column for each number of each row of metrics.jsonl."""
        with open(run / "metrics.csv", newline="") as file:
            table = list(csv.DictReader(file))
        kept = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
        self.assertEqual(len(table), len(kept))
        for row, columns in zip(kept, table):
            phases = row.pop("phase_seconds", {})
            row.update({f"{phase}_seconds": seconds for phase, seconds in phases.items()})
            numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
            self.assertEqual(numbers, {name: float(columns[name]) if columns[name] else None
                                       for name in numbers if name in columns})

    def assert_every_step_once(self, run, steps):
        self.assertEqual([row["step"] for row in rows(run)], list(range(1, steps + 1)))

    def assert_same_losses(self, run, reference, relative):
        """The largest relative difference of any loss, train or eval, is below `relative`."""
        ours, theirs = losses(run), losses(reference)
        self.assertEqual(ours.keys(), theirs.keys())
        worst = 0.0
        for key, loss in theirs.items():
            self.assertTrue(math.isfinite(ours[key]) and math.isfinite(loss), key)
            worst = max(worst, abs(ours[key] - loss) / abs(loss))
        self.assertLessEqual(worst, relative)
        return worst
