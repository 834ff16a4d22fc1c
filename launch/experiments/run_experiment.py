#!/usr/bin/env python3
"""Trains every row of an experiment on every data set with every seed, and makes the table.

An experiment (configs/experiments/NAME.ini) is a table of the paper: columns are data sets, each with
the preset that trains on it, rows are options that a row changes. A run that is finished is not made
again, one that was interrupted goes on from its newest checkpoint: the same command after a kill
does what is left. A data set that is not there is left out with a word.
"""

import argparse
import configparser
import csv
import json
import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT, INSTALLED = ROOT / "build/release/bin/gondola", ROOT.parents[1] / "bin/gondola"
PROGRAM = os.environ.get("GONDOLA") or (INSTALLED if not BUILT.exists() and INSTALLED.exists() else BUILT)
# Where data sets and runs are: in the checkout; an installation is used from anywhere.
HOME = ROOT if (ROOT / "launch/setup.sh").exists() else Path.cwd()
BAD_ORDER, MISSING = 64, 66


def refuse(code, sentence):
    print(f"run.sh: {sentence}", file=sys.stderr)
    sys.exit(code)


# USR1 asks to stop; a run at hand gets it too and ends with a checkpoint.
stop_asked = False


def note_stop(*_):
    global stop_asked
    stop_asked = True


def end_if_asked(asked=False):
    if asked or stop_asked:
        print("stopped: the same command goes on", flush=True)
        sys.exit(75)


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


def train(run, preset, options, steps, seed, metric, arguments):
    """True where the run is finished and measured."""
    result = run / "result.json"
    if result.exists():
        return True
    words = ["--config", preset.name, "--data.path", preset.data, "--run.folder", run / "run",
             "--run.seed", seed, "--run.resume", "auto", "--trainer.steps", steps,
             "--evaluation.every_steps", 0, "--evaluation.images", 1000,
             "--monitoring.samples_every", 0, "--monitoring.bind", "off"]
    for name, value in options.items():
        words += [f"--{name}", value]
    run.mkdir(parents=True, exist_ok=True)
    with open(run / "train.log", "a", encoding="utf-8") as log:
        done = subprocess.run([ROOT / "launch/run.sh", "-n", str(arguments.ranks), "--", "train",
                               *map(str, words), *arguments.option],
                              stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        last = (run / "train.log").read_text(encoding="utf-8").strip().splitlines()[-1:]
        print(f"  failed with exit code {done.returncode}: {' '.join(last)} ({run / 'train.log'})")
        end_if_asked(done.returncode == 75)
        return False
    # All held-out images, as the paper; those of a scaled run are fewer.
    images = 0 if arguments.scale == 1 else 1000
    gap = ["--gap"] if metric.startswith("gap.") else []
    measured = gondola("eval", run / "run", "--images", images, "--json", *gap)
    if measured.returncode:
        end_if_asked()
        print(f"  cannot be evaluated: {measured.stderr.strip()}")
        return False
    partial = run / "result.json.part"
    partial.write_text(measured.stdout, encoding="utf-8")
    partial.rename(result)
    return True


def figure(path, metric):
    """A figure of a measurement; gap.loss is the member `loss` of `gap`."""
    found = json.loads(path.read_text(encoding="utf-8"))
    for name in metric.split("."):
        found = found[name]
    return found


def cell(output, row, data, metric):
    """Mean, spread and number of the seeds that are there."""
    paths = sorted((output / folder_name(row) / folder_name(data)).glob("seed-*/result.json"))
    values = [figure(path, metric) for path in paths]
    if not values:
        return "", values
    mean = f"{statistics.fmean(values):.4g}"
    return (mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"), values


def write_tables(output, experiment, datasets, rows, scale):
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
                text, values = cell(output, row, data, metric)
                cells.append(text)
                table.writerow([row, data, metric, scale, " ".join(f"{v:.9g}" for v in values)])
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    (output / "table.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"tables: {output / 'table.md'}, {output / 'table.csv'}")


def main():
    signal.signal(signal.SIGUSR1, note_stop)
    arguments = parse_arguments()
    if not 0 < arguments.scale <= 1:
        refuse(BAD_ORDER, f"--scale is above 0 and at most 1, not {arguments.scale:g}")
    part = re.fullmatch(r"(\d+)/(\d+)", arguments.part)
    if not part or not 1 <= int(part[1]) <= int(part[2]):
        refuse(BAD_ORDER, f"--part is I/N with 1 <= I <= N, not '{arguments.part}'")
    experiment, datasets, rows = read_experiment(arguments.name)
    scaled = "" if arguments.scale == 1 else f"-scale-{arguments.scale:g}"
    output = arguments.output or HOME / "runs" / (arguments.name + scaled)
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
                tasks.append((row, data, seed, preset, options_of(changes, preset, pixels), steps))
    if not there:
        refuse(MISSING, "none of the experiment's data sets is there")

    failed = 0
    mine = tasks[int(part[1]) - 1::int(part[2])]
    for number, (row, data, seed, preset, options, steps) in enumerate(mine, 1):
        if arguments.table:
            break
        end_if_asked()
        print(f"{number}/{len(mine)} {row}, {data}, seed {seed}, {steps} steps", flush=True)
        run = output / folder_name(row) / folder_name(data) / f"seed-{seed}"
        failed += not train(run, preset, options, steps, seed, experiment["metric"],
                            arguments)
    write_tables(output, experiment, there, rows, arguments.scale)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
