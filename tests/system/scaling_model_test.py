"""gondola bench scaling-model: over three slow links between two ranks, the step that it predicts
from the seconds of a message is the step that it measures."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import namespaces
from processes import PATIENCE
from slow_networks import Link, NoSlowLink, SlowNetworks
from training import PROGRAM, flags, gondola, saw
from two_networks import why_not
from world import MPIEXEC, World

LINKS = [Link(0.1e-3, 1e9), Link(1e-3, 200e6), Link(5e-3, 100e6)]
SLOWEST = LINKS[-1]
WITHIN = 0.15
# Where others have the processors for a while, a step and what it consists of are disturbed apart.
ATTEMPTS = 8
COMMON = {"bench.threads": 1, "bench.repeats": 3}
SIREN = {**COMMON, "model.decoder": "siren", "model.hidden": 128, "model.layers": 4,
         "trainer.batch_size": 16}
# Batch norm asks the other ranks in every layer, forwards and backwards.
CONV = {**COMMON, "model.decoder": "conv", "model.activation": "elu", "model.filters": 8,
        "trainer.batch_size": 32}


def parts(output):
    """The fit, the step, and the predictions by number of ranks."""
    lines = [json.loads(line) for line in output.splitlines()]
    fit, step = lines[:2]
    return fit, step, {line["ranks"]: line for line in lines[2:]}


class ScalingModelTest(unittest.TestCase):
    def bench_over(self, link, options):
        with tempfile.TemporaryDirectory(prefix="gondola-link-") as folder:
            networks = SlowNetworks(Path(folder), link)
            try:
                ended = subprocess.run(
                    [*networks.launcher(MPIEXEC, each=1), "-n", "2", PROGRAM, "bench",
                     "scaling-model", *flags(options)],
                    capture_output=True, text=True, timeout=PATIENCE)
            finally:
                networks.close()
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return networks.means, *parts(ended.stdout)

    def expect_prediction(self, link, options):
        ratios, good = [], 0
        while good < 2:
            self.assertLess(len(ratios), ATTEMPTS,
                            f"{link}: the predicted step is {ratios} of the measured one")
            means, fit, step, _ = self.bench_over(link, options)
            ratios.append(step["predicted_to_measured"])
            # A message is under way for the delay at least, and no faster than the rate.
            rate = fit["long"]["bytes_per_second"]
            fits = fit["short"]["latency_seconds"] > 0.9 * link.delay and rate is not None \
                and rate < 1.1 * link.rate / 8
            good += fits and abs(ratios[-1] - 1) <= WITHIN
        saw(f"{step['decoder']}, {link} by {means}: short messages "
            f"{fit['short']['latency_seconds'] * 1e3:.3g} ms, long ones "
            f"{fit['long']['latency_seconds'] * 1e3:.3g} ms and "
            f"{fit['long']['bytes_per_second'] * 8e-6:.3g} Mbit/s; "
            f"{step['compute_seconds']['median'] * 1e3:.3g} ms of work, step predicted "
            f"{step['predicted_seconds'] * 1e3:.4g} ms, measured "
            f"{step['measured_seconds']['median'] * 1e3:.4g} ms: "
            f"{', '.join(f'{ratio:.3f}' for ratio in ratios)}")
        return step

    def test_the_step_over_a_slow_link_is_predicted(self):
        for link in LINKS:
            with self.subTest(link=str(link)):
                self.expect_prediction(link, SIREN)

    def test_the_small_sums_of_batch_norm_count(self):
        step = self.expect_prediction(SLOWEST, CONV)
        small = sum(entry["times"] for entry in step["collectives"] if entry["bytes"] < 1024)
        self.assertGreater(small, 10)
        # Without the latency of each, the prediction would be far off.
        self.assertGreater(step["measured_seconds"]["median"],
                           step["compute_seconds"]["median"] + small * 0.9 * SLOWEST.delay)

    def test_sums_over_machines_of_two_ranks_go_machine_by_machine(self):
        ended = subprocess.run(
            [Path(__file__).parent / "over_slow_link.py", "--milliseconds", "0.1", "--mbit", "1000",
             "--each", "2", "--", "bench", "allreduce", "--bench.repeats", "1"],
            capture_output=True, text=True, timeout=PATIENCE,
            env={**os.environ, "GONDOLA": PROGRAM})
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("2 ranks on each side of 0.1 ms, 1000 Mbit/s", ended.stderr)
        sizes = {line["bytes"]: line for line in map(json.loads, ended.stdout.splitlines())}
        self.assertEqual(sizes[1 << 22]["algorithm"], "shares added machine by machine")
        saw(f"4 MiB machine by machine: {sizes[1 << 22]['seconds']['median'] * 1e3:.0f} ms, over "
            f"all ranks at once {sizes[1 << 22]['ratio_to_all_ranks_at_once']['median']:.2f} times as long")

    def test_predictions_go_to_4096_ranks(self):
        world = World(2, PROGRAM, "bench", "scaling-model", *flags(
            SIREN, {"bench.repeats": 1, "bench.step_flop": 1e12}))
        self.assertEqual(world.end()[0], 0, world.errors)
        _, step, predicted = parts(world.output)
        self.assertEqual(list(predicted), [1 << n for n in range(13)])
        work = 1e12 / step["flop_per_second"]
        for ranks, line in predicted.items():
            weak = line["weak"]
            self.assertAlmostEqual(weak["step_seconds"], work + line["communication_seconds"])
            self.assertAlmostEqual(weak["efficiency"], work / weak["step_seconds"])
            self.assertEqual("strong" in line, ranks <= 16)
            if ranks <= 16:
                self.assertAlmostEqual(line["strong"]["step_seconds"],
                                       2 * work / ranks + line["communication_seconds"])
        self.assertEqual(predicted[1]["communication_seconds"], 0)
        self.assertGreater(predicted[4096]["communication_seconds"],
                           predicted[2]["communication_seconds"])

    def test_bad_orders_end_with_one_sentence(self):
        alone = gondola("bench", "scaling-model")
        self.assertEqual(alone.returncode, 64, alone.stderr)
        self.assertIn("mpirun -n 2", alone.stderr)
        for option, value in (("trainer.batch_size", 1), ("parallel.coordinate_ranks", 2),
                              ("model.family", "glo"), ("model.family", "vae"),
                              ("coordinates.outer", "uniform:64")):
            world = World(2, PROGRAM, "bench", "scaling-model", *flags(SIREN, {option: value}))
            self.assertEqual(world.end()[0], 64, world.errors)
            self.assertEqual(len(world.sentences()), 1, world.errors)
            self.assertIn(option, world.sentences()[0])


if __name__ == "__main__":
    namespaces.need("making networks")
    if reason := why_not():
        print(f"SKIPPED: {reason}")
        sys.exit(77)
    try:
        with tempfile.TemporaryDirectory(prefix="gondola-link-") as place:
            SlowNetworks(Path(place), LINKS[0]).close()
    except NoSlowLink as lack:
        print(f"SKIPPED: no slow links: {lack}")
        sys.exit(77)
    unittest.main()
