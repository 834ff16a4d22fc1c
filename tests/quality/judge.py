#!/usr/bin/env python3
"""judge.py CURVES_JSON CURVE RANKS RESULT...: compares measurements with a reference curve.

A RESULT is a file of two lines that `gondola eval --json` printed for one seed: batch statistics,
then one image at a time. The mean of the first over the seeds may be at most the reference's mean
plus the larger of twice its standard deviation and 5 % (10 % where the reference has one seed); the
mean of the second may be at most 3 % above that of the first (below, it is only shown). Prints one
line and exits 1 where that is not so.
"""

import json
import statistics
import sys


def bound_of(losses):
    mean = statistics.fmean(losses)
    if len(losses) == 1:
        return 1.10 * mean
    return mean + max(2 * statistics.stdev(losses), 0.05 * mean)


def spread(losses):
    mean = f"{statistics.fmean(losses):.2f}"
    return mean if len(losses) == 1 else f"{mean} ± {statistics.stdev(losses):.2f}"


def main(curves, curve, ranks, *results):
    with open(curves, encoding="utf-8") as file:
        runs = json.load(file)["curves"][curve]["runs"]
    measured = [run["heldout"]["batch"] for run in runs]
    loss = next(name for name in ("elbo_nats", "sse", "cross_entropy") if name in measured[0])
    reference = [held_out[loss] for held_out in measured]
    batch, alone = [], []
    for result in results:
        with open(result, encoding="utf-8") as file:
            first, second = (json.loads(line) for line in file)
        batch.append(first["loss"])
        alone.append(second["loss"])

    bound = bound_of(reference)
    mean = statistics.fmean(batch)
    apart = statistics.fmean(alone) / mean - 1
    good = mean <= bound and apart <= 0.03  # a NaN is not good
    print(f"{curve}  ranks {ranks}  seeds {len(batch)}  held out {spread(batch)} "
          f"({', '.join(f'{loss:.2f}' for loss in batch)})  reference {spread(reference)}  "
          f"bound {bound:.2f}  one by one {spread(alone)} ({100 * apart:+.2f} %)  "
          f"{'ok' if good else 'MISSED'}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
