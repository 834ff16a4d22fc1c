"""launch/scaling: what it measures adds up, a run with other losses stops it, a second call makes only
what is missing, and bad orders end with one sentence."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from processes import PATIENCE

ROOT = Path(os.environ["GONDOLA_SOURCE_DIR"])
SCALING = ROOT / "launch/scaling/gondola-scaling"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCALING.parent))
import scaling_model  # noqa: E402
import scaling_runs  # noqa: E402

LAUNCHER = " ".join([os.environ["GONDOLA_MPIEXEC"], os.environ["GONDOLA_MPIEXEC_FLAGS"],
                     "-n {ranks}"])
TINY = ["--data.path", "synthetic:60x1x8x8", "--model.hidden", "8", "--model.layers", "2",
        "--trainer.precision", "float64"]


def run_with(losses, seconds=0.1, all_reduce=0.0, rate=10.0, parameters=1000):
    phases = dict.fromkeys(("data", "inner", "outer", "wait", "optimizer"), 0.0)
    return scaling_runs.Run(images_per_second=rate, step_seconds=seconds,
                            phases={**phases, "all_reduce": all_reduce}, losses=losses,
                            parameters=parameters)


class ModelTest(unittest.TestCase):
    def measured(self, latency, bandwidth, ranks):
        ring = scaling_model.Ring(latency, bandwidth, bytes=4000)
        return [scaling_model.Measured(w, 8, [run_with({}, all_reduce=ring.seconds(w))],
                                       [run_with({})]) for w in ranks]

    def test_the_ring_that_made_the_figures_is_found(self):
        ring = scaling_model.ring_of(self.measured(25e-6, 2e8, [1, 2, 4, 8]))
        self.assertAlmostEqual(ring.latency / 25e-6, 1, places=6)
        self.assertAlmostEqual(ring.bandwidth / 2e8, 1, places=6)
        self.assertAlmostEqual(ring.seconds(16), 30 * 25e-6 + 30 / 16 * 4000 / 2e8)

    def test_no_term_is_negative(self):
        points = self.measured(0, 1e6, [1, 2, 4])
        points[2].runs[0].phases["all_reduce"] *= 0.5  # falls with more ranks: no latency
        ring = scaling_model.ring_of(points)
        self.assertEqual(ring.latency, 0)
        self.assertGreater(ring.bandwidth, 0)

    def test_one_number_of_ranks_makes_no_model(self):
        self.assertIsNone(scaling_model.ring_of(self.measured(1e-6, 1e9, [1, 2])))

    def test_a_prediction_is_the_work_of_one_rank_and_the_ring(self):
        points = self.measured(25e-6, 2e8, [1, 2, 4])
        ring = scaling_model.ring_of(points)
        (_, weak, efficiency), = scaling_model.predictions("weak", points, ring, [16])
        (_, strong, _), = scaling_model.predictions("strong", points, ring, [16])
        self.assertAlmostEqual(weak, 0.1 + ring.seconds(16))
        self.assertAlmostEqual(strong, 0.1 / 16 + ring.seconds(16))
        self.assertAlmostEqual(efficiency, 0.1 / weak)

    def test_losses_may_differ_by_rounding_only(self):
        one = run_with({1: 100.0, 2: 90.0})
        self.assertLess(scaling_runs.losses_agree(run_with({1: 100.0004, 2: 90.0}), one), 1e-5)
        with self.assertRaises(scaling_runs.Failed):
            scaling_runs.losses_agree(run_with({1: 100.0, 2: 90.01}), one)
        with self.assertRaises(scaling_runs.Failed):
            scaling_runs.losses_agree(run_with({1: 100.0, 2: float("nan")}), one)


class ScalingTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gondola-scaling-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def scaling(self, *arguments, options=TINY, code=0):
        ended = subprocess.run(
            [SCALING, "--output", self.folder / "scaling", "--gondola",
             os.environ["GONDOLA_PROGRAM"], "--launcher", LAUNCHER, *map(str, arguments), "--",
             *options], capture_output=True, text=True, timeout=5 * PATIENCE)
        self.assertEqual(ended.returncode, code, ended.stdout + ended.stderr)
        return SimpleNamespace(out=ended.stdout, said=ended.stderr.strip())

    SMALL = ("--ranks", "1 2", "--steps", 5, "--repeats", 2, "--batch", 8)

    def test_runs_become_a_report_and_are_not_made_twice(self):
        self.scaling(*self.SMALL)
        folder = self.folder / "scaling"
        document = json.loads((folder / "scaling.json").read_text())
        for mode, images in (("weak", 16), ("strong", 8)):
            one, two = document[mode]["measured"]
            self.assertEqual((one["ranks"], two["ranks"], two["images_a_step"]), (1, 2, images))
            self.assertEqual(one["efficiency"], {"median": 1.0, "min": 1.0, "max": 1.0})
            self.assertGreater(two["efficiency"]["min"], 0)
            self.assertLess(two["all_reduce_share"], 1)
        page = (folder / "scaling.html").read_text()
        self.assertEqual(page.count("<svg"), 6)
        self.assertNotIn("http", page.replace("http://www.w3.org", ""))
        self.assertEqual(len((folder / "scaling.csv").read_text().splitlines()), 5)

        made = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/metrics.jsonl")}
        # weak and strong: 2 repeats of 1 rank, 2 ranks and its control of 2; 1 reference of 16.
        self.assertEqual(len(made), 2 * 2 * 4 + 1)
        victim = folder / "runs/weak-2-repeat-1"
        (victim / "FINISHED").unlink()  # as after a kill
        self.scaling(*self.SMALL)
        again = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/metrics.jsonl")}
        self.assertEqual({path for path in made if again[path] != made[path]},
                         {victim / "metrics.jsonl"})
        other = self.scaling(*self.SMALL, "--steps", 7, code=65)
        self.assertIn("was made by another command", other.said)

    def test_ranks_share_coordinates(self):
        self.scaling("--ranks", "2", "--modes", "strong", "--split", "coordinates", "--steps", 5,
                     "--repeats", 1, "--batch", 3)
        config = (self.folder / "scaling/runs/strong-2-repeat-0/config.ini").read_text()
        self.assertIn("coordinate_ranks = 2", config)

    def test_runs_with_other_losses_fail(self):
        small = ("--ranks", "2", "--modes", "strong", "--steps", 5, "--repeats", 1, "--batch", 8)
        self.scaling(*small)
        path = self.folder / "scaling/runs/strong-2-repeat-0/metrics.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[2]["loss"] *= 1 + 1e-9
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        said = self.scaling(*small, code=65).said
        self.assertIn("differ by 1.0e-09", said)
        self.assertEqual(len(said.splitlines()), 1)

    def test_bad_orders_end_with_one_sentence(self):
        for code, arguments, options, part in [
                (64, ("--modes", "sideways"), TINY, "sideways"),
                (64, ("--ranks", "two"), TINY, "two"),
                (64, ("--batch", 9, "--ranks", "1 2"), TINY, "--batch 9"),
                (64, ("--steps", 2), TINY, "--steps"),
                (64, ("--speed",), TINY, "--help"),
                (64, ("--launcher", "mpirun -n 2"), TINY, "{ranks}"),
                (66, ("--gondola", self.folder / "gondola"), TINY, "--gondola"),
                (64, ("--ranks", "1"), [*TINY, "--model.hiden", "3"], "model.hiden")]:
            with self.subTest(arguments=arguments):
                said = self.scaling(*arguments, options=options, code=code).said
                self.assertEqual(len(said.splitlines()), 1, said)
                self.assertIn(part, said)


if __name__ == "__main__":
    unittest.main()
