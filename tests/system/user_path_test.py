"""The way of a user: import, inspect, train, evaluate, encode, reconstruct, report."""

import json
import os
import re
import signal
import statistics
import subprocess
import unittest

from processes import PATIENCE, wait_for
from training import (DECODERS, PROGRAM, TINY, TrainingTest, checkpoints, flags, gondola, last_step,
                      losses, rows, saw, write_idx)
from world import World

RUN_SH = os.path.join(os.environ["GONDOLA_SOURCE_DIR"], "launch/run.sh")
OPTIONS = {**TINY, "data.path": "images.h5", "trainer.steps": 24, "evaluation.every_steps": 10,
           "monitoring.samples_every": 10, "checkpoint.every_steps": 10}
TRAIN_ROW = {"kind", "step", "epoch", "loss", "inner_loss", "latent_norm", "gradient_norm",
             "learning_rate", "images_per_second", "step_seconds", "phase_seconds"}
PHASES = {"data", "inner", "outer", "wait", "all_reduce", "optimizer", "checkpoint", "eval"}
PNG = b"\x89PNG\r\n\x1a\n"


class UserPathTest(TrainingTest):
    def do(self, *arguments, code=0):
        """The program in the test's folder; returns what it printed."""
        ended = gondola(*arguments, folder=self.folder)
        self.assertEqual(ended.returncode, code, ended.stderr)
        return ended.stdout

    def import_images(self):
        write_idx(self.folder, train=200, test=30)
        self.do("import", "idx", "--input", ".", "--output", "images.h5")

    def evaluate(self, ranks):
        world = World(ranks, "-wdir", str(self.folder), PROGRAM, "eval", "run", "--json")
        self.assertEqual(world.end()[0], 0, world.errors)
        return json.loads(world.output)

    def picture_size(self, name):
        data = (self.folder / name).read_bytes()
        self.assertEqual(data[:8], PNG)
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")

    def test_from_published_files_to_a_report(self):
        self.import_images()
        seen = self.do("inspect", "images.h5", "--verify")
        for part in ("200", "30", "28"):
            self.assertIn(part, seen)
        self.picture_size("images.png")

        training = self.train(2, OPTIONS, DECODERS["siren"])
        run = training.run
        self.check_rows(run)
        self.check_run_folder(run, training.output)
        self.check_evaluation(run)

        self.assertRegex(self.do("encode", "run"), "30 latents .* run/latents-test.h5")
        self.assertGreater((run / "latents-test.h5").stat().st_size, 30 * 4 * 4)
        self.do("reconstruct", "run", "--size", "64", "--images", "3")
        width, height = self.picture_size("run/reconstruction-64x64.png")
        self.assertGreaterEqual(width, 3 * 64)
        self.assertGreaterEqual(height, 2 * 64)

        # A checkpoint's latents lie beside it, not in it.
        self.do("encode", "run/checkpoints/best", "--split", "train")
        self.assertTrue((run / "latents-train.h5").exists())
        self.assertEqual(sorted(path.name for path in (run / "checkpoints/best").iterdir()),
                         ["COMPLETE", "state.h5"])

        (run / "report.html").unlink()
        self.do("report", "run")
        page = (run / "report.html").read_text()
        for part in ("<svg", "data:image/png;base64,", "images.h5"):
            self.assertIn(part, page)
        self.assertNotRegex(page, r'(src|href)="https?://')
        saw(f"report of {len(page)} characters, reconstruction grid of {width}x{height} pixels")

    def check_rows(self, run):
        self.assert_every_step_once(run, 24)
        shares = []  # of a step's time, in its phases
        for row in rows(run):
            self.assertEqual(TRAIN_ROW - row.keys(), set())
            self.assertEqual(set(row["phase_seconds"]), PHASES)
            named = sum(seconds for phase, seconds in row["phase_seconds"].items()
                        if phase not in ("eval", "checkpoint"))
            shares.append(named / row["step_seconds"])
        # Of one step it may be anything, where another process gets the core between two phases.
        self.assertTrue(0.5 < statistics.median(shares) <= 1.05, shares)
        self.assertEqual([row["epoch"] for row in rows(run)], [i // 8 for i in range(24)])
        evaluations = rows(run, "eval")
        self.assertEqual([row["step"] for row in evaluations], [10, 20, 24])
        self.assertLess(evaluations[-1]["loss"], evaluations[0]["loss"])
        saw("held-out loss " + ", ".join(f"{row['loss']:.4f}" for row in evaluations))
        self.assertEqual(len((run / "metrics.csv").read_text().splitlines()), 1 + 24 + 3)

    def check_run_folder(self, run, output):
        names = [path.name for path in checkpoints(run)]
        self.assertEqual(names, ["step-00000010", "step-00000020", "step-00000024"])
        self.assertTrue((run / "checkpoints/best/COMPLETE").exists())
        for name in ("config.ini", "logs/rank-0.log", "logs/rank-1.log", "report.html"):
            self.assertGreater((run / name).stat().st_size, 0, name)
        for step in (10, 20, 24):
            self.picture_size(f"run/samples/step-{step:08}.png")
        targets = json.loads((run / "prometheus/targets.json").read_text())
        self.assertEqual(len(targets), 2)
        for part in ("run/samples", "run/metrics.jsonl", "run/checkpoints", "run/report.html"):
            self.assertIn(part, output)
        self.assertNotIn("\x1b", output)

    def check_evaluation(self, run):
        one, two = self.evaluate(1), self.evaluate(2)
        for metric in ("loss", "psnr", "ssim"):
            self.assertLessEqual(abs(one[metric] - two[metric]), 1e-10 * abs(one[metric]))
        self.assertEqual(one["images"], 30)
        self.assertAlmostEqual(one["loss"], rows(run, "eval")[-1]["loss"], delta=1e-9)
        saw(f"eval on 1 rank {one['loss']!r}, on 2 ranks {two['loss']!r}")

    def test_the_step_is_measured_against_plain_libtorch(self):
        lines = self.do("bench", "step", "--model.hidden", 8, "--model.layers", 2, "--model.filters",
                        2, "--trainer.batch_size", 2, "--bench.repeats", 2).splitlines()
        self.assertEqual([json.loads(line)["decoder"] for line in lines], ["siren", "conv"])
        for line in lines:
            measured = json.loads(line)
            for figure in ("images_per_second", "sgemm_gflops"):
                self.assertGreater(measured[figure], 0)
            self.assertEqual(set(measured["phase_seconds"]), PHASES)
            ratio = measured["ratio_to_double_backward"]
            self.assertLessEqual(ratio["min"], ratio["median"])
            self.assertLessEqual(ratio["median"], ratio["max"])

    def test_an_all_reduce_is_measured_against_that_of_mpi(self):
        world = World(2, PROGRAM, "bench", "allreduce", "--bench.repeats", "2")
        self.assertEqual(world.end()[0], 0, world.errors)
        sizes = [json.loads(line) for line in world.output.splitlines()]
        self.assertEqual([size["bytes"] for size in sizes], [1 << n for n in (12, 16, 20, 22, 24, 26)])
        self.assertEqual(len({size["algorithm"] for size in sizes[:2]}), 1)
        self.assertNotEqual(sizes[0]["algorithm"], sizes[-1]["algorithm"])
        self.assertGreater(sizes[-1]["ratio_to_reduce_scatter"]["min"], 0)
        self.assertNotIn("ratio_to_all_ranks_at_once", sizes[-1])
        for size in sizes:
            self.assertGreater(size["ratio_to_mpi_allreduce"]["min"], 0)
            self.assertGreater(size["bus_bytes_per_second"], 0)
        self.assertIn("mpirun -n 2", gondola("bench", "allreduce").stderr)

    def test_what_overlapping_hides_of_the_all_reduce_is_measured(self):
        small = {"model.hidden": 64, "model.layers": 3, "trainer.batch_size": 4,
                 "bench.repeats": 3}
        world = World(2, PROGRAM, "bench", "overlap", *flags(small, {"latent.size": 1}))
        self.assertEqual(world.end()[0], 0, world.errors)
        measured = json.loads(world.output)
        self.assertLess(measured["sums_bytes"], measured["gradient_bytes"])
        self.assertGreater(measured["all_reduce_seconds_as_a_whole"]["min"], 0)
        for share in ("hidden_share", "hidden_share_of_gradient"):
            self.assertLess(measured[share]["max"], 1, "no wait is hidden whole")
        world = World(2, PROGRAM, "bench", "overlap", *flags(small, {"latent.size": 40}))
        self.assertEqual(world.end()[0], 64, world.errors)
        self.assertIn("do not overlap", world.errors)
        world = World(2, PROGRAM, "bench", "overlap", *flags(small, {"coordinates.outer": "uniform:9"}))
        self.assertEqual(world.end()[0], 64, world.errors)
        self.assertIn("coordinates.outer = full", world.errors)
        self.assertIn("mpirun -n 2", gondola("bench", "overlap").stderr)

    def test_memory_of_a_step_stays_below_one_layer_of_one_image(self):
        lines = self.do("bench", "memory", "--model.hidden", 32, "--model.layers", 2,
                        "--trainer.batch_size", 2).splitlines()
        sizes = [json.loads(line) for line in lines]
        self.assertEqual([size["image"] for size in sizes], ["1x28x28", "1x128x128", "1x1024x1024"])
        # The activations of one layer of one image would be 128 MB.
        self.assertLess(sizes[2]["growth_bytes"], 64e6)

    def test_the_config_of_a_run_makes_the_same_run_again(self):
        self.import_images()
        first = self.train(2, OPTIONS, DECODERS["conv"]).run
        again = self.train(2, {"config": "run/config.ini"}, run="again").run
        self.assertEqual(losses(again), losses(first))
        saw(f"config.ini: {len(losses(first))} losses are the same to the last digit")

    def test_print_config_is_a_config(self):
        options = flags(OPTIONS, DECODERS["conv"], {"run.folder": "run", "run.seed": 7})
        printed = self.do("train", *options, "--print-config")
        (self.folder / "printed.ini").write_text(printed)
        self.assertRegex(printed, r"given: on the command line\nseed = 7\n")
        again = self.do("train", "--config", "printed.ini", "--print-config")
        self.assertRegex(again, r"given: line \d+ of printed.ini\nseed = 7\n")
        self.assertEqual(*(re.sub(r"; given: .*", "", text) for text in (again, printed)))
        self.assertRegex(printed, r"(?m)^filters = 2\b")
        self.assertRegex(printed, r"(?m)^seed = 7\b")
        self.assertFalse((self.folder / "run").exists())

    def test_dry_run_writes_nothing(self):
        self.import_images()
        before = sorted(self.folder.rglob("*"))
        printed = self.do("train", *flags(OPTIONS, DECODERS["conv"], {"run.folder": "run"}),
                          "--dry-run")
        self.assertIn("200 images 1x28x28", printed)
        self.assertIn("24 steps of 24 images (8 steps an epoch)", printed)
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        self.do("train", *flags(OPTIONS, DECODERS["conv"], {"run.folder": "run"},
                                {"data.path": "absent.h5"}), "--dry-run", code=66)

    def test_interrupting_run_sh_stops_with_a_checkpoint_and_75(self):
        for number, ranks in ((signal.SIGINT, 2), (signal.SIGTERM, 1)):
            folder = self.folder / number.name
            folder.mkdir()
            options = flags(TINY, DECODERS["siren"], {"trainer.steps": 1000000, "run.folder": "run"})
            run = subprocess.Popen(
                [RUN_SH, "-n", str(ranks), "--oversubscribe", "--", "train", *options],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "GONDOLA": PROGRAM}, start_new_session=True)
            self.addCleanup(lambda group=run.pid, run=run: self.end_group(group, run))
            wait_for(lambda: run.poll() is not None or last_step(folder / "run") >= 5, "step 5")
            run.send_signal(number)
            output, errors = run.communicate(timeout=PATIENCE)
            self.assertEqual(run.returncode, 75, errors)
            stopped = re.search(r"stopped on request after step (\d+)", output)
            self.assertTrue(stopped, output)
            self.assertEqual(int(checkpoints(folder / "run")[-1].name[5:]), int(stopped[1]))
            saw(f"{number.name} to run.sh: 75 after step {stopped[1]}")

    def end_group(self, group, run):
        if run.poll() is None:
            os.killpg(group, signal.SIGKILL)
            run.wait()
        for stream in (run.stdout, run.stderr):
            stream.close()


if __name__ == "__main__":
    unittest.main()
