"""A table of the paper by one command, on a small data set: every row is trained and measured once, what
is there is kept, what is missing is said."""

import json
import os
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from processes import PATIENCE, wait_for
from training import PROGRAM, TrainingTest, gondola, write_idx

SCRIPT = Path(os.environ["GONDOLA_SOURCE_DIR"]) / "launch/experiments/run.sh"
ENVIRONMENT = {**os.environ, "GONDOLA": PROGRAM}
ROWS = ["GON", "AE", "Tied AE", "1 step, detached", "10 steps", "10 steps, detached", "GLO"]


class ExperimentTest(TrainingTest):
    def setUp(self):
        super().setUp()
        images = self.folder / "images"
        images.mkdir()
        write_idx(images, 128, 20, height=32, width=32)
        made = gondola("import", "idx", "--input", images, "--output",
                       self.folder / "datasets/coil20-32.h5")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.output = self.folder / "table"

    def command(self, *words, name="table1"):
        return [SCRIPT, name, "--datasets", self.folder, "--output", self.output, "--seeds", "0",
                "--scale", "0.002", *words, "--", "--latent.search_steps", "3",
                "--parallel.threads=1", "--model.filters", "2"]

    def run_table(self, *words, name="table1"):
        return subprocess.run(self.command(*words, name=name), capture_output=True, text=True,
                              timeout=5 * PATIENCE, env=ENVIRONMENT)

    def test_a_table_is_made_once_and_goes_on_where_it_was(self):
        first = self.run_table()
        self.assertEqual(first.returncode, 0, first.stdout + first.stderr)
        for left_out in ("MNIST", "Small NORB", "CIFAR-10"):
            self.assertIn(f"{left_out} is left out", first.stdout)
        self.assertIn("gondola import norb", first.stdout)
        table = (self.output / "table.md").read_text()
        self.assertIn("a scaled run", table)
        for row in ROWS:
            self.assertRegex(table, rf"(?m)^\| {row} \| [0-9.]+ \|$")

        # The runs behind two rows, beside each other.
        runs = [self.output / row / "coil-20/seed-0/run" for row in ("gon", "glo")]
        page = self.folder / "gon-glo.html"
        compared = gondola("report", "--compare", *runs, "--output", page)
        self.assertEqual(compared.returncode, 0, compared.stderr)
        self.assertRegex(compared.stdout, r"(?m)^gon +1 +test +20 ")
        self.assertRegex(compared.stdout, r"(?m)^glo +1 +test +20 ")
        self.assertIn("model.family", page.read_text())
        self.assertEqual(gondola("report", "--compare", runs[0]).returncode, 64)

        # One row is lost: the same command makes that one, and none of the others.
        results = sorted(self.output.glob("*/coil-20/seed-0/result.json"))
        self.assertEqual(len(results), len(ROWS))
        stamps = {path: path.stat().st_mtime_ns for path in results}
        before = json.loads((self.output / "glo/coil-20/seed-0/result.json").read_text())
        shutil.rmtree(self.output / "glo")
        again = self.run_table()
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        for path, stamp in stamps.items():
            (self.assertNotEqual if "glo" in str(path) else self.assertEqual)(
                path.stat().st_mtime_ns, stamp, path)
        after = json.loads((self.output / "glo/coil-20/seed-0/result.json").read_text())
        self.assertAlmostEqual(after["loss"] / before["loss"], 1, delta=1e-5)

    def test_a_gap_is_what_test_images_lose_more(self):
        done = self.run_table(name="figure16")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        table = (self.output / "table.md").read_text()
        for row in ("gon", "ae"):
            result = json.loads((self.output / row / "coil-20/seed-0/result.json").read_text())
            train = gondola("eval", self.output / row / "coil-20/seed-0/run", "--images", "1000",
                            "--split", "train", "--json")
            gap = result["loss"] - json.loads(train.stdout)["loss"]
            self.assertAlmostEqual(result["gap"]["loss"], gap, delta=1e-4)
            self.assertIn(f"| {row.upper()} | {result['gap']['loss']:.4g} |", table)

    def test_results_of_another_command_are_refused_and_other_seeds_left_out(self):
        first = self.run_table(name="figure16")
        self.assertEqual(first.returncode, 0, first.stdout + first.stderr)
        table = (self.output / "table.md").read_text()
        path = self.output / "gon/coil-20/seed-0/result.json"
        result = json.loads(path.read_text())
        self.assertEqual(result["command"][-1], str(self.folder / "datasets/coil20-32.h5"))

        # A seed that is not asked for, whatever made it.
        other = self.output / "gon/coil-20/seed-1/result.json"
        other.parent.mkdir()
        other.write_text(json.dumps({"gap": {"loss": 1e9}}))
        again = self.run_table("--table", name="figure16")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual((self.output / "table.md").read_text(), table)

        # Another scale, another measurement (table 1 has this row too), other options.
        for words, name, seen in ((["--scale", "0.01"], "figure16", "--trainer.steps=2"),
                                  (["--table", "--scale", "1"], "figure16", "--images=1000"),
                                  ([], "table1", "--gap"),
                                  (["--", "--optimizer.learning_rate=1"], "figure16",
                                   "(nothing, and here --optimizer.learning_rate=1")):
            refused = self.run_table(*words, name=name)
            self.assertEqual(refused.returncode, 64, refused.stdout + refused.stderr)
            self.assertEqual(refused.stdout.count("steps"), 0, refused.stdout)
            for part in (str(path), "another command", seen, "name another --output"):
                self.assertIn(part, refused.stderr)
        self.assertEqual(json.loads(path.read_text()), result)

        # One that does not say what made it.
        del result["command"]
        path.write_text(json.dumps(result))
        refused = self.run_table(name="figure16")
        self.assertEqual(refused.returncode, 64, refused.stdout + refused.stderr)
        self.assertIn("(unknown, and here --config=conv_coil20 ", refused.stderr)

    def test_a_stop_reaches_every_run_at_hand(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            begun = [self.output / row / "coil-20/seed-0/train.log" for row in ("gon", "ae")]
            with subprocess.Popen(self.command("--scale", "1", "--jobs", "2"), text=True,
                                  stdout=subprocess.PIPE, env=ENVIRONMENT) as table:
                wait_for(lambda: all(path.exists() and "\nstep " in path.read_text()
                                     for path in begun), "a step of both runs")
                table.send_signal(number)
                said, _ = table.communicate(timeout=PATIENCE)
            self.assertEqual(table.returncode, 75, said)
            self.assertIn("stopped: the same command goes on", said)
            for path in begun:
                self.assertIn("stopped on request", path.read_text())
            self.assertEqual(len(list(self.output.glob("*"))), 2)
            shutil.rmtree(self.output)

    def test_what_cannot_be_run_is_refused(self):
        unknown = self.run_table(name="table9")
        self.assertEqual(unknown.returncode, 64, unknown.stderr)
        self.assertIn("table1", unknown.stderr)
        self.assertEqual(self.run_table("--part", "3/2").returncode, 64)
        self.assertEqual(self.run_table("--jobs", "0").returncode, 64)
        nothing = self.run_table(name="figure3")
        self.assertEqual(nothing.returncode, 66, nothing.stderr)


if __name__ == "__main__":
    unittest.main()
