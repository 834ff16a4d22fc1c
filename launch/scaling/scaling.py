"""Measures how training scales with the number of ranks, and writes a report.

Weak scaling keeps the images of a rank (--batch), strong scaling those of all ranks.  Every number of
ranks is run --repeats times in turn with the others, and beside each run comes its control: as many
runs of one rank at the same time, with the same images a rank and nothing to tell each other.  What
is faster there is the price of communication; what is slower than one rank alone is the price of
sharing a machine.

Runs are kept in OUTPUT/runs and not made again, so that a killed experiment goes on with the same
command.  Where runs of one global batch differ in their losses by more than rounding, the experiment
fails: a faster step that trains something else is no result.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from scaling_model import Measured, predictions, ring_of
from scaling_report import write_report
from scaling_runs import Failed, Runner, losses_agree

BAD_ORDER, MISSING = 64, 66
ROOT = Path(__file__).resolve().parents[2]
BUILT, INSTALLED = ROOT / "build/release/bin/gondola", ROOT.parents[1] / "bin/gondola"
PROGRAM = os.environ.get("GONDOLA") or (INSTALLED if not BUILT.exists() and INSTALLED.exists() else BUILT)


def refuse(code, sentence):
    print(f"gondola-scaling: {sentence}", file=sys.stderr)
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        refuse(BAD_ORDER, f"{message}; see gondola-scaling --help")


def parse_arguments(words):
    parser = Parser(prog="launch/scaling/gondola-scaling", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR",
                        help="runs, scaling.json, scaling.csv and scaling.html")
    parser.add_argument("--ranks", default="1 2 4", metavar="'1 2 4'",
                        help="numbers of ranks (default: 1 2 4)")
    parser.add_argument("--modes", default="weak strong", metavar="'weak strong'",
                        help="what to keep: images a rank, images of all ranks (default: both)")
    parser.add_argument("--split", choices=("batch", "coordinates"), default="batch",
                        help="what ranks share: the batch, or the coordinates of each image")
    parser.add_argument("--batch", type=int, default=64, metavar="B",
                        help="images a rank (weak) or of all ranks (strong) (default: 64)")
    parser.add_argument("--steps", type=int, default=30, metavar="N",
                        help="of each run, the first fifth of which is left out (default: 30)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--launcher", default="mpirun --bind-to none --oversubscribe -n {ranks}",
                        metavar="COMMAND",
                        help="what starts so many ranks; within a Slurm job: "
                             "'srun --mpi=pmix -n {ranks}' (default: mpirun). The control's runs, "
                             "one rank each, are started on this machine")
    parser.add_argument("--gondola", type=Path, default=PROGRAM, metavar="PROGRAM",
                        help="default: GONDOLA, or that of the checkout or installation")
    parser.add_argument("--predict", default="8 16 64 256", metavar="'8 16 64'",
                        help="numbers of ranks that the fitted model is asked for")
    parser.epilog = ("Words after -- are options of each run: -- --config implicit_fashion "
                     "--data.path datasets/fashion-mnist-28.h5")
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.options = words[end + 1:]
    arguments.ranks = numbers(arguments.ranks, "--ranks")
    arguments.predict = numbers(arguments.predict, "--predict")
    arguments.modes = arguments.modes.split()
    check(arguments)
    return arguments


def numbers(text, name):
    try:
        values = sorted({int(word) for word in text.replace(",", " ").split()})
    except ValueError:
        refuse(BAD_ORDER, f"{name} '{text}' is not a list of whole numbers such as '1 2 4'")
    if not values or values[0] < 1:
        refuse(BAD_ORDER, f"{name} '{text}' must have numbers from 1 on")
    return values


def check(arguments):
    for mode in arguments.modes:
        if mode not in ("weak", "strong"):
            refuse(BAD_ORDER, f"--modes has '{mode}': give weak, strong or both")
    if 1 not in arguments.ranks:
        arguments.ranks.insert(0, 1)
    if arguments.steps < 5 or arguments.repeats < 1 or arguments.batch < 1:
        refuse(BAD_ORDER, "--steps must be at least 5, --repeats and --batch at least 1")
    if arguments.split == "batch" and "strong" in arguments.modes:
        uneven = [ranks for ranks in arguments.ranks if arguments.batch % ranks]
        if uneven:
            refuse(BAD_ORDER, f"--batch {arguments.batch} is not shared evenly by {uneven[0]} ranks: "
                              "give a multiple of every number of ranks")
    if "{ranks}" not in arguments.launcher:
        refuse(BAD_ORDER, f"--launcher '{arguments.launcher}' does not say how many: put {{ranks}} "
                          "into it")
    if not arguments.gondola.is_file():
        refuse(MISSING, f"{arguments.gondola} is not there: launch/setup.sh builds it, or name it "
                        "with --gondola")


def global_batch(mode, batch, ranks):
    """Images of a step.  For ranks that share coordinates too: twice the images, each of whose
    coordinates two ranks share, are as much for a rank."""
    return batch * ranks if mode == "weak" else batch


def measure(arguments, runner, mode):
    """One Measured for each number of ranks, repeats in turn so that all see the same machine."""
    samples = {ranks: {"run": [], "control": []} for ranks in arguments.ranks}
    for repeat in range(arguments.repeats):
        for ranks in arguments.ranks:
            batch = global_batch(mode, arguments.batch, ranks)
            print(f"{mode:6} repeat {repeat + 1}/{arguments.repeats}  {ranks} "
                  f"rank{'s' if ranks > 1 else ''}, {batch} images a step", flush=True)
            samples[ranks]["run"].append(runner.run(mode, repeat, ranks, batch))
            if ranks > 1:
                samples[ranks]["control"].append(runner.control(mode, repeat, ranks, batch))
    for ranks, kinds in samples.items():
        if ranks == 1:
            kinds["control"] = kinds["run"]
    return [Measured(ranks, global_batch(mode, arguments.batch, ranks),
                     kinds["run"], kinds["control"])
            for ranks, kinds in samples.items()]


def compare_losses(arguments, runner, mode, measured):
    """Runs of one global batch have the same losses, whatever their ranks."""
    for point in measured:
        reference = runner.reference(point.batch, mode, measured)
        for run in point.runs:
            worst = losses_agree(run, reference)
            print(f"{mode:6} {point.ranks} ranks: losses differ from one rank's by {worst:.1e}")


def main():
    arguments = parse_arguments(sys.argv[1:])
    arguments.output.mkdir(parents=True, exist_ok=True)
    runner = Runner(arguments)
    results = {}
    try:
        for mode in arguments.modes:
            measured = measure(arguments, runner, mode)
            compare_losses(arguments, runner, mode, measured)
            ring = ring_of(measured)
            results[mode] = {"measured": measured, "ring": ring,
                             "predicted": predictions(mode, measured, ring, arguments.predict)}
    except Failed as failed:
        refuse(failed.code, str(failed))
    about = {"split": arguments.split, "batch": arguments.batch, "steps": arguments.steps,
             "repeats": arguments.repeats, "launcher": arguments.launcher,
             "options": shlex.join(arguments.options), "cores": runner.cores,
             "machine": runner.machine}
    write_report(arguments.output, about, results)
    for name in ("scaling.html", "scaling.csv", "scaling.json"):
        print(f"written      {arguments.output / name}")


if __name__ == "__main__":
    main()
