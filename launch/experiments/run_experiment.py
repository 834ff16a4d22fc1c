#!/usr/bin/env python3
"""Trains every row of an experiment on every data set with every seed, and makes the table.

An experiment (configs/experiments/NAME.ini) is a table of the paper: columns are data sets, each with
the preset that trains on it, rows are options that a row changes. A run that is finished is not made
again, one that was interrupted goes on from its newest checkpoint: the same command after a kill
does what is left. Results of another command are refused. A data set that is not there is left out
with a word.
"""

import argparse
import configparser
import csv
import json
import math
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stop import Stop

ROOT = Path(__file__).resolve().parents[2]
BUILT, INSTALLED = ROOT / "build/release/bin/gondola", ROOT.parents[1] / "bin/gondola"
PROGRAM = os.environ.get("GONDOLA") or (INSTALLED if not BUILT.exists() and INSTALLED.exists() else BUILT)
# Where data sets and runs are: in the checkout; an installation is used from anywhere.
HOME = ROOT if (ROOT / "launch/setup.sh").exists() else Path.cwd()
BAD_ORDER, MISSING = 64, 66


def refuse(code, sentence):
    print(f"run.sh: {sentence}", file=sys.stderr)
    sys.exit(code)


stop = Stop()


STOPPED = 75  # exit code of a run that wrote a checkpoint because it was asked to


def end_if_asked():
    if stop.asked:
        print("stopped: the same command goes on", flush=True)
        sys.exit(STOPPED)


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="launch/experiments/run.sh", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="experiment: " + ", ".join(names()))
    parser.add_argument("--scale", type=float, default=1, metavar="S",
                        help="so much of the paper's training, 0.005 for a look (default: 1, all)")
    parser.add_argument("--output", type=Path, metavar="DIR",
                        help="runs and tables (default: runs/NAME, or runs/NAME-scale-S)")
    parser.add_argument("--datasets", type=Path, default=HOME, metavar="DIR",
                        help="where the presets' datasets/*.h5 are (default: the checkout, or here)")
    parser.add_argument("--ranks", type=int, default=1, metavar="N", help="of each run (default: 1)")
    parser.add_argument("--jobs", type=int, metavar="N",
                        help="runs at a time, which share the cores (default: a run for each core; "
                             "1 where there is a GPU)")
    parser.add_argument("--seeds", metavar="'0 1 2'", help="instead of the experiment's")
    parser.add_argument("--part", metavar="I/N", default="1/1",
                        help="only each N-th run, from the I-th on: for the jobs of a Slurm array, "
                             "--part $SLURM_ARRAY_TASK_ID/N")
    parser.add_argument("--table", action="store_true", help="make the table of what is there")
    parser.epilog = "Words after -- are options of each run: -- --parallel.threads 1"
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.option = words[end + 1:]
    return arguments


def names():
    return sorted(path.stem for path in (ROOT / "configs/experiments").glob("*.ini"))


def read_experiment(name):
    """[experiment], {data set: preset}, {row: {option: value}}"""
    path = ROOT / "configs/experiments" / f"{name}.ini"
    if not path.exists():
        refuse(BAD_ORDER, f"there is no experiment '{name}': configs/experiments has "
                          + ", ".join(names()))
    ini = configparser.ConfigParser(delimiters="=", comment_prefixes=("#", ";"), interpolation=None)
    ini.read(path, encoding="utf-8")
    named = {kind: {section[len(kind) + 1:]: dict(ini[section])
                    for section in ini.sections() if section.startswith(kind + " ")}
             for kind in ("dataset", "row")}
    return ini["experiment"], named["dataset"], named["row"]


class Preset:
    """What a run needs to know of a preset: its data, and how much training an epoch is."""

    def __init__(self, name, datasets):
        self.name = name
        self.text = (ROOT / "configs/presets" / f"{name}.ini").read_text(encoding="utf-8")
        self.data = datasets / self.value("data", "path")
        self.batch = int(self.value("trainer", "batch_size"))

    def value(self, section, key):
        ini = configparser.ConfigParser(comment_prefixes=("#", ";"), interpolation=None)
        ini.read_string(self.text)
        return ini[section][key]

    def recipe(self):
        """The command that makes its data set, from the comment at its top."""
        found = re.search(r"^#\s+(gondola import .*)$", self.text, re.MULTILINE)
        return found.group(1) if found else "gondola import"


def gondola(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def describe(data):
    """Training images of a data set, and their pixels."""
    done = gondola("inspect", data)
    found = re.search(r"^train\s+(\d+) images of (\d+)x(\d+)x(\d+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        end_if_asked()
        refuse(done.returncode or MISSING, f"gondola inspect {data} does not say how many training "
                                           f"images there are: {done.stderr or done.stdout}")
    images, _, height, width = map(int, found.groups())
    return images, height * width


def folder_name(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def options_of(row, preset, pixels):
    """A row's options; latent.step_factor is a multiple of the published step size of conv."""
    options = dict(row)
    factor = options.pop("latent.step_factor", None)
    if factor is not None:
        options["latent.step_size"] = float(factor) / (preset.batch * pixels)
    return options


@dataclass(frozen=True)
class Task:
    """A row of a data set with a seed."""
    row: str
    data: str
    seed: str
    preset: Preset
    options: dict
    steps: int

    def __str__(self):
        return f"{self.row}, {self.data}, seed {self.seed}"

    def folder(self, output):
        return output / folder_name(self.row) / folder_name(self.data) / f"seed-{self.seed}"

    def result(self, output):
        return self.folder(output) / "result.json"


def train_options(task, arguments):
    """Those that decide what is trained."""
    options = {"config": task.preset.name, "data.path": task.preset.data, "run.seed": task.seed,
               "trainer.steps": task.steps, **task.options}
    return [f"--{name}={value}" for name, value in options.items()] + arguments.option


def eval_options(metric, arguments):
    # All held-out images, as the paper; those of a scaled run are fewer.
    images = 0 if arguments.scale == 1 else 1000
    return [f"--images={images}", *(["--gap"] if metric.startswith("gap.") else [])]


def command_of(task, metric, arguments):
    """What makes a result; kept in it, with the data set's place as seen from anywhere."""
    return [*train_options(task, arguments), *eval_options(metric, arguments),
            str(task.preset.data.absolute())]


def refuse_results_of_others(tasks, metric, arguments):
    for task in tasks:
        path = task.result(arguments.output)
        if not path.exists():
            continue
        kept = json.loads(path.read_text(encoding="utf-8")).get("command", ["unknown"])
        wanted = command_of(task, metric, arguments)
        if kept != wanted:
            theirs, ours = (shlex.join(word for word in one if word not in other) or "nothing"
                            for one, other in ((kept, wanted), (wanted, kept)))
            refuse(BAD_ORDER, f"{path} was made by another command ({theirs}, and here {ours}): "
                              f"give its options, remove {path.parent}, or name another --output")


def end_of(log):
    return " ".join(log.read_text(encoding="utf-8").strip().splitlines()[-1:])


class Stopped(Exception):
    """A run is not finished because somebody asked to end."""


class Failed(Exception):
    """Why a run cannot be finished."""


def train(task, run, threads, arguments):
    words = ["--run.folder", run / "run", "--run.resume", "auto",
             "--evaluation.every_steps", 0, "--evaluation.images", 1000,
             "--monitoring.samples_every", 0, "--monitoring.bind", "off"]
    given = [word.split("=")[0] for word in arguments.option]
    if "--parallel.threads" not in given and "GONDOLA_PARALLEL_THREADS" not in os.environ:
        words += ["--parallel.threads", threads]
    run.mkdir(parents=True, exist_ok=True)
    log_path = run / "train.log"
    with open(log_path, "a", encoding="utf-8") as log:
        code = stop.run([ROOT / "launch/run.sh", "-n", str(arguments.ranks), "--", "train",
                         *map(str, words), *train_options(task, arguments)], log)
    if code == STOPPED or (stop.asked and code == -signal.SIGUSR1):  # before it could look for it
        stop.ask()  # where it was the run alone: who stops one wants the machine
        raise Stopped
    if code:
        raise Failed(f"failed with exit code {code}: {end_of(log_path)} ({log_path})")


# A measurement is short and takes all cores.
measuring = threading.Lock()


def measure(task, run, metric, arguments):
    """Writes result.json."""
    with measuring:
        if stop.asked:
            raise Stopped
        measured = gondola("eval", run / "run", "--json", *eval_options(metric, arguments))
    if measured.returncode:
        if stop.asked:  # Ctrl-C came to it too
            raise Stopped
        raise Failed(f"cannot be evaluated: {measured.stderr.strip()}")
    partial = run / "result.json.part"
    result = {**json.loads(measured.stdout), "command": command_of(task, metric, arguments)}
    partial.write_text(json.dumps(result) + "\n", encoding="utf-8")
    partial.rename(task.result(arguments.output))


def carry_out(tasks, metric, arguments):
    """How many runs failed."""
    def carry_out_one(numbered):
        number, task = numbered
        run = task.folder(arguments.output)
        if stop.asked:
            return False
        label = f"{number}/{len(tasks)} {task}"
        print(f"{label}: {task.steps} steps", flush=True)
        start = time.monotonic()
        try:
            train(task, run, threads, arguments)
            measure(task, run, metric, arguments)
        except Stopped:
            return False
        except Failed as failure:
            print(f"{label}: {failure}", flush=True)
            return True
        print(f"{label}: {metric} {figure(task.result(arguments.output), metric):.4g}, "
              f"{time.monotonic() - start:.0f} s", flush=True)
        return False

    left = [(number, task) for number, task in enumerate(tasks, 1)
            if not task.result(arguments.output).exists()]
    jobs, threads = share_cores(arguments, len(left))
    with ThreadPoolExecutor(jobs) as pool:
        return sum(pool.map(carry_out_one, left))


def share_cores(arguments, tasks):
    """Runs at a time, and threads of a rank."""
    cores = len(os.sched_getaffinity(0))
    gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    jobs = arguments.jobs or (1 if gpu else max(1, min(cores // arguments.ranks, tasks)))
    return jobs, max(1, cores // (jobs * arguments.ranks))


def figure(path, metric):
    """A figure of a measurement; gap.loss is the member `loss` of `gap`."""
    found = json.loads(path.read_text(encoding="utf-8"))
    for name in metric.split("."):
        found = found[name]
    return math.nan if found is None else found  # JSON has no word for what is not finite


def cell(output, tasks, metric):
    """Mean and spread of the seeds that are there, and their figures."""
    paths = [task.result(output) for task in tasks]
    values = [figure(path, metric) for path in paths if path.exists()]
    if not values:
        return "", values
    mean = f"{statistics.fmean(values):.4g}"
    return (mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"), values


def write_tables(output, experiment, datasets, rows, tasks, scale):
    metric = experiment["metric"]
    lines = [f"# {experiment['title']}", "",
             f"{metric}, mean ± standard deviation over seeds, after "
             + (f"{float(experiment['epochs']):g} epochs as in the paper." if scale == 1 else
                f"{scale:g} of the paper's {experiment['epochs']} epochs: a scaled run, whose order "
                "of rows says nothing about the paper's."), "",
             "| | " + " | ".join(datasets) + " |", "|---" * (len(datasets) + 1) + "|"]
    with open(output / "table.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["row", "dataset", "metric", "scale", "values"])
        for row in rows:
            cells = []
            for data in datasets:
                seeds = [task for task in tasks if (task.row, task.data) == (row, data)]
                text, values = cell(output, seeds, metric)
                cells.append(text)
                table.writerow([row, data, metric, scale, " ".join(f"{v:.9g}" for v in values)])
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    (output / "table.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"tables: {output / 'table.md'}, {output / 'table.csv'}")


def main():
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.on_signal)
    arguments = parse_arguments()
    if not 0 < arguments.scale <= 1:
        refuse(BAD_ORDER, f"--scale is above 0 and at most 1, not {arguments.scale:g}")
    part = re.fullmatch(r"(\d+)/(\d+)", arguments.part)
    if not part or not 1 <= int(part[1]) <= int(part[2]):
        refuse(BAD_ORDER, f"--part is I/N with 1 <= I <= N, not '{arguments.part}'")
    if arguments.jobs is not None and arguments.jobs < 1:
        refuse(BAD_ORDER, f"--jobs is at least 1, not {arguments.jobs}")
    if arguments.ranks < 1:
        refuse(BAD_ORDER, f"--ranks is at least 1, not {arguments.ranks}")
    experiment, datasets, rows = read_experiment(arguments.name)
    scaled = "" if arguments.scale == 1 else f"-scale-{arguments.scale:g}"
    output = arguments.output = arguments.output or HOME / "runs" / (arguments.name + scaled)
    output.mkdir(parents=True, exist_ok=True)
    seeds = (arguments.seeds or experiment["seeds"]).split()

    there, tasks = [], []
    for data, column in datasets.items():
        preset = Preset(column["preset"], arguments.datasets)
        if not preset.data.exists():
            print(f"{data} is left out: {preset.data} is not there; make it with: "
                  + preset.recipe())
            continue
        there.append(data)
        images, pixels = describe(preset.data)
        epochs = float(experiment["epochs"]) * arguments.scale
        steps = max(1, round(epochs * (images // preset.batch)))
        for row, changes in rows.items():
            for seed in seeds:
                tasks.append(Task(row, data, seed, preset,
                                  options_of(changes, preset, pixels), steps))
    if not there:
        refuse(MISSING, "none of the experiment's data sets is there")

    refuse_results_of_others(tasks, experiment["metric"], arguments)
    mine = tasks[int(part[1]) - 1::int(part[2])]
    failed = 0
    if not arguments.table:
        failed = carry_out(mine, experiment["metric"], arguments)
        end_if_asked()
    write_tables(output, experiment, there, rows, tasks, arguments.scale)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
