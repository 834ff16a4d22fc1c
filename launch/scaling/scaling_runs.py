"""Runs of `gondola train` for a scaling experiment, and what their metrics say."""

import json
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

INTERNAL, DATA = 70, 65
FLOAT32_STEPS = 50  # beyond this rounding grows by itself


class Failed(Exception):
    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code = code


@dataclass
class Run:
    """One run: its losses by step, and the means of its steps behind the warm-up."""
    images_per_second: float
    step_seconds: float
    phases: dict
    losses: dict
    precision: str = "float32"
    parameters: int = 0
    parts: list = field(default_factory=list)  # of a control: its runs of one rank


class Runner:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = arguments.output / "runs"
        self.cores = len(os.sched_getaffinity(0))
        self.machine = platform.machine()
        self.matmul = []  # of the first run, so that all multiply by the same library
        self.commands = {}  # by the name of the run, but for what `matmul` adds
        self.threads = max(1, self.cores // max(arguments.ranks))
        self.environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1",
                            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                            "OMP_NUM_THREADS": str(self.threads)}

    def run(self, mode, repeat, ranks, batch):
        sharers = ranks if self.arguments.split == "coordinates" else 1
        return self._train(f"{mode}-{ranks}-repeat-{repeat}", ranks, batch, sharers)

    def control(self, mode, repeat, ranks, batch):
        """As many runs of one rank at once, each with a rank's part of the images."""
        names = [f"{mode}-{ranks}-repeat-{repeat}-control-{part}" for part in range(ranks)]
        each = max(1, batch // ranks)
        started = []
        try:
            started += (self._start(name, 1, each, 1) for name in names)
            parts = [self._finish(name, process) for name, process in zip(names, started)]
        except BaseException:
            for process in filter(None, started):
                process.kill()
                process.wait()
            raise
        return Run(images_per_second=sum(part.images_per_second for part in parts),
                   step_seconds=max(part.step_seconds for part in parts),
                   phases=parts[0].phases, losses={}, parts=parts)

    def reference(self, batch, mode, measured):
        """One rank's run of this global batch: one of those measured, or one made for this."""
        alone = next(point for point in measured if point.ranks == 1)
        if alone.batch == batch:
            return alone.runs[0]
        return self._train(f"{mode}-reference-{batch}", 1, batch, 1)

    def _train(self, name, ranks, batch, sharers):
        return self._finish(name, self._start(name, ranks, batch, sharers))

    def _start(self, name, ranks, batch, sharers):
        folder = self.folder / name
        launcher = shlex.split(self.arguments.launcher.format(ranks=ranks)) if ranks > 1 else []
        options = {"trainer.batch_size": batch, "trainer.steps": self.arguments.steps,
                   "parallel.coordinate_ranks": sharers, "parallel.threads": self.threads,
                   "monitoring.log_every": 1, "monitoring.samples_every": 0,
                   "monitoring.bind": "off", "evaluation.every_steps": 0, "evaluation.images": 1,
                   "checkpoint.every_steps": 0, "run.folder": folder}
        command = [*launcher, str(self.arguments.gondola), "train", *self.arguments.options]
        for option, value in options.items():
            command += [f"--{option}", str(value)]
        if (folder / "FINISHED").exists():
            if finished(folder)["command"] != command:
                raise Failed(DATA, f"{folder} was made by another command: remove it, or name "
                                   "another --output")
            return None
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.commands[name] = command
        command = command + self.matmul
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.environment)

    def _finish(self, name, process):
        folder = self.folder / name
        if process is not None:
            output, errors = process.communicate()
            if process.returncode != 0:
                said = errors[max(0, errors.find("gondola: ")):].split()
                raise Failed(process.returncode if 64 <= process.returncode < 78 else INTERNAL,
                             f"the run {folder} ended with {process.returncode}: "
                             + (" ".join(said) or "no word"))
            words = output.split(" parameters")[0].split()
            (folder / "FINISHED").write_text(json.dumps(
                {"parameters": int(words[-1]), "command": self.commands[name]}) + "\n")
        self._keep_matmul(folder)
        return read_run(folder, self.arguments.steps)


    def _keep_matmul(self, folder):
        given = any(word.startswith("--trainer.matmul") for word in self.arguments.options)
        chosen = re.search(r"^matmul = (\w+)$", (folder / "config.ini").read_text(), re.M)
        if not given and chosen and not self.matmul:
            self.matmul = ["--trainer.matmul", chosen[1]]


def finished(folder):
    """What a run that has ended left: its command and its number of parameters."""
    try:
        return json.loads((folder / "FINISHED").read_text())
    except ValueError as error:
        raise Failed(DATA, f"{folder}/FINISHED is damaged: remove {folder}") from error


def read_run(folder, steps):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "train"]
    if len(rows) != steps:
        raise Failed(DATA, f"{folder} has {len(rows)} steps and not {steps}: remove it and run again")
    warm = rows[max(1, steps // 5):]
    config = (folder / "config.ini").read_text()
    precision = next((line.split("=")[1].strip() for line in config.splitlines()
                      if line.startswith("precision")), "float32")
    return Run(images_per_second=median(row["images_per_second"] for row in warm),
               step_seconds=median(row["step_seconds"] for row in warm),
               phases={phase: mean(row["phase_seconds"][phase] for row in warm)
                       for phase in warm[0]["phase_seconds"]},
               losses={row["step"]: math.nan if row["loss"] is None else row["loss"]
                       for row in rows},
               precision=precision, parameters=finished(folder)["parameters"])


def losses_agree(run, reference):
    """The largest relative difference of two runs' losses.  Fails beyond rounding."""
    tolerance = 1e-10 if run.precision == "float64" else 1e-5
    steps = [step for step in run.losses
             if run.precision == "float64" or step <= FLOAT32_STEPS]
    differences = [abs(run.losses[step] - reference.losses[step]) / abs(reference.losses[step])
                   for step in steps]
    worst = max(differences, key=lambda difference: (math.isnan(difference), difference))
    if not worst <= tolerance:
        raise Failed(DATA, f"the losses of runs of one global batch differ by {worst:.1e}, more than "
                           f"{tolerance:.0e} ({run.precision}): these runs do not train the same "
                           "model, so their speeds say nothing" +
                     ("; where training is unstable rounding alone grows to that: --trainer.precision "
                      "float64 after -- tells" if run.precision != "float64" else ""))
    return worst
